"""Additive plus low-rank product on cells of a tensor of which some are missing.

    t_s ~ sum_q u_{q, c_sq} + W prod_q v_{q, c_sq}        cells s, modes q, W [d, r], v_q [V_q, r]

a CP decomposition (Hitchcock 1927) on top of the marginals; the additive part and W are profiled out exactly. Where every
mode has factors of its own, by alternating least squares (Carroll and Chang 1970): v_q solves one r x r system for each
value, all restarts run at once, and a sweep costs O(S N (q r^2 + r d)) for S restarts and N cells, with d no more than the
rank of what the marginals leave. Where the slots share their factors no mode is linear any more, and L-BFGS minimises the
same objective from each start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import linalg, optimize

from bindscope.concepts import IntArray
from bindscope.scenes import FloatArray
from bindscope.streams import stream

EXACT = 1e-11  # share of the targets' variance left: a fit without error
_RANK_TOLERANCE = 1e-10
_KEEP_EVERY = 50  # sweeps (or a sixth of all, if these are fewer) after which the worse half of the restarts is dropped
_STEPS_PER_SWEEP = 3  # an L-BFGS step does less than an alternating sweep


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells `[N, q]` of value codes (V_q itself: the mode is absent there, its factor 1), and their weights `[N]`."""

    codes: IntArray
    sizes: tuple[int, ...]
    weights: FloatArray
    marginals: bool = True  # whether an additive part is fitted beside the product; else a constant alone

    @cached_property
    def complete(self) -> bool:
        """Whether no mode is absent anywhere."""
        return not (self.codes == np.array(self.sizes)).any()

    @cached_property
    def indicators(self) -> tuple[FloatArray, ...]:
        """One-hot rows of each mode, `[V_q, N]`; a cell whose mode is absent has no one."""
        return tuple(
            (np.arange(size)[:, None] == column).astype(np.float64)
            for size, column in zip(self.sizes, self.codes.T, strict=True)
        )

    @cached_property
    def additive(self) -> FloatArray:
        """Features of the additive part `[N, 1 + sum V_q]`, a constant first; without marginals the constant alone."""
        return np.concatenate([np.ones((1, len(self.codes))), *(self.indicators if self.marginals else ())]).T

    @cached_property
    def weighted(self) -> FloatArray:
        """The same, transposed and weighted, `[p, N]`."""
        return np.ascontiguousarray(self.additive.T * self.weights)

    @cached_property
    def back(self) -> FloatArray:
        """`[N, p]`: back @ weighted is the projection on the additive part."""
        inverse = linalg.pinvh(self.weighted @ self.additive, rtol=_RANK_TOLERANCE)
        return np.asarray(self.additive @ inverse)

    @cached_property
    def rank(self) -> int:
        """Rank of the additive part on these cells."""
        return int(np.linalg.matrix_rank(self.weighted @ self.additive, hermitian=True, tol=None))

    def fitted(self, columns: FloatArray) -> FloatArray:
        """What the additive part explains of columns `[..., N, d]`."""
        return np.asarray(self.back @ (self.weighted @ columns))

    def product(self, factors: Sequence[FloatArray], skip: int = -1) -> FloatArray:
        """prod_q v_{q,c} `[..., N, r]` of factors `[..., V_q + 1, r]` (last row: ones), with one mode left out."""
        parts = [f[..., self.codes[:, q], :] for q, f in enumerate(factors) if q != skip]
        out = parts[0] if parts else np.ones((*factors[0].shape[:-2], len(self.codes), factors[0].shape[-1]))
        for part in parts[1:]:
            out = out * part
        return np.asarray(out)


@dataclass(frozen=True, eq=False)
class Product:
    """The product term: factors `[V_q + 1, r]` a mode (last row ones).

    left: share of what the marginals leave that is not explained, on the fitted cells, in 0..1. norm: root of the summed
    squares of factors and W, targets scaled to unit variance; it grows without bound where the rank is too high.
    """

    factors: tuple[FloatArray, ...]
    left: float
    norm: float
    sweeps: int
    converged: bool

    @property
    def rank(self) -> int:
        """Number of components r."""
        return int(self.factors[0].shape[1])


@dataclass(frozen=True)
class Effort:
    """How long to try.

    tolerance: relative decrease of the objective in a sweep that counts as none. variance: share of what the marginals
    leave whose principal components are fitted. rows: most scenes on which factors are searched.
    """

    restarts: int = 16
    sweeps: int = 600
    tolerance: float = 1e-6
    variance: float = 1.0
    rows: int = 4000


