from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bindscope.controlled.config import TrainConfig, preset
from bindscope.errors import BindscopeError
from bindscope.runs import model_forms
from bindscope.runs.model_forms import figures_of, form_figures
from bindscope.runs.training import train_run

CONFIG = preset("tiny", concepts=2, values=9, coverage=0.5, test_scenes=400)
DIM, RANK = 24, 3
FORMS = ("additive?slots=shared", "per-object?slots=shared", "mlp:64")


def factors(seed: int, width: int) -> list[torch.Tensor]:
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(rng.normal(size=(CONFIG.values, width))) for _ in range(CONFIG.concepts)]


def planted(kind: str, rule: int = 1, mixing: int = 2) -> Any:
    """Values `[B, m, C]` to vectors `[B, DIM]`: additive concepts, plus a product of factors or a table of objects."""
    plain, own, rng = factors(0, DIM), factors(rule, RANK), np.random.default_rng(mixing)
    mix = torch.from_numpy(rng.normal(size=(RANK, DIM)))
    table = torch.from_numpy(np.random.default_rng(rule).normal(size=(CONFIG.n_objects, DIM)))

    def vectors(values: torch.Tensor) -> torch.Tensor:
        a, b = values[..., 0], values[..., 1]
        summed = plain[0][a] + plain[1][b]
        if kind == "product":
            summed = summed + (own[0][a] * own[1][b]) @ mix
        if kind == "object":
            summed = summed + 2 * table[a * CONFIG.values + b]
        return summed.sum(dim=1).float()

    return vectors


def figures(kind: str, coverage: float = 0.5, **other: Any) -> dict[str, Any]:
    model = SimpleNamespace(scene=planted(kind), query=planted(kind, **other))
    return figures_of(CONFIG.model_copy(update={"coverage": coverage}), model, FORMS)


def test_a_product_is_fitted_by_the_form_and_not_by_addition() -> None:
    found = figures("product", coverage=0.7)
    assert found["r2 per-object?slots=shared"] > 0.99
    assert found["r2 additive?slots=shared"] < 0.8
    assert found["binding_r2 per-object?slots=shared"] > 0.99
    assert abs(found["binding_r2 additive?slots=shared"]) < 0.05
    assert found["objects per-object?slots=shared"] > 2 * found["objects additive?slots=shared"]


def test_concepts_alone_need_no_more_than_addition_and_leave_no_binding() -> None:
    found = figures("bag")
    assert found["r2 additive?slots=shared"] == pytest.approx(1.0, abs=1e-6)
    assert found["binding share"] == pytest.approx(0.0, abs=1e-9)
    assert found["binding_r2 mlp:64"] is None
    assert found["object cosine"] == pytest.approx(1.0, abs=1e-6)


def test_a_table_of_objects_is_predicted_by_nobody() -> None:
    found = figures("object")
    assert max(found[f"r2 {name}"] for name in FORMS) < 0.5


@pytest.mark.parametrize("kind", ["product", "object"])
def test_the_same_rule_on_both_sides_is_seen_where_it_is(kind: str) -> None:
    same, other = figures(kind), figures(kind, rule=5)
    assert same["binding cosine"] > 0.99
    assert abs(other["binding cosine"]) < 0.3  # the control: queries bind by factors of their own
    assert other["object cosine"] < same["object cosine"]


def test_a_binding_cosine_needs_degrees_of_freedom() -> None:
    config = CONFIG.model_copy(update={"coverage": 0.85})
    model = SimpleNamespace(scene=planted("product"), query=planted("product"))
    assert figures_of(config, model, ())["binding cosine"] is None


def test_figures_of_a_run_are_kept_and_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small: dict[str, Any] = {"values": 4, "width": 16, "feed_forward": 16, "output": 8, "layers": 1, "heads": 2}
    config = TrainConfig(**small, coverage=0.6, steps=4, evaluate_every=4, batch=8, test_scenes=20)
    train_run(config, tmp_path / "run")
    found = form_figures(tmp_path / "run", ("additive",))
    monkeypatch.setattr(model_forms, "figures_of", lambda *given: pytest.fail("made again"))
    assert form_figures(tmp_path / "run", ("additive",)) == found
    with pytest.raises(pytest.fail.Exception):
        form_figures(tmp_path / "run", ("additive",), seed=1)


def test_an_unfinished_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BindscopeError, match="no training run"):
        form_figures(tmp_path)
