"""Embeddings, and the two files that keep them: embeddings.safetensors and scenes.parquet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import ConceptSpace
from bindscope.controlled.config import CONFIG_FILE, read_config, symbolic_name
from bindscope.datasets.labels import read_labels, write_labels
from bindscope.encoders.base import Vectors, file_digest
from bindscope.errors import BindscopeError, StoreError, VectorsError
from bindscope.files import read_tensors, write_tensors
from bindscope.scenes import BoolArray, SceneTable

VECTORS_FILE, SCENES_FILE = "embeddings.safetensors", "scenes.parquet"
SCHEMA = 1


@dataclass(frozen=True, eq=False)
class Queries:
    """Query vectors: objects `[O, d]` in the order of the candidates, values one `[V_k, d]` a concept.

    The rows of a concept are in the order of `table.known_values(k)`.
    """

    objects: Vectors
    values: tuple[Vectors, ...]


@dataclass(frozen=True, eq=False)
class CaptionVectors:
    """The other side: captions `[T, S, d]` of S scenes in T wordings, by the encoder of the queries.

    scenes: one row for each of them; anchors `[S]`: True for scenes of the data set, False for value swaps that had to be
    added. orders, patterns: how each wording names the objects. queries: further wordings of the queries.
    """

    scenes: SceneTable
    vectors: Vectors
    anchors: BoolArray
    orders: tuple[str, ...]
    patterns: tuple[str, ...] = ()
    queries: tuple[Queries, ...] = ()

    def __post_init__(self) -> None:
        if self.vectors.ndim != 3 or self.vectors.shape[:2] != (len(self.orders), len(self.scenes)):
            raise VectorsError(
                f"expected caption vectors of shape [{len(self.orders)}, {len(self.scenes)}, d], got "
                f"{list(self.vectors.shape)}"
            )


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Vectors `[n, d]` float32 of the rows of a table, the model's own queries and captions if any, and provenance.

    controls: vectors `[n, d']` of the same rows by other means, which read-outs are held against; they are not kept in files.
    seen: what became of the input before the model saw it, as counts; see `bindscope.embeddings.seen`.
    """

    vectors: Vectors
    table: SceneTable
    queries: Queries | None = None
    fidelity: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    dataset: str = ""
    modality: str = ""
    captions: CaptionVectors | None = None
    controls: Mapping[str, Vectors] = field(default_factory=dict)
    seen: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.table):
            raise VectorsError(
                f"expected one vector for each of the {len(self.table)} rows, got shape {list(self.vectors.shape)}"
            )


def save_embeddings(embeddings: Embeddings, directory: str | Path) -> None:
    """Write embeddings.safetensors and scenes.parquet; the same embeddings give the same bytes. Raises StoreError.

    >>> import tempfile
    >>> from bindscope import embed, load_dataset, load_embeddings, load_encoder
    >>> made = embed(load_encoder("planted:bag?dim=16"), load_dataset("text:2x2"))
    >>> with tempfile.TemporaryDirectory() as place:
    ...     save_embeddings(made, place)
    ...     bool((load_embeddings(place).vectors == made.vectors).all())
    True
    """
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make the directory {folder}: {error.strerror or error}") from error
    write_labels(embeddings.table, folder / SCENES_FILE)
    record = {
        "schema": SCHEMA,
        "scenes_sha256": file_digest(folder / SCENES_FILE),
        "concepts": [[concept.name, list(concept.values)] for concept in embeddings.table.space.concepts],
        "fidelity": embeddings.fidelity,
        "model": embeddings.model,
        "dataset": embeddings.dataset,
        "modality": embeddings.modality,
        "seen": dict(embeddings.seen),
    }
    if embeddings.captions is not None:
        captions = embeddings.captions
        counts = {"orders": captions.orders, "patterns": captions.patterns, "queries": len(captions.queries)}
        record["captions"] = counts
    write_tensors(folder / VECTORS_FILE, _tensors(embeddings), record)


def _refuse_training_run(folder: Path) -> None:
    """A training run holds a model and no vectors: say which command makes them."""
    if (folder / CONFIG_FILE).is_file() and not (folder / VECTORS_FILE).exists():
        data = symbolic_name(read_config(folder))
        raise StoreError(
            f"{folder} is a training run and holds no vectors; make them with "
            f"`bindscope diagnose controlled:{folder} --data {data} --out DIR` and give DIR"
        )


