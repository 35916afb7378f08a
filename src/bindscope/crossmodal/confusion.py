"""What is confused with what: swap errors by the values that were exchanged and by the objects that stood together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bindscope.concepts import IntArray
from bindscope.crossmodal.sides import TwoSides
from bindscope.scenes import FloatArray


@dataclass(frozen=True, eq=False)
class Confusion:
    """Groups of swaps, the most confused first. members `[g, 2]`; concept `[g]` (-1 for objects); rate `[g]`: share of
    swaps that are wrong (half for ties); count `[g]`: swaps; group `[W]`: the place of each swap in the list."""

    members: IntArray
    concept: IntArray
    rate: FloatArray
    count: IntArray
    group: IntArray


def value_confusions(sides: TwoSides, right: FloatArray) -> Confusion:
    """By concept and the two values exchanged (value indices, smaller first). right `[W]`: credit of each swap."""
    swaps, table = sides.swaps, sides.table
    each = np.arange(len(swaps))
    values = table.values[swaps.row]
    pair = np.stack([values[each, swaps.slots[:, i], swaps.concept] for i in range(2)], axis=1)
    return _grouped(np.column_stack([swaps.concept, np.sort(pair, axis=1)]), right)


def object_confusions(sides: TwoSides, right: FloatArray) -> Confusion:
    """By the two objects that exchange a value (object ids, smaller first)."""
    swaps, table = sides.swaps, sides.table
    ids = table.object_ids[swaps.row[:, None], swaps.slots]
    return _grouped(np.column_stack([np.full(len(swaps), -1), np.sort(ids, axis=1)]), right)


def _grouped(keys: IntArray, right: FloatArray) -> Confusion:
    if not len(keys):
        none = np.zeros(0, dtype=np.int64)
        return Confusion(np.zeros((0, 2), dtype=np.int64), none, np.zeros(0), none, none)
    groups, code = np.unique(keys, axis=0, return_inverse=True)
    code = code.reshape(-1)
    count = np.bincount(code)
    rate = np.bincount(code, 1.0 - right) / count
    order = np.lexsort((np.arange(len(groups)), -rate))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return Confusion(groups[order, 1:], groups[order, 0], rate[order], count[order], place[code])
