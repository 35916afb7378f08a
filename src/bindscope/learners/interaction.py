"""R^2 of the interaction alone: what scenes have beyond their concepts, and how much of that a learner predicts.

R^2 is mostly about concepts: where they carry 93 % of the variance, a learner that knows nothing of binding has 0.93.
Here the concepts, by slot, are taken out by least squares on the training scenes, and of what is left only that is
kept which belongs to objects: r = P (z - A), with A the additive fit and P the projection on objects x slot in the scenes
that are judged (which also averages noise and effects between objects away).

    binding_r2 = 1 - sum |P (z - g)|^2 / sum |P (z - A)|^2        1 exact, 0 as good as concepts alone, can be negative

Zero is not always the level of knowing nothing. Where the interaction cannot be predicted, a learner that shrinks towards the
mean beats least squares; and a bag of concepts that is made to have unit length has an interaction that concepts predict.
`chance` is what concepts reach at best: by an additive fit whose penalty was chosen on validation objects or, where the
vectors are of one length, by an additive function that is made to have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bindscope.design import NEGLIGIBLE, concept_design, fit, object_design, row_mean, squared_errors
from bindscope.learners.additive import Additive, Ridge, UnitAdditive
from bindscope.learners.base import Fitted, Vectors
from bindscope.scenes import FloatArray, SceneTable

MOST_COLUMNS = 2000  # objects x slot whose projection is taken; the factorisation takes some seconds there
SIGNAL = (
    2.0  # mean square of the interaction over that of what objects leave, from which on there is something to predict
)


def within_objects(table: SceneTable, vectors: Vectors) -> FloatArray:
    """Squared length `[n]` of the projections of vectors `[n, d]` on objects x slot; NaN above MOST_COLUMNS columns."""
    design = object_design(table, by_slot=True)
    design = design[:, np.flatnonzero(np.diff(design.tocsc().indptr))]
    if design.shape[1] > MOST_COLUMNS:
        return np.full(len(vectors), np.nan)
    return np.asarray(np.square(fit(design, vectors)(design)).sum(axis=1))


def concept_fits(train: SceneTable, seen: Vectors, seed: int = 0) -> tuple[Fitted, ...]:
    """Functions of the concepts, by slot, on training scenes: least squares, and those of which `chance` is the best."""
    learners = (Additive(), Ridge(), *([UnitAdditive()] if one_length(seen) else []))
    return tuple(one.fit(train, seen, seed) for one in learners)


@dataclass(frozen=True, eq=False)
class Interaction:
    """What training scenes leave to be predicted of others: tables and vectors `[t, d]`, `[n, d]` of both."""

    train: SceneTable
    seen: Vectors
    table: SceneTable
    vectors: Vectors
    seed: int = 0
    known: tuple[Fitted, ...] = ()

    @cached_property
    def fits(self) -> tuple[Fitted, ...]:
        """The functions of the concepts, those that are known already or fitted now."""
        return self.known or concept_fits(self.train, self.seen, self.seed)

    @cached_property
    def left(self) -> FloatArray:
        """Vectors minus the additive fit `[n, d]`."""
        return np.asarray(self.vectors, dtype=np.float64) - self.fits[0].predict(self.table)

    @cached_property
    def total(self) -> FloatArray:
        """Squared length of the interaction of each row `[n]`."""
        return within_objects(self.table, self.left)

    @cached_property
    def baseline(self) -> FloatArray:
        """Vectors minus what the best function of the concepts predicts `[n, d]`."""
        exact = np.asarray(self.vectors, dtype=np.float64)
        left = [exact - one.predict(self.table) for one in self.fits[1:]]
        return min(left, key=lambda one: float(within_objects(self.table, one).sum()))

    @property
    def chance(self) -> FloatArray:
        """Squared length of what that leaves of the interaction of each row `[n]`."""
        return within_objects(self.table, self.baseline)

    def r2(self, predicted: Vectors) -> float | None:
        """R^2 of predictions `[n, d]` on the interaction; None without one. Ask `interacts` of the whole table first: in a
        bag of concepts this is about noise."""
        total = float(self.total.sum())
        error = float(within_objects(self.table, np.asarray(self.vectors, dtype=np.float64) - predicted).sum())
        return 1.0 - error / total if total > 0 else None


def one_length(vectors: Vectors) -> bool:
    """Whether vectors `[n, d]` have one length, to a thousandth."""
    size = np.linalg.norm(vectors, axis=1)
    return len(size) > 0 and bool(float(size.std()) <= 1e-3 * float(size.mean()))


def interacts(table: SceneTable, vectors: Vectors) -> bool:
    """Whether objects have more than their concepts: as much that its mean square is twice that of what objects leave.

    In a bag of concepts the two mean squares are equal, whatever its noise. Where objects leave no degree of freedom (one
    object a scene, no replicates), anything above rounding counts. True where the table is too large for the fit.
    """
    objects = object_design(table, by_slot=True)
    if objects.shape[1] > MOST_COLUMNS:
        return True
    centred = np.asarray(vectors, dtype=np.float64) - row_mean(vectors)
    fits = [(fit(design, centred), design) for design in (concept_design(table, by_slot=True), objects)]
    left = [float(squared_errors(centred, one(design)).sum()) for one, design in fits]
    extra, free = fits[1][0].rank - fits[0][0].rank, len(centred) - fits[1][0].rank
    gain = left[0] - left[1]
    if extra < 1 or gain <= NEGLIGIBLE * float(np.square(centred).sum()):
        return False
    return free < 1 or gain / extra >= SIGNAL * left[1] / free
