"""The commands as a user runs them, on planted encoders: outputs, exit codes, one clear line on bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bindscope import cli
from bindscope.analyses.registry import default
from bindscope.results import read_results
from commands import Command

Run = Command


@pytest.fixture
def run(command: Command) -> Run:
    return command


def test_diagnose_writes_a_whole_run_and_ends_with_the_report(run: Run, tmp_path: Path) -> None:
    done = run("diagnose", "planted:bag?dim=64", "--data", "text:4x4", "--out", "a")
    assert done.code == 0, done.err
    assert "BAG OF CONCEPTS" in done.out
    assert Path(done.last).name == "report.html"
    files = {file.name for file in (tmp_path / "a").iterdir()}
    wanted = {
        "config.json",
        "embeddings.safetensors",
        "scenes.parquet",
        "results.parquet",
        "results.csv",
        "results.json",
    }
    assert wanted | {"report.html"} <= files
    assert not (tmp_path / "a.partial").exists()
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    assert config["command"] == "bindscope diagnose 'planted:bag?dim=64' --data text:4x4"
    results = read_results(tmp_path / "a")
    assert {record.analysis for record in results} == set(default())
    assert all(record.config_hash == config["hash"] for record in results)


def test_the_same_seed_gives_the_same_bytes(run: Run, tmp_path: Path) -> None:
    for out in ("a", "b"):
        assert (
            run("diagnose", "planted:mixed?dim=32&noise=0.3", "--data", "text:3x4", "--out", out, "--seed", "5").code
            == 0
        )
    for name in ("results.parquet", "results.csv", "results.json", "embeddings.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert (
        run("diagnose", "planted:mixed?dim=32&noise=0.3", "--data", "text:3x4", "--out", "c", "--seed", "6").code == 0
    )
    assert (tmp_path / "a" / "results.csv").read_bytes() != (tmp_path / "c" / "results.csv").read_bytes()


def test_json_is_for_machines(run: Run) -> None:
    done = run("diagnose", "planted:object?dim=64", "--data", "text:4x4", "--json")
    said = json.loads(done.out)
    assert said["verdict"]["label"] == "binds"
    assert Path(said["report"]).is_file()
    assert Path(said["run"]).parent.name == "runs"
    row = next(r for r in said["results"] if r["metric"] == "object_recognition" and r["target"] == "unshared")
    assert row["value"] >= 0.9
    assert row["ceiling"] == 0.5


@pytest.mark.parametrize(("world", "code"), [("bag", 1), ("object", 0)])
def test_the_gate_decides_the_exit_code(run: Run, world: str, code: int) -> None:
    done = run(
        "diagnose", f"planted:{world}?dim=64", "--data", "text:4x4", "--analyses", "recognition",
        "--fail-if", "object_recognition[unshared]<0.8",
    )  # fmt: skip
    assert done.code == code
    assert f"gate {'FAILED' if code else 'passed'}" in done.out


def test_a_gate_that_is_not_understood_is_refused_before_any_work(run: Run, tmp_path: Path) -> None:
    done = run("diagnose", "planted:bag", "--data", "text:4x4", "--fail-if", "object_recognition")
    assert done.code == 2
    assert "not understood" in done.error
    assert not (tmp_path / "runs").exists()


def test_embed_report_list_and_compare(run: Run, tmp_path: Path) -> None:
    assert run("embed", "planted:bag?dim=16", "--data", "text:3x3", "--out", "e").code == 0
    assert (tmp_path / "e" / "embeddings.safetensors").is_file()
    for name in ("bag", "object"):
        data = ("--data", "text:4x4", "--analyses", "recognition")
        assert run("diagnose", f"planted:{name}?dim=64", *data, "--out", name).code == 0
    (tmp_path / "bag" / "report.html").unlink()
    assert run("report", "bag").last.endswith("report.html")
    assert (tmp_path / "bag" / "report.html").is_file()
    listed = json.loads(run("list", "--json").out)
    assert {"models", "data", "options of text data", "options of pairs", "options of scene graphs", "analyses"} <= set(
        listed
    )
    assert all(text for names in listed.values() for text in names.values())
    assert "list[str]" in run("list").out
    rows = json.loads(run("compare", "object", "bag", "--json").out)
    difference = next(r for r in rows if r["extra"] and r["estimator"] == "zero_shot" and r["target"] == "unshared")
    assert difference["value"] > 0.5
    assert difference["ci_low"] > 0
    assert difference["extra"]["tie"] is False
    own = next(r for r in rows if not r["extra"] and r["estimator"] == "zero_shot" and r["target"] == "unshared")
    assert own["ceiling"] == 0.5
    assert own["chance"] == pytest.approx(1 / 120)
    same = json.loads(run("compare", "bag", "bag", "--json").out)
    assert all(r["extra"]["tie"] for r in same if r["extra"])
    shown = run("compare", "object", "bag", "--out", "page.html")
    assert "planted:object?dim=64 minus planted:bag?dim=64" in shown.out
    assert "the first is higher" in shown.out
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    again = run("compare", "bag", "bag").out
    assert "a tie" in again
    assert "(bag) #2" in again
    assert len(read_results("bag")) == len(read_results(tmp_path / "bag"))
    assert "no directory" in run("compare", "object", "bag", "--out", "nowhere/page.html").error


def test_audit_needs_no_model(run: Run, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(
        "object1_color,object1_shape,object2_color,object2_shape\nred,cube,blue,ball\nblue,cube,red,ball\nred,ball,red,cube\n"
    )
    rows = json.loads(run("audit", "labels.csv", "--json").out)
    found = {(r["metric"], r["target"]): r["value"] for r in rows if not r["extra"] and r["coverage"] is None}
    assert found["n_scenes", "all"] == 3 if ("n_scenes", "all") in found else True
    assert found["ambiguous_scenes", None] == 2
    assert found["ceiling", "unshared"] == 0.5
    assert "Object splits by coverage" in run("audit", "labels.csv").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("diagnose", "planted:bagg", "--data", "text:3x3"), "did you mean bag"),
        (("diagnose", "plantd:bag", "--data", "text:3x3"), "did you mean planted"),
        (("diagnose", "planted:bag", "--data", "txt:3x3"), "did you mean text"),
        (("diagnose", "planted:bag", "--data", "text:3x99"), "99"),
        (("diagnose", "planted:bag", "--data", "text:1x1"), "one object only|different objects|at least"),
        (("diagnose", "planted:bag", "--data", "text:3x3", "--analyses", "geometri"), "did you mean geometry"),
        (("diagnose", "planted:bag", "--data", "text:3x3", "--analyses", ""), "no analysis was asked for"),
        (("diagnose", "planted:bag", "--data", "text:3x3", "--sample", "1"), "at least 2 scenes"),
        (("diagnose", "planted:bag", "--data", "text:3x3", "--batch-size", "0"), "batch-size must be at least 1"),
        (("diagnose", "file:nothing.npy", "--data", "text:3x3"), "nothing.npy"),
        (("audit", "nothing.csv"), "nothing.csv"),
        (("report", "nowhere"), "nowhere"),
        (("compare", "nowhere"), "at least two runs"),
        (("compare", "nowhere", "elsewhere"), "nowhere"),
    ],
)
def test_bad_input_gets_one_clear_line(run: Run, arguments: tuple[str, ...], message: str) -> None:
    import re

    done = run(*arguments)
    assert done.code == 2
    assert re.search(message, done.error)


def test_nan_and_row_counts_are_named(run: Run, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(72, 8)).astype(np.float32)
    np.save(tmp_path / "short.npy", vectors[:-1])
    assert "71" in run("diagnose", "file:short.npy", "--data", "text:3x3").error
    vectors[5, 3] = np.nan
    np.save(tmp_path / "nan.npy", vectors)
    assert "row 5 holds NaN" in run("diagnose", "file:nan.npy", "--data", "text:3x3").error


def test_own_vectors_without_queries_are_read_by_probes(run: Run, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(240, 300)).astype(np.float32)  # n < d
    np.save(tmp_path / "own.npy", vectors)
    done = run("diagnose", "file:own.npy", "--data", "text:4x4", "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert said["verdict"]["estimator"] == "probe"
    assert said["verdict"]["label"] in ("not readable", "undecided")


def test_degenerate_but_possible(run: Run, tmp_path: Path) -> None:
    """One value of a concept, constant vectors: a stated result or one line, never a traceback."""
    np.save(tmp_path / "flat.npy", np.ones((72, 4), dtype=np.float32))
    flat = run("diagnose", "file:flat.npy", "--data", "text:3x3")
    assert flat.code == 2
    assert "do not vary" in flat.error
    one_value = run("diagnose", "planted:object?dim=32", "--data", "text:1x6", "--json")
    assert one_value.code == 0, one_value.err
    assert json.loads(one_value.out)["verdict"]["label"] == "undecided"


def test_an_unwritable_directory_is_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "file" in run("diagnose", "planted:bag", "--data", "text:3x3", "--out", "file/run").error
    assert "is no directory" in run("diagnose", "planted:bag", "--data", "text:3x3", "--out", "file").error
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    assert "no run directory" in run("diagnose", "planted:bag", "--data", "text:3x3", "--out", "mine").error
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"


def test_a_killed_run_is_resumed_without_doing_the_work_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    arguments = ("diagnose", "planted:object?dim=32", "--data", "text:3x3", "--out", "r")
    with monkeypatch.context() as patched:
        patched.setattr("bindscope.analyses.geometry.measure.measure", stop)
        stopped = run(*arguments)
    assert stopped.code == 130
    assert "--resume" in stopped.error
    assert not (tmp_path / "r").exists()
    with monkeypatch.context() as patched:
        patched.setattr(
            "bindscope.analyses.recognition.measure.measure", stop
        )  # finished before: it must not run again
        assert run(*arguments, "--resume").code == 0
    fresh = run("diagnose", "planted:object?dim=32", "--data", "text:3x3", "--out", "s")
    assert fresh.code == 0
    assert (tmp_path / "r" / "results.csv").read_bytes() == (tmp_path / "s" / "results.csv").read_bytes()


def test_an_old_run_stays_until_the_new_one_is_whole(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("diagnose", "planted:object?dim=32", "--data", "text:3x3", "--out", "r")
    assert run(*arguments).code == 0
    before = (tmp_path / "r" / "results.parquet").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(
            "bindscope.analyses.geometry.measure.measure", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        assert run(*arguments).code == 130
    assert (tmp_path / "r" / "results.parquet").read_bytes() == before


def test_a_run_of_another_schema_version_is_refused(run: Run, tmp_path: Path) -> None:
    assert run("diagnose", "planted:bag?dim=8", "--data", "text:3x3", "--analyses", "audit", "--out", "r").code == 0
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    (tmp_path / "r" / "config.json").write_text(json.dumps({**config, "schema_version": 99}))
    assert "schema version 99" in run("report", "r").error


def test_selfcheck_passes_and_says_so(run: Run) -> None:
    done = run("selfcheck", "--json")
    checks = json.loads(done.out)
    assert [c for c in checks if not c["passed"]] == []
    assert done.code == 0
    assert len(checks) > 30


def test_the_module_runs_as_the_command() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "bindscope", "--version"], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.startswith("bindscope 0.")
