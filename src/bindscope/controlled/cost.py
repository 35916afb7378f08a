"""What a training run costs: multiplications counted, and seconds from timed steps."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bindscope.controlled.config import TrainConfig

TIMED_STEPS = 3


@dataclass(frozen=True)
class Cost:
    """FLOPs of one step (forward and backward) and of the whole run; seconds where a step was timed, else NaN."""

    step_flops: float
    seconds_per_step: float
    steps: int

    @property
    def flops(self) -> float:
        """FLOPs of all steps."""
        return self.step_flops * self.steps

    @property
    def seconds(self) -> float:
        """Seconds of all steps."""
        return self.seconds_per_step * self.steps


def step_flops(config: TrainConfig) -> float:
    """FLOPs of a step: 2 for each multiply-add, forward once and backward twice.

    A token costs 2 (4 w^2 + 2 w f) a layer in the matrices and 4 T w in the attention over T tokens; then the read-out and
    the score of every scene with every query. Embedding look-ups and norms are left out.
    """
    scene = config.batch * tower_flops(config, config.objects)
    asked = n_queries(config)
    words = config.concepts * config.values if config.concept_queries else 0
    query = (asked + words) * tower_flops(config, 1)
    scores = 2.0 * config.batch * (asked + words) * config.output
    return 3.0 * (scene + query + scores)


def n_queries(config: TrainConfig) -> int:
    """Objects asked in one step."""
    pool = config.n_objects if config.queries == "all" else max(1, round(config.coverage * config.n_objects))
    return pool if config.sampled_queries is None else min(pool, config.sampled_queries)


def tower_flops(config: TrainConfig, slots: int) -> float:
    """FLOPs of one forward pass of one item."""
    tokens = slots * (config.concepts + 2) + 1 if config.tokens == "concept" else slots + 1
    w, f = config.width, config.feed_forward
    layer = 2.0 * (4 * w * w + 2 * w * f) + 4.0 * tokens * w
    return config.layers * tokens * layer + 2.0 * w * config.output


def timed(config: TrainConfig) -> Cost:
    """The cost with seconds from a few real steps after a warm-up; nothing is written."""
    from pathlib import Path

    from bindscope.controlled.train import Loop

    loop = Loop(config, Path())
    loop.one_step(loop.sampler.batch(0))
    began = time.perf_counter()
    for step in range(1, TIMED_STEPS + 1):
        loop.one_step(loop.sampler.batch(step))
    return Cost(step_flops(config), (time.perf_counter() - began) / TIMED_STEPS, config.steps)
