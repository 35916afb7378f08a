"""Indicator designs of scenes and the one least-squares solver that all analyses share.

A design is a sparse `[n, p]` matrix of counts: how often an object, a concept value (per slot or not), or a pair of
values in two slots occurs in a scene. Its Gram matrix is small, so every fit is one symmetric eigenvalue problem of
size p after one pass over the rows: O(n q d + p^3 + p^2 d) for q non-zeros a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from bindscope.concepts import ABSENT, IntArray
from bindscope.errors import InputError, VectorsError
from bindscope.parallel import one_thread
from bindscope.scenes import BoolArray, FloatArray, SceneTable

Vectors = NDArray[np.floating]
NEGLIGIBLE = 1e-8  # of the variance: what is left below this is rounding
MAX_COLUMNS = 12_000  # a Gram matrix of 1.1 GiB
_ROWS = 16_384
_RANK_TOLERANCE = 1e-9  # eigenvalues of an indicator Gram below this share of the largest are rounding


def object_columns(table: SceneTable) -> int:
    """Columns of the design of objects per slot."""
    return int(object_design(table, by_slot=True).shape[1])


def object_design(table: SceneTable, by_slot: bool) -> sparse.csr_matrix:
    """Counts of objects `[n, O]`, or of objects per slot `[n, m * O]` (slot-major)."""
    return _indicators([table.object_codes[:, i] for i in range(table.n_slots)], table.n_objects, by_slot)


def concept_design(table: SceneTable, by_slot: bool) -> sparse.csr_matrix:
    """Counts of concept values `[n, sum V_k]`, or per slot `[n, m * sum V_k]` (slot, then concept, then value)."""
    sizes = table.space.sizes
    offsets = np.cumsum([0, *sizes[:-1]])
    codes = np.where(table.values == ABSENT, ABSENT, table.values + offsets)
    slots = [codes[:, i, k] for i in range(table.n_slots) for k in range(len(sizes))]
    owner = [i for i in range(table.n_slots) for _ in sizes]
    width = int(sum(sizes))
    shifted = [np.where(c == ABSENT, ABSENT, c + i * width * by_slot) for c, i in zip(slots, owner, strict=True)]
    return _stack(shifted, width * (table.n_slots if by_slot else 1))


def pair_design(table: SceneTable) -> sparse.csr_matrix:
    """Pairs of a concept value in one slot with a concept value in another, `[n, slot pairs * (sum V_k)^2]`.

    Columns that no row uses are dropped.
    """
    sizes = table.space.sizes
    columns, width = [], 0
    for i, j in combinations(range(table.n_slots), 2):
        for k, size in enumerate(sizes):
            for other, other_size in enumerate(sizes):
                left, right = table.values[:, i, k], table.values[:, j, other]
                here = (left != ABSENT) & (right != ABSENT)
                columns.append(np.where(here, width + left * other_size + right, ABSENT))
                width += size * other_size
    if not columns:
        return sparse.csr_matrix((len(table), 0))
    design = _stack(columns, width)
    return design[:, np.flatnonzero(np.diff(design.tocsc().indptr))].tocsr()


def _indicators(slots: list[IntArray], width: int, by_slot: bool) -> sparse.csr_matrix:
    shifted = [np.where(c == ABSENT, ABSENT, c + i * width * by_slot) for i, c in enumerate(slots)]
    return _stack(shifted, width * (len(slots) if by_slot else 1))


def _stack(columns: list[IntArray], width: int) -> sparse.csr_matrix:
    """Design with a one at each listed column of a row; -1 is left out, repeats add up."""
    codes = np.stack(columns, axis=1)
    rows, places = np.nonzero(codes != ABSENT)
    ones = np.ones(len(rows))
    return sparse.csr_matrix((ones, (rows, codes[rows, places])), shape=(len(codes), width))


@dataclass(frozen=True, eq=False)
class LeastSquares:
    """A minimum-norm least-squares fit.

    coefficients `[p, d]`; inverse `[p, p]`: pseudo-inverse of the Gram matrix, whose leverages are a_r' inverse a_s;
    rank of the design.
    """

    coefficients: FloatArray
    inverse: FloatArray
    rank: int

    def __call__(self, design: sparse.csr_matrix) -> FloatArray:
        """Predictions `[n, d]`."""
        return np.asarray(design @ self.coefficients)


def cross_products(design: sparse.csr_matrix, vectors: Vectors) -> FloatArray:
    """design' vectors `[p, d]` in double precision, a block of rows at a time."""
    total = np.zeros((design.shape[1], vectors.shape[1]))
    for start in range(0, len(vectors), _ROWS):
        block = np.asarray(vectors[start : start + _ROWS], dtype=np.float64)
        total += design[start : start + _ROWS].T @ block
    return total


