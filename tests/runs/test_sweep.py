"""Sweeps: which runs a file means, finished ones are skipped, a worker that dies loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import jobs
from bindscope.controlled.config import TrainConfig, preset
from bindscope.errors import InputError, StoreError, UnknownNameError
from bindscope.parallel import run_jobs
from bindscope.runs.sweep import (
    configs_of,
    estimate,
    make_spec,
    plan,
    read_spec,
    read_table,
    run_name,
    run_sweep,
    threads_of,
)
from jobs import always_dies, dies_once, raises_error

TINY = {"values": 4, "width": 16, "heads": 2, "feed_forward": 32, "output": 16, "batch": 16, "steps": 10}
TINY |= {"evaluate_every": 5, "checkpoint_every": 5, "coverage": 0.75}


def test_a_grid_is_every_combination() -> None:
    spec = make_spec({"fixed": TINY, "grid": {"coverage": [0.5, 0.7], "seed": [0, 1, 2]}})
    found = [(c.coverage, c.seed) for c in configs_of(spec)]
    assert found == [(c, s) for c in (0.5, 0.7) for s in (0, 1, 2)]


def test_points_are_settings_that_go_together() -> None:
    points = [{"concepts": 2, "values": 4}, {"concepts": 3, "values": 3}]
    spec = make_spec({"fixed": TINY, "points": points, "grid": {"seed": [0, 1]}})
    assert [(c.concepts, c.values, c.seed) for c in configs_of(spec)] == [(2, 4, 0), (2, 4, 1), (3, 3, 0), (3, 3, 1)]
    assert configs_of(make_spec({"fixed": TINY, "points": points}))[1].values == 3


def test_random_settings_are_drawn_by_seed_and_stay_in_their_range() -> None:
    part = {"count": 50, "seed": 3, "settings": {"width": [16, 32], "coverage": {"low": 0.2, "high": 0.4}}}
    part["settings"] |= {"steps": {"low": 10, "high": 1000, "log": True, "whole": True}}  # type: ignore[operator]
    spec = make_spec({"fixed": TINY, "random": part, "grid": {"seed": [0, 1]}})
    configs = configs_of(spec)
    assert configs == configs_of(spec)
    assert len(configs) == 100
    assert {c.width for c in configs} == {16, 32}
    assert all(0.2 <= c.coverage <= 0.4 and 10 <= c.steps <= 1000 for c in configs)
    assert sum(c.steps < 100 for c in configs) > 25  # even in the logarithm
    assert configs_of(make_spec({"fixed": TINY, "random": {**part, "seed": 4}})) != configs[::2]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"gird": {}}, "did you mean grid"),
        ({"preset": "tinny"}, "did you mean tiny"),
        ({"grid": {"coverage": []}}, "has no values"),
        ({"grid": {"coverage": 3}}, "grid.coverage"),
        ({"grid": {"covrage": [0.5]}}, "did you mean coverage"),
        ({"grid": {"values": [4]}, "points": [{"values": 5}]}, "values stands in grid and in points"),
        ({"points": [3]}, "points.0"),
        ({"random": {"count": 0, "settings": {}}}, "random.count"),
        ({"random": {"count": 1, "settings": {"width": []}}}, "no choices"),
    ],
)
def test_a_wrong_file_is_one_line(content: dict[str, object], words: str) -> None:
    with pytest.raises((InputError, UnknownNameError), match=words) as caught:
        configs_of(make_spec(content))
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot read"):
        read_spec(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1", encoding="utf-8")
    with pytest.raises(InputError, match="expected a mapping"):
        read_spec(tmp_path / "list.yaml")
    (tmp_path / "broken.yaml").write_text("grid: [", encoding="utf-8")
    with pytest.raises(InputError, match="not YAML"):
        read_spec(tmp_path / "broken.yaml")
    with pytest.raises(StoreError, match="no table of models"):
        read_table(tmp_path)


def test_names_follow_what_determines_the_numbers() -> None:
    config = preset("tiny", **TINY)
    assert run_name(config) == run_name(config.model_copy(update={"threads": 3}))
    assert run_name(config) != run_name(config.model_copy(update={"seed": 3}))


def test_the_estimate_grows_with_the_work() -> None:
    few, many = preset("tiny", **TINY), preset("tiny", **{**TINY, "steps": 1000})
    assert estimate([]) == 0
    assert estimate([few, few]) < estimate([few, many])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_sweep_trains_what_is_missing_and_nothing_twice(tmp_path: Path, engine: str) -> None:
    configs = configs_of(make_spec({"fixed": TINY, "grid": {"seed": [0, 1, 2]}}))
    rows = run_sweep(configs[:2], tmp_path, engine, workers=2)
    assert [row["seed"] for row in rows] == [0, 1]
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("results.parquet")}
    assert plan(configs, tmp_path).left == [2]
    said: list[str] = []
    rows = run_sweep(configs, tmp_path, engine, workers=2, say=said.append)
    assert said[0].startswith("3 models, 1 to train, about")
    assert [row["seed"] for row in rows] == [0, 1, 2]
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert [row["run"] for row in read_table(tmp_path)] == [run_name(c) for c in configs]
    assert all(0 <= row["train"] <= 1 for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_killed_worker_loses_nothing(tmp_path: Path, engine: str) -> None:
    jobs = [(str(tmp_path), number) for number in range(5)]
    assert dict(run_jobs(dies_once, jobs, engine, workers=2)) == {n: n * 10 for n in range(5)}


def pids(directory: Path, count: int) -> list[int]:
    """Process numbers of the jobs that sleep, once so many have begun."""
    for _ in range(600):
        found = [text for file in directory.glob("*.pid") if (text := file.read_text())]
        if len(found) == count:
            return [int(text) for text in found]
        time.sleep(0.1)
    raise AssertionError(f"{count} jobs did not begin")


def gone(process: int) -> bool:
    """Whether a process ends within some seconds."""
    for _ in range(100):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


PARENT = """
import signal, sys
from bindscope.parallel import run_jobs
from jobs import sleeps

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background hands on an ignored one
    list(run_jobs(sleeps, [(sys.argv[1], number) for number in range(2)], workers=2))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent_and_do_not_make_ctrl_c_wait(tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    paths = os.pathsep.join([str(Path(jobs.__file__).parent), *sys.path])
    command = [sys.executable, str(tmp_path / "parent.py"), str(tmp_path)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, stderr=subprocess.DEVNULL) as parent:
        try:
            workers = pids(tmp_path, 2)
            parent.send_signal(how)
            parent.wait(20)
        finally:
            parent.kill()
    assert all(gone(worker) for worker in workers)


@pytest.mark.slow
def test_a_job_thatalways_dies_or_fails_is_named() -> None:
    with pytest.raises(InputError, match="job 0 of the sweep died"):
        list(run_jobs(always_dies, [("x",)], workers=1))
    with pytest.raises(InputError, match="this cannot be trained"):
        list(run_jobs(raises_error, [("x",)], workers=1))


def test_engines_and_workers_are_checked() -> None:
    with pytest.raises(UnknownNameError, match="engine"):
        list(run_jobs(raises_error, [], "cluster"))
    with pytest.raises(InputError, match="at least 1"):
        list(run_jobs(raises_error, [], workers=0))


def test_threads_of_a_run_leave_room_for_fewer_at_once() -> None:
    one, four = preset("tiny", **TINY), preset("tiny", **{**TINY, "threads": 4})
    assert threads_of([]) == threads_of([one]) == 1
    assert threads_of([one, four]) == 4


def test_settings_of_the_workers_threads_do_not_change_the_name() -> None:
    assert isinstance(configs_of(make_spec({"fixed": TINY}))[0], TrainConfig)
