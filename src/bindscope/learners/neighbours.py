"""k nearest objects: a scene is the mean of the training scenes whose objects agree with it in most values, slot by slot.

In each slot the k training objects that share most values with the asked one (ties broken by the order of objects)
stand in for it; the prediction is the mean vector of an object in a slot over its training scenes, averaged over the k
and added up over slots around the mean of all. It knows no concept vectors, so it is the baseline of mere similarity.
O(O^2 C + n d).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bindscope.concepts import ABSENT, IntArray
from bindscope.design import fit, object_design, row_mean
from bindscope.learners.additive import read
from bindscope.learners.base import Approximator, Predictor, Solution, Vectors, chosen
from bindscope.names import Option
from bindscope.scenes import FloatArray, SceneTable

NEIGHBOURS = (1, 2, 3, 5, 8, 12, 20)


class Neighbours(Approximator):
    """Mean over the k nearest training objects in each slot; k by validation objects among `neighbours`."""

    def __init__(self, neighbours: Sequence[int] = NEIGHBOURS) -> None:
        self.name, self.neighbours = "neighbours", tuple(neighbours)

    def solve(self, table: SceneTable, vectors: Vectors, seed: int) -> Solution:
        """Choose k, then take object vectors of all rows."""
        count, judged = self._chosen(table, vectors, seed)
        book = _Book(table, vectors)
        return Solution(lambda other: book.predict(other, count), True, {"k": count, **judged})

    def _chosen(self, table: SceneTable, vectors: Vectors, seed: int) -> tuple[int, dict[str, float]]:
        if len(self.neighbours) == 1:
            return self.neighbours[0], {}

        def fitted(count: int, table: SceneTable, vectors: Vectors) -> Predictor:
            book = _Book(table, vectors)
            return lambda other: book.predict(other, count)

        return chosen(self.neighbours, table, vectors, seed, fitted) or (self.neighbours[0], {})


class _Book:
    """Vectors of the training objects in each slot, by least squares around the mean."""

    def __init__(self, table: SceneTable, vectors: Vectors) -> None:
        self.mean = row_mean(vectors)
        design = object_design(table, by_slot=True)
        centred = np.asarray(vectors, dtype=np.float64) - self.mean
        self.objects = fit(design, centred).coefficients.reshape(table.n_slots, table.n_objects, -1)
        self.values = table.candidate_values
        self.shown = np.stack([np.isin(np.arange(table.n_objects), column) for column in table.object_codes.T])

    def predict(self, table: SceneTable, count: int) -> FloatArray:
        """Vectors `[n, d]`."""
        out = np.tile(self.mean, (len(table), 1))
        for slot, codes in enumerate(table.object_codes.T):
            here = codes != ABSENT
            out[here] += self._stand_ins(slot, count)[codes[here]]
        return out

    def _stand_ins(self, slot: int, count: int) -> FloatArray:
        """Mean vector of the nearest training objects of every object, `[O, d]`; a training object is its own."""
        known = np.flatnonzero(self.shown[slot])
        if not len(known):
            return np.zeros_like(self.objects[slot])
        nearest = known[_nearest(self.values, self.values[known], min(count, len(known)))]
        means = self.objects[slot][nearest].mean(axis=1)
        means[known] = self.objects[slot][known]
        return np.asarray(means)


def _nearest(asked: IntArray, known: IntArray, count: int) -> IntArray:
    """Positions `[O, count]` among `known` `[T, C]` of those that share most values with each of `asked` `[O, C]`."""
    shared = (asked[:, None, :] == known[None, :, :]).sum(axis=2)
    return np.asarray(np.argsort(-shared, axis=1, kind="stable")[:, :count], dtype=np.int64)


def load(rest: str, tune: bool) -> Approximator:
    """`neighbours?k=3` (else validation objects choose)."""
    found = read(rest, "neighbours", {"k": Option(None, int, 1, 100_000)})
    return Neighbours(NEIGHBOURS if found["k"] is None else (found["k"],))
