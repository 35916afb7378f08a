"""The product term of a form: its features on scenes, and the cells on which its factors are fitted.

`per-object` lives on objects in slots: least squares gives a vector T of each, on which the form is a CP decomposition
with missing cells. That is exact where the form holds; where it does not, the scenes weigh the errors of the T among
each other, and a majorised loss (G <= m diag G) leads from there to the least squares on scenes. `global` lives on the
scenes themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from scipy import linalg

from bindscope.concepts import ABSENT, IntArray
from bindscope.design import cross_products, gram, object_design, solve
from bindscope.learners.additive import Slots
from bindscope.learners.products import Cells, Effort, Product, fit_product, fit_shared_product
from bindscope.scenes import FloatArray, SceneTable
from bindscope.streams import stream

_ROUNDS, _SWEEPS, _TOLERANCE = 40, 5, 1e-4


class Parts(Protocol):
    """The cells of one training table. freedom: how many the additive part leaves; weight: mean scenes of a cell."""

    @property
    def freedom(self) -> int:
        """Cells minus the rank of the additive part: no higher rank of the product can be told."""
        ...

    @property
    def weight(self) -> float:
        """Mean number of scenes of a cell."""
        ...

    @property
    def count(self) -> int:
        """Number of cells."""
        ...

    def fit(self, rank: int, ridge: float, seed: int, effort: Effort, start: Sequence[FloatArray] | None) -> Product:
        """Fit factors from random starts, or from the given ones."""
        ...

    def polished(self, product: Product, ridge: float) -> Product:
        """The factors led to the least squares on scenes."""
        ...


class ObjectParts:
    """Objects in slots (`own`), or objects (`shared`), of a table; vectors `[n, d]` are centred."""

    def __init__(self, table: SceneTable, vectors: FloatArray, slots: Slots, marginals: bool = True) -> None:
        self.slots, self.n_slots = slots, table.n_slots
        design = object_design(table, by_slot=slots == "own")
        used = np.flatnonzero(np.diff(design.tocsc().indptr))
        design = design[:, used]
        self.gram, self.cross = gram(design), cross_products(design, vectors)
        self.squares = float(np.square(vectors).sum())
        self.target = solve(self.gram, self.cross).coefficients
        slot, code = used // table.n_objects, used % table.n_objects
        sizes = np.array(table.space.sizes)
        tables = tuple(int(size) for size in sizes * (table.n_slots if slots == "own" else 1))
        counts = np.asarray(design.sum(axis=0), dtype=np.float64).ravel()
        self.cells = Cells(table.candidate_values[code] + slot[:, None] * sizes, tables, counts, marginals)

    @property
    def freedom(self) -> int:
        """Cells minus the rank of the additive part."""
        return len(self.cells.codes) - self.cells.rank

    @property
    def weight(self) -> float:
        """Mean number of scenes of a cell."""
        return float(self.cells.weights.mean())

    @property
    def count(self) -> int:
        """Number of cells."""
        return len(self.cells.codes)

    def fit(self, rank: int, ridge: float, seed: int, effort: Effort, start: Sequence[FloatArray] | None) -> Product:
        """CP decomposition of the objects' vectors, each weighted by its number of scenes."""
        return fit_product(self.cells, self.target, rank, ridge, seed, effort, start)

    def polished(self, product: Product, ridge: float) -> Product:
        """Majorise and minimise: targets E + D^-1 (R - G E) / m for the current fit E, a few sweeps, and again."""
        best, last, now = product, np.inf, product
        for _ in range(_ROUNDS if product.rank else 0):
            fitted, loss = self._on_scenes(now, ridge)
            if last - loss <= _TOLERANCE * last:
                break
            best, last = now, loss
            step = (self.cross - self.gram @ fitted) / (self.n_slots * self.cells.weights[:, None])
            effort = Effort(1, _SWEEPS, 0.0)
            again = fit_product(self.cells, fitted + step, product.rank, ridge, 0, effort, now.factors)
            now = replace(again, sweeps=now.sweeps + again.sweeps, converged=product.converged)
        return best

    def _on_scenes(self, product: Product, ridge: float) -> tuple[FloatArray, float]:
        """The best fit E `[cells, d]` with these factors to the scenes, and its squared error there."""
        features = np.concatenate([self.cells.additive, self.cells.product(product.factors)], axis=1)
        second = features.T @ self.gram @ features
        penalise(second, product.rank, ridge * self.weight)
        fitted = features @ solve_regular(second, features.T @ self.cross)
        explained = 2 * (fitted * self.cross).sum() - (fitted * (self.gram @ fitted)).sum()
        return fitted, float(self.squares - explained)


