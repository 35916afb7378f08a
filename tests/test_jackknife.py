"""The jackknife over values against loops that follow its formulas, and intervals against what they promise."""

from __future__ import annotations

from itertools import combinations, permutations
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bindscope.binding import binding_by_cosine, binding_outcomes
from bindscope.jackknife import FREE_SHARE, Jackknife, Spread, is_share, part_of, wilson
from bindscope.scenes import SceneTable
from bindscope.uncertainty import Interval, ObjectBootstrap, Outcome, Refit
from planted import plant, random_scenes, scenes, space_of

quick = settings(deadline=None, max_examples=20, derandomize=True)
tables = st.builds(
    lambda sizes, n, m, absent, seed: random_scenes(*sizes, n=n, m=m, absent=absent, seed=seed),
    st.sampled_from([(4, 4), (5, 3), (3, 3, 3), (6,)]),
    st.integers(5, 60),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.3]),
    st.integers(0, 1000),
)


def ordered_pairs(*sizes: int) -> SceneTable:
    """All ordered pairs of two different objects."""
    space = space_of(*sizes)
    ids = np.array(list(permutations(range(space.n_objects), 2)))
    return SceneTable.build(space, space.object_values(ids.ravel()).reshape(len(ids), 2, len(sizes)))


def variance_by_loops(table: SceneTable, concepts: tuple[int, ...], top: np.ndarray, below: np.ndarray) -> float | None:
    """V_A: leave out every combination of values of the concepts that an object of a row has."""
    shown = [
        {tuple(v[list(concepts)]) for v, p in zip(*row, strict=True) if p}
        for row in zip(table.values, table.present, strict=True)
    ]
    left = []
    for group in sorted(set().union(*shown)):
        rows = np.array([group not in one for one in shown])
        if below[~rows].sum() > 0 and below[rows].sum() > 0:
            left.append(top[rows].sum() / below[rows].sum())
    if len(left) < 2:
        return None
    return (len(left) - 1) / len(left) * float(np.sum((np.array(left) - np.mean(left)) ** 2))


@quick
@given(tables, st.integers(0, 100))
def test_groups_against_loops(table: SceneTable, seed: int) -> None:
    rng = np.random.default_rng(seed)
    below = rng.integers(0, 2, len(table)).astype(float)
    top = below * rng.random(len(table))
    if not below.any():
        return
    units = Jackknife.of(table)._sets
    found = Jackknife.of(table)._parts(0.0, top, below, units)
    for size in range(1, table.space.n_concepts + 1):
        for concepts in combinations(range(table.space.n_concepts), size):
            expected = variance_by_loops(table, concepts, top, below)
            assert (concepts in found) == (expected is not None)
            if expected is not None:
                assert found[concepts][0].variance == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_share_of_independent_units_is_their_expectation() -> None:
    """kappa_A V_S against the mean of V_A over rows that deviate independently, for values and for objects."""
    table = ordered_pairs(5, 4)
    jackknife, rng = Jackknife.of(table), np.random.default_rng(0)
    below = np.ones(len(table))
    seen: dict[tuple[int, ...], list[tuple[float, float]]] = {}
    for _ in range(300):
        noise = rng.normal(size=int(jackknife._sets.max()) + 1)[jackknife._sets]
        size = float(np.bincount(jackknife._sets, noise).std() ** 2 / (len(table) / 2) / 4)
        for concepts, (part, share) in jackknife._parts(size, noise, below, jackknife._sets).items():
            seen.setdefault(concepts, []).append((part.variance, share))
    for pairs in seen.values():
        found, expected = np.mean(pairs, axis=0)
        assert found == pytest.approx(expected, rel=0.1)


def test_exact_shares_have_the_width_of_their_objects() -> None:
    """64 objects, all right: [0.943, 1]; never a width of zero."""
    table = ordered_pairs(8, 8)
    low, high = Jackknife.of(table).interval(Outcome.mean("right", np.ones(len(table))))
    assert (round(low, 3), high) == (0.943, 1.0)
    low, high = Jackknife.of(table).interval(Outcome.mean("right", np.zeros(len(table))))
    assert (low, round(high, 3)) == (0.0, 0.057)


