"""How near predicted vectors come to the real ones, scene by scene: squared errors, and what probes read from them.

The probes are trained on real embeddings, in two halves of the bags; each scene is read by the probes of the half that
it does not belong to. So no scene is read by probes that it trained, yet every scene, and every object, can be read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bindscope.concepts import IntArray
from bindscope.design import row_mean, squared_errors
from bindscope.learners.base import Vectors
from bindscope.learners.interaction import within_objects
from bindscope.probes import ProbeSet, fit_probes
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.splits import MIXED, TEST, TRAIN, ObjectSplit, scene_folds
from bindscope.streams import stream

HALVES = 2
TRAIN_ROWS, TEST_ROWS, OTHER_ROWS = 20_000, 20_000, 4_000  # most scenes that train, and that are scored


@dataclass(frozen=True, eq=False)
class CrossProbes:
    """One set of probes for each half of the bags, trained on the other half. fold `[n]`: the half of each row."""

    sets: tuple[ProbeSet, ...]
    fold: IntArray

    def read(self, vectors: Vectors, table: SceneTable, rows: IntArray) -> tuple[BoolArray, BoolArray]:
        """Recognition in vectors `[q, d]` of the scenes `rows` `[q]` of the table: concepts `[q, C]`, objects `[q]`."""
        concepts = np.zeros((len(rows), table.space.n_concepts), dtype=bool)
        objects = np.zeros(len(rows), dtype=bool)
        for fold, probes in enumerate(self.sets):
            here = np.flatnonzero(self.fold[rows] == fold)
            if len(here):
                theirs = table.take(rows[here])
                outcomes = probes.concept_outcomes(vectors[here], theirs)
                concepts[here] = np.stack([one.right for one in outcomes], axis=1)
                objects[here] = probes.object_outcome(vectors[here], theirs).right
        return concepts, objects


def cross_probes(vectors: Vectors, table: SceneTable, seed: int) -> CrossProbes:
    """Probes for both halves of the bags, with the penalties that the first half chose inside its training rows.

    Raises TableError where there is one bag only. Two fits of `fit_probes`.
    """
    fold = scene_folds(table, HALVES, "bag", seed)
    sets: list[ProbeSet] = []
    for half in range(HALVES):
        sets.append(fit_probes(vectors, table, fold != half, seed, like=sets[0] if sets else None))
    return CrossProbes(tuple(sets), fold)


@dataclass(frozen=True, eq=False)
class Judged:
    """Outcomes on some rows: squared error and squared distance from the mean of these rows `[q]`, squared error within
    objects `[q]` (see `learners.interaction`), concepts `[q, C]` and objects `[q]` recognised."""

    rows: IntArray
    error: FloatArray
    total: FloatArray
    within: FloatArray
    concepts: BoolArray
    objects: BoolArray

    @property
    def r2(self) -> float:
        """R^2 on these rows, about their own mean; NaN where they do not vary."""
        below = float(self.total.sum())
        return 1.0 - float(self.error.sum()) / below if below > 0 else float("nan")


def judge(predicted: Vectors, vectors: Vectors, table: SceneTable, rows: IntArray, probes: CrossProbes) -> Judged:
    """Hold predictions `[q, d]` against the real vectors `[n, d]` of the table on `rows` `[q]`."""
    real = vectors[rows]
    mean = row_mean(real) if len(rows) else np.zeros(vectors.shape[1])
    total = squared_errors(real, np.broadcast_to(mean, real.shape))
    concepts, objects = probes.read(predicted, table, rows)
    within = within_objects(table.take(rows), np.asarray(real, dtype=np.float64) - predicted)
    return Judged(rows, squared_errors(real, predicted), total, within, concepts, objects)


def cell_rows(table: SceneTable, split: ObjectSplit, seed: int, number: int) -> tuple[IntArray, dict[str, IntArray]]:
    """Rows of the scenes that train on the split of a number, and of those that are judged on each side; drawn by seed where
    there are many."""
    sides, rng = split.sides(table), stream(seed, "grid scenes", number)

    def some(side: int, most: int) -> IntArray:
        rows = np.flatnonzero(sides == side)
        return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))

    train = some(TRAIN, TRAIN_ROWS)
    limits = {"train": (TRAIN, OTHER_ROWS), "test": (TEST, TEST_ROWS), "mixed": (MIXED, OTHER_ROWS)}
    return train, {name: some(side, most) for name, (side, most) in limits.items()}
