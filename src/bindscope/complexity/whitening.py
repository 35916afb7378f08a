"""Coordinates in which vectors are coded: principal components of a first block of scenes, scaled to unit variance.

The first block is not coded, so nothing that is coded later has a say in its own coordinates. Precision is the same in
every direction of the vectors: the variance of an error never counts as less than a floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from bindscope.design import row_mean
from bindscope.errors import InputError
from bindscope.scenes import FloatArray

Vectors = NDArray[np.floating]

Precision = Literal["total", "component"]
COMPONENTS = 0.99
FLOOR = 1e-4
_ROUNDING = 1e-10  # components with less than this share of the largest one's variance are rounding


@dataclass(frozen=True, eq=False)
class Whitening:
    """mean `[d]`, axes `[d, D]`, deviations `[D]` (of the scores along the axes), floor `[D]` in whitened units."""

    mean: FloatArray
    axes: FloatArray
    deviations: FloatArray
    floor: FloatArray

    def __call__(self, vectors: Vectors) -> FloatArray:
        """Whitened scores `[n, D]` of vectors `[n, d]`."""
        scores = (np.asarray(vectors, dtype=np.float64) - self.mean) @ self.axes
        return np.asarray(scores / self.deviations)


def whitening(
    vectors: Vectors,
    components: float = COMPONENTS,
    floor: float = FLOOR,
    precision: Precision = "total",
) -> Whitening:
    """Principal components of vectors `[n, d]` up to a share `components` (0..1) of their variance.

    `total`: the floors of all D components together are `floor` times the variance of these, the same for each in the
    units of the vectors (so R^2 counts up to 1 - floor). `component`: `floor` times the variance of each. No components
    where the vectors do not vary. O(n d min(n, d)).
    """
    if not 0.0 < components <= 1.0:
        raise InputError(f"components must be a share of the variance between 0 and 1, got {components}")
    if not 0.0 < floor < 1.0:
        raise InputError(f"the variance floor must be a share of the variance between 0 and 1, got {floor}")
    if precision not in ("total", "component"):
        raise InputError(f"precision must be 'total' or 'component', got {precision!r}")
    mean = row_mean(vectors)
    away = np.asarray(vectors, dtype=np.float64) - mean
    _, lengths, axes = linalg.svd(away, full_matrices=False, check_finite=False)
    variances = lengths**2 / len(away)
    size = float(np.square(vectors, dtype=np.float64).mean(axis=0).sum())
    kept = variances[(variances > _ROUNDING * variances.max(initial=0.0)) & (variances > _ROUNDING**1.2 * size)]
    if len(kept):
        explained = np.cumsum(kept) / kept.sum()
        kept = kept[: int(np.searchsorted(explained, components - 1e-12)) + 1]
    share = np.ones(len(kept)) if precision == "component" else kept.mean() / kept if len(kept) else kept
    return Whitening(mean, axes[: len(kept)].T, np.sqrt(kept), floor * share)