class SceneParts:
    """Scenes of a table (at most so many, drawn by seed) as cells; one mode for each concept in each slot."""

    def __init__(
        self, table: SceneTable, vectors: FloatArray, slots: Slots, seed: int, most: int, marginals: bool = True
    ) -> None:
        self.slots = slots
        rows = np.arange(len(table))
        if len(table) > most:
            rows = np.sort(stream(seed, "product scenes").choice(len(table), most, replace=False))
        sizes = table.space.sizes * table.n_slots
        self.cells = Cells(scene_codes(table)[rows], sizes, np.ones(len(rows)), marginals)
        self.target, self.n_concepts = vectors[rows], table.space.n_concepts

    @property
    def freedom(self) -> int:
        """Cells minus the rank of the additive part."""
        return len(self.cells.codes) - self.cells.rank

    @property
    def weight(self) -> float:
        """Scenes of a cell."""
        return 1.0

    @property
    def count(self) -> int:
        """Number of cells."""
        return len(self.cells.codes)

    def fit(self, rank: int, ridge: float, seed: int, effort: Effort, start: Sequence[FloatArray] | None) -> Product:
        """CP decomposition with own factors; by gradient where the slots share them."""
        if self.slots == "own":
            return fit_product(self.cells, self.target, rank, ridge, seed, effort, start)
        return fit_shared_product(self.cells, self.target, self.n_concepts, rank, ridge, seed, effort, start)

    def polished(self, product: Product, ridge: float) -> Product:
        """Nothing is left to do: the cells are the scenes."""
        return product


def scene_codes(table: SceneTable) -> IntArray:
    """Value codes `[n, m C]`, slot by slot; V_k where no object stands."""
    codes = np.where(table.values == ABSENT, np.array(table.space.sizes), table.values)
    return codes.reshape(len(table), table.n_slots * table.space.n_concepts)


def per_object_features(table: SceneTable, factors: Sequence[FloatArray], slots: Slots) -> FloatArray:
    """sum_i prod_k v_{i,k,c_ik}, `[n, r]`."""
    total = np.zeros((len(table), factors[0].shape[1]))
    for slot in range(table.n_slots):
        here = table.present[:, slot]
        own = [
            factor[table.values[here, slot, k] + (slot * size if slots == "own" else 0)]
            for k, (factor, size) in enumerate(zip(factors, table.space.sizes, strict=True))
        ]
        total[here] += np.prod(own, axis=0)
    return total


def global_features(table: SceneTable, factors: Sequence[FloatArray], slots: Slots) -> FloatArray:
    """prod_i prod_k v_{i,k,c_ik}, `[n, r]`; absent objects multiply by one."""
    codes = scene_codes(table)
    tables = list(factors) * (table.n_slots if slots == "shared" else 1)
    out = np.ones((len(table), factors[0].shape[1]))
    for column, factor in zip(codes.T, tables, strict=True):
        out *= factor[column]
    return out


def penalise(second: FloatArray, rank: int, penalty: float) -> None:
    """Add a penalty to the last `rank` diagonal entries of a Gram matrix, in place."""
    along = np.arange(len(second) - rank, len(second))
    second[along, along] += penalty


def solve_regular(second: FloatArray, right: FloatArray) -> FloatArray:
    """Smallest-norm solution of normal equations whose features may have very different sizes."""
    size = np.sqrt(np.diag(second))
    size[size <= 1e-12 * size.max(initial=0.0)] = 1.0  # a value that no row shows
    inverse = linalg.pinvh(second / np.outer(size, size), rtol=1e-10)
    return np.asarray(inverse @ (right / size[:, None]) / size[:, None])
