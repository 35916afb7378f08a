"""Intervals for other words: what a figure would be on other values of the same concepts, by a jackknife over values.

The values of a design are a sample of words, and a scene depends on several of them. For a figure theta, a ratio of sums over
scenes, theta_-g leaves out all scenes that show g: a value, or an object, or a combination of values of some concepts. Then

    V_A = (G - 1) / G  sum_g (theta_-g - mean)^2        over the G combinations g of values of the concepts A
    V_S = sum of squared deviations of units / n^2      units: rows that show the same objects

- figures in general: sum over sets A of concepts of (-1)^(|A|+1) V_A (what single objects do is in the V of each concept), at
  least each V_k and V_O (all concepts: objects). Independent units alone give E V_A = kappa_A V_S, with kappa_A from the design:
  that share of V_A is counted once, not kappa_A times.
- figures of binding (`Outcome.within_bags`), where scenes are compared within their bag: rows are averaged in their bag, units
  are bags, and var = V_S + sum_k max(V_k - kappa_k V_S, 0).
- figures of a fit (R^2): V_A from fits without the value or object (`Outcome.refit`), var = sum_k V_k - (C - 1) V_O, at least
  each V_k and V_O, and at least that of the rows.
- differences of two models on the same scenes: var = sum_k V_k of the difference.

Means of scenes that repeat equally many values are taken out first: the design fixes how many there are of each sort.
A share (0 <= top <= below in every row) gets a Wilson interval with n_eff = min(theta (1 - theta) / var, 2 n) and t for z; at 0
or 1 n_eff is the number of different objects shown, with z. Other figures get theta -+ t sqrt(var). No width is zero. The t is
that of 0.45 sum_k (V - 1) degrees of freedom, found by simulation.

What these formulas hold is measured in benchmarks/calibration. O(n m 2^C) a figure, O(n m C) for five concepts and more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import sqrt
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.special import stdtrit

from bindscope.concepts import ABSENT, IntArray
from bindscope.scenes import FloatArray, SceneTable, row_ids
from bindscope.uncertainty import UNKNOWN, Interval, Outcome, Refit

ROUNDING = 1e-6  # least half-width of a figure that is no share: an exact fit, in single precision
FREE_SHARE = 0.45  # degrees of freedom: this share of sum_k (values - 1)
MANY_CONCEPTS = 4  # with more, only single concepts and objects are left out
_NORMAL = 1.959963984540054  # 95 % of a normal lie within so many standard deviations
_EXACT = 1e-9

Concepts = tuple[int, ...]


class Part(NamedTuple):
    """A jackknife variance over groups and its degrees of freedom."""

    variance: float
    free: float


class Spread(NamedTuple):
    """Variance of a figure over other words, and how many standard deviations to either side make 95 %."""

    variance: float
    t: float


@dataclass(frozen=True, eq=False)
class Jackknife:
    """95 % intervals for other words. codes `[n, m]`: objects 0..O-1 of each row, -1 where absent; values `[O, C]` of each.

    >>> from bindscope.concepts import ConceptSpace
    >>> space = ConceptSpace.of([("color", list("abcdefgh")), ("shape", list("stuvwxyz"))])
    >>> table = SceneTable.build(space, [[[c, s]] for c in range(8) for s in range(8)])
    >>> low, high = Jackknife.of(table).interval(Outcome.mean("object_recognition", np.ones(64)))
    >>> round(low, 3), high
    (0.943, 1.0)
    """

    codes: IntArray
    values: IntArray

    @classmethod
    def of(cls, table: SceneTable) -> Jackknife:
        """The jackknife of a table's rows."""
        return cls(table.object_codes, table.candidate_values)

    def interval(self, outcome: Outcome) -> Interval:
        """The interval of an outcome; its own where it brings one.

        Where nothing can be left out, since every scene shows every value, a share gets the interval of as many scenes as
        there are objects, and another figure none.
        """
        if outcome.ends is not None or outcome.top is None or outcome.below is None or outcome.value is None:
            return outcome.ends or UNKNOWN
        own = self._at(outcome)
        spread, theta = own.spread(outcome), outcome.value + outcome.shift
        if spread is None and is_share(outcome):
            spread = Spread(theta * (1.0 - theta) / own._sizes(outcome)[1], _NORMAL)
        if spread is None:
            return UNKNOWN
        if is_share(outcome):
            low, high = wilson(theta, spread, *own._sizes(outcome))
        else:
            low, high = around(theta, spread)
        return Interval(low - outcome.shift, high - outcome.shift)

    def not_exact(self, outcome: Outcome, interval: Interval) -> Interval:
        """An interval of an outcome, widened as here where its ends are equal."""
        if outcome.value is None or not abs(interval.high - interval.low) < _EXACT:
            return interval
        own, theta = self._at(outcome), outcome.value + outcome.shift
        if not is_share(outcome):
            return around(outcome.value, Spread(0.0, 0.0))
        low, high = wilson(theta, Spread(0.0, _NORMAL), *own._sizes(outcome))
        return Interval(low - outcome.shift, high - outcome.shift)

    def difference(self, a: Outcome, b: Outcome) -> tuple[float | None, Interval]:
        """a - b of one figure of two models on the same rows, and its interval.

        None and UNKNOWN where either has no value; UNKNOWN where either is a bare number or their rows differ in number.
        """
        if a.value is None or b.value is None:
            return None, UNKNOWN
        if a.top is None or a.below is None or b.top is None or b.below is None or len(a.top) != len(b.top):
            return a.value - b.value, UNKNOWN
        own = self._at(a)
        pairs = list(zip(own._without_values(a), own._without_values(b), strict=True))
        if any(len(x) != len(y) for x, y in pairs):  # refitted without other values
            return a.value - b.value, UNKNOWN
        parts = [part_of(x - y) for x, y in pairs]
        known = [part for part in parts if part is not None]
        if not known:
            return a.value - b.value, UNKNOWN
        spread = Spread(sum(part.variance for part in known), _t(known))
        exact = spread.variance <= _EXACT**2 and is_share(
            a
        )  # of n objects none differs: fewer than 1 - low of others do
        least = 1.0 - wilson(1.0, spread, *own._sizes(a)).low if exact else ROUNDING
        return a.value - b.value, around(a.value - b.value, spread, least)

    def spread(self, outcome: Outcome) -> Spread | None:
        """Variance of an outcome over other words; None where no value can be left out."""
        found = self._row_spread(outcome)
        fitted = None if outcome.refit is None else _refit_spread(outcome.refit)
        return max((one for one in (found, fitted) if one is not None), default=None, key=lambda one: one.variance)

    def _row_spread(self, outcome: Outcome) -> Spread | None:
        top, below = rows_of(outcome)
        top = _comparable(top, below, self._sorts)
        if outcome.within_bags:
            top = _averaged(top, below, self._bags)
            noise = _unit_variance(top, below, self._bags)
            return _binding_spread(noise, self._parts(noise, top, below, self._bags, most=1))
        noise = _unit_variance(top, below, self._sets)
        return _general_spread(noise, self._parts(noise, top, below, self._sets), self._n_concepts)

    def _parts(
        self, noise: float, top: FloatArray, below: FloatArray, units: IntArray, most: int | None = None
    ) -> dict[Concepts, tuple[Part, float]]:
        """V_A of sets A of at most so many concepts, each with what independent units alone make of it, kappa_A V_S."""
        found = {}
        for concepts, shows in self._groups.items():
            part = part_of(_without(shows, top, below)) if most is None or len(concepts) <= most else None
            if part is not None:
                found[concepts] = part, noise * _kappa(shows, below, units)
        return found

    def _at(self, outcome: Outcome) -> Jackknife:
        """The jackknife of the outcome's rows."""
        if outcome.codes is None:
            return self
        kept = self._others.get(id(outcome.codes))
        if kept is None:
            kept = Jackknife(outcome.codes, self.values)
            self._others[id(outcome.codes)] = kept  # holds the codes, so the number stays theirs
        return kept

    @cached_property
    def _others(self) -> dict[int, Jackknife]:
        return {}

    def _sizes(self, outcome: Outcome) -> tuple[int, int]:
        """Numbers of rows that count and of different objects that they show."""
        used = rows_of(outcome)[1] > 0
        return int(used.sum()), int((np.unique(self.codes[used]) != ABSENT).sum())

    def _without_values(self, outcome: Outcome) -> list[FloatArray]:
        """The figure without each value, an array for each concept; NaN where the value cannot be left out."""
        if outcome.refit is not None:
            return list(outcome.refit.values)
        top, below = rows_of(outcome)
        if outcome.within_bags:
            top = _averaged(top, below, self._bags)
        every = [_without(self._groups[(k,)], top, below) for k in range(self._n_concepts)]
        return [-one for one in every] if outcome.residual else every

    @property
    def of_values(self) -> list[sparse.csr_matrix]:
        """Which rows show each value, one matrix `[V_k, n]` of 0 and 1 for each concept."""
        return [self._groups[(k,)] for k in range(self._n_concepts)]

    @property
    def of_objects(self) -> sparse.csr_matrix:
        """Which rows show each combination of values that an object has, `[O, n]`."""
        return self._groups[tuple(range(self._n_concepts))]

    @property
    def _n_concepts(self) -> int:
        return int(self.values.shape[1])

    @cached_property
    def _row_values(self) -> IntArray:
        """Value indices `[n, m, C]`, -1 where no object stands."""
        return np.where((self.codes == ABSENT)[:, :, None], ABSENT, self.values[self.codes])

    @cached_property
    def _sets(self) -> IntArray:
        return row_ids(np.sort(self.codes, axis=1))

    @cached_property
    def _bags(self) -> IntArray:
        ordered = np.sort(self._row_values, axis=1)
        return row_ids(ordered.reshape(len(ordered), -1))

    @cached_property
    def _sorts(self) -> IntArray:
        """Rows with equal numbers show equally many objects and equally many different values of each concept."""
        ordered = np.sort(self._row_values, axis=1)
        different = (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1)
        return row_ids(np.column_stack([different, (self.codes != ABSENT).sum(axis=1)]))

    @cached_property
    def _groups(self) -> Mapping[Concepts, sparse.csr_matrix]:
        """Which rows `[G, n]` show each combination of values of some concepts."""
        every = range(self._n_concepts)
        sizes = every if self._n_concepts <= MANY_CONCEPTS else {0, self._n_concepts - 1}
        chosen = [concepts for size in sorted(sizes) for concepts in combinations(every, size + 1)]
        return {concepts: _shows(self.codes, row_ids(self.values[:, concepts])) for concepts in chosen}