@quick
@given(tables, st.sampled_from(["zero", "one", "half", "random"]), st.booleans())
def test_no_interval_has_width_zero_or_leaves_the_range(table: SceneTable, kind: str, within: bool) -> None:
    values = {
        "zero": np.zeros,
        "one": np.ones,
        "half": lambda n: np.full(n, 0.5),
        "random": np.random.default_rng(1).random,
    }
    outcome = Outcome.mean("right", values[kind](len(table)), within_bags=within)
    jackknife = Jackknife.of(table)
    for low, high in (
        jackknife.interval(outcome),
        jackknife.not_exact(outcome, outcome.interval(ObjectBootstrap.of(table))),
    ):
        assert np.isnan(low) or (0.0 <= low < high <= 1.0)
        assert np.isnan(low) or low <= outcome.value <= high


def test_exact_fits_have_a_width() -> None:
    table = ordered_pairs(4, 4)
    outcome = Outcome.r2("r2", np.zeros(len(table)), np.ones(len(table)))
    low, high = Jackknife.of(table).interval(outcome)
    assert low < 1.0 < high < 1.0 + 1e-5
    same = Jackknife.of(table).not_exact(outcome, Interval(1.0, 1.0))
    assert same.low < same.high


def test_nothing_to_leave_out() -> None:
    """One value of each concept; two objects that every scene shows both: as many scenes as objects, or nothing."""
    both = SceneTable.build(space_of(2, 2), [[[0, 0], [1, 1]]] * 4)
    low, high = Jackknife.of(both).interval(Outcome.mean("right", [1.0, 0.0, 1.0, 0.0]))
    assert (low, high) == pytest.approx((0.0945, 0.9055), abs=1e-3)
    table = SceneTable.build(space_of(1, 1), [[[0, 0]]] * 3)
    assert Jackknife.of(table).interval(Outcome.mean("right", np.ones(3))).low == pytest.approx(0.2065, abs=1e-3)
    assert np.isnan(Jackknife.of(table).interval(Outcome.r2("r2", np.ones(3), np.ones(3)))).all()


def test_an_own_interval_is_kept() -> None:
    jackknife = Jackknife.of(ordered_pairs(3, 3))
    assert jackknife.interval(Outcome.number("n", 3.0, Interval(1.0, 5.0))) == Interval(1.0, 5.0)
    assert np.isnan(jackknife.interval(Outcome.number("n", None))).all()


def test_shift_moves_both_ends() -> None:
    table = ordered_pairs(4, 4)
    values = np.random.default_rng(0).random(len(table))
    plain = Outcome.ratio("share", values, np.ones(len(table)))
    moved = Outcome("share", plain.value - 0.2, top=plain.top, below=plain.below, shift=0.2)  # type: ignore[operator]
    jackknife = Jackknife.of(table)
    assert jackknife.interval(moved) == pytest.approx(np.array(jackknife.interval(plain)) - 0.2)


def test_other_rows_use_their_own_objects() -> None:
    """Rows that are the objects themselves: deleting a value deletes its objects."""
    table = ordered_pairs(6, 6)
    own = np.arange(table.n_objects)[:, None]
    right = np.random.default_rng(3).random(table.n_objects)
    found = Jackknife.of(table).interval(Outcome.mean("right", right, codes=own))
    assert found == Jackknife(own, table.candidate_values).interval(Outcome.mean("right", right))


def test_many_concepts_leave_out_values_and_objects_alone() -> None:
    table = random_scenes(2, 2, 3, 2, 2, n=200, m=2, seed=1)
    jackknife = Jackknife.of(table)
    assert {len(concepts) for concepts in jackknife._groups} == {1, 5}
    low, high = jackknife.interval(Outcome.mean("right", np.random.default_rng(0).random(len(table))))
    assert low < high


def test_sorts_of_scenes_do_not_count_as_noise() -> None:
    """Scenes that share a value are harder by design: that is no uncertainty about the words."""
    table = ordered_pairs(6, 6)
    steady = np.where(table.unshared, 0.9, 0.4)
    jackknife = Jackknife.of(table)
    spread = jackknife.spread(Outcome.mean("right", steady))
    assert spread is not None
    assert spread.variance < 1e-12


