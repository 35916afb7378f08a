"""Items, which an encoder gets, and Dataset, which pairs them with the scenes that they show."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bindscope.concepts import ABSENT, IntArray
from bindscope.datasets.captions import said_place
from bindscope.datasets.columns import read_columns
from bindscope.errors import StoreError
from bindscope.scenes import SceneTable


@dataclass(frozen=True, eq=False)
class Items:
    """What an encoder gets: texts or images, and the scene rows that they show.

    values `[n, m, C]`: value indices, -1 where absent or not specified. rows `[n]`: global row numbers, stable under
    batching and sampling (noise is keyed by them). kind: "scene", "object", "value" or "caption" (a scene seen from
    the other side; row -1: the data set does not show it).
    """

    values: IntArray
    rows: IntArray
    kind: str
    texts: tuple[str, ...] | None = None
    images: tuple[Path, ...] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, index: ArrayLike | slice) -> Items:
        """The items at some positions (indices, a mask or a slice)."""
        where = index if isinstance(index, slice) else _positions(index)
        positions = np.arange(len(self))[where]
        return replace(
            self,
            values=self.values[where],
            rows=self.rows[where],
            texts=_pick(self.texts, where, positions),
            images=_pick(self.images, where, positions),
        )


@dataclass(frozen=True, eq=False)
class RowNames:
    """Columns of a label table that describe no object, such as file names and ids: other files name their rows by them.

    path: the table. header: names of the columns. rows: the rows of the file that the data set shows, `[total]`.
    """

    path: Path
    header: tuple[str, ...]
    rows: IntArray

    def words(self, name: str) -> list[str | None]:
        """Cells of a column, one for each row of the data set."""
        cells = read_columns(self.path, lambda header: header == name).words(name)
        return [cells[row] for row in self.rows.tolist()]


@dataclass(frozen=True)
class Wording:
    """How a data set would be said in other words: what the captions of the second side are made of.

    patterns: sentences with `{object}` once for each slot (for other numbers of objects the built-in ones). phrase: an
    object in words, with `{concept}` in braces; empty: its values joined by blanks. query_leads: what may stand before a
    query, one a further wording of it.
    """

    patterns: tuple[str, ...] = ("a photo of a {object} and a {object}", "there is a {object} and a {object}")
    phrase: str = ""
    article: bool = False
    query_leads: tuple[str, ...] = ("a photo of ", "there is ")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Scenes with what shows them, and the queries that ask for objects and values.

    modality: "text", "image" or "labels". items: one a table row. object_queries: one a candidate of the table, in that
    order, values `[O, 1, C]`. value_queries: for concept k one per `table.known_values(k)`, other concepts -1. digest:
    sha256 over everything that determines items and table. total: rows before any `take` (None: as many as now). slots:
    names of the places where objects stand, such as left and right; none where they are only counted.
    wording: how its scenes can be said otherwise (None: by default). notes: what a reader must know of how it was read.
    row_names: the label table's own names of its rows.
    """

    name: str
    modality: str
    table: SceneTable
    items: Items
    object_queries: Items
    value_queries: tuple[Items, ...]
    options: dict[str, Any] = field(default_factory=dict)
    digest: str = ""
    total: int | None = None
    slots: tuple[str, ...] = ()
    wording: Wording | None = None
    notes: tuple[str, ...] = ()
    row_names: RowNames | None = None

    def __post_init__(self) -> None:
        if not self.digest:
            object.__setattr__(self, "digest", _content_digest(self))
        if self.total is None:
            object.__setattr__(self, "total", len(self.items))

    def __len__(self) -> int:
        return len(self.items)

    def describe(self, row: int) -> str:
        """A row in words: its caption, else its objects with the names of their places where those are known."""
        if self.items.texts is not None:
            return self.items.texts[row]
        ids = self.table.object_ids[row].tolist()
        names = [(self.table.space.object_name(i), slot) for slot, i in enumerate(ids) if i != ABSENT]
        if not self.slots or len(names) == 1:
            return " + ".join(name for name, _ in names)
        return ", ".join(f"{name} {said_place(self.slots[slot])}" for name, slot in names)

    def take(self, rows: ArrayLike) -> Dataset:
        """A sample of the rows (indices or mask); candidates and queries stay."""
        where = _positions(rows)
        positions = np.arange(len(self))[where]
        mixed = hashlib.sha256(self.digest.encode() + positions.astype("<i8").tobytes()).hexdigest()
        return replace(self, table=self.table.take(where), items=self.items.take(where), digest=mixed)


