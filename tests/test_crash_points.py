"""Commands that are killed at each rename and each removal in turn: run again, they end in the same bytes."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from commands import Command, exit_code

DIAGNOSE = ("diagnose", "planted:bag?dim=8", "--data", "text:2x3", "--analyses", "audit", "--out", "r")
TINY = [
    f"{key}={value}" for key, value in {"values": 4, "steps": 4, "batch": 8, "evaluate_every": 2, "width": 8}.items()
]
TINY += ["checkpoint_every=2", "heads=1", "layers=1", "output=8", "feed_forward=8", "test_scenes=20"]
TRAIN = ("train", "--out", "r", *(word for one in TINY for word in ("--set", one)))
POINTS = ("replace", "rename", "unlink", "rmdir")


def forked(words: tuple[str, ...], last: int | None) -> tuple[int, int]:
    """Exit code of a command in a copy of this process, and how many points it passed; killed at the one numbered `last`."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        passed = 0

        def counted(real: Any) -> Any:
            def call(*given: Any, **more: Any) -> Any:
                nonlocal passed
                if passed == last:
                    os._exit(77)
                passed += 1
                return real(*given, **more)

            return call

        for name in POINTS:
            setattr(os, name, counted(getattr(os, name)))
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            code = exit_code(list(words))
        os.write(writing, str(passed).encode())
        os._exit(code)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    passed_by = os.read(reading, 20)
    os.close(reading)
    return os.waitstatus_to_exitcode(status), int(passed_by or 0)


def content(folder: Path) -> dict[str, bytes]:
    """Bytes of the results of a run."""
    return {name: (folder / name).read_bytes() for name in ("results.json", "results.csv", "results.parquet")}


def left(folder: Path) -> list[str]:
    """Temporary files in a run and beside it."""
    names = [path.name for path in (*folder.iterdir(), *folder.parent.iterdir())]
    return [name for name in names if name.startswith(".") or "partial" in name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "more", "again"),
    [(DIAGNOSE, ("--resume",), False), (DIAGNOSE, ("--resume",), True), (TRAIN, (), False)],
    ids=["diagnose", "diagnose over an older run", "train"],
)
def test_killed_at_every_point(
    words: tuple[str, ...], more: tuple[str, ...], again: bool, command: Command, tmp_path: Path
) -> None:
    place = tmp_path / "r"
    assert command(*words).code == 0
    whole = content(place)
    if not again:
        shutil.rmtree(place)
    _, points = forked(words, None)
    assert points > 3
    for point in range(points):
        if not again:
            shutil.rmtree(place, ignore_errors=True)
        code, _ = forked(words, point)
        assert code == 77, point
        done = forked((*words, *more), None)
        assert done[0] == 0, point
        assert content(place) == whole, point
        assert left(place) == [], point


@pytest.mark.slow
def test_commands_on_a_finished_run_are_killed_at_every_point(command: Command, tmp_path: Path) -> None:
    """A grid on a run, a gate and a page of comparison: run again, they end in the same bytes, and the run stays whole."""
    wide = ("diagnose", "planted:product?dim=8", "--data", "text:4x4", "--analyses", "audit,recognition", "--out")
    assert command(*wide, "base").code == 0
    assert command(*wide[:1], "planted:bag?dim=8", *wide[2:], "other").code == 0
    Path("v.yaml").write_text("concepts:\n  a: [red, blue, green]\n  b: [cube, ball, cone]\n")
    grid = ("complexity", "r", "--coverage", "0.6", "--learners", "additive", "--splits", "1", "--no-codelength")
    gate = ("gate", "planted:object?dim=8", "--vocabulary", "v.yaml", "--scenes", "40", "--out", "r", "--fail-if")
    for words in (
        (*grid, "--workers", "1"),
        (*gate, "swap_accuracy<0"),
        ("compare", "base", "other", "--out", "r/page.html"),
    ):
        wholes, points = {}, None
        for point in (None, *range(99)):
            if points is not None and point is not None and point >= points:
                break
            shutil.rmtree("r", ignore_errors=True)
            shutil.copytree("base", "r") if words[0] != "gate" else None
            code, passed = forked(words, point)
            if point is None:
                assert (code, passed > 0) == (0, True), words
                points, wholes = passed, every_byte(Path("r"))
                continue
            assert code == 77, (words, point)
            assert forked(words, None)[0] == 0, (words, point)
            assert every_byte(Path("r")) == wholes, (words, point)
            assert left(Path("r")) == [], (words, point)


def every_byte(folder: Path) -> dict[str, bytes]:
    """Bytes of all files of a directory but those that hold the time."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("config.json", "report.html")
    }
