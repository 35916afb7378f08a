"""Which objects train, and batches of scenes drawn without a Python loop over scenes.

Every draw is a function of (seed, step) alone, so that a resumed run sees the same batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, islice, permutations, product
from math import comb

import numpy as np

from bindscope.concepts import ABSENT, ConceptSpace, IntArray
from bindscope.controlled.config import TrainConfig
from bindscope.errors import InputError
from bindscope.scenes import SceneTable
from bindscope.splits import ObjectSplit, split_objects
from bindscope.streams import stream

_BATCH, _QUERIES, _SCENES = range(3)
MAX_PARTNERS = 64


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
    order = stream(config.seed, "test objects").permutation(held_out)
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
        rng = stream(self.config.seed, "training", _BATCH, step)
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
        rng = stream(self.config.seed, "training", _QUERIES, step)
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
    ids: IntArray = np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64)
    return np.asarray(ids[ids != ABSENT], dtype=np.int64)


def scenes_of_pool(objects: Objects, pool: IntArray, m: int, most: int, seed: int) -> SceneTable:
    """Scenes of objects of a pool, candidates are all objects: every set of m objects, or a drawn sample of them.

    A sample holds whole bags: with each scene stand the scenes of the pool that exchange values within it. Otherwise
    most scenes would stand alone in their bag, and a table without partners cannot tell binding from a bag.
    """
    return _table(objects, _sampled_sets(objects, pool, m, most, seed))


def closed_table(objects: Objects, pool: IntArray, m: int, most: int, seed: int) -> SceneTable | None:
    """Closed scenes of a pool's objects: unshared, and every value-swapped object held out too; None where there are none."""
    scenes = _sampled_sets(objects, pool, m, 25 * most, seed + 1)
    closed = np.flatnonzero(objects.split.closed(_table(objects, scenes)))
    if not len(closed):
        return None
    table = _table(objects, scenes[closed])
    bags = table.bag_ids
    order = stream(seed, "training", _SCENES).permutation(int(bags.max()) + 1)
    kept = np.flatnonzero(np.cumsum(np.bincount(bags)[order]) <= most)
    return table.take(np.isin(bags, order[: max(len(kept), 1)]))


def _sampled_sets(objects: Objects, pool: IntArray, m: int, most: int, seed: int) -> IntArray:
    """Sets of m objects of a pool `[n, m]`, ids ascending, no set twice: all of them, or about `most` in whole bags."""
    rng = stream(seed, "training", _SCENES, m)
    if comb(len(pool), m) <= most:
        return np.array(list(combinations(pool.tolist(), m)), dtype=np.int64).reshape(-1, m)
    drawn = np.unique(np.sort(draw_scenes(pool, most, m, None, rng), axis=1), axis=0)
    drawn = drawn[rng.permutation(len(drawn))]
    whole = with_partners(objects.space, drawn, pool)
    owner = whole[1]
    bags = int(np.searchsorted(np.cumsum(np.bincount(owner, minlength=len(drawn))), most, side="right"))
    few = owner < max(bags, 1)
    return np.unique(whole[0][few], axis=0)


def with_partners(space: ConceptSpace, scenes: IntArray, pool: IntArray) -> tuple[IntArray, IntArray]:
    """Scenes `[n, m]` and all scenes of the pool with the same bag, ids ascending, and which scene each came from.

    Values of every concept but the first are permuted over the slots: (m!)^(C-1) scenes a bag, at most MAX_PARTNERS.
    """
    values = space.object_values(scenes)
    ways = product(*[list(permutations(range(scenes.shape[1])))] * (space.n_concepts - 1))
    found, owners = [], []
    for way in islice(ways, MAX_PARTNERS):
        mixed = values.copy()
        for k, order in enumerate(way, 1):
            mixed[:, :, k] = values[:, list(order), k]
        ids = np.sort(space.object_ids(mixed), axis=1)
        fits = np.isin(ids, pool).all(axis=1) & (ids[:, 1:] != ids[:, :-1]).all(axis=1)
        found.append(ids[fits])
        owners.append(np.flatnonzero(fits))
    return np.concatenate(found), np.concatenate(owners)


def _table(objects: Objects, scenes: IntArray) -> SceneTable:
    every = np.arange(objects.space.n_objects)
    return SceneTable.build(objects.space, objects.space.object_values(scenes), candidates=every)


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
