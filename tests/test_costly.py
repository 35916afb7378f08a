"""Mistakes that would cost hours or memory: told in one line before the work."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bindscope.concepts import ConceptSpace
from bindscope.controlled.config import make_config
from bindscope.datasets import load_dataset
from bindscope.datasets.designs import MAX_OBJECTS, refuse_many_objects
from bindscope.errors import InputError, StoreError, TableError
from bindscope.finetune.config import make_config as finetune_config
from bindscope.run_directory import locked, refuse_unwritable
from bindscope.runs.sweep import MAX_MODELS, configs_of, make_spec
from bindscope.scenes import SceneTable
from bindscope.splits import spanning_objects
from bindscope.streams import MAX_SEED
from commands import Command, environment

DIAGNOSE = ("diagnose", "planted:bag?dim=8", "--analyses", "audit", "--data")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("symbolic:2000x2000?scenes=200", "4,000,000 objects"),
        ("symbolic:100000000x2?scenes=100", "at most 100,000"),
        ("symbolic:99999999999999999999x2?scenes=5", "a size has at most 9 digits"),
        ("symbolic:" + "9" * 5000, "a size has at most 9 digits"),
        ("symbolic:" + "x".join(["2"] * 20) + "?scenes=10", "1,048,576 objects"),
        ("symbolic:300x300?scenes=100", "takes at most 12,000"),
        ("symbolic:9x9?m=8", "more than the limit"),
        ("symbolic:3x3?seed=" + "9" * 30, "in 0..9"),
        ("text:1000x1000", "must be in 1..20"),
        ("clevr2d:1000x3", "must be in 1.."),
    ],
)
def test_sizes_that_cannot_fit(data: str, said: str, command: Command, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF)
    assert said in command(*DIAGNOSE, data, "--out", "r").refusal
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_utime - before.ru_utime < 20
    assert after.ru_maxrss - before.ru_maxrss < 1_000_000  # KiB
    assert list(tmp_path.glob("r*")) == []


def recipe(path: Path, *sizes: int, more: str = "") -> str:
    lines = [f"  k{k}: [{', '.join(f'w{k}_{v}' for v in range(size))}]" for k, size in enumerate(sizes)]
    path.write_text("concepts:\n" + "\n".join(lines) + f"\n{more}\n")
    return f"text:{path.name}"


def test_a_recipe_of_many_values(command: Command, tmp_path: Path) -> None:
    name = recipe(tmp_path / "wide.yaml", 2500, 2500, more="scenes: 200")
    assert "6,250,000 objects" in command(*DIAGNOSE, name, "--out", "r").refusal
    name = recipe(tmp_path / "long.yaml", 5000, 2, more="scenes: 200")
    assert "takes at most 12,000" in command(*DIAGNOSE, name, "--out", "r").refusal
    few = recipe(tmp_path / "few.yaml", 2500, 2500, more="objects: [{k0: w0_0, k1: w1_0}, {k0: w0_1, k1: w1_1}]")
    assert load_dataset(few.replace("text:", f"text:{tmp_path}/")).table.n_objects == 2


def test_the_limit_is_that_of_objects() -> None:
    refuse_many_objects((MAX_OBJECTS, 1))
    with pytest.raises(InputError, match="take fewer values"):
        refuse_many_objects((MAX_OBJECTS + 1, 1))


@pytest.mark.parametrize("seed", range(6))
def test_two_concepts_span_as_gram_schmidt_says(seed: int) -> None:
    """The forest of two concepts against the general way, which a third concept of one value asks for."""
    rng = np.random.default_rng(seed)
    values = np.unique(rng.integers(0, 7, size=(30, 2)), axis=0)
    order = rng.permutation(len(values))
    wide = np.column_stack([values, np.zeros(len(values), dtype=np.int64)])
    for rank in (3, 100):
        found = spanning_objects(values, order, rank)
        assert found.tolist() == spanning_objects(wide, order, rank).tolist()


def test_many_values_of_two_concepts_are_quick() -> None:
    space = ConceptSpace.of([("a", [f"a{i}" for i in range(5000)]), ("b", ["x", "y"])])
    values = space.object_values(np.arange(space.n_objects))
    assert len(spanning_objects(values, np.random.default_rng(0).permutation(len(values)), 10_000)) == 5001


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"layers": 100_000}, "layers"),
        ({"width": 10**9, "heads": 1}, "width"),
        ({"layers": 100, "width": 16_384, "feed_forward": 65_536}, "weights; at most"),
        ({"seed": 2**63}, "seed"),
        ({"seed": -1}, "seed"),
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"weight_decay": float("nan")}, "weight_decay"),
        ({"test_scenes": 10**12}, "test_scenes"),
        ({"batch": 10**9}, "batch"),
    ],
)
def test_settings_of_training_have_bounds(settings: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said) as told:
        make_config(settings)
    assert "\n" not in str(told.value)


def test_settings_of_fine_tuning_have_bounds() -> None:
    for change in ({"seed": 2**63}, {"learning_rate": float("inf")}, {"batch": 10**9}):
        with pytest.raises(InputError, match=next(iter(change))):
            finetune_config(model="st:x", **change)


@pytest.mark.parametrize("seed", ["-1", str(MAX_SEED + 1), "9" * 5000, "1.5", "x"])
def test_seeds_have_one_bound(seed: str, command: Command) -> None:
    done = command(*DIAGNOSE, "text:2x3", "--seed", seed)
    assert done.code == 2
    assert "Traceback" not in done.err
    done = command("train", "--out", "r", "--set", f"seed={seed}")
    assert done.code == 2
    assert "seed" in done.error


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"grid": {name: list(range(10)) for name in "abcdefghi"}}, "1,000,000,000 models"),
        ({"grid": {"seed": list(range(1000))}, "random": {"count": 1000, "settings": {}}}, "at most 100,000"),
        ({"random": {"count": 10**9, "settings": {}}}, "random.count"),
        ({"random": {"count": 1, "settings": {"coverage": {"low": 0.9, "high": 0.1}}}}, "low 0.9 is larger"),
        ({"random": {"count": 1, "settings": {"coverage": {"low": 0, "high": 1, "log": True}}}}, "low above 0"),
        ({"random": {"count": 1, "settings": {"coverage": {"low": 0, "high": float("inf")}}}}, "finite"),
    ],
)
def test_sweeps_have_bounds(content: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        make_spec(content)
    assert MAX_MODELS == 100_000


def test_a_sweep_below_the_bound_is_made() -> None:
    spec = make_spec(
        {"grid": {"seed": [0, 1]}, "random": {"count": 2, "settings": {"coverage": {"low": 0.2, "high": 0.8}}}}
    )
    assert len(configs_of(spec)) == 4


def test_what_cannot_be_written_is_found_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refuse_unwritable(tmp_path / "new" / "deep")
    assert not (tmp_path / "new").exists()
    with pytest.raises(StoreError, match="it is no directory"):
        refuse_unwritable(tmp_path / "file")
    with pytest.raises(StoreError, match="is no directory; give another"):
        refuse_unwritable(tmp_path / "file" / "r")
    with pytest.raises(StoreError, match="it is a directory"):
        refuse_unwritable(tmp_path, directory=False)
    with pytest.raises(StoreError, match="too long"):
        refuse_unwritable(tmp_path / ("x" * 300))
    with pytest.raises(StoreError, match="null"):
        refuse_unwritable(Path("a\0b"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="whoever may all cannot be refused")
def test_rights_are_asked_for(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot be written to"):
        refuse_unwritable(tmp_path / "r")
    tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    "words",
    [
        ("diagnose", "planted:bag?dim=8", "--data", "text:2x3", "--out"),
        ("embed", "planted:bag?dim=8", "--data", "text:2x3", "--out"),
        ("train", "--out"),
        ("render", "clevr2d:2x2", "--out"),
        ("gate", "planted:bag", "--vocabulary", "v.yaml", "--out"),
        ("finetune", "planted:bag", "--out"),
    ],
)
def test_every_command_asks_for_its_place_first(
    words: tuple[str, ...], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worked(*_: object, **__: object) -> None:
        raise AssertionError("work was begun")

    for place in (
        "bindscope.runs.diagnose.embed",
        "bindscope.runs.vocabulary.embed",
        "bindscope.datasets.load_dataset",
        "bindscope.controlled.train.split_run",
    ):
        monkeypatch.setattr(place, worked)
    (tmp_path / "file").write_text("")
    recipe(tmp_path / "v.yaml", 3, 3)
    assert "file" in command(*words, "file/r").refusal


def test_the_second_model_of_a_gate_is_looked_at_first(command: Command, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    def worked(*_: object, **__: object) -> None:
        raise AssertionError("work was begun")

    monkeypatch.setattr("bindscope.runs.vocabulary.embed", worked)
    recipe(tmp_path / "v.yaml", 3, 3)
    done = command("gate", "planted:bag", "plantde:bag", "--vocabulary", "v.yaml")
    assert "did you mean planted" in done.refusal


def test_home_is_expanded_in_options_and_names(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    recipe(home / "v.yaml", 2, 3)
    assert (
        command("diagnose", "planted:bag?dim=8", "--data", "text:~/v.yaml", "--analyses", "audit", "--out", "~/r").code
        == 0
    )
    assert (home / "r" / "report.html").is_file()
    assert command("report", "~/r").code == 0
    assert command("tables", "~/r").code == 0
    assert command("embed", "planted:bag?dim=8", "--data", "text:~/v.yaml", "--out", "~/e").code == 0
    np.save(home / "v.npy", np.random.default_rng(0).normal(size=(30, 8)))
    assert command("embed", "file:~/v.npy", "--data", "text:~/v.yaml", "--out", "~/f").code == 0
    assert "no training run" in command("embed", "controlled:~/r", "--data", "symbolic:3x3", "--out", "g").refusal
    assert not (tmp_path / "~").exists()


def test_a_table_of_one_value_keeps_its_split() -> None:
    space = ConceptSpace.of([("a", ["x", "y"]), ("b", ["z"])])
    table = SceneTable.build(space, [[[0, 0]], [[1, 0]]])
    assert spanning_objects(table.candidate_values, np.array([1, 0]), 2).tolist() == [1, 0]


HELD = "\n".join(
    [
        "import pathlib, sys",
        "from bindscope.run_directory import locked",
        "with locked(pathlib.Path('r')):",
        "    print('in', flush=True); sys.stdin.read()",
    ]
)


def test_every_command_that_writes_waits_for_nobody(command: Command, tmp_path: Path) -> None:
    assert command(*DIAGNOSE, "text:2x3", "--out", "r").code == 0
    (tmp_path / "s.yaml").write_text("grid: {seed: [0]}")
    recipe(tmp_path / "v.yaml", 3, 3)
    other = subprocess.Popen(
        [sys.executable, "-c", HELD],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdin is not None
    assert other.stdout is not None
    other.stdout.readline()
    said = f"is being written by process {other.pid}"
    try:
        for words in (
            (*DIAGNOSE, "text:2x3", "--out", "r"),
            ("train", "--out", "r"),
            ("sweep", "s.yaml", "--out", "r"),
            ("complexity", "r"),
            ("repair", "r", "--out", "r"),
            ("train-clip", "bag", "--steps", "1", "--out", "r"),
            ("render", "clevr2d:2x2", "--out", "r"),
        ):
            assert said in command(*words).refusal, words
    finally:
        other.kill()
        other.wait()
        other.stdin.close()
        other.stdout.close()


def test_a_lock_beside_a_closed_place_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "r").mkdir()
    monkeypatch.setattr(Path, "open", refused)
    with locked(tmp_path / "r"):
        pass
    with pytest.raises(StoreError, match="Permission denied; give another --out"), locked(tmp_path / "new"):
        pass


def test_too_many_objects_are_told_by_their_number() -> None:
    with pytest.raises(TableError, match="2\\^62"):
        ConceptSpace.of([(f"k{k}", [f"v{v}" for v in range(5000)]) for k in range(6)])
