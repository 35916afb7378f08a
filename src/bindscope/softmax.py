"""Softmax regression with soft targets and an L2 penalty, solved by a preconditioned Newton method.

minimise  mean_n [ log sum_k exp s_nk - sum_k t_nk s_nk ] + penalty / 2 |W|^2,   s = X W + b.

The start is a ridge regression on the targets. Each Newton step is solved by conjugate gradients whose preconditioner
inverts every class's own block of the Hessian: few rows weigh in a class's block (those where it competes), so the
inverse is a low-rank correction (Woodbury's identity) of a diagonal one. Tens of products with X are enough where plain
gradient methods take thousands. One product costs O(n r K).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from bindscope.parallel import one_thread, over_blocks
from bindscope.scenes import FloatArray

Single = NDArray[np.float32]
_BIAS_PENALTY = 1e-9  # keeps the Hessian regular; adding a constant to all biases changes nothing
_HEAVY = 96  # rows of a class whose weight p (1 - p) is inverted exactly in the preconditioner
_HEAVY_SHARE = 0.5  # of all weight, below which the correction does not pay
_FORCING = 0.3  # relative accuracy of each Newton direction
_MAX_CG = 25
_ROWS = 1_024  # rows at once
_CLASSES = 25  # classes at once
_MAX_STEPS = 60
_BIAS_FLOOR = 1e-2  # share of a class's weight that its bias keeps in the diagonal when all of it is inverted exactly
_JITTER = 1e-5  # of the largest entry: single-precision products stay positive definite
_START_GAP = 14.0  # logits per unit of predicted target at the start, for targets of 1/2


@dataclass(frozen=True, eq=False)
class Problem:
    """Rows `[n, r]` in principal axes (`spectrum` `[r]`: mean squares), and targets `[n, K]` whose rows sum to 1."""

    rows: Single
    spectrum: FloatArray
    targets: sparse.csr_matrix

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class Solution:
    """weights `[r + 1, K]` (bias last); converged: the expected further decrease of the loss is below the tolerance."""

    weights: FloatArray
    converged: bool


def ridge_start(problem: Problem, penalty: float) -> FloatArray:
    """Start `[r + 1, K]`: ridge regression of the targets, stretched so that its largest predictions separate."""
    pull = _pull(problem)
    weights = np.zeros(pull.shape)
    weights[:-1] = pull[:-1] / (problem.spectrum + penalty)[:, None]
    share = problem.targets.multiply(problem.targets).sum() / len(problem)  # 1 / m for m distinct candidates
    return weights * (_START_GAP * 0.5 / max(float(share), 1e-3))


def solve(problem: Problem, penalty: float, start: FloatArray, tolerance: float) -> Solution:
    """Minimise to an expected further decrease below `tolerance` (nats a row), from `start` `[r + 1, K]`."""
    ones = np.ones((len(problem), 1), dtype=np.float32)
    rows = np.concatenate([problem.rows, ones], axis=1)
    pull = _pull(problem)
    ridge = np.r_[np.full(len(problem.spectrum), penalty), _BIAS_PENALTY][:, None]

    def loss(log_sum: float, weights: FloatArray) -> float:
        return log_sum - float((pull * weights).sum()) + 0.5 * float((ridge * weights**2).sum())

    weights = np.array(start, dtype=np.float64)
    chances, log_sum = _probabilities(rows, weights)
    value = loss(log_sum, weights)
    if np.log(weights.shape[1]) < value:  # a start that is worse than nothing
        weights = np.zeros_like(weights)
        chances, log_sum = _probabilities(rows, weights)
        value = loss(log_sum, weights)
    for _ in range(_MAX_STEPS):
        gradient = _gathered(rows, chances.__getitem__) - pull + ridge * weights
        inverse = _block_inverse(problem, rows, chances, ridge)
        direction = _newton_direction(rows, chances, ridge, gradient, inverse)
        decrement = -float((gradient * direction).sum())
        if decrement / 2 < tolerance:
            return Solution(weights + direction, True)
        step = 1.0
        while True:
            moved = weights + step * direction
            chances, log_sum = _probabilities(rows, moved)
            new = loss(log_sum, moved)
            if new <= value - 1e-4 * step * decrement:
                break
            step *= 0.5
            if step < 1e-6:  # single precision allows no further decrease
                return Solution(weights, decrement / 2 < 10 * tolerance)
        weights, value = moved, new
    return Solution(weights, False)


def _pull(problem: Problem) -> FloatArray:
    """Mean of row x target, `[r + 1, K]`: the constant part of the gradient."""
    top = np.asarray(problem.targets.T @ problem.rows, dtype=np.float64).T
    return np.concatenate([top, np.asarray(problem.targets.sum(axis=0))]) / len(problem)


def _probabilities(rows: Single, weights: FloatArray) -> tuple[Single, float]:
    """Softmax of the scores `[n, K]`, and the mean log normaliser."""
    single = weights.astype(np.float32)
    chances = np.empty((len(rows), weights.shape[1]), dtype=np.float32)

    def filled(some: slice) -> float:
        scores = rows[some] @ single
        top = scores.max(axis=1, keepdims=True)
        scores -= top
        np.exp(scores, out=scores)
        total = scores.sum(axis=1, keepdims=True)
        np.divide(scores, total, out=chances[some])
        return float((np.log(total, dtype=np.float64) + top).sum())

    return chances, sum(over_blocks(filled, len(rows), _ROWS)) / len(rows)


def _gathered(rows: Single, factor: Callable[[slice], Single]) -> FloatArray:
    """rows' factor / n `[r + 1, K]`, a block of rows at a time."""
    parts = over_blocks(lambda some: rows[some].T @ factor(some), len(rows), _ROWS)
    return np.asarray(sum(part.astype(np.float64) for part in parts)) / len(rows)


