"""Vectors made elsewhere: `file:PATH` (npz, npy, safetensors, parquet), and queries and captions in files of their own.

Rows stand in the order of the label table, unless both tables share a column that names the rows (a file name, an id):
then rows are matched by it. Queries are arrays in the order of the sorted values, or carry their words.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import ABSENT, IntArray
from bindscope.datasets.headers import OBJECT
from bindscope.datasets.items import Dataset, Items
from bindscope.datasets.spellings import normal_form, shown_word
from bindscope.encoders.arrays import (
    PARQUET,
    ParquetFile,
    Stored,
    Words,
    array_words,
    matrix_with_directions,
    read_arrays,
    read_stored,
)
from bindscope.encoders.base import Encoder, Settings, Vectors
from bindscope.errors import InputError, StoreError, UnknownNameError, VectorsError
from bindscope.names import Option, read_options, split_options
from bindscope.scenes import SceneTable

OPTIONS = {"queries": Option(None), "captions": Option(None), "array": Option(None), "ids": Option(None)}
NO_IDS = "none"  # as ?ids=: rows are taken as they stand
FILE_NAMES = frozenset({"filename", "file", "image", "path", "imagepath", "imagefilename"})  # one meaning
SHOWN = 4


class FileEncoder(Encoder):
    """Looks rows up in arrays that were made elsewhere; `prepare` matches the rows and reads the queries of a data set.

    Captions come from a file with one vector a row: that row's caption.
    """

    modalities = frozenset({"text", "image", "labels"})
    cacheable = False
    precomputed = True

    def __init__(
        self,
        path: Path,
        queries: Path | None,
        name: str,
        captions: Path | None = None,
        array: str | None = None,
        ids: str | None = None,
    ) -> None:
        self.path, self.queries, self.name, self.ids = path, queries, name, ids
        self._array = array
        self._stored = read_stored(path, array)
        self._captions = None if captions is None else read_stored(captions)
        self.vectors = self._stored.vectors
        self.caption_vectors = None if self._captions is None else self._captions.vectors
        self.has_queries = queries is not None
        self.captions = "none" if captions is None else "rows"
        if self.caption_vectors is not None and self.caption_vectors.shape != self.vectors.shape:
            raise VectorsError(
                f"{captions} holds {list(self.caption_vectors.shape)} caption vectors and {path} "
                f"{list(self.vectors.shape)}; give one caption a row, of the same dimensions"
            )
        self._asked: StoredQueries | None = None

    def prepare(self, dataset: Dataset) -> Encoder:
        """The same encoder with the rows and queries of this data set, whose rows must be as many as the vectors."""
        rows, notes = row_order(self.path, self._stored, dataset, self.ids)
        self.vectors = self._stored.vectors[rows]
        if self._captions is not None:
            order, told = row_order(self.path, self._captions, dataset, self.ids)
            self.caption_vectors = self._captions.vectors[order]
            notes += [note for note in told if note not in notes]
        if self.queries is not None:
            self._asked, told = read_queries(self.queries, dataset.table, self.vectors.shape[1], self._array)
            notes += told
        self.notes = tuple(notes)
        return self

    def encode(self, items: Items) -> Vectors:
        """Rows of the file."""
        return self.vectors[items.rows]

    def encode_captions(self, items: Items) -> Vectors | None:
        """Rows of the caption file."""
        return None if self.caption_vectors is None else self.caption_vectors[items.rows]

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
    """The encoder of `file:PATH?queries=PATH&captions=PATH&array=NAME&ids=COLUMN`."""
    path, query = split_options(rest, is_path=True)
    if not path:
        raise InputError("file: needs a file of vectors, e.g. file:vectors.npy")
    options = read_options(query, OPTIONS, "file:")
    place = Path(path).expanduser()
    queries, captions = (Path(word).expanduser() if (word := options[key]) else None for key in ("queries", "captions"))
    return FileEncoder(place, queries, name, captions, options["array"], options["ids"])


def row_order(path: Path, stored: Stored, dataset: Dataset, ids: str | None) -> tuple[IntArray, list[str]]:
    """Which row of the file belongs to each row of the data set `[total]`, and what is to be told of it.

    ids: the column that names the rows; None takes one that both tables share, `none` takes rows as they stand. Raises
    VectorsError where numbers of rows or their names disagree.
    """
    total, given = dataset.total or 0, len(stored.vectors)
    notes: list[str] = []
    found = None if ids == NO_IDS else _named_order(path, stored, dataset, ids)
    if found is None:
        if total != given:
            raise VectorsError(
                f"{path} holds {given} vectors and {dataset.name} has {total} rows; give one vector a row, in the same order"
            )
        rows: IntArray = np.arange(given, dtype=np.int64)
    else:
        rows, column = found
        if given > total:
            notes.append(f"{path}: {total:,} of {given:,} rows are used, matched by the column {column}")
        elif not np.array_equal(rows, np.arange(given)):
            notes.append(f"{path}: its rows stand in another order and are matched by the column {column}")
    if ids != NO_IDS:
        _refuse_other_words(path, stored, dataset, rows)
    return rows, notes


def _named_order(path: Path, stored: Stored, dataset: Dataset, ids: str | None) -> tuple[IntArray, str] | None:
    """Rows by a column that both tables have and that is unique in the label table; None without one."""
    shared = _shared_columns(stored, dataset)
    if ids is not None and ids not in shared:
        raise UnknownNameError(f"column that {path} shares with the label table", ids, shared or [NO_IDS])
    orders: dict[str, IntArray] = {}
    failed: dict[str, str] = {}
    for name, other in shared.items() if ids is None else [(ids, shared[ids])]:
        wanted = dataset.row_names.words(name) if dataset.row_names else []
        if not _is_name(wanted) and ids is None:
            continue
        order, fault = _matched(wanted, stored.columns[other]())
        if order is None:
            failed[name] = fault
        else:
            orders[name] = order
    counted = [name for name in orders if _counts(dataset, name)]
    best = [name for name in orders if name not in counted] or counted
    if not best and failed:
        column, fault = next(iter(failed.items()))
        raise VectorsError(
            f"{path}: its column {shared[column]} disagrees with {column} of the label table: {fault}; give the same rows, "
            f"or take them as they stand with ?ids={NO_IDS}"
        )
    for name in best[1:]:
        if not np.array_equal(orders[name], orders[best[0]]):
            raise VectorsError(
                f"{path}: the columns {best[0]} and {name} put its rows in different orders; choose one with ?ids={best[0]}"
            )
    return (orders[best[0]], best[0]) if best else None


def _shared_columns(stored: Stored, dataset: Dataset) -> dict[str, str]:
    """Columns of the label table that describe no object -> the column of the vectors' file with that meaning."""
    if dataset.row_names is None:
        return {}
    known = {_meaning(name): name for name in reversed(list(stored.columns))}
    return {name: known[_meaning(name)] for name in dataset.row_names.header if _meaning(name) in known}


