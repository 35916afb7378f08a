"""Stored query vectors: what a file must hold so that a data set's objects and values can be asked for.

npz, safetensors: `objects` `[O, d]` (the candidates in id order, or all objects of the space) and one array a concept,
by its name, `[V_k, d]` (its values in order, or those that candidates have). parquet: columns object1_{concept} with
words, null where not specified, and vectors as in a file of vectors; a row with all concepts asks for an object, one with
a single concept for a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import ABSENT, IntArray
from bindscope.datasets.items import Items
from bindscope.encoders.arrays import finite_matrix, parquet_vectors, read_arrays, read_parquet
from bindscope.encoders.base import Vectors
from bindscope.errors import StoreError, UnknownNameError, VectorsError
from bindscope.scenes import SceneTable


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
