"""Value swaps: scenes in which two objects exchange the value of one concept, so that the bag of values stays the same.

They are what tells binding from a bag: right caption and swapped caption name the same values.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from bindscope.concepts import ABSENT, IntArray
from bindscope.scenes import SceneTable


@dataclass(frozen=True, eq=False)
class Swaps:
    """S swaps of the rows of a table, ordered by row, then concept, then slots.

    row, concept `[S]`; slots `[S, 2]`: whose values are exchanged; values `[S, m, C]`: the swapped scene.
    """

    row: IntArray
    concept: IntArray
    slots: IntArray
    values: IntArray

    def __len__(self) -> int:
        return len(self.row)


def value_swaps(table: SceneTable) -> Swaps:
    """All swaps of one concept between two objects that change which objects the scene shows. O(n C m^2).

    Left out: objects that agree in the concept, and those that agree in all others (they would only change places). So
    scenes of one object, and of one concept, have none.

    >>> from bindscope.concepts import ConceptSpace
    >>> space = ConceptSpace.of([("color", ["red", "blue"]), ("shape", ["cube", "ball"])])
    >>> value_swaps(SceneTable.build(space, [[[0, 0], [1, 1]]])).values.tolist()
    [[[1, 0], [0, 1]], [[0, 1], [1, 0]]]
    """
    values = table.values
    found = [
        (rows, np.full(len(rows), k), np.tile([i, j], (len(rows), 1)))
        for k in range(table.space.n_concepts)
        for i, j in combinations(range(table.n_slots), 2)
        if len(rows := _swappable(values[:, i], values[:, j], k))
    ]
    if not found:
        none = np.zeros(0, dtype=np.int64)
        return Swaps(none, none, np.zeros((0, 2), dtype=np.int64), values[:0])
    row, concept, slots = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(row, kind="stable")
    row, concept, slots = row[order], concept[order], slots[order]
    swapped, each = values[row], np.arange(len(row))
    left, right = swapped[each, slots[:, 0], concept], swapped[each, slots[:, 1], concept]
    swapped[each, slots[:, 0], concept], swapped[each, slots[:, 1], concept] = right, left
    return Swaps(row, concept, slots, swapped)


def _swappable(left: IntArray, right: IntArray, concept: int) -> IntArray:
    """Rows whose two objects `[n, C]` are there and differ in the concept and in another one."""
    differ = left != right
    both = (left[:, concept] != ABSENT) & (right[:, concept] != ABSENT)
    return np.flatnonzero(both & differ[:, concept] & (differ.sum(axis=1) > 1))


def scene_keys(values: IntArray, radix: IntArray, ordered: bool = True) -> list[bytes]:
    """A key of each scene `[n, m, C]`: equal keys, the same objects in the same slots (or, if not ordered, in any)."""
    ids = np.where((values == ABSENT).any(axis=-1), ABSENT, values @ radix)
    rows = np.ascontiguousarray(ids if ordered else np.sort(ids, axis=1), dtype="<i8")
    return [row.tobytes() for row in rows]
