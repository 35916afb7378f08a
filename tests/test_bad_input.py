"""Bad input through the command line: one clear line and exit code 2, or a stated degenerate result; nothing lost."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from bindscope.results import read_results
from commands import Command, finished, start

HEAD = "object1_color,object1_shape,object2_color,object2_shape\n"
ROWS = "red,cube,blue,ball\nblue,cube,red,ball\nred,ball,blue,cube\nblue,ball,red,cube\nred,cube,red,ball\n"
PLANTED = ("diagnose", "planted:bag?dim=8", "--data")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"the file is empty"),
        (HEAD, r"the table has no rows"),
        (HEAD + ROWS + "red,,blue,ball\n", r"data row 6 \(line 7\): object1_shape is empty while object1_color is not"),
        (HEAD + ROWS + "red,cube\n", r"line 7 has 2 cells, the header has 4"),
        (HEAD.replace("object2_color", "object1_color") + ROWS, r"column object1_color stands twice"),
        (
            HEAD.replace("object2_shape", "object2_form") + ROWS,
            r"column object1_form is missing|object2_shape is missing",
        ),
        ((HEAD + ROWS).replace(",", ";"), r"separated by semicolons"),
        (HEAD + "rot,Würfel,grün,Kugel\n", None),
        ("\ufeff" + HEAD + ROWS, None),
    ],
)
def test_label_tables(command: Command, tmp_path: Path, text: str, message: str | None) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    audited = command("audit", "t.csv")
    if message is None:
        assert audited.code == 0
        return
    assert re.search(message, audited.refusal)
    assert re.search(message, command(*PLANTED, "labels:t.csv", "--out", "run").refusal)
    assert not (tmp_path / "run").exists()


def test_words_beyond_ascii_go_through_to_the_report(command: Command, tmp_path: Path) -> None:
    (tmp_path / "ä.csv").write_text((HEAD + ROWS).replace("red", "grün").replace("cube", "立方"), encoding="utf-8")
    done = command("diagnose", "planted:object?dim=16", "--data", "labels:ä.csv", "--out", "lauf-ü", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["config"]["space"][0]["values"] == ["blue", "grün"]
    assert "grün" in (tmp_path / "lauf-ü" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("red,cube,blue,ball\n", r"1 scenes of 2 objects with one bag of values only"),
        ("red,cube,red,cube\n" * 3, r"shows one object only \('red cube'\); binding needs at least two"),
        ("red,cube,blue,ball\nblue,ball,red,cube\n", r"2 scenes of 2 objects with one bag"),
    ],
    ids=["one scene", "one object", "one bag"],
)
def test_tables_that_can_show_nothing(command: Command, tmp_path: Path, rows: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(HEAD + rows)
    assert re.search(message, command(*PLANTED, "labels:t.csv", "--out", "run").refusal)
    assert command("audit", "t.csv").code == 0  # which says so in figures
    assert "cannot tell binding from a bag" in command("audit", "t.csv").out


def test_one_value_is_a_stated_degenerate_result(command: Command, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        HEAD + "red,cube,red,ball\nred,ball,red,cube\nred,cube,red,cone\nred,cone,red,ball\n"
    )
    done = command(*PLANTED, "labels:t.csv", "--out", "run")
    assert done.code == 0
    assert "UNDECIDED" in done.out
    assert "0 ambiguous scenes are too few" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("nan", np.where(np.arange(72)[:, None] == 5, np.nan, np.ones((72, 3))), r"row 5 holds NaN \(1 such rows\)"),
        ("inf", np.where(np.arange(72)[:, None] > 69, np.inf, np.ones((72, 3))), r"row 70 holds infinite numbers \(2"),
        ("huge", np.eye(72) * 1e30, r"as large as 1\.0e\+30, expected at most 1e\+15"),
        ("short", np.ones((71, 3)), r"holds 71 vectors and text:3x3 has 72 rows"),
        ("flat", np.ones((72, 3)), r"do not vary: all 72 vectors are equal"),
        ("words", np.array([["a"]] * 72), r"must be numbers"),
        ("line", np.ones(72), r"must have shape \[n, d\], got \[72\]"),
        ("none", np.zeros((72, 0)), r"got \[72, 0\]"),
    ],
)
def test_vectors(command: Command, tmp_path: Path, name: str, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / f"{name}.npy", array)
    assert re.search(message, command("diagnose", f"file:{name}.npy", "--data", "text:3x3", "--out", "run").refusal)
    assert not (tmp_path / "run").exists()
    if name != "flat":  # vectors that do not vary can still be kept
        assert command("embed", f"file:{name}.npy", "--data", "text:3x3", "--out", "e").code == 2


@pytest.mark.parametrize("dimensions", [1, 500])
def test_fewer_rows_than_dimensions_and_one_dimension(command: Command, tmp_path: Path, dimensions: int) -> None:
    np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(72, dimensions)))
    done = command("diagnose", "file:v.npy", "--data", "text:3x3", "--out", "run")
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert (
        read_results(tmp_path / "run").one(analysis="recognition", metric="object_recognition", target="unshared").value
        < 0.3
    )  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scene: 'a {object}'", r"the key concepts is missing"),
        ("concepts: {color: [red, blue]}\nqueri: x", r"unknown key 'queri'; did you mean query"),
        ("concepts: {color: [red, red]}", r"'red' stands twice"),
        ("concepts: {color: [yes, no]}", r"put it in quotes"),
        ("concepts: {color: [' red', blue], shape: [a, b]}", r"has blanks around it"),
        ("concepts: {color_idx: [red, blue], shape: [a, b]}", r"end in _idx are not read back; rename it"),
        ("concepts: [", r"not YAML"),
    ],
)
def test_recipes(command: Command, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    for arguments in (
        (*PLANTED, "text:r.yaml", "--out", "run"),
        ("embed", "planted:bag?dim=4", "--data", "text:r.yaml", "--out", "e"),
    ):
        assert re.search(message, command(*arguments).refusal)
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("diagnose", "st:all-MiniLM-L6-v3", "--data", "text:2x2"), r"cannot load st:all-MiniLM-L6-v3"),
        (("diagnose", "all/x", "--data", "text:2x2"), r"write st:all/x"),
        (("diagnose", "planted:bag", "--data", "3x3"), r"unknown data set"),
        (("diagnose", "planted:bag", "--data", "labels:nothing.csv"), r"No such file"),
        (("diagnose", "planted:bag", "--data", "labels:folder"), r"got no extension"),
        (("diagnose", "planted:bag", "--data", "labels:folder.csv"), r"Is a directory"),
        (("diagnose", "planted:bag", "--data", "text:folder.yaml"), r"Is a directory"),
        (("diagnose", "file:folder.npy", "--data", "text:2x2"), r"it is a directory"),
        (("diagnose", "planted:bag", "--data", "text:2x2", "--analyses", "recogniton"), r"did you mean recognition"),
        (("diagnose", "planted:bag", "--data", "text:2x2", "--analyses", "audit;geometry"), r"unknown analysis"),
        (
            ("diagnose", "planted:bag", "--data", "text:2x2", "--out", "note.txt"),
            r"it is no directory; give another --out",
        ),
        (
            ("diagnose", "planted:bag", "--data", "text:2x2", "--out", "note.txt/run"),
            r"cannot write to .*give another --out",
        ),
        (
            ("diagnose", "planted:bag", "--data", "text:2x2", "--out", "folder"),
            r"is no run directory; give another --out",
        ),
        (("diagnose", "planted:bag", "--data", "text:2x2", "--fail-if", "object_recognition<"), r"not understood"),
        (
            ("embed", "planted:bag", "--data", "text:2x2", "--out", "note.txt"),
            r"it is no directory; give another --out",
        ),
        (("report", "folder"), r"no config\.json"),
        (("report", "note.txt"), r"is no run directory"),
        (("compare", "folder"), r"at least two runs"),
        (("compare", "folder", "folder"), r"no config\.json"),
        (("audit", "folder"), r"got no extension"),
    ],
)
def test_names_and_places(command: Command, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    (tmp_path / "note.txt").write_text("mine")
    for name in ("folder", "folder.csv", "folder.yaml", "folder.npy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("mine")
    assert re.search(message, command(*arguments).refusal)
    assert (tmp_path / "note.txt").read_text() == "mine"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["thesis.txt"]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "arguments",
    [("diagnose",), ("audit",), ("nothing",), ("diagnose", "a", "--dat", "b"), ("audit", "x.csv", "--seed", "-1")],
)
def test_wrong_use_of_the_command_itself(command: Command, arguments: tuple[str, ...]) -> None:
    done = command(*arguments)
    assert done.code == 2
    assert "Traceback" not in done.err


def test_a_cache_file_cut_short_costs_only_its_rows(command: Command, tmp_path: Path) -> None:
    (tmp_path / "letters.py").write_text(ENCODER)
    arguments = ("--data", "text:7x7", "--analyses", "audit")
    assert command("diagnose", "module:letters:make", *arguments, "--out", "a").code == 0
    shard = next((tmp_path / "cache").rglob("rows-000001024.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-50])
    (tmp_path / "log").unlink()
    again = command("diagnose", "module:letters:make", *arguments, "--out", "b")
    assert again.code == 0
    assert again.err.count("note: cache file passed over and encoded again") == 1
    assert encoded(tmp_path) == 1024
    for name in ("embeddings.safetensors", "results.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_run_is_not_resumed_by_another(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    arguments = ("diagnose", "planted:object?dim=16&noise=0.5", "--data", "text:3x3", "--out", "r")
    with monkeypatch.context() as patched:
        patched.setattr("bindscope.analyses.variance.measure.measure", stop)
        assert command(*arguments).code == 130
    assert command(*arguments, "--seed", "4", "--resume").code == 0
    assert command(*arguments[:-1], "s", "--seed", "4").code == 0
    assert (tmp_path / "r" / "results.csv").read_bytes() == (tmp_path / "s" / "results.csv").read_bytes()


def test_embed_does_not_write_into_a_run(command: Command, tmp_path: Path) -> None:
    assert command(*PLANTED, "text:3x3", "--out", "r", "--analyses", "audit").code == 0
    before = (tmp_path / "r" / "embeddings.safetensors").read_bytes()
    done = command("embed", "planted:object?dim=4", "--data", "text:3x3", "--out", "r")
    assert "r is a run directory, whose embeddings would be replaced" in done.refusal
    assert (tmp_path / "r" / "embeddings.safetensors").read_bytes() == before


def test_a_gate_says_which_figure_it_wants(command: Command) -> None:
    done = command(*PLANTED, "text:3x3", "--analyses", "variance", "--fail-if", "share<0.5")
    assert re.search(r"share has several targets; write one of share\[concepts\], share\[cross_object\]", done.refusal)
    assert command(*PLANTED, "text:3x3", "--analyses", "variance", "--fail-if", "share[concepts]<0.5").code == 0


@pytest.mark.parametrize("seed", ["-1", "9223372036854775808", "1.5", "x"])
def test_seeds_that_are_none(command: Command, seed: str) -> None:
    done = command(*PLANTED, "text:3x3", "--seed", seed)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert command(*PLANTED, "text:3x3", "--analyses", "audit", "--seed", str(2**63 - 1)).code == 0


def test_results_of_a_damaged_run(command: Command, tmp_path: Path) -> None:
    assert command(*PLANTED, "text:3x3", "--out", "r", "--analyses", "audit").code == 0
    file = tmp_path / "r" / "results.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    assert re.search(r"results\.parquet", command("report", "r").refusal)
    vectors = tmp_path / "r" / "embeddings.safetensors"
    vectors.write_bytes(vectors.read_bytes()[:-20])
    assert re.search(r"cut short", command("compare", "r", "r").refusal)


@pytest.mark.parametrize(
    "target",
    [
        "pyarrow.parquet.write_table",
        "safetensors.numpy.save_file",
        "pathlib.Path.write_text",
        "pathlib.Path.write_bytes",
        "os.replace",
    ],
)
def test_a_disk_that_fills_up_anywhere(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    arguments = (*PLANTED, "text:3x3", "--out", "r", "--analyses", "audit")
    assert command(*arguments).code == 0
    before = (tmp_path / "r" / "results.parquet").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(target, full)
        assert "No space left on device" in command(*arguments, "--seed", "1").refusal
    assert (tmp_path / "r" / "results.parquet").read_bytes() == before
    assert command(*arguments, "--seed", "1", "--resume").code == 0


# --- processes of their own, killed for real

ENCODER = """
import os, time
import numpy as np
def make():
    def call(texts):
        time.sleep(float(os.environ.get("SLOW", 0)) * (len(texts) > 500))
        with open("log", "a") as log:
            log.write(f"{len(texts)}\\n")
        return np.array([[len(t), *(t.count(c) for c in "abcdefgh")] for t in texts], dtype=float)
    return call