def test_refits_replace_rows() -> None:
    table = ordered_pairs(4, 4)
    left = tuple(np.random.default_rng(k).normal(0.5, 0.1, 4) for k in range(2))
    outcome = Outcome.r2("r2", np.full(len(table), 0.5), np.ones(len(table)), refit=Refit(left))
    spread = Jackknife.of(table).spread(outcome)
    assert spread is not None
    variances = [3 / 4 * np.sum((one - one.mean()) ** 2) for one in left]
    assert spread.variance == pytest.approx(sum(variances))
    assert spread.t == pytest.approx(stats.t.ppf(0.975, FREE_SHARE * 6))
    objects = np.random.default_rng(5).normal(0.5, 0.02, 16)
    less = Jackknife.of(table).spread(
        Outcome.r2("r2", np.full(len(table), 0.5), np.ones(len(table)), refit=Refit(left, objects))
    )
    assert less is not None
    own = 15 / 16 * np.sum((objects - objects.mean()) ** 2)
    assert less.variance == pytest.approx(max(sum(variances) - own, *variances))


def test_wilson_is_statsmodels_formula() -> None:
    """theta +- z sqrt(...) of the score interval, by its own definition: |p - theta| = z sqrt(p (1 - p) / n) at both ends."""
    low, high = wilson(0.3, Spread(0.3 * 0.7 / 50, 2.0), 1000, 64)
    for end in (low, high):
        assert abs(0.3 - end) == pytest.approx(2.0 * sqrt(end * (1 - end) / 50))


def test_part_needs_two_groups() -> None:
    assert part_of(np.array([0.3])) is None
    part = part_of(np.array([0.3, 0.5]))
    assert part is not None
    assert part == pytest.approx((0.01, 1.0))


def test_difference_of_equal_models_holds_zero_and_of_others_does_not() -> None:
    table = ordered_pairs(8, 8)
    jackknife, rng = Jackknife.of(table), np.random.default_rng(0)
    a, b = (Outcome.mean("right", (rng.random(len(table)) < p).astype(float)) for p in (0.5, 0.8))
    value, (low, high) = jackknife.difference(a, b)
    assert value == pytest.approx(-0.3, abs=0.03)
    assert high < 0
    value, (low, high) = jackknife.difference(a, a)
    assert (value, low < 0 < high) == (0.0, True)
    perfect = Outcome.mean("right", np.ones(len(table)))
    value, (low, high) = jackknife.difference(perfect, perfect)
    assert (value, round(low, 3), round(high, 3)) == (0.0, -0.057, 0.057)


def test_difference_without_rows_or_values() -> None:
    jackknife = Jackknife.of(ordered_pairs(3, 3))
    some, none = Outcome.number("n", 1.0), Outcome.number("n", None)
    assert jackknife.difference(some, none)[0] is None
    value, interval = jackknife.difference(some, Outcome.number("n", 3.0))
    assert value == -2.0
    assert np.isnan(interval).all()


def test_difference_of_r2_has_the_sign_of_the_values() -> None:
    table = ordered_pairs(5, 5)
    total = np.ones(len(table))
    noise = np.random.default_rng(0).random(len(table)) / 100
    good, poor = Outcome.r2("r2", 0.1 + noise, total), Outcome.r2("r2", 0.6 + noise[::-1], total)
    value, (low, high) = Jackknife.of(table).difference(good, poor)
    assert value == pytest.approx(0.5, abs=0.01)
    assert 0 < low < value < high


def test_shares_are_told_from_other_figures() -> None:
    assert is_share(Outcome.mean("right", [0.0, 1.0]))
    assert not is_share(Outcome.ratio("gain", [-0.1, 0.5], [1.0, 1.0]))
    assert not is_share(Outcome.r2("r2", [0.1], [1.0]))
    assert not is_share(Outcome.number("n", 1.0))


def test_intervals_cover_redrawn_worlds() -> None:
    """Binding preference of noisy product worlds, 6 x 6: most intervals hold the mean over worlds; widths."""
    table = scenes(6, 6)
    table = table.take(table.object_codes[:, 0] != table.object_codes[:, 1])
    jackknife = Jackknife.of(table)
    ends, values = [], []
    for seed in range(60):
        world = plant("product", table, dim=16, noise=2.0, seed=seed)
        outcome = binding_outcomes(binding_by_cosine(world.vectors, world.queries, table), table)[0]
        ends.append(jackknife.interval(outcome))
        values.append(outcome.value)
    low, high = np.array(ends).T
    truth = np.mean(np.array(values, dtype=float))
    assert ((low <= truth) & (truth <= high)).mean() >= 0.87
    assert (high - low).mean() < 2.5 * 3.92 * np.std(np.array(values, dtype=float))
