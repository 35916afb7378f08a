"""R^2 of a least-squares fit without one value, or one object, the fit included: what `jackknife` needs of figures of fits.

A row says too little about what its value does to a fit: with v left out, the vectors of other values explain more of what is
left. So the fit is made anew, from its normal equations less those of the rows that show v: O(p^3 + p^2 d) for each value.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg, sparse

from bindscope.concepts import IntArray
from bindscope.design import Vectors, cross_products, gram, row_mean
from bindscope.jackknife import Jackknife
from bindscope.scenes import FloatArray
from bindscope.uncertainty import Refit

MOST = 3e10  # multiplications that the fits without values, or without objects, may take: a few seconds
_RIDGE = 1e-10  # of the largest diagonal entry: columns that no row is left to show
_ROWS = 16_384


def refitted_r2(vectors: Vectors, design: sparse.csr_matrix, jackknife: Jackknife) -> Refit | None:
    """R^2 in sample of vectors `[n, d]` by a design `[n, p]` that spans the constant, without each value and each object.

    Objects are left out where that is affordable (MOST), None where not even values are.
    """
    values, objects = jackknife.of_values, jackknife.of_objects
    each = float(design.shape[1]) ** 2 * (design.shape[1] / 3 + vectors.shape[1])
    if each * sum(shows.shape[0] for shows in values) > MOST:
        return None
    parts = _Parts.of(vectors, design)
    own = parts.without(objects) if each * objects.shape[0] <= MOST and len(values) > 1 else None
    return Refit(tuple(parts.without(shows) for shows in values), own)


class _Parts:
    """Normal equations of centred vectors, with what is needed to take rows out of them."""

    def __init__(self, vectors: Vectors, design: sparse.csr_matrix, mean: FloatArray) -> None:
        self.vectors, self.design, self.mean = vectors, design, mean
        self.gram = gram(design)
        total = np.asarray(design.sum(axis=0)).ravel()
        self.cross = cross_products(design, vectors) - np.outer(total, mean)
        self.square = float(_squares(vectors, mean).sum())

    @classmethod
    def of(cls, vectors: Vectors, design: sparse.csr_matrix) -> _Parts:
        return cls(vectors, design.tocsr(), row_mean(vectors))

    def without(self, shows: sparse.csr_matrix) -> FloatArray:
        """R^2 of the rows that are left without each group `[G, n]`; groups that leave no spread are passed over."""
        found = [
            self._r2(np.asarray(shows.indices[a:b]))
            for a, b in zip(shows.indptr, shows.indptr[1:], strict=False)
            if b > a
        ]
        return np.array([one for one in found if one is not None])

    def _r2(self, rows: IntArray) -> float | None:
        design, taken = self.design[rows], np.asarray(self.vectors[rows], dtype=np.float64) - self.mean
        left, moved = len(self.vectors) - len(rows), -taken.sum(axis=0)
        if left < 2:
            return None
        shift = moved / left  # of the mean of the rows that are left
        total = self.square - float(np.square(taken).sum()) - left * float(shift @ shift)
        if total <= _RIDGE * self.square:
            return None
        matrix = self.gram - np.asarray((design.T @ design).toarray())
        matrix[np.diag_indices(len(matrix))] += _RIDGE * float(matrix.diagonal().max())
        right = self.cross - design.T @ taken
        half = linalg.solve_triangular(linalg.cholesky(matrix, lower=True), right, lower=True)
        explained = float(np.square(half).sum()) - left * float(shift @ shift)
        return explained / total


def _squares(vectors: Vectors, mean: FloatArray) -> FloatArray:
    """Squared distance of each row to the mean `[n]`, a block of rows at a time."""
    out = np.empty(len(vectors))
    for start in range(0, len(vectors), _ROWS):
        block = np.asarray(vectors[start : start + _ROWS], dtype=np.float64) - mean
        out[start : start + _ROWS] = np.einsum("nd,nd->n", block, block)
    return out
