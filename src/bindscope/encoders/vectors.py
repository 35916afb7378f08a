"""Vectors made elsewhere: `file:PATH` (npz, npy, safetensors, parquet), rows in the order of the label table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import ABSENT, IntArray
from bindscope.datasets.items import Dataset, Items
from bindscope.encoders.arrays import finite_matrix, parquet_vectors, read_arrays, read_parquet, read_vectors
from bindscope.encoders.base import Encoder, Settings, Vectors
from bindscope.errors import InputError, StoreError, UnknownNameError, VectorsError
from bindscope.names import Option, read_options, split_options
from bindscope.scenes import SceneTable


class FileEncoder(Encoder):
    """Looks rows up in arrays that were made elsewhere; `prepare` reads the queries that a data set needs.

    Captions come from a file with one vector a row: that row's caption.
    """

    modalities = frozenset({"text", "image", "labels"})
    cacheable = False

    def __init__(self, path: Path, queries: Path | None, name: str, captions: Path | None = None) -> None:
        self.path, self.queries, self.name = path, queries, name
        self.vectors = read_vectors(path)
        self.has_queries = queries is not None
        self.told = read_vectors(captions) if captions is not None else None
        self.captions = "none" if captions is None else "rows"
        if self.told is not None and self.told.shape != self.vectors.shape:
            raise VectorsError(
                f"{captions} holds {list(self.told.shape)} caption vectors and {path} {list(self.vectors.shape)}; give one "
                "caption a row, of the same dimensions"
            )
        self._asked: StoredQueries | None = None

    def prepare(self, dataset: Dataset) -> Encoder:
        """The same encoder with the queries of this data set, whose rows must be as many as the vectors."""
        if dataset.total != len(self.vectors):
            raise VectorsError(
                f"{self.path} holds {len(self.vectors)} vectors and {dataset.name} has {dataset.total} rows; "
                "give one vector a row, in the same order"
            )
        if self.queries is not None:
            self._asked = read_queries(self.queries, dataset.table, self.vectors.shape[1])
        return self

    def encode(self, items: Items) -> Vectors:
        """Rows of the file."""
        return self.vectors[items.rows]

    def encode_captions(self, items: Items) -> Vectors | None:
        """Rows of the caption file."""
        return None if self.told is None else self.told[items.rows]

    def encode_queries(self, items: Items) -> Vectors | None:
        """Rows of the query file."""
        return None if self._asked is None else self._asked.pick(items)

    def fidelity(self) -> dict[str, Any]:
        """Hashes of vectors and queries; nothing else is known of precomputed ones."""
        found = {
            "encoder": self.name,
            "architecture": "precomputed vectors",
            "dtype": str(self.vectors.dtype),
            "vectors_sha256": hashlib.sha256(self.vectors.tobytes()).hexdigest(),
        }
        if self._asked is not None:
            digest = hashlib.sha256()
            for array in (self._asked.objects, *self._asked.values):
                digest.update(np.ascontiguousarray(array).tobytes())
            found["queries_sha256"] = digest.hexdigest()
        return found


def load(rest: str, name: str, settings: Settings) -> Encoder:
    """The encoder of `file:PATH?queries=PATH&captions=PATH`."""
    path, query = split_options(rest)
    if not path:
        raise InputError("file: needs a file of vectors, e.g. file:vectors.npy")
    options = read_options(query, {"queries": Option(None), "captions": Option(None)}, "file:")
    queries, captions = (Path(word) if (word := options[key]) else None for key in ("queries", "captions"))
    return FileEncoder(Path(path), queries, name, captions)


@dataclass(frozen=True, eq=False)
class StoredQueries:
    """Query vectors: objects `[O, d]` by candidate, values one `[V_k, d]` a concept by known value."""

    table: SceneTable
    objects: Vectors
    values: tuple[Vectors, ...]

    def pick(self, items: Items) -> Vectors:
        """The vectors `[n, d]` of object or value items."""
        asked = items.values[:, 0]
        if items.kind == "object":
            return self.objects[np.searchsorted(self.table.candidates, self.table.space.object_ids(asked))]
        k = int(np.argmax((asked != ABSENT).any(axis=0)))
        return self.values[k][np.searchsorted(self.table.known_values(k), asked[:, k])]


def read_queries(path: Path, table: SceneTable, dim: int) -> StoredQueries:
    """The queries that a table needs from a file; raises VectorsError or StoreError where they are not all there."""
    if path.suffix.lower() in (".parquet", ".pq"):
        objects, values = _from_rows(path, table)
    elif path.suffix.lower() in (".npz", ".safetensors"):
        objects, values = _from_arrays(path, table, read_arrays(path))
    else:
        raise StoreError(
            f"{path}: queries are read from .npz, .safetensors or .parquet, got {path.suffix or 'no extension'}"
        )
    for array in (objects, *values):
        if array.shape[1] != dim:
            raise VectorsError(
                f"{path}: queries have {array.shape[1]} dimensions, the vectors {dim}; they must share a space"
            )
    return StoredQueries(table, objects, tuple(values))


def _from_arrays(path: Path, table: SceneTable, arrays: Mapping[str, NDArray[Any]]) -> tuple[Vectors, list[Vectors]]:
    needed = ["objects", *table.space.names]
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise StoreError(
            f"{path}: no array {missing[0]!r}; queries need {', '.join(needed)}, got {', '.join(sorted(arrays))}"
        )
    objects = _selected(path, "objects", arrays["objects"], table.candidates, table.space.n_objects)
    values = [
        _selected(path, concept.name, arrays[concept.name], table.known_values(k), concept.size)
        for k, concept in enumerate(table.space.concepts)
    ]
    return objects, values


def _selected(path: Path, name: str, array: NDArray[Any], wanted: IntArray, full: int) -> Vectors:
    """Rows of an array that holds either exactly the wanted ones or all of them."""
    vectors = finite_matrix(path, array, name)
    if len(vectors) == len(wanted):
        return vectors
    if len(vectors) == full:
        return vectors[wanted]
    choice = f"{len(wanted)}" if len(wanted) == full else f"{len(wanted)} or {full}"
    raise VectorsError(f"{path}: {name} must have {choice} rows, got {len(vectors)}")


def _from_rows(path: Path, table: SceneTable) -> tuple[Vectors, list[Vectors]]:
    arrow = read_parquet(path)
    vectors = finite_matrix(path, parquet_vectors(path, arrow))
    cells = np.stack([_column(path, arrow, table, k) for k in range(table.space.n_concepts)], axis=1)
    place = _places(path, cells)
    objects = [_row(path, place, row, table) for row in table.candidate_values]
    values = [[_row(path, place, row, table) for row in _value_rows(table, k)] for k in range(cells.shape[1])]
    return vectors[objects], [vectors[rows] for rows in values]


def _column(path: Path, arrow: Any, table: SceneTable, k: int) -> IntArray:
    concept = table.space.concepts[k]
    header = f"object1_{concept.name}"
    if header not in arrow.column_names:
        raise StoreError(
            f"{path}: no column {header}; queries need object1_<concept> for {', '.join(table.space.names)}"
        )
    words = [None if word is None else str(word).strip() or None for word in arrow.column(header).to_pylist()]
    known = {word: i for i, word in enumerate(concept.values)}
    for word in words:
        if word is not None and word not in known:
            raise UnknownNameError(f"value in {path}, {header}:", word, concept.values)
    return np.array([ABSENT if word is None else known[word] for word in words], dtype=np.int64)


def _places(path: Path, cells: IntArray) -> dict[tuple[int, ...], int]:
    place: dict[tuple[int, ...], int] = {}
    for row, key in enumerate(map(tuple, cells.tolist())):
        if key in place:
            raise StoreError(f"{path}: rows {place[key]} and {row} ask for the same; give each query once")
        place[key] = row
    return place


def _row(path: Path, place: Mapping[tuple[int, ...], int], row: IntArray, table: SceneTable) -> int:
    key = tuple(row.tolist())
    if key not in place:
        words = [c.values[i] for c, i in zip(table.space.concepts, key, strict=True) if i != ABSENT]
        raise StoreError(f"{path}: no query for {' '.join(words)!r}; give all objects and all values")
    return place[key]


def _value_rows(table: SceneTable, k: int) -> Iterator[IntArray]:
    for value in table.known_values(k):
        row = np.full(table.space.n_concepts, ABSENT, dtype=np.int64)
        row[k] = value
        yield row
