"""Contests of right against wrong scores, with ties by three rules, and the figures of pairs that are made of them.

A contest is won where every right score lies above every wrong one. Scores within TIE of each other are tied: `wrong`
counts a tie as lost, `right` as won, `half` gives what breaking it at random gives: with a right and b wrong scores tied at
the border, 1 / binom(a + b, a). A function of the bag of words has exactly this credit on the same-bag subset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import comb

from bindscope.concepts import IntArray
from bindscope.scenes import BoolArray, FloatArray

TieRule = Literal["wrong", "half", "right"]
TIE_RULES: tuple[TieRule, ...] = ("wrong", "half", "right")
PAIR_CHANCE, GROUP_CHANCE = 1 / 4, 1 / 6  # of random scores, for two pictures with two captions
_CELLS = 8_000_000
TIE = 1e-6  # of a cosine: sums of single-precision word vectors in another order differ by up to a few 1e-7


@dataclass(frozen=True, eq=False)
class Contest:
    """Credit by rule `[n]` (NaN where it was not held), margin `[n]` of the lowest right over the highest wrong score, tied
    `[n]`, and what random scores reach, `[n]`."""

    credit: dict[TieRule, FloatArray]
    margin: FloatArray
    tied: FloatArray
    chance: FloatArray

    @property
    def held(self) -> BoolArray:
        """Where it was held, `[n]`."""
        return np.asarray(~np.isnan(self.margin))


def contest(right: FloatArray, wrong: FloatArray, tie: float = TIE) -> Contest:
    """Right scores `[n, a]` against wrong ones `[n, b]`; NaN pads. Not held where either side has none.

    >>> won = contest(np.array([[0.9], [0.5], [0.1]]), np.array([[0.2, 0.1], [0.5, 0.5], [0.3, 0.2]]))
    >>> [won.credit[rule].round(3).tolist() for rule in TIE_RULES]
    [[1.0, 0.0, 0.0], [1.0, 0.333, 0.0], [1.0, 1.0, 0.0]]
    """
    there = ~np.isnan(right).all(axis=1) & ~np.isnan(wrong).all(axis=1)
    low = np.where(np.isnan(right), np.inf, right).min(axis=1)
    high = np.where(np.isnan(wrong), -np.inf, wrong).max(axis=1)
    with np.errstate(invalid="ignore"):
        margin = np.where(there, low - high, np.nan)
        tied = there & (np.abs(margin) <= tie)
        a = (np.abs(right - low[:, None]) <= tie).sum(axis=1)
        b = (np.abs(wrong - high[:, None]) <= tie).sum(axis=1)
    won = np.where(there, (margin > tie).astype(np.float64), np.nan)
    broken = {"wrong": 0.0, "half": 1.0 / comb(a + b, a), "right": 1.0}
    credit: dict[TieRule, FloatArray] = {rule: np.where(tied, broken[rule], won) for rule in TIE_RULES}
    rights, wrongs = (~np.isnan(right)).sum(axis=1), (~np.isnan(wrong)).sum(axis=1)
    chance = np.where(there, 1.0 / comb(rights + wrongs, rights), np.nan)
    return Contest(credit, margin, tied.astype(np.float64), chance)


def both(parts: Sequence[Contest], chance: float | None = None) -> Contest:
    """All of several contests won; credit is the product. chance: of random scores, where the parts share scores."""
    credit: dict[TieRule, FloatArray] = {
        rule: np.prod([part.credit[rule] for part in parts], axis=0) for rule in TIE_RULES
    }
    margin = np.min([part.margin for part in parts], axis=0)  # NaN where one was not held
    tied = (credit["right"] > credit["wrong"]).astype(np.float64)
    level = np.prod([part.chance for part in parts], axis=0) if chance is None else np.full(len(margin), chance)
    return Contest(credit, margin, tied, np.where(np.isnan(margin), np.nan, level))


def mean_of(parts: Sequence[Contest]) -> Contest:
    """The mean credit of several contests, such as those of two pictures of an item."""
    credit: dict[TieRule, FloatArray] = {
        rule: np.mean([part.credit[rule] for part in parts], axis=0) for rule in TIE_RULES
    }
    margin = np.min([part.margin for part in parts], axis=0)
    tied = (credit["right"] > credit["wrong"]).astype(np.float64)
    return Contest(credit, margin, tied, np.where(np.isnan(margin), np.nan, np.mean([p.chance for p in parts], axis=0)))


@dataclass(frozen=True, eq=False)
class Scores:
    """Similarities of the items; NaN where there is none.

    other `[n]`: caption and its other wording. wrong `[n, K]`: caption and negatives; other_wrong `[n, K]`: other wording and
    negatives. seen `[n, 2]`: picture with caption and with the other wording; seen_wrong `[n, K]`: picture with negatives.
    second `[n, 2]`: the other picture with the caption and with the first negative, which describes it.
    """

    other: FloatArray
    wrong: FloatArray
    other_wrong: FloatArray
    seen: FloatArray
    seen_wrong: FloatArray
    second: FloatArray


def text_contests(scores: Scores) -> dict[str, Contest]:
    """What text alone answers. `preference`: the other wording prefers the caption to the negatives; `caption_asks`: the
    caption prefers its other wording; `all_right`: caption and other wording are nearer to each other than either is to a
    negative (the text-only score of SugarCrepe++, Dumpala et al. 2024)."""
    one = scores.other[:, None]
    return {
        "preference": contest(one, scores.other_wrong),
        "caption_asks": contest(one, scores.wrong),
        "all_right": contest(one, np.concatenate([scores.wrong, scores.other_wrong], axis=1)),
    }


def image_contests(scores: Scores) -> dict[str, Contest]:
    """What pictures answer. `preference`: the picture prefers its caption (of two pictures: their mean); `all_right`: both
    wordings before the negatives; `text`, `image`, `group`: Winoground's scores (Thrush et al. 2022) of two pictures."""
    first = contest(scores.seen[:, :1], scores.seen_wrong)
    found = {"preference": first}
    if not np.isnan(scores.seen[:, 1]).all():
        found["all_right"] = contest(np.where(np.isnan(scores.seen[:, 1:]), np.nan, scores.seen), scores.seen_wrong)
    if not np.isnan(scores.second).all():
        own, swapped = scores.second[:, 1:], scores.second[:, :1]
        back = contest(own, swapped)
        text = both([contest(scores.seen[:, :1], scores.seen_wrong[:, :1]), back])
        image = both([contest(scores.seen[:, :1], swapped), contest(own, scores.seen_wrong[:, :1])])
        found |= {"text": text, "image": image, "group": both([text, image], chance=GROUP_CHANCE)}
        found["preference"] = mean_of([first, back])
    return found


