"""Thresholds on planted curves, and none where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

from bindscope.analyses.complexity.threshold import RECOGNITION, _Curve, _Grid, coverage_threshold
from bindscope.errors import InputError

COVERAGES = np.repeat(np.arange(1, 10) / 10, 4)


def logistic(middle: float, slope: float, low: float = 0.2, high: float = 0.95) -> np.ndarray:
    return low + (high - low) / (1 + np.exp(-slope * (COVERAGES - middle)))


@pytest.mark.parametrize("middle", [0.3, 0.5, 0.62])
@pytest.mark.parametrize("slope", [15.0, 30.0])
def test_a_planted_threshold_is_found(middle: float, slope: float) -> None:
    noisy = logistic(middle, slope) + np.random.default_rng(0).normal(size=36) * 0.02
    found = coverage_threshold(COVERAGES, noisy)
    assert found.middle == pytest.approx(middle, abs=0.02)
    assert found.interval.low - 0.01 <= middle <= found.interval.high + 0.01
    assert found.low == pytest.approx(0.2, abs=0.05)
    assert found.high == pytest.approx(0.95, abs=0.06)
    assert found.line_gain is not None
    assert found.line_gain > 0
    assert found.slope_interval.low <= slope * 1.3
    assert found.slope_interval.high >= slope * 0.7


def test_the_interval_covers_the_planted_threshold_about_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(60):
        noisy = logistic(0.5, 20.0) + np.random.default_rng(seed).normal(size=36) * 0.05
        found = coverage_threshold(COVERAGES, noisy, seed=seed, draws=19)
        hits += found.middle is not None and found.interval.low <= 0.5 <= found.interval.high
    assert hits >= 54  # 2,000 curves a cell: benchmarks/calibration


def test_straight_lines_have_no_threshold() -> None:
    found = [
        coverage_threshold(
            COVERAGES, rise * COVERAGES + np.random.default_rng(seed).normal(size=36) * 0.05, seed, 59
        ).why
        for seed, rise in enumerate(np.repeat([0.0, 0.3, 0.9], 20))
    ]
    assert found.count("") <= 4
    assert {"flat", "straight"} <= set(found)


def test_models_that_shift_the_curve_widen_the_interval() -> None:
    """Four models whose rise comes sooner or later: what they share is less sure than what their points say."""
    models = np.tile(np.arange(4), 9)
    shift = np.array([-0.08, 0.08, -0.05, 0.05])[models]
    rng = np.random.default_rng(0)
    noisy = 0.1 + 0.8 / (1 + np.exp(-25 * (COVERAGES - 0.5 - shift))) + rng.normal(size=36) * 0.01
    alone, together = coverage_threshold(COVERAGES, noisy), coverage_threshold(COVERAGES, noisy, models=models)
    assert alone.middle == pytest.approx(together.middle, abs=0.02)
    assert together.interval.high - together.interval.low > 1.5 * (alone.interval.high - alone.interval.low)


def test_models_at_other_levels_leave_the_threshold_as_it_is() -> None:
    models = np.tile(np.arange(4), 9)
    rng = np.random.default_rng(1)
    same = 0.2 + 0.6 / (1 + np.exp(-25 * (COVERAGES - 0.5))) + rng.normal(size=36) * 0.01
    raised = same + np.array([-0.1, 0.1, -0.06, 0.06])[models]
    plain, alone = coverage_threshold(COVERAGES, same), coverage_threshold(COVERAGES, raised)
    together = coverage_threshold(COVERAGES, raised, models=models)
    assert together.middle == pytest.approx(plain.middle, abs=0.006)
    width = together.interval.high - together.interval.low
    assert width < 0.5 * (alone.interval.high - alone.interval.low)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.full(36, 0.3), "flat"),
        (0.3 + np.random.default_rng(1).normal(size=36) * 0.02, "flat"),
        (0.9 - 0.6 / (1 + np.exp(-30 * (COVERAGES - 0.5))), "falls"),
        (logistic(0.95, 20.0), "one-sided"),
        (logistic(0.02, 15.0), "one-sided"),
    ],
)
def test_no_threshold_where_there_is_none(values: np.ndarray, why: str) -> None:
    found = coverage_threshold(COVERAGES, values)
    assert found.middle is None
    assert found.slope is None
    assert found.why == why


def test_a_line_is_no_sharper_than_a_line() -> None:
    noisy = COVERAGES + np.random.default_rng(2).normal(size=36) * 0.05
    found = coverage_threshold(COVERAGES, noisy)
    assert found.line_gain is not None
    assert found.line_gain < 0.05


def test_one_value_a_coverage_missing_values_and_few_coverages() -> None:
    single = coverage_threshold(COVERAGES[::4], logistic(0.5, 30.0)[::4])
    assert single.middle == pytest.approx(0.5, abs=0.02)
    holed = logistic(0.5, 30.0)
    holed[::5] = np.nan
    assert coverage_threshold(COVERAGES, holed).middle == pytest.approx(0.5, abs=0.02)
    assert coverage_threshold(COVERAGES[:12], holed[:12]).why == "fewer than 5 coverages"
    assert coverage_threshold([], []).middle is None


def test_the_same_seed_gives_the_same_interval() -> None:
    noisy = logistic(0.5, 20.0) + np.random.default_rng(0).normal(size=36) * 0.05
    assert coverage_threshold(COVERAGES, noisy, seed=4) == coverage_threshold(COVERAGES, noisy, seed=4)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(InputError, match="two lists of one length"):
        coverage_threshold([0.1, 0.2], [1.0])
    with pytest.raises(InputError, match=r"coverage must lie in 0\.\.1"):
        coverage_threshold([0.1, 1.2], [1.0, 2.0])


@pytest.mark.parametrize(("low", "high"), [(-0.3, 0.8), (0.3, 1.4), (-0.2, 1.3), (0.2, 0.7)])
def test_the_bounded_fit_is_as_good_as_that_of_a_general_solver(low: float, high: float) -> None:
    x = np.repeat([0.1, 0.3, 0.5, 0.7, 0.9], 2)
    y = low + (high - low) / (1 + np.exp(-12 * (x - 0.5))) + np.random.default_rng(5).normal(size=10) * 0.05

    def left(fit: np.ndarray) -> np.ndarray:
        return np.asarray(y - fit[0] - (fit[1] - fit[0]) / (1 + np.exp(-fit[3] * (x - fit[2]))))

    starts = [[0.1, 0.9, middle, slope] for middle in (0.3, 0.5, 0.7) for slope in (6.0, 15.0)]
    box = ([0.0, 0.0, 0.0, 4.0], [1.0, 1.0, 1.0, 120.0])
    best = min(least_squares(left, start, bounds=box).cost for start in starts)
    found = _Curve(x, y, np.arange(10), _Grid.of(x, RECOGNITION)).fit
    low, high = float(found.low[0]), float(found.high[0])
    ours = 0.5 * np.square(left(np.array([low, high, found.middle[0], found.slope[0]]))).sum()
    assert ours == pytest.approx(best, rel=0.03)  # middle and slope lie on a grid
    assert 0 <= low <= high <= 1


def test_a_curve_that_levels_off_slowly_has_a_threshold_within_the_bounds_of_a_share() -> None:
    x = np.repeat([0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65], 3)
    y = np.repeat([0.0, 0.05, 0.4, 0.66, 0.78, 0.85, 0.97], 3) + np.random.default_rng(0).normal(size=21) * 0.01
    free, bounded = coverage_threshold(x, y), coverage_threshold(x, y, bounds=RECOGNITION)
    assert free.why == "one-sided"
    assert free.low is not None
    assert free.low < -0.5
    assert bounded.middle == pytest.approx(0.23, abs=0.02)
    assert bounded.interval.low <= bounded.middle <= bounded.interval.high


def test_bounds_change_nothing_where_the_curve_keeps_to_them() -> None:
    noisy = logistic(0.5, 20.0) + np.random.default_rng(0).normal(size=36) * 0.01
    free, bounded = coverage_threshold(COVERAGES, noisy), coverage_threshold(COVERAGES, noisy, bounds=RECOGNITION)
    assert (free.middle, free.slope) == (bounded.middle, bounded.slope)
    assert bounded.low == pytest.approx(free.low, abs=1e-9)
    for values, why in ((logistic(0.95, 20.0), "one-sided"), (np.full(36, 0.3), "flat"), (noisy[::-1], "falls")):
        assert coverage_threshold(COVERAGES, values, bounds=RECOGNITION).why == why
