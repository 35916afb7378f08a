"""`embedded:bag` and `embedded:bound`: weights, recipe and card ship beside this file."""

from __future__ import annotations

import copy
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.datasets.items import Items
from bindscope.encoders.base import Encoder, Settings, Vectors, checked_vectors, file_digest, library_versions
from bindscope.encoders.compute import redrawn
from bindscope.encoders.embedded.recipe import HELD_OUT, LENGTH, Recipe, pieces_of, tokens
from bindscope.encoders.pictures import READING, read_image
from bindscope.encoders.reading import TextReading
from bindscope.errors import InputError, MissingExtraError, StoreError, UnknownNameError
from bindscope.files import read_tensors

NAMES = {
    "bag": "a small image-text encoder that knows the concepts and does not bind them",
    "bound": "the same small encoder, trained so that it binds",
}
BATCH = 256


class EmbeddedEncoder(Encoder):
    """A small dual encoder. Pictures of any size are brought to the tower's; texts are read word by word."""

    modalities = frozenset({"image", "text"})

    def __init__(self, towers: Any, recipe: Recipe, name: str, weights: Path, settings: Settings) -> None:
        self.towers, self.recipe, self.name, self.settings = towers, recipe, name, settings
        self.digest = file_digest(weights)

    def encode(self, items: Items) -> Vectors:
        """Unit vectors `[n, d]` of pictures, or of captions where the data is text."""
        if items.images is None:
            return self._texts(items)
        import torch

        parts = []
        size = self.settings.batch_size or BATCH
        with torch.no_grad():
            for start in range(0, len(items.images), size):
                pixels = np.stack([read_picture(path, self.recipe.size) for path in items.images[start : start + size]])
                parts.append(self.towers.pictures(torch.from_numpy(pixels)).numpy())
        return checked_vectors(np.concatenate(parts), len(items), self.name)

    def encode_queries(self, items: Items) -> Vectors:
        """Unit vectors `[n, d]` of queries and captions."""
        return self._texts(items)

    def _texts(self, items: Items) -> Vectors:
        import torch

        if items.texts is None:
            raise InputError(f"{self.name} reads pictures and texts, and these items have none; choose other data")
        size = self.settings.batch_size or 4 * BATCH
        with torch.no_grad():
            parts = [
                self.towers.captions(torch.from_numpy(tokens(items.texts[start : start + size]))).numpy()
                for start in range(0, len(items.texts), size)
            ]
        return checked_vectors(np.concatenate(parts), len(items), self.name)

    def untrained(self, seed: int = 0) -> Encoder | None:
        """The same towers with weights drawn anew."""
        twin = copy.copy(self)
        twin.name, twin.digest = f"{self.name} (untrained)", f"drawn by seed {seed}"
        twin.towers = redrawn(self.towers, seed)
        return twin

    def fidelity(self) -> dict[str, Any]:
        """Recipe, weights, and which objects training showed."""
        from bindscope.encoders.embedded.batches import SPACE, training_objects

        values = SPACE.object_values(training_objects()).tolist()
        return {
            "encoder": self.name,
            "architecture": "bindscope embedded dual encoder",
            "recipe": self.recipe.to_json(),
            "weights_sha256": self.digest,
            "normalised": True,
            "reading": READING,
            "dtype": "torch.float32",
            "eval_mode": not self.towers.training,
            "training_objects": {
                "concepts": list(SPACE.names),
                "objects": [[c.values[i] for c, i in zip(SPACE.concepts, row, strict=True)] for row in values],
                "held_out": len(HELD_OUT),
            },
            "versions": library_versions("torch", "numpy"),
        }

    def text_reading(self, items: Items) -> TextReading | None:
        """What the text tower reads: it knows the words of its training."""
        if items.texts is None or (items.kind == "scene" and items.images is not None):
            return None
        rows = [pieces_of(text) for text in items.texts]
        keys = tuple(tuple(row[:LENGTH].tolist()) for row in tokens(items.texts))
        cut = tuple(len(known) > LENGTH for known, _ in rows)
        return TextReading(keys, cut, LENGTH, tuple(unknown for _, unknown in rows))


def read_picture(path: Path, size: int) -> NDArray[np.uint8]:
    """A picture as `[size, size, 3]`, by area means where it is larger."""
    whole = read_image(path)
    if whole.size != (size, size):
        from PIL.Image import Resampling

        whole = whole.resize((size, size), Resampling.BOX if min(whole.size) > size else Resampling.BILINEAR)
    return np.asarray(whole, dtype=np.uint8)


def load(rest: str, name: str, settings: Settings) -> EmbeddedEncoder:
    """The encoder of `embedded:bag`, `embedded:bound`, or of a directory that `bindscope train-clip` wrote."""
    if rest in NAMES:
        place = Path(str(resources.files("bindscope.encoders.embedded").joinpath(f"{rest}")))
    else:
        place = Path(rest)
        if not rest or not (place / "recipe.json").is_file():
            raise UnknownNameError("embedded encoder", rest, NAMES)
    return load_directory(place, name, settings)


def load_directory(place: Path, name: str, settings: Settings) -> EmbeddedEncoder:
    """The encoder in a directory with weights.safetensors and recipe.json."""
    try:
        import torch
    except ImportError:
        raise MissingExtraError(name, "torch", "vision") from None
    from bindscope.encoders.embedded.towers import Towers

    try:
        recipe = Recipe.from_json(json.loads((place / "recipe.json").read_text(encoding="utf-8")))
        weights, _ = read_tensors(place / "weights.safetensors", "pt", unsigned=True)
        towers = Towers(recipe)
        towers.load_state_dict(weights)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, StoreError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise StoreError(f"cannot load {name} from {place}: {reason}; reinstall bindscope or train it again") from error
    device = settings.device or "cpu"
    if device != "cpu":
        raise InputError(f"{name} is small and runs on the CPU only; leave --device out (got {device})")
    del torch
    return EmbeddedEncoder(towers.eval(), recipe, name, place / "weights.safetensors", settings)
