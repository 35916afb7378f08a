"""A small network as a read-out: one hidden layer of 256 rectified units, a softmax head for each concept and one for objects.

It finds what linear read-outs miss. Trained by Adam with weight decay in numpy, so that it needs no other library.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import ABSENT, IntArray
from bindscope.design import row_mean
from bindscope.errors import TableError
from bindscope.probes import Probe, training_rows
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.splits import split_scenes
from bindscope.streams import stream

HIDDEN = 256
EPOCHS = 80
PATIENCE = 10
_BATCH = 128
_RATE = 1e-3
_DECAY = 1e-2
Single = NDArray[np.float32]
Members = list[tuple[IntArray, int]]
Best = list[tuple[Single, Single, Probe]]


@dataclass(frozen=True, eq=False)
class Head:
    """One head at its best epoch: a hidden layer of its own, and a softmax read-out of the hidden units."""

    mean: FloatArray
    scale: float
    weights: Single
    offset: Single
    probe: Probe

    def features(self, vectors: NDArray[np.floating]) -> Single:
        """Hidden units `[n, 256]` of vectors `[n, d]`."""
        inputs = ((vectors - self.mean) / self.scale).astype(np.float32)
        return np.asarray(np.maximum(inputs @ self.weights + self.offset, 0.0), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Fitted:
    """Heads of the concepts one by one, and last of the objects; used `[n]`: the rows that trained them."""

    heads: tuple[Head, ...]
    used: BoolArray


def fit_network(vectors: NDArray[np.floating], table: SceneTable, train: BoolArray, seed: int = 0) -> Fitted:
    """Train on the rows `train` `[n]` of vectors `[n, d]` (at most as many as a probe takes), from the constant predictor on.

    Every head stops at the epoch that reads 20 % of the training bags best, by cross-entropy (epoch 0 is the constant
    predictor). O(epochs n d hidden).
    """
    used = np.zeros(len(table), dtype=bool)
    used[training_rows(train, seed)] = True
    inputs, mean, scale = _scaled(np.asarray(vectors), used)
    inside = table.take(used)
    members = [inside.members(k) for k in range(table.space.n_concepts)] + [inside.members()]
    network = _Network.start(inputs.shape[1], members, seed)
    best = network.train(inputs, members, _inner(inside, seed), seed)
    return Fitted(tuple(Head(mean, scale, *one) for one in best), used)


def _scaled(vectors: FloatArray, train: BoolArray) -> tuple[Single, FloatArray, float]:
    mean = row_mean(vectors[train])
    centred = vectors[train] - mean
    scale = max(float(np.sqrt((centred**2).mean())), 1e-300)
    return (centred / scale).astype(np.float32), mean, scale


def _inner(table: SceneTable, seed: int) -> BoolArray:
    try:
        return split_scenes(table, 0.8, "bag", seed + 1)
    except TableError:
        return np.ones(len(table), dtype=bool)  # a single bag: trained on all, stopped by the training loss


@dataclass(eq=False)
class _Network:
    """weights: first layer and offset, then the output layer of all heads side by side and its offset."""

    weights: list[Single]
    ends: IntArray

    @classmethod
    def start(cls, dimensions: int, members: Members, seed: int) -> _Network:
        """Random first layer; outputs that give the frequencies of the training rows."""
        rng = stream(seed, "network weights")
        first = rng.standard_normal((dimensions, HIDDEN)) * np.sqrt(2.0 / dimensions)
        logs = []
        for codes, count in members:
            seen = np.bincount(codes[codes != ABSENT], minlength=count).astype(np.float64)
            logs.append(np.log(np.where(seen > 0, seen, 0.5) / seen.sum()))
        offset = np.concatenate(logs)
        layers = [first, np.zeros(HIDDEN), np.zeros((HIDDEN, len(offset))), offset]
        return cls([np.asarray(w, dtype=np.float32) for w in layers], np.cumsum([count for _, count in members])[:-1])

    def train(self, inputs: Single, members: Members, inner: BoolArray, seed: int) -> Best:
        """Weights of each head at its best epoch."""
        fit, stop = np.flatnonzero(inner), np.flatnonzero(~inner if (~inner).any() else inner)
        targets = np.concatenate([_shares(codes, count) for codes, count in members], axis=1)
        rng, adam = stream(seed, "network batches"), _Adam.start(self.weights)
        best, figures, waited = self._heads(), self._losses(inputs[stop], members, stop), 0
        for _ in range(EPOCHS):
            order = rng.permutation(fit)
            for start in range(0, len(order), _BATCH):
                some = order[start : start + _BATCH]
                adam.step(self.weights, self._gradients(inputs[some], targets[some]))
            now, heads = self._losses(inputs[stop], members, stop), self._heads()
            better = now < figures - 1e-4
            best = [new if up else old for new, old, up in zip(heads, best, better, strict=True)]
            figures, waited = np.where(better, now, figures), 0 if better.any() else waited + 1
            if waited >= PATIENCE:
                break
        return best

    def _heads(self) -> Best:
        first, offset, last, bias = (w.copy() for w in self.weights)
        parts = zip(np.split(last, self.ends, axis=1), np.split(bias, self.ends), strict=True)
        return [
            (first, offset, Probe(w.astype(np.float64), b.astype(np.float64), float("nan"), True)) for w, b in parts
        ]

    def _losses(self, inputs: Single, members: Members, rows: IntArray) -> FloatArray:
        hidden = np.maximum(inputs @ self.weights[0] + self.weights[1], 0.0)
        heads = zip(self._heads(), members, strict=True)
        return np.array([head[2].cross_entropy(hidden, codes[rows]).mean() for head, (codes, _) in heads])

    def _gradients(self, inputs: Single, targets: Single) -> list[Single]:
        first, offset, last, bias = self.weights
        hidden = np.maximum(inputs @ first + offset, 0.0)
        scores = hidden @ last + bias
        parts = []
        for part in np.split(scores, self.ends, axis=1):
            chances = np.exp(part - part.max(axis=1, keepdims=True))
            parts.append(chances / chances.sum(axis=1, keepdims=True))
        wrong = (np.concatenate(parts, axis=1) - targets) / np.float32(len(inputs))
        back = (wrong @ last.T) * (hidden > 0)
        return [inputs.T @ back, back.sum(axis=0), hidden.T @ wrong, wrong.sum(axis=0)]


@dataclass(eq=False)
class _Adam:
    mean: list[Single]
    square: list[Single]
    steps: int = 0

    @classmethod
    def start(cls, weights: list[Single]) -> _Adam:
        return cls([np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights])

    def step(self, weights: list[Single], gradients: list[Single]) -> None:
        self.steps += 1
        first, second = 1 - 0.9**self.steps, 1 - 0.999**self.steps
        for i, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
            self.mean[i] += np.float32(0.1) * (gradient - self.mean[i])
            self.square[i] += np.float32(0.001) * (gradient**2 - self.square[i])
            if weight.ndim == 2:
                weight *= np.float32(1 - _RATE * _DECAY)
            weight -= np.float32(_RATE / first) * self.mean[i] / (np.sqrt(self.square[i] / np.float32(second)) + 1e-8)


def _shares(codes: IntArray, count: int) -> Single:
    """Counts / m, `[n, K]`."""
    out = np.zeros((len(codes), count + 1), dtype=np.float32)
    np.add.at(out, (np.arange(len(codes))[:, None], codes), (codes != ABSENT).astype(np.float32))
    return np.asarray(out[:, :count] / (codes != ABSENT).sum(axis=1, keepdims=True), dtype=np.float32)