def fit_product(
    cells: Cells,
    target: FloatArray,
    rank: int,
    ridge: float,
    seed: int = 0,
    effort: Effort = Effort(),
    start: Sequence[FloatArray] | None = None,
) -> Product:
    """Fit the product term to targets `[N, d]`; the best of the restarts (of one, from `start`, if given).

    ridge: penalty on the squared entries of factors and W, for targets of unit mean square and weights of mean 1.
    """
    problem = prepared(cells, target, effort)
    if not rank or problem is None:
        return _nothing(cells.sizes, rank, problem is not None)
    drawn = random_factors(cells.sizes, rank, seed, effort.restarts, start)
    return _Alternating(*problem, ridge, drawn).run(effort)


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
    """The same with factors `[V_k + 1, r]` of each concept that all slots share; modes run slot by slot."""
    sizes = cells.sizes[:n_concepts]
    problem = prepared(cells, target, effort)
    if not rank or problem is None:
        return _nothing(sizes, rank, problem is not None)
    drawn = random_factors(sizes, rank, seed, effort.restarts, start)
    loss = _Gradient(*problem, n_concepts, ridge, rank)
    tries = [loss.minimised([factor[i] for factor in drawn], effort) for i in range(len(drawn[0]))]
    return min(tries, key=lambda found: found.left * loss.total + ridge * found.norm**2)


def _nothing(sizes: Sequence[int], rank: int, varies: bool) -> Product:
    """No product term: rank 0, or nothing that the marginals leave."""
    return Product(tuple(np.ones((size + 1, rank)) for size in sizes), float(varies), 0.0, 0, True)


def prepared(cells: Cells, target: FloatArray, effort: Effort) -> tuple[Cells, FloatArray] | None:
    """Weights of mean 1, and what the marginals leave of the targets at unit mean square in principal components.

    None where the marginals leave nothing.
    """
    cells = replace(cells, weights=cells.weights / cells.weights.mean())
    left = target - cells.fitted(target)
    total = float(cells.weights @ np.square(left).sum(axis=1))
    whole = float(cells.weights @ np.square(target - cells.weights @ target / len(target)).sum(axis=1))
    if total <= EXACT * whole:
        return None
    return cells, _principal(left * np.sqrt(len(left) / total), cells.weights, effort.variance)


def random_factors(
    sizes: Sequence[int], rank: int, seed: int, restarts: int, start: Sequence[FloatArray] | None
) -> list[FloatArray]:
    """Factors `[S, V_q + 1, r]`: normal, or the given ones; the last row is one."""
    if start is not None:
        return [factor[None].copy() for factor in start]
    rng = stream(seed, "product factors")
    drawn = [rng.normal(size=(restarts, size + 1, rank)) for size in sizes]
    for factor in drawn:
        factor[:, -1] = 1.0
    return drawn


def _principal(left: FloatArray, weights: FloatArray, variance: float) -> FloatArray:
    """Scores of the principal components that hold a share of the weighted variance (all for 1)."""
    scaled = left * np.sqrt(weights)[:, None]
    wide = len(left) < left.shape[1]  # the smaller one of the two Gram matrices has the same eigenvalues
    values, axes = linalg.eigh(scaled @ scaled.T if wide else scaled.T @ scaled)
    kept = np.cumsum(values[::-1]) < variance * values.sum()
    count = min(int(kept.sum()) + 1, int((values > 1e-13 * values[-1]).sum()))
    axes = axes[:, ::-1][:, :count]
    return np.asarray(left @ (scaled.T @ axes / np.sqrt(values[::-1][:count]) if wide else axes))


