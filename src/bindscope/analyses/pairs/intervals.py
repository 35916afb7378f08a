"""Intervals of figures of pairs: pictures (or captions, where none is named) are left out in turn, with all their items.

The variance of a ratio of sums over G pictures is their delete-one jackknife (its linear part), and the interval is taken on
the variance-stabilising scale asin sqrt(p) with t of G - 1 degrees of freedom. Where fewer than FEW pictures have a hit, or a
miss, Wilson's interval with G as the sample stands instead, so none has width zero. In simulations of 40 to 666 pictures,
shares of 0.02 to 0.9 and 1 to 3 items a picture it holds the truth in 0.939 to 0.991 of the cases; percentiles of a bootstrap
over pictures in 0.58 to 0.95 (`benchmarks/calibration/pairs.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from bindscope.concepts import IntArray
from bindscope.scenes import FloatArray
from bindscope.uncertainty import UNKNOWN, Interval, Outcome

FEW = 5
Z = 1.959964


@dataclass(frozen=True, eq=False)
class Clusters:
    """Which picture each item `[n]` belongs to, 0..G-1."""

    codes: IntArray

    def sums(self, values: FloatArray) -> FloatArray:
        """Sums of values `[n]` over the items of each picture, `[G]`."""
        return np.bincount(self.codes, values, int(self.codes.max()) + 1).astype(np.float64)

    def interval(self, one: Outcome) -> tuple[Interval, int]:
        """The 95 % interval of a share, and the number of pictures behind it."""
        assert one.top is not None
        assert one.below is not None
        hits, held = self.sums(one.top), self.sums(one.below)
        hits, held = hits[held > 0], held[held > 0]
        if one.value is None or not len(held):
            return UNKNOWN, len(held)
        variance = _variance(hits - one.value * held, held)
        if min(int((hits > 0).sum()), int((hits < held).sum())) < FEW or not variance:
            return wilson(one.value, len(held)), len(held)
        return _stabilised(one.value, variance, len(held)), len(held)

    def difference(self, a: Outcome, b: Outcome) -> tuple[float | None, Interval]:
        """a - b of one figure of two models on the same items, and its interval, paired.

        Where fewer than FEW pictures tell the two apart, the interval is at least what so few out of so many allow.
        """
        if a.value is None or b.value is None or a.top is None or b.top is None or a.below is None:
            return None, UNKNOWN
        apart, held = self.sums(a.top - b.top), self.sums(a.below)
        apart, held = apart[held > 0], held[held > 0]
        value = a.value - b.value
        if len(held) < 2:
            return value, UNKNOWN
        half = float(stats.t.ppf(0.975, len(held) - 1) * np.sqrt(_variance(apart - value * held, held)))
        few = int((apart != 0).sum())
        if few < FEW:
            half = max(half, wilson(few / len(held), len(held)).high)
        return value, Interval(max(value - half, -1.0), min(value + half, 1.0))


def with_interval(one: Outcome, clusters: Clusters) -> Outcome:
    """The same figure with its interval and the number of pictures behind it."""
    if one.top is None or one.ends is not None:
        return one
    ends, pictures = clusters.interval(one)
    return replace(one, ends=ends, n_objects=pictures)


def _variance(residual: FloatArray, held: FloatArray) -> float:
    """Of a ratio of sums: residuals `[G]` of each picture around the ratio, what it holds `[G]`."""
    count = len(held)
    return 0.0 if count < 2 else float(count / (count - 1) * (residual**2).sum() / held.sum() ** 2)


def _stabilised(share: float, variance: float, count: int) -> Interval:
    angle = np.arcsin(np.sqrt(share))
    half = stats.t.ppf(0.975, count - 1) * np.sqrt(variance / (4.0 * share * (1.0 - share)))
    low, high = max(angle - half, 0.0), min(angle + half, np.pi / 2)
    return Interval(float(np.sin(low) ** 2), float(np.sin(high) ** 2))


def wilson(share: float, n: float) -> Interval:
    """Wilson's 95 % interval of a share of n.

    >>> tuple(round(end, 3) for end in wilson(0.0, 100))
    (0.0, 0.037)
    """
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * np.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    low, high = float(centre - half), float(centre + half)
    return Interval(0.0 if share == 0 else max(low, 0.0), 1.0 if share == 1 else min(high, 1.0))
