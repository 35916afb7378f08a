"""Additive learners: sum_i sum_k u_{k,c_ik}, exactly or with a penalty. A bag of concepts, by slot or not.

O(n m C d + p^3 + p^2 d) for p = sum V_k features (times m by slot).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from scipy import linalg, sparse

from bindscope.design import concept_design, cross_products, fit, gram, row_mean, solve, squared_errors
from bindscope.errors import InputError
from bindscope.learners.base import Approximator, Solution, Vectors, inner_rows, total_squares
from bindscope.names import Option, read_options
from bindscope.scenes import FloatArray, SceneTable

Slots = Literal["own", "shared"]
SLOTS = Option("own", choices=("own", "shared"))
TURNS, STILL = 30, 1e-4  # of the search for an additive function of unit length; change of a length that is none
PENALTIES = tuple(10.0**step for step in range(-4, 4))


def additive_features(table: SceneTable, slots: Slots) -> sparse.csr_matrix:
    """Indicators of the values `[n, 1 + p]`, by slot (`own`) or counted over slots, with a constant in front."""
    values = concept_design(table, by_slot=slots == "own")
    return sparse.csr_matrix(sparse.hstack([sparse.csr_matrix(np.ones((len(table), 1))), values]))


class Additive(Approximator):
    """Least squares on value indicators; where they are not identified, the solution of smallest norm."""

    def __init__(self, slots: Slots = "own") -> None:
        self.name, self.slots = "additive", slots

    def solve(self, table: SceneTable, vectors: Vectors, seed: int) -> Solution:
        """One solution of the normal equations."""
        mean = row_mean(vectors)
        solution = fit(additive_features(table, self.slots), np.asarray(vectors, dtype=np.float64) - mean)
        norm = float(np.linalg.norm(solution.coefficients))
        notes = {"slots": self.slots, "rank": solution.rank, "factor_norm": norm}
        return Solution(lambda other: solution(additive_features(other, self.slots)) + mean, True, notes)


class UnitAdditive(Approximator):
    """An additive function a(s) made as long as the training vectors are: L a / |a|, for vectors of one length.

    What an encoder that normalises a bag of concepts computes. Found by turns: a = least squares of z |a| on the values, then
    |a| of what came out.
    """

    def __init__(self, slots: Slots = "own") -> None:
        self.name, self.slots = "additive?length=unit", slots

    def solve(self, table: SceneTable, vectors: Vectors, seed: int) -> Solution:
        """At most TURNS turns; each is one pass over the rows."""
        design, size = additive_features(table, self.slots), np.linalg.norm(vectors, axis=1)
        inverse = solve(gram(design), np.zeros((design.shape[1], 1))).inverse
        unit = np.asarray(vectors, dtype=np.float64) / np.maximum(size, 1e-300)[:, None]
        scale, change = np.ones(len(unit)), 1.0
        for _ in range(TURNS):
            weights = inverse @ cross_products(design, unit * scale[:, None])
            found = np.linalg.norm(design @ weights, axis=1)
            found /= max(float(found.mean()), 1e-300)
            change, scale = float(np.abs(found - scale).max()), found
            if change < STILL:
                break

        def predict(other: SceneTable) -> FloatArray:
            long = additive_features(other, self.slots) @ weights
            length = np.maximum(np.linalg.norm(long, axis=1), 1e-300)
            return np.asarray(long * (float(size.mean()) / length)[:, None])

        return Solution(predict, change < STILL, {"slots": self.slots, "change": change})


class Ridge(Approximator):
    """Additive features (or vectors of values) with an L2 penalty per training row, the best on validation objects of a grid."""

    takes_words = True

    def __init__(self, penalties: Sequence[float] = PENALTIES, slots: Slots = "own") -> None:
        self.name, self.penalties, self.slots = "ridge", tuple(penalties), slots

    def solve(self, table: SceneTable, vectors: Vectors, seed: int) -> Solution:
        """Choose the penalty, then fit all rows."""
        design = self._design(table)
        penalty, judged = self._chosen(table, design, vectors, seed)
        (constant, weights), *_ = _ridge(design, vectors, [penalty])
        notes = {"slots": self.slots, "ridge": penalty, "factor_norm": float(np.linalg.norm(weights)), **judged}
        return Solution(lambda other: self._design(other) @ weights + constant, True, notes)

    def _design(self, table: SceneTable) -> sparse.csr_matrix:
        if self.words is not None:
            return sparse.csr_matrix(self.words(table))
        return concept_design(table, self.slots == "own")

    def _chosen(
        self, table: SceneTable, design: sparse.csr_matrix, vectors: Vectors, seed: int
    ) -> tuple[float, dict[str, float]]:
        inner = inner_rows(table, seed)
        if inner is None or len(self.penalties) == 1:
            return self.penalties[0], {}
        here, judge = inner
        fits = _ridge(design[here], vectors[here], self.penalties)
        left = [float(squared_errors(vectors[judge], design[judge] @ w + c).sum()) for c, w in fits]
        total = total_squares(vectors[judge], row_mean(vectors[judge]))
        best = int(np.argmin(left))
        return self.penalties[best], {"validation_r2": 1.0 - left[best] / total if total > 0 else float("nan")}


def _ridge(
    design: sparse.csr_matrix, vectors: Vectors, penalties: Sequence[float]
) -> list[tuple[FloatArray, FloatArray]]:
    """Constant `[d]` (not penalised) and weights `[p, d]` for each penalty per row."""
    centre = np.asarray(design.mean(axis=0)).ravel()
    mean = row_mean(vectors)
    second = gram(design) / len(vectors) - np.outer(centre, centre)
    values, axes = linalg.eigh(second)
    turned = axes.T @ cross_products(design, np.asarray(vectors, dtype=np.float64) - mean) / len(vectors)
    found = [axes @ (turned / (np.maximum(values, 0.0) + penalty)[:, None]) for penalty in penalties]
    return [(mean - centre @ weights, weights) for weights in found]


def load_additive(rest: str, tune: bool) -> Approximator:
    """`additive?slots=shared`, `additive?length=unit`."""
    length = Option("free", choices=("free", "unit"))
    found = read(rest, "additive", {"slots": SLOTS, "length": length})
    return (UnitAdditive if found["length"] == "unit" else Additive)(found["slots"])


def load_ridge(rest: str, tune: bool) -> Approximator:
    """`ridge?penalty=0.1` (else validation objects choose)."""
    found = read(rest, "ridge", {"slots": SLOTS, "penalty": Option(None, float, 0.0)})
    return Ridge(PENALTIES if found["penalty"] is None else (found["penalty"],), found["slots"])


def read(rest: str, owner: str, known: dict[str, Option]) -> dict[str, Any]:
    """Options `?key=value&key=value` of a learner that takes no argument before them."""
    if rest and not rest.startswith("?"):
        raise InputError(f"{owner} takes no argument, got {rest!r}; options look like {owner}?key=value")
    return read_options(rest.removeprefix("?"), known, owner)