def rows_of(outcome: Outcome) -> tuple[FloatArray, FloatArray]:
    """What each row adds above and below, `[n]` both."""
    assert outcome.top is not None
    assert outcome.below is not None
    return outcome.top, outcome.below


def is_share(outcome: Outcome) -> bool:
    """Whether every row adds between nothing and all that it can: such a figure lies in 0..1."""
    if outcome.residual or outcome.top is None or outcome.below is None:
        return False
    return bool(((outcome.top >= 0) & (outcome.top <= outcome.below * (1 + _EXACT))).all())


def wilson(theta: float, spread: Spread, n: int, objects: int) -> Interval:
    """Wilson's interval of a share theta of n scenes that show so many different objects.

    >>> low, high = wilson(0.5, Spread(0.0025, 2.0), 1000, 64)
    >>> round(low, 3), round(high, 3)
    (0.402, 0.598)
    """
    t, size = spread.t, 2.0 * n
    if min(theta, 1.0 - theta) <= _EXACT:
        least = _NORMAL**2 / (objects + _NORMAL**2)
        return Interval(0.0, least) if theta < 0.5 else Interval(1.0 - least, 1.0)
    if spread.variance > 0:
        size = min(theta * (1.0 - theta) / spread.variance, size)
    over = t * t / size
    middle = (theta + over / 2) / (1 + over)
    half = t / (1 + over) * sqrt(theta * (1 - theta) / size + over / (4 * size))
    return Interval(max(middle - half, 0.0), min(middle + half, 1.0))


