"""Mutated files of every kind that is read: one line and code 2, or an answer; never a traceback, a hang, or code 3."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bindscope.embeddings import load_embeddings
from bindscope.errors import InputError
from bindscope.results import read_results
from commands import Command, Outcome
from fuzz import Kind, mutated, reshaped, write

SECONDS = 20
AUDIT = ("diagnose", "planted:bag?dim=8", "--analyses", "audit", "--out", "out", "--data")
KINDS = (
    Kind("csv", "t.csv", ("audit", "t.csv")),
    Kind("tsv", "t.tsv", ("audit", "t.tsv")),
    Kind("jsonl", "t.jsonl", ("audit", "t.jsonl")),
    Kind("parquet", "t.parquet", ("audit", "t.parquet")),
    Kind("recipe", "v.yaml", (*AUDIT, "text:v.yaml")),
    Kind("npz", "v.npz", ("embed", "file:v.npz", "--data", "labels:t.csv", "--out", "out")),
    Kind("npy", "v.npy", ("embed", "file:v.npy", "--data", "labels:t.csv", "--out", "out")),
    Kind("safetensors", "v.safetensors", ("embed", "file:v.safetensors", "--data", "labels:t.csv", "--out", "out")),
    Kind("vectors", "e/embeddings.safetensors", (), checked=True),
    Kind("scenes", "e/scenes.parquet", (), checked=True),
    Kind("config", "r/config.json", ("report", "r")),
    Kind("results", "r/results.parquet", ("tables", "r"), checked=True),
    Kind("metrics", "m/metrics.jsonl", ("report", "m")),
    Kind("sidecar", "pictures/scenes.json", (*AUDIT, "folder:pictures")),
    Kind("sweep", "s.yaml", ("sweep", "s.yaml", "--out", "sweeps", "--dry-run")),
    Kind("pairs", "p.csv", ("diagnose", "module:letters:Letters", "--data", "pairs:p.csv", "--out", "out")),
    Kind("training", "m/train.json", ("embed", "controlled:m", "--data", "symbolic:4x4", "--out", "out")),
    Kind(
        "model",
        "m/model.safetensors",
        ("embed", "controlled:m", "--data", "symbolic:4x4", "--out", "out"),
        checked=True,
    ),
)
TINY = (
    "--set",
    "values=4",
    "--set",
    "steps=4",
    "--set",
    "batch=8",
    "--set",
    "evaluate_every=2",
    "--set",
    "test_scenes=20",
)
SMALL = (
    *TINY,
    "--set",
    "width=8",
    "--set",
    "heads=1",
    "--set",
    "layers=1",
    "--set",
    "output=8",
    "--set",
    "feed_forward=8",
)


LETTERS = """
import numpy as np


def Letters():
    return lambda texts: np.array([[text.count(letter) + 0.1 for letter in "abcdeghlnrut"] for text in texts])
