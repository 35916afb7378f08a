"""Retrieval across the two sides: recall@k, with and without value-swapped distractors in the gallery.

Relevant is whatever shows the same objects, in any order. A swapped distractor has the same bag of values and shows other
objects. With b irrelevant items above the best relevant one and t tied with it, ties broken at random give recall@k the
expectation clip((k - b) / (t + 1), 0, 1); a tie at rank one is half credit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from bindscope.analyses.crossmodal.swaptest import TieRule
from bindscope.analyses.retrieval import TIE, Single
from bindscope.analyses.sides import TwoSides
from bindscope.concepts import IntArray
from bindscope.scenes import FloatArray, concatenate

_CELLS = 4_000_000


@dataclass(frozen=True, eq=False)
class Ranks:
    """For each query `[q]`: irrelevant items above the best relevant one, and tied with it, with the swapped distractors
    and without; `swapped_first`: the first item is a swapped distractor (1/2 on a tie). relevant, items, distractors:
    how many there are."""

    above: IntArray
    level: IntArray
    above_plain: IntArray
    level_plain: IntArray
    swapped_first: FloatArray
    relevant: IntArray
    distractors: IntArray
    items: int

    def hits(self, k: int, swapped: bool = True, rule: TieRule = "half") -> FloatArray:
        """Recall@k of each query, `[q]`; ties broken at random (the default), all lost or all won."""
        above, level = (self.above, self.level) if swapped else (self.above_plain, self.level_plain)
        if rule == "right":
            return (above < k).astype(np.float64)
        if rule == "wrong":
            return (above + level < k).astype(np.float64)
        return np.clip((k - above) / (level + 1.0), 0.0, 1.0)

    def chance(self, k: int, swapped: bool = True) -> FloatArray:
        """Recall@k of random scores, `[q]`: 1 - C(N - g, k) / C(N, k) for g relevant ones among N."""
        items = self.items - (0 if swapped else self.distractors)
        wrong = items - self.relevant
        log = gammaln(wrong + 1.0) - gammaln(np.maximum(wrong - k, 0) + 1.0)
        log = log - gammaln(items + 1.0) + gammaln(np.maximum(items - k, 0) + 1.0)
        return np.where(wrong >= k, 1.0 - np.exp(log), 1.0)


def rank_captions(sides: TwoSides, captions: Single, rows: IntArray | None = None) -> Ranks:
    """Scenes ask for captions `[S, d]` (one wording): some rows of side A (all by default) are the queries. O(n S d)."""
    bags, sets = _codes(sides)
    n = len(sides.table)
    asked = np.arange(n) if rows is None else rows
    return _ranks(sides.scenes[asked], captions, (bags[asked], sets[asked]), (bags[n:], sets[n:]))


def rank_scenes(sides: TwoSides, captions: Single, rows: IntArray | None = None) -> Ranks:
    """Captions ask for scenes: the captions of some rows of side A are the queries, and all rows are the gallery."""
    bags, sets = _codes(sides)
    n = len(sides.table)
    asked = np.arange(n) if rows is None else rows
    return _ranks(captions[sides.own[asked]], sides.scenes, (bags[asked], sets[asked]), (bags[:n], sets[:n]))


def _codes(sides: TwoSides) -> tuple[IntArray, IntArray]:
    """Bag and object multiset of the rows of both sides, in one numbering."""
    both = concatenate([sides.table, sides.caption_table])
    return both.bag_ids, both.multiset_ids


def _ranks(
    queries: Single, gallery: Single, asked: tuple[IntArray, IntArray], given: tuple[IntArray, IntArray]
) -> Ranks:
    """Ranks in blocks of queries; the gallery is ordered by bag, so that what matters stands side by side."""
    order = np.lexsort((given[1], given[0]))
    bags, sets, items = given[0][order], given[1][order], gallery[order]
    n = len(queries)
    out = np.zeros((6, n), dtype=np.int64)
    first = np.zeros(n)
    low, high = np.searchsorted(bags, asked[0]), np.searchsorted(bags, asked[0], side="right")
    step = max(1, _CELLS // max(len(items), 1))
    for start in range(0, n, step):
        part = slice(start, start + step)
        scores = queries[part] @ items.T
        for i, row in enumerate(scores, start):
            here = slice(low[i], high[i])
            out[:, i], first[i] = _rank(row, here, sets[here] == asked[1][i])
    return Ranks(out[0], out[1], out[2], out[3], first, out[4], out[5], len(items))


def _rank(row: NDArray[np.float32], bag: slice, relevant: NDArray[np.bool_]) -> tuple[IntArray, float]:
    own = row[bag]
    right, swapped = own[relevant], own[~relevant]
    best = right.max() if len(right) else np.float32(-np.inf)
    row[bag] = -np.inf
    top = row.max()
    above = int(np.count_nonzero(row > best + TIE)) if top > best + TIE else 0
    level = int(np.count_nonzero(row >= best - TIE)) - above if top >= best - TIE else 0
    more, tied = int((swapped > best + TIE).sum()), int((np.abs(swapped - best) <= TIE).sum())
    lead = float(swapped.max(initial=-np.inf)) - float(max(best, top))
    first = 0.0 if lead < -TIE else 0.5 if lead <= TIE else 1.0
    return np.array([above + more, level + tied, above, level, len(right), len(swapped)]), first
