"""Intervals against a slow bootstrap by definition and by their coverage; nulls by their properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from bindscope import uncertainty
from bindscope.concepts import ABSENT
from bindscope.errors import InputError
from bindscope.scenes import SceneTable
from bindscope.uncertainty import (
    Interval,
    ObjectBootstrap,
    Outcome,
    difference,
    p_value,
    percentile,
    permutation_p,
    permuted_within,
    random_cycle,
)
from planted import designs, mixed_counts, random_scenes, scenes, space_of

quick = settings(deadline=None, max_examples=30, derandomize=True)
DESIGNS = designs()
small_tables = st.builds(
    lambda sizes, n, m, absent, seed: random_scenes(*sizes, n=n, m=m, absent=absent, seed=seed),
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.integers(1, 40),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.4]),
    st.integers(0, 10_000),
)


def row_weights(boot: ObjectBootstrap) -> np.ndarray:
    """`[draws, n]`: the product of the object weights over the distinct objects of each row, written out."""
    out = np.ones((boot.draws, len(boot.codes)))
    for row, codes in enumerate(boot.codes.tolist()):
        for code in set(codes) - {ABSENT}:
            out[:, row] *= boot.weights[:, code]
    return out


def is_unknown(interval: Interval) -> bool:
    return math.isnan(interval.low) and math.isnan(interval.high)


# --- sums and ratios


@given(small_tables, st.integers(0, 100))
@quick
def test_sums_by_definition(table: SceneTable, seed: int) -> None:
    boot = ObjectBootstrap.of(table, seed=seed, draws=20)
    columns = np.random.default_rng(seed).normal(size=(len(table), 3))
    expected = row_weights(boot) @ columns
    assert np.allclose(boot.sums(columns), expected)
    assert np.allclose(boot.sums(columns[:, 0]), expected[:, :1])


def test_both_ways_to_sum_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    table = scenes(4, 3, same=True)
    columns = np.random.default_rng(0).normal(size=(len(table), 2))
    pairs = ObjectBootstrap.of(table, draws=50).sums(columns)
    monkeypatch.setattr(uncertainty, "_DENSE_CELLS", 1)
    monkeypatch.setattr(uncertainty, "_CHUNK_CELLS", 1000)  # several blocks of draws
    assert np.allclose(ObjectBootstrap.of(table, draws=50).sums(columns), pairs)


@pytest.mark.parametrize("name", DESIGNS)
def test_ratio_by_definition(name: str) -> None:
    table = DESIGNS[name]
    rng = np.random.default_rng(1)
    top, below = rng.normal(size=len(table)), rng.random(len(table))
    boot = ObjectBootstrap.of(table, seed=2, draws=200)
    drawn = row_weights(boot) @ np.stack([top, below], axis=1)
    kept = drawn[drawn[:, 1] > 0]
    low, high = np.percentile(kept[:, 0] / kept[:, 1], [2.5, 97.5])
    assert boot.ratio(top, below) == pytest.approx((low, high))
    assert boot.r2(top, below) == pytest.approx((1 - high, 1 - low))


def test_weights_are_poisson_and_determined_by_the_seed() -> None:
    table = scenes(5, 4)
    boot = ObjectBootstrap.of(table, seed=1)
    assert boot.weights.shape == (1000, 20)
    assert boot.weights.mean() == pytest.approx(1, abs=0.03)
    assert boot.weights.var() == pytest.approx(1, abs=0.05)
    assert (boot.weights == 0).mean() == pytest.approx(math.exp(-1), abs=0.02)
    values = np.random.default_rng(0).normal(size=len(table))
    assert boot.mean(values) == ObjectBootstrap.of(table, seed=1).mean(values)
    assert boot.mean(values) != ObjectBootstrap.of(table, seed=2).mean(values)


@given(small_tables, st.integers(0, 100))
@quick
def test_intervals_do_not_see_order_copies_or_units(table: SceneTable, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=len(table))
    interval = ObjectBootstrap.of(table, seed, 60).mean(values)
    rows = rng.permutation(len(table))
    same = [
        ObjectBootstrap.of(table.take(rows), seed, 60).mean(values[rows]),
        ObjectBootstrap.of(table.take(np.repeat(rows, 3)), seed, 60).mean(np.repeat(values[rows], 3)),
        ObjectBootstrap(table.object_codes[:, ::-1], table.n_objects, 60, seed).mean(values),
    ]
    assert all(other == pytest.approx(interval, nan_ok=True) for other in same)
    moved = ObjectBootstrap.of(table, seed, 60).mean(3 * values + 1)
    assert moved == pytest.approx(Interval(3 * interval.low + 1, 3 * interval.high + 1), nan_ok=True)
    flipped = ObjectBootstrap.of(table, seed, 60).mean(-values)
    assert flipped == pytest.approx(Interval(-interval.high, -interval.low), nan_ok=True)


def test_a_mask_is_the_same_as_rows_left_out() -> None:
    table = mixed_counts(3, 3)
    values = np.random.default_rng(3).normal(size=len(table))
    values[~table.unshared] = np.nan  # what is masked out must not matter at all
    masked = ObjectBootstrap.of(table).mean(values, table.unshared)
    assert masked == pytest.approx(ObjectBootstrap.of(table.take(table.unshared)).mean(values[table.unshared]))


def test_a_constant_has_an_interval_of_no_width_and_a_difference_of_equals_is_zero() -> None:
    table = scenes(4, 4)
    boot = ObjectBootstrap.of(table)
    assert boot.mean(np.full(len(table), 0.25)) == pytest.approx((0.25, 0.25))
    right = np.random.default_rng(0).random(len(table)) < 0.5
    assert boot.mean(right.astype(float) - right) == (0.0, 0.0)
    assert boot.r2(np.zeros(len(table)), np.ones(len(table))) == (1.0, 1.0)


def test_few_objects_have_no_interval() -> None:
    space = space_of(3, 1)
    one = SceneTable.build(space, [[[0, 0], [0, 0]], [[0, 0], [-1, -1]]])
    assert is_unknown(ObjectBootstrap.of(one).mean([1.0, 2.0]))
    two = SceneTable.build(space, [[[0, 0], [1, 0]]])
    assert is_unknown(ObjectBootstrap.of(two).mean([1.0]))  # most draws have no weight at all
    alone = SceneTable.build(space, [[[0, 0]], [[1, 0]]])
    assert ObjectBootstrap.of(alone).mean([0.0, 1.0]) == (0.0, 1.0)
    table = scenes(4, 4)
    assert is_unknown(ObjectBootstrap.of(table).mean(np.ones(len(table)), np.zeros(len(table), dtype=bool)))
    assert is_unknown(ObjectBootstrap.of(table.take([])).mean([]))
    assert is_unknown(ObjectBootstrap.of(table).ratio(np.ones(len(table)), np.zeros(len(table))))


# --- coverage


def coverage(table: SceneTable, effect: float, noise: float, simulations: int = 250) -> float:
    """Share of intervals of a mean that hold its true value 0; objects are drawn anew in each simulation."""
    boot = ObjectBootstrap.of(table, seed=1, draws=300)
    held = 0
    for simulation in range(simulations):
        rng = np.random.default_rng([7, simulation])
        objects = np.append(rng.normal(size=table.n_objects), 0.0)
        low, high = boot.mean(effect * objects[table.object_codes].sum(axis=1) + noise * rng.normal(size=len(table)))
        held += low <= 0 <= high
    return held / simulations


def test_intervals_hold_the_truth_where_objects_rule() -> None:
    assert 0.90 <= coverage(scenes(10, 6), effect=1.0, noise=0.0) <= 0.99
    assert 0.90 <= coverage(scenes(10, 6), effect=1.0, noise=1.0) <= 0.99
    assert 0.90 <= coverage(scenes(10, 6, m=1), effect=1.0, noise=0.0) <= 0.99


def test_intervals_are_conservative_where_scenes_rule() -> None:
    assert coverage(scenes(8, 5), effect=0.0, noise=1.0) >= 0.97


def test_intervals_hold_the_truth_with_three_objects_and_gaps() -> None:
    table = random_scenes(10, 6, n=600, m=3, absent=0.2, seed=1)
    assert 0.88 <= coverage(table, effect=1.0, noise=0.5, simulations=120) <= 1.0


def test_scene_by_scene_intervals_would_be_far_too_narrow() -> None:
    """The control: a bootstrap that takes scenes for independent holds the truth much too seldom."""
    table, held = scenes(10, 6), 0
    for simulation in range(100):
        objects = np.random.default_rng([7, simulation]).normal(size=table.n_objects)
        values = objects[table.object_codes].sum(axis=1)
        held += abs(values.mean()) <= 1.96 * values.std() / math.sqrt(len(values))
    assert held / 100 < 0.5


def test_ratios_hold_the_truth() -> None:
    """R^2 of a model whose errors go by objects; the truth is that of the population of objects."""
    table, held = scenes(10, 6), 0
    boot = ObjectBootstrap.of(table, draws=300)
    for simulation in range(200):
        effects = np.random.default_rng([8, simulation]).exponential(size=table.n_objects)
        error = effects[table.object_codes].sum(axis=1)
        low, high = boot.r2(error, np.full(len(table), 10.0))
        held += low <= 1 - 2 / 10 <= high
    assert 0.88 <= held / 200 <= 0.99


# --- percentile, p value, permutations


def test_percentile_and_level() -> None:
    draws = np.arange(1001.0)
    assert percentile(draws) == pytest.approx((25.0, 975.0))
    assert percentile(draws, level=0.5) == pytest.approx((250.0, 750.0))


def test_p_value_counts_itself() -> None:
    null = [0.1, 0.2, 0.3, 0.4]
    assert p_value(0.3, null) == 3 / 5
    assert p_value(9.0, null) == 1 / 5
    assert p_value(-9.0, null) == 1.0
    assert p_value(0.0, []) == 1.0


def test_a_permutation_p_brings_what_its_draws_leave_open() -> None:
    """Clopper and Pearson: the ends are where so many hits, or so few, have probability 0.025."""
    found = permutation_p(0.5, np.arange(20) / 20, target="interaction")
    assert (found.metric, found.value, found.target) == ("p_value", 11 / 21, "interaction")
    assert found.ends is not None
    assert binom.sf(9, 20, found.ends.low) == pytest.approx(0.025)
    assert binom.cdf(10, 20, found.ends.high) == pytest.approx(0.025)
    assert permutation_p(2.0, np.zeros(19)).ends == pytest.approx((0.0, 1 - 0.025 ** (1 / 19)))
    assert permutation_p(0.0, np.ones(19)).ends == pytest.approx((0.025 ** (1 / 19), 1.0))


def test_p_values_of_a_true_null_are_not_too_small() -> None:
    rng = np.random.default_rng(0)
    values = np.array([p_value(draw[0], draw[1:]) for draw in rng.normal(size=(4000, 20))])
    for level in (0.05, 0.1, 0.25, 0.5):
        assert (values <= level).mean() == pytest.approx(level, abs=0.025)


@given(st.integers(2, 40), st.integers(0, 1000))
@quick
def test_random_cycle_is_one_cycle_without_fixed_points(size: int, seed: int) -> None:
    cycle = random_cycle(size, np.random.default_rng(seed))
    assert sorted(cycle.tolist()) == list(range(size))
    place, visited = 0, []
    for _ in range(size):
        visited.append(place)
        place = int(cycle[place])
    assert place == 0
    assert sorted(visited) == list(range(size))


def test_random_cycles_are_all_as_likely() -> None:
    rng = np.random.default_rng(0)
    drawn = [tuple(random_cycle(4, rng).tolist()) for _ in range(3000)]
    times = np.unique(drawn, axis=0, return_counts=True)[1]
    assert len(times) == 6  # (4 - 1)! cycles
    assert times.min() > 420


def test_random_cycle_refuses() -> None:
    for size in (0, 1):
        with pytest.raises(InputError, match=f"needs at least 2 items, got {size}"):
            random_cycle(size, np.random.default_rng(0))


def test_permuted_within_moves_rows_among_their_kind() -> None:
    kinds = np.repeat([0, 2, 5], [40, 1, 30])
    order = permuted_within(kinds, np.random.default_rng(3))
    assert sorted(order.tolist()) == list(range(71))
    assert (kinds[order] == kinds).all()
    assert (order == np.arange(71)).mean() < 0.2
    assert np.array_equal(order, permuted_within(kinds, np.random.default_rng(3)))


@pytest.mark.parametrize("kind", ["mean", "ratio", "r2", "shifted"])
def test_a_difference_is_that_of_the_values_with_the_interval_of_the_paired_draws(kind: str) -> None:
    table = scenes(5, 4)
    rng, boot = np.random.default_rng(4), ObjectBootstrap.of(table)
    tops, below = rng.random((2, len(table))), rng.random(len(table)) + 0.5

    def outcome(top: np.ndarray, shift: float) -> Outcome:
        if kind == "mean":
            return Outcome.mean("share", top, below > 1.0)
        if kind == "shifted":
            return Outcome("share", float(top.sum() / below.sum()) - shift, top=top, below=below, shift=shift)
        return (Outcome.r2 if kind == "r2" else Outcome.ratio)("share", top, below)

    a, b = outcome(tops[0], 0.2), outcome(tops[1], 0.05)
    value, (low, high) = difference(a, b, boot)
    weights = row_weights(boot)

    def drawn(one: Outcome) -> np.ndarray:
        found = weights @ one.top / (weights @ one.below)  # type: ignore[operator]
        return (1.0 - found if kind == "r2" else found) - one.shift

    assert value == pytest.approx(a.value - b.value)  # type: ignore[operator]
    assert (low, high) == pytest.approx(tuple(np.percentile(drawn(a) - drawn(b), [2.5, 97.5])))
    assert low < value < high  # type: ignore[operator]
    back, (last, first) = difference(b, a, boot)
    assert (back, last, first) == pytest.approx((-value, -high, -low))  # type: ignore[operator]


def test_bare_numbers_and_other_rows_cannot_be_paired() -> None:
    table = scenes(3, 3)
    boot, ones = ObjectBootstrap.of(table), np.ones(len(table))
    mean, bare, few = Outcome.mean("share", ones), Outcome.number("share", 0.25), Outcome.mean("share", ones[:5])
    assert mean.pairs_with(mean)
    assert not mean.pairs_with(bare)
    assert not mean.pairs_with(few)
    value, ends = difference(mean, bare, boot)
    assert value == 0.75
    assert math.isnan(ends.low)
    assert difference(mean, Outcome.number("share", None), boot)[0] is None