def gram(design: sparse.csr_matrix) -> FloatArray:
    """design' design `[p, p]`; InputError where p is too large to hold it."""
    if design.shape[1] > MAX_COLUMNS:
        raise InputError(
            f"the design has {design.shape[1]:,} columns and a least-squares fit here takes at most {MAX_COLUMNS:,}; "
            "use fewer objects or values"
        )
    return np.asarray((design.T @ design).toarray(), dtype=np.float64)


def solve(gram_matrix: FloatArray, right: FloatArray) -> LeastSquares:
    """Minimum-norm solution of the normal equations gram b = right. O(p^3 + p^2 d)."""
    used = np.flatnonzero(np.diag(gram_matrix) > 0)
    coefficients = np.zeros_like(right)
    inverse = np.zeros_like(gram_matrix)
    if not len(used):
        return LeastSquares(coefficients, inverse, 0)
    with one_thread(len(used)):
        values, basis = linalg.eigh(gram_matrix[np.ix_(used, used)], driver="evd")
        keep = values > _RANK_TOLERANCE * values[-1]
        scaled = basis[:, keep] / np.sqrt(values[keep])
        inverse[np.ix_(used, used)] = scaled @ scaled.T
        coefficients[used] = scaled @ (scaled.T @ right[used])
    return LeastSquares(coefficients, inverse, int(keep.sum()))


def fit(design: sparse.csr_matrix, vectors: Vectors) -> LeastSquares:
    """Least squares of vectors `[n, d]` on a design `[n, p]`."""
    return solve(gram(design), cross_products(design, vectors))


