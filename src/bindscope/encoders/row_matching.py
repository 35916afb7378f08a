"""Which row of a file of vectors belongs to which row of a label table.

Rows stand in the order of the table, unless both files share a column that names the rows (a file name, an id): then they
are matched by it. Columns that say what a row shows must agree in any case.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import numpy as np

from bindscope.concepts import IntArray
from bindscope.datasets.headers import OBJECT
from bindscope.datasets.items import Dataset
from bindscope.datasets.spellings import normal_form
from bindscope.encoders.arrays import Stored
from bindscope.encoders.parquet import Words
from bindscope.errors import UnknownNameError, VectorsError

NO_IDS = "none"  # as ?ids=: rows are taken as they stand
FILE_NAMES = frozenset({"filename", "file", "image", "path", "imagepath", "imagefilename"})  # one meaning


def row_order(path: Path, stored: Stored, dataset: Dataset, ids: str | None) -> tuple[IntArray, list[str]]:
    """Which row of the file belongs to each row of the data set `[total]`, and notes on it.

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
