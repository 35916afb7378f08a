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
from numpy.typing import NDArray

from bindscope.concepts import ABSENT, IntArray
from bindscope.design import (
    NEGLIGIBLE,
    LeastSquares,
    Vectors,
    checked_vectors,
    concept_design,
    cross_products,
    gram,
    object_design,
    row_mean,
    solve,
)
from bindscope.errors import InputError
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

    def left(self, vectors: Vectors, table: SceneTable, part: Part | None, strength: float = 1.0) -> FloatArray:
        """Centred vectors minus `strength` times a component (None: nothing is subtracted), `[n, d]`."""
        away = np.asarray(vectors, dtype=np.float64) - self.mean
        if part is None:
            return away
        return without_rounding(away - strength * self.component(table, part), away)

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
    mean = row_mean(some)

    def fitted(part: str) -> LeastSquares:
        design = (concept_design if part == "concepts" else object_design)(inside, by_slot)
        total = np.asarray(design.sum(axis=0)).ravel()
        return solve(gram(design), cross_products(design, some) - np.outer(total, mean))

    return Components(mean, by_slot, fitted("concepts"), fitted("objects"))


def without_rounding(left: FloatArray, before: FloatArray) -> FloatArray:
    """What is left, or exact zeros where it is below 1e-8 of the variance that was there before."""
    if float((left**2).sum()) < NEGLIGIBLE * float((before**2).sum()):
        return np.zeros_like(left)
    return left


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
    away = components.left(vectors, table, None)
    total = float((away**2).sum())
    if total <= 0:
        return 0.0
    without = components.left(vectors, table, "objects")
    concepts = components.left(vectors, table, "concepts")
    residual, gained = float((without**2).sum()), float((concepts**2).sum()) - float((without**2).sum())
    free = len(table) - components.objects.rank
    noise = residual / free * components.interaction_rank if free > 0 else float("nan")
    return (gained - noise) / total


def retrieved(
    left: FloatArray, vectors: Vectors, table: SceneTable, rows: IntArray, tie: float = 2e-6
) -> tuple[BoolArray, BoolArray]:
    """Does what is left of these rows still find its own scene among all vectors (centred cosine)? Hits and ties `[q]`.

    A real vector that equals the row's own (within rounding) is no competitor: nobody could tell the two apart.
    """
    unit = _unit(np.asarray(vectors, dtype=np.float64) - row_mean(vectors))
    asked = _unit(left[rows])
    right, tied = np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
    ids = table.scene_ids
    step = max(1, 8_000_000 // len(unit))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        scores, alike = asked[start : start + step] @ unit.T, unit[some] @ unit.T > 1 - 1e-6
        own = (ids[some][:, None] == ids[None, :]) | alike
        best = np.where(own, scores, -np.inf).max(axis=1)
        gap = best - np.where(own, -np.inf, scores).max(axis=1)
        right[start : start + step] = gap > tie
        tied[start : start + step] = np.abs(gap) <= tie
    return right, tied


def _unit(vectors: FloatArray) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1.0), dtype=np.float32)