def _meaning(column: str) -> str:
    text = re.sub(r"[\W_]", "", normal_form(column))
    return "filename" if text in FILE_NAMES else text


def _is_name(words: Words) -> bool:
    """Whether a column can name rows: filled, every cell different, and no measured numbers."""
    measured = all(word is not None and re.fullmatch(r"[+-]?\d*\.\d+(e[+-]?\d+)?", word) for word in words)
    return bool(words) and None not in words and len(set(words)) == len(words) and not measured


def _counts(dataset: Dataset, name: str) -> bool:
    """Whether a column only counts the rows from 0 or 1 on, as an index does that was made anew after sorting."""
    words = dataset.row_names.words(name) if dataset.row_names else []
    return any(words == [str(i) for i in range(first, first + len(words))] for first in (0, 1))


def _matched(wanted: Words, given: Words) -> tuple[IntArray | None, str]:
    """Position of each wanted name among the given ones: exactly, else by its normal form, else without folders."""
    fault = ""
    for form in (str, normal_form, lambda word: normal_form(os.path.basename(word.replace("\\", "/")))):
        found = [None if word is None else form(word) for word in given]
        asked = [form(str(word)) for word in wanted]
        times = Counter(found)
        lost = next((word for word, key in zip(wanted, asked, strict=True) if key not in times), None)
        twice = next((word for word, key in zip(wanted, asked, strict=True) if times[key] > 1), None)
        if lost is None and twice is None and len(set(asked)) == len(asked):
            place = {key: row for row, key in enumerate(found)}
            return np.array([place[key] for key in asked], dtype=np.int64), ""
        fault = fault or (f"no row is called {lost!r}" if lost is not None else f"{twice!r} stands in several rows")
    return None, fault


def _refuse_other_words(path: Path, stored: Stored, dataset: Dataset, rows: IntArray) -> None:
    """Raise VectorsError where the file says of its rows that they show other objects."""
    table = dataset.table
    if dataset.total != len(table):
        return  # a sample, whose rows are not those of the file
    for name, read in stored.columns.items():
        match = OBJECT.fullmatch(name)
        if match is None or match[2] not in table.space.names or not 0 < int(match[1]) <= table.n_slots:
            continue
        k, slot = table.space.names.index(match[2]), int(match[1]) - 1
        values: list[str | None] = [*table.space.concepts[k].values, None]
        given = read()
        for row, (value, place) in enumerate(zip(table.values[:, slot, k].tolist(), rows.tolist(), strict=True)):
            ours, theirs = values[value], given[place]
            if ours != theirs and normal_form(ours or "") != normal_form(theirs or ""):
                raise VectorsError(
                    f"{path}: {name} of row {row} is {theirs or 'empty'!r} there and {ours or 'empty'!r} in {dataset.name}: the "
                    f"rows do not belong together; sort them alike, or take them as they stand with ?ids={NO_IDS}"
                )


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
    """The queries that a table needs from a file, and what is to be told of their order.

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


Arrays = Mapping[str, NDArray[Any]]
NAMES = "names"


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
