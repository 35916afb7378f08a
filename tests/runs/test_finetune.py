"""The commands finetune and track on a tiny model: what they leave, what they say, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bindscope.analyses.finetune.measure import choose_average
from bindscope.finetune.card import is_change
from bindscope.finetune.train import finetune
from bindscope.results import Record, read_results
from bindscope.runs.finetune import finetune_model
from commands import Command
from tiny import save_tiny_encoder

SMALL: dict[str, Any] = {
    "batch": 6,
    "steps": 4,
    "evaluate_every": 2,
    "checkpoint_every": 2,
    "keep_texts": 30,
    "asked": 20,
}
SETTINGS = [word for key, value in SMALL.items() if key != "steps" for word in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_encoder(tmp_path_factory.mktemp("models"))


def test_finetune_leaves_a_model_a_card_and_a_run(command: Command, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "tuned"
    texts = [("a red cube by a blue ball", "a blue ball and a red cube", "a blue cube by a red ball")]
    texts += [
        (f"{n} hats on a tree", f"on a tree there are {n} hats", f"{n} trees on a hat") for n in ("two", "three", "ten")
    ]
    rows = [{"caption": a, "caption2": b, "negative_caption": c} for a, b, c in texts]
    (tmp_path / "own.json").write_text(json.dumps(rows), encoding="utf-8")
    done = command(
        "finetune",
        f"st:{tiny}",
        "--data",
        "text:10x10",
        "--steps",
        "4",
        "--average",
        "0.5",
        "--out",
        str(out),
        "--pairs",
        "pairs:own.json",
        *SETTINGS,
    )
    assert done.code == 0, done.err
    assert "words that training never shows" in done.err
    assert "CPU s a step" in done.err
    assert "objects, held-out objects (closed scenes)" in done.out
    from sentence_transformers import SentenceTransformer

    vectors = SentenceTransformer(str(out), device="cpu").encode(["a red cube"])
    assert np.isfinite(vectors).all()
    card = (out / "README.md").read_text(encoding="utf-8")
    assert f"base_model: {tiny}" in card
    assert "0.5 x tuned + 0.5 x base" in card
    assert "| swaps, words never seen | 0.500 |" in card
    assert (out / "report.html").stat().st_size == (out / "run" / "report.html").stat().st_size > 10_000
    config = json.loads((out / "run" / "config.json").read_text(encoding="utf-8"))
    assert config["options"]["share"] == 0.5
    assert "--average 0.5" in config["command"]
    results = read_results(out)
    natural = [r for r in results if r.metric == "pair_all_right" and r.target == "all"]
    assert [(r.extra["weights"], r.extra.get("change", False)) for r in natural] == [
        ("base", False), ("averaged", False), ("raw", False), ("averaged", True), ("raw", True),
    ]  # fmt: skip
    kept = [r for r in results if r.metric == "similarity_kept" and r.target == "pairs"]
    assert all(r.value is not None and 0 < r.value <= 1 for r in kept)
    head = [record for record in results if not record.extra]
    assert {(r.metric, r.target, r.split) for r in head} == {
        ("object_recognition", "closed", "test"),
        ("binding_preference", "closed", "test"),
    }
    for record in results:
        assert record.analysis == "finetune"
        if record.ci_low is not None and record.ci_high is not None:
            assert record.ci_low < record.ci_high
    other = command("finetune", f"st:{tiny}", "--data", "text:10x10", "--steps", "6", "--out", str(out), *SETTINGS)
    assert "a fine-tuning run of other settings" in other.refusal


def test_what_finetune_refuses(command: Command, tiny: Path, tmp_path: Path) -> None:
    for arguments, words in (
        (["finetune", "planted:bag?dim=8", "--out", "x"], "finetune trains st:, hf:, openclip: and embedded: models"),
        (["finetune", f"st:{tiny}", "--data", "symbolic:4x4", "--out", "x"], "needs text data"),
        (["finetune", f"st:{tiny}", "--data", "text:10x10", "--out", str(tiny)], "is no fine-tuned model"),
        (["finetune", f"st:{tiny}", "--data", "text:10x10", "--out", "x", "--train", "some"], "setting train"),
        (
            ["finetune", f"st:{tiny}", "--data", "text:10x10", "--out", "x", "--keep", "none.txt"],
            "cannot read none.txt",
        ),
        (["finetune", f"st:{tiny}", "--data", "text:2x2", "--out", "x"], "validation objects make no two scenes"),
        (["track", "nowhere"], "nowhere is no directory"),
        (["track", "."], "holds no checkpoint"),
    ):
        assert words in command(*arguments).refusal
    assert not (tmp_path / "x").exists()


def test_dry_run_says_what_is_held_out_and_writes_nothing(command: Command, tmp_path: Path) -> None:
    done = command("finetune", "st:any", "--out", "x", "--dry-run", "--coverage", "0.3")
    assert done.code == 0
    assert "are held out" in done.err
    assert not (tmp_path / "x").exists()


def test_track_draws_a_curve_over_checkpoints(command: Command, tiny: Path, tmp_path: Path) -> None:
    import shutil

    for step in (20, 100):
        shutil.copytree(tiny, tmp_path / "runs" / f"checkpoint-{step}")
    (tmp_path / "runs" / "logs-3").mkdir()
    done = command("track", "runs", "--data", "text:6x6", "--base", f"st:{tiny}", "--json")
    assert done.code == 0, done.err
    rows = json.loads(done.out)
    assert [row["step"] for row in rows] == [0, 20, 100]
    assert rows[0]["preference"] == rows[1]["preference"] == rows[2]["preference"]  # one and the same model
    assert "Binding over checkpoints" in (tmp_path / "runs" / "binding.html").read_text(encoding="utf-8")


def test_average_is_the_largest_share_within_the_harm(tiny: Path, tmp_path: Path) -> None:
    small = {**SMALL, "threads": 1, "learning_rate": 0.01}
    made = finetune_model(f"st:{tiny}", tmp_path / "tight", "text:10x10", max_harm=0.0, **small)
    assert made.share == 0.2  # the least, where none is without harm
    from bindscope.finetune.config import read_config

    tuned = finetune(read_config(made.run), made.run)
    assert tuned is not None
    loose = tuned.config.model_copy(update={"max_harm": 1.0})
    object.__setattr__(tuned, "config", loose)
    assert choose_average(tuned) == 1.0


@pytest.mark.parametrize(
    ("low", "high", "sure"), [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False), (None, None, False)]
)
def test_a_change_is_sure_where_its_interval_leaves_out_zero(low: float | None, high: float | None, sure: bool) -> None:
    assert is_change(Record("finetune", "swap_accuracy", 0.1, ci_low=low, ci_high=high)) == sure
