"""Label tables: scenes as rows of words.

Columns `object{i}_{concept}` (i from 1) hold value words; an object is missing where all its cells are empty or null.
`visible{i}` (share in 0..1) and `replicate` (whole number) are read too, columns that end in `_idx` and all others are
left alone. Blanks around a word are stripped. Values of a concept are ordered by their words, concepts by the columns
of the first object. Rows are counted from 1 below the header. The layout of PUG:SPARE (module `pug`) is read as well.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.concepts import ABSENT, ConceptSpace, IntArray
from bindscope.datasets import pug
from bindscope.datasets.columns import Columns, read_columns, write_columns
from bindscope.datasets.headers import IGNORED, refuse_reserved, slots_and_concepts, wanted
from bindscope.datasets.items import Dataset, Items, RowNames, query_items
from bindscope.datasets.missing import Words, filler_note, without_missing
from bindscope.datasets.spellings import alike_note, normal_form, rare_note, shown_word
from bindscope.errors import BindscopeWarning, InputError, TableError, UnknownNameError
from bindscope.names import Option, read_options, split_options
from bindscope.scenes import BoolArray, FloatArray, SceneTable

OPTIONS = {"keep_spellings": Option(False, bool), "missing": Option(None), "world": Option(None)}


@dataclass(frozen=True)
class Reading:
    """How words are to be read.

    keep_spellings: values that look alike are different values. missing: words that stand for no object where all
    concepts of an object have them. world: rows of one world, in the layout of PUG:SPARE.
    """

    keep_spellings: bool = False
    missing: tuple[str, ...] = ()
    world: str | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Reading:
        """From the options behind a name."""
        words = tuple(word.strip() for word in (options["missing"] or "").split(",") if word.strip())
        return cls(options["keep_spellings"], words, options["world"])


@dataclass(frozen=True, eq=False)
class Labelled:
    """A label table that was read: its scenes, the names of the places where they are known, and notes for the reader.

    columns, rows: the columns and the rows of the file that the scenes are made of.
    """

    table: SceneTable
    slots: tuple[str, ...]
    columns: Columns
    rows: IntArray
    notes: tuple[str, ...]


def read_labels(
    path: str | Path, space: ConceptSpace | None = None, *, keep_spellings: bool = False, missing: Sequence[str] = ()
) -> SceneTable:
    r"""The scene table of a file (CSV, TSV or JSON lines, each also gzipped; parquet; the scenes of CLEVR).

    space: the concepts and the order of their values, where known (else the sorted words of the file). keep_spellings:
    values that look alike ("red", "Red") are different ones, else they are refused. missing: words that stand for no
    object where all concepts of an object have them. Warns of words that look like a missing object. Raises TableError
    for a table that breaks the rules and StoreError for a file that cannot be read.

    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "scenes.csv"
    >>> _ = file.write_text("object1_color,object2_color\nred,blue\nblue,red\n")
    >>> read_labels(file).describe(0)
    'red + blue'
    """
    found = labelled_scenes(read_columns(Path(path), label_column), space, Reading(keep_spellings, tuple(missing)))
    for note in found.notes:
        warnings.warn(note, BindscopeWarning, stacklevel=2)
    return found.table


def label_column(header: str) -> bool:
    """Whether a column is one of a label table, in our own layout or in that of PUG:SPARE."""
    return wanted(header) or header in pug.COLUMNS


def labelled_scenes(columns: Columns, space: ConceptSpace | None = None, reading: Reading | None = None) -> Labelled:
    """The scenes of columns that are read already; those without meaning here are left alone."""
    reading = reading or Reading()
    rows = np.arange(len(next(iter(columns.cells.values()), ())), dtype=np.int64)
    slots: tuple[str, ...] = ()
    notes: list[str] = []
    if pug.fits(columns.header):
        made = pug.objects(columns, reading.world)
        columns, slots, rows = made.columns, made.slots, made.rows
        notes += made.notes
    elif reading.world is not None:
        raise TableError(
            f"{columns.path}: world= selects rows by their column world_name, and there is none; leave it out"
        )
    table, more = _scene_table(columns, space, reading)
    return Labelled(table, slots, columns, rows, (*notes, *more))


def _scene_table(columns: Columns, space: ConceptSpace | None, reading: Reading) -> tuple[SceneTable, list[str]]:
    slots, concepts = slots_and_concepts(columns, reading.keep_spellings)
    words: Words = {(slot, name): columns.words(f"object{slot}_{name}") for slot in slots for name in concepts}
    words = without_missing(columns, concepts, words, reading.missing)
    notes: list[str] = []
    if space is None:
        refuse_reserved(concepts, str(columns.path))
        filler = filler_note(columns, concepts, words)
        notes = [*([filler] if filler else []), *_spelling_notes(columns, concepts, words, reading.keep_spellings)]
        found = _found_space(columns, concepts, slots, words)
    else:
        found = _checked_space(columns, space, concepts)
    values = np.stack([_slot_values(columns, found, slot, words) for slot in slots], axis=1)
    _refuse_partial(columns, found, values)
    visible = _visible(columns, slots, values[:, :, 0] != ABSENT)
    return SceneTable.build(found, values, replicate=_replicate(columns), visible=visible), notes


def write_labels(table: SceneTable, path: str | Path) -> None:
    """Write a table that `read_labels` reads back: words, `visible{i}` where known, and `replicate`.

    What a label table cannot hold is lost: values and candidates that no row shows, and an order of values that is not
    that of the words. Raises TableError for words that would not come back, StoreError where it cannot be written.

    >>> import pathlib, tempfile
    >>> space = ConceptSpace.of([("color", ["red", "blue"])])
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "scenes.csv"
    >>> write_labels(SceneTable.build(space, [[[0], [1]]]), file)
    >>> file.read_text().split()
    ['object1_color,object2_color,replicate', 'red,blue,0']
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
    refuse_names_not_read_back(table.space)
    return columns