def svd(matrix: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Thin singular value decomposition U, s, V'; by the slower driver where the fast one does not converge."""
    try:
        left, values, right = linalg.svd(matrix, full_matrices=False, lapack_driver="gesdd")
    except linalg.LinAlgError:
        left, values, right = linalg.svd(matrix, full_matrices=False, lapack_driver="gesvd")
    return np.asarray(left), np.asarray(values), np.asarray(right)


def rank(design: sparse.csr_matrix) -> int:
    """Rank of a design."""
    matrix = gram(design)
    used = np.flatnonzero(np.diag(matrix) > 0)
    if not len(used):
        return 0
    with one_thread(len(used)):
        values = linalg.eigvalsh(matrix[np.ix_(used, used)])
    return int((values > _RANK_TOLERANCE * values[-1]).sum())


def parse_estimator(estimator: str) -> tuple[str, bool]:
    """Kind (`avg` or `ols`) and whether every slot has its own vectors, of `avg`, `avg+pos`, `ols` or `ols+pos`."""
    kind, _, slot = estimator.partition("+")
    if kind not in ("avg", "ols") or slot not in ("", "pos"):
        raise InputError(f"unknown estimator {estimator!r}; expected one of avg, avg+pos, ols, ols+pos")
    return kind, slot == "pos"


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over rows that determine the vectors of objects or values; those of parts add up, so folds need one pass.

    counts `[p]`: how many rows show a component (`avg`), or how often it is shown (`ols`); cross `[p, d]`: sums of their
    vectors; gram `[p, p]` for `ols`, empty for `avg`.
    """

    kind: str
    rows: int
    total: FloatArray
    counts: FloatArray
    cross: FloatArray
    gram: FloatArray

    @classmethod
    def of(cls, vectors: Vectors, design: sparse.csr_matrix, kind: str = "ols") -> Sums:
        """Sums of vectors `[n, d]` on a design `[n, p]`. O(n q d) for q non-zeros a row."""
        features = design if kind == "ols" else design.sign()
        return cls(
            kind,
            len(vectors),
            np.asarray(np.sum(vectors, axis=0, dtype=np.float64)),
            np.asarray(features.sum(axis=0), dtype=np.float64).ravel(),
            cross_products(features, vectors),
            gram(features) if kind == "ols" else np.zeros((0, 0)),
        )

    @classmethod
    def joined(cls, parts: Sequence[Sums]) -> Sums:
        """The sums over the rows of all parts."""
        names = ("total", "counts", "cross", "gram")
        summed = (np.sum([getattr(part, name) for part in parts], axis=0) for name in names)
        return cls(parts[0].kind, sum(part.rows for part in parts), *summed)

    def without(self, part: Sums) -> Sums:
        """The sums over the other rows."""
        names = ("rows", "total", "counts", "cross", "gram")
        return Sums(self.kind, *(getattr(self, name) - getattr(part, name) for name in names))

    @property
    def mean(self) -> FloatArray:
        """Mean vector `[d]`."""
        return self.total / self.rows

    def fitted(self) -> LeastSquares:
        """Vectors `[p, d]` of the components, centred: joint least squares, or (`avg`) means of the rows that show each."""
        centred = self.cross - np.outer(self.counts, self.mean)
        if self.kind == "ols":
            return solve(self.gram, centred)
        return LeastSquares(centred / np.maximum(self.counts, 1.0)[:, None], self.gram, int((self.counts > 0).sum()))


def squared_errors(vectors: Vectors, predicted: Vectors) -> FloatArray:
    """Per-row squared distance `[n]`, in double precision, a block of rows at a time."""
    out = np.empty(len(vectors))
    for start in range(0, len(vectors), _ROWS):
        block = np.asarray(vectors[start : start + _ROWS], dtype=np.float64) - predicted[start : start + _ROWS]
        out[start : start + _ROWS] = np.einsum("nd,nd->n", block, block)
    return out


def centre(vectors: Vectors, rows: IntArray | BoolArray | None = None) -> tuple[FloatArray, FloatArray]:
    """Vectors minus the mean of the given rows (all by default), and that mean `[d]`, in double precision."""
    mean: FloatArray = np.asarray(np.mean(vectors if rows is None else vectors[rows], axis=0, dtype=np.float64))
    return np.asarray(vectors, dtype=np.float64) - mean, mean


def row_mean(vectors: Vectors) -> FloatArray:
    """Mean of the rows `[d]`, in double precision."""
    return np.asarray(np.mean(vectors, axis=0, dtype=np.float64))


def checked_vectors(vectors: Vectors, n_rows: int) -> Vectors:
    """The vectors as `[n, d]` floats; VectorsError on a wrong shape, a wrong row count, NaN or infinite numbers."""
    array = np.asarray(vectors)
    if array.ndim != 2 or array.shape[1] == 0:
        raise VectorsError(f"vectors must have shape [scenes, dimensions], got {list(array.shape)}")
    if len(array) != n_rows:
        raise VectorsError(f"the table has {n_rows} rows and the vectors have {len(array)}; give one vector a row")
    if not np.issubdtype(array.dtype, np.number) or np.issubdtype(array.dtype, np.complexfloating):
        raise VectorsError(f"vectors must be real numbers, got {array.dtype}")
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float32)
    for start in range(0, len(array), _ROWS):
        finite = np.isfinite(array[start : start + _ROWS])
        if not finite.all():
            row, column = (int(i) for i in np.argwhere(~finite)[0])
            raise VectorsError(
                f"vector {start + row}, dimension {column} is {array[start + row, column]}; all numbers must be finite"
            )
    return array
