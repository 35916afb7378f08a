"""Queries in files: arrays in the order of the values, arrays with words, or rows of a table with words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import ABSENT, IntArray
from bindscope.datasets.items import Items
from bindscope.datasets.spellings import normal_form, shown_word
from bindscope.encoders.arrays import array_words, matrix_with_directions, read_arrays
from bindscope.encoders.base import Vectors
from bindscope.encoders.parquet import PARQUET, ParquetFile
from bindscope.errors import InputError, StoreError, UnknownNameError, VectorsError
from bindscope.scenes import SceneTable

Arrays = Mapping[str, NDArray[Any]]
NAMES = "names"  # the array of words, or the ending of its name
SHOWN = 4  # words of an order that a note shows


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


def read_queries(path: Path, table: SceneTable, dim: int, array: str | None = None) -> tuple[StoredQueries, list[str]]:
    """The queries that a table needs from a file, and a note on their order.

    Raises VectorsError or StoreError where they are not all there, or cannot be told apart.
    """
    notes: list[str] = []
    if path.suffix.lower() in PARQUET:
        objects, values = _from_rows(path, table, array)
    elif path.suffix.lower() in (".npz", ".safetensors"):
        objects, values, notes = _from_arrays(path, table, read_arrays(path))
    else:
        raise StoreError(
            f"{path}: queries are read from .npz, .safetensors or .parquet, got {path.suffix or 'no extension'}"
        )
    for name, found in zip(("objects", *table.space.names), (objects, *values), strict=True):
        if found.shape[1] != dim:
            raise VectorsError(
                f"{path}: queries have {found.shape[1]} dimensions, the vectors {dim}; they must share a space"
            )
        if not found.any(axis=1).all():
            raise VectorsError(f"{path}, {name}: the queries are zeros, so they ask for nothing; make them anew")
        if len(found) > 1 and (found == found[0]).all():
            raise VectorsError(
                f"{path}, {name}: all {len(found)} queries are equal, so they ask for nothing; make them anew"
            )
    return StoredQueries(table, objects, tuple(values)), notes


def _from_arrays(path: Path, table: SceneTable, arrays: Arrays) -> tuple[Vectors, list[Vectors], list[str]]:
    if NAMES in arrays and "objects" not in arrays:
        return (*_from_names(path, table, arrays), [])
    needed = ["objects", *table.space.names]
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise StoreError(
            f"{path}: no array {missing[0]!r}; queries need {', '.join(needed)}, got {', '.join(sorted(arrays))}"
        )
    if NAMES in arrays:
        raise StoreError(
            f"{path}: names says the words of an array `vectors`; beside objects, {', '.join(table.space.names)} give "
            f"{', '.join(f'{name}_names' for name in needed[:2])}, ..."
        )
    objects = _selected(path, "objects", arrays, table.candidates, table.space.n_objects, _object_words(table))
    values = [
        _selected(path, concept.name, arrays, table.known_values(k), concept.size, list(concept.values))
        for k, concept in enumerate(table.space.concepts)
    ]
    unnamed = [name for name in needed if f"{name}_{NAMES}" not in arrays]
    return objects, values, [_order_note(path, table, unnamed)] if unnamed else []


def _order_note(path: Path, table: SceneTable, unnamed: Sequence[str]) -> str:
    """The order in which arrays of queries are read."""
    orders = {
        concept.name: [concept.values[i] for i in table.known_values(k)]
        for k, concept in enumerate(table.space.concepts)
    }
    orders["objects"] = [table.object_name(code) for code in range(min(table.n_objects, SHOWN + 1))]
    said = [
        f"{name} {', '.join(orders[name][:SHOWN])}{', ...' if len(orders[name]) > SHOWN else ''}" for name in unnamed
    ]
    return (
        f"{path}: the queries carry no words and are taken in the order of the values: {'; '.join(said)} (the last concept "
        "runs fastest)"
    )


def _object_words(table: SceneTable) -> list[str]:
    """All objects of the space in words, where they are few enough to be listed."""
    count = table.space.n_objects
    return [table.space.object_name(i) for i in range(count)] if count <= 2_000_000 else []


def _selected(path: Path, name: str, arrays: Arrays, wanted: IntArray, full: int, known: Sequence[str]) -> Vectors:
    """Rows of an array by their words where it has them; else it holds exactly the wanted ones or all of them."""
    vectors = matrix_with_directions(path, arrays[name], name)
    if f"{name}_{NAMES}" in arrays:
        words = _name_words(path, arrays, f"{name}_{NAMES}", len(vectors))
        place = _word_places(path, f"{name}_{NAMES}", words, known)
        lost = [known[i] for i in wanted.tolist() if i not in place]
        if lost:
            raise StoreError(f"{path}: no query for {lost[0]!r} in {name}; give all objects and all values")
        return vectors[[place[i] for i in wanted.tolist()]]
    if len(vectors) == len(wanted):
        return vectors
    if len(vectors) == full:
        return vectors[wanted]
    choice = f"{len(wanted)}" if len(wanted) == full else f"{len(wanted)} or {full}"
    raise VectorsError(f"{path}: {name} must have {choice} rows, got {len(vectors)}")


def _name_words(path: Path, arrays: Arrays, name: str, rows: int) -> list[str]:
    array = arrays[name]
    if array.dtype.kind == "O":
        raise StoreError(f"{path}: {name} was saved as Python objects; save it as text: np.array({name}, dtype=str)")
    cells = [array_words(line) for line in array] if array.ndim == 2 else [[word] for word in array_words(array)]
    if len(cells) != rows or array.dtype.kind not in "USiu":
        raise StoreError(f"{path}: {name} must be {rows} words, one a row, got {array.dtype} {list(array.shape)}")
    return [" ".join(word for word in line if word) for line in cells]


def _word_places(path: Path, label: str, words: Sequence[str], known: Sequence[str]) -> dict[int, int]:
    """Row of each known word that is there; a word that is not known is refused with the nearest."""
    index = {word: i for i, word in enumerate(known)}
    place: dict[int, int] = {}
    for row, word in enumerate(words):
        if word not in index:
            raise _unknown_word(f"{path}, {label}:", word, known)
        if index[word] in place:
            raise StoreError(
                f"{path}: rows {place[index[word]]} and {row} of {label} ask for the same; give each query once"
            )
        place[index[word]] = row
    return place


def _unknown_word(where: str, word: str, known: Sequence[str]) -> InputError:
    near = [value for value in known if normal_form(value) == normal_form(word)]
    if near:
        pair = [word, near[0]]
        return StoreError(f"{where} {shown_word(word, pair)} looks like {shown_word(near[0], pair)}; spell it alike")
    return UnknownNameError(f"value in {where}", word, known)


def _from_names(path: Path, table: SceneTable, arrays: Arrays) -> tuple[Vectors, list[Vectors]]:
    """Queries of an array `vectors` by their words in `names`: "red cube" for an object, "red" or "color=red" for a value."""
    others = [name for name, array in arrays.items() if name != NAMES and array.ndim == 2]
    if len(others) != 1:
        raise StoreError(f"{path}: names needs one array `vectors` beside it, got {', '.join(others) or 'none'}")
    vectors = matrix_with_directions(path, arrays[others[0]], others[0])
    words = _name_words(path, arrays, NAMES, len(vectors))
    keys = _query_keys(table)
    cells = []
    for word in words:
        if word not in keys:
            raise _unknown_word(f"{path}, names:", word, list(keys))
        if keys[word] is None:
            raise StoreError(f"{path}: names: {word!r} is a value of several concepts; write concept={word}")
        cells.append(keys[word])
    return _picked(path, table, vectors, np.array(cells, dtype=np.int64))


def _query_keys(table: SceneTable) -> dict[str, tuple[int, ...] | None]:
    """What a query may be called -> its value indices, -1 where a concept is not asked for; None where it is ambiguous."""
    names = table.space.names
    keys: dict[str, tuple[int, ...] | None] = {}
    for k, concept in enumerate(table.space.concepts):
        for i, value in enumerate(concept.values):
            cell = tuple(i if j == k else ABSENT for j in range(len(names)))
            keys[value] = None if value in keys else cell
            keys[f"{concept.name}={value}"] = cell
    for row in table.candidate_values.tolist():
        whole = [concept.values[i] for concept, i in zip(table.space.concepts, row, strict=True)]
        if len(names) > 1 and " ".join(whole) not in keys:
            keys[" ".join(whole)] = tuple(row)
        keys[",".join(f"{name}={word}" for name, word in zip(names, whole, strict=True))] = tuple(row)
    return keys


def _from_rows(path: Path, table: SceneTable, array: str | None) -> tuple[Vectors, list[Vectors]]:
    """Queries of a parquet file: words in columns object1_<concept>, empty where a concept is not asked for."""
    file = ParquetFile.open(path)
    vectors = matrix_with_directions(path, file.vectors(array if array in file.header else None))
    cells = np.stack([_column(file, table, k) for k in range(table.space.n_concepts)], axis=1)
    return _picked(path, table, vectors, cells)


def _picked(path: Path, table: SceneTable, vectors: Vectors, cells: IntArray) -> tuple[Vectors, list[Vectors]]:
    """Vectors of all objects and all values, by the words of their rows `[q, C]`."""
    place = _places(path, cells)
    objects = [_row(path, place, row, table) for row in table.candidate_values]
    values = [[_row(path, place, row, table) for row in _value_rows(table, k)] for k in range(cells.shape[1])]
    return vectors[objects], [vectors[rows] for rows in values]


def _column(file: ParquetFile, table: SceneTable, k: int) -> IntArray:
    concept = table.space.concepts[k]
    header = f"object1_{concept.name}"
    if header not in file.header:
        raise StoreError(
            f"{file.path}: no column {header}; queries need object1_<concept> for {', '.join(table.space.names)}"
        )
    words = file.words(header)
    known = {word: i for i, word in enumerate(concept.values)}
    for word in words:
        if word is not None and word not in known:
            raise _unknown_word(f"{file.path}, {header}:", word, concept.values)
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
