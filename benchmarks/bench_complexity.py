"""Approximators: one perceptron of width 1024 at coverage 0.5 against 4,000 full-batch steps of Adam, and all learners.

The baseline is written from the description of arXiv 2605.31503: one-hot inputs, one hidden layer, mean squared error on
raw vectors, Adam at 1e-3 on all training scenes at once for 4,000 epochs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bindscope.analyses.complexity.judging import cross_probes, judge
from bindscope.datasets import load_dataset
from bindscope.embeddings import default_cache, embed
from bindscope.encoders import load_encoder
from bindscope.learners.additive import additive_features
from bindscope.learners.registry import load_approximator
from bindscope.runs.grid import LEARNERS
from bindscope.scenes import SceneTable
from bindscope.splits import TEST, TRAIN, split_objects
from harness import Cell, arguments, write_result

EPOCHS, TIMED = 4000, 20
WIDTH, COVERAGE = 1024, 0.5
Vectors = NDArray[np.float32]
T = TypeVar("T")


def perceptron_by_adam(vectors: Vectors, table: SceneTable, epochs: int, seed: int = 0) -> nn.Module:
    """The paper's procedure."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inputs = torch.from_numpy(additive_features(table, "own")[:, 1:].toarray().astype(np.float32))
        model = nn.Sequential(nn.Linear(inputs.shape[1], WIDTH), nn.ReLU(), nn.Linear(WIDTH, vectors.shape[1]))
    goal = torch.from_numpy(vectors)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        optimiser.zero_grad()
        nn.functional.mse_loss(model(inputs), goal).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return model


def r2(vectors: Vectors, predicted: NDArray[np.floating]) -> float:
    """Share of the variance about the mean of these vectors."""
    exact = np.asarray(vectors, dtype=np.float64)
    return float(1 - ((exact - predicted) ** 2).sum() / ((exact - exact.mean(axis=0)) ** 2).sum())


def cached_captions() -> tuple[SceneTable, Vectors]:
    """MiniLM on text:10x10, through the cache of embeddings."""
    dataset = load_dataset("text:10x10")
    found = embed(load_encoder("st:sentence-transformers/all-MiniLM-L6-v2"), dataset, cache=default_cache())
    return found.table, found.vectors


def spent(work: Callable[[], T]) -> tuple[T, float]:
    """What the work returns, and the processor seconds that it took on one thread: other programs do not count."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def main() -> None:
    """Both on one thread, in processor seconds, so that a busy machine gives the same ratio."""
    quick = arguments(__doc__).quick
    torch.set_num_threads(1)
    table, vectors = cached_captions()
    split = split_objects(table, COVERAGE, 0)
    sides = split.sides(table)
    train, test = np.flatnonzero(sides == TRAIN), np.flatnonzero(sides == TEST)
    epochs = TIMED if quick else EPOCHS
    perceptron_by_adam(vectors[train], table.take(train), 2)  # warm
    model, seconds = spent(lambda: perceptron_by_adam(vectors[train], table.take(train), epochs))
    slow = seconds * EPOCHS / epochs
    with torch.no_grad():
        asked = torch.from_numpy(additive_features(table.take(test), "own")[:, 1:].toarray().astype(np.float32))
        held_out = r2(vectors[test], model(asked).numpy())
    rows: list[dict[str, Cell]] = [
        {"learner": "paper: Adam, full batch", "CPU s": slow, "R2 held out": None if quick else held_out}
    ]
    probes = None if quick else cross_probes(vectors, table, 0)
    closed = split.closed(table)[test]
    for name in ("additive", f"mlp:{WIDTH}") if quick else LEARNERS:
        fitted, fast = spent(partial(load_approximator(name).fit, table.take(train), vectors[train]))
        predicted = fitted.predict(table.take(test))
        row: dict[str, Cell] = {"learner": name, "CPU s": fast, "R2 training": fitted.train_r2}
        row["R2 held out"] = r2(vectors[test], predicted)
        if probes is not None:
            judged = judge(predicted, vectors, table, test, probes)
            row["objects, closed"] = float(judged.objects[closed].mean())
            row["objects, all"] = float(judged.objects.mean())
            row["concepts"] = float(judged.concepts.mean())
        row["faster"] = slow / fast if name == f"mlp:{WIDTH}" else None
        rows.append(row)
    notes = [f"{len(train)} training and {len(test)} held-out scenes; baseline {EPOCHS} epochs; one thread"]
    if quick:
        notes.append(f"QUICK RUN: the baseline's seconds are EXTRAPOLATED linearly from {TIMED} timed epochs")
    name = "complexity" + "-quick" * quick
    write_result(name, f"Approximators at coverage {COVERAGE}, MiniLM on text:10x10", rows, notes)


if __name__ == "__main__":
    main()