"""


def encoded(folder: Path) -> int:
    """Rows of whole shards that the encoder was asked for; the fingerprint and the queries are smaller."""
    return sum(n for n in map(int, (folder / "log").read_text().split()) if n > 200)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_process_loses_at_most_a_shard(tmp_path: Path) -> None:
    (tmp_path / "letters.py").write_text(ENCODER)
    arguments = ("diagnose", "module:letters:make", "--data", "text:9x9", "--analyses", "audit", "--out", "r")
    process = start(tmp_path, *arguments, SLOW="3")
    for _ in range(600):
        if list(tmp_path.rglob("rows-*.safetensors")):
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    assert finished(process).code == -signal.SIGKILL
    assert not (tmp_path / "r").exists()
    kept = sum(1024 for _ in tmp_path.rglob("rows-*.safetensors"))
    assert 0 < kept < 9 * 9 * 80
    (tmp_path / "log").unlink()
    again = finished(start(tmp_path, *arguments, "--resume"))
    assert again.code == 0, again.err
    assert encoded(tmp_path) == 6480 - kept
    whole = finished(start(tmp_path, *arguments[:-1], "whole", BINDSCOPE_CACHE=str(tmp_path / "other")))
    assert whole.code == 0
    for name in ("embeddings.safetensors", "results.parquet"):
        assert (tmp_path / "r" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_process_of_its_own_gives_one_line_and_code_2(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEAD + "red,,blue,ball\n")
    done = finished(start(tmp_path, "audit", "t.csv"))
    assert re.search(r"data row 1 \(line 2\)", done.refusal)
    assert done.err.count("\n") == 1
    assert done.out == ""