def load_labels(rest: str, name: str) -> Dataset:
    """The data set `labels:FILE`: scenes alone, for vectors that were made elsewhere."""
    path, query = split_options(rest, is_path=True)
    options = read_options(query, OPTIONS, "labels:")
    if not path:
        raise InputError("labels: needs a label table, e.g. labels:labels.csv")
    found = labelled_scenes(read_columns(Path(path).expanduser(), label_column), reading=Reading.of(options))
    table = found.table
    objects, values = query_items(table)
    return Dataset(
        name,
        "labels",
        table,
        Items(table.values, np.arange(len(table)), "scene"),
        objects,
        values,
        {key: value for key, value in options.items() if value},
        slots=found.slots,
        notes=found.notes,
        row_names=row_names(found.columns, found.rows),
    )


def row_names(columns: Columns, rows: IntArray) -> RowNames:
    """The other columns of a label table, by which another file may name the same rows."""
    return RowNames(columns.path, tuple(h for h in columns.header if not label_column(h)), rows)


def _spelling_notes(columns: Columns, concepts: Sequence[str], words: Words, keep: bool) -> list[str]:
    """Notes on rare values, and on those that look alike where they are kept apart; else those are refused."""
    notes: list[str | None] = []
    for concept in concepts:
        every = Counter(word for (_, name), cells in words.items() if name == concept for word in cells)
        counts = {word: count for word, count in every.items() if word is not None}
        notes += [
            alike_note(concept, counts, keep, f"{columns.path}: "),
            rare_note(concept, counts, f"{columns.path}: "),
        ]
    return [note for note in notes if note]


def _found_space(
    columns: Columns,
    concepts: Sequence[str],
    slots: Sequence[int],
    words: Words,
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


def _slot_values(columns: Columns, space: ConceptSpace, slot: int, words: Words) -> IntArray:
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
        near = [value for value in values if normal_form(value) == normal_form(word)]
        if near:
            raise TableError(
                f"{columns.path}: {columns.place(row)}: {header}: {shown_word(word, [word, near[0]])} looks like "
                f"{shown_word(near[0], [word, near[0]])}; spell it alike"
            )
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


def _visible(columns: Columns, slots: Sequence[int], present: BoolArray) -> FloatArray | None:
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


def refuse_names_not_read_back(space: ConceptSpace) -> None:
    """Raise TableError where a label table could not give back these names and words."""
    for concept in space.concepts:
        if concept.name != concept.name.strip():
            raise TableError(f"concept {concept.name!r} has blanks around its name, which are not read back; drop them")
        if concept.name.endswith(IGNORED):
            raise TableError(
                f"concept {concept.name!r} cannot be written: columns that end in _idx are not read back; rename it"
            )
        for value in concept.values:
            if value != value.strip():
                raise TableError(
                    f"{concept.name}: value {value!r} has blanks around it, which are not read back; drop them"
                )
