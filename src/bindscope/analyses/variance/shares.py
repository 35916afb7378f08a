"""Variance shares, nested: concepts, their slots, the within-object interaction, pairs across slots, and the rest.

Each step adds a block of indicators to a least-squares fit; its share is the drop of the squared error. The
interaction (objects x slot beyond concepts x slot) is what makes an object more than its concepts: the binding signal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from bindscope.analyses.replicates import within_scenes
from bindscope.concepts import IntArray
from bindscope.design import (
    NEGLIGIBLE,
    LeastSquares,
    Vectors,
    concept_design,
    cross_products,
    fit,
    gram,
    object_design,
    pair_design,
    row_mean,
    solve,
)
from bindscope.errors import TableError
from bindscope.parallel import one_thread
from bindscope.scenes import FloatArray, SceneTable, row_ids
from bindscope.streams import stream
from bindscope.uncertainty import permuted_within

STEPS = ("concepts", "slot", "interaction", "cross_object")
NULL_COMPONENTS = 64
_ROWS = 16_384


@dataclass(frozen=True, eq=False)
class VarianceShares:
    """Nested fits of one table.

    errors `[5, n]`: squared error of each row under the mean and after each step. ranks: of the mean (1) and after each
    step. noise: squared distance of each row to the mean of its scene `[n]` and the degrees of freedom of their sum,
    None without replicates.
    """

    errors: FloatArray
    ranks: tuple[int, ...]
    noise: tuple[FloatArray, int] | None

    @property
    def total(self) -> float:
        """Total sum of squares."""
        return float(self.errors[0].sum())

    @property
    def free(self) -> int:
        """Degrees of freedom that the last step leaves."""
        return int(self.errors.shape[1]) - self.ranks[-1]

    def contributions(self, step: int) -> FloatArray:
        """Sum of squares of a step, row by row `[n]`; step 4 is the residual."""
        left: FloatArray = self.errors[step]
        return left - self.errors[step + 1] if step < len(STEPS) else left

    def share(self, step: int) -> float:
        """Uncorrected share of a step (4 = residual), in 0..1."""
        return float(self.contributions(step).sum() / self.total)

    def correction(self, step: int) -> float:
        """What degrees of freedom alone add to a share; NaN where the last step leaves none."""
        mean_square = self.mean_square
        if step == len(STEPS):
            return -mean_square * (self.ranks[-1] - 1) / self.total
        return mean_square * (self.ranks[step + 1] - self.ranks[step]) / self.total

    @property
    def mean_square(self) -> float:
        """What one column that means nothing takes of the sum of squares; NaN where no degree of freedom is left.

        With replicates it is that between scenes, which what pairs cannot explain raises above the noise.
        """
        left, free = float(self.errors[-1].sum()), self.free
        if self.noise is not None and free > self.noise[1]:
            left, free = left - float(self.noise[0].sum()), free - self.noise[1]
        return left / free if free > 0 else float("nan")

    def corrected(self, step: int) -> float:
        """Share of a step without what degrees of freedom alone add; may be negative; the five sum to 1."""
        return self.share(step) - self.correction(step)

    @property
    def noise_share(self) -> float:
        """Share of the variance that differs between rows of the same scene, in 0..1; NaN without replicates."""
        if self.noise is None:
            return float("nan")
        return float(self.noise_contributions.sum() / self.total)

    @property
    def noise_contributions(self) -> FloatArray:
        """What each row adds to the sum of squares of noise, corrected for degrees of freedom, `[n]`."""
        if self.noise is None:
            return np.full(self.errors.shape[1], np.nan)
        return np.asarray(self.noise[0] * ((self.errors.shape[1] - 1) / self.noise[1]))


def variance_shares(vectors: Vectors, table: SceneTable) -> VarianceShares:
    """Fit the nested designs to scenes of one number of objects. O(n m^2 C^2 d + p^3), p columns of the largest design.

    Raises TableError where the embeddings do not vary.
    """
    mean = row_mean(vectors)
    start, scale = _squares(vectors, mean)
    if start.sum() <= 1e-12 * scale:
        raise TableError("the embeddings do not vary; there is no variance to share out")
    errors, ranks = [start], [1]
    for design in nested_designs(table):
        fitted = _fit_centred(design, vectors, mean)
        errors.append(_errors(vectors, mean, design, fitted))
        ranks.append(max(fitted.rank, ranks[-1]))
    return VarianceShares(np.array(errors), tuple(ranks), _within(vectors, table))


def nested_designs(table: SceneTable) -> list[sparse.csr_matrix]:
    """Designs of the four steps; each spans the ones before it."""
    objects = object_design(table, by_slot=True)
    return [
        concept_design(table, by_slot=False),
        concept_design(table, by_slot=True),
        objects,
        sparse.hstack([objects, pair_design(table)], format="csr"),
    ]


@dataclass(frozen=True, eq=False)
class InteractionTest:
    """A test of the interaction: the pooled F statistic, `[draws]` of it under the null, and degrees of freedom.

    F = [tr(R' P_i R) / df1] / [tr(R' (1 - P_f) R) / df2], R the residuals of concepts x slot, P_f the projection on objects x
    slot, P_i what it adds. freedom: df1, df2.
    """

    statistic: float
    null: FloatArray
    freedom: tuple[int, int]


def interaction_test(vectors: Vectors, table: SceneTable, draws: int, seed: int = 0) -> InteractionTest | None:
    """Freedman-Lane test of no interaction; None where concepts x slot say all that objects can, or objects say everything.

    Rows of one scene are averaged. The residuals of concepts x slot are permuted among scenes of as many objects and rows, and
    both sums of squares are taken anew: a sum of squares alone grows under permutation, since the residuals left the reduced
    design. Where scenes leave no degree of freedom but are shown several times, rows are permuted instead.
    The 64 leading principal axes of the residuals stand for all (a permutation leaves them as they are). What is below 1e-8 of
    the variance counts as nothing. Conservative where pairs of objects matter. One pass over the scenes a draw.
    """
    means, scenes, repeats = _scene_means(vectors, table)
    found = _Nested.of(scenes)
    if found.freedom[1] <= 0 and len(scenes) < len(table):
        means, scenes, repeats = np.asarray(vectors), table, np.ones(len(table), dtype=np.int64)
        found = _Nested.of(scenes)
    if min(found.freedom) <= 0:
        return None
    spread = float(_squares(means, row_mean(means))[0].sum())
    residual = _leading(_residuals(means, found.reduced, fit(found.reduced, means)), NULL_COMPONENTS)
    kinds = row_ids(np.column_stack([scenes.counts, repeats]))
    rng = stream(seed, "interaction null")
    null = [found.statistic(residual[permuted_within(kinds, rng)], NEGLIGIBLE * spread) for _ in range(draws)]
    return InteractionTest(found.statistic(residual, NEGLIGIBLE * spread), np.array(null), found.freedom)


@dataclass(frozen=True, eq=False)
class _Nested:
    """Concepts x slot inside objects x slot: the reduced design; sums over rows `[p, n]` of the full one; inverse Gram matrices;
    freedom: of the interaction, and what the full design leaves."""

    reduced: sparse.csr_matrix
    collect: sparse.csr_matrix
    merge: sparse.csr_matrix
    inverses: tuple[FloatArray, FloatArray]
    freedom: tuple[int, int]

    @classmethod
    def of(cls, table: SceneTable) -> _Nested:
        full = object_design(table, by_slot=True)
        reduced = concept_design(table, by_slot=True)
        large, small = (solve(gram(design), np.zeros((design.shape[1], 1))) for design in (full, reduced))
        freedom = (large.rank - small.rank, len(table) - large.rank)
        merge = _concepts_of_objects(table)
        return cls(reduced, full.T.tocsr().astype(np.float32), merge, (large.inverse, small.inverse), freedom)

    def statistic(self, residual: NDArray[np.float32], least: float) -> float:
        """Pooled F of residuals `[n, q]` of the reduced design, permuted or not; 0 where they are less than `least`."""
        total = float(np.square(residual, dtype=np.float64).sum())
        sums = np.asarray(self.collect @ residual, dtype=np.float64)
        fewer = self.merge @ sums
        with one_thread(len(sums)):
            full, concepts = (
                float((part * (inverse @ part)).sum())
                for part, inverse in zip((sums, fewer), self.inverses, strict=True)
            )
        if full - concepts <= least:
            return 0.0
        left = max(total - full, 1e-12 * total)
        return (full - concepts) / self.freedom[0] / (left / self.freedom[1])


def _concepts_of_objects(table: SceneTable) -> sparse.csr_matrix:
    """Which columns of objects x slot make each column of concepts x slot, `[m sum V_k, m O]`."""
    offsets = np.cumsum([0, *table.space.sizes[:-1]])
    columns = (table.candidate_values + offsets).ravel()
    objects = np.repeat(np.arange(table.n_objects), table.space.n_concepts)
    shape = (int(sum(table.space.sizes)), table.n_objects)
    one = sparse.csr_matrix((np.ones(len(columns)), (columns, objects)), shape=shape)
    return sparse.csr_matrix(sparse.block_diag([one] * table.n_slots))


def _scene_means(vectors: Vectors, table: SceneTable) -> tuple[Vectors, SceneTable, IntArray]:
    """Mean vector of each scene `[s, d]`, their table, and how many rows each has; the rows themselves where none repeats."""
    ids = table.scene_ids
    repeats = np.bincount(ids)
    if len(repeats) == len(ids):
        return np.asarray(vectors), table, np.ones(len(ids), dtype=np.int64)
    design = sparse.csr_matrix((np.ones(len(ids)), (np.arange(len(ids)), ids)))
    first = np.unique(ids, return_index=True)[1]
    return cross_products(design, vectors) / repeats[:, None], table.take(first), np.asarray(repeats, dtype=np.int64)


def _residuals(vectors: Vectors, design: sparse.csr_matrix, fitted: LeastSquares) -> NDArray[np.float32]:
    out = np.empty(vectors.shape, dtype=np.float32)
    for start in range(0, len(out), _ROWS):
        some = slice(start, start + _ROWS)
        out[some] = vectors[some] - fitted(design[some])
    return out


def _leading(residual: NDArray[np.float32], components: int) -> NDArray[np.float32]:
    """Rows in their leading principal axes."""
    if residual.shape[1] <= components:
        return residual
    if len(residual) < residual.shape[1]:  # fewer rows than dimensions: the same coordinates from the smaller side
        second = np.asarray(residual @ residual.T, dtype=np.float64)
        with one_thread(len(second)):
            values, turns = linalg.eigh(second)
        return np.asarray(turns[:, -components:] * np.sqrt(np.maximum(values[-components:], 0.0)), dtype=np.float32)
    second = np.asarray(residual.T @ residual, dtype=np.float64)
    with one_thread(len(second)):
        _, axes = linalg.eigh(second)
    return np.asarray(residual @ axes[:, -components:].astype(np.float32))


def _fit_centred(design: sparse.csr_matrix, vectors: Vectors, mean: FloatArray) -> LeastSquares:
    """Least squares of the centred vectors, which are never stored."""
    total = np.asarray(design.sum(axis=0)).ravel()
    return solve(gram(design), cross_products(design, vectors) - np.outer(total, mean))


def _squares(vectors: Vectors, mean: FloatArray) -> tuple[FloatArray, float]:
    """Squared distance of each row to the mean, `[n]`, and the sum of all squares."""
    out, scale = np.empty(len(vectors)), 0.0
    for start in range(0, len(vectors), _ROWS):
        block = np.asarray(vectors[start : start + _ROWS], dtype=np.float64)
        scale += float((block**2).sum())
        out[start : start + _ROWS] = ((block - mean) ** 2).sum(axis=1)
    return out, scale


def _errors(vectors: Vectors, mean: FloatArray, design: sparse.csr_matrix, fitted: LeastSquares) -> FloatArray:
    """Squared error of each row, `[n]`, a block of rows at a time."""
    out = np.empty(len(vectors))
    for start in range(0, len(vectors), _ROWS):
        some = slice(start, start + _ROWS)
        away = np.asarray(vectors[some], dtype=np.float64) - mean
        away -= fitted(design[some])
        out[some] = np.einsum("nd,nd->n", away, away)
    return out


def _within(vectors: Vectors, table: SceneTable) -> tuple[FloatArray, int] | None:
    """Squared distances `[n]` and degrees of freedom within rows of the same scene; None where no scene occurs twice."""
    free = len(table) - int(table.scene_ids.max()) - 1
    return (within_scenes(vectors, table)[0], free) if free else None
