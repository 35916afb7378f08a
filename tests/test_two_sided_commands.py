"""The commands on two-sided models, as a user runs them: exit codes, files, one clear line on bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bindscope.analyses.crossmodal.heads import load_head
from bindscope.results import read_results
from commands import Command

SHOP = "concepts: {color: [red, blue, white], garment: [shirt, jeans, coat]}\nscene: 'a {object} and a {object}'\n"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(command: Command, tmp_path: Path) -> Run:
    (tmp_path / "shop.yaml").write_text(SHOP)

    def call(*arguments: str) -> tuple[int, str, str]:
        done = command(*arguments)
        return done.code, done.out, done.err

    return call


def test_the_gate_fails_a_bag_and_passes_a_model_that_binds(run: Run) -> None:
    condition = "swap_confusion@1>0.2,recall@5<0.5"
    code, out, _ = run("gate", "planted:bag?dim=32", "--vocabulary", "shop.yaml", "--fail-if", condition)
    assert code == 1
    assert "gate FAILED: swap_confusion@1>0.2" in out
    assert "Worst pairs" not in out  # no pair is exchanged in 20 scenes
    code, out, _ = run("gate", "planted:object?dim=32", "--vocabulary", "shop.yaml", "--fail-if", condition)
    assert code == 0
    assert "gate passed: recall@5<0.5" in out


def test_the_gate_writes_results_and_a_card_and_speaks_json(run: Run, tmp_path: Path) -> None:
    models = ["planted:bag?dim=32", "planted:mixed?dim=32"]
    code, out, _ = run("gate", *models, "--vocabulary", "shop.yaml", "--out", "g", "--json")
    assert code == 1  # without a condition, binding itself is judged
    found = json.loads(out)
    assert [one["model"] for one in found["ranking"]] == models[::-1]
    assert found["gate"]["failed"] is True
    sentences = found["gate"]["conditions"]
    assert "gate FAILED: binding_preference.ci_low<0.6" in sentences["planted:bag?dim=32"][0]
    assert "gate passed" in sentences["planted:mixed?dim=32"][0]
    assert len((tmp_path / "g" / "card.md").read_text().split("**Binding.**")) == 3
    assert len(read_results(tmp_path / "g").headline(metric="swap_accuracy")) == 2


def test_the_gate_warns_where_a_model_passes_that_does_not_bind(run: Run) -> None:
    code, _, err = run("gate", "planted:bag?dim=32", "--vocabulary", "shop.yaml", "--fail-if", "recall@5<0.01")
    assert code == 0
    assert "passes, yet it prefers the scene's own objects in 50.0%" in err
    code, _, err = run("gate", "planted:mixed?dim=32", "--vocabulary", "shop.yaml", "--fail-if", "recall@5<0.01")
    assert "passes, yet" not in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--vocabulary", "none.yaml"), "no such file|cannot read"),
        (("--vocabulary", "shop.yaml", "--fail-if", "swap_confusion"), "is not understood"),
        (("--vocabulary", "shop.yaml", "--fail-if", "swap_acuracy<1"), "did you mean swap_accuracy"),
    ],
)
def test_the_gate_answers_bad_input_in_one_line(run: Run, arguments: tuple[str, ...], said: str) -> None:
    code, _, err = run("gate", "planted:bag?dim=8", *arguments)
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert code == 2
    assert len(lines) == 1
    assert any(part.lower() in lines[0].lower() for part in said.split("|"))


def test_repair_writes_heads_that_load(run: Run, tmp_path: Path) -> None:
    model = "planted:mixed?dim=24&sides=own"
    code, _, err = run("diagnose", model, "--data", "text:5x5", "--analyses", "crossmodal", "--out", "r")
    assert code == 0, err
    code, out, err = run("repair", "r", "--out", "heads", "--heads", "linear,multiplicative")
    assert code == 0, err
    assert out.strip().splitlines()[-1] == "heads"
    for kind in ("linear", "multiplicative"):
        head = load_head(tmp_path / "heads" / f"{kind}.safetensors")
        assert head(np.ones((2, 24))).shape == (2, 24)
        assert (tmp_path / "heads" / f"sentence-transformers-{kind}" / "head.safetensors").is_file()
    closed = read_results(tmp_path / "heads").select(lambda r: r.extra.get("scenes") == "closed")
    assert {r.estimator for r in closed} == {"none", "linear", "multiplicative"}
    code, _, err = run("repair", "r", "--out", "h", "--heads", "liner")
    assert code == 2
    assert "did you mean linear" in err


def test_repair_needs_captions(run: Run) -> None:
    run("diagnose", "planted:bag?dim=8", "--data", "text:3x3", "--analyses", "audit", "--out", "r")
    code, _, err = run("repair", "r", "--out", "h")
    assert code == 2
    assert "holds no captions" in err


def test_train_clip_writes_an_encoder(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from bindscope.encoders.embedded import recipe

    small = recipe.replace(
        recipe.RECIPES["bag"], batch=8, replicates=1, channels=(8, 8, 8, 8), width=16, heads=2, dim=8
    )
    monkeypatch.setitem(recipe.RECIPES, "bag", small)
    code, out, err = run("train-clip", "bag", "--steps", "2", "--out", "tiny")
    assert code == 0, err
    assert out.strip().splitlines()[-1] == "tiny"
    assert (tmp_path / "tiny" / "weights.safetensors").is_file()
    code, _, err = run("train-clip", "bog", "--out", "x")
    assert code == 2
    assert "did you mean bag" in err


def test_reports_show_both_sides(run: Run, tmp_path: Path) -> None:
    run("diagnose", "planted:mixed?dim=32&sides=own", "--data", "text:4x4", "--out", "a")
    page = (tmp_path / "a" / "report.html").read_text()
    for words in (
        "Within each side and across them",
        "The swap test",
        "Does one side predict the other?",
        "Most confused",
    ):
        assert words in page
    code, out, err = run("diagnose", "planted:bag?dim=32", "--data", "text:5", "--out", "b")
    del out
    assert code == 2 or "Traceback" not in err


def test_compare_pairs_the_swap_test(run: Run) -> None:
    for name, model in (("a", "planted:bag?dim=32"), ("b", "planted:mixed?dim=32")):
        run("diagnose", model, "--data", "text:4x4", "--analyses", "recognition,crossmodal", "--out", name)
    code, out, err = run("compare", "a", "b", "--json")
    assert code == 0, err
    rows = [row for row in json.loads(out) if row["metric"] == "swap_accuracy" and "minus" in row["extra"]]
    assert len(rows) == 1
    assert rows[0]["value"] == pytest.approx(-0.5)
    assert rows[0]["extra"]["tie"] is False
