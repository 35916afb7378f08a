"""Figures of the ladder: what more powerful read-outs find, and what stays when the objects, or the slot, are new.

On held-out bags: `linear` (a softmax over objects), `bilinear` (the same on products of the leading principal components) and
`network` (one hidden layer). On closed scenes of objects that no read-out saw: `by_slot`, linear read-outs of each concept in
each slot; in a code by position they tell who stands where, in a sum over objects they know nothing of slots.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.analyses.context import Context
from bindscope.analyses.networks import fit_network
from bindscope.binding import Binding, binding_linear, binding_outcomes
from bindscope.design import row_mean
from bindscope.probes import fit_probe, training_rows
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.splits import TRAIN, ObjectSplit, split_objects
from bindscope.uncertainty import Outcome, random_cycle

NEGLIGIBLE_AXIS = 1e-4  # of the largest
AXES = 24  # principal components whose products are read
COVERAGE = 0.5  # of the objects that train the read-outs by slot
SPLITS = 3
TIE = 1e-4  # nats: closer scores come from the solver, not from the vectors
LEAST_ROWS = 20  # training scenes of a split
PENALTIES = (1e-2,)


def measure(context: Context) -> list[Outcome]:
    """Every rung with its control, read-outs by slot on unseen objects, and what one slot's read-out finds in the other."""
    return [*ladder(context), *by_slot(context), *across_slots(context)]


def ladder(context: Context) -> list[Outcome]:
    """Linear, bilinear and network read-outs on held-out bags, and the network trained on shuffled scenes."""
    table = context.table
    probe = context.probes.objects
    out = _rung(context, binding_linear(context.vectors, probe.weights, probe.bias, table), "linear")
    context.say("read-outs: bilinear")
    features = _products(context.vectors, ~context.held_out)
    inner = training_rows(~context.held_out, context.seed)
    probe = fit_probe(features[inner], table.object_codes[inner], table.n_objects, penalties=PENALTIES)
    out += _rung(context, binding_linear(features, probe.weights, probe.bias, table), "bilinear")
    context.say("read-outs: network")
    out += _rung(context, _by_network(context, table), "network")
    shuffled = table.take(random_cycle(len(table), context.stream("shuffled scenes")))
    return [*out, *_rung(context, _by_network(context, shuffled), "network", {"control": "shuffled scenes"})]


def _by_network(context: Context, labels: SceneTable) -> Binding:
    head = fit_network(context.vectors, labels, ~context.held_out, context.seed).heads[-1]
    return binding_linear(head.features(context.vectors), head.probe.weights, head.probe.bias, context.table)


def _rung(context: Context, found: Binding, name: str, extra: dict[str, str] | None = None) -> list[Outcome]:
    words: dict[str, Any] = {"estimator": name, "target": "ambiguous", "split": "held_out", "extra": extra or {}}
    return binding_outcomes(found, context.table, context.held_out, **words)


def _products(vectors: NDArray[np.floating], train: BoolArray) -> FloatArray:
    """Leading principal components of the training rows and all their products, of unit RMS, `[n, q + q (q + 1) / 2]`."""
    centred = np.asarray(vectors, dtype=np.float64) - row_mean(vectors[train])
    _, sizes, axes = np.linalg.svd(centred[train], full_matrices=False)
    kept = sizes[:AXES] > NEGLIGIBLE_AXIS * sizes[0]  # the others hold rounding, which tells rows of one bag apart
    scores = centred @ axes[:AXES][kept].T
    left, right = np.triu_indices(scores.shape[1])
    features = np.concatenate([scores, scores[:, left] * scores[:, right]], axis=1)
    spread = np.sqrt((features[train] ** 2).mean(axis=0))
    return np.asarray(features / np.where(spread > 0, spread, 1.0))


def by_slot(context: Context) -> list[Outcome]:
    """Read-outs of each concept in each slot, trained on scenes of some objects, on closed scenes of the others."""
    table = context.table
    if table.headline_count != 2 or table.space.n_concepts < 2 or table.n_objects < 4:
        return []
    rows, right = np.zeros(len(table), dtype=bool), np.zeros(len(table))
    for number in range(SPLITS):
        split = split_objects(table, COVERAGE, context.seed + number)
        fresh = split.closed(table) & ~rows
        if fresh.any() and (split.sides(table) == TRAIN).sum() >= LEAST_ROWS:
            right[fresh] = _told_apart(context, split, fresh)
            rows |= fresh
    words: dict[str, Any] = {"estimator": "by_slot", "target": "closed", "split": "test", "within_bags": True}
    chance = 0.5 ** (table.space.n_concepts - 1)
    return [Outcome.mean("binding_preference", right, rows, chance=chance, **words)] if rows.any() else []


def _told_apart(context: Context, split: ObjectSplit, rows: BoolArray) -> FloatArray:
    """1 where every concept's values are given to the slots that show them (or to the other slots, all together), `[q]`.

    A concept that is equal both ways counts as chance: nothing tells the slots apart.
    """
    table, train = context.table, split.sides(context.table) == TRAIN
    gaps = []
    for k in range(table.space.n_concepts):
        members, count = table.members(k)
        own, swapped = np.zeros(int(rows.sum())), np.zeros(int(rows.sum()))
        for slot in (0, 1):
            codes = members[:, [slot]]
            probe = fit_probe(context.vectors[train], codes[train], count, penalties=PENALTIES)
            scores = probe.scores(context.vectors[rows])
            own += np.take_along_axis(scores, codes[rows], axis=1)[:, 0]
            swapped += np.take_along_axis(scores, members[rows][:, [1 - slot]], axis=1)[:, 0]
        gaps.append(own - swapped)
    ahead = np.stack(gaps)
    together = (ahead > 0).all(axis=0) | (ahead < 0).all(axis=0)
    tied = (np.abs(ahead) <= TIE).any(axis=0)
    return np.where(tied, 0.5 ** (len(gaps) - 1), together.astype(np.float64))


def across_slots(context: Context) -> list[Outcome]:
    """Objects of the second slot by a linear read-out that was trained on those of the first, on other bags.

    1 where objects look alike wherever they stand, chance where the vector codes by position.
    """
    table = context.table
    if table.headline_count < 2 or table.n_objects < 3:
        return []
    rows = training_rows(~context.held_out, context.seed)
    first, second = table.object_codes[:, 0], table.object_codes[:, 1]
    probe = fit_probe(context.vectors[rows], first[rows][:, None], table.n_objects, penalties=PENALTIES)
    scores = probe.scores(context.vectors)
    every = np.arange(len(table))
    scores[every, first] = -np.inf
    own = scores[every, second]
    scores[every, second] = -np.inf
    words: dict[str, Any] = {"estimator": "linear", "target": "held_out", "split": "held_out"}
    judged = context.held_out & (first != second)
    return [Outcome.mean("across_slots", own > scores.max(axis=1), judged, chance=1.0 / (table.n_objects - 1), **words)]
