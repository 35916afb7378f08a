"""What an analysis is said to cost before it starts."""

from __future__ import annotations

from bindscope.analyses.registry import analyses
from bindscope.datasets import load_dataset
from bindscope.runs.costs import about, seconds


def test_more_scenes_cost_more_and_what_is_unknown_is_not_said() -> None:
    small, large = (load_dataset(name).table for name in ("text:4x4", "text:9x9"))
    for name in ("recognition", "geometry"):
        costs = [seconds(analyses()[name].work(table, 64)) for table in (small, large)]
        assert costs[0] is not None
        assert costs[1] is not None
        assert 0 < costs[0] < costs[1]
    assert seconds(analyses()["audit"].work(small, 64)) is None
    assert about(7000.0) == ", about 1.9 h"
