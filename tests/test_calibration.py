"""The programs of benchmarks/calibration in small: what intervals cover and tests hold, on few worlds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration import coverage, significance, thresholds
from calibration.coverage import CELLS, measure, summary
from calibration.worlds import Cell

CHOSEN = ("bag 8x8, d 64, noise 0", "product 8x8, d 64, noise 1", "mixed 4x4x4, d 64, noise 2")


@pytest.mark.slow
@pytest.mark.parametrize("name", CHOSEN)
def test_intervals_for_other_words_cover_redrawn_words(name: str) -> None:
    """Objects resampled covered .59 to .91 of these; 400 and more worlds a cell stand in the results."""
    cell = next(one for one in CELLS if one.name == name)
    for row in measure(cell, 120):
        assert float(row["coverage"]) >= 0.87, row
        assert float(row["different"]) <= 0.15, row
        if 0.01 <= float(row["truth"]) <= 0.99 and np.isfinite(float(row["width"])):
            assert float(row["width"]) < 2.9, row


@pytest.mark.slow
def test_p_values_are_even_where_nothing_is_there_and_small_where_something_is() -> None:
    (row,) = significance.measure(significance.TESTS[0], 200)
    assert float(row["evenness"]) > 0.001
    assert float(row["power"]) > 0.5


@pytest.mark.slow
def test_thresholds_are_covered_and_lines_have_none() -> None:
    rise, line = (
        thresholds.measure(next(c for c in thresholds.CURVES if (c.slope is None) == straight), 60)
        for straight in (False, True)
    )
    assert float(rise["coverage"]) >= 0.87
    assert float(line["given"]) <= 0.15


def test_worlds_are_the_kinds_they_are_named() -> None:
    """A bag prefers nothing, a product its own objects; the same seed draws the same world."""
    figures = {kind: next(iter(Cell(kind, (6, 6)).worlds(1)))["preference"].value for kind in ("bag", "product")}  # type: ignore[arg-type]
    assert figures["bag"] == pytest.approx(0.5, abs=1e-9)
    assert figures["product"] is not None
    assert figures["product"] > 0.99
    again = next(iter(Cell("bag", (6, 6), noise=1.0).worlds(1)))["concepts"].value
    assert again == next(iter(Cell("bag", (6, 6), noise=1.0).worlds(1)))["concepts"].value


def test_the_noise_is_set_by_the_expected_variance() -> None:
    cell = Cell("object", (6, 6), dim=400, noise=1.0, read="fits")
    found = next(iter(cell.worlds(1)))["R2, Level I"].value
    assert found == pytest.approx(0.5, abs=0.05)


def test_summary_of_what_is_known() -> None:
    rows = np.array([[0.4, 0.3, 0.5], [0.6, 0.45, 0.7], [0.5, 0.52, 0.6], [0.5, 0.4, 0.6]])
    found = summary(rows)
    assert (found["truth"], found["coverage"]) == (0.5, 0.75)
    assert found["width"] == pytest.approx(
        np.mean([0.2, 0.25, 0.08, 0.2]) / (3.92 * np.std(rows[:, 0], ddof=1)), abs=1e-3
    )


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    cell = Cell("bag", (4, 4), dim=16)
    rows = [{key: str(value) for key, value in row.items()} for row in measure(cell, 6)]
    coverage.write(tmp_path / "c.csv", rows)
    assert coverage.read(tmp_path / "c.csv") == rows
    assert "Coverage: least" in (tmp_path / "c.md").read_text(encoding="utf-8")
    assert coverage.read(tmp_path / "none.csv") == []
