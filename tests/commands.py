"""Commands as a user runs them: in this process, or in one of their own that can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import bindscope


@dataclass(frozen=True)
class Outcome:
    """Exit code and what was printed."""

    code: int
    out: str
    err: str

    @property
    def refusal(self) -> str:
        """The one line of a refusal; fails where there is more, less, or a traceback."""
        assert self.code == 2, f"exit code {self.code}\n{self.out}{self.err}"
        assert len(self.error) <= 300
        return self.error

    @property
    def error(self) -> str:
        """The one line of an error; fails where there is more, less, or a traceback."""
        assert "Traceback" not in self.err
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        return lines[0]

    @property
    def last(self) -> str:
        """The last line of what was printed."""
        return self.out.strip().splitlines()[-1]


Command = Callable[..., Outcome]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Of a process whose current directory is `folder` and whose modules are these sources."""
    places = [str(Path(bindscope.__file__).parents[1]), str(folder)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places), "BINDSCOPE_CACHE": str(folder / "cache"), **more}


def start(folder: Path, *arguments: str, **more: str) -> subprocess.Popen[str]:
    """`bindscope ARGUMENTS` in a process of its own, whose current directory is `folder`."""
    return subprocess.Popen(
        [sys.executable, "-m", "bindscope", *arguments],
        cwd=folder,
        env=environment(folder, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> Outcome:
    """Wait for its end."""
    out, err = process.communicate(timeout=300)
    return Outcome(process.returncode, out, err)


def exit_code(words: list[str]) -> int:
    """Exit code of `bindscope WORDS` in this process, where a test reads the output itself."""
    from bindscope import cli

    try:
        cli.main(words)
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0
