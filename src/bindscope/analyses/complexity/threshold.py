"""The coverage at which a curve rises: a logistic with free asymptotes, and whether it has such a place at all.

    y(x) = low + (high - low) / (1 + exp(-slope (x - middle)))

Least squares over a fine grid of (middle, slope), where low and high are linear, and held within the range that the values
can have where it is known. Any curve over a share in 0..1 will do, one value for each split or model.

A curve has a threshold only where the logistic predicts it better than a straight line: its F against the line is beyond 95 %
of those of lines with the same noise, and it predicts coverages that are left out better. One-sided curves have none either.
The interval holds every middle whose best fit is not significantly worse (profile likelihood, F with n - 4 degrees of freedom);
where models or splits shift the whole curve, what they do is added.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import fdtri, stdtrit

from bindscope.concepts import IntArray
from bindscope.errors import InputError
from bindscope.scenes import FloatArray
from bindscope.streams import stream
from bindscope.uncertainty import UNKNOWN, Interval, permutation_p

FEWEST = 5  # different coverages that a threshold needs
SLOPES = np.geomspace(4.0, 120.0, 18)  # per unit of coverage: from as good as straight to a step
MIDDLES = np.linspace(0.0, 1.0, 201)
REACHED = 0.25  # share of the rise that may be missing at either end of the range
RECOGNITION = (0.0, 1.0)  # bounds of the asymptotes of a share of objects
DRAWS = 199  # lines that the F of the curve is held against
SURE = 0.05
SHIFTED = 0.25  # p-value from which on models are taken to shift the rise: rather too wide than too narrow
_TAKEN = 4  # numbers that a logistic is fitted by
_ALIKE = 1e-12
_AT_ONCE = 64  # curves fitted together: 2 MB an array


@dataclass(frozen=True)
class Threshold:
    """middle: the threshold with its interval; None where `why` says so. slope per unit of coverage, low, high: of the fit.

    line_gain: held-out log-likelihood per point (nats), leaving out one coverage at a time, of the logistic minus that of a
    straight line: half the logarithm of the ratio of their held-out squared errors; above 0 the rise is sharper than a line.
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
    models: ArrayLike | None = None,
) -> Threshold:
    """Threshold of values `[n]` at coverages `[n]` in 0..1; repeats of a coverage are repeated splits or models.

    bounds: the least and the largest value that there can be, which low and high keep to; None leaves them free. A curve that
    rises steeply and levels off slowly is else fitted by the upper half of a logistic from far below nothing. models `[n]`: which
    model or split each value is of, where one has values at several coverages; None: all are independent.

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
    owner = np.arange(len(y)) if models is None else np.unique(np.asarray(models), return_inverse=True)[1]
    x, y, owner = x[here], y[here], owner[here]
    if len(np.unique(x)) < FEWEST:
        return _none(f"fewer than {FEWEST} coverages")
    curve = _Curve(x, y, owner, _Grid.of(x, bounds)).level()
    gain = _line_gain(x, y, bounds)
    why = curve.missing(gain, seed, draws)
    if why:
        return _none(why, curve.fit, gain)
    fit = curve.fit
    middle, slope = float(fit.middle[0]), float(fit.slope[0])
    return Threshold(middle, curve.interval, slope, curve.slopes, float(fit.low[0]), float(fit.high[0]), gain, "")


@dataclass(frozen=True, eq=False)
class _Curve:
    """Values y `[n]` at x `[n]` of the models `owner` `[n]`, and the grid of logistics at x."""

    x: FloatArray
    y: FloatArray
    owner: IntArray
    grid: _Grid
    levels: int = 0  # degrees of freedom that went into levels of models

    def level(self) -> _Curve:
        """The curve without what each model adds to all of its values, which says nothing on where it rises."""
        sizes = np.bincount(self.owner)
        if (sizes > _TAKEN).sum() < 2:
            return self
        left = self.y - self.fit.curve(self.x)[0]
        own = np.where(sizes > _TAKEN, np.bincount(self.owner, left) / np.maximum(sizes, 1), 0.0)
        return _Curve(self.x, self.y - own[self.owner], self.owner, self.grid, int((sizes > _TAKEN).sum()) - 1)

    @cached_property
    def fit(self) -> _Fits:
        """The logistic of least squared error."""
        return self.grid.best(self.y[None])

    @property
    def free(self) -> int:
        """Degrees of freedom that a logistic leaves."""
        return len(self.y) - _TAKEN - self.levels

    @property
    def floor(self) -> float:
        """Squared error that is rounding."""
        return len(self.y) * (1e-6 * float(np.ptp(self.y)) + 1e-12) ** 2

    @cached_property
    def errors(self) -> FloatArray:
        """Squared error of the best low and high at each grid point `[G]`."""
        errors = self.grid.errors(self.y[None])[0] + float(np.square(self.y).sum())
        return np.asarray(np.maximum(errors, self.floor))

    @property
    def noise(self) -> float:
        """Mean squared residual of the logistic."""
        return float(self.errors.min()) / self.free

    def missing(self, gain: float, seed: int, draws: int) -> str:
        """Why the curve has no threshold, or nothing."""
        if float(np.ptp(self.y)) <= _ALIKE:
            return "flat"
        if self.sharper_than_lines(seed, draws) > SURE:
            return self._line()
        low, high = float(self.fit.low[0]), float(self.fit.high[0])
        if high < low:
            return "falls"
        ends = (self.fit.curve(np.array([self.x.min(), self.x.max()]))[0] - low) / (high - low)
        if ends[0] > REACHED or ends[1] < 1.0 - REACHED:
            return "one-sided"
        return "" if gain > 0 else "straight"

    def sharper_than_lines(self, seed: int, draws: int) -> float:
        """p-value of the logistic's F against the line, by lines with the noise of this one."""
        line = np.asarray(np.polynomial.Polynomial.fit(self.x, self.y, 1)(self.x))
        spread = np.sqrt(np.square(self.y - line).sum() / (len(self.y) - 2))
        lines = line + spread * stream(seed, "threshold").standard_normal((draws, len(self.y)))
        found = permutation_p(self._f(self.y[None])[0], self._f(lines)).value
        assert found is not None
        return found

    def _f(self, curves: FloatArray) -> FloatArray:
        """Error of the line over that of the logistic, for curves `[D, n]`; F is linear in it."""
        design = np.column_stack([np.ones_like(self.x), self.x])
        left = curves - curves @ design @ np.linalg.inv(design.T @ design) @ design.T
        square = np.square(curves).sum(axis=1)
        best = self.grid.least(curves) + square
        return np.asarray(np.square(left).sum(axis=1) / np.maximum(best, self.floor))

    def _line(self) -> str:
        """What the straight line does: rises, is flat, or falls."""
        away = self.x - self.x.mean()
        slope = float(away @ self.y / (away @ away))
        left = self.y - self.y.mean() - slope * away
        error = float(np.sqrt(left @ left / (len(left) - 2) / (away @ away)))
        if abs(slope) <= float(stdtrit(len(left) - 2, 0.975)) * error:
            return "flat"
        return "straight" if slope > 0 else "falls"

    @property
    def interval(self) -> Interval:
        """Of the middle."""
        low, high = self._profile(self.grid.middle, MIDDLES)
        middle, extra = float(self.fit.middle[0]), self.shifts
        return Interval(middle - float(np.hypot(middle - low, extra)), middle + float(np.hypot(high - middle, extra)))

    @property
    def slopes(self) -> Interval:
        """Of the slope, on a logarithmic scale."""
        low, high = self._profile(np.log(self.grid.slope), np.log(SLOPES))
        return Interval(float(np.exp(low)), float(np.exp(high)))

    def _profile(self, of: FloatArray, places: FloatArray) -> tuple[float, float]:
        """Ends of the places around the best whose least squared error is not significantly larger, between the places."""
        best = np.full(len(places), np.inf)
        np.minimum.at(best, np.abs(of[:, None] - places).argmin(axis=1), self.errors)
        limit = float(self.errors.min()) * (1.0 + float(stdtrit(self.free, 0.975)) ** 2 / self.free)
        at = int(best.argmin())
        ends = [_crossing(places[at::step], best[at::step], limit) for step in (-1, 1)]
        half = 0.5 * float(np.diff(places).mean())
        return min(ends[0], float(places[at]) - half), max(ends[1], float(places[at]) + half)

    @property
    def shifts(self) -> float:
        """Half-width that models add which shift the middle by more than noise does; 0 where they do not."""
        sizes = np.bincount(self.owner)
        some = np.flatnonzero(sizes > 1)
        if len(some) < 2:
            return 0.0
        share = _logistic(self.x, self.fit.middle[:, None], self.fit.slope[:, None])[0]
        steep = -(self.fit.high[0] - self.fit.low[0]) * self.fit.slope[0] * share * (1 - share)
        if self.levels:
            steep = steep - (np.bincount(self.owner, steep) / np.maximum(sizes, 1))[self.owner]
        along = np.bincount(self.owner, steep * (self.y - self.fit.curve(self.x)[0]))[some]
        weight = np.maximum(np.bincount(self.owner, steep**2)[some], 1e-300)
        found, chance = float(np.var(along / weight, ddof=1)), float(np.mean(self.noise / weight))
        if found <= chance * float(fdtri(len(some) - 1, self.free, 1 - SHIFTED)):
            return 0.0
        return float(stdtrit(len(some) - 1, 0.975)) * float(np.sqrt((found - chance) / len(some)))


