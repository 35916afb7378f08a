"""The global product with factors that all slots share, by gradient: prod_k v_{k,c} occurs once for each slot.

Each factor enters to the m-th power, so no alternating step is linear. The additive part and W are profiled out
(variable projection, Golub and Pereyra 1973), and L-BFGS moves the factors alone. A step costs O(N r (d + m C)).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import optimize

from bindscope.complexity.cp import EXACT, Cells, Effort, Product, prepared, random_factors
from bindscope.scenes import FloatArray

_STEPS_PER_SWEEP = 3  # an L-BFGS step does less than an alternating sweep


def fit_shared_product(
    cells: Cells,
    target: FloatArray,
    n_concepts: int,
    rank: int,
    ridge: float,
    seed: int,
    effort: Effort,
    start: Sequence[FloatArray] | None = None,
) -> Product:
    """Fit factors `[V_k + 1, r]` of each concept to targets `[N, d]`; modes run slot by slot."""
    sizes = cells.sizes[:n_concepts]
    problem = prepared(cells, target, effort)
    if not rank or problem is None:
        return Product(tuple(np.ones((size + 1, rank)) for size in sizes), float(problem is not None), 0.0, 0, True)
    drawn = random_factors(sizes, rank, seed, effort.restarts, start)
    loss = _Profiled(*problem, n_concepts, ridge, rank)
    tries = [loss.minimised([factor[i] for factor in drawn], effort) for i in range(len(drawn[0]))]
    return min(tries, key=lambda found: found.left * loss.total + ridge * found.norm**2)


class _Profiled:
    """Loss over the factors, with the additive part and W at their optimum."""

    def __init__(self, cells: Cells, target: FloatArray, n_concepts: int, ridge: float, rank: int) -> None:
        self.cells, self.target, self.n_concepts, self.rank = cells, target, n_concepts, rank
        self.ridge = max(ridge, 1e-9)
        self.total = float(cells.weights @ np.square(target).sum(axis=1))
        self.sizes = cells.sizes[:n_concepts]

    def minimised(self, factors: list[FloatArray], effort: Effort) -> Product:
        """L-BFGS from one start."""
        begin = np.concatenate([factor[:-1].ravel() for factor in factors])
        found = optimize.minimize(
            self.loss,
            begin,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _STEPS_PER_SWEEP * effort.sweeps, "ftol": effort.tolerance * 1e-2, "gtol": 1e-9},
        )
        left, norm = self.judged(found.x)
        return Product(
            tuple(self.tables(found.x)), left, norm, int(found.nit), bool(found.status == 0 or left <= EXACT)
        )

    def tables(self, flat: FloatArray) -> list[FloatArray]:
        """Factors with their row of ones."""
        ends = np.cumsum([size * self.rank for size in self.sizes])[:-1]
        parts = np.split(flat, ends)
        ones = np.ones((1, self.rank))
        return [np.concatenate([p.reshape(-1, self.rank), ones]) for p in parts]

    def output(self, product: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Product without its additive part `[N, r]`, and W `[r, d]`."""
        own = product - self.cells.fitted(product)
        turned = (own * self.cells.weights[:, None]).T
        output = np.linalg.solve(turned @ own + self.ridge * np.eye(self.rank), turned @ self.target)
        return own, np.asarray(output)

    def loss(self, flat: FloatArray) -> tuple[float, FloatArray]:
        """Penalised squared error per unit of variance, and its gradient."""
        tables = self.tables(flat)
        modes = tables * (len(self.cells.sizes) // self.n_concepts)
        own, output = self.output(self.cells.product(modes))
        rest = self.target - own @ output
        error = float(self.cells.weights @ np.square(rest).sum(axis=1))
        value = error + self.ridge * (float(np.square(output).sum()) + float(flat @ flat))
        turned = (rest * self.cells.weights[:, None]) @ output.T
        downhill = -2.0 * (turned - self.cells.additive @ (self.cells.back.T @ turned))
        gradient = self.gradient(modes, downhill) + 2.0 * self.ridge * flat
        return value / self.total, gradient / self.total

    def gradient(self, modes: list[FloatArray], downhill: FloatArray) -> FloatArray:
        """Chain rule from the product `[N, r]` to the factors, added up over slots."""
        sums = [np.zeros((size, self.rank)) for size in self.sizes]
        for mode, one in enumerate(self.cells.indicators):
            sums[mode % self.n_concepts] += one @ (downhill * self.cells.product(modes, mode))
        return np.concatenate([part.ravel() for part in sums])

    def judged(self, flat: FloatArray) -> tuple[float, float]:
        """Share left, and norm of factors and W."""
        modes = self.tables(flat) * (len(self.cells.sizes) // self.n_concepts)
        own, output = self.output(self.cells.product(modes))
        error = float(self.cells.weights @ np.square(self.target - own @ output).sum(axis=1))
        return error / self.total, float(np.sqrt(np.square(output).sum() + flat @ flat))
