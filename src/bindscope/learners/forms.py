"""The forms of a binding function as learners (Fig. 9 of arXiv 2605.31503).

    per-object   sum_i sum_k u_{k,c_ik} + W sum_i prod_k v_{i,k,c_ik}
    global       sum_i sum_k u_{k,c_ik} + W prod_i prod_k v_{i,k,c_ik}        W [d, r]

Factors (and u) belong to a slot (`own`) or to all (`shared`). Rank and ridge are chosen on validation objects; a ridge
lies on factors and W. With too high a rank the fit diverges on held-out objects, which `factor_norm` shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bindscope.design import row_mean, squared_errors
from bindscope.learners.additive import SLOTS, Slots, additive_features, read
from bindscope.learners.base import Approximator, Solution, Vectors, inner_rows, training_split
from bindscope.learners.parts import (
    ObjectParts,
    Parts,
    SceneParts,
    global_features,
    penalise,
    per_object_features,
    solve_regular,
)
from bindscope.learners.products import EXACT, Effort, Product
from bindscope.names import Option
from bindscope.scenes import FloatArray, SceneTable

Kind = Literal["per-object", "global"]
RANKS: dict[Kind, tuple[int, ...]] = {"per-object": (1, 2, 3, 4, 6, 8, 12, 16, 24, 32), "global": (1, 2, 3, 4, 6, 8)}
PATHS: dict[Kind, tuple[float, ...]] = {"per-object": (0.1, 0.01, 1e-4, 1e-6), "global": (0.1, 1e-3, 1e-6)}
STRONG = 1.0  # ridge tried from the first fit of a path upwards; the path goes downwards, each from the one before
PATIENCE = 3  # ranks in a row without gain on validation objects after which the search ends
SLACK = 0.01  # share of the validation error that is no gain, and within which the smaller rank is taken
HELD_OUT, MOST_FOLDS = (
    8,
    {"per-object": 4, "global": 2},
)  # validation objects wanted in all, and folds


def effort_of(kind: Kind, rows: int, final: bool) -> Effort:
    """How long to try while choosing and for the last fit; longer where there are few scenes."""
    if kind == "per-object":
        return Effort(32, 1500, 1e-7) if final else Effort(8, 200)
    most = 3000 if final else 1500
    used = min(rows, most)
    restarts, sweeps = min(max(4000 // used, 2), 8), min(max(90_000 // used, 60), 300)
    if final:
        return Effort(2 * restarts, 2 * sweeps, 3e-5, 0.98 if used > 1000 else 1.0, most)
    return Effort(restarts, sweeps, 1e-4, 0.95 if used > 1000 else 1.0, most)


class Form(Approximator):
    """`per-object` or `global`. rank, ridge: None lets validation objects choose; rank 0 is the additive part alone.

    additive: whether there is an additive part; without it the product stands alone beside a constant.
    """

    def __init__(
        self,
        kind: Kind,
        slots: Slots = "own",
        rank: int | None = None,
        ridge: float | None = None,
        ranks: Sequence[int] | None = None,
        additive: bool = True,
    ) -> None:
        self.name, self.kind, self.slots, self.ridge = kind, kind, slots, ridge
        self.ranks = (rank,) if rank is not None else tuple(RANKS[kind] if ranks is None else ranks)
        self.may_be_additive, self.additive = rank is None, additive

    def solve(self, table: SceneTable, vectors: Vectors, seed: int) -> Solution:
        """Choose rank and ridge on validation objects, then fit all rows."""
        choice = self._chosen(table, vectors, seed)
        centred = _Centred.of(vectors)
        effort = effort_of(self.kind, len(table), True)
        parts = self._parts(table, centred.rows, seed, effort)
        product = parts.polished(self._best(parts, choice, seed, effort), choice.ridge)
        weights = self._weights(table, centred.rows, product, choice.ridge * parts.weight)
        factors, mean = product.factors, centred.mean
        notes = {
            "rank": product.rank,
            "ridge": choice.ridge,
            "slots": self.slots,
            "factor_norm": product.norm,
            "product_left": product.left,
            "sweeps": product.sweeps,
            "validation": {str(rank): r2 for rank, r2 in choice.r2},
        }
        return Solution(lambda other: self._features(other, factors) @ weights + mean, product.converged, notes)

    def _parts(self, table: SceneTable, centred: FloatArray, seed: int, effort: Effort) -> Parts:
        if self.kind == "per-object":
            return ObjectParts(table, centred, self.slots, self.additive)
        return SceneParts(table, centred, self.slots, seed, effort.rows, self.additive)

    def _features(self, table: SceneTable, factors: Sequence[FloatArray]) -> FloatArray:
        product = per_object_features if self.kind == "per-object" else global_features
        additive = additive_features(table, self.slots).toarray() if self.additive else np.ones((len(table), 1))
        return np.concatenate([additive, product(table, factors, self.slots)], axis=1)

    def _weights(self, table: SceneTable, centred: FloatArray, product: Product, penalty: float) -> FloatArray:
        """The additive part and W, together, by least squares on the scenes."""
        features = self._features(table, product.factors)
        second = features.T @ features
        penalise(second, product.rank, penalty)
        return solve_regular(second, features.T @ centred)

    def _best(self, parts: Parts, choice: _Choice, seed: int, effort: Effort) -> Product:
        """The better one of the path of ridges and of random starts at the chosen ridge."""
        along = dict(self._path(parts, choice.rank, seed, effort, choice.ridge))[choice.ridge]
        if along.left <= EXACT or not choice.rank:
            return along
        afresh = parts.fit(choice.rank, choice.ridge, seed + 1, effort, None)
        return min(along, afresh, key=lambda p: p.left * parts.count + choice.ridge * p.norm**2)

    def _path(
        self, parts: Parts, rank: int, seed: int, effort: Effort, last: float | None = None
    ) -> Iterator[tuple[float, Product]]:
        """Fits at each ridge that is asked for: random starts at the first, from there upwards and downwards."""
        path = PATHS[self.kind]
        ridges = [ridge for ridge in path if last is None or ridge >= last] or [path[0]]
        first = parts.fit(rank, ridges[0], seed, effort, None)
        yield ridges[0], first
        product = first
        for ridge in (*ridges[1:], *([last] if last is not None and last not in ridges else [])):
            product = parts.fit(rank, ridge, seed, effort, (first if ridge > ridges[0] else product).factors)
            yield ridge, product
        if last is None:
            yield STRONG, parts.fit(rank, STRONG, seed, effort, first.factors)

    def _chosen(self, table: SceneTable, vectors: Vectors, seed: int) -> _Choice:
        if len(self.ranks) == 1 and (self.ridge is not None or not self.ranks[0]):
            return _Choice(self.ranks[0], self.ridge or 0.0)
        folds = [
            _Fold.of(self, table, vectors, seed + 101 * fold) for fold in range(_folds(table, MOST_FOLDS[self.kind]))
        ]
        usable = [fold for fold in folds if fold is not None]
        if not usable:
            return _Choice(self.ranks[0] if not self.may_be_additive else 0, self.ridge or PATHS[self.kind][0])
        return _search(self, usable, seed)


@dataclass(frozen=True)
class _Choice:
    """What was taken, and the best validation R^2 of each rank that was tried."""

    rank: int
    ridge: float
    r2: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, eq=False)
class _Centred:
    rows: FloatArray
    mean: FloatArray

    @classmethod
    def of(cls, vectors: Vectors) -> _Centred:
        mean = row_mean(vectors)
        return cls(np.asarray(vectors, dtype=np.float64) - mean, mean)


class _Fold:
    """One choice of validation objects."""

    def __init__(
        self, form: Form, fit: SceneTable, centred: FloatArray, judge: SceneTable, theirs: FloatArray, seed: int
    ) -> None:
        self.form, self.table, self.centred, self.judge, self.theirs = form, fit, centred, judge, theirs
        self.effort = effort_of(form.kind, len(fit), False)
        self.parts = form._parts(fit, centred, seed, self.effort)
        self.total = float(np.square(theirs).sum())  # about the mean of the rows that fit: one row may judge

    @classmethod
    def of(cls, form: Form, table: SceneTable, vectors: Vectors, seed: int) -> _Fold | None:
        inner = inner_rows(table, seed)
        if inner is None:
            return None
        fit, judge = inner
        centred = _Centred.of(vectors[fit])
        theirs = np.asarray(vectors[judge], dtype=np.float64) - centred.mean
        fold = cls(form, table.take(fit), centred.rows, table.take(judge), theirs, seed)
        return fold if fold.total > 0 else None

    def r2(self, product: Product, ridge: float) -> float:
        """R^2 on the validation objects, not below -1: a fit that diverged is bad, however far it went."""
        weights = self.form._weights(self.table, self.centred, product, ridge * self.parts.weight)
        predicted = self.form._features(self.judge, product.factors) @ weights
        return max(-1.0, 1.0 - float(squared_errors(self.theirs, predicted).sum()) / self.total)


def _folds(table: SceneTable, most: int) -> int:
    """Repeated choices of validation objects, so that enough of them judge."""
    each = max(1, round(0.1 * int(training_split(table).train.sum())))
    return min(-(-HELD_OUT // each), most)


def _search(form: Form, folds: Sequence[_Fold], seed: int) -> _Choice:
    """Ranks upwards until validation objects say no; the smallest rank whose error is near the best."""
    found: list[tuple[int, float, float]] = []
    highest = min(fold.parts.freedom for fold in folds)
    ranks = [rank for rank in form.ranks if rank <= max(highest, 1) or not form.may_be_additive]
    best, worse = -2.0, 0
    for rank in ([0] if form.may_be_additive else []) + ranks:
        r2, ridge, left = _judged(form, folds, rank, seed)
        found.append((rank, ridge, r2))
        worse = 0 if r2 > best + SLACK * (1.0 - best) else worse + 1
        best = max(best, r2)
        if worse >= PATIENCE or left <= 10 * EXACT:
            break
    enough = best - SLACK * (1.0 - best) - 1e-7
    rank, ridge, _ = next(one for one in found if one[2] >= enough)
    return _Choice(rank, ridge, tuple((rank, r2) for rank, _, r2 in found))


def _judged(form: Form, folds: Sequence[_Fold], rank: int, seed: int) -> tuple[float, float, float]:
    """Best mean validation R^2 over ridges, that ridge, and the smallest share that was left of the product term."""
    scores: dict[float, list[float]] = {}
    left = 1.0
    for fold in folds:
        for ridge, product in form._path(fold.parts, rank, seed, fold.effort, form.ridge if rank else 0.1):
            if form.ridge is None or ridge == form.ridge:
                scores.setdefault(ridge, []).append(fold.r2(product, ridge))
            left = min(left, product.left)
    ridge = max(scores, key=lambda one: float(np.mean(scores[one])))
    return float(np.mean(scores[ridge])), ridge, left


def load_per_object(rest: str, tune: bool) -> Approximator:
    """`per-object?rank=4&ridge=0.01&slots=shared&additive=no`."""
    return _load("per-object", rest)


def load_global(rest: str, tune: bool) -> Approximator:
    """`global?rank=4&ridge=0.01&slots=shared`."""
    return _load("global", rest)


def _load(kind: Kind, rest: str) -> Form:
    yes = Option("yes", choices=("yes", "no"))
    known = {"slots": SLOTS, "rank": Option(None, int, 0, 512), "ridge": Option(None, float, 0.0, 1e6), "additive": yes}
    found = read(rest, kind, known)
    return Form(kind, found["slots"], found["rank"], found["ridge"], additive=found["additive"] == "yes")