def _newton_direction(
    rows: Single,
    chances: Single,
    ridge: FloatArray,
    gradient: FloatArray,
    inverse: Callable[[FloatArray], FloatArray],
) -> FloatArray:
    """Solve Hessian x = -gradient by preconditioned conjugate gradients."""

    def hessian(x: FloatArray) -> FloatArray:
        single = x.astype(np.float32)

        def bent(some: slice) -> Single:
            moved = rows[some] @ single
            moved *= chances[some]
            moved -= chances[some] * moved.sum(axis=1, keepdims=True)
            return moved

        return _gathered(rows, bent) + ridge * x

    x = np.zeros_like(gradient)
    residual = -gradient
    ahead = inverse(residual)
    search, size = ahead, float((residual * ahead).sum())
    goal = _FORCING**2 * size
    for _ in range(_MAX_CG if size > 0 else 0):  # a gradient of zero is the optimum
        bent = hessian(search)
        length = size / float((search * bent).sum())
        x += length * search
        residual = residual - length * bent
        ahead = inverse(residual)
        size, last = float((residual * ahead).sum()), size
        if size <= goal:
            break
        search = ahead + size / last * search
    return x


def _block_inverse(
    problem: Problem, rows: Single, chances: Single, ridge: FloatArray
) -> Callable[[FloatArray], FloatArray]:
    """Approximate inverse of each class's Hessian block: diagonal, plus a correction for its heaviest rows.

    For B the heavy rows scaled by the root of their weight, (D + B'B)^-1 = D^-1 - F'F with F = L^-1 B D^-1 and
    L L' = 1 + B D^-1 B'. All classes at once: O(K h^2 r) for h heavy rows.
    """
    weight = (chances * (1.0 - chances)).T  # [K, n]
    spectrum = np.r_[problem.spectrum, 1.0]
    heavy = min(_HEAVY, rows.shape[1], len(rows))
    top = np.argpartition(weight, len(rows) - heavy, axis=1)[:, len(rows) - heavy :]
    theirs = np.take_along_axis(weight, top, axis=1)
    total = weight.sum(axis=1, dtype=np.float64)
    if theirs.sum() < _HEAVY_SHARE * total.sum():  # weight is spread over many rows, as at the start
        diagonal = (spectrum * (total / len(rows))[:, None] + ridge.T).T
        return lambda x: x / diagonal
    rest = np.maximum(total - theirs.sum(axis=1, dtype=np.float64), 0.0) / len(rows)
    diagonal = spectrum * rest[:, None] + ridge.T  # [K, r + 1]
    diagonal[:, -1] += _BIAS_FLOOR * total / len(rows)  # else 1e9 of it swamps the other directions
    root = np.sqrt(theirs / len(rows))
    single = diagonal.astype(np.float32)
    parts = over_blocks(
        lambda some: _woodbury(rows[top[some]] * root[some, :, None], single[some]), len(weight), _CLASSES
    )
    factor = np.concatenate(parts)

    def apply(x: FloatArray) -> FloatArray:
        columns = x.T.astype(np.float32)[:, :, None]
        with one_thread():
            return np.asarray((x.T / diagonal - (factor.transpose(0, 2, 1) @ (factor @ columns))[:, :, 0]).T)

    return apply


def _woodbury(some: Single, diagonal: Single) -> Single:
    """F `[K, h, r + 1]` for B `[K, h, r + 1]` and D `[K, r + 1]`."""
    scaled = some / diagonal[:, None, :]
    inner = scaled @ some.transpose(0, 2, 1)
    along = np.arange(some.shape[1])
    inner[:, along, along] += 1.0 + _JITTER * inner[:, along, along].max(axis=1, keepdims=True)
    lower = np.linalg.cholesky(inner.astype(np.float64))
    inverse = np.stack([linalg.lapack.dtrtri(one.T, lower=0)[0].T for one in lower])  # ten times faster than inv
    return np.asarray(inverse.astype(np.float32) @ scaled)
