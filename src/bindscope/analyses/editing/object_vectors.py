"""Editing: z - u_old + u_new. Does the vector behave as the scene with the other object (Sec. 4 of arXiv 2605.31503)?

Object vectors come from the scenes themselves (`avg`, `avg+pos`, `ols`, `ols+pos`) or from one-object scenes (`single`).
The first four have seen the scene that is edited and the one that is looked for; left out exactly, without a refit:

- averages: the rows of both scenes are taken out of the sums;
- least squares: u' = u - G^+ A_R' (1 - H)^-1 e_R for the removed rows R, with H their leverages A_R G^+ A_R' and e_R
  their residuals: two different rows of the design, times their replicates, so one 2 x 2 system an edit.

Both leave an edit of the form z + p_new u_new - p_old u_old + a r_base + b r_target with a number or two for each edit, so
that all edits together are scored by linear algebra.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from scipy import sparse

from bindscope.analyses.editing.cases import Cases, scene_sums
from bindscope.concepts import ABSENT, IntArray
from bindscope.design import (
    Sums,
    Vectors,
    checked_vectors,
    cross_products,
    gram,
    object_design,
    parse_estimator,
    row_mean,
)
from bindscope.errors import TableError
from bindscope.probes import Probe
from bindscope.recognition import Recognised, recognise
from bindscope.scenes import BoolArray, FloatArray, SceneTable

ESTIMATORS = ("avg", "avg+pos", "single", "ols", "ols+pos")
_FULL = 1e-6  # a leverage closer to 1 is 1
_ESTIMABLE = 1e-6
_ROWS = 16_384


@dataclass(frozen=True, eq=False)
class Weights:
    """Numbers of each edit `[c]`: of the new and the old object's vector, and of the rows of the base and target scene.

    testable `[c]`: the object vectors exist (and, left out, still do).
    """

    new: FloatArray
    old: FloatArray
    base: FloatArray
    target: FloatArray
    testable: BoolArray

    def times(self, strength: float) -> Weights:
        """The edit made stronger or weaker: 0 leaves the scene as it is, 1 is the replacement."""
        scaled = {name: getattr(self, name) * strength for name in ("new", "old", "base", "target")}
        return replace(self, **scaled)

    def take(self, index: IntArray) -> Weights:
        """Those of some edits."""
        return Weights(*(getattr(self, one.name)[index] for one in fields(self)))


@dataclass(frozen=True, eq=False)
class ObjectVectors:
    """Object vectors of one estimator.

    vectors `[slots * O, d]`, centred (slots = 1 where all share them); counts `[slots * O]`: rows they come from; inverse:
    pseudo-inverse of the Gram matrix, for least squares only; leaves_out: the scenes themselves were used.
    """

    estimator: str
    table: SceneTable
    mean: FloatArray
    vectors: FloatArray
    counts: FloatArray
    inverse: FloatArray | None
    projector: FloatArray | None
    source: Vectors

    @property
    def by_slot(self) -> bool:
        """Whether every slot has its own vectors."""
        return self.estimator.endswith("+pos")

    @property
    def leaves_out(self) -> bool:
        """Whether leaving scenes out changes anything: one-object scenes are none of the edited ones."""
        return self.estimator != "single"

    def columns(self, codes: IntArray, slots: IntArray) -> IntArray:
        """Rows of `vectors` of objects in slots."""
        return codes + slots * self.table.n_objects * self.by_slot

    def weights(self, cases: Cases, leave_out: bool = False) -> Weights:
        """The numbers of every edit, with or without the base and the target scene in the object vectors."""
        old, new = self.columns(cases.old, cases.slot), self.columns(cases.new, cases.slot)
        if not leave_out or not self.leaves_out:
            ones, zeros = np.ones(len(cases)), np.zeros(len(cases))
            return Weights(ones, ones, zeros, zeros, self._known(old, new))
        if self.inverse is None:
            return self._without_in_averages(cases, old, new)
        return self._without_in_least_squares(cases, old, new)

    def remainders(self, scenes: IntArray) -> FloatArray:
        """r of these scenes `[s, d]`: their centred mean vector, minus its reconstruction for least squares."""
        means, _ = scene_sums(self.source, self.table, scenes)
        centred = means - self.mean
        if self.inverse is None:
            return centred
        return np.asarray(centred - self._design(scenes) @ self.vectors)

    def edited(self, cases: Cases, weights: Weights) -> FloatArray:
        """Edited vectors `[c, d]` themselves, one by one."""
        out = np.asarray(self.source[cases.row], dtype=np.float64)
        out += weights.new[:, None] * self.vectors[self.columns(cases.new, cases.slot)]
        out -= weights.old[:, None] * self.vectors[self.columns(cases.old, cases.slot)]
        if weights.base.any() or weights.target.any():
            scenes, back = np.unique(np.concatenate([cases.base, cases.target]), return_inverse=True)
            rest = self.remainders(scenes)
            out += weights.base[:, None] * rest[back[: len(cases)]]
            out += weights.target[:, None] * rest[back[len(cases) :]]
        return out

    def recognised(self, cases: Cases, weights: Weights, probe: Probe, members: IntArray) -> Recognised:
        """What a probe reads from the edited vectors: `members` `[c, m]` should be present. O(n d K + c K)."""
        rows, row = np.unique(cases.row, return_inverse=True)
        scenes, back = np.unique(np.concatenate([cases.base, cases.target]), return_inverse=True)
        own, objects = probe.scores(self.source[rows]), self.vectors @ probe.weights
        uses = bool(weights.base.any() or weights.target.any())
        rest = self.remainders(scenes) @ probe.weights if uses else None
        base, target = back[: len(cases)], back[len(cases) :]
        old, new = self.columns(cases.old, cases.slot), self.columns(cases.new, cases.slot)
        right, tied = np.zeros(len(cases), dtype=bool), np.zeros(len(cases), dtype=bool)
        for start in range(0, len(cases), _ROWS):
            some = slice(start, start + _ROWS)
            scores = own[row[some]] + weights.new[some, None] * objects[new[some]]
            scores -= weights.old[some, None] * objects[old[some]]
            if rest is not None:
                scores += weights.base[some, None] * rest[base[some]]
                scores += weights.target[some, None] * rest[target[some]]
            outcome = recognise(scores, members[some])
            right[some], tied[some] = outcome.right, outcome.tied
        return Recognised(right, tied)

    def best_strength(self) -> float:
        """The one factor on all object vectors that rebuilds the scenes best, <z - mu, y> / <y, y>; 0 where y vanishes."""
        design = object_design(self.table, self.by_slot)
        cross = cross_products(design, self.source) - np.outer(np.asarray(design.sum(axis=0)).ravel(), self.mean)
        square = float((self.vectors * (gram(design) @ self.vectors)).sum())
        return float((cross * self.vectors).sum()) / square if square > 0 else 0.0

    def _known(self, old: IntArray, new: IntArray) -> BoolArray:
        seen = (self.counts[old] > 0) & (self.counts[new] > 0)
        if self.projector is None:
            return seen
        p = self.projector  # the difference of two columns must lie in the row space of the design
        length = p[new, new] + p[old, old] - 2 * p[new, old]
        return seen & (np.abs(length - 2.0) < _ESTIMABLE)

    def _objects(self, scenes: IntArray) -> IntArray:
        """Rows of `vectors` that these scenes show, `[s, m]`, -1 where absent."""
        _, first = np.unique(self.table.scene_ids, return_index=True)
        codes = self.table.object_codes[first[scenes]]
        shifted = self.columns(codes, np.arange(self.table.n_slots)[None, :])
        return np.where(codes == ABSENT, ABSENT, shifted)

    def _design(self, scenes: IntArray) -> sparse.csr_matrix:
        _, first = np.unique(self.table.scene_ids, return_index=True)
        return object_design(self.table.take(first[scenes]), self.by_slot)

    def _copies(self, scenes: IntArray) -> FloatArray:
        return np.bincount(self.table.scene_ids)[scenes].astype(np.float64)

    def _without_in_averages(self, cases: Cases, old: IntArray, new: IntArray) -> Weights:
        base, target = self._objects(cases.base), self._objects(cases.target)
        copies, others = self._copies(cases.base), self._copies(cases.target)

        def rest(column: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
            in_base = copies * (base == column[:, None]).any(axis=1)
            in_target = others * (target == column[:, None]).any(axis=1)
            return in_base, in_target, self.counts[column] - in_base - in_target

        old_base, old_target, old_left = rest(old)
        new_base, new_target, new_left = rest(new)
        below_old, below_new = np.maximum(old_left, 1.0), np.maximum(new_left, 1.0)
        return Weights(
            self.counts[new] / below_new,
            self.counts[old] / below_old,
            old_base / below_old - new_base / below_new,
            old_target / below_old - new_target / below_new,
            (old_left > 0) & (new_left > 0),
        )

    def _without_in_least_squares(self, cases: Cases, old: IntArray, new: IntArray) -> Weights:
        inverse = self.inverse
        assert inverse is not None
        base, target = self._objects(cases.base), self._objects(cases.target)
        copies, others = np.sqrt(self._copies(cases.base)), np.sqrt(self._copies(cases.target))
        a = 1.0 - copies**2 * _products(inverse, base, base)
        c = 1.0 - others**2 * _products(inverse, target, target)
        b = -copies * others * _products(inverse, base, target)
        lowest = 0.5 * (a + c - np.sqrt((a - c) ** 2 + 4 * b**2))  # smaller eigenvalue of 1 - H
        free = lowest > _FULL
        along = new[:, None], old[:, None]
        left = copies * (_products(inverse, along[0], base) - _products(inverse, along[1], base))
        right = others * (_products(inverse, along[0], target) - _products(inverse, along[1], target))
        determinant = np.where(free, a * c - b**2, 1.0)
        ones = np.ones(len(cases))
        return Weights(
            ones,
            ones,
            -copies * (left * c - right * b) / determinant * free,
            -others * (right * a - left * b) / determinant * free,
            free & self._known(old, new),
        )


def object_vectors(vectors: Vectors, table: SceneTable, estimator: str) -> ObjectVectors:
    """Fit `avg`, `avg+pos`, `ols` or `ols+pos` on scenes of one number of objects. O(n m d + p^3 + p^2 d)."""
    kind, by_slot = parse_estimator(estimator)
    array = checked_vectors(vectors, len(table))
    sums = Sums.of(array, object_design(table, by_slot), kind)
    fitted = sums.fitted()
    least = kind == "ols"
    return ObjectVectors(
        estimator,
        table,
        sums.mean,
        fitted.coefficients,
        sums.counts,
        fitted.inverse if least else None,
        fitted.inverse @ sums.gram if least else None,
        array,
    )


def single_vectors(vectors: Vectors, table: SceneTable, alone: Vectors, singles: SceneTable) -> ObjectVectors:
    """Object vectors from one-object scenes `alone` [n1, d], centred by their own mean, for edits of the scenes of `table`.

    Objects without such a scene cannot be used for edits, which then count as not testable.
    """
    if (singles.counts != 1).any():
        raise TableError("the estimator `single` is fitted on scenes of one object only")
    array = checked_vectors(alone, len(singles))
    if not np.array_equal(singles.candidates, table.candidates):
        raise TableError(
            "scenes of one and of several objects must be of the same candidates; take both from one table"
        )
    sums = Sums.of(array, object_design(singles, False), "avg")
    source = checked_vectors(vectors, len(table))
    return ObjectVectors("single", table, row_mean(source), sums.fitted().coefficients, sums.counts, None, None, source)


def _products(inverse: FloatArray, left: IntArray, right: IntArray) -> FloatArray:
    """sum_ij inverse[left_i, right_j] of each row, over the objects that are there; `[c, a]` and `[c, b]` give `[c]`."""
    out = np.zeros(len(left))
    for i in left.T:
        for j in right.T:
            both = (i != ABSENT) & (j != ABSENT)
            out += np.where(both, inverse[i, j], 0.0)
    return out