def _crossing(places: FloatArray, errors: FloatArray, limit: float) -> float:
    """Where errors that start below a limit first pass it, between two places; the last place where they never do."""
    over = np.flatnonzero(errors > limit)
    if not len(over):
        return float(places[-1])
    i = int(over[0])
    before, after = float(errors[i - 1]), float(errors[i])
    part = (limit - before) / (after - before) if np.isfinite(after) else 1.0
    return float(places[i - 1] + part * (places[i] - places[i - 1]))


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

    def least(self, curves: FloatArray) -> FloatArray:
        """Least squared error of curves `[D, n]` over the grid, minus the sum of y^2, `[D]`."""
        return np.concatenate(
            [self.errors(curves[at : at + _AT_ONCE]).min(axis=1) for at in range(0, len(curves), _AT_ONCE)]
        )

    def errors(self, curves: FloatArray) -> FloatArray:
        """Squared error at each grid point with its best low and high, minus the sum of y^2, `[D, G]`."""
        normal, tried = self._tried(curves)
        return np.asarray(np.min([normal.error(low, high) for low, high in tried], axis=0))

    def _tried(self, curves: FloatArray) -> tuple[_Normal, list[tuple[FloatArray, FloatArray]]]:
        share, rest = self.share, 1.0 - self.share
        normal = _Normal(
            curves @ rest.T, curves @ share.T, np.square(rest).sum(1), (rest * share).sum(1), np.square(share).sum(1)
        )
        return normal, [normal.free()] if self.bounds is None else normal.within(*self.bounds)

    def _best(self, curves: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
        """Grid point, low and high of each curve: the best of the asymptotes that may be, at each grid point."""
        normal, tried = self._tried(curves)
        errors = np.stack([normal.error(low, high) for low, high in tried])  # [candidates, D, G]
        kind, which = np.unravel_index(
            errors.transpose(1, 0, 2).reshape(len(curves), -1).argmin(1), (len(tried), len(self.share))
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


def _line_gain(x: FloatArray, y: FloatArray, bounds: tuple[float, float] | None) -> float:
    """Held-out Gaussian log-likelihood per point of the logistic minus that of a line, each at its own held-out spread."""
    left = np.zeros((2, len(y)))
    for place in np.unique(x):
        out = x == place
        fit = _Grid.of(x[~out], bounds).best(y[~out][None])
        line = np.polynomial.Polynomial.fit(x[~out], y[~out], 1)
        left[:, out] = y[out] - np.stack([fit.curve(x[out])[0], line(x[out])])
    floor = 1e-6 * float(np.ptp(y)) + 1e-12
    logistic, straight = np.maximum(np.square(left).mean(axis=1), floor**2)
    return float(0.5 * np.log(straight / logistic))


def _none(why: str, fit: _Fits | None = None, gain: float | None = None) -> Threshold:
    low = None if fit is None else float(fit.low[0])
    high = None if fit is None else float(fit.high[0])
    return Threshold(None, UNKNOWN, None, UNKNOWN, low, high, gain, why)
