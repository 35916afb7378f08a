"""Similarities of the items: cosines of a model's vectors, and of counts of words, the bag-of-words baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bindscope.analyses.pairs.contests import Ranks, Scores, ranks
from bindscope.analyses.pairs.edits import words
from bindscope.concepts import ABSENT, IntArray
from bindscope.datasets.pairs import PairSet
from bindscope.scenes import FloatArray

_ROWS = 4_096


@dataclass(frozen=True, eq=False)
class Sides:
    """Rows of unit length: texts `[T, d]` (dense or sparse) and images `[I, d]`, or None."""

    texts: Any
    images: NDArray[np.floating[Any]] | None = None

    @classmethod
    def of_vectors(cls, texts: NDArray[np.floating[Any]], images: NDArray[np.floating[Any]] | None) -> Sides:
        """Cosine: vectors brought to unit length."""
        return cls(unit(texts), None if images is None else unit(images))

    @classmethod
    def of_words(cls, pairs: PairSet) -> Sides:
        """The cosine of counts of words: a bag that knows which words stand in a caption, and nothing else."""
        return cls(word_counts(pairs.texts))


def unit(vectors: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Rows of length one, in double precision, so that equal bags stay equal within a few 1e-8."""
    double = np.asarray(vectors, dtype=np.float64)
    return np.asarray(double / np.linalg.norm(double, axis=1, keepdims=True))


def word_counts(texts: tuple[str, ...]) -> Any:
    """Counts of the words of each text, rows of unit length, as a sparse matrix `[T, W]`; zero where a text has none.

    >>> word_counts(("a cat", "A cat!")).toarray().round(3).tolist()
    [[0.707, 0.707], [0.707, 0.707]]
    """
    said = [words(text) for text in texts]
    number = {word: i for i, word in enumerate(sorted({word for one in said for word in one}))}
    rows = np.repeat(np.arange(len(said)), [len(one) for one in said])
    columns = np.array([number[word] for one in said for word in one], dtype=np.int64)
    counts = sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(said), max(len(number), 1))).tocsr()
    counts.sum_duplicates()
    length = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    return sparse.diags(1.0 / np.where(length > 0, length, 1.0)) @ counts


def score(pairs: PairSet, sides: Sides) -> Scores:
    """Similarities of all items, O(n K d); NaN where there is no such caption or picture."""
    caption, other = pairs.caption, pairs.paraphrase
    negatives = pairs.negatives
    texts, images = sides.texts, sides.images
    n, width = negatives.shape
    if images is None:
        seen, seen_wrong, second = (np.full(shape, np.nan) for shape in ((n, 2), (n, width), (n, 2)))
    else:
        seen = np.stack([_dots(images, pairs.image, texts, one) for one in (caption, other)], axis=1)
        seen_wrong = _each(images, pairs.image, texts, negatives)
        second = np.stack([_dots(images, pairs.other_image, texts, one) for one in (caption, negatives[:, 0])], axis=1)
    return Scores(
        _dots(texts, caption, texts, other),
        _each(texts, np.where(other >= 0, caption, ABSENT), texts, negatives),
        _each(texts, other, texts, negatives),
        seen,
        seen_wrong,
        second,
    )


def _each(left: Any, i: IntArray, right: Any, columns: IntArray) -> FloatArray:
    return np.stack([_dots(left, i, right, column) for column in columns.T], axis=1)


def _dots(left: Any, i: IntArray, right: Any, j: IntArray) -> FloatArray:
    """left[i] . right[j], row by row `[n]`; NaN where either is -1."""
    out = np.full(len(i), np.nan)
    there = np.flatnonzero((i >= 0) & (j >= 0))
    for start in range(0, len(there), _ROWS):
        part = there[start : start + _ROWS]
        one, two = left[i[part]], right[j[part]]
        if hasattr(one, "multiply"):  # sparse
            out[part] = np.asarray(one.multiply(two).sum(axis=1)).ravel()
        else:
            out[part] = np.einsum("nd,nd->n", one, two)
    return out


def retrieve(pairs: PairSet, sides: Sides, rows: IntArray, by_image: bool) -> Ranks:
    """Where the own caption of some items stands among all captions and negatives, asked for by the picture or by the other
    wording. Other right captions of the same picture are left out of that item's gallery."""
    gallery = np.unique(np.concatenate([pairs.caption, pairs.negatives[pairs.negatives >= 0].ravel()]))
    position = np.full(len(pairs.texts), ABSENT, dtype=np.int64)
    position[gallery] = np.arange(len(gallery))
    own = position[pairs.caption[rows]]
    wrong = np.where(pairs.negatives[rows] < 0, ABSENT, position[pairs.negatives[rows]])
    asked = (
        sides.images[pairs.image[rows]]
        if by_image and sides.images is not None
        else sides.texts[pairs.paraphrase[rows]]
    )
    left_out = _also_right(pairs, rows, position)
    return ranks(asked.astype(np.float32), sides.texts[gallery].astype(np.float32), own, wrong, left_out)


def _also_right(pairs: PairSet, rows: IntArray, position: IntArray) -> IntArray:
    """Positions of other right captions of the same picture, `[q, R]`, -1 pads."""
    members: dict[int, set[int]] = {}
    for cluster, caption in zip(pairs.cluster.tolist(), position[pairs.caption].tolist(), strict=True):
        members.setdefault(cluster, set()).add(caption)
    own = position[pairs.caption[rows]].tolist()
    others = [
        sorted(members[cluster] - {mine}) for cluster, mine in zip(pairs.cluster[rows].tolist(), own, strict=True)
    ]
    wrong = [set(row) for row in position[pairs.negatives[rows]].tolist()]
    kept = [[one for one in found if one not in foils] for found, foils in zip(others, wrong, strict=True)]
    out = np.full((len(rows), max(map(len, kept), default=0)), ABSENT, dtype=np.int64)
    for i, found in enumerate(kept):
        out[i, : len(found)] = found
    return out
