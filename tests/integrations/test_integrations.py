"""Binding watched in other people's loops: the plain function, the evaluator, the callback."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

import bindscope.integrations
from bindscope.errors import InputError, MissingExtraError, UnknownNameError, VectorsError
from bindscope.integrations import BindingCallback, BindingEvaluator, binding_score
from tiny import save_tiny_encoder

COLORS, SHAPES = ("red", "blue", "green", "black"), ("cube", "ball", "cone", "box")
WORDS = {"color": COLORS, "shape": SHAPES}


def bag(texts: Sequence[str]) -> np.ndarray:
    """Two numbers a word, which add up."""
    return np.array([[float(word in re.findall(r"\w+", text)) for word in (*COLORS, *SHAPES)] for text in texts])


def bound(texts: Sequence[str]) -> torch.Tensor:
    """One number an object."""
    return torch.tensor(
        [[float(f"{c} {s}" in text) for c in COLORS for s in SHAPES] for text in texts], requires_grad=True
    )


def test_a_bag_is_at_chance_and_what_binds_is_at_one() -> None:
    at_chance, best = binding_score(bag, vocabulary=WORDS), binding_score(bound, vocabulary=WORDS)
    assert at_chance.preference == at_chance.chance == 0.5
    assert at_chance.swaps_own_wording == at_chance.swaps == 0.0  # every exchanged one ties
    assert at_chance.objects <= at_chance.objects_ceiling == 0.5  # whole bags: each scene beside its exchanged one
    assert best.preference == best.objects == best.swaps == best.swaps_own_wording == 1.0
    assert at_chance.preference_low <= 0.5 <= at_chance.preference_high


def test_queries_may_have_an_encoder_of_their_own_and_the_wording_too() -> None:
    seen: list[str] = []

    def scenes(texts: list[str]) -> torch.Tensor:
        seen.extend(texts)
        return bound(texts)

    def queries(texts: list[str]) -> torch.Tensor:
        assert all(" and " not in text for text in texts)
        return bound(texts)

    score = binding_score(scenes, queries, WORDS, scene="two toys: {A} and {B}")
    assert score.preference == 1.0
    assert any(text.startswith("two toys: a ") for text in seen)
    assert len(seen) < 1000
    assert score.as_dict() == binding_score(scenes, queries, WORDS, scene="two toys: {A} and {B}").as_dict()


def test_other_vocabularies(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "concepts:\n  size: [small, large, tiny]\n  shape: [cube, ball, cone]\n", encoding="utf-8"
    )
    for vocabulary in (tmp_path / "own.yaml", f"text:{tmp_path / 'own.yaml'}", "text:5x4", "built-in"):
        assert binding_score(bag_of_letters, vocabulary=vocabulary, scenes=40).n_scenes > 10


def bag_of_letters(texts: Sequence[str]) -> np.ndarray:
    return np.array([[text.count(letter) + 0.1 for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts])


def test_what_cannot_be_used() -> None:
    with pytest.raises(InputError, match="at least two concepts"):
        binding_score(bag, vocabulary={"color": COLORS})
    with pytest.raises(InputError, match="no two objects that differ in two concepts"):
        binding_score(bag, vocabulary={"color": ["red"], "shape": SHAPES})
    with pytest.raises(InputError, match=r"must hold \{A\} and \{B\}"):
        binding_score(bag, vocabulary=WORDS, scene="a toy")
    smallest = binding_score(bag, vocabulary={"color": COLORS[:2], "shape": SHAPES[:2]})
    assert smallest.n_scenes == 2
    with pytest.raises(UnknownNameError, match="data set"):
        binding_score(bag, vocabulary="color")
    with pytest.raises(VectorsError, match="expected finite vectors"):
        binding_score(lambda texts: np.zeros(3), vocabulary=WORDS)
    with pytest.raises(VectorsError, match="expected finite vectors"):
        binding_score(lambda texts: np.full((len(texts), 2), np.nan), vocabulary=WORDS)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        bindscope.integrations.Nothing  # noqa: B018


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bindscope.integrations.evaluator", None)
    with pytest.raises(MissingExtraError, match="BindingEvaluator needs sentence-transformers"):
        bindscope.integrations.__getattr__("BindingEvaluator")


def test_the_plain_function_loads_no_heavy_library() -> None:
    code = (
        "import sys, numpy as np; from bindscope.integrations import binding_score\n"
        "binding_score(lambda texts: np.random.default_rng(0).normal(size=(len(texts), 4)), scenes=20)\n"
        "print([n for n in ('torch', 'transformers', 'sentence_transformers') if n in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_encoder(tmp_path_factory.mktemp("models"))


def test_evaluator_of_sentence_transformers(tiny: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(tiny), device="cpu")
    evaluator = BindingEvaluator(WORDS, name="dev", scenes=40)
    figures = evaluator(model, str(tmp_path), epoch=1, steps=5)
    assert evaluator.primary_metric == "dev_preference"
    assert set(figures) >= {"dev_preference", "dev_objects", "dev_swaps_own_wording"}
    assert evaluator(model, str(tmp_path), epoch=1, steps=10) == figures
    lines = (tmp_path / "binding_evaluation_dev_results.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("epoch,steps,preference")
    expected = binding_score(lambda texts: model.encode(texts), vocabulary=WORDS, scenes=40)
    assert figures["dev_preference"] == pytest.approx(expected.preference)
    assert evaluator.get_config_dict()["candidates"] == 16


def test_callback_reports_and_leaves_the_model_as_it_was() -> None:
    from transformers import TrainerControl, TrainerState

    model = torch.nn.Linear(2, 2)
    model.train()
    callback = BindingCallback(lambda network, texts: bound(texts), vocabulary=WORDS, scenes=40)
    state, metrics = TrainerState(), {"eval_loss": 1.0}
    callback.on_evaluate(None, state, TrainerControl(), model=model, metrics=metrics)
    assert metrics["eval_binding_preference"] == 1.0
    assert state.log_history[-1]["eval_binding_objects"] == 1.0
    assert model.training


class Recorder:
    """A trainer as far as the callback knows it."""

    def __init__(self) -> None:
        self.callbacks: list[object] = []
        self.logged: list[dict[str, float]] = []

    def add_callback(self, callback: object) -> None:
        self.callbacks.append(callback)

    def log(self, figures: dict[str, float]) -> None:
        self.logged.append(figures)


def test_callback_attached_to_a_trainer_logs_through_it() -> None:
    from transformers import TrainerControl, TrainerState

    trainer = Recorder()
    callback = BindingCallback(lambda network, texts: bag(texts), vocabulary=WORDS, scenes=40).attach(trainer)
    callback.on_evaluate(None, TrainerState(), TrainerControl(), model=torch.nn.Linear(2, 2), metrics=None)
    assert trainer.callbacks == [callback]
    assert trainer.logged[0]["eval_binding_preference"] == 0.5