"""


@pytest.fixture
def good(command: Command, tmp_path: Path) -> Path:
    """A folder with a good file of every kind."""
    import pyarrow as pa
    import pyarrow.parquet as parquet
    from safetensors.numpy import save_file

    colours, shapes = ("red", "blue", "green"), ("cube", "ball", "cone")
    rows = [(a, s, b, t) for a in colours for s in shapes for b in colours for t in shapes if (a, s) != (b, t)]
    names = ("object1_color", "object1_shape", "object2_color", "object2_shape")
    for file, mark in (("t.csv", ","), ("t.tsv", "\t")):
        Path(file).write_text("\n".join(mark.join(row) for row in (names, *rows)) + "\n")
    dicts = [dict(zip(names, row, strict=True)) for row in rows]
    Path("t.jsonl").write_text("\n".join(map(json.dumps, dicts)) + "\n")
    parquet.write_table(pa.Table.from_pylist(dicts), "t.parquet")
    vectors = np.random.default_rng(0).normal(size=(len(rows), 8)).astype(np.float32)
    np.savez("v.npz", embeddings=vectors)
    np.save("v.npy", vectors)
    save_file({"embeddings": vectors}, "v.safetensors")
    Path("v.yaml").write_text("concepts:\n  color: [red, blue, green]\n  shape: [cube, ball]\nm: 2\nsame: false\n")
    Path("s.yaml").write_text("preset: tiny\nfixed: {values: 4, steps: 2}\ngrid: {seed: [0, 1]}\n")
    pairs = [
        f"a {a} {s} and a {b} {t},a {b} {t} by a {a} {s},a {b} {s} and a {a} {t}"
        for a, s, b, t in rows
        if a != b and s != t
    ]
    Path("letters.py").write_text(LETTERS)
    Path("p.csv").write_text("caption,caption2,negative_caption\n" + "\n".join(pairs) + "\n")
    for words in (
        ("embed", "planted:bag?dim=8", "--data", "text:2x3", "--out", "e"),
        ("diagnose", "planted:bag?dim=8", "--data", "text:2x3", "--analyses", "audit", "--out", "r"),
        ("render", "clevr2d:2x2?size=16", "--out", "pictures"),
        ("train", "--out", "m", *SMALL),
    ):
        done = command(*words)
        assert done.code == 0, done.err
    for kind in KINDS:
        assert Path(kind.file).is_file(), kind.name
    return tmp_path


def read(kind: Kind, command: Command) -> tuple[Outcome, str]:
    """What a command does with the files as they are, and all it read, as text."""
    for place in ("out", "sweeps"):
        shutil.rmtree(place, ignore_errors=True)
    if not kind.words:
        try:
            found = load_embeddings("e")
        except InputError as error:
            return Outcome(2, "", f"error: {error}"), ""
        return Outcome(0, "", ""), repr((found.vectors.tobytes(), found.table.values.tolist(), found.model))
    done = command(*kind.words)
    if kind.name == "results" and done.code == 0:
        return done, read_results(Path("r")).to_json()
    answer = Path("out/embeddings.safetensors")
    return done, answer.read_bytes().hex() if answer.is_file() and done.code == 0 else done.out


def in_time(ask: Callable[[], tuple[Outcome, str]]) -> tuple[Outcome, str]:
    def late(*_: object) -> None:
        raise AssertionError(f"not done in {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        return ask()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def survived(kind: Kind, command: Command, times: int, seed: int) -> list[str]:
    """What went wrong with mutated files of one kind."""
    place = Path(kind.file)
    whole, (first, answer) = place.read_bytes(), read(kind, command)
    assert first.code == 0, first.err
    rng, wrong, codes = np.random.default_rng([seed, KINDS.index(kind)]), [], []
    for number in range(times):
        shapes = place.suffix == ".json" and rng.random() < 0.6
        content = reshaped(whole, rng) if shapes else mutated(whole, rng)
        write(place, content)
        done, found = in_time(lambda: read(kind, command))
        lines = [line for line in done.err.splitlines() if line.startswith("error: ")]
        codes.append(done.code)
        if done.code not in (0, 2) or (done.code == 2 and len(lines) != 1):
            wrong.append(f"{kind.name} {number}: code {done.code}: {done.err[-300:]} <- {content[:300]!r}")
        elif done.code == 0 and kind.checked and found != answer:
            wrong.append(f"{kind.name} {number}: read as something else <- {content[:100]!r}")
        write(place, whole)
    assert 2 in codes  # a mutator whose files are all read changes nothing
    return wrong


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.slow
def test_mutated_files(kind: Kind, good: Path, command: Command) -> None:
    assert not survived(kind, command, 17, seed=0)


def test_the_mutator_changes_things_and_is_seeded() -> None:
    content = b"object1_color,object1_shape\nred,cube\n"
    one, two = ([mutated(content, np.random.default_rng(i)) for i in range(40)] for _ in range(2))
    assert one == two
    assert len(set(one)) > 20
    assert {type(json.loads(reshaped(b'{"a": {"b": [1, 2]}}', np.random.default_rng(i)))) for i in range(9)} == {dict}
