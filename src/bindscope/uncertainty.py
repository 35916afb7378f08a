"""Measured figures, and intervals and nulls that know that scenes share objects.

An analysis returns an `Outcome` for every figure: per-row sums, from which come the value, its interval, and the paired
difference to the same figure of another model.

Intervals resample objects: in each draw an object has weight w_o ~ Poisson(1), a scene the product over its distinct
objects, and a figure is a ratio of weighted sums of per-row contributions, with no refit. For scenes of at most two
objects the sums are w'Mw on an objects x objects table, so a draw does not depend on the number of rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from bindscope.concepts import ABSENT, IntArray
from bindscope.errors import InputError
from bindscope.parallel import one_thread
from bindscope.scenes import FloatArray, SceneTable, row_ids
from bindscope.streams import stream

DRAWS = 1000
FEW_OBJECTS = 25  # below this many objects those for these words are too narrow, those for other words wide
_DENSE_CELLS = 9_000_000
_CHUNK_CELLS = 8_000_000


class Interval(NamedTuple):
    """Lower and upper end; NaN where no interval can be given."""

    low: float
    high: float


UNKNOWN = Interval(float("nan"), float("nan"))


@dataclass(frozen=True, eq=False)
class ObjectBootstrap:
    """95 % percentile intervals from resampled objects.

    codes `[n, m]`: object numbers 0..n_objects-1 of each row, -1 where absent. Cost: O(n) to sum rows into object sets,
    then draws x object sets (draws x O^2 for scenes of one or two objects).
    """

    codes: IntArray
    n_objects: int
    draws: int = DRAWS
    seed: int = 0

    @classmethod
    def of(cls, table: SceneTable, seed: int = 0, draws: int = DRAWS) -> ObjectBootstrap:
        """The bootstrap of a table's rows."""
        return cls(table.object_codes, table.n_objects, draws, seed)

    @cached_property
    def weights(self) -> FloatArray:
        """Object weights `[draws, O]`."""
        rng = stream(self.seed, "object bootstrap")
        return rng.poisson(1.0, size=(self.draws, self.n_objects)).astype(np.float64)

    @cached_property
    def _sets(self) -> tuple[IntArray, IntArray]:
        """Distinct object sets `[g, m]` (-1 pads, objects first) and the set of each row `[n]`."""
        codes = np.sort(self.codes, axis=1)[:, ::-1]
        again = np.zeros_like(codes, dtype=bool)
        again[:, 1:] = codes[:, 1:] == codes[:, :-1]
        codes = np.sort(np.where(again, ABSENT, codes), axis=1)[:, ::-1]
        ids = row_ids(codes)
        _, first = np.unique(ids, return_index=True)
        return codes[first], ids

    def sums(self, contributions: ArrayLike) -> FloatArray:
        """Weighted sums `[draws, q]` of per-row contributions `[n]` or `[n, q]`."""
        columns = np.asarray(contributions, dtype=np.float64).reshape(len(self.codes), -1)
        sets, ids = self._sets
        grouped = np.stack([np.bincount(ids, column, len(sets)) for column in columns.T], axis=1).astype(np.float64)
        pairs = sets.shape[1] <= 2 or bool((sets[:, 2:] == ABSENT).all())
        if pairs and self.n_objects**2 <= _DENSE_CELLS:
            with one_thread(self.n_objects):
                return self._pair_sums(sets, grouped)
        return self._set_sums(sets, grouped)

    def _pair_sums(self, sets: IntArray, grouped: FloatArray) -> FloatArray:
        alone = sets[:, 1] == ABSENT if sets.shape[1] > 1 else np.ones(len(sets), dtype=bool)
        out = np.empty((self.draws, grouped.shape[1]))
        for column, values in enumerate(grouped.T):
            single = np.bincount(sets[alone, 0], values[alone], self.n_objects)
            out[:, column] = self.weights @ single
            if not alone.all():
                table = np.zeros((self.n_objects, self.n_objects))
                table[sets[~alone, 0], sets[~alone, 1]] = values[~alone]
                out[:, column] += np.einsum("do,do->d", self.weights @ table, self.weights)
        return out

    def _set_sums(self, sets: IntArray, grouped: FloatArray) -> FloatArray:
        padded = np.concatenate([self.weights, np.ones((self.draws, 1))], axis=1)  # index -1 picks the weight 1
        step = max(1, _CHUNK_CELLS // len(sets))
        parts = [
            np.prod([padded[start : start + step][:, slot] for slot in sets.T], axis=0) @ grouped
            for start in range(0, self.draws, step)
        ]
        return np.concatenate(parts)

    def ratio(self, numerator: ArrayLike, denominator: ArrayLike) -> Interval:
        """Interval of sum(numerator) / sum(denominator), both `[n]`; UNKNOWN where fewer than two objects vary it."""
        top, below = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
        used = (below != 0) | (top != 0)
        if len(np.unique(self.codes[used])) - bool((self.codes[used] == ABSENT).any()) < 2:
            return UNKNOWN
        drawn = self.sums(np.stack([top, below], axis=1))
        defined = drawn[:, 1] > 0
        if defined.mean() < 0.5:
            return UNKNOWN
        return percentile(drawn[defined, 0] / drawn[defined, 1])

    def mean(self, values: ArrayLike, where: ArrayLike | None = None) -> Interval:
        """Interval of the mean of `values` `[n]` over the rows of the mask `where` `[n]` (all by default)."""
        array = np.asarray(values, dtype=np.float64)
        mask = np.ones(len(array)) if where is None else np.asarray(where, dtype=np.float64)
        return self.ratio(np.where(mask > 0, array, 0.0), mask)

    def r2(self, squared_error: ArrayLike, squared_total: ArrayLike) -> Interval:
        """Interval of 1 - sum(squared_error) / sum(squared_total), both per row `[n]`."""
        low, high = self.ratio(squared_error, squared_total)
        return Interval(1.0 - high, 1.0 - low)


class Refit(NamedTuple):
    """A fitted figure as it is without one value, or one object, fits included: estimates in the metric's own unit.

    values: one array for each concept, an estimate for each value that can be left out. objects: the same for objects; None
    where that many fits would take too long.
    """

    values: tuple[FloatArray, ...]
    objects: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """One measured figure before it becomes a Record. Made by `mean`, `ratio`, `r2` or `number`.

    value: sum(top) / sum(below), or one minus it (`residual`), in the metric's own unit; None where it is not defined.
    top, below `[n]`: what each row contributes; None for a bare number. codes `[n, m]`: the objects of each row, where the
    rows are not those of the analysed table. ends: an interval that came from elsewhere. shift: taken off both ends.
    chance, ceiling: in the metric's unit. ties: rows that a tie alone made wrong. An empty `extra` marks a headline.
    n_scenes: None counts the rows with a contribution below. n_objects: None is that of the table; `counts_objects=False`
    leaves it out of the record. within_bags: a figure of binding, whose rows are compared within their bag. refit: what a
    figure of a fit is without a value. For both see `jackknife`.
    """

    metric: str
    value: float | None
    target: str | None = None
    estimator: str | None = None
    split: str | None = None
    top: FloatArray | None = None
    below: FloatArray | None = None
    residual: bool = False
    chance: float | None = None
    ceiling: float | None = None
    ties: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    codes: IntArray | None = None
    ends: Interval | None = None
    shift: float = 0.0
    coverage: float | None = None
    n_scenes: int | None = None
    n_objects: int | None = None
    counts_objects: bool = True
    within_bags: bool = False
    refit: Refit | None = None

    @classmethod
    def mean(cls, metric: str, values: ArrayLike, rows: ArrayLike | None = None, **words: Any) -> Self:
        """The mean of `values` `[n]` over the rows of a mask `[n]` (all by default); no value where it has no row."""
        array = np.asarray(values, dtype=np.float64)
        mask = np.ones(len(array), dtype=bool) if rows is None else np.asarray(rows) > 0
        value = float(array[mask].mean()) if mask.any() else None
        return cls(metric, value, top=np.where(mask, array, 0.0), below=mask.astype(np.float64), **words)

    @classmethod
    def ratio(cls, metric: str, top: ArrayLike, below: ArrayLike, **words: Any) -> Self:
        """sum(top) / sum(below), both `[n]`; no value where the sum below is not positive.

        >>> Outcome.ratio("share", [1.0, 1.0], [2.0, 2.0]).value
        0.5
        """
        over, under = np.asarray(top, dtype=np.float64), np.asarray(below, dtype=np.float64)
        value = float(over.sum() / under.sum()) if under.sum() > 0 else None
        return cls(metric, value, top=over, below=under, **words)

    @classmethod
    def r2(cls, metric: str, error: ArrayLike, total: ArrayLike, **words: Any) -> Self:
        """1 - sum(error) / sum(total), both per row `[n]`: 1 is exact, below 0 is worse than the mean."""
        over, under = np.asarray(error, dtype=np.float64), np.asarray(total, dtype=np.float64)
        value = float(1.0 - over.sum() / under.sum()) if under.sum() > 0 else None
        return cls(metric, value, top=over, below=under, residual=True, **words)

    @classmethod
    def number(cls, metric: str, value: float | None, ends: Interval | None = None, **words: Any) -> Self:
        """A bare number, or nothing, with an interval that came from elsewhere or none."""
        return cls(metric, value, ends=UNKNOWN if ends is None else ends, **words)

    @property
    def key(self) -> tuple[Any, ...]:
        """What the figure measures: equal for the same figure of two models."""
        return (self.metric, self.target, self.estimator, self.split, self.coverage, repr(sorted(self.extra.items())))

    @property
    def rows(self) -> int | None:
        """Number of rows that count."""
        if self.n_scenes is not None or self.below is None:
            return self.n_scenes
        return int((self.below > 0).sum())

    def pairs_with(self, other: Outcome) -> bool:
        """Whether both have contributions of as many rows, which a paired difference needs."""
        return self.top is not None and other.top is not None and len(self.top) == len(other.top)

    def interval(self, bootstrap: ObjectBootstrap) -> Interval:
        """95 % interval: its own, or from resampled objects of its rows; UNKNOWN where there is no value."""
        if self.ends is not None or self.top is None or self.below is None or self.value is None:
            return self.ends or UNKNOWN
        drawn = bootstrap
        if self.codes is not None and self.codes is not bootstrap.codes:
            drawn = ObjectBootstrap(self.codes, bootstrap.n_objects, seed=bootstrap.seed)
        low, high = (drawn.r2 if self.residual else drawn.ratio)(self.top, self.below)
        return Interval(low - self.shift, high - self.shift)


def difference(a: Outcome, b: Outcome, bootstrap: ObjectBootstrap) -> tuple[float | None, Interval]:
    """a - b of one figure of two models on the same rows, and its interval, paired over the resampled objects.

    None and UNKNOWN where either has no value; UNKNOWN where either is a bare number.
    """
    if a.value is None or b.value is None:
        return None, UNKNOWN
    if a.top is None or a.below is None or b.top is None or b.below is None or len(a.top) != len(b.top):
        return a.value - b.value, UNKNOWN
    sums = bootstrap.sums(np.stack([a.top, a.below, b.top, b.below], axis=1))
    defined = (sums[:, 1] > 0) & (sums[:, 3] > 0)
    if defined.mean() < 0.5:
        return a.value - b.value, UNKNOWN
    sums = sums[defined]
    low, high = percentile(sums[:, 0] / sums[:, 1] - sums[:, 2] / sums[:, 3])
    low, high = (-high, -low) if a.residual else (low, high)
    shift = a.shift - b.shift
    return a.value - b.value, Interval(low - shift, high - shift)


def percentile(draws: FloatArray, level: float = 0.95) -> Interval:
    """Percentile interval of draws `[D]`."""
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(draws, [tail, 100.0 - tail])
    return Interval(float(low), float(high))


def p_value(observed: float, null: ArrayLike) -> float:
    """(1 + draws at least as large as observed) / (1 + draws), in (0, 1]."""
    draws = np.asarray(null, dtype=np.float64)
    return float((1 + int((draws >= observed).sum())) / (1 + len(draws)))


def permutation_p(observed: float, null: ArrayLike, **words: Any) -> Outcome:
    """The p-value of a permutation test, with the 95 % interval that finitely many draws leave (Clopper and Pearson).

    Its lower end is 0 where no draw is as large as observed: then p is only known to be at most so large.

    >>> found = permutation_p(3.0, np.zeros(99))
    >>> found.value, found.ends.low
    (0.01, 0.0)
    """
    draws = np.asarray(null, dtype=np.float64)
    hits, n = int((draws >= observed).sum()), len(draws)
    low = float(betaincinv(hits, n - hits + 1, 0.025)) if hits else 0.0
    high = float(betaincinv(hits + 1, n - hits, 0.975)) if hits < n else 1.0
    return Outcome.number("p_value", p_value(observed, null), Interval(low, high), **words)


def random_cycle(size: int, rng: np.random.Generator) -> IntArray:
    """A permutation that is one random cycle, so it has no fixed point; size must be at least 2."""
    if size < 2:
        raise InputError(f"a permutation without fixed points needs at least 2 items, got {size}")
    order = rng.permutation(size)
    cycle = np.empty(size, dtype=np.int64)
    cycle[order] = np.roll(order, -1)
    return cycle


def permuted_within(kinds: IntArray, rng: np.random.Generator) -> IntArray:
    """A random order `[n]` of the rows that moves each among the rows of its kind `[n]`.

    Row i of the permuted data is row `order[i]` of the original.
    """
    order = np.empty(len(kinds), dtype=np.int64)
    for kind in np.unique(kinds):
        rows = np.flatnonzero(kinds == kind)
        order[rows] = rng.permutation(rows)
    return order
