"""Training: steps a second of a dual encoder of the size of the paper's scripts, against a plain loop.

Width 256, 6 layers, 4 heads, feed-forward 2048, output 64 (7.9 M parameters per encoder), 2 concepts of 20 values, one
token per concept, AdamW, batch 512, coverage 0.8, two threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from bindscope.controlled.config import TrainConfig, preset
from bindscope.controlled.cost import step_flops
from bindscope.controlled.train import Loop, autocast, find_device
from harness import Cell, arguments, write_result
from plain_training import PlainLoop, plain_flops

STEPS, QUICK, PROFILED, THREADS = 20, 2, 3, 2
SIZE: dict[str, Any] = {
    "concepts": 2,
    "values": 20,
    "tokens": "concept",
    "width": 256,
    "layers": 6,
    "heads": 4,
    "feed_forward": 2048,
    "output": 64,
    "optimizer": "adamw",
    "learning_rate": 3e-5,
    "batch": 512,
    "coverage": 0.8,
    "test_scenes": 2,
}
NO_BF16 = "not run: this processor has neither AMX nor AVX-512 bf16, and would emulate it"
PARTS = {  # of the time inside operations, by their names
    "attention": ("scaled_dot_product",),
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::linear", "mkldnn_linear"),
    "optimiser": ("adamw", "Optimizer", "_foreach", "aten::linalg_vector_norm"),
    "drawing": ("drawing",),
    "norms and activations": ("layer_norm", "gelu", "softmax"),
}


def stepper(config: TrainConfig) -> Callable[[], float]:
    """Our loop as a function that makes the next step; the loss in nats."""
    loop = Loop(config, Path())

    def step() -> float:
        with record_function("drawing"):
            batch = loop.sampler.batch(loop.step)
        loss = loop.one_step(batch)
        loop.step += 1
        return loss

    return step


def run(name: str, step: Callable[[], float], flops: float, count: int) -> tuple[dict[str, Cell], list[float]]:
    """A row of the table and the losses of `count` steps, of which the first warms up and is not timed."""
    losses = [step()]
    wall, cpu = time.perf_counter(), time.process_time()
    losses += [step() for _ in range(count - 1)]
    wall, cpu = (time.perf_counter() - wall) / (count - 1), (time.process_time() - cpu) / (count - 1)
    row: dict[str, Cell] = {
        "program": name,
        "steps/s": 1 / wall,
        "s/step": wall,
        "CPU s/step": cpu,
        "GFLOP/step": flops / 1e9,
        "GFLOP/s": flops / wall / 1e9,
        "first loss": losses[0],
        "last loss": losses[-1],
    }
    return row, losses


def shares(step: Callable[[], float], count: int) -> list[dict[str, Cell]]:
    """Where the time of a step goes: rows with the share of each kind of operation."""
    step()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(count):
            step()
    spent = dict.fromkeys([*PARTS, "rest"], 0.0)
    for event in profiler.key_averages():
        part = next((name for name, words in PARTS.items() if any(word in event.key for word in words)), "rest")
        spent[part] += event.self_cpu_time_total
    total = sum(spent.values())
    return [{"program": f"ours, share of a step: {name}", "share": value / total} for name, value in spent.items()]


def difference(one: Sequence[float], other: Sequence[float]) -> float:
    """Largest difference of two loss curves, in nats."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def main() -> None:
    """Run and write the table."""
    quick = arguments(__doc__).quick
    count = QUICK if quick else STEPS
    torch.set_num_threads(min(THREADS, torch.get_num_threads()))
    config = preset("tiny", **SIZE)
    plain, _ = run("plain loop, float32", PlainLoop(config).step, plain_flops(config), count)
    ours, single = run("ours, float32", stepper(config), step_flops(config), count)
    rows = [plain, ours]
    notes = [
        f"Mean of {count - 1} steps after one that warms up, {torch.get_num_threads()} threads.",
        "Losses: plain and ours start from other weights and batches; ours float32 and bf16 from the same.",
        "GFLOP: matrix products, counted; the plain loop pads queries to a scene's length and moves all tokens to its end.",
    ]
    half = config.model_copy(update={"precision": "auto"})
    if isinstance(autocast(half, find_device(half)), nullcontext):
        rows.append({"program": "ours, bf16", "note": NO_BF16})
    else:
        fast, curve = run("ours, bf16", stepper(half), step_flops(config), count)
        rows.append(fast)
        notes.append(
            f"Largest difference of the losses of float32 and bf16 over {count} steps: {difference(single, curve):.4f}."
        )
    for row in rows:
        if isinstance(row.get("s/step"), float) and row is not plain:
            row["faster"] = float(plain["s/step"]) / float(row["s/step"])  # type: ignore[arg-type]
    rows += shares(stepper(config), 1 if quick else PROFILED)
    name, title = "training", "Steps a second, d 256, 6 layers, feed-forward 2048, 2 x 20 values, batch 512"
    write_result(f"{name}-quick" if quick else name, title, rows, notes)


if __name__ == "__main__":
    main()
