"""What one code saves over another: intervals over objects and orders, and after how many objects it pays.

A code length is a sum over the arrivals of objects. Intervals resample both the objects (w_o ~ Poisson(1), the weight of
what arrives with o, in whatever order) and the orders (also Poisson(1)).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from bindscope.analyses.codelength.codelength import CodeLengths
from bindscope.analyses.codelength.coding import LOOKUP
from bindscope.concepts import IntArray
from bindscope.scenes import FloatArray
from bindscope.streams import stream
from bindscope.uncertainty import DRAWS, UNKNOWN, Interval, percentile

Resampled = Literal["both", "objects", "orders"]


@dataclass(frozen=True, eq=False)
class ArrivalBootstrap:
    """95 % percentile intervals of code lengths. O(draws x orders x objects) for each."""

    found: CodeLengths
    seed: int = 0
    draws: int = DRAWS

    @cached_property
    def _weights(self) -> tuple[FloatArray, FloatArray]:
        """Weights of objects `[draws, codes]` and of orders `[draws, R]`."""
        rng = stream(self.seed, "code bootstrap")
        objects = rng.poisson(1.0, size=(self.draws, int(self.found.objects.max()) + 1)).astype(np.float64)
        return objects, rng.poisson(1.0, size=(self.draws, len(self.found.objects))).astype(np.float64)

    def _sums(self, values: FloatArray, which: Resampled) -> FloatArray:
        """Weighted sums `[draws, O]` over orders of values `[R', O]`, by place of arrival."""
        objects, orders = self._weights
        total = np.zeros((self.draws, values.shape[1]))
        for order, (row, codes) in enumerate(zip(values, self.found.objects, strict=False)):
            weight = np.ones((self.draws, 1)) if which == "objects" else orders[:, order, None]
            total += row * weight if which == "orders" else row * weight * objects[:, codes]
        return total

    def drawn(self, longer: FloatArray, cells: FloatArray, which: Resampled = "both") -> FloatArray:
        """Cumulative sums over arrivals of `longer` `[R', O]` relative to the sum of all `cells` `[R', O]`, `[draws, O]`.

        Draws in which no cell has weight take the mean of the others.
        """
        if which != "objects" and len(longer) < 2:
            which = "objects"  # one order cannot be resampled
        below = self._sums(cells, which).sum(axis=1)
        kept = below > 0
        out = self._sums(longer, which).cumsum(axis=1) / np.where(kept, below, 1.0)[:, None]
        out[~kept] = out[kept].mean(axis=0) if kept.any() else np.nan
        return np.asarray(out)

    def ratio(self, longer: FloatArray, cells: FloatArray, which: Resampled = "both") -> Interval:
        """Interval of sum(longer) / sum(cells)."""
        if not self.varies(cells, which):
            return UNKNOWN
        return percentile(self.drawn(longer, cells, which)[:, -1])

    def varies(self, cells: FloatArray, which: Resampled = "both") -> bool:
        """Whether there is anything to resample."""
        coded = np.unique(self.found.objects[: len(cells)][cells > 0])
        return len(coded) >= 2 and not (which == "orders" and len(cells) < 2)


@dataclass(frozen=True, eq=False)
class Saving:
    """Bits that a code saves over another (positive: it is shorter).

    value, interval: a scene, over objects and orders. spread: intervals over objects alone and over orders alone.
    seen `[N]`: numbers of objects; curve `[N]`, band `[N, 2]`: bits saved on all scenes up to then. pays_after: the
    number of objects from which on the sum saved stays above zero; None unless the interval of the whole lies above
    zero. pays_interval: its interval, with an infinite end where it does not pay in as many draws.
    """

    value: float
    interval: Interval
    spread: tuple[Interval, Interval]
    seen: IntArray
    curve: FloatArray
    band: FloatArray
    pays_after: int | None
    pays_interval: Interval

    @property
    def pays(self) -> bool:
        """Whether it saves bits by more than its interval."""
        return self.interval.low > 0


def saving(found: CodeLengths, code: str, base: str, bootstrap: ArrivalBootstrap) -> Saving:
    """What `code` saves over `base`, paired: in the same orders, on the same scenes."""
    saved = -found.longer(code, base)
    cells = found.scenes[: len(saved)].astype(np.float64)
    start = int(found.first.max())  # from here on all orders code
    scenes = float(cells.sum() / len(cells))
    curve = (saved.cumsum(axis=1).sum(axis=0) / len(saved))[start:]
    draws = bootstrap.drawn(saved, cells)[:, start:] * scenes
    interval = bootstrap.ratio(saved, cells)
    seen = np.arange(start + 1, saved.shape[1] + 1)
    band = np.percentile(draws, [2.5, 97.5], axis=0).T
    after = seen[_stays_positive(curve[None])[0]] if interval.low > 0 else None
    spread = (bootstrap.ratio(saved, cells, "objects"), bootstrap.ratio(saved, cells, "orders"))
    value = float(saved.sum() / cells.sum())
    ends = _pay_interval(draws, seen) if after is not None else UNKNOWN
    return Saving(value, interval, spread, seen, curve, band, None if after is None else int(after), ends)


def _stays_positive(curves: FloatArray) -> IntArray:
    """Index from which on each curve `[draws, N]` stays above zero; N where its end is not above zero."""
    below = curves <= 0
    last = curves.shape[1] - np.argmax(below[:, ::-1], axis=1)
    return np.where(below.any(axis=1), last, 0).astype(np.int64)


def _pay_interval(draws: FloatArray, seen: IntArray) -> Interval:
    places = np.r_[seen.astype(np.float64), np.inf][_stays_positive(draws)]
    low, high = np.quantile(places, [0.025, 0.975], method="inverted_cdf")
    return Interval(float(low), float(high))


def length(
    found: CodeLengths, code: str, bootstrap: ArrivalBootstrap, per_dimension: bool = False
) -> tuple[float, Interval]:
    """Bits a scene (or a scene and component) relative to the constant predictor, and its interval.

    The table's length in all orders, minus what the code saves over it in the orders that it knows: codes that know fewer
    orders so compare with the others.
    """
    cells = found.scenes.astype(np.float64)
    if per_dimension:
        cells = cells * found.dimensions[:, None].astype(np.float64)
    base, extra = found.longer(LOOKUP), found.longer(code, LOOKUP)
    some = cells[: len(extra)]
    value = float(base.sum() / cells.sum() + extra.sum() / some.sum())
    drawn = bootstrap.drawn(base, cells)[:, -1] + bootstrap.drawn(extra, some)[:, -1]
    return value, percentile(drawn) if bootstrap.varies(cells) else UNKNOWN
