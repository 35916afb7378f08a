"""The demos end with the path of a page, each in a directory of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from bindscope.cli import demo as commands
from commands import Command


def test_the_demo_of_interventions_prints_the_tables_and_keeps_its_runs(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    worlds = {name: (f"planted:{name}?dim=48", "text:4x4?singles=true") for name in ("object", "bag")}
    monkeypatch.setattr(commands, "DEMO_TAKEN_APART", worlds)
    done = command("demo", "--interventions")
    assert done.code == 0, done.err
    assert done.out.strip().splitlines()[-1] == str(Path("runs/demo-interventions/bag/report.html"))
    assert done.out.count("Table 3") >= 2
    for name in worlds:
        assert "explorer" in (tmp_path / "runs/demo-interventions" / name / "report.html").read_text(encoding="utf-8")


def test_two_demos_at_once_are_refused(command: Command) -> None:
    done = command("demo", "--images", "--interventions")
    assert done.code == 2
    assert "give one of them" in done.refusal
