"""Linear maps from one side's components to the other's, prepared once for many right-hand sides.

Each map shrinks towards s I, one scale: two sides of one space are compared, so the identity is what has to be beaten.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import linalg

from bindscope.design import svd
from bindscope.scenes import FloatArray

MAPS = ("identity", "ridge", "procrustes")
PENALTIES = (1e4, 1e2, 1.0, 1e-2, 1e-4)  # relative to the mean square of a training row
Inside = tuple[float, float]


class Fitted:
    """A map for fixed rows of side A: side B's training rows in, predictions for the held-out rows out."""

    def __init__(self, predict: Callable[[FloatArray], FloatArray], train: Callable[[FloatArray], FloatArray]) -> None:
        self._predict, self._train = predict, train

    def __call__(self, b: FloatArray, score_train: bool = True) -> tuple[FloatArray, Inside]:
        """Predictions `[t, d]` and (squared error, total) on the training rows."""
        inside = (0.0, 0.0)
        if score_train:
            inside = (float(((b - self._train(b)) ** 2).sum()), float((b**2).sum()))
        return self._predict(b), inside


def prepare(name: str, a: FloatArray, held_out: FloatArray, penalty: float) -> Fitted:
    """The map `name` for training rows a `[n, d]` and held-out rows `[t, d]` of side A."""
    if name == "identity":
        return Fitted(lambda b: scale(a, b) * held_out, lambda b: scale(a, b) * a)
    if name == "ridge":
        return _ridge(a, held_out, penalty)
    return _procrustes(a, held_out, penalty)


def scale(a: FloatArray, b: FloatArray) -> float:
    """The best s of b ~ s a; 0 where a is nothing."""
    size = float((a**2).sum())
    return float((a * b).sum()) / size if size > 1e-300 else 0.0


def choose_penalty(name: str, a: FloatArray, b: FloatArray, more_a: FloatArray, more_b: FloatArray) -> float:
    """The penalty whose map of (a, b) predicts the validation rows best; the largest on a tie."""
    if name == "identity":
        return PENALTIES[0]
    errors = [float(((more_b - prepare(name, a, more_a, penalty)(b, False)[0]) ** 2).sum()) for penalty in PENALTIES]
    best = min(errors)
    return next(p for p, error in zip(PENALTIES, errors, strict=True) if error <= best * (1 + 1e-9) + 1e-300)


def _ridge(a: FloatArray, held_out: FloatArray, penalty: float) -> Fitted:
    """W = s I + a'(a a' + lambda)^-1 (b - s a) in the smaller of the two Gram matrices."""
    n, d = a.shape
    level = penalty * max(float((a**2).sum()) / max(n, 1), 1e-300)
    if n <= d:
        gram = a @ a.T
        gram[np.diag_indices(n)] += level
        solver = linalg.cho_factor(gram)
        back = linalg.cho_solve(solver, a @ held_out.T).T  # [t, n]
        own = linalg.cho_solve(solver, a @ a.T).T
    else:
        gram = a.T @ a
        gram[np.diag_indices(d)] += level
        weights = linalg.cho_solve(linalg.cho_factor(gram), a.T)
        back, own = held_out @ weights, a @ weights

    def predict(b: FloatArray) -> FloatArray:
        s = scale(a, b)
        return np.asarray(s * held_out + back @ (b - s * a))

    def train(b: FloatArray) -> FloatArray:
        s = scale(a, b)
        return np.asarray(s * a + own @ (b - s * a))

    return Fitted(predict, train)


def _procrustes(a: FloatArray, held_out: FloatArray, penalty: float) -> Fitted:
    """R = polar factor of a'b + lambda I; then one scale."""

    def rotation(b: FloatArray) -> FloatArray:
        cross = a.T @ b
        level = penalty * np.sqrt(float((a**2).sum()) * float((b**2).sum())) / max(len(a), 1)
        cross[np.diag_indices(len(cross))] += max(level, 1e-300)
        left, _, right = svd(cross)
        return np.asarray(left @ right)

    def predict(b: FloatArray) -> FloatArray:
        turn = rotation(b)
        return np.asarray(scale(a @ turn, b) * (held_out @ turn))

    def train(b: FloatArray) -> FloatArray:
        turned = a @ rotation(b)
        return np.asarray(scale(turned, b) * turned)

    return Fitted(predict, train)