def around(theta: float, spread: Spread, least: float = ROUNDING) -> Interval:
    """theta -+ t sqrt(var), at least so wide to either side."""
    half = max(spread.t * sqrt(spread.variance), least)
    return Interval(theta - half, theta + half)


def part_of(left: FloatArray) -> Part | None:
    """Jackknife variance of figures `[G]` that leave out one group each, NaN where it cannot be; None for fewer than two."""
    left = left[~np.isnan(left)]
    groups = len(left)
    if groups < 2:
        return None
    return Part(float((groups - 1) / groups * np.square(left - left.mean()).sum()), groups - 1.0)


def _t(parts: Sequence[Part]) -> float:
    """Two-sided 95 % point of Student's t for FREE_SHARE of the free values of single concepts."""
    return float(stdtrit(max(FREE_SHARE * sum(part.free for part in parts), 1.0), 0.975))


def _general_spread(noise: float, found: Mapping[Concepts, tuple[Part, float]], n_concepts: int) -> Spread | None:
    """Inclusion and exclusion over sets of concepts; at least each concept, objects, and independent units."""
    single = [concepts for concepts in found if len(concepts) == 1]
    if not single:
        return None
    parts = {concepts: _noise_once(part.variance, share, noise) for concepts, (part, share) in found.items()}
    objects = parts.get(tuple(range(n_concepts)), 0.0)
    if n_concepts <= MANY_CONCEPTS:
        total = sum(variance * (-1) ** (len(concepts) + 1) for concepts, variance in parts.items())
    else:
        total = sum(parts[k] for k in single) - (n_concepts - 1) * objects
    variance = max(total, noise, objects, *(parts[k] for k in single))
    return Spread(variance, _t([found[k][0] for k in single]))


