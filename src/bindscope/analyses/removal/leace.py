"""LEACE in closed form: the smallest linear change after which no linear read-out can use the labels.

r(x) = x - W^+ P W (x - mu), with W = S_xx^(-1/2) and P the orthogonal projection on the columns of W S_xz (Belrose et
al., arXiv 2306.03819, Theorem 4.3). Labels are counts of values or objects in a scene, without slots, since that is what
the read-outs are asked for. Two levels: the concepts; or only the interaction, the part of the object counts that no
concept count explains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import linalg, sparse

from bindscope.design import (
    Vectors,
    centre,
    checked_vectors,
    concept_design,
    cross_products,
    gram,
    object_design,
    rank,
    solve,
    svd,
)
from bindscope.errors import InputError
from bindscope.scenes import FloatArray, SceneTable

Level = Literal["concepts", "objects", "interaction"]
LEVELS: tuple[Level, ...] = ("concepts", "objects", "interaction")
_TOLERANCE = 1e-10  # of the largest eigenvalue: directions below it hold rounding only
_RANK_TOLERANCE = 1e-6  # of the largest singular value of W S_xz


@dataclass(frozen=True, eq=False)
class Eraser:
    """x - (x - mean) @ read @ write: read `[d, r]`, write `[r, d]`, the most telling directions first."""

    mean: FloatArray
    read: FloatArray
    write: FloatArray

    @property
    def rank(self) -> int:
        """Number of dimensions that are erased."""
        return int(self.read.shape[1])

    def __call__(self, vectors: Vectors) -> FloatArray:
        """Vectors `[n, d]` without what the labels explain, centred by the fitted mean."""
        centred = np.asarray(vectors, dtype=np.float64) - self.mean
        return np.asarray(centred - (centred @ self.read) @ self.write)

    def first(self, count: int) -> Eraser:
        """The eraser of the `count` most telling directions alone."""
        return Eraser(self.mean, self.read[:, :count], self.write[:count])


def label_rank(table: SceneTable, level: Level) -> int:
    """Dimensions that erasing takes: the rank of the centred labels."""
    ranks = {"concepts": rank(concept_design(table, False)), "objects": rank(object_design(table, False))}
    if level == "interaction":
        return ranks["objects"] - ranks["concepts"]
    return ranks[_known(level)] - 1


def fit_leace(vectors: Vectors, table: SceneTable, level: Level) -> Eraser:
    """Fit on all rows of scenes of one number of objects. O(n d^2 + d^3 + p^3), p objects.

    Raises InputError where the labels have more dimensions than the vectors.

    >>> from bindscope.concepts import ConceptSpace
    >>> space = ConceptSpace.of([("color", ["red", "blue"]), ("shape", ["cube", "ball"])])
    >>> table = SceneTable.build(space, [[[a, b]] for a in (0, 1) for b in (0, 1)])
    >>> eraser = fit_leace(np.random.default_rng(0).normal(size=(4, 8)), table, "concepts")
    >>> eraser.rank
    2
    """
    array = checked_vectors(vectors, len(table))
    needed, dimensions = label_rank(table, _known(level)), array.shape[1]
    if needed > dimensions:
        raise InputError(
            f"erasing {level} takes {needed} dimensions and the vectors have {dimensions}; nothing would be left, so use "
            "wider vectors or fewer values"
        )
    mean, whiten, colour = _whitening(array)
    axes, size, _ = svd(whiten.T @ _covariance(array, table, level, mean).T)
    keep = size > _RANK_TOLERANCE * max(float(size.max(initial=0.0)), 1e-300)
    keep[needed:] = False
    return Eraser(mean, whiten @ axes[:, keep], (colour @ axes[:, keep]).T)


def random_eraser(vectors: Vectors, count: int, rng: np.random.Generator) -> Eraser:
    """The control: `count` random directions, erased in the same way (uniform where the vectors are white)."""
    mean, whiten, colour = _whitening(vectors)
    inside = whiten.shape[1]
    axes, _ = np.linalg.qr(rng.standard_normal((inside, min(count, inside))))
    return Eraser(mean, whiten @ axes, (colour @ axes).T)


def _known(level: Level) -> Level:
    if level not in LEVELS:
        raise InputError(f"unknown level {level!r} to erase; expected one of {', '.join(LEVELS)}")
    return level


def _whitening(vectors: Vectors) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean `[d]`, W `[d, r]` into white axes and its inverse `[d, r]`, in the span of the vectors."""
    centred, mean = centre(vectors)
    values, axes = linalg.eigh(centred.T @ centred / len(centred))
    keep = values > _TOLERANCE * max(float(values[-1]), 1e-300)
    root = np.sqrt(values[keep])
    return mean, axes[:, keep] / root, axes[:, keep] * root


def _covariance(vectors: Vectors, table: SceneTable, level: Level, mean: FloatArray) -> FloatArray:
    """Cross products of the labels with the centred vectors, `[q, d]`."""
    concepts, objects = concept_design(table, False), object_design(table, False)
    if level != "interaction":
        return _centred(concepts if level == "concepts" else objects, vectors, mean)
    explained = solve(gram(concepts), np.asarray((concepts.T @ objects).toarray(), dtype=np.float64))
    return _centred(objects, vectors, mean) - explained.coefficients.T @ _centred(concepts, vectors, mean)


def _centred(design: sparse.csr_matrix, vectors: Vectors, mean: FloatArray) -> FloatArray:
    return cross_products(design, vectors) - np.outer(np.asarray(design.sum(axis=0)).ravel(), mean)
