"""The baseline of the training benchmark does what its description says."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bindscope.controlled.config import preset
from plain_training import PlainLoop, plain_flops

CONFIG = preset(
    "tiny", values=5, tokens="concept", optimizer="adamw", width=32, heads=2, feed_forward=64, batch=32, coverage=0.6
)


def test_words_of_a_query_are_padded_to_a_scene() -> None:
    loop = PlainLoop(CONFIG)
    start, stop, end, padding = (getattr(loop.scene, name) for name in ("start", "stop", "end", "padding"))
    assert loop.spell([[(0, 1), (1, 2)], [(0, 3), (1, 4)]]) == [start, 1, 7, stop, start, 3, 9, stop, end]
    assert loop.spell([[(1, 2)]]) == [start, 7, stop, end, *[padding] * 5]


def test_padding_changes_no_vector() -> None:
    loop = PlainLoop(CONFIG)
    loop.query.eval()
    words = torch.tensor([loop.spell([[(0, 1), (1, 2)]])])
    with torch.no_grad():
        assert torch.allclose(loop.query(words), loop.query(words[:, :5]), atol=1e-6)


def test_it_learns() -> None:
    loop = PlainLoop(CONFIG.model_copy(update={"learning_rate": 3e-3}))
    losses = [loop.step() for _ in range(60)]
    assert sum(losses[-5:]) / 5 < losses[0] - 0.5


def test_its_flops_are_those_of_torchs_counter() -> None:
    loop = PlainLoop(CONFIG)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        loop.step()
    assert plain_flops(CONFIG) == pytest.approx(counter.get_total_flops(), rel=0.02)