def _noise_once(variance: float, share: float, noise: float) -> float:
    """V_A with the share of it that independent units explain counted once: the more they explain, the surer that is."""
    explained = min(share / variance, 1.0) if variance > 0 else 0.0
    return max(variance - explained * (share - noise), 0.0)


def _binding_spread(noise: float, found: Mapping[Concepts, tuple[Part, float]]) -> Spread | None:
    """V_S + sum_k max(V_k - kappa_k V_S, 0); t is the normal's for the first and Student's for the second, by variance."""
    if not found:
        return None
    over = sum(max(part.variance - share, 0.0) for part, share in found.values())
    t, total = _t([part for part, _ in found.values()]), noise + over
    return Spread(total, sqrt((noise * _NORMAL**2 + over * t**2) / total) if total > 0 else t)


def _refit_spread(refit: Refit) -> Spread | None:
    """max(sum_k V_k - (C - 1) V_O, max_k V_k, V_O)."""
    parts = [part for part in map(part_of, refit.values) if part is not None]
    if not parts:
        return None
    objects = None if refit.objects is None else part_of(refit.objects)
    own = 0.0 if objects is None else objects.variance
    variances = [part.variance for part in parts]
    return Spread(max(sum(variances) - (len(parts) - 1) * own, own, *variances), _t(parts))


def _shows(codes: IntArray, groups: IntArray) -> sparse.csr_matrix:
    """Which rows `[G, n]` show an object of each group, once each; groups `[O]` numbers them."""
    rows, slots = np.nonzero(codes != ABSENT)
    cells = (np.ones(len(rows)), (groups[codes[rows, slots]], rows))
    found = sparse.csr_matrix(cells, shape=(int(groups.max(initial=-1)) + 1, len(codes)))
    found.data[:] = 1.0  # an object of the group may stand there twice
    return found


def _without(shows: sparse.csr_matrix, top: FloatArray, below: FloatArray) -> FloatArray:
    """sum(top) / sum(below) without the rows that show each group; NaN where it shows none, or no other rows are left."""
    taken = shows @ np.column_stack([top, below])
    left = below.sum() - taken[:, 1]
    some = (taken[:, 1] > 0) & (left > _EXACT * below.sum())
    return np.asarray(np.divide(top.sum() - taken[:, 0], left, out=np.full(len(left), np.nan), where=some))


def _kappa(shows: sparse.csr_matrix, below: FloatArray, units: IntArray) -> float:
    """E V_A / E V_S where units deviate independently and alike, and all rows of a unit show the same groups."""
    total, size = below.sum(), np.bincount(units, below)[units]
    taken = shows @ below
    some = (taken > 0) & (total - taken > _EXACT * total)
    weight = np.where(some, 1.0 / np.where(some, total - taken, 1.0), 0.0)
    squares, groups = below * size, int(some.sum())
    each = float((shows @ squares * weight**2).sum())
    mean = float((squares * np.square(shows.T @ weight)).sum()) / groups
    return (groups - 1) / groups * (each - mean) * float(total**2 / squares.sum())


def _unit_variance(top: FloatArray, below: FloatArray, units: IntArray) -> float:
    """V_S: variance of the figure where units deviate independently."""
    total = below.sum()
    away = np.bincount(units, top) - np.bincount(units, below) * (top.sum() / total)
    return float(np.square(away).sum() / total**2)


def _averaged(top: FloatArray, below: FloatArray, bags: IntArray) -> FloatArray:
    """top with every row at the mean of its bag."""
    sizes = np.bincount(bags, below)
    means = np.bincount(bags, top) / np.where(sizes > 0, sizes, 1.0)
    return np.asarray(means[bags] * below)


def _comparable(top: FloatArray, below: FloatArray, sorts: IntArray) -> FloatArray:
    """top with the mean of its sort of scenes replaced by the mean of all."""
    sizes = np.bincount(sorts, below)
    means = np.bincount(sorts, top) / np.where(sizes > 0, sizes, 1.0)
    return np.asarray(top - below * (means[sorts] - top.sum() / below.sum()))
