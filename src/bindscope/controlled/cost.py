"""What a training run costs: multiplications counted, and seconds from timed steps."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bindscope.controlled.config import TrainConfig

if TYPE_CHECKING:
    from bindscope.controlled.train import Loop

TIMED_STEPS, TIMED_SECONDS = (3, 30), 1.0  # fewest and most steps that are timed, and about how long
LONG = 2.0  # seconds: a step this long is timed once and needs no more warming up
SHRUNK = 16  # a warm-up of a large model takes this part of the batch and of the queries
NEWTON_SCHULZ = 5  # steps of Muon


@dataclass(frozen=True)
class Cost:
    """FLOPs of one step and of the whole run; wall and processor seconds of a step, which was timed on some threads."""

    step_flops: float
    seconds_per_step: float
    steps: int
    cpu_seconds_per_step: float = float("nan")
    threads: int = 1

    @property
    def flops(self) -> float:
        """FLOPs of all steps."""
        return self.step_flops * self.steps

    @property
    def seconds(self) -> float:
        """Seconds of all steps."""
        return self.seconds_per_step * self.steps

    @property
    def rate(self) -> float:
        """FLOPs a second that the timed step reached, by wall time."""
        return self.step_flops / self.seconds_per_step

    @property
    def thread_rate(self) -> float:
        """FLOPs in a second of one thread's processor time: other work on the machine lowers this one less."""
        return self.step_flops / self.cpu_seconds_per_step


def step_flops(config: TrainConfig) -> float:
    """FLOPs of a step: 2 for each multiply-add of a matrix product, forward once and backward twice, then the optimiser's.

    Left out: embedding look-ups, norms, activations, softmax, the loss, and the element-wise part of the optimiser.
    """
    scene = config.batch * tower_flops(config, config.objects)
    words = config.concepts * config.values if config.concept_queries else 0
    asked = n_queries(config) + words
    scores = 2.0 * config.batch * asked * config.output
    return 3.0 * (scene + asked * tower_flops(config, 1) + scores) + optimizer_flops(config)


def n_queries(config: TrainConfig) -> int:
    """Objects asked in one step: all, or the sample with at least the scenes' own objects (their expected number)."""
    trained = max(1, round(config.coverage * config.n_objects))
    pool = config.n_objects if config.queries == "all" else trained
    if config.sampled_queries is None or config.sampled_queries >= pool:
        return pool
    own = trained * (1.0 - (1.0 - 1.0 / trained) ** (config.batch * config.objects))
    return max(config.sampled_queries, round(own))


def tower_flops(config: TrainConfig, slots: int) -> float:
    """FLOPs of one forward pass of one item of T tokens.

    A layer: 2 T (4 w^2 + 2 w f) in the matrices and 4 T^2 w in the attention. The last one moves the end token alone, with
    keys and values of all: 2 (2 T w^2 + 2 w^2 + 2 w f) + 4 T w. Then the read-out.
    """
    tokens = slots * (config.concepts + 2) + 1 if config.tokens == "concept" else slots + 1
    w, f = config.width, config.feed_forward
    whole = tokens * (2.0 * (4 * w * w + 2 * w * f) + 4.0 * tokens * w)
    last = 2.0 * (2 * tokens * w * w + 2 * w * w + 2 * w * f) + 4.0 * tokens * w
    return (config.layers - 1) * whole + last + head_flops(config)


def head_flops(config: TrainConfig) -> float:
    """FLOPs of the read-out of one item."""
    plain = 2.0 * config.width * config.output
    if config.head == "linear":
        return plain
    return 2.0 * plain + 2.0 * max(config.concepts, 2) * config.width**2


def optimizer_flops(config: TrainConfig) -> float:
    """FLOPs of Muon's matrix products; AdamW has none.

    A matrix with sides a <= b: its Gram matrix and the update 4 a^2 b, and in the n steps between 2 a^3 (4 n - 3).
    """
    if config.optimizer == "adamw":
        return 0.0
    w, f, n = config.width, config.feed_forward, NEWTON_SCHULZ
    sides = [sorted(pair) for pair in ((w, 3 * w), (w, w), (w, f), (f, w))]
    layer = sum(4.0 * a * a * b + 2.0 * a**3 * (4 * n - 3) for a, b in sides)
    return 2.0 * config.layers * layer


def n_parameters(config: TrainConfig) -> int:
    """Parameters of the scene encoder; nothing is allocated."""
    import torch

    from bindscope.controlled.model import DualEncoder, sizes

    with torch.device("meta"):
        return sizes(DualEncoder(config)).scene


def timed(config: TrainConfig) -> Cost:
    """The cost with the median seconds of real steps after a warm-up; nothing is written.

    Where a step takes seconds, one is timed, after a warm-up on a part of the batch. Memory is that of training.
    """
    import torch

    from bindscope.controlled.train import Loop

    if step_flops(config) > 1e12:
        small = {"batch": max(2, config.batch // SHRUNK), "sampled_queries": max(2, n_queries(config) // SHRUNK)}
        warm = Loop(config.model_copy(update={**small, "test_scenes": 2}), Path())
        warm.one_step(warm.sampler.batch(0))
        del warm
    loop = Loop(config.model_copy(update={"test_scenes": 2}), Path())
    spent = [_spent(loop, 0)]
    if spent[0][0] < LONG:
        fewest, most = TIMED_STEPS
        count = min(max(int(TIMED_SECONDS / spent[0][0]), fewest), most)
        spent = [_spent(loop, step) for step in range(1, count + 1)]
    wall, cpu = (statistics.median(clock) for clock in zip(*spent, strict=True))
    return Cost(step_flops(config), wall, config.steps, cpu, torch.get_num_threads())


def _spent(loop: Loop, step: int) -> tuple[float, float]:
    """Seconds of one step by the clock and of all threads' processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    loop.one_step(loop.sampler.batch(step))
    return time.perf_counter() - wall, time.process_time() - cpu