class _Alternating:
    """Alternating least squares of all restarts at once; factors `[S, V_q + 1, r]`, W `[S, r, d]`."""

    def __init__(self, cells: Cells, target: FloatArray, ridge: float, factors: list[FloatArray]) -> None:
        self.cells, self.target, self.factors = cells, target, factors
        self.rank = factors[0].shape[-1]
        self.total = float(cells.weights @ np.square(target).sum(axis=1))
        self.penalty = max(ridge, 1e-12) * np.eye(self.rank)
        self.weighted = [one * cells.weights for one in cells.indicators]
        self.sizes = [np.maximum(one.sum(axis=1), 1e-300) for one in self.weighted]
        self.output: FloatArray = np.zeros(0)
        self.left: FloatArray = np.zeros(0)
        self.objective: FloatArray = np.zeros(0)

    def run(self, effort: Effort) -> Product:
        """Sweep until the best restart stands still; the worse half of the restarts is dropped now and then."""
        last, still = np.inf, 0
        drop = min(_KEEP_EVERY, max(1, effort.sweeps // 6))
        for sweep in range(1, effort.sweeps + 1):
            self.solve_output()
            best = float(self.objective.min())
            still = still + 1 if last - best <= effort.tolerance * best else 0
            if still >= 3 or float(self.left.min()) <= EXACT:
                return self.best(sweep, True)
            last = best
            if sweep % drop == 0 and len(self.objective) > 1:
                self.keep(np.argsort(self.objective, kind="stable")[: (len(self.objective) + 1) // 2])
            self.solve_factors()
        self.solve_output()
        return self.best(effort.sweeps, False)

    def solve_output(self) -> None:
        """W and the additive part, exactly; then every component's size is spread evenly over its factors."""
        product = self.cells.product(self.factors)
        own = product - self.cells.fitted(product)
        turned = np.swapaxes(own * self.cells.weights[:, None], 1, 2)
        second, right = turned @ own, turned @ self.target
        self.output = np.asarray(np.linalg.solve(second + self.penalty, right), dtype=np.float64)
        explained = 2 * (self.output * right).sum((1, 2)) - ((second @ self.output) * self.output).sum((1, 2))
        self.left = np.maximum(1.0 - explained / self.total, 0.0)
        if self.cells.complete:
            self.balance()
        self.objective = self.left * self.total + self.penalty[0, 0] * self.squares()

    def balance(self) -> None:
        """Equal norms of the factors of a component: the product is the same, the penalty least."""
        norms = [np.linalg.norm(f[:, :-1], axis=1) for f in self.factors] + [np.linalg.norm(self.output, axis=2)]
        sizes = np.maximum(np.stack(norms), 1e-150)
        wanted = np.exp(np.log(sizes).mean(axis=0))
        for factor, size in zip(self.factors, sizes, strict=False):
            factor[:, :-1] *= (wanted / size)[:, None]
        self.output = np.asarray(self.output * (wanted / sizes[-1])[:, :, None])

    def squares(self) -> FloatArray:
        """Summed squares of factors and W, `[S]`."""
        sums = [np.square(f[:, :-1]).sum((1, 2)) for f in self.factors] + [np.square(self.output).sum((1, 2))]
        return np.asarray(np.sum(sums, axis=0))

    def solve_factors(self) -> None:
        """Each mode in turn, with W fixed and the mode's own marginal profiled out (centring within each value)."""
        turned = np.swapaxes(self.output, 1, 2)
        scores, metric = self.target @ turned, self.output @ turned
        for mode, factor in enumerate(self.factors):
            others = self.cells.product(self.factors, mode)
            product = others * factor[:, self.cells.codes[:, mode]]
            wanted = scores + self.cells.fitted(product) @ metric
            factor[:, :-1] = self.solved(mode, others, wanted, metric)

    def solved(self, mode: int, others: FloatArray, wanted: FloatArray, metric: FloatArray) -> FloatArray:
        """Factors of one mode `[S, V_q, r]`: (M * Cov_c(others) + penalty) v_c = Cov_c(others, wanted)."""
        sums, count = self.weighted[mode], self.sizes[mode][:, None]
        pairs = (others[..., :, None] * others[..., None, :]).reshape(*others.shape[:2], -1)
        mean, centre = sums @ others, sums @ wanted / count
        if not self.cells.marginals:
            mean, centre = np.zeros_like(mean), np.zeros_like(centre)
        second = (sums @ pairs).reshape(*mean.shape, self.rank) - mean[..., :, None] * (mean / count)[..., None, :]
        right = sums @ (others * wanted) - mean * centre
        return np.asarray(np.linalg.solve(second * metric[:, None] + self.penalty, right[..., None])[..., 0])

    def keep(self, which: IntArray) -> None:
        """Go on with some of the restarts."""
        self.factors = [factor[which] for factor in self.factors]
        self.output, self.left, self.objective = self.output[which], self.left[which], self.objective[which]

    def best(self, sweeps: int, converged: bool) -> Product:
        """The restart with the smallest objective."""
        one = int(np.argmin(self.objective))
        norm = float(np.sqrt(self.squares()[one]))
        return Product(tuple(f[one] for f in self.factors), float(self.left[one]), norm, sweeps, converged)


class _Gradient:
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
