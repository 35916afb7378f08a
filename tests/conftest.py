"""One thread a test process: the tables are small, and threads that wait for a busy core cost minutes."""

from __future__ import annotations

import os
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before numpy is imported

import pytest  # noqa: E402 - after the threads are set

from commands import Command, Outcome  # noqa: E402


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`bindscope ARGUMENTS` in an empty directory with a cache of its own, in this process."""
    from bindscope import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BINDSCOPE_CACHE", str(tmp_path / "cache"))

    def call(*arguments: str) -> Outcome:
        capsys.readouterr()
        try:
            cli.main(list(arguments))
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return call
