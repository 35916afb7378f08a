"""`outcomes:FILE`: what others found item by item, so that a model that cannot be run here still stands in the table.

The file has the columns of a layout of pairs (caption, negative_caption, ...) and outcomes as 0 and 1, true and false, or 0.5
for a tie. Either one model in named columns: `correct` (or hit), and BiVLC's text_score, image_score, group_score (I2T, T2I);
it is called as `?model=` says, else as the file. Or one column a model, named by it. Empty cells are items without outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.concepts import ABSENT, IntArray
from bindscope.datasets.pair_layouts import normal
from bindscope.datasets.pairs import NAMED, PairNote, PairSet, pairs_of_rows
from bindscope.datasets.rows import Rows, read_rows
from bindscope.errors import InputError, TableError
from bindscope.names import Option, read_options, split_options
from bindscope.scenes import FloatArray

NAMED_COLUMNS = {
    "correct": "preference",
    "hit": "preference",
    "text_score": "text",
    "i2t": "text",
    "image_score": "image",
    "t2i": "image",
    "group_score": "group",
}
PARTS = (
    "text_score_i_0",
    "text_score_i_1",
    "image_score_c_0",
    "image_score_c_1",
    "ipos_2t",
    "ineg_2t",
    "tpos_2i",
    "tneg_2i",
)
DESCRIBING = frozenset({"id", "index", "idx", "label", "place", "type", "subtype", "category", "image_id", "split"})
CREDITS = {"1": 1.0, "0": 0.0, "true": 1.0, "false": 0.0, "1.0": 1.0, "0.0": 0.0, "0.5": 0.5, "yes": 1.0, "no": 0.0}
OPTIONS = {"images": Option(None), "category": Option(None), "model": Option(None)}


@dataclass(frozen=True, eq=False)
class PublishedOutcomes:
    """Outcomes of one model: credit `[n]` of each item (NaN: none) by contest (`preference`, `text`, `image`, `group`)."""

    model: str
    credits: Mapping[str, FloatArray]
    source: str = ""

    def on(self, pairs: PairSet, own: PairSet) -> tuple[PublishedOutcomes, list[PairNote]]:
        """The outcomes on the items of another set, matched by caption and negatives; items without one are counted."""
        place = {key: i for i, key in enumerate(keys(own))}
        rows = np.array([place.get(key, ABSENT) for key in keys(pairs)], dtype=np.int64)
        missing = np.flatnonzero(rows < 0)
        if len(missing) == len(rows):
            raise InputError(
                f"{self.source} and {pairs.name} have no item in common: no caption with the same negative"
            )
        moved = {name: np.where(rows < 0, np.nan, credit[rows]) for name, credit in self.credits.items()}
        notes = []
        if len(missing):
            names = tuple(pairs.ids[i] for i in missing[:NAMED])
            notes = [
                PairNote("unmatched", f"items without an outcome of {self.model} in {self.source}", len(missing), names)
            ]
        return replace(self, credits=moved), notes


def keys(pairs: PairSet) -> list[tuple[Any, ...]]:
    """What makes two items the same: caption, negatives, and how many such items stand before it."""
    seen: dict[tuple[str, ...], int] = {}
    found = []
    for caption, row in zip(pairs.caption.tolist(), pairs.negatives.tolist(), strict=True):
        key = (pairs.texts[caption], *(pairs.texts[one] for one in row if one >= 0))
        found.append((*key, seen.get(key, 0)))
        seen[key] = seen.get(key, 0) + 1
    return found


def load_outcomes(rest: str, name: str) -> tuple[PairSet, tuple[PublishedOutcomes, ...]]:
    """Items and outcomes of `FILE?options`; TableError where no column holds outcomes."""
    place, query = split_options(rest)
    options = read_options(query, OPTIONS, "outcomes:")
    if not place:
        raise InputError("outcomes: needs a file of outcomes item by item, e.g. outcomes:clip.csv")
    found = read_rows(place)
    columns = _columns(found)
    kept: list[int] = []
    wanted = {
        "images": options["images"],
        "category": options["category"],
        "right": None,
        "text": options["images"] is None,
    }
    pairs = pairs_of_rows(_without(found, columns), name, wanted, kept)
    rows = np.array(kept, dtype=np.int64)
    return pairs, tuple(_models(found, columns, rows, options["model"] or Path(place).stem, name))


def _columns(found: Rows) -> dict[str, str | None]:
    """Columns of outcomes, each with its contest, or None where it is named by a model."""
    named = {name: NAMED_COLUMNS[normal(name)] for name in found.columns if normal(name) in NAMED_COLUMNS}
    if named:
        return dict(named)
    free = [
        name
        for name in found.columns
        if normal(name) not in DESCRIBING and normal(name) not in PARTS and _holds_outcomes(found, name)
    ]
    if not free:
        raise TableError(
            f"{found.path}: no column of outcomes; expected correct, or text_score, image_score, group_score, or one column "
            "of 0 and 1 for each model"
        )
    return dict.fromkeys(free)


def _holds_outcomes(found: Rows, column: str) -> bool:
    cells = [_cell(row.get(column)) for row in found.rows]
    return any(cell for cell in cells) and all(cell == "" or cell in CREDITS for cell in cells)


def _cell(value: Any) -> str:
    return "" if value is None or value != value else str(value).strip().lower()


def _without(found: Rows, columns: Mapping[str, str | None]) -> Rows:
    """The rows without outcomes, so that `correct` is not read as the place of the right option."""
    return replace(found, rows=tuple({k: v for k, v in row.items() if k not in columns} for row in found.rows))


def _models(
    found: Rows, columns: Mapping[str, str | None], rows: IntArray, model: str, source: str
) -> list[PublishedOutcomes]:
    credits = {name: _credits(found, name)[rows] for name in columns}
    if any(contest is not None for contest in columns.values()):
        return [PublishedOutcomes(model, {str(columns[name]): credit for name, credit in credits.items()}, source)]
    return [PublishedOutcomes(name, {"preference": credit}, source) for name, credit in credits.items()]


def _credits(found: Rows, column: str) -> FloatArray:
    """Credit of each row; TableError that names the first cell that is none."""
    cells = [_cell(row.get(column)) for row in found.rows]
    for name, cell in zip(found.names, cells, strict=True):
        if cell not in CREDITS and cell != "":
            raise TableError(
                f"{found.path}: row {name}: {column} must be 0 or 1 (true, false, 0.5 for a tie), got {cell!r}"
            )
    return np.array([CREDITS.get(cell, np.nan) for cell in cells])
