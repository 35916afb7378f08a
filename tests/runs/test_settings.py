"""Settings: what they refuse, and the command line that makes a run again."""

from __future__ import annotations

import shlex

import pytest
import typer

from bindscope import cli
from bindscope.analyses.registry import default
from bindscope.errors import InputError, UnknownNameError
from bindscope.runs.settings import Settings


def test_the_command_is_one_that_the_command_line_takes() -> None:
    more = {"seed": 3, "sample": 5, "prompt": "a photo of", "device": "cpu", "batch_size": 2, "controls": False}
    words = shlex.split(Settings.of("planted:bag", "text:3x3", ["audit"], **more).command())
    command = typer.main.get_command(cli.app).commands["diagnose"]  # type: ignore[attr-defined]
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    flags = {word for word in words if word.startswith("--")}
    assert flags <= known
    assert flags == {"--data", "--analyses", *(f"--{name.replace('_', '-')}" for name in more), "--no-controls"} - {
        "--controls"
    }
    assert words[words.index("--prompt") + 1] == "a photo of"


def test_what_is_run_unasked_is_left_out_of_the_command() -> None:
    assert Settings.of("planted:bag", "text:3x3").command() == "bindscope diagnose planted:bag --data text:3x3"
    assert Settings.of("m", "pairs:f.json").analyses == default("pairs")
    assert Settings.of("m", "text:3x3").analyses == default()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"seed": -1}, "seed must be 0 or larger"),
        ({"sample": 1}, "at least 2 scenes"),
        ({"batch_size": 0}, "at least 1"),
        ({"analyses": []}, "no analysis was asked for"),
    ],
)
def test_bad_settings_are_refused(more: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Settings.of("m", "text:3x3", **more)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="did you mean audit"):
        Settings.of("m", "text:3x3", ["audits"])
