"""The paper's procedure for probes and additive fits, as the baseline that bindscope is compared with.

Written from the description of arXiv 2605.31503, with first-order optimisers and no stopping rule: linear softmax
probes by 10,000 full-batch epochs of Adam without a penalty, additive fits by 10,000 mini-batch steps of AdamW on
summed embedding tables.
Run as a program, it checks both on MiniLM captions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bindscope.recognition import recognise_linear
from bindscope.scenes import SceneTable
from harness import Cell, arguments, caption_scenes, minilm_vectors, r2, timed, write_result

EPOCHS = 10_000
STEPS = 10_000
QUICK = 500
Level = Literal["objects", "concepts"]
Vectors = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ReadOut:
    """One trained softmax read-out: scores = vectors `[n, d]` @ weights `[d, K]` + bias `[K]`."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def right(self, vectors: Vectors, members: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Recognition by the definition, scene by scene `[n]`."""
        return recognise_linear(vectors, self.weights, self.bias, members).right


@dataclass(frozen=True, eq=False)
class ReadOuts:
    """The probes of one table: one for each concept, and one over objects."""

    concepts: tuple[ReadOut, ...]
    objects: ReadOut


def split_rows(n: int, seed: int, share: float = 0.4) -> NDArray[np.bool_]:
    """The paper's split: a random share of the rows trains, whatever else shows the same bag."""
    mask = np.zeros(n, dtype=bool)
    mask[np.random.default_rng(seed).permutation(n)[: round(share * n)]] = True
    return mask


def probes_by_adam(
    vectors: Vectors, table: SceneTable, train_rows: NDArray[np.bool_], epochs: int = EPOCHS, seed: int = 0
) -> ReadOuts:
    """Train all probes together: their losses add up and Adam works by coordinate, so each is as if trained alone.

    vectors `[n, d]`; train_rows `[n]` boolean; targets are counts / m, the loss is the mean soft cross-entropy. The
    vectors are centred and scaled to unit RMS by the training rows (folded into the result): without that, 10,000
    epochs get less far.
    """
    mean = vectors[train_rows].mean(axis=0)
    scale = float(np.sqrt(np.mean((vectors[train_rows] - mean) ** 2)))
    members = [table.members(k) for k in range(table.space.n_concepts)] + [table.members()]
    widths = [width for _, width in members]
    targets = [_soft_targets(codes[train_rows], width) for codes, width in members]
    inputs = torch.from_numpy(np.ascontiguousarray((vectors[train_rows] - mean) / scale, dtype=np.float32))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer = nn.Linear(inputs.shape[1], sum(widths))
    optimiser = torch.optim.Adam(layer.parameters(), lr=1e-3)
    for _ in range(epochs):
        optimiser.zero_grad()
        parts = layer(inputs).split(widths, dim=1)
        losses = [nn.functional.cross_entropy(part, target) for part, target in zip(parts, targets, strict=True)]
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    weights: Any = layer.weight.detach().numpy().T / scale
    bias = layer.bias.detach().numpy() - mean @ weights
    ends = np.cumsum(widths)[:-1]
    outs = [ReadOut(w, b) for w, b in zip(np.split(weights, ends, axis=1), np.split(bias, ends), strict=True)]
    return ReadOuts(tuple(outs[:-1]), outs[-1])


def additive_by_adamw(
    vectors: Vectors,
    table: SceneTable,
    level: Level,
    steps: int = STEPS,
    seed: int = 0,
    learning_rate: float = 1e-3,
    batch: int = 256,
) -> Vectors:
    """Predictions `[n, d]` of a sum of embeddings, one for each object (or concept value) in each slot.

    The mean is taken out before and put back after. AdamW at torch's defaults but for the learning rate.
    """
    codes = torch.from_numpy(_slot_codes(table, level))
    mean = vectors.mean(axis=0)
    centred = torch.from_numpy(np.ascontiguousarray(vectors - mean, dtype=np.float32))
    generator = torch.Generator().manual_seed(seed)
    model = nn.EmbeddingBag(int(codes.max()) + 1, vectors.shape[1], mode="sum")
    nn.init.normal_(model.weight, std=float(centred.std()), generator=generator)
    optimiser = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    for _ in range(steps):
        rows = torch.randint(len(codes), (batch,), generator=generator)
        optimiser.zero_grad()
        nn.functional.mse_loss(model(codes[rows]), centred[rows]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():
        return np.asarray(model(codes).numpy() + mean, dtype=np.float32)


def _soft_targets(codes: NDArray[np.int64], width: int) -> torch.Tensor:
    target = torch.zeros(len(codes), width)
    target.scatter_add_(1, torch.from_numpy(codes), torch.full(codes.shape, 1.0 / codes.shape[1]))
    return target


def _slot_codes(table: SceneTable, level: Level) -> NDArray[np.int64]:
    """Rows of the embedding tables that each scene sums up: `[n, m]` for objects, `[n, m C]` for concepts."""
    slots = range(table.n_slots)
    columns = (
        [table.object_codes[:, i] for i in slots]
        if level == "objects"
        else [table.values[:, i, k] for i in slots for k in range(table.space.n_concepts)]
    )
    starts = np.cumsum([0, *(int(column.max()) + 1 for column in columns[:-1])])
    return np.stack([column + start for column, start in zip(columns, starts, strict=True)], axis=1)


def main() -> None:
    """Time the procedure on 9,900 MiniLM captions and say what it reaches."""
    quick = arguments(__doc__).quick
    epochs = QUICK if quick else EPOCHS
    table, captions = caption_scenes()
    vectors = minilm_vectors(captions)
    train = split_rows(len(table), seed=0)
    test = ~train
    probes, seconds = timed(lambda: probes_by_adam(vectors, table, train, epochs))
    rows: list[dict[str, Cell]] = []
    for k, probe in enumerate(probes.concepts):
        right = probe.right(vectors[test], table.members(k)[0][test]).mean()
        rows.append({"fit": f"probe, {table.space.concepts[k].name}", "steps": epochs, "figure": float(right)})
    right = probes.objects.right(vectors[test], table.object_codes[test]).mean()
    rows.append({"fit": "probe, objects", "steps": epochs, "figure": float(right)})
    rows.append({"fit": "all probes", "steps": epochs, "seconds": seconds, "full seconds": seconds * EPOCHS / epochs})
    levels: tuple[Level, ...] = ("objects", "concepts")
    for level in levels:
        steps = QUICK if quick else STEPS
        predicted, seconds = timed(partial(additive_by_adamw, vectors, table, level, steps))
        rows.append(
            {
                "fit": f"additive, {level} per slot",
                "steps": steps,
                "figure": r2(vectors, predicted),
                "seconds": seconds,
                "full seconds": seconds * STEPS / steps,
            }
        )
    notes = ["figure: recognition on the other 60 % of the rows; R^2 of the additive fits"]
    if quick:
        notes.append(f"QUICK RUN: figures are those after {QUICK} steps; full seconds are EXTRAPOLATED linearly")
    write_result("paper_procedure" + "-quick" * quick, "The paper's procedure, MiniLM on 9,900 captions", rows, notes)


if __name__ == "__main__":
    main()
