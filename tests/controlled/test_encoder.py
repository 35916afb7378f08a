"""`controlled:RUN` as an encoder like any other, symbolic scenes, and the records and commands of training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bindscope.controlled.config import preset
from bindscope.controlled.train import train
from bindscope.datasets import load_dataset
from bindscope.embeddings import embed
from bindscope.encoders import load_encoder
from bindscope.errors import InputError, StoreError
from bindscope.results import Results, read_results
from bindscope.runs.diagnose import analyse, captions_for
from bindscope.runs.settings import Settings
from bindscope.runs.training import train_run
from bindscope.runs.verdict import verdict
from commands import exit_code

SIZE = {
    "values": 4,
    "width": 32,
    "heads": 2,
    "feed_forward": 64,
    "output": 32,
    "batch": 64,
    "steps": 200,
    "evaluate_every": 100,
    "checkpoint_every": 100,
    "coverage": 0.75,
    "threads": 1,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "run"
    train_run(preset("tiny", **SIZE), out)
    return out


def test_records_have_closed_scenes_first_and_chance_and_ceiling(run: Path) -> None:
    results = read_results(run)
    closed = results.records[0]
    assert (closed.analysis, closed.metric, closed.target, closed.split) == (
        "training",
        "object_recognition",
        "closed",
        "test",
    )
    train_objects = results.one(metric="object_recognition", target="all", split="train")
    assert train_objects.value is not None
    assert train_objects.value > 0.9
    assert train_objects.ci_low is not None
    assert train_objects.chance == pytest.approx(1 / 120)
    assert 0.5 < (train_objects.ceiling or 0) <= 1
    assert all(r.coverage == 0.75 and r.version for r in results)
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert config["model"] == f"controlled:{run}"


def test_it_is_diagnosed_like_any_encoder(run: Path) -> None:
    name, data = f"controlled:{run}", "symbolic:4x4?singles=true"
    encoder, dataset = load_encoder(name), load_dataset(data)
    embeddings = embed(encoder, dataset)
    assert np.allclose(np.linalg.norm(embeddings.vectors, axis=1), 1, atol=1e-5)
    results = Results(analyse(embeddings, Settings(name, data, ("recognition",))))
    concepts = results.one(metric="concept_recognition", estimator="zero_shot", target="mean")
    objects = results.one(metric="object_recognition", estimator="zero_shot", target="all")
    assert concepts.value is not None
    assert concepts.value > 0.9
    assert objects.value is not None
    assert objects.value > (objects.chance or 1) * 20
    assert len(embeddings.fidelity["weights_sha256"]) == 64


def test_data_that_do_not_fit_are_named(run: Path) -> None:
    for data, words in (
        ("symbolic:4x5", "symbolic:4x4"),
        ("symbolic:4x4x4", "2 concepts of 4 values"),
        ("symbolic:4x4?m=3", r"\?m=2"),
    ):
        with pytest.raises(InputError, match=words):
            embed(load_encoder(f"controlled:{run}"), load_dataset(data))
    with pytest.raises(StoreError, match="no training run"):
        load_encoder("controlled:elsewhere")
    with pytest.raises(InputError, match="needs the directory"):
        load_encoder("controlled:")


@pytest.mark.parametrize("tokens", ["object", "concept"])
def test_a_caption_is_the_sum_of_the_queries_of_its_objects(tmp_path: Path, tokens: str) -> None:
    settings = {**SIZE, "objects": 3, "objects_min": 1, "tokens": tokens, "steps": 4, "evaluate_every": 2}
    train(preset("tiny", **{**settings, "checkpoint_every": 2}), tmp_path / "run")
    name, data = f"controlled:{tmp_path / 'run'}", "symbolic:4x4?m=3&scenes=40&singles=true"
    encoder, dataset = load_encoder(name), load_dataset(data)
    queries = encoder.encode_queries(dataset.object_queries)
    assert queries is not None
    found = encoder.encode_captions(dataset.items)
    assert found is not None
    for row in range(0, len(dataset.items), 7):
        present = [o for o in dataset.table.object_codes[row] if o >= 0]
        wanted = queries[present].sum(axis=0)
        assert np.allclose(found[row], wanted / np.linalg.norm(wanted), atol=1e-5)
    captions = captions_for(encoder, dataset, Settings(name, data, ("crossmodal", "alignment")))
    embeddings = embed(encoder, dataset, captions=captions)
    results = Results(analyse(embeddings, Settings(name, data, ("crossmodal", "alignment"))))
    assert {r.analysis for r in results} == {"crossmodal", "alignment"}


def test_what_needs_vectors_says_how_to_make_them(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["complexity", str(run)], ["compare", str(run), str(run)]):
        assert exit_code(words) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert f"bindscope diagnose controlled:{run} --data symbolic:4x4 --out DIR" in said.replace("- ", "-")
    judged = verdict(read_results(run))
    assert judged.label == "undecided"
    assert (
        judged.sentences[1]
        == f"For a verdict on all scenes: `bindscope diagnose controlled:{run} --data 'symbolic:4x4'`."
    )


def test_symbolic_scenes() -> None:
    data = load_dataset("symbolic:2x3x2?singles=true&replicates=2")
    pairs = data.table.rows_with(2)
    assert len(pairs) == 2 * 12 * 11
    assert len(data.table.rows_with(1)) == 12
    assert sorted(np.bincount(data.table.scene_ids).tolist()) == [1] * 12 + [2] * (12 * 11)
    assert set(data.table.replicate[pairs].tolist()) == {0, 1}
    assert len(load_dataset("symbolic:30x30?scenes=50&seed=1").table) == 50
    assert load_dataset("symbolic:5?m=1").table.space.sizes == (5,)
    for bad in ("symbolic:", "symbolic:0x2", "symbolic:axb"):
        with pytest.raises(InputError, match="expects sizes"):
            load_dataset(bad)
    with pytest.raises(InputError, match="leave one of the two out"):
        load_dataset("symbolic:4x4?m=1&singles=true")


def test_train_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", "--concepts", "2", "--values", "4", "--coverage", "0.75", "--out", "run", "--set", "steps=20"]
    words += ["--set", "evaluate_every=10", "--set", "width=16", "--set", "batch=16"]
    assert exit_code(words) == 0
    printed = capsys.readouterr()
    assert printed.out.strip().splitlines()[-1] == "run"
    assert "20 steps, about" in printed.err
    assert (tmp_path / "run" / "results.parquet").is_file()
    assert exit_code([*words, "--set", "stps=1"]) == 2
    assert "did you mean steps" in capsys.readouterr().err
    assert exit_code([*words, "--set", "steps=40"]) == 2
    assert "other settings" in capsys.readouterr().err


def test_resume_of_a_finished_run_writes_the_same_bytes(tmp_path: Path) -> None:
    config = preset("tiny", **{**SIZE, "steps": 20, "evaluate_every": 10, "checkpoint_every": 10})
    train_run(config, tmp_path / "a")
    first = (tmp_path / "a" / "results.csv").read_bytes()
    train_run(config, tmp_path / "a")
    assert (tmp_path / "a" / "results.csv").read_bytes() == first
    again = train(config, tmp_path / "a")
    assert again is not None
