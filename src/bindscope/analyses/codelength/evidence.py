"""Bayesian linear regression with unknown noise variance, in closed form, for many outputs at once.

A scene's score along one component is y = f'b + t'w + e: f the values that it shows by slot (and a constant), t the
objects that it shows by slot, e ~ N(0, v). Given v, the weights are b ~ N(0, v V), w ~ N(0, v g): the scales are tried on
a grid and mixed. v has an inverse-gamma prior, cut off below at the floor of the precision. The marginal likelihood of
any set of rows then follows from sums over rows (normal-inverse-gamma; Bishop 2006, Sec. 3.3 and exercise 3.12):

  -n/2 log 2 pi - log|I + X S X'|/2 + log G(a_n)/G(a_0) + a_0 log b_0 - a_n log b_n + log P(a_n, b_n/floor)/P(a_0, b_0/floor)

with a_n = a_0 + n/2, b_n = b_0 + y'(I + X S X')^-1 y / 2 and P the regularised lower incomplete gamma function: the
probability that the variance is above its floor. The matrix depends on the rows, not on the output, so that one
factorisation serves all outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse, special

from bindscope.scenes import FloatArray

CONSTANT_SCALE = 1e4  # prior variance of the constant, relative to the noise: as good as free
TABLE_SCALES = (0.0, *(4.0**k for k in range(-3, 9)))  # of objects x slot; 0 means no table
VALUE_SCALES = tuple(4.0**k for k in (-3, 0, 3, 6, 8))  # of concepts x slot
_SMALLEST = 1e-250


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over rows: n; values f `[F]` (the constant first), table t `[P]` and outputs y `[D]` against each other."""

    n: int
    tt: FloatArray
    tf: FloatArray
    ff: FloatArray
    ty: FloatArray
    fy: FloatArray
    yy: FloatArray

    @classmethod
    def of(cls, values: sparse.csr_matrix, table: sparse.csr_matrix, outputs: FloatArray) -> Moments:
        """Moments of rows: values `[n, F]`, table `[n, P]`, outputs `[n, D]`."""
        dense = values.toarray()
        return cls(
            len(outputs),
            np.asarray((table.T @ table).toarray()),
            np.asarray(table.T @ dense),
            dense.T @ dense,
            np.asarray(table.T @ outputs),
            dense.T @ outputs,
            np.einsum("nd,nd->d", outputs, outputs),
        )

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.n + other.n,
            self.tt + other.tt,
            self.tf + other.tf,
            self.ff + other.ff,
            self.ty + other.ty,
            self.fy + other.fy,
            self.yy + other.yy,
        )


@dataclass(frozen=True, eq=False)
class Forms:
    """log|I + X S X'| `[G]` and y'(I + X S X')^-1 y `[G, D]` for each of G prior scales."""

    logdet: FloatArray
    quadratic: FloatArray

    def __sub__(self, other: Forms) -> Forms:
        return Forms(self.logdet - other.logdet, self.quadratic - other.quadratic)

    def beside(self, other: Forms) -> Forms:
        """Two sets of scales as one."""
        both = np.concatenate([self.quadratic, other.quadratic])
        return Forms(np.concatenate([self.logdet, other.logdet]), both)

    def pick(self, experts: slice) -> Forms:
        """Some of the scales."""
        return Forms(self.logdet[experts], self.quadratic[experts])


def forms(
    moments: Moments,
    seen: int,
    table_scales: Sequence[float] = TABLE_SCALES,
    value_scales: Sequence[float] = VALUE_SCALES,
) -> tuple[Forms, Forms]:
    """Forms without values (constant and table, `[T]`) and with them (`[T * V]`, table scale first).

    seen: columns of the table beyond this one are zero. O(T (P^3 / 3 + P^2 (F + D)) + T V F^2 (F + D)).
    """
    bare, full = [], []
    for scale in table_scales:
        core, right, quadratic, logdet = _without_table(moments, seen, scale)
        bare.append(_solved(core[:1, :1], right[:1], np.array([1 / CONSTANT_SCALE]), quadratic, logdet))
        for other in value_scales:
            precision = np.r_[1 / CONSTANT_SCALE, np.full(len(core) - 1, 1 / other)]
            full.append(_solved(core, right, precision, quadratic, logdet))
    return _stacked(bare), _stacked(full)


def _without_table(moments: Moments, seen: int, scale: float) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """f'f, f'y, y'y after the table is integrated out, and its share of the log-determinant."""
    if not scale or not seen:
        return moments.ff, moments.fy, moments.yy, 0.0
    matrix = moments.tt[:seen, :seen] + np.eye(seen) / scale
    lower, _ = linalg.lapack.dpotrf(matrix, lower=1, clean=0)
    both = np.concatenate([moments.tf[:seen], moments.ty[:seen]], axis=1)
    half, _ = linalg.lapack.dtrtrs(lower, both, lower=1)
    values, outputs = np.split(half, [len(moments.ff)], axis=1)
    logdet = 2 * float(np.log(np.diag(lower)).sum()) + seen * float(np.log(scale))
    left = moments.yy - np.einsum("pd,pd->d", outputs, outputs)
    return moments.ff - values.T @ values, moments.fy - values.T @ outputs, left, logdet


