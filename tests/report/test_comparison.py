"""The page that compares runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bindscope.report.comparison import difference_figure, finding, render_comparison
from bindscope.results import Record, Results
from bindscope.runs.compare import Comparison
from bindscope.runs.verdict import verdict
from bindscope.show.run import Run
from report.synthetic import config, recognition_records, record

NAMES = ("st:<one>", "st:two")


def own(name: str, value: float) -> Record:
    words = {"estimator": "probe", "split": "held_out", "model": name}
    return record("recognition", "object_recognition", value, 0.01, target="all", **words)


def difference(value: float | None, half: float, tie: bool) -> Record:
    words = {"estimator": "probe", "split": "held_out", "model": NAMES[0], "extra": {"minus": NAMES[1], "tie": tie}}
    return record("recognition", "object_recognition", value, half, target="all", **words)


def page(*differences: Record) -> str:
    runs = [Run(config(model=name), Results(recognition_records())) for name in NAMES]
    found = Comparison(NAMES, Results([own(NAMES[0], 0.4321), own(NAMES[1], 0.8765), *differences]), 1234)
    return render_comparison(runs, [verdict(run.results) for run in runs], found)


def test_page_shows_both_runs_and_their_difference() -> None:
    text = page(difference(-0.4444, 0.02, tie=False))
    for word in (
        "0.432",
        "0.876",
        "−0.444",
        "[−0.464, −0.424]",
        "st:two is higher",
        "1,234 scenes in common",
        "Bag of concepts",
    ):
        assert word in text
    assert "<one>" not in text
    assert "st:&lt;one&gt; minus st:two" in text


@pytest.mark.parametrize(
    ("value", "tie", "words"),
    [
        (0.2, False, "st:<one> is higher"),
        (-0.2, False, "st:two is higher"),
        (0.001, True, "a tie"),
        (None, False, "not available"),
    ],
)
def test_finding(value: float | None, tie: bool, words: str) -> None:
    assert finding(difference(value, 0.01, tie)) == words


def test_difference_has_its_interval_and_a_line_at_zero() -> None:
    figure = difference_figure([difference(0.1, 0.2, tie=True)])
    assert figure.data[0]["error_x"]["array"] == pytest.approx([0.2])
    assert [shape["x0"] for shape in figure.layout["shapes"]] == [0.0]


def test_write_comparison_of_two_planted_runs(tmp_path: Path) -> None:
    from bindscope.report import write_comparison
    from bindscope.runs.diagnose import diagnose

    runs = [
        diagnose(f"planted:{kind}?dim=16", "text:4x3", tmp_path / kind, cache=tmp_path / "cache").directory
        for kind in ("bag", "object")
    ]
    out = write_comparison(runs, tmp_path / "comparison.html")
    text = out.read_text(encoding="utf-8")
    assert "planted:bag?dim=16 minus planted:object?dim=16" in text
    assert "Fewer than 25 objects" in text
