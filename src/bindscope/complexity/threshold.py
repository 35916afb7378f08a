"""The coverage at which a curve rises: a logistic with free asymptotes, and whether it has such a place at all.

    y(x) = low + (high - low) / (1 + exp(-slope (x - middle)))

Least squares over a fine grid of (middle, slope), where low and high are linear. Flat and one-sided curves have no
threshold. Any curve over a share in 0..1 will do, one value for each split or model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bindscope.errors import InputError
from bindscope.scenes import BoolArray, FloatArray
from bindscope.uncertainty import DRAWS, UNKNOWN, Interval, percentile

FEWEST = 5  # different coverages that a threshold needs
SLOPES = np.geomspace(4.0, 120.0, 18)  # per unit of coverage: from as good as straight to a step
MIDDLES = np.linspace(0.0, 1.0, 201)
REACHED = 0.25  # share of the rise that may be missing at either end of the range
_ALIKE = 1e-12


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


def coverage_threshold(coverage: ArrayLike, values: ArrayLike, seed: int = 0, draws: int = DRAWS) -> Threshold:
    """Threshold of values `[n]` at coverages `[n]` in 0..1; repeats of a coverage are repeated splits or models.

    The interval resamples values within each coverage, residuals where a coverage has one value alone.

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
    grid = _Grid.of(x)
    fit = grid.best(y[None])
    resampled = grid.best(_resampled(x, y, fit.curve(x)[0], seed, draws))
    why = _missing(fit, resampled, x, y)
    if why:
        return _none(why, fit, _line_gain(x, y))
    slopes = percentile(resampled.slope)
    return Threshold(
        float(fit.middle[0]),
        percentile(resampled.middle),
        float(fit.slope[0]),
        slopes,
        float(fit.low[0]),
        float(fit.high[0]),
        _line_gain(x, y),
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
    """Every (middle, slope), with the share of the rise at each point `[G, n]`, centred `[G, n]`, and its squares `[G]`."""

    middle: FloatArray
    slope: FloatArray
    share: FloatArray
    centred: FloatArray
    squares: FloatArray

    @classmethod
    def of(cls, x: FloatArray) -> _Grid:
        middle, slope = (part.ravel() for part in np.meshgrid(MIDDLES, SLOPES, indexing="ij"))
        share = _logistic(x, middle[:, None], slope[:, None])
        centred = share - share.mean(axis=1, keepdims=True)
        squares = np.square(centred).sum(axis=1)
        some = squares > 1e-9
        return cls(middle[some], slope[some], share[some], centred[some], squares[some])

    def best(self, curves: FloatArray) -> _Fits:
        """Least squares of curves `[D, n]`: the grid point that explains most."""
        along = curves @ self.centred.T  # [D, G]
        which = np.argmax(np.square(along) / self.squares, axis=1)
        rise = along[np.arange(len(curves)), which] / self.squares[which]
        low = curves.mean(axis=1) - rise * self.share[which].mean(axis=1)
        return _Fits(self.middle[which], self.slope[which], low, low + rise)


def _logistic(x: FloatArray, middle: FloatArray, slope: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * slope * (x - middle))))


def _resampled(x: FloatArray, y: FloatArray, fitted: FloatArray, seed: int, draws: int) -> FloatArray:
    """Curves `[draws, n]`: values drawn again within each coverage; where it has one, fit plus a drawn residual."""
    rng = np.random.default_rng([seed, 67])
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


def _line_gain(x: FloatArray, y: FloatArray) -> float:
    """Mean held-out Gaussian log-likelihood of the logistic minus that of a line, leaving out one coverage at a time."""
    gains = []
    floor = 1e-6 * float(np.ptp(y)) + 1e-12
    for place in np.unique(x):
        out = x == place
        fit = _Grid.of(x[~out]).best(y[~out][None])
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
