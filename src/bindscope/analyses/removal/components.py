"""Targeted removal: take a fitted component out of the vectors and see what can still be read (Sec. 4 of arXiv 2605.31503).

The concept component of a scene is sum_i sum_k u_{k, c_ik}, its object component sum_i u_{o_i}, both fitted by least
squares, per slot or not; the interaction is the difference of the two. Fitted on all rows, the residual is orthogonal to
the counts that a read-out is asked for, so the constant predictor is the optimum of every linear softmax read-out of all
rows: that is the theorem. It bounds the loss and not a ranking. Controls subtract the component of the wrong value or object.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bindscope.analyses.retrieval import top1, unit
from bindscope.concepts import ABSENT, IntArray
from bindscope.design import (
    NEGLIGIBLE,
    LeastSquares,
    Sums,
    Vectors,
    checked_vectors,
    concept_design,
    object_design,
    row_mean,
)
from bindscope.errors import InputError
from bindscope.recognition import Recognised
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.uncertainty import random_cycle

Part = Literal["concepts", "objects", "interaction"]
PARTS: tuple[Part, ...] = ("concepts", "objects", "interaction")


@dataclass(frozen=True, eq=False)
class Components:
    """Fitted concept and object vectors. mean `[d]`; by_slot: every slot has its own vectors."""

    mean: FloatArray
    by_slot: bool
    concepts: LeastSquares
    objects: LeastSquares

    def component(self, table: SceneTable, part: Part) -> FloatArray:
        """The component of each scene, `[n, d]`."""
        if part == "concepts":
            return self.concepts(concept_design(table, self.by_slot))
        if part == "objects":
            return self.objects(object_design(table, self.by_slot))
        if part == "interaction":
            return self.component(table, "objects") - self.component(table, "concepts")
        raise InputError(f"unknown component {part!r}; expected one of {', '.join(PARTS)}")

    def residual(self, vectors: Vectors, table: SceneTable, part: Part | None, strength: float = 1.0) -> FloatArray:
        """Centred vectors minus `strength` times a component (None: nothing is subtracted), `[n, d]`."""
        centred = np.asarray(vectors, dtype=np.float64) - self.mean
        if part is None:
            return centred
        return without_rounding(centred - strength * self.component(table, part), centred)

    @property
    def interaction_rank(self) -> int:
        """Degrees of freedom of what makes an object more than its concepts."""
        return max(0, self.objects.rank - self.concepts.rank)


def fit_components(
    vectors: Vectors, table: SceneTable, rows: BoolArray | None = None, by_slot: bool = True
) -> Components:
    """Fit both on the rows of the mask `[n]` (all by default). O(n m C d + p^3 + p^2 d), p objects (times slots)."""
    array = checked_vectors(vectors, len(table))
    some, inside = (array, table) if rows is None else (array[rows], table.take(rows))
    if not len(some):
        raise InputError("no row to fit the components on; give at least one")
    concepts = Sums.of(some, concept_design(inside, by_slot))
    return Components(concepts.mean, by_slot, concepts.fitted(), Sums.of(some, object_design(inside, by_slot)).fitted())


def without_rounding(residual: FloatArray, centred: FloatArray) -> FloatArray:
    """The residual, or exact zeros where it is below 1e-8 of the variance that was there before."""
    if float((residual**2).sum()) < NEGLIGIBLE * float((centred**2).sum()):
        return np.zeros_like(residual)
    return residual


def permuted(table: SceneTable, part: Part, rng: np.random.Generator) -> SceneTable | None:
    """The scenes under wrong names: every value (or object) is called by the next in one random cycle.

    A concept with a single value keeps it. None where nothing can be exchanged.
    """
    if part == "objects":
        if table.n_objects < 2:
            return None
        moved = table.candidate_values[random_cycle(table.n_objects, rng)]
        values = np.where(table.present[:, :, None], moved[table.object_codes], ABSENT)
        return replace(table, values=values)
    if part != "concepts":
        raise InputError(f"only concepts and objects can be permuted, got {part!r}")
    known = [table.known_values(k) for k in range(table.space.n_concepts)]
    if all(len(values) < 2 for values in known):
        return None
    columns = [_exchanged(table.values[:, :, k], values, rng) for k, values in enumerate(known)]
    return replace(table, values=np.stack(columns, axis=2))


def _exchanged(column: IntArray, known: IntArray, rng: np.random.Generator) -> IntArray:
    if len(known) < 2:
        return column
    moved = known[random_cycle(len(known), rng)]
    return np.where(column == ABSENT, ABSENT, moved[np.minimum(np.searchsorted(known, column), len(known) - 1)])


def corrected_interaction(vectors: Vectors, table: SceneTable, components: Components) -> float:
    """Share of the variance that the interaction explains, without what its degrees of freedom alone would; may be < 0."""
    total, residual, concepts = (
        float((components.residual(vectors, table, part) ** 2).sum()) for part in (None, "objects", "concepts")
    )
    if total <= 0:
        return 0.0
    gained = concepts - residual
    free = len(table) - components.objects.rank
    noise = residual / free * components.interaction_rank if free > 0 else float("nan")
    return (gained - noise) / total


def retrieved(residual: FloatArray, vectors: Vectors, table: SceneTable, rows: IntArray) -> Recognised:
    """Does the residual of these rows `[n, d]` still find its own scene among all vectors (centred cosine)? `[q]`.

    A real vector that equals the row's own (within rounding) is no competitor: nobody could tell the two apart.
    """
    real, asked = unit(np.asarray(vectors, dtype=np.float64) - row_mean(vectors)), unit(residual[rows])
    gaps, ids = np.zeros(len(rows)), table.scene_ids
    step = max(1, 8_000_000 // len(real))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        scores, alike = asked[start : start + step] @ real.T, real[some] @ real.T > 1 - 1e-6
        own = (ids[some][:, None] == ids[None, :]) | alike
        best = np.where(own, scores, -np.inf).max(axis=1)
        gaps[start : start + step] = best - np.where(own, -np.inf, scores).max(axis=1)
    return top1(gaps)
