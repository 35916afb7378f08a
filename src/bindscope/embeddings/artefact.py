"""Embeddings, and the two files that keep them: embeddings.safetensors and scenes.parquet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import ConceptSpace
from bindscope.datasets.labels import read_labels, write_labels
from bindscope.embeddings.tensors import read_tensors, write_tensors
from bindscope.encoders.base import Vectors
from bindscope.errors import BindscopeError, StoreError, VectorsError
from bindscope.scenes import SceneTable

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
class Embeddings:
    """Vectors `[n, d]` float32 of the rows of a table, the model's own queries if it has any, and provenance."""

    vectors: Vectors
    table: SceneTable
    queries: Queries | None = None
    fidelity: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    dataset: str = ""
    modality: str = ""

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.table):
            raise VectorsError(
                f"expected one vector for each of the {len(self.table)} rows, got shape {list(self.vectors.shape)}"
            )


def save_embeddings(embeddings: Embeddings, directory: str | Path) -> None:
    """Write embeddings.safetensors and scenes.parquet; the same embeddings give the same bytes. Raises StoreError."""
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make the directory {folder}: {error.strerror or error}") from error
    write_labels(embeddings.table, folder / SCENES_FILE)
    record = {
        "schema": SCHEMA,
        "concepts": [[concept.name, list(concept.values)] for concept in embeddings.table.space.concepts],
        "fidelity": embeddings.fidelity,
        "model": embeddings.model,
        "dataset": embeddings.dataset,
        "modality": embeddings.modality,
    }
    write_tensors(folder / VECTORS_FILE, _tensors(embeddings), record)


def load_embeddings(directory: str | Path) -> Embeddings:
    """Read what `save_embeddings` wrote; raises StoreError where a file is missing, cut short or of another version."""
    folder = Path(directory)
    arrays, record = read_tensors(folder / VECTORS_FILE)
    if record.get("schema") != SCHEMA:
        raise StoreError(
            f"{folder / VECTORS_FILE} has schema {record.get('schema')}, this version reads {SCHEMA}; embed again"
        )
    space = ConceptSpace.of(record["concepts"])
    table = replace(_read_scenes(folder / SCENES_FILE, space), candidates=arrays["candidates"])
    if len(table) != len(arrays["vectors"]):
        raise StoreError(
            f"{folder}: {len(arrays['vectors'])} vectors but {len(table)} scenes; they are of two runs, embed again"
        )
    return Embeddings(
        arrays["vectors"],
        table,
        _queries(arrays, space),
        record["fidelity"],
        record["model"],
        record["dataset"],
        record["modality"],
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
    return tensors


def query_tensors(queries: Queries) -> dict[str, NDArray[Any]]:
    """Queries as named tensors."""
    return {
        "queries.objects": queries.objects,
        **{f"queries.values.{k}": array for k, array in enumerate(queries.values)},
    }


def _queries(arrays: Mapping[str, NDArray[np.float32]], space: ConceptSpace) -> Queries | None:
    if "queries.objects" not in arrays:
        return None
    return Queries(arrays["queries.objects"], tuple(arrays[f"queries.values.{k}"] for k in range(space.n_concepts)))
