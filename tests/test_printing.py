"""What commands print: numbers, tables without empty columns, the summary of a run in 80 columns."""

from __future__ import annotations

import pytest

from bindscope.analyses.registry import analyses
from bindscope.cli.printing import print_table
from bindscope.results import Record, Results
from bindscope.show.tables import figures_table, filled_table, number_text, signed_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0.18934, "0.189"),
        (0.0002, "0.0002"),
        (1.8e-16, "0.000"),
        (2e-6, "2.0e-06"),
        (9900.0, "9,900"),
        (1.0, "1.000"),
        (-0.25, "-0.250"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert number_text(value) == text


def test_differences_have_a_sign() -> None:
    assert [signed_text(value) for value in (0.5, -0.5, 0.0)] == ["+0.500", "-0.500", "0.000"]


def test_empty_columns_are_left_out_and_brackets_stay(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(filled_table("t", {"a": ["list[str]"], "empty": [""], "b": ["0.5"]}))
    shown = capsys.readouterr().out
    assert "list[str]" in shown
    assert "empty" not in shown


def test_a_summary_fits_a_narrow_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    words = {"ci_low": 0.1234, "ci_high": 0.5678, "n_scenes": 160_400}
    known = {"chance": 2e-4, "ceiling": 0.5, **words}
    results = Results(
        [
            Record("recognition", "object_recognition", 0.3, "zero_shot", "unshared", split="all", **known),
            *(
                Record("geometry", metric, 0.9, "ols+pos", "level2_objects", split=split, **words)
                for metric in ("r2", "retrieval_top1")
                for split in ("in_sample", "held_out")
            ),
            Record("variance", "share", 0.9, "ols", "cross_object", split="in_sample", **words),
            Record("removal", "object_recognition", 0.1, "subtract", "concepts", split="held_out", **known),
        ]
    )
    ran = {record.analysis for record in results}
    found = [one.table_of(results) for name, one in analyses().items() if name in ran]
    assert len(found) == 4
    for table in found[:3]:
        assert table is not None
        print_table(table)
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= 80
    print_table(figures_table("removal", results.select(analysis="removal")))
    assert "Object recognition, concepts" in capsys.readouterr().out
