"""One thread a test process: the tables are small, and threads that wait for a busy core cost minutes."""

from __future__ import annotations

import os
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before numpy is imported

import pytest  # noqa: E402 - after the threads are set

from commands import Command, Outcome, exit_code  # noqa: E402


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`bindscope ARGUMENTS` in an empty directory with a cache of its own, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BINDSCOPE_CACHE", str(tmp_path / "cache"))

    def call(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = exit_code(list(arguments))
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return call