def other_counts_note(table: SceneTable) -> tuple[str, ...]:
    """A sentence on rows that the main analysis leaves out, as they show another number of objects; none without any.

    >>> from bindscope.concepts import ConceptSpace
    >>> space = ConceptSpace.of([("color", ["red", "blue"])])
    >>> other_counts_note(SceneTable.build(space, [[[0], [1]], [[1], [0]], [[0], [-1]]]))
    ('of 3 scenes 1 shows 1 object; the main analysis takes the 2 of 2 objects',)
    """
    main = table.headline_count
    counts, rows = np.unique(table.counts, return_counts=True)
    if len(counts) < 2:
        return ()
    others = [
        f"{n:,} show{'s' * (n == 1)} {_objects(c)}"
        for c, n in zip(counts.tolist(), rows.tolist(), strict=True)
        if c != main
    ]
    kept = int(rows[counts == main][0])
    return (f"of {len(table):,} scenes {', '.join(others)}; the main analysis takes the {kept:,} of {_objects(main)}",)


def _objects(count: int) -> str:
    return f"{count} object" + "s" * (count != 1)


def query_items(table: SceneTable) -> tuple[Items, tuple[Items, ...]]:
    """Object queries and value queries of a table, without texts.

    rows: object ids for objects, value indices for values.
    """
    objects = Items(table.candidate_values[:, None, :], table.candidates, "object")
    values = []
    for k in range(table.space.n_concepts):
        known = table.known_values(k)
        cells = np.full((len(known), 1, table.space.n_concepts), ABSENT, dtype=np.int64)
        cells[:, 0, k] = known
        values.append(Items(cells, known, "value"))
    return objects, tuple(values)


def _positions(rows: ArrayLike) -> Any:
    """Indices or a mask as an array; an empty list is no mask of floats."""
    return np.asarray(rows) if np.size(rows) else np.zeros(0, dtype=np.int64)


def _pick(sequence: tuple[Any, ...] | None, where: Any, positions: IntArray) -> tuple[Any, ...] | None:
    if sequence is None:
        return None
    if isinstance(where, slice):
        return sequence[where]
    return tuple(map(sequence.__getitem__, positions.tolist()))


def _content_digest(dataset: Dataset) -> str:
    digest = hashlib.sha256()
    for part in _parts(dataset):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _parts(dataset: Dataset) -> Iterator[bytes]:
    table = dataset.table
    space = [[concept.name, concept.values] for concept in table.space.concepts]
    yield json.dumps([dataset.modality, space], ensure_ascii=False).encode()
    for array in (table.values, table.replicate, table.candidates):
        yield json.dumps(array.shape).encode()
        yield np.ascontiguousarray(array, dtype="<i8").tobytes()
    yield b"" if table.visible is None else np.ascontiguousarray(table.visible, dtype="<f8").tobytes()
    for items in (dataset.items, dataset.object_queries, *dataset.value_queries):
        yield items.kind.encode()
        yield np.ascontiguousarray(items.rows, dtype="<i8").tobytes()
        yield _joined(items.texts)
        yield b"".join(_file_digests(items.images or ()))


def _joined(texts: Sequence[str] | None) -> bytes:
    return b"-" if texts is None else json.dumps(texts, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _file_digests(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        try:
            yield hashlib.sha256(path.read_bytes()).digest()
        except OSError as error:
            raise StoreError(f"cannot read image {path}: {error.strerror or error}") from error
