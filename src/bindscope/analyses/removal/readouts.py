"""Read-outs trained anew on what a removal has left: linear ones, and a small network that finds what those miss.

Success of a removal is no gain in held-out cross-entropy over a constant predictor, in nats a scene; recognition stands
beside it. The penalty is therefore chosen by cross-entropy, from a range that reaches up to the constant predictor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bindscope.analyses.networks import fit_network
from bindscope.concepts import ABSENT, IntArray
from bindscope.design import NEGLIGIBLE, row_mean
from bindscope.probes import PENALTIES, Probe, ProbeSet, constant_cross_entropy, fit_probes
from bindscope.recognition import recognise
from bindscope.scenes import BoolArray, FloatArray, SceneTable

REMOVAL_PENALTIES = (1e5, 1e3, 1e2, 1e1, 1e0, *PENALTIES)  # the largest is the constant predictor, with few rows too


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
    found = fit_network(residual, table, train, seed)
    heads = [(head.probe, head.features(residual[test])) for head in found.heads]
    return _judged(heads, table, found.used, test, None)


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