@dataclass(frozen=True, eq=False)
class Ranks:
    """Captions above the own one `[q]`, tied with it `[q]`, whether an own negative stands first `[q]` (1/2 on a tie)."""

    above: IntArray
    level: IntArray
    wrong_first: FloatArray
    gallery: int

    def hits(self, k: int, rule: TieRule = "half") -> FloatArray:
        """Recall@k `[q]`; ties lost, at random, or won."""
        if rule == "right":
            return (self.above < k).astype(np.float64)
        if rule == "wrong":
            return (self.above + self.level < k).astype(np.float64)
        return np.clip((k - self.above) / (self.level + 1.0), 0.0, 1.0)


def ranks(
    queries: Any, gallery: Any, own: IntArray, wrong: IntArray, left_out: IntArray | None = None, tie: float = TIE
) -> Ranks:
    """Where the own caption stands among all captions. queries `[q, d]` and gallery `[G, d]` of unit length, dense or sparse;
    own `[q]`, wrong `[q, K]` and left_out `[q, R]` (-1 pads): positions in the gallery. A block of queries at a time,
    O(q G d)."""
    n, items = len(own), int(gallery.shape[0])
    above, level = (np.zeros(n, dtype=np.int64) for _ in range(2))
    wrong_first = np.zeros(n)
    step = max(1, _CELLS // max(items, 1))
    for start in range(0, n, step):
        part = slice(start, start + step)
        scores = _products(queries[part], gallery)
        rows = np.arange(len(scores))
        if left_out is not None:
            where, column = np.nonzero(left_out[part] >= 0)
            scores[where, left_out[part][where, column]] = -np.inf
        best = scores[rows, own[part]]
        above[part] = (scores > best[:, None] + tie).sum(axis=1)
        level[part] = (scores >= best[:, None] - tie).sum(axis=1) - above[part] - 1
        foils = np.where(wrong[part] < 0, -np.inf, scores[rows[:, None], wrong[part]]).max(axis=1)
        lead = np.where(foils >= scores.max(axis=1) - tie, foils - best, -np.inf)
        wrong_first[part] = np.where(lead > tie, 1.0, np.where(lead >= -tie, 0.5, 0.0))
    return Ranks(above, level, wrong_first, items)


def _products(queries: Any, gallery: Any) -> FloatArray:
    found = queries @ gallery.T
    return np.asarray(found.toarray() if hasattr(found, "toarray") else found, dtype=np.float64)
