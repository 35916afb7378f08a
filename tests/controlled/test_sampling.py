"""Which objects train, what a batch holds, what the test tables hold."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from bindscope.concepts import ABSENT, ConceptSpace
from bindscope.controlled.config import TrainConfig, preset
from bindscope.controlled.sampling import (
    Sampler,
    closed_table,
    draw_scenes,
    scenes_of_pool,
    split_run,
    swapped_objects,
    with_partners,
)
from bindscope.errors import InputError


def small(**changes: object) -> TrainConfig:
    return preset("tiny", **{"values": 6, "batch": 64, **changes})


@pytest.mark.parametrize("coverage", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("concepts", [2, 3])
def test_objects_have_one_role_each(coverage: float, concepts: int) -> None:
    config = small(coverage=coverage, concepts=concepts)
    found = split_run(config)
    everything = np.concatenate([found.train, found.validation, found.test])
    assert sorted(everything.tolist()) == list(range(config.n_objects))
    assert len(found.train) == round(coverage * config.n_objects)
    assert len(found.validation) == min(round(0.1 * len(found.train)), (config.n_objects - len(found.train)) // 2)


@pytest.mark.parametrize(
    "changes", [{}, {"objects": 3}, {"objects": 4, "objects_min": 1}, {"concepts": 3, "values": 4}]
)
def test_batches_hold_training_objects_only_and_no_object_twice(changes: dict[str, object]) -> None:
    config = small(coverage=0.5, **changes)
    objects = split_run(config)
    sampler = Sampler(config, objects)
    counts = set()
    for step in range(20):
        batch = sampler.batch(step)
        shown = batch.scenes[batch.scenes != ABSENT]
        assert np.isin(shown, objects.train).all()
        assert np.isin(batch.asked, objects.train).all()
        assert np.isin(shown, batch.asked).all()
        for row in batch.scenes:
            there = row[row != ABSENT]
            counts.add(len(there))
            assert len(set(there.tolist())) == len(there)
    low = config.objects if config.objects_min is None else config.objects_min
    assert counts == set(range(low, config.objects + 1))


def test_a_step_draws_the_same_batch_whenever_it_comes() -> None:
    config = small(sampled_queries=12)
    sampler = Sampler(config, split_run(config))
    first, again, other = sampler.batch(7), sampler.batch(7), sampler.batch(8)
    assert np.array_equal(first.scenes, again.scenes)
    assert np.array_equal(first.asked, again.asked)
    assert not np.array_equal(first.scenes, other.scenes)


def test_held_out_objects_are_asked_only_where_that_is_chosen() -> None:
    config = small(queries="all", coverage=0.5)
    assert set(Sampler(config, split_run(config)).batch(0).asked.tolist()) == set(range(36))


def test_sampled_queries_hold_the_scenes_own_objects_and_hard_negatives_first() -> None:
    config = small(values=12, coverage=0.9, batch=4, sampled_queries=16)
    objects = split_run(config)
    sampler = Sampler(config, objects)
    batch = sampler.batch(3)
    hard = set(sampler.hard_negatives(batch.scenes).tolist())
    assert len(batch.asked) == 16
    assert hard <= set(batch.asked.tolist())
    without = Sampler(small(values=12, coverage=0.9, batch=4, sampled_queries=16, hard_negatives=False), objects)
    assert np.array_equal(without.batch(3).scenes, batch.scenes)
    assert not hard <= set(without.batch(3).asked.tolist())


def test_swapped_objects_by_hand() -> None:
    space = ConceptSpace.of([("a", "xy"), ("b", "uvw")])
    scene = np.array([[space.object_ids([0, 0]), space.object_ids([1, 2])]])
    assert [space.object_name(i) for i in swapped_objects(space, scene)] == ["x w", "y u"]
    assert len(swapped_objects(space, np.array([[3, ABSENT]]))) == 0


@pytest.mark.parametrize(("m", "sizes"), [(2, (4, 4)), (2, (3, 3, 3)), (3, (4, 3)), (1, (5, 5))])
def test_partners_are_all_scenes_of_the_same_bag(m: int, sizes: tuple[int, ...]) -> None:
    space = ConceptSpace.of([(f"c{k}", [str(v) for v in range(n)]) for k, n in enumerate(sizes)])
    rng = np.random.default_rng(0)
    pool = np.sort(rng.permutation(space.n_objects)[: space.n_objects * 2 // 3])
    scene = np.sort(draw_scenes(pool, 1, m, None, rng), axis=1)
    found, owner = with_partners(space, scene, pool)
    values = space.object_values(scene)[0]
    wanted = set()
    for orders in _all_orders(m, len(sizes) - 1):
        mixed = values.copy()
        for k, order in enumerate(orders, 1):
            mixed[:, k] = values[list(order), k]
        ids = sorted(space.object_ids(mixed).tolist())
        if len(set(ids)) == m and set(ids) <= set(pool.tolist()):
            wanted.add(tuple(ids))
    assert {tuple(row) for row in found.tolist()} == wanted
    assert set(owner.tolist()) == {0}


def _all_orders(m: int, times: int) -> list[tuple[tuple[int, ...], ...]]:
    from itertools import product

    return list(product(permutations(range(m)), repeat=times))


@pytest.mark.parametrize("changes", [{"values": 12, "coverage": 0.3}, {"concepts": 3, "values": 5, "coverage": 0.4}])
def test_tables_hold_test_objects_only_and_closed_ones_are_closed(changes: dict[str, object]) -> None:
    config = small(**changes)
    objects = split_run(config)
    pooled = scenes_of_pool(objects, objects.test, 2, 300, 0)
    assert np.isin(pooled.object_ids, objects.test).all()
    assert len(pooled) <= 310
    assert len(np.unique(pooled.scene_ids)) == len(pooled)
    closed = closed_table(objects, objects.test, 2, 200, 0)
    assert closed is not None
    assert objects.split.closed(closed).all()
    assert closed.unshared.all()
    assert len(closed) <= 200
    assert np.array_equal(closed.candidates, np.arange(config.n_objects))


def test_too_few_objects_are_named() -> None:
    with pytest.raises(InputError, match="need 3 objects, and there are 2"):
        draw_scenes(np.arange(2), 4, 3, None, np.random.default_rng(0))
    with pytest.raises(InputError, match="held-out objects"):
        split_run(preset("tiny", values=2, coverage=0.9))


@pytest.mark.parametrize("concepts", [2, 3])
def test_a_sample_smaller_than_a_bag_holds_one_whole_bag(concepts: int) -> None:
    objects = split_run(preset("tiny", concepts=concepts, values=8, coverage=0.5))
    for pool in (objects.train, objects.test):
        table = scenes_of_pool(objects, pool, 2, 2, 0)
        assert 1 <= len(table) <= 2 ** (concepts - 1)
        assert len(np.unique(table.bag_ids)) == 1
