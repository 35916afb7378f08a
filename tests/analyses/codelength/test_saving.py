from __future__ import annotations

import numpy as np
import pytest

from bindscope.analyses.codelength.codelength import CodeLengths
from bindscope.analyses.codelength.saving import ArrivalBootstrap, length, saving

ORDERS, OBJECTS, FIRST = 6, 40, 8


def made(extra: np.ndarray, known: int = ORDERS, seed: int = 0) -> CodeLengths:
    """A table's lengths by noise, and a code that takes `extra` `[known, O]` more bits."""
    rng = np.random.default_rng(seed)
    objects = np.stack([rng.permutation(OBJECTS) for _ in range(ORDERS)])
    scenes = np.tile(np.where(np.arange(OBJECTS) < FIRST, 0, 2 * np.arange(OBJECTS)), (ORDERS, 1))
    lookup = rng.normal(-5.0, 1.0, size=(ORDERS, OBJECTS)) * scenes
    lengths = {
        "constant": np.zeros((ORDERS, OBJECTS)),
        "lookup": lookup,
        "rule": lookup[:known] + extra * (scenes[:known] > 0),
    }
    first = np.full(ORDERS, FIRST)
    return CodeLengths(("lookup", "rule"), lengths, objects, scenes, np.full(ORDERS, 3), first, {}, OBJECTS)


def test_value_and_curve_are_plain_sums() -> None:
    extra = np.random.default_rng(1).normal(-2.0, 1.0, size=(ORDERS, OBJECTS))
    found = made(extra)
    one = saving(found, "rule", "lookup", ArrivalBootstrap(found))
    gain = -(extra * (found.scenes > 0))
    assert one.value == pytest.approx(gain.sum() / found.scenes.sum())
    np.testing.assert_allclose(one.curve, gain.mean(axis=0).cumsum()[FIRST:])
    assert one.seen.tolist() == list(range(FIRST + 1, OBJECTS + 1))
    assert one.curve[-1] == pytest.approx(one.value * found.scenes.sum() / ORDERS)
    assert (one.band[:, 0] <= one.band[:, 1]).all()


def test_draws_are_weighted_sums_object_by_object() -> None:
    found = made(np.random.default_rng(1).normal(size=(ORDERS, OBJECTS)))
    bootstrap = ArrivalBootstrap(found, seed=3, draws=7)
    objects, orders = bootstrap._weights
    longer, cells = found.longer("rule", "lookup"), found.scenes.astype(float)
    drawn = bootstrap.drawn(longer, cells)
    for draw in range(7):
        top = below = 0.0
        for r in range(ORDERS):
            for p in range(OBJECTS):
                weight = orders[draw, r] * objects[draw, found.objects[r, p]]
                top, below = top + weight * longer[r, p], below + weight * cells[r, p]
        assert drawn[draw, -1] == pytest.approx(top / below)


def test_it_pays_from_where_the_sum_stays_above_zero() -> None:
    step = np.where(np.arange(OBJECTS) < 20, 4.0, -9.0)  # costs 12 x 4 bits first, earns 9 an object from the 21st on
    found = made(np.tile(step, (ORDERS, 1)))
    one = saving(found, "rule", "lookup", ArrivalBootstrap(found))
    assert one.pays
    assert one.pays_after == 26
    assert one.pays_interval.low <= 26 <= one.pays_interval.high


def test_a_code_that_never_saves_has_no_number() -> None:
    found = made(np.full((ORDERS, OBJECTS), 1.0))
    one = saving(found, "rule", "lookup", ArrivalBootstrap(found))
    assert not one.pays
    assert one.pays_after is None
    assert np.isnan(one.pays_interval.low)


def test_objects_and_orders_spread_apart_and_cover_noise() -> None:
    """Savings of mean zero: the interval covers zero in about 95 % of worlds (objects have effects of their own)."""
    inside = 0
    for seed in range(60):
        rng = np.random.default_rng([9, seed])
        found = made(np.zeros((ORDERS, OBJECTS)), seed=seed)
        effect = rng.normal(size=OBJECTS)[found.objects] * found.scenes
        found = made(effect, seed=seed)
        one = saving(found, "rule", "lookup", ArrivalBootstrap(found, draws=200))
        inside += one.interval.low <= 0 <= one.interval.high
        assert one.spread[0].low < one.spread[0].high
    assert inside >= 52


def test_lengths_of_codes_that_know_fewer_orders_compare_with_the_others() -> None:
    extra = np.full((2, OBJECTS), -3.0)
    found = made(extra, known=2)
    bootstrap = ArrivalBootstrap(found)
    table, _ = length(found, "lookup", bootstrap)
    rule, interval = length(found, "rule", bootstrap)
    assert rule - table == pytest.approx(-saving(found, "rule", "lookup", bootstrap).value)
    assert interval.low < rule < interval.high
    per_dimension, _ = length(found, "rule", bootstrap, per_dimension=True)
    assert per_dimension == pytest.approx(rule / 3)


def test_one_order_is_resampled_by_objects_alone_and_one_object_not_at_all() -> None:
    found = made(np.full((1, OBJECTS), -3.0), known=1)
    one = saving(found, "rule", "lookup", ArrivalBootstrap(found))
    assert np.isnan(one.spread[1].low)
    assert one.interval == one.spread[0]
    alone = CodeLengths(
        ("lookup",),
        {"lookup": np.array([[0.0, 1.0]]), "constant": np.zeros((1, 2))},
        np.array([[0, 1]]),
        np.array([[0, 5]]),
        np.array([2]),
        np.array([1]),
        {},
        2,
    )
    assert np.isnan(length(alone, "lookup", ArrivalBootstrap(alone))[1].low)
