"""Label tables: scenes as rows of words, in CSV or parquet.

Columns `object{i}_{concept}` (i from 1) hold value words; an object is missing where all its cells are empty or null.
`visible{i}` (share in 0..1) and `replicate` (whole number) are read too, columns that end in `_idx` and all others are
left alone. Blanks around a word are stripped. Values of a concept are ordered by their words, concepts by the columns
of the first object. Rows are counted from 1 below the header.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bindscope.concepts import ABSENT, ConceptSpace, IntArray
from bindscope.datasets.columns import Columns, read_columns, write_columns
from bindscope.datasets.items import Dataset, Items, query_items
from bindscope.errors import InputError, TableError, UnknownNameError
from bindscope.names import read_options, split_options
from bindscope.scenes import FloatArray, SceneTable

_OBJECT = re.compile(r"object(\d+)_(.+)", re.DOTALL)
_VISIBLE = re.compile(r"visible(\d+)")


def read_labels(path: str | Path, space: ConceptSpace | None = None) -> SceneTable:
    """The scene table of a CSV or parquet file.

    space: the concepts and the order of their values, where known (else the sorted words of the file). Raises
    TableError for a table that breaks the rules and StoreError for a file that cannot be read.
    """
    return labelled_scenes(read_columns(Path(path), wanted), space)


def labelled_scenes(columns: Columns, space: ConceptSpace | None = None) -> SceneTable:
    """The same from columns that are read already; those without meaning here are left alone."""
    slots = _slots(columns)
    concepts = _concepts(columns, slots)
    words = {(slot, name): columns.words(f"object{slot}_{name}") for slot in slots for name in concepts}
    found = _found_space(columns, concepts, slots, words) if space is None else _checked_space(columns, space, concepts)
    values = np.stack([_slot_values(columns, found, slot, words) for slot in slots], axis=1)
    _refuse_partial(columns, found, values)
    return SceneTable.build(
        found, values, replicate=_replicate(columns), visible=_visible(columns, slots, values[:, :, 0] != ABSENT)
    )


def write_labels(table: SceneTable, path: str | Path) -> None:
    """Write a table that `read_labels` reads back: words, `visible{i}` where known, and `replicate`.

    What a label table cannot hold is lost: values and candidates that no row shows, and an order of values that is not
    that of the words.
    """
    write_columns(label_columns(table), Path(path))


def label_columns(table: SceneTable) -> dict[str, list[str | None] | FloatArray | IntArray]:
    """A table as columns of words and numbers."""
    columns: dict[str, list[str | None] | FloatArray | IntArray] = {}
    for slot in range(table.n_slots):
        for k, concept in enumerate(table.space.concepts):
            lookup: list[str | None] = [*concept.values, None]  # -1, absent, picks the last one
            cells = table.values[:, slot, k].tolist()
            columns[f"object{slot + 1}_{concept.name}"] = [lookup[i] for i in cells]
    if table.visible is not None:
        columns |= {f"visible{slot + 1}": table.visible[:, slot] for slot in range(table.n_slots)}
    columns["replicate"] = table.replicate
    refuse_unwritable(table.space)
    return columns


def load_labels(rest: str, name: str) -> Dataset:
    """The data set `labels:FILE`: scenes alone, for vectors that were made elsewhere."""
    path, query = split_options(rest)
    read_options(query, {}, "labels:")
    if not path:
        raise InputError("labels: needs a label table, e.g. labels:labels.csv")
    table = read_labels(path)
    objects, values = query_items(table)
    return Dataset(name, "labels", table, Items(table.values, np.arange(len(table)), "scene"), objects, values)


def wanted(header: str) -> bool:
    """Whether a column says something about scenes."""
    if header.endswith("_idx"):
        return False
    return header == "replicate" or bool(_OBJECT.fullmatch(header) or _VISIBLE.fullmatch(header))


def _slots(columns: Columns) -> list[int]:
    numbers = [(match[1], header) for header in columns.names if (match := _OBJECT.fullmatch(header))]
    if not numbers:
        shown = ", ".join(columns.header[:6]) or "none"
        raise TableError(f"{columns.path}: no columns object1_<concept>, object2_<concept>, ...; its columns: {shown}")
    for number, header in numbers:
        if number.startswith("0"):
            raise TableError(f"{columns.path}: column {header}: objects count from 1, without leading zeros")
    slots = sorted({int(number) for number, _ in numbers})
    for number, slot in enumerate(slots, 1):
        if slot != number:
            raise TableError(
                f"{columns.path}: columns of object {slot} but none of object {number}; number them 1, 2, ..."
            )
    return slots


def _concepts(columns: Columns, slots: Sequence[int]) -> list[str]:
    found: dict[int, list[str]] = {slot: [] for slot in slots}
    for header in columns.names:
        if match := _OBJECT.fullmatch(header):
            found[int(match[1])].append(match[2])
    every = list(dict.fromkeys(name for slot in slots for name in found[slot]))
    for slot in slots:
        for name in every:
            if name not in found[slot]:
                raise TableError(
                    f"{columns.path}: column object{slot}_{name} is missing; all objects need the same concepts "
                    f"({', '.join(every)})"
                )
    return found[1]


def _found_space(
    columns: Columns,
    concepts: Sequence[str],
    slots: Sequence[int],
    words: Mapping[tuple[int, str], Sequence[str | None]],
) -> ConceptSpace:
    values = [sorted({word for slot in slots for word in set(words[slot, name]) if word}) for name in concepts]
    for name, found in zip(concepts, values, strict=True):
        if not found:
            raise TableError(f"{columns.path}: concept {name} has no value in any row; fill its columns or drop them")
    return ConceptSpace.of(zip(concepts, values, strict=True))


def _checked_space(columns: Columns, space: ConceptSpace, concepts: Sequence[str]) -> ConceptSpace:
    if sorted(space.names) != sorted(concepts):
        raise TableError(
            f"{columns.path}: expected the concepts {', '.join(space.names)}, got {', '.join(concepts)}; "
            "the file belongs to another data set"
        )
    return space


def _slot_values(
    columns: Columns, space: ConceptSpace, slot: int, words: Mapping[tuple[int, str], Sequence[str | None]]
) -> IntArray:
    """Value indices `[n, C]` of one object; -1 where a cell is empty."""
    return np.stack(
        [_indices(columns, f"object{slot}_{c.name}", c.values, words[slot, c.name]) for c in space.concepts], axis=1
    )


def _indices(columns: Columns, header: str, values: Sequence[str], words: Sequence[str | None]) -> IntArray:
    position: dict[str | None, int] = {word: i for i, word in enumerate(values)}
    position[None] = ABSENT
    unknown = set(words) - set(position)
    if unknown:
        word = min(str(word) for word in unknown)
        row = words.index(word)
        raise UnknownNameError(f"value in {columns.path}, {columns.place(row)}, {header}:", word, values)
    return np.fromiter(map(position.__getitem__, words), dtype=np.int64, count=len(words))


def _refuse_partial(columns: Columns, space: ConceptSpace, values: IntArray) -> None:
    empty = values == ABSENT
    partly = empty.any(axis=2) & ~empty.all(axis=2)
    if partly.any():
        row, slot = (int(i) for i in np.argwhere(partly)[0])
        k, other = int(np.argmax(empty[row, slot])), int(np.argmin(empty[row, slot]))
        raise TableError(
            f"{columns.path}: {columns.place(row)}: object{slot + 1}_{space.names[k]} is empty while "
            f"object{slot + 1}_{space.names[other]} is not; fill all concepts of an object, or none where it is missing"
        )
    bare = empty.all(axis=(1, 2))
    if bare.any():
        row = int(np.argmax(bare))
        raise TableError(f"{columns.path}: {columns.place(row)} shows no object; every scene needs at least one")


def _replicate(columns: Columns) -> IntArray | None:
    if "replicate" not in columns.names:
        return None
    return columns.numbers("replicate", "a whole number of at least 0", lambda x: x >= 0 and x == int(x)).astype(
        np.int64
    )


def _visible(
    columns: Columns, slots: Sequence[int], present: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
) -> FloatArray | None:
    given = [f"visible{slot}" in columns.names for slot in slots]
    if not any(given):
        return None
    shares = np.full(present.shape, np.nan)
    for slot, there in zip(slots, given, strict=True):
        if there:
            shares[:, slot - 1] = columns.numbers(
                f"visible{slot}", "a share in 0..1", lambda x: 0.0 <= x <= 1.0, empty=True
            )
    return shares


def refuse_unwritable(space: ConceptSpace) -> None:
    """Raise TableError where a label table could not give back these names and words."""
    for concept in space.concepts:
        if concept.name != concept.name.strip():
            raise TableError(f"concept {concept.name!r} has blanks around its name, which are not read back; drop them")
        if concept.name.endswith("_idx"):
            raise TableError(
                f"concept {concept.name!r} cannot be written: columns that end in _idx are not read back; rename it"
            )
        for value in concept.values:
            if value != value.strip():
                raise TableError(
                    f"{concept.name}: value {value!r} has blanks around it, which are not read back; drop them"
                )
