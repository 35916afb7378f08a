"""Costs: the count against torch's own counter, and a timed step."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bindscope.controlled.config import TrainConfig, preset
from bindscope.controlled.cost import Cost, n_parameters, n_queries, optimizer_flops, step_flops, timed, tower_flops
from bindscope.controlled.model import build_model, sizes
from bindscope.controlled.train import Loop

KINDS: dict[str, dict[str, object]] = {
    "tiny": {},
    "concept tokens": {"tokens": "concept", "optimizer": "adamw"},
    "three objects": {"objects": 3, "layers": 3, "feed_forward": 96},
    "one layer, no concept queries": {"layers": 1, "concept_queries": False},
    "product head": {"head": "product", "optimizer": "adamw"},
    "three concepts, sampled": {"concepts": 3, "values": 6, "sampled_queries": 100, "optimizer": "adamw"},
    "sampled above the scenes' own": {"values": 24, "batch": 32, "sampled_queries": 200},
    "all objects asked": {"queries": "all", "coverage": 0.3},
}


def counted(config: TrainConfig) -> tuple[int, int]:
    """Matrix products of one step by torch's counter: forward and backward; optimiser."""
    loop = Loop(config, Path())
    batch = loop.sampler.batch(0)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as step:  # the fused attention is not counted
        loop.loss(batch).backward()  # type: ignore[no-untyped-call]
    with FlopCounterMode(display=False) as update:
        for optimizer in loop.optimizers:
            optimizer.step()
    return step.get_total_flops(), update.get_total_flops()


@pytest.mark.parametrize("kind", KINDS)
def test_the_count_is_that_of_torchs_counter(kind: str) -> None:
    config = preset("tiny", **{"width": 32, "heads": 2, "output": 48, **KINDS[kind]})
    step, update = counted(config)
    assert step_flops(config) - optimizer_flops(config) == pytest.approx(step, rel=0.02)
    assert optimizer_flops(config) == pytest.approx(update, rel=0.02)


def test_a_tower_by_hand() -> None:
    config = preset("tiny", width=32, feed_forward=64, output=16, layers=1)
    w, f, tokens = 32, 64, 3
    keys, end = 2 * tokens * 2 * w * w, 2 * (2 * w * w + 2 * w * f)
    assert tower_flops(config, 2) == keys + end + 4 * tokens * w + 2 * w * 16
    assert tower_flops(config.model_copy(update={"layers": 2}), 2) - tower_flops(config, 2) == (
        2 * tokens * (4 * w * w + 2 * w * f) + 4 * tokens * tokens * w
    )


def test_questions() -> None:
    config = preset("tiny", values=10, coverage=0.5)
    assert n_queries(config) == 50
    assert n_queries(preset("tiny", values=10, coverage=0.5, queries="all")) == 100
    assert n_queries(preset("tiny", values=100, sampled_queries=3000, batch=16)) == 3000
    assert 31 <= n_queries(preset("tiny", values=100, sampled_queries=10, batch=16)) <= 32


def test_parameters_without_memory() -> None:
    config = preset("tiny", values=7, tokens="concept")
    assert n_parameters(config) == sizes(build_model(config)).scene
    assert n_parameters(preset("paper", concepts=3, values=50)) == pytest.approx(20e6, rel=0.05)


def test_a_timed_step_gives_a_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cost = timed(preset("tiny", values=6, steps=50))
    assert cost.seconds_per_step > 0
    assert cost.seconds == pytest.approx(50 * cost.seconds_per_step)
    assert cost.flops == 50 * cost.step_flops
    assert cost.rate == pytest.approx(cost.step_flops / cost.seconds_per_step)
    assert not list(tmp_path.iterdir())
    assert Cost(10.0, 2.0, 5, 4.0, 2).thread_rate == 2.5


def test_a_long_step_is_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(Loop, "one_step", lambda self, batch: taken.append(len(batch.scenes)))
    monkeypatch.setattr("bindscope.controlled.cost.LONG", -1.0)
    timed(preset("small", batch=512, width=1024, layers=8, feed_forward=4096))
    assert taken == [32, 512]  # a warm-up on a sixteenth of the batch, then the step itself