def _solved(
    core: FloatArray, right: FloatArray, precision: FloatArray, quadratic: FloatArray, logdet: float
) -> tuple[float, FloatArray]:
    """The same after the values with this prior precision are integrated out."""
    lower, _ = linalg.lapack.dpotrf(core + np.diag(precision), lower=1, clean=0)
    half, _ = linalg.lapack.dtrtrs(lower, right, lower=1)
    left = quadratic - np.einsum("fd,fd->d", half, half)
    own = 2 * float(np.log(np.diag(lower)).sum()) - float(np.log(precision).sum())
    return logdet + own, np.maximum(left, 0.0)


def _stacked(found: Sequence[tuple[float, FloatArray]]) -> Forms:
    return Forms(np.array([one for one, _ in found]), np.stack([left for _, left in found]))


@dataclass(frozen=True, eq=False)
class Noise:
    """What is known of the noise variances: inverse-gamma(shape `[G, 1]`, rate `[G, D]`) above floor `[D]`."""

    shape: FloatArray
    rate: FloatArray
    floor: FloatArray

    @classmethod
    def unknown(cls, experts: int, floor: FloatArray) -> Noise:
        """One observation at the floor: next to nothing is known."""
        return cls(np.full((experts, 1), 0.5), np.tile(floor, (experts, 1)), floor)

    def learnt(self, rows: int, change: Forms) -> tuple[Noise, FloatArray]:
        """The same after `rows` more rows, and the log predictive density of these, in nats `[G, D]`."""
        after = Noise(self.shape + rows / 2, self.rate + np.maximum(change.quadratic, 0.0) / 2, self.floor)
        density = after._log_mass() - self._log_mass() - change.logdet[:, None] / 2 - rows / 2 * np.log(2 * np.pi)
        return after, density

    def forgotten(self, experts: int) -> Noise:
        """The same, with the first so many experts knowing nothing."""
        fresh = Noise.unknown(experts, self.floor)
        shape = np.concatenate([fresh.shape, self.shape[experts:]])
        return Noise(shape, np.concatenate([fresh.rate, self.rate[experts:]]), self.floor)

    def _log_mass(self) -> FloatArray:
        """log of the integral of v^-(shape + 1) exp(-rate / v) over v above the floor."""
        above = log_gammainc(self.shape, self.rate / self.floor)
        return np.asarray(special.gammaln(self.shape) - self.shape * np.log(self.rate) + above)


def log_gammainc(shape: FloatArray, x: FloatArray) -> FloatArray:
    """log P(shape, x), the regularised lower incomplete gamma function, also where P itself underflows.

    There by the series P(a, x) = x^a e^-x / G(a + 1) (1 + x / (a + 1) + x^2 / ((a + 1)(a + 2)) + ...), DLMF 8.7.1.
    """
    wide = np.broadcast_to(shape, x.shape)
    plain = special.gammainc(wide, x)
    out = np.log(np.maximum(plain, _SMALLEST))
    tiny = plain < _SMALLEST
    if tiny.any():
        a, small = wide[tiny], x[tiny]
        term, total, step = np.ones_like(small), np.ones_like(small), 0
        while (term > 1e-17 * total).any():
            step += 1
            term = term * small / (a + step)
            total = total + term
        out[tiny] = a * np.log(small) - small - special.gammaln(a + 1) + np.log(total)
    return np.asarray(out)


@dataclass(frozen=True, eq=False)
class Mixture:
    """Experts (prior scales) that code together, each output by itself. log_weights `[G, D]` sum to one over experts."""

    log_weights: FloatArray
    noise: Noise

    @classmethod
    def start(cls, experts: int, floor: FloatArray) -> Mixture:
        """Equal weights, noise unknown."""
        return cls(np.full((experts, len(floor)), -np.log(experts)), Noise.unknown(experts, floor))

    def coded(self, rows: int, change: Forms) -> tuple[Mixture, float]:
        """The mixture after a block, and the block's log predictive density summed over outputs, in nats."""
        noise, density = self.noise.learnt(rows, change)
        joint = self.log_weights + density
        total = special.logsumexp(joint, axis=0)
        return Mixture(joint - total, noise), float(np.sum(total))

    def renewed(self, share: float, experts: int) -> Mixture:
        """For new predictions of the first so many experts: their noise unknown again, and a `share` (0..1] of the
        weight spread evenly over all experts."""
        kept = np.log1p(-share) + self.log_weights if share < 1 else np.full_like(self.log_weights, -np.inf)
        weights = np.logaddexp(kept, np.log(share / len(self.log_weights)))
        return Mixture(weights, self.noise.forgotten(experts))
