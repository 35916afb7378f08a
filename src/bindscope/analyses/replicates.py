"""What replicates of a scene tell: its mean, and how much of the variance is noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from bindscope.scenes import FloatArray, SceneTable

Vectors = np.ndarray[Any, Any]


def replicated(table: SceneTable) -> bool:
    """Whether any scene is shown by more than one row."""
    return len(table) > int(table.scene_ids.max()) + 1


def scene_means(vectors: Vectors, table: SceneTable) -> tuple[Vectors, FloatArray]:
    """For every row the mean over the rows of its scene `[n, d]`, and the number of those rows `[n]`."""
    ids = table.scene_ids
    order = np.argsort(ids, kind="stable")
    starts = np.r_[0, np.flatnonzero(np.diff(ids[order])) + 1]
    sizes = np.diff(np.r_[starts, len(ids)])
    sums = np.add.reduceat(np.asarray(vectors, dtype=np.float64)[order], starts, axis=0)
    return (sums / sizes[:, None])[ids], sizes[ids].astype(np.float64)


def within_scenes(vectors: Vectors, table: SceneTable) -> tuple[FloatArray, FloatArray]:
    """Squared distance of each row to the mean of its scene `[n]`, and the number of rows of that scene `[n]`."""
    means, sizes = scene_means(vectors, table)
    return ((vectors - means) ** 2).sum(axis=1, dtype=np.float64), sizes


def noise_floor(vectors: Vectors, table: SceneTable) -> FloatArray:
    """Unbiased estimate of the noise of each row `[n]`: what even the true function of the scene leaves of it.

    |z - mean of its scene|^2 r / (r - 1) for a scene of r >= 2 rows, NaN for scenes of one row.
    """
    residual, sizes = within_scenes(vectors, table)
    unbiased = residual * sizes / np.maximum(sizes - 1, 1)
    return np.where(sizes > 1, unbiased, np.nan)


def noise_ceiling(vectors: Vectors, table: SceneTable) -> tuple[FloatArray, FloatArray]:
    """Per-row contributions `[n]` to the noise and to the whole variance; the ceiling is 1 - ratio of their sums.

    Rows of scenes without replicates give nothing to either.
    """
    residual, sizes = within_scenes(vectors, table)
    several = sizes > 1
    centre = np.asarray(vectors, dtype=np.float64).mean(axis=0)
    total = ((np.asarray(vectors, dtype=np.float64) - centre) ** 2).sum(axis=1)
    unbiased = np.divide(sizes, sizes - 1, out=np.zeros_like(sizes), where=several)
    return residual * unbiased, total * several