def load_embeddings(directory: str | Path) -> Embeddings:
    """Read what `save_embeddings` wrote; raises StoreError where a file is missing, cut short or of another version.

    >>> import tempfile
    >>> from bindscope import embed, load_dataset, load_encoder, save_embeddings
    >>> with tempfile.TemporaryDirectory() as place:
    ...     save_embeddings(embed(load_encoder("planted:bag?dim=16"), load_dataset("text:2x2")), place)
    ...     len(load_embeddings(place).table)
    12
    """
    folder = Path(directory)
    _refuse_training_run(folder)
    arrays, record = read_tensors(folder / VECTORS_FILE)
    if record.get("schema") != SCHEMA:
        raise StoreError(
            f"{folder / VECTORS_FILE} has schema {record.get('schema')}, this version reads {SCHEMA}; embed again"
        )
    missing = {"concepts", "fidelity", "model", "dataset", "modality"} - set(record)
    if missing or "candidates" not in arrays:
        raise StoreError(f"{folder / VECTORS_FILE} has no {min(missing | {'candidates'})!r}; embed again")
    space = ConceptSpace.of(record["concepts"])
    table = replace(_read_scenes(folder / SCENES_FILE, space), candidates=arrays["candidates"])
    if len(table) != len(arrays["vectors"]):
        raise StoreError(
            f"{folder}: {len(arrays['vectors'])} vectors but {len(table)} scenes; they are of two runs, embed again"
        )
    if record.get("scenes_sha256") not in (None, file_digest(folder / SCENES_FILE)):
        raise StoreError(f"{folder / SCENES_FILE} was altered: its checksum does not fit; embed again")
    return Embeddings(
        arrays["vectors"],
        table,
        _queries(arrays, space),
        record["fidelity"],
        record["model"],
        record["dataset"],
        record["modality"],
        _captions(arrays, record.get("captions"), space),
        seen=record.get("seen", {}),
    )


def _read_scenes(path: Path, space: ConceptSpace) -> SceneTable:
    try:
        return read_labels(path, space)
    except StoreError:
        raise
    except BindscopeError as error:
        raise StoreError(f"{path} does not fit the vectors beside it ({error}); embed again") from error


def _tensors(embeddings: Embeddings) -> dict[str, NDArray[Any]]:
    tensors: dict[str, NDArray[Any]] = {"vectors": embeddings.vectors, "candidates": embeddings.table.candidates}
    if embeddings.queries is not None:
        tensors |= query_tensors(embeddings.queries)
    if embeddings.captions is not None:
        tensors |= _caption_tensors(embeddings.captions)
    return tensors


def query_tensors(queries: Queries, prefix: str = "queries") -> dict[str, NDArray[Any]]:
    """Queries as named tensors."""
    return {
        f"{prefix}.objects": queries.objects,
        **{f"{prefix}.values.{k}": array for k, array in enumerate(queries.values)},
    }


def read_query_tensors(arrays: Mapping[str, NDArray[Any]], n_concepts: int, prefix: str = "queries") -> Queries | None:
    """The queries among named tensors, or None."""
    if f"{prefix}.objects" not in arrays:
        return None
    return Queries(arrays[f"{prefix}.objects"], tuple(arrays[f"{prefix}.values.{k}"] for k in range(n_concepts)))


def _queries(arrays: Mapping[str, NDArray[np.float32]], space: ConceptSpace) -> Queries | None:
    return read_query_tensors(arrays, space.n_concepts)


def _caption_tensors(captions: CaptionVectors) -> dict[str, NDArray[Any]]:
    tensors: dict[str, NDArray[Any]] = {
        "captions.vectors": captions.vectors,
        "captions.values": captions.scenes.values,
        "captions.candidates": captions.scenes.candidates,
        "captions.anchors": captions.anchors.astype(np.uint8),
    }
    for number, queries in enumerate(captions.queries):
        tensors |= query_tensors(queries, f"captions.queries.{number}")
    return tensors


def _captions(
    arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any] | None, space: ConceptSpace
) -> CaptionVectors | None:
    """The captions of a file; None where it has none, as files of earlier versions."""
    if record is None or "captions.vectors" not in arrays:
        return None
    values = arrays["captions.values"]
    none = np.zeros(len(values), dtype=np.int64)
    scenes = SceneTable.build(space, values, replicate=none, candidates=arrays["captions.candidates"])
    found = (
        read_query_tensors(arrays, space.n_concepts, f"captions.queries.{number}")
        for number in range(record["queries"])
    )
    return CaptionVectors(
        scenes,
        arrays["captions.vectors"],
        arrays["captions.anchors"].astype(bool),
        tuple(record["orders"]),
        tuple(record["patterns"]),
        tuple(queries for queries in found if queries is not None),
    )
