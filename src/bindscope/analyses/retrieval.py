"""Top-1 retrieval and its rule for ties: of all real vectors, is the nearest one of the wanted scene?

Products of unit vectors are taken in single precision, so two that are closer than TIE are equal, and a tie with another
scene is a miss.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import IntArray
from bindscope.parallel import over_blocks
from bindscope.recognition import Recognised
from bindscope.scenes import FloatArray

Single = NDArray[np.float32]
TIE = 2e-6  # cosines in single precision closer than this are equal
_CELLS = 1_000_000  # scores at once: they should stay in the cache of the processor
_LEAST_QUERIES = 64


def unit(vectors: NDArray[np.floating]) -> Single:
    """Vectors `[..., d]` at unit length, divided in their own precision and then single; a zero vector stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1.0), dtype=np.float32)


def top1(gaps: FloatArray) -> Recognised:
    """Hits and ties of queries `[q]` by their gap: the best cosine with a wanted vector, minus the best with another.

    >>> top1(np.array([0.5, 1e-6, -0.5])).right.tolist()
    [True, False, False]
    """
    return Recognised(gaps > TIE, np.abs(gaps) <= TIE)


def own_minus_others(queries: Single, gallery: Single, first: IntArray, end: IntArray) -> FloatArray:
    """Largest product of query i `[q, r]` with its own rows first[i]..end[i] of the gallery `[n, r]`, minus that with others."""
    across = np.arange(int((end - first).max(initial=0)))

    def gaps(some: slice) -> Single:
        scores = queries[some] @ gallery.T
        mine = np.minimum(first[some, None] + across, end[some, None] - 1)  # short runs repeat their last row
        own = np.take_along_axis(scores, mine, axis=1).max(axis=1)
        np.put_along_axis(scores, mine, -np.inf, axis=1)
        return np.asarray(own - scores.max(axis=1))

    parts = over_blocks(gaps, len(queries), max(_LEAST_QUERIES, _CELLS // max(len(gallery), 1)))
    return np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)
