"""The coverage at which a curve rises: a logistic with free asymptotes, and whether it has such a place at all.

    y(x) = low + (high - low) / (1 + exp(-slope (x - middle)))

Least squares over a fine grid of (middle, slope), where low and high are linear, and held within the range that the values
can have where it is known. Flat and one-sided curves have no threshold. Any curve over a share in 0..1 will do, one value for
each split or model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bindscope.concepts import IntArray
from bindscope.errors import InputError
from bindscope.scenes import BoolArray, FloatArray
from bindscope.streams import stream
from bindscope.uncertainty import DRAWS, UNKNOWN, Interval, percentile

FEWEST = 5  # different coverages that a threshold needs
SLOPES = np.geomspace(4.0, 120.0, 18)  # per unit of coverage: from as good as straight to a step
MIDDLES = np.linspace(0.0, 1.0, 201)
REACHED = 0.25  # share of the rise that may be missing at either end of the range
RECOGNITION = (0.0, 1.0)  # bounds of the asymptotes of a share of objects
_ALIKE = 1e-12
_AT_ONCE = 64  # curves fitted together: 2 MB an array


@dataclass(frozen=True)
class Threshold:
    """middle: the threshold with its interval; None where `why` says so. slope per unit of coverage, low, high: of the fit.

    line_gain: held-out log-likelihood per point (nats), leaving out one coverage at a time, of the logistic minus that of a
    straight line; above 0 the rise is sharper than a line.
    """

    middle: float | None
    interval: Interval
    slope: float | None
    slope_interval: Interval
    low: float | None
    high: float | None
    line_gain: float | None
    why: str


def coverage_threshold(
    coverage: ArrayLike,
    values: ArrayLike,
    seed: int = 0,
    draws: int = DRAWS,
    bounds: tuple[float, float] | None = None,
) -> Threshold:
    """Threshold of values `[n]` at coverages `[n]` in 0..1; repeats of a coverage are repeated splits or models.

    bounds: the least and the largest value that there can be, which low and high keep to; None leaves them free. A curve that
    rises steeply and levels off slowly is else fitted by the upper half of a logistic from far below nothing. The interval
    resamples values within each coverage, residuals where a coverage has one value alone.

    >>> x = np.repeat(np.arange(1, 10) / 10, 3)
    >>> found = coverage_threshold(x, 0.2 + 0.7 / (1 + np.exp(-40 * (x - 0.45))))
    >>> round(found.middle, 2), found.why
    (0.45, '')
    """
    x, y = np.asarray(coverage, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise InputError(
            f"coverage and values must be two lists of one length, got {list(x.shape)} and {list(y.shape)}"
        )
    if ((x < 0) | (x > 1)).any():
        raise InputError("coverage must lie in 0..1")
    here = np.isfinite(y)
    x, y = x[here], y[here]
    if len(np.unique(x)) < FEWEST:
        return _none(f"fewer than {FEWEST} coverages")
    grid = _Grid.of(x, bounds)
    fit = grid.best(y[None])
    resampled = grid.best(_resampled(x, y, fit.curve(x)[0], seed, draws))
    why = _missing(fit, resampled, x, y)
    if why:
        return _none(why, fit, _line_gain(x, y, bounds))
    slopes = percentile(resampled.slope)
    return Threshold(
        float(fit.middle[0]),
        percentile(resampled.middle),
        float(fit.slope[0]),
        slopes,
        float(fit.low[0]),
        float(fit.high[0]),
        _line_gain(x, y, bounds),
        "",
    )


@dataclass(frozen=True, eq=False)
class _Fits:
    """Logistics, one for each of D curves: all `[D]`."""

    middle: FloatArray
    slope: FloatArray
    low: FloatArray
    high: FloatArray

    def curve(self, x: FloatArray) -> FloatArray:
        """Values `[D, n]`."""
        share = _logistic(x, self.middle[:, None], self.slope[:, None])
        return np.asarray(self.low[:, None] + (self.high - self.low)[:, None] * share)


@dataclass(frozen=True, eq=False)
class _Grid:
    """Every (middle, slope) `[G]`, with the share of the rise at each point `[G, n]`, and bounds of low and high."""

    middle: FloatArray
    slope: FloatArray
    share: FloatArray
    bounds: tuple[float, float] | None

    @classmethod
    def of(cls, x: FloatArray, bounds: tuple[float, float] | None = None) -> _Grid:
        middle, slope = (part.ravel() for part in np.meshgrid(MIDDLES, SLOPES, indexing="ij"))
        share = _logistic(x, middle[:, None], slope[:, None])
        some = share.var(axis=1) * len(x) > 1e-9
        return cls(middle[some], slope[some], share[some], bounds)

    def best(self, curves: FloatArray) -> _Fits:
        """Least squares of curves `[D, n]`: the grid point and the asymptotes that explain most."""
        parts = [self._best(curves[at : at + _AT_ONCE]) for at in range(0, len(curves), _AT_ONCE)]
        which, low, high = (np.concatenate(part) for part in zip(*parts, strict=True))
        return _Fits(self.middle[which], self.slope[which], low, high)

    def _best(self, curves: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
        """Grid point, low and high of each curve: the best of the asymptotes that may be, at each grid point."""
        share, rest = self.share, 1.0 - self.share
        normal = _Normal(
            curves @ rest.T, curves @ share.T, np.square(rest).sum(1), (rest * share).sum(1), np.square(share).sum(1)
        )
        tried = [normal.free()] if self.bounds is None else normal.within(*self.bounds)
        errors = np.stack([normal.error(low, high) for low, high in tried])  # [candidates, D, G]
        kind, which = np.unravel_index(
            errors.transpose(1, 0, 2).reshape(len(curves), -1).argmin(1), (len(tried), len(share))
        )
        rows = np.arange(len(curves))
        lows, highs = (np.stack([pair[i] for pair in tried])[kind, rows, which] for i in (0, 1))
        return which, lows, highs


@dataclass(frozen=True, eq=False)
class _Normal:
    """Normal equations of y = low (1 - share) + high share at each grid point: right-hand sides `[D, G]`, matrix `[G]` each."""

    by_low: FloatArray
    by_high: FloatArray
    low_low: FloatArray
    low_high: FloatArray
    high_high: FloatArray

    def error(self, low: FloatArray, high: FloatArray) -> FloatArray:
        """Squared error minus the sum of y^2, `[D, G]`; infinite where low is not a number."""
        linear = -2.0 * (low * self.by_low + high * self.by_high)
        square = low**2 * self.low_low + 2.0 * low * high * self.low_high + high**2 * self.high_high
        return np.where(np.isnan(low), np.inf, linear + square)

    def free(self) -> tuple[FloatArray, FloatArray]:
        """Low and high of least error."""
        over = self.low_low * self.high_high - self.low_high**2
        low = (self.by_low * self.high_high - self.by_high * self.low_high) / over
        return low, (self.by_high * self.low_low - self.by_low * self.low_high) / over

    def within(self, least: float, most: float) -> list[tuple[FloatArray, FloatArray]]:
        """Low and high of least error inside least..most (not a number where outside) and on each side of the square."""
        low, high = self.free()
        inside = (np.minimum(low, high) >= least) & (np.maximum(low, high) <= most)
        found = [(np.where(inside, low, np.nan), high)]
        for side in (least, most):
            fixed = np.full_like(low, side)
            found.append((fixed, np.clip((self.by_high - side * self.low_high) / self.high_high, least, most)))
            found.append((np.clip((self.by_low - side * self.low_high) / self.low_low, least, most), fixed))
        return found


def _logistic(x: FloatArray, middle: FloatArray, slope: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * slope * (x - middle))))


def _resampled(x: FloatArray, y: FloatArray, fitted: FloatArray, seed: int, draws: int) -> FloatArray:
    """Curves `[draws, n]`: values drawn again within each coverage; where it has one, fit plus a drawn residual."""
    rng = stream(seed, "threshold")
    residuals = y - fitted
    out = np.empty((draws, len(y)))
    for place in np.unique(x):
        own = np.flatnonzero(x == place)
        if len(own) > 1:
            out[:, own] = y[rng.choice(own, (draws, len(own)))]
        else:
            out[:, own] = fitted[own] + rng.choice(residuals, (draws, 1))
    return out


def _missing(fit: _Fits, resampled: _Fits, x: FloatArray, y: FloatArray) -> str:
    """Why the curve has no threshold, or nothing."""
    if float(np.ptp(y)) <= _ALIKE:
        return "flat"
    span = np.array([x.min(), x.max()])
    rises = np.diff(resampled.curve(span), axis=1).ravel()
    if percentile(rises).low <= 0.0 <= percentile(rises).high:
        return "flat"
    if fit.high[0] < fit.low[0]:
        return "falls"
    ends = (fit.curve(span)[0] - fit.low[0]) / (fit.high[0] - fit.low[0])
    if ends[0] > REACHED or ends[1] < 1.0 - REACHED:
        return "one-sided"
    return ""


def _line_gain(x: FloatArray, y: FloatArray, bounds: tuple[float, float] | None) -> float:
    """Mean held-out Gaussian log-likelihood of the logistic minus that of a line, leaving out one coverage at a time."""
    gains = []
    floor = 1e-6 * float(np.ptp(y)) + 1e-12
    for place in np.unique(x):
        out = x == place
        fit = _Grid.of(x[~out], bounds).best(y[~out][None])
        line = np.polynomial.Polynomial.fit(x[~out], y[~out], 1)
        pairs = ((fit.curve(x)[0], 4), (np.asarray(line(x)), 2))
        likely = [_likelihood(y, curve, out, max(len(y[~out]) - taken, 1), floor) for curve, taken in pairs]
        gains += list(likely[0] - likely[1])
    return float(np.mean(gains))


def _likelihood(y: FloatArray, curve: FloatArray, out: BoolArray, free: int, floor: float) -> FloatArray:
    """Gaussian log-likelihood of the points left out, sd from the others."""
    sd = max(float(np.sqrt(np.square(y[~out] - curve[~out]).sum() / free)), floor)
    return np.asarray(-0.5 * np.square((y[out] - curve[out]) / sd) - np.log(sd))


def _none(why: str, fit: _Fits | None = None, gain: float | None = None) -> Threshold:
    low = None if fit is None else float(fit.low[0])
    high = None if fit is None else float(fit.high[0])
    return Threshold(None, UNKNOWN, None, UNKNOWN, low, high, gain, why)
