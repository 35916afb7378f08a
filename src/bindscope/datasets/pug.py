"""The label layout of PUG:SPARE (Bordes et al. 2023): one or two characters with textures at places, in worlds.

    filename, world_name, character_name, character2_name, character_texture, character2_texture,
    character_pos, character2_pos

A character that is empty or `blank` is not there (one-object scenes). Pictures lie in folders named by their world. Objects
stand in the slot that their place names; where the
places are no few names (coordinates, or none at all), the first character has the first slot. The design is incomplete:
no scene shows an animal or a texture twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bindscope.concepts import IntArray
from bindscope.datasets.captions import said_place
from bindscope.datasets.columns import Columns
from bindscope.datasets.spellings import is_filler, rare_note
from bindscope.errors import TableError, UnknownNameError

NEEDED = ("character_name", "character2_name", "character_texture", "character2_texture")
COLUMNS = (*NEEDED, "character_pos", "character2_pos", "world_name")
ALL_WORLDS = "all"
MANY_PLACES = 6
UNPLACED = ("first", "second")
_ORDER = ("left", "top left", "top", "middle", "center", "centre", "bottom", "bottom left", "right")
Words = list[str | None]


def fits(header: Sequence[str]) -> bool:
    """Whether a table has this layout."""
    return all(name in header for name in NEEDED)


@dataclass(frozen=True, eq=False)
class Objects:
    """columns: the rows as `object{i}_{concept}` columns; slots: names of the places; rows: which rows of the file."""

    columns: Columns
    slots: tuple[str, ...]
    rows: IntArray
    notes: tuple[str, ...]


def objects(columns: Columns, world: str | None) -> Objects:
    """The rows of one world (or of all) in the layout of a label table.

    Raises TableError where several worlds are there and none is chosen, or two characters stand in one place.
    """
    rows = _rows_of_world(columns, world)
    chosen = _taken(columns, rows)
    names = [_words(chosen, prefix + "name") for prefix in ("character_", "character2_")]
    textures = [_words(chosen, prefix + "texture") for prefix in ("character_", "character2_")]
    places = [_words(chosen, prefix + "pos") for prefix in ("character_", "character2_")]
    slots, standing = _slots(chosen, names, places)
    cells: dict[str, Words] = {}
    for slot in range(len(slots)):
        for concept, words in (("character", names), ("texture", textures)):
            cells[f"object{slot + 1}_{concept}"] = [
                next((words[i][row] for i in (0, 1) if standing[i][row] == slot), None) for row in range(len(rows))
            ]
    kept = {name: cell for name, cell in chosen.cells.items() if not name.startswith("object")}
    header = (*(name for name in columns.header if name not in COLUMNS and not name.startswith("object")), *cells)
    made = replace(chosen, header=header, cells={**kept, **cells})
    return Objects(made, slots, np.array(rows, dtype=np.int64), _place_notes(columns, names, places, slots))


def _place_notes(
    columns: Columns, names: Sequence[Words], places: Sequence[Words], slots: tuple[str, ...]
) -> tuple[str, ...]:
    """Notes on rows whose characters have no place, and of rare places, where places have names."""
    if slots == UNPLACED:
        return ()
    standing = [[place for name, place in zip(*pair, strict=True) if name and place] for pair in _rows(names, places)]
    rare = rare_note("the places", Counter(place for row in standing for place in row), f"{columns.path}: ")
    bare = sum(not row for row in standing)
    sentences = [rare] if rare else []
    if bare:
        sentences.append(
            f"{columns.path}: {bare:,} of {len(standing):,} rows name no place; there the first character is taken to "
            f"stand {said_place(slots[0])}"
        )
    return tuple(sentences)


def _rows(names: Sequence[Words], places: Sequence[Words]) -> Iterator[tuple[tuple[str | None, ...], ...]]:
    """The names and the places of both characters, row by row."""
    return zip(zip(*names, strict=True), zip(*places, strict=True), strict=True)


def _rows_of_world(columns: Columns, world: str | None) -> list[int]:
    everything = list(range(len(columns.cells[NEEDED[0]])))
    if "world_name" not in columns.names:
        if world is not None:
            raise TableError(f"{columns.path}: world= selects rows by their column world_name, and there is none")
        return everything
    worlds = columns.words("world_name")
    known = sorted({word for word in worlds if word})
    if world is None and len(known) > 1:
        raise TableError(
            f"{columns.path}: rows of {len(known)} worlds ({', '.join(known[:8])}); choose one with ?world={known[0]}, or "
            "?world=all to take the others as replicates"
        )
    if world is None or world == ALL_WORLDS:
        return everything
    if world not in known:
        raise UnknownNameError("world", world, [*known, ALL_WORLDS])
    return [row for row in everything if worlds[row] == world]


def _taken(columns: Columns, rows: Sequence[int]) -> Columns:
    cells = {name: [cell[row] for row in rows] for name, cell in columns.cells.items()}
    lines = None if columns.lines is None else [columns.lines[row] for row in rows]
    return replace(columns, cells=cells, lines=lines)


def _words(columns: Columns, name: str) -> Words:
    if name not in columns.names:
        return [None] * len(columns.cells[NEEDED[0]])
    return [None if word is None or is_filler(word) else word for word in columns.words(name)]


def _slots(
    columns: Columns, names: Sequence[Words], places: Sequence[Words]
) -> tuple[tuple[str, ...], list[list[int]]]:
    """Names of the slots, and the slot of each of the two characters in each row (-1 where it is not there)."""
    known = {place for i in (0, 1) for name, place in zip(names[i], places[i], strict=True) if name and place}
    if not 1 < len(known) <= MANY_PLACES:
        return UNPLACED, [[i if name else -1 for name in names[i]] for i in (0, 1)]
    slots = tuple(sorted(known, key=_order))
    standing: list[list[int]] = [[], []]
    for row in range(len(names[0])):
        for i, slot in enumerate(_row_slots(columns, row, [n[row] for n in names], [p[row] for p in places], slots)):
            standing[i].append(slot)
    return slots, standing


def _row_slots(
    columns: Columns, row: int, names: Sequence[str | None], places: Sequence[str | None], slots: tuple[str, ...]
) -> list[int]:
    found = [slots.index(place) if name and place else -1 for name, place in zip(names, places, strict=True)]
    if found[0] == found[1] != -1:
        raise TableError(
            f"{columns.path}: {columns.place(row)}: both characters stand at {places[0]!r}; every object needs its own place"
        )
    for i in (0, 1):
        if names[i] and found[i] == -1:  # a character without a place takes the first free one
            found[i] = next(slot for slot in range(len(slots)) if slot not in found)
    return found


def _order(place: str) -> tuple[int, str]:
    lower = place.lower()
    return (_ORDER.index(lower) if lower in _ORDER else len(_ORDER) - 2, lower)
