"""What the README shows must run, and what it names must exist."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import bindscope
from bindscope.cli import COMMANDS
from bindscope.datasets import load_dataset

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_there_is_something_to_run() -> None:
    assert len(blocks("python")) >= 3
    assert len(blocks("yaml")) == 1


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python_blocks_run(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BINDSCOPE_CACHE", str(tmp_path / "cache"))
    exec(compile(blocks("python")[number], f"README.md, python block {number}", "exec"), {})
    shown = capsys.readouterr().out
    assert shown.strip()
    if number == 0:
        assert shown.startswith("bag of concepts")


def test_the_recipe_makes_scenes(tmp_path: Path) -> None:
    (tmp_path / "shirts.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    scenes = load_dataset(f"text:{tmp_path}/shirts.yaml")
    assert len(scenes) == 18 * 17
    assert scenes.items.texts is not None
    assert scenes.items.texts[0] == "a small red shirt with a small red jeans"


def test_links_lead_to_files() -> None:
    places = [place for place in re.findall(r"\]\(([^)]+)\)", README) if "://" not in place]
    assert len(places) >= 4
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_commands_and_names_exist() -> None:
    assert set(re.findall(r"bindscope ([a-z]+)", README)) - {"finds", "implements"} <= set(COMMANDS)
    assert set(re.findall(r"(?<!module:)bindscope\.(\w+)", README)) <= {*bindscope.__all__, "git"}
    for module, factory in set(re.findall(r"module:(bindscope[\w.]+):(\w+)", README)):
        assert callable(getattr(importlib.import_module(module), factory))
