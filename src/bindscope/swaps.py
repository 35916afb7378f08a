"""Value swaps: scenes in which two objects exchange the value of one concept, so that the bag of values stays the same.

They are what tells binding from a bag: right caption and swapped caption name the same values.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import ABSENT, IntArray
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.streams import stream

POSITIVES = 64  # objects that the paper's training script draws as candidates


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


def one_swapped_object(table: SceneTable, seed: int = 0) -> IntArray:
    """For each scene one object `[n]` that a swap of its values makes, drawn by seed among the candidates; -1 without any."""
    swaps = value_swaps(table)
    ids = table.space.object_ids(swaps.values)[np.arange(len(swaps))[:, None], swaps.slots].ravel()
    rows = np.repeat(swaps.row, 2)
    places = np.minimum(np.searchsorted(table.candidates, ids), table.n_objects - 1)
    fresh = ~(table.object_codes[rows] == places[:, None]).any(axis=1)
    good = np.flatnonzero((table.candidates[places] == ids) & fresh)
    shuffled = good[stream(seed, "one swap").permutation(len(good))]
    chosen, first = np.unique(rows[shuffled], return_index=True)
    out = np.full(len(table), ABSENT, dtype=np.int64)
    out[chosen] = places[shuffled[first]]
    return out


def few_candidates(table: SceneTable, seed: int = 0, positives: int = POSITIVES) -> BoolArray:
    """Mask `[n, O]` of the candidates of each scene in the paper's training script: its own objects, at most `positives`
    objects that the scenes show, the same for all scenes and drawn by seed, and one object that a swap makes."""
    shown = np.unique(table.object_codes[table.present])
    drawn = stream(seed, "sampled positives").permutation(shown)[:positives]
    out = np.zeros((len(table), table.n_objects + 1), dtype=bool)
    out[:, drawn] = True
    for codes in (*table.object_codes.T, one_swapped_object(table, seed)):
        out[np.arange(len(table)), codes] = True  # -1 falls into the last, extra column
    return out[:, :-1]


def paper_metric(
    vectors: NDArray[np.floating], queries: NDArray[np.floating], table: SceneTable, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """What the paper's training script reports, and its chance, for each scene, `[n]` and `[n]`.

    The share of a scene's m objects that are among the m candidates of largest cosine, with `few_candidates`. A tie with
    another object is wrong. One swap of several leaves a bag of concepts about two of three, where the definition, over all
    objects, leaves it one of six or less. vectors `[n, d]`, queries `[O, d]`.
    """
    some = few_candidates(table, seed)
    lengths = np.maximum(np.linalg.norm(queries, axis=1), 1e-300)
    scores = np.where(some, np.asarray(vectors, dtype=np.float64) @ (queries / lengths[:, None]).T, -np.inf)
    own = np.zeros_like(some)
    for slot in range(table.n_slots):
        here = np.flatnonzero(table.present[:, slot])
        own[here, table.object_codes[here, slot]] = True
    counts = own.sum(axis=1)
    right = np.zeros(len(table))
    for slot in range(table.n_slots):
        mine = scores[np.arange(len(table)), table.object_codes[:, slot]]
        above = ((scores > mine[:, None]) & own).sum(axis=1) + ((scores >= mine[:, None]) & some & ~own).sum(axis=1)
        right += table.present[:, slot] & (above < counts)
    return right / np.maximum(table.counts, 1), counts / some.sum(axis=1)
