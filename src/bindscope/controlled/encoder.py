"""A trained dual encoder as an encoder: `controlled:RUN_DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bindscope.concepts import ConceptSpace, IntArray
from bindscope.controlled.config import TrainConfig
from bindscope.controlled.sampling import split_run
from bindscope.datasets.items import Dataset, Items
from bindscope.encoders.base import Encoder, Settings, Vectors, file_digest, library_versions
from bindscope.encoders.compute import redrawn
from bindscope.errors import InputError, MissingExtraError


class ControlledEncoder(Encoder):
    """Scenes by the scene encoder, queries by the query encoder; any data whose concepts have as many values or fewer."""

    modalities = frozenset({"text", "image", "labels"})
    reads_inputs = False

    def __init__(self, name: str, directory: Path, config: TrainConfig, model: Any) -> None:
        self.name, self.directory, self.config, self.model = name, directory, config, model
        self.space: ConceptSpace | None = None
        self.drawn: str | None = None

    def untrained(self, seed: int = 0) -> Encoder | None:
        """The same Transformers with weights drawn anew."""
        twin = ControlledEncoder(f"{self.name} (untrained)", self.directory, self.config, redrawn(self.model, seed))
        twin.drawn = f"drawn by seed {seed}"
        return twin

    def prepare(self, dataset: Dataset) -> Encoder:
        """Itself, where the data's concepts fit; InputError in one line where they do not."""
        sizes, config = dataset.table.space.sizes, self.config
        if len(sizes) != config.concepts or max(sizes) > config.values:
            raise InputError(
                f"{self.name} was trained on {config.concepts} concepts of {config.values} values, and {dataset.name} has "
                f"{' x '.join(map(str, sizes))}; use symbolic:{'x'.join([str(config.values)] * config.concepts)}"
            )
        if dataset.table.n_slots > config.objects:
            raise InputError(
                f"{self.name} was trained on scenes of at most {config.objects} objects, and {dataset.name} has scenes of "
                f"{dataset.table.n_slots}; use ?m={config.objects}"
            )
        self.space = dataset.table.space
        return self

    def encode(self, items: Items) -> Vectors:
        """f(scene) of unit length `[n, output]`."""
        return self._encode(self.model.scene, items.values)

    def encode_queries(self, items: Items) -> Vectors:
        """q(object) or q(value) of unit length `[n, output]`."""
        return self._encode(self.model.query, items.values)

    def encode_captions(self, items: Items) -> Vectors:
        """The sum of q(object) over the objects of each scene, of unit length `[n, output]`.

        The query encoder reads one object; it has never seen a scene. A scene is asked for by all of its objects.
        """
        values = items.values
        there = (values >= 0).any(axis=2)
        different, place = np.unique(values[there], axis=0, return_inverse=True)
        asked = self._encode(self.model.query, different[:, None, :])
        summed = np.zeros((len(values), asked.shape[1]), dtype=np.float64)
        np.add.at(summed, np.nonzero(there)[0], asked[place.reshape(-1)])
        length = np.linalg.norm(summed, axis=1, keepdims=True)
        return np.asarray(summed / np.where(length > 0, length, 1.0), dtype=np.float32)

    def _encode(self, tower: Any, values: IntArray) -> Vectors:
        from bindscope.controlled.evaluate import encode_values

        return np.asarray(encode_values(tower, values), dtype=np.float32)

    def fidelity(self) -> dict[str, Any]:
        """Settings of the training run and the digest of its weights."""
        from bindscope.controlled.store import MODEL_FILE

        return {
            "architecture": "controlled dual encoder: pre-norm Transformers, gelu",
            "activation": "gelu",
            "eval_mode": True,
            "dtype": "float32",
            "pooling": "end token",
            "normalisation": "unit length",
            "captions": "sum of the queries of a scene's objects",
            "training": self.config.model_dump(),
            **self._training_objects(),
            "weights_sha256": self.drawn or file_digest(self.directory / MODEL_FILE),
            "versions": library_versions("torch", "numpy"),
        }

    def _training_objects(self) -> dict[str, Any]:
        """The objects that it was trained on, in the words of the data set; nothing before `prepare`."""
        if self.space is None:
            return {}
        trained = self.config.space.object_values(split_run(self.config).train)
        known = (trained < np.array(self.space.sizes)).all(axis=1)
        words = [
            [concept.values[i] for concept, i in zip(self.space.concepts, row, strict=True)]
            for row in trained[known].tolist()
        ]
        return {"training_objects": {"concepts": list(self.space.names), "objects": words}}


def load(rest: str, name: str, settings: Settings) -> ControlledEncoder:
    """The encoder of a finished training run."""
    try:
        from bindscope.controlled.train import load_trained
    except ImportError as error:
        raise MissingExtraError("controlled: encoders", "torch", "text") from error
    if not rest:
        raise InputError("controlled: needs the directory of a training run, e.g. controlled:runs/tiny")
    directory = Path(rest)
    config, model = load_trained(directory)
    return ControlledEncoder(name, directory, config, model)
