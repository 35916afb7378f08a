from __future__ import annotations

import numpy as np
import pytest

from bindscope.controlled.config import preset
from bindscope.runs.transition import has_curves, transitions


def rows(
    middle: dict[int, float], coverages: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
) -> list[dict[str, object]]:
    rng = np.random.default_rng(0)
    return [
        {
            **preset("tiny", values=values, coverage=coverage, seed=seed).model_dump(),
            "closed": 0.1 + 0.8 / (1 + np.exp(-30 * (coverage - place))) + 0.01 * rng.normal(),
        }
        for values, place in middle.items()
        for coverage in coverages
        for seed in range(3)
    ]


def test_each_group_has_its_threshold() -> None:
    found = transitions(rows({8: 0.6, 16: 0.4}))
    assert [one.settings for one in found] == [{"values": 8}, {"values": 16}]
    assert [one.n_objects for one in found] == [64, 256]
    for one, place in zip(found, (0.6, 0.4), strict=True):
        assert one.threshold.middle == pytest.approx(place, abs=0.02)
        assert one.threshold.interval.low <= place <= one.threshold.interval.high


def test_models_without_a_closed_scene_are_left_out_and_few_coverages_have_no_threshold() -> None:
    table = rows({8: 0.5})
    for row in table:
        row["closed"] = None if row["coverage"] in (0.7, 0.8, 0.6) else row["closed"]
    (one,) = transitions(table)
    assert one.threshold.middle is None
    assert one.threshold.why == "fewer than 5 coverages"
    assert len(one.figure) == 12


def test_models_that_do_not_know_their_training_objects_are_told() -> None:
    table = rows({8: 0.5, 16: 0.5})
    for row in table:
        row["train"] = 0.4 if row["coverage"] < 0.8 or row["values"] == 16 else 0.95
    one, other = transitions(table)
    assert (one.learnt, one.train) == (True, pytest.approx(0.95))
    assert (other.learnt, other.train) == (False, pytest.approx(0.4))
    assert all(found.learnt for found in transitions(rows({8: 0.5})))  # not known is not held against them


def test_curves_need_five_coverages() -> None:
    assert has_curves(rows({8: 0.5}))
    assert not has_curves(rows({8: 0.5}, (0.2, 0.8)))
