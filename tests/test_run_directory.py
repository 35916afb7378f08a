"""Run directories under bad luck: two writers, killed ones, what they left, exchanged places."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bindscope import run_directory
from bindscope.errors import InputError, StoreError
from bindscope.results import Record, Results, read_results
from bindscope.run_directory import locked, open_run, sweep
from commands import Command, environment

DEAD = 2**22 + 1  # above the largest process number of Linux


def test_a_directory_has_one_writer_at_a_time(tmp_path: Path) -> None:
    code = "\n".join(
        [
            "import pathlib, sys",
            "from bindscope.run_directory import locked",
            "with locked(pathlib.Path('r')):",
            "    print('in', flush=True); sys.stdin.read()",
        ]
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None
    assert other.stdin is not None
    assert other.stdout.readline() == b"in\n"
    with (
        pytest.raises(StoreError, match=f"is being written by process {other.pid}; wait for it or give another --out"),
        locked(tmp_path / "r"),
    ):
        pass
    other.kill()  # a lock ends with its process
    other.wait()
    other.stdin.close()
    other.stdout.close()
    with locked(tmp_path / "r"):
        assert (tmp_path / ".r.lock").exists()
    assert not (tmp_path / ".r.lock").exists()


def test_a_refused_run_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no"), open_run(tmp_path / "r", "1", resume=False):
        raise InputError("no")
    assert list(tmp_path.iterdir()) == []


def test_a_refused_run_keeps_what_was_finished(tmp_path: Path) -> None:
    def begun() -> None:
        with open_run(tmp_path / "r", "1", resume=False) as writer:
            writer.keep("geometry", [Record("geometry", "r2", 1.0)])
            raise InputError("late")

    with pytest.raises(InputError, match="late"):
        begun()
    with open_run(tmp_path / "r", "1", resume=True) as writer:
        assert writer.finished("geometry") is not None


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with open_run(Path("~/r"), "1", resume=False) as writer:
        writer.complete({"schema_version": 1}, Results([Record("geometry", "r2", 1.0)]))
    assert (tmp_path / "r" / "config.json").is_file()


def complete(place: Path, value: float) -> None:
    with open_run(place, "1", resume=False) as writer:
        writer.complete({"schema_version": 1}, Results([Record("geometry", "r2", value)]))


@pytest.mark.parametrize("exchange", [True, False])
def test_an_older_run_is_replaced_and_nothing_is_left(
    tmp_path: Path, exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchange:
        monkeypatch.setattr(run_directory, "_exchanged", lambda one, other: False)
    complete(tmp_path / "r", 1.0)
    complete(tmp_path / "r", 2.0)
    assert read_results(tmp_path / "r").records[0].value == 2.0
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_what_killed_processes_left_is_swept(tmp_path: Path) -> None:
    complete(tmp_path / "r", 1.0)
    (tmp_path / f"r.old-{DEAD}").mkdir()
    (tmp_path / f"r.old-{os.getppid()}").mkdir()  # of a process that runs
    for name in (
        f".scenes.parquet.{DEAD}.partial",
        f".config.json.{DEAD}",
        ".tmpAbc123",
        f".x.{os.getppid()}.partial",
        "own",
    ):
        (tmp_path / "r" / name).write_text("")
    sweep(tmp_path / "r")
    assert {path.name for path in tmp_path.iterdir()} == {"r", f"r.old-{os.getppid()}"}
    left = {path.name for path in (tmp_path / "r").iterdir()}
    assert left >= {"own", f".x.{os.getppid()}.partial", "config.json"}
    assert not {name for name in left if str(DEAD) in name or name.startswith(".tmp")}


def test_a_run_that_was_taken_aside_and_never_replaced_comes_back(tmp_path: Path) -> None:
    complete(tmp_path / "r", 1.0)
    os.replace(tmp_path / "r", tmp_path / f"r.old-{DEAD}")
    sweep(tmp_path / "r")
    assert read_results(tmp_path / "r").records[0].value == 1.0


def test_a_flipped_byte_in_results_is_told(tmp_path: Path) -> None:
    complete(tmp_path / "r", 1.0)
    file = tmp_path / "r" / "results.parquet"
    whole = file.read_bytes()
    told = 0
    for place in range(4, len(whole) - 4, 97):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            found = read_results(tmp_path / "r")
        except StoreError:
            told += 1
        else:
            assert found.records == (Record("geometry", "r2", 1.0),), place  # a byte that nothing is read from
    assert told > 10


def test_modes_are_those_of_the_umask(command: Command, tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        done = command("diagnose", "planted:bag?dim=8", "--data", "text:2x3", "--analyses", "audit", "--out", "r")
        assert done.code == 0, done.err
    finally:
        os.umask(old)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "r").iterdir() if path.is_file()}
    assert modes == {0o640}
