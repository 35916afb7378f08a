"""Retrieval: is the real embedding nearest to a reconstruction one of the same scene?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from bindscope.concepts import IntArray
from bindscope.design import Vectors
from bindscope.geometry.levels import AdditiveModel, Reconstruction
from bindscope.scenes import BoolArray, FloatArray

MAX_GALLERY = 20_000  # above this many rows a seeded sample of the queries is scored
SAMPLED_QUERIES = 2_000
_CELLS = 8_000_000
_TIE = 2e-6  # cosines in single precision closer than this are equal


def sampled_rows(n_rows: int, seed: int) -> IntArray:
    """Rows to score: all, or 2,000 drawn by seed where there are more than 20,000."""
    if n_rows <= MAX_GALLERY:
        return np.arange(n_rows, dtype=np.int64)
    return np.sort(np.random.default_rng([seed, 53]).choice(n_rows, SAMPLED_QUERIES, replace=False))


def retrieval_hits(vectors: Vectors, rebuilt: Reconstruction, rows: IntArray) -> BoolArray:
    """For each of the rows: is the nearest real embedding (raw cosine, all rows are the gallery) one of the same scene?

    The same scene up to the order of objects for models without slots. A tie with another scene is a miss. Equal
    reconstructions are scored once, in the span of the model's components: O(distinct * n * min(d, components)).
    """
    length = np.linalg.norm(vectors, axis=1)
    unit = np.asarray(vectors / np.where(length > 0, length, 1.0)[:, None], dtype=np.float32)
    hits = np.zeros(len(rows), dtype=bool)
    for number, model in enumerate(rebuilt.models):
        here = np.flatnonzero(rebuilt.owner[rows] == number)
        if len(here):
            hits[here] = _hits_of_model(unit, rebuilt, model, rows[here])
    return hits


def _hits_of_model(unit: NDArray[np.float32], rebuilt: Reconstruction, model: AdditiveModel, rows: IntArray) -> BoolArray:
    table = rebuilt.table
    ids = table.scene_ids if model.by_slot else table.multiset_ids
    _, first, back = np.unique(ids[rows], return_index=True, return_inverse=True)
    chosen = rows[first]
    design = model.design(table.take(chosen))
    basis = _span(model)
    if basis is None:
        guesses, gallery = design @ model.coefficients + model.mean, unit
    else:
        guesses = design @ (model.coefficients @ basis) + model.mean @ basis
        gallery = unit @ basis.astype(np.float32)
    guesses = guesses / np.maximum(np.linalg.norm(guesses, axis=1, keepdims=True), 1e-300)
    return nearest_is_own(guesses.astype(np.float32), gallery, ids, ids[chosen])[back]


def nearest_is_own(
    queries: NDArray[np.float32], gallery: NDArray[np.float32], gallery_ids: IntArray, own_ids: IntArray
) -> BoolArray:
    """Is the largest product of each query `[q, r]` with the gallery `[n, r]` at a row of its own id, alone at the top?"""
    order = np.argsort(gallery_ids, kind="stable")
    ordered = gallery_ids[order]
    gallery = gallery[order].T
    low, high = np.searchsorted(ordered, own_ids, "left"), np.searchsorted(ordered, own_ids, "right")
    hits = np.zeros(len(queries), dtype=bool)
    step = max(1, _CELLS // max(len(ordered), 1))
    for start in range(0, len(queries), step):
        scores = queries[start : start + step] @ gallery
        for i, row in enumerate(scores, start):
            own = row[low[i] : high[i]].max(initial=-np.inf)
            row[low[i] : high[i]] = -np.inf
            hits[i] = own > row.max(initial=-np.inf) + _TIE
    return hits


def _span(model: AdditiveModel) -> FloatArray | None:
    """Orthonormal basis `[d, r]` of all reconstructions of the model; None where it would not be smaller than d."""
    rows = np.concatenate([model.mean[None], model.coefficients])
    if len(rows) >= 0.8 * rows.shape[1]:
        values, axes = linalg.eigh(rows.T @ rows)
        keep = values > 1e-14 * values[-1]
        return np.asarray(axes[:, keep]) if keep.sum() < 0.8 * rows.shape[1] else None
    basis, _ = linalg.qr(rows.T, mode="economic")
    return np.asarray(basis)
