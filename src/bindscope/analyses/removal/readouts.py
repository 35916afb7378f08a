"""Read-outs trained anew on what a removal has left: linear ones, and a small network that finds what those miss.

Success of a removal is no gain in held-out cross-entropy over a constant predictor, in nats a scene; recognition stands
beside it. The penalty is therefore chosen by cross-entropy, from a range that reaches up to the constant predictor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import ABSENT, IntArray
from bindscope.design import NEGLIGIBLE, row_mean
from bindscope.errors import TableError
from bindscope.probes import PENALTIES, Probe, ProbeSet, constant_cross_entropy, fit_probes, training_rows
from bindscope.recognition import recognise
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.splits import split_scenes
from bindscope.streams import stream

REMOVAL_PENALTIES = (1e5, 1e3, 1e2, 1e1, 1e0, *PENALTIES)  # the largest is the constant predictor, with few rows too
HIDDEN = 256
EPOCHS = 80
PATIENCE = 10
_BATCH = 128
_RATE = 1e-3
_DECAY = 1e-2
Single = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Reading:
    """What read-outs find on the test rows, in the order of the mask: q rows.

    right, tied, gain `[q, C + 1]`: the concepts one by one, and last the objects; gain in nats over a constant predictor.
    probes: the read-outs, None where nothing was left to read.
    """

    rows: BoolArray
    right: BoolArray
    tied: BoolArray
    gain: FloatArray
    probes: ProbeSet | None = None


def read(
    residual: FloatArray,
    table: SceneTable,
    train: BoolArray,
    test: BoolArray,
    seed: int = 0,
    like: ProbeSet | None = None,
) -> Reading:
    """Train linear read-outs on the rows `train` of the residual `[n, d]` and judge them on the rows `test`.

    `like`: take the penalties of these read-outs (for controls, whose own choice would be the same). Starting from their
    weights as well takes twice as long: a permuted component doubles the variance, and the old optimum is far off.
    """
    if not _varies(residual, train):
        return _nothing(table, test)
    probes = fit_probes(residual, table, train, seed, REMOVAL_PENALTIES, choose_by="cross_entropy", like=like)
    heads = [(probe, residual[test]) for probe in (*probes.concepts, probes.objects)]
    return _judged(heads, table, probes.train, test, probes)


def read_by_network(
    residual: FloatArray, table: SceneTable, train: BoolArray, test: BoolArray, seed: int = 0
) -> Reading:
    """The same by a network with one hidden layer of 256 rectified units, from the constant predictor on.

    Every head stops at the epoch that reads 20 % of the training bags best, by cross-entropy (epoch 0 is the constant
    predictor). Adam with weight decay; O(epochs n d hidden).
    """
    if not _varies(residual, train):
        return _nothing(table, test)
    used = np.zeros(len(table), dtype=bool)
    used[training_rows(train, seed)] = True
    inputs, mean, scale = _scaled(residual, used)
    inside = table.take(used)
    members = [inside.members(k) for k in range(table.space.n_concepts)] + [inside.members()]
    network = _Network.start(inputs.shape[1], members, seed)
    best = network.train(inputs, members, _inner(inside, seed), seed)
    outside = ((residual[test] - mean) / scale).astype(np.float32)
    heads = [(probe, np.maximum(outside @ first + offset, 0.0)) for first, offset, probe in best]
    return _judged(heads, table, used, test, None)


def _judged(
    heads: Sequence[tuple[Probe, NDArray[np.floating]]],
    table: SceneTable,
    train: BoolArray,
    test: BoolArray,
    probes: ProbeSet | None,
) -> Reading:
    right, tied, gain = [], [], []
    targets = (*range(table.space.n_concepts), None)
    for target, (probe, features) in zip(targets, heads, strict=True):
        members, count = table.members(target)
        outcome = probe.recognised(features, members[test])
        right.append(outcome.right)
        tied.append(outcome.tied)
        gain.append(_gain(probe, features, members[test], members[train], count))
    return Reading(test, np.stack(right, axis=1), np.stack(tied, axis=1), np.stack(gain, axis=1), probes)


def _gain(
    probe: Probe, features: NDArray[np.floating], members: IntArray, trained: IntArray, n_candidates: int
) -> FloatArray:
    """Cross-entropy of each scene `[q]` under the constant predictor minus that under the read-out, in nats.

    Both are asked about candidates that a training row shows: of the others a read-out knows as much as a constant does,
    and its unbounded bias would count as a loss of any size.
    """
    place = np.full(n_candidates + 1, ABSENT)
    seen = np.unique(trained[trained != ABSENT])
    place[seen] = np.arange(len(seen))
    codes, here = place[members], members != ABSENT
    share = (codes != ABSENT).sum(axis=1) / here.sum(axis=1)
    some = share > 0
    inner = Probe(probe.weights[:, seen], probe.bias[seen], probe.penalty, probe.converged)
    both = np.concatenate([place[trained], codes[some]])
    fitted = np.arange(len(both)) < len(trained)
    constant = constant_cross_entropy(both, len(seen), fitted)[~fitted]
    gain = np.zeros(len(members))
    gain[some] = share[some] * (constant - inner.cross_entropy(features[some], codes[some]))
    return gain


def _varies(residual: FloatArray, train: BoolArray) -> bool:
    """Whether the training rows differ by more than rounding, beside what there is in all rows."""
    centred = residual[train] - row_mean(residual[train])
    return bool((centred**2).mean() > NEGLIGIBLE * (residual**2).mean())


def _nothing(table: SceneTable, test: BoolArray) -> Reading:
    """Nothing varies any more: every score ties, and the best predictor is the constant one."""
    targets = (*range(table.space.n_concepts), None)
    outcomes = []
    for target in targets:
        members, count = table.members(target)
        outcomes.append(recognise(np.zeros((int(test.sum()), count)), members[test]))
    right, tied = (np.stack([getattr(o, name) for o in outcomes], axis=1) for name in ("right", "tied"))
    return Reading(test, right, tied, np.zeros(right.shape))


def _scaled(residual: FloatArray, train: BoolArray) -> tuple[Single, FloatArray, float]:
    mean = row_mean(residual[train])
    centred = residual[train] - mean
    scale = max(float(np.sqrt((centred**2).mean())), 1e-300)
    return (centred / scale).astype(np.float32), mean, scale


def _inner(table: SceneTable, seed: int) -> BoolArray:
    try:
        return split_scenes(table, 0.8, "bag", seed + 1)
    except TableError:
        return np.ones(len(table), dtype=bool)  # a single bag: trained on all, stopped by the training loss


Members = list[tuple[IntArray, int]]
Best = list[tuple[Single, Single, Probe]]


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
