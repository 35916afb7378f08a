"""Removal, editing and tables as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bindscope.analyses.editing import measure as editing
from bindscope.analyses.removal import measure as removal
from bindscope.results import read_results
from bindscope.runs import diagnose as running
from commands import exit_code


def call(*arguments: str) -> int:
    return exit_code(list(arguments))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "a"
    words = ("--analyses", "removal,editing", "--out", str(out), "--cache", str(out.parent / "cache"))
    assert call("diagnose", "planted:object?dim=32", "--data", "text:3x3?singles=true", *words) == 0
    return out


def test_a_run_has_its_records_its_explorer_and_its_sections(run: Path) -> None:
    assert {record.analysis for record in read_results(run)} == {"removal", "editing"}
    assert json.loads((run / "explorer.json").read_text(encoding="utf-8"))["estimator"] == "ols+pos"
    page = (run / "report.html").read_text(encoding="utf-8")
    for part in ('<section id="removal"', '<section id="editing"', 'id="explore-scene"'):
        assert part in page


@pytest.mark.parametrize(
    ("form", "sign"), [("text", "-----"), ("csv", "table,figure"), ("markdown", "| ---"), ("latex", "\\hline")]
)
def test_tables_are_printed_in_every_format(
    run: Path, form: str, sign: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("tables", str(run), "--format", form) == 0
    printed = capsys.readouterr().out
    assert sign in printed
    assert "2605.31503" in printed


def test_bad_names_are_one_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("tables", str(run), "--format", "latx") == 2
    assert "did you mean latex" in capsys.readouterr().err
    assert call("tables", str(tmp_path)) == 2
    assert "is no run directory" in capsys.readouterr().err
    assert (
        call("diagnose", "planted:bag", "--data", "text:3x3", "--analyses", "removals", "--out", str(tmp_path / "x"))
        == 2
    )
    assert "did you mean removal" in capsys.readouterr().err


def test_a_killed_run_goes_on_with_the_analysis_that_was_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {"analyses": ["removal", "editing"], "cache": tmp_path / "cache"}

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(editing, "measure", killed)
        with pytest.raises(KeyboardInterrupt):
            running.diagnose("planted:object?dim=24", "text:3x2", tmp_path / "a", **words)  # type: ignore[arg-type]
    assert (tmp_path / "a.partial" / "parts" / "removal.json").is_file()
    monkeypatch.setattr(removal, "measure", killed)  # finished before, so it is not made again
    run = running.diagnose("planted:object?dim=24", "text:3x2", tmp_path / "a", resume=True, **words)  # type: ignore[arg-type]
    assert {record.analysis for record in run.results} == {"removal", "editing"}
