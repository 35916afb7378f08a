"""Which objects train, and batches of scenes drawn without a Python loop over scenes.

Every draw is a function of (seed, step) alone, so that a resumed run sees the same batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bindscope.concepts import ABSENT, ConceptSpace, IntArray
from bindscope.controlled.config import TrainConfig
from bindscope.errors import InputError
from bindscope.scenes import BoolArray, SceneTable
from bindscope.splits import ObjectSplit, split_objects

_BATCH, _QUERIES, _SCENES = range(3)


@dataclass(frozen=True, eq=False)
class Objects:
    """Objects of a run by role, as sorted object ids. split: training objects against all others."""

    space: ConceptSpace
    train: IntArray
    validation: IntArray
    test: IntArray
    split: ObjectSplit


def split_run(config: TrainConfig) -> Objects:
    """Training objects at the coverage; of the others, `validation` x training objects decide when to stop.

    Validation objects are never trained on and choose nothing but the moment; at most half of the held-out objects are
    taken, so that test objects are left.
    """
    table = every_object(config.space)
    split = split_objects(table, config.coverage, config.seed, config.split)
    held_out = np.flatnonzero(~split.train)
    if len(held_out) < 2:
        raise InputError(f"coverage {config.coverage} leaves {len(held_out)} held-out objects; take a lower coverage")
    wanted = round(config.validation * int(split.train.sum()))
    count = min(wanted, len(held_out) // 2)
    order = np.random.default_rng([config.seed, 29]).permutation(held_out)
    return Objects(config.space, np.flatnonzero(split.train), np.sort(order[:count]), np.sort(order[count:]), split)


def every_object(space: ConceptSpace) -> SceneTable:
    """One scene an object."""
    return SceneTable.build(space, space.object_values(np.arange(space.n_objects))[:, None, :])


@dataclass(frozen=True, eq=False)
class Batch:
    """Scenes `[B, m]` of object ids (-1 absent), and the objects that are asked, `[Q]`."""

    scenes: IntArray
    asked: IntArray


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draws batches of scenes of different training objects, and the queries to compare them with."""

    config: TrainConfig
    objects: Objects

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        rng = np.random.default_rng([self.config.seed, 37, _BATCH, step])
        scenes = draw_scenes(self.objects.train, self.config.batch, self.config.objects, self.config.objects_min, rng)
        return Batch(scenes, self.asked(scenes, step))

    def pool(self) -> IntArray:
        """Objects that may be asked: the training objects, or all (the paper's code)."""
        return np.arange(self.config.n_objects) if self.config.queries == "all" else self.objects.train

    def asked(self, scenes: IntArray, step: int) -> IntArray:
        """All of the pool, or with `sampled_queries` the scenes' own objects, hard negatives, and a random rest."""
        pool, count = self.pool(), self.config.sampled_queries
        if count is None or count >= len(pool):
            return pool
        own = np.unique(scenes[scenes != ABSENT])
        hard = self.hard_negatives(scenes) if self.config.hard_negatives else np.zeros(0, dtype=np.int64)
        rng = np.random.default_rng([self.config.seed, 37, _QUERIES, step])
        rest = rng.choice(pool, min(count, len(pool)), replace=False)
        ordered = np.concatenate([own, rng.permutation(hard), rest])
        _, first = np.unique(ordered, return_index=True)
        return np.sort(ordered[np.sort(first)][: max(count, len(own))])

    def hard_negatives(self, scenes: IntArray) -> IntArray:
        """Objects of the pool that exchange values within a scene: what a bag of concepts cannot tell apart."""
        swapped = swapped_objects(self.objects.space, scenes)
        return np.intersect1d(swapped, self.pool())


def draw_scenes(pool: IntArray, count: int, m: int, m_min: int | None, rng: np.random.Generator) -> IntArray:
    """Scenes `[count, m]` of different objects of a pool; with `m_min` a drawn number of them, -1 pads.

    Raises InputError where the pool has fewer than m objects.
    """
    if len(pool) < m:
        raise InputError(f"scenes of {m} different objects need {m} objects, and there are {len(pool)}")
    places = _different(len(pool), count, m, rng)
    scenes = pool[places]
    if m_min is not None and m_min < m:
        shown = rng.integers(m_min, m + 1, size=count)
        scenes = np.where(np.arange(m) < shown[:, None], scenes, ABSENT)
    return np.asarray(scenes, dtype=np.int64)


def swapped_objects(space: ConceptSpace, scenes: IntArray) -> IntArray:
    """Ids of all objects that mix the values of two objects of one scene, distinct and sorted."""
    values = space.object_values(scenes)
    found = []
    for i in range(scenes.shape[1]):
        for j in range(scenes.shape[1]):
            for k in range(space.n_concepts if i != j else 0):
                mixed = values[:, i].copy()
                mixed[:, k] = values[:, j, k]
                found.append(space.object_ids(mixed))
    ids = np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64)
    return ids[ids != ABSENT]


def test_table(objects: Objects, pool: IntArray, m: int, most: int, seed: int) -> SceneTable:
    """Scenes of objects of a pool, candidates are all objects: every set of m objects, or a drawn sample of them."""
    rng = np.random.default_rng([seed, 37, _SCENES, m])
    count = _combinations(len(pool), m)
    if count <= most:
        scenes = _all_sets(pool, m)
    else:
        scenes = np.sort(draw_scenes(pool, 2 * most, m, None, rng), axis=1)
        scenes = np.unique(scenes, axis=0)
        scenes = scenes[np.sort(rng.permutation(len(scenes))[:most])]
    return SceneTable.build(
        objects.space, objects.space.object_values(scenes), candidates=np.arange(objects.space.n_objects)
    )


def closed_table(objects: Objects, pool: IntArray, m: int, most: int, seed: int) -> SceneTable | None:
    """Closed scenes of a pool's objects: unshared, and every value-swapped object held out too; None where there are none."""
    table = test_table(objects, pool, m, 50 * most, seed + 1)
    closed = np.flatnonzero(objects.split.closed(table))
    return table.take(closed[:most]) if len(closed) else None


def _different(n: int, count: int, m: int, rng: np.random.Generator) -> IntArray:
    """m different numbers of 0..n-1 in each row, `[count, m]`; rows with a repeat are drawn again."""
    places = rng.integers(n, size=(count, m))
    while True:
        ordered = np.sort(places, axis=1)
        again = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
        if not len(again):
            return places
        if m > 1 and m * m > n:  # repeats are the rule: draw without replacement instead
            places[again] = rng.permuted(np.tile(np.arange(n), (len(again), 1)), axis=1)[:, :m]
            return places
        places[again] = rng.integers(n, size=(len(again), m))


def _combinations(n: int, m: int) -> int:
    from math import comb

    return comb(n, m)


def _all_sets(pool: IntArray, m: int) -> IntArray:
    from itertools import combinations

    return np.array(list(combinations(pool.tolist(), m)), dtype=np.int64).reshape(-1, m)


def side_mask(objects: Objects, table: SceneTable) -> BoolArray:
    """Rows whose objects all were trained on."""
    return np.asarray(np.isin(table.object_ids, objects.train) | ~table.present).all(axis=1)
