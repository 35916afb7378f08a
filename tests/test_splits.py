"""Splits: nothing on both sides, connected where it can be, every object held out, closed scenes by definition."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindscope.concepts import ABSENT
from bindscope.design import concept_design
from bindscope.errors import InputError, TableError
from bindscope.scenes import SceneTable
from bindscope.splits import (
    MIXED,
    TEST,
    TRAIN,
    ObjectSplit,
    additive_rank,
    object_folds,
    scene_folds,
    spanning_objects,
    split_objects,
    split_objects_in_order,
    split_scenes,
    validation_objects,
)
from planted import designs, incomplete, mixed_counts, random_scenes, scenes, space_of

quick = settings(deadline=None, max_examples=30, derandomize=True)
DESIGNS = designs()
small_tables = st.builds(
    lambda sizes, n, m, absent, seed: random_scenes(*sizes, n=n, m=m, absent=absent, seed=seed),
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.integers(2, 40),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.4]),
    st.integers(0, 10_000),
)
grids = st.builds(scenes, st.integers(2, 5), st.integers(2, 5), m=st.just(1))
cubes = st.builds(scenes, st.integers(2, 3), st.integers(2, 3), st.integers(2, 4), m=st.just(1))
seeds = st.integers(0, 1000)
coverages = st.floats(0.02, 0.98)


def indicator_rank(values: np.ndarray) -> int:
    """Rank of the additive design of objects `[O, C]`, by numpy."""
    columns = [values[:, k, None] == np.arange(values[:, k].max() + 1) for k in range(values.shape[1])]
    return int(np.linalg.matrix_rank(np.concatenate(columns, axis=1).astype(float)))


# --- scene splits


@given(small_tables, st.floats(0.05, 0.95), seeds)
@quick
def test_no_bag_and_no_scene_on_both_sides(table: SceneTable, share: float, seed: int) -> None:
    if len(np.unique(table.bag_ids)) < 2:
        with pytest.raises(TableError, match="rows are 1 bag; nothing can be held out"):
            split_scenes(table, share, "bag", seed)
        return
    train = split_scenes(table, share, "bag", seed)
    assert train.any()
    assert not train.all()
    for ids in (table.bag_ids, table.scene_ids, table.multiset_ids):
        assert not set(ids[train]) & set(ids[~train])
    n_bags = int(table.bag_ids.max()) + 1
    assert len(set(table.bag_ids[train])) == min(max(round(share * n_bags), 1), n_bags - 1)


def test_split_by_row_is_the_papers_and_separates_mirror_images() -> None:
    table = scenes(5, 5)
    train = split_scenes(table, 0.4, "row", 0)
    assert train.sum() == round(0.4 * len(table))
    assert set(table.bag_ids[train]) & set(table.bag_ids[~train])


@given(small_tables, st.integers(2, 5), seeds)
@quick
def test_folds_are_whole_bags_of_even_number(table: SceneTable, folds: int, seed: int) -> None:
    n_bags = int(table.bag_ids.max()) + 1
    if n_bags < folds:
        with pytest.raises(TableError, match=f"{n_bags} bags cannot be split into {folds} folds"):
            scene_folds(table, folds, "bag", seed)
        return
    place = scene_folds(table, folds, "bag", seed)
    bags = [set(table.bag_ids[place == fold]) for fold in range(folds)]
    assert sum(map(len, bags)) == len(set.union(*bags)) == n_bags
    assert max(map(len, bags)) - min(map(len, bags)) <= 1


def test_folds_by_row_are_even() -> None:
    table = scenes(3, 3)
    assert np.bincount(scene_folds(table, 5, "row")).tolist() == [15, 15, 14, 14, 14]


def test_scene_splits_are_determined_by_the_seed() -> None:
    table = scenes(4, 4)
    assert np.array_equal(split_scenes(table, seed=3), split_scenes(table, seed=3))
    assert not np.array_equal(split_scenes(table, seed=3), split_scenes(table, seed=4))
    assert np.array_equal(scene_folds(table, seed=3), scene_folds(table, seed=3))
    assert not np.array_equal(scene_folds(table, seed=3), scene_folds(table, seed=4))


def test_scene_splits_refuse() -> None:
    table = scenes(3, 3)
    for share in (0.0, 1.0, -0.1, float("nan")):
        with pytest.raises(InputError, match="training share must lie between 0 and 1"):
            split_scenes(table, share)
    with pytest.raises(InputError, match="split must be 'bag' or 'row', got 'scene'"):
        split_scenes(table, 0.4, "scene")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="split must be 'bag' or 'row', got 'scene'"):
        scene_folds(table, 5, "scene")  # type: ignore[arg-type]
    with pytest.raises(TableError, match="1 rows are 1 row; nothing can be held out"):
        split_scenes(table.take([0]), 0.4, "row")
    with pytest.raises(TableError, match="0 rows are 0 bag"):
        split_scenes(table.take([]))
    with pytest.raises(TableError, match="bags cannot be split into 1 folds"):
        scene_folds(table, 1)


# --- object splits


@given(st.one_of(grids, cubes), coverages, seeds)
@quick
def test_connected_splits_are_identified_wherever_there_are_enough_objects(
    table: SceneTable, coverage: float, seed: int
) -> None:
    split = split_objects(table, coverage, seed)
    count = min(max(round(coverage * table.n_objects), 1), table.n_objects - 1)
    full = sum(table.space.sizes) - table.space.n_concepts + 1
    assert split.train.sum() == count
    assert split.coverage == count / table.n_objects
    train = table.candidate_values[split.train]
    assert split.identified == (count >= full) == (indicator_rank(train) == full)
    if split.identified:
        assert split.unseen_share == 0.0
        for k, size in enumerate(table.space.sizes):
            assert set(train[:, k].tolist()) == set(range(size))


@given(small_tables.filter(lambda t: t.n_objects > 1), coverages, seeds, st.sampled_from(["connected", "random"]))
@quick
def test_what_a_split_says_of_itself_is_true(table: SceneTable, coverage: float, seed: int, method: str) -> None:
    split = split_objects(table, coverage, seed, method)  # type: ignore[arg-type]
    values = table.candidate_values
    train, held_out = values[split.train], values[~split.train]
    known = [set(train[:, k].tolist()) for k in range(values.shape[1])]
    unseen = [any(v not in known[k] for k, v in enumerate(o)) for o in held_out.tolist()]
    assert split.unseen_share == pytest.approx(np.mean(unseen))
    full = sum(len(set(values[:, k].tolist())) for k in range(values.shape[1])) - values.shape[1] + 1
    assert additive_rank(values) == full
    assert split.identified == (indicator_rank(train) == full)
    if method == "connected" and len(train) >= full:
        assert indicator_rank(train) == indicator_rank(values)  # as connected as the whole set


def test_the_rank_of_the_training_design_of_scenes_is_that_of_its_objects() -> None:
    table = scenes(5, 4)
    split = split_objects(table, 0.45, seed=2)
    inside = table.take(split.sides(table) == TRAIN)
    assert split.identified
    assert np.linalg.matrix_rank(concept_design(inside, by_slot=False).toarray()) == 5 + 4 - 1


def test_random_splits_leave_values_unseen_where_connected_ones_do_not() -> None:
    table = scenes(8, 8, m=1)
    drawn = [(split_objects(table, 0.25, s), split_objects(table, 0.25, s, "random")) for s in range(20)]
    assert all(connected.identified and connected.unseen_share == 0 for connected, _ in drawn)
    assert np.mean([random.unseen_share > 0 for _, random in drawn]) >= 0.6
    few = [split_objects(table, 0.1, s) for s in range(5)]
    assert not any(split.identified for split in few)
    assert all(split.train.sum() == 6 for split in few)


def test_random_splits_hold_out_all_objects_alike() -> None:
    table = scenes(4, 4, m=1)
    times = np.mean([split_objects(table, 0.5, s, "random").train for s in range(400)], axis=0)
    assert np.abs(times - 0.5).max() < 0.11
    times = np.mean([split_objects(table, 0.5, s).train for s in range(400)], axis=0)
    assert np.abs(times - 0.5).max() < 0.11


@given(small_tables, seeds)
@quick
def test_spanning_objects_are_the_first_independent_ones(table: SceneTable, seed: int) -> None:
    values = table.candidate_values
    order = np.random.default_rng(seed).permutation(len(values))
    greedy: list[int] = []
    for position in order:
        if indicator_rank(values[[*greedy, position]]) == len(greedy) + 1:
            greedy.append(int(position))
    assert spanning_objects(values, order, additive_rank(values)).tolist() == greedy
    assert spanning_objects(values, order, 1).tolist() == greedy[:1]


def test_spanning_objects_of_a_long_path() -> None:
    """A tree of 2 x 60 values that is one path: rounding must neither lose nor add an object."""
    edges = np.array([(i, j) for i in range(60) for j in (i, i + 1) if j < 60])
    values = np.concatenate([edges, [(0, 59), (30, 2)]])
    assert len(spanning_objects(values, np.arange(len(values)), 200)) == len(edges) == additive_rank(values)


@given(small_tables.filter(lambda t: t.n_objects > 1), coverages, seeds)
@quick
def test_sides_and_closed_scenes_by_definition(table: SceneTable, coverage: float, seed: int) -> None:
    split = split_objects(table, coverage, seed)
    sides, closed = split.sides(table), split.closed(table)
    known = {tuple(o): bool(t) for o, t in zip(table.candidate_values.tolist(), split.train, strict=True)}
    for row in range(len(table)):
        objects = [tuple(o) for o in table.values[row].tolist() if o[0] != ABSENT]
        trained = [known[o] for o in objects]
        assert sides[row] == (TRAIN if all(trained) else MIXED if any(trained) else TEST)
        n_concepts = table.space.n_concepts
        unshared = all(len({o[k] for o in objects}) == len(objects) for k in range(n_concepts))
        swaps = product(*({o[k] for o in objects} for k in range(n_concepts)))
        assert closed[row] == (unshared and not any(known.get(o, False) for o in swaps))


def test_closed_scenes_exist_and_are_test_scenes() -> None:
    table = scenes(5, 5)
    split = split_objects(table, 0.4, seed=1)
    closed = split.closed(table)
    assert 0 < closed.sum() < (split.sides(table) == TEST).sum()
    assert (split.sides(table)[closed] == TEST).all()
    assert table.unshared[closed].all()


def test_a_missing_partner_does_not_open_a_scene() -> None:
    space = space_of(2, 2)
    table = SceneTable.build(space, [[[0, 0], [1, 1]], [[0, 0], [0, 1]]])  # (1, 0) is not in the data set
    open_ = ObjectSplit(np.array([False, True, False]), 1 / 3, False, 0.0)
    shut = ObjectSplit(np.array([False, False, False]), 0.0, False, 1.0)
    assert open_.closed(table).tolist() == [False, False]
    assert shut.closed(table).tolist() == [True, False]


@given(st.one_of(grids, cubes), st.floats(0.1, 0.97), seeds)
@quick
def test_folds_hold_every_object_out(table: SceneTable, coverage: float, seed: int) -> None:
    """On a full grid every object can be spared."""
    folds = object_folds(table, coverage, seed)
    assert np.any([~f.train for f in folds], axis=0).all()
    assert len({tuple(f.train) for f in folds}) == len(folds)
    held_out = int((~folds[0].train).sum())
    assert len(folds) >= -(-table.n_objects // held_out)
    count = int(folds[0].train.sum())
    full = sum(table.space.sizes) - table.space.n_concepts + 1
    assert all(f.identified == (count >= full) for f in folds)


def test_folds_are_no_more_than_needed_where_nothing_is_in_the_way() -> None:
    assert [len(object_folds(scenes(10, 10, m=1), c)) for c in (0.5, 0.8, 0.9)] == [2, 5, 10]
    folds = object_folds(scenes(11, 5, m=1), 0.9)  # 55 objects, 5 or 6 held out at a time
    assert np.any([~f.train for f in folds], axis=0).all()


def test_folds_keep_an_object_that_is_the_only_one_with_its_value() -> None:
    space = space_of(3, 3)
    values = [[[0, 0]], [[0, 1]], [[0, 2]], [[1, 0]], [[1, 1]], [[1, 2]], [[2, 0]]]
    table = SceneTable.build(space, values)
    folds = object_folds(table, 0.8)
    never = ~np.any([~f.train for f in folds], axis=0)
    assert np.flatnonzero(never).tolist() == [6]
    assert all(f.identified for f in folds)


@given(st.one_of(grids, cubes), st.floats(0.1, 0.95), seeds)
@quick
def test_validation_objects_keep_the_rest_connected(table: SceneTable, coverage: float, seed: int) -> None:
    split = split_objects(table, coverage, seed)
    n_train = int(split.train.sum())
    if n_train < 2:
        with pytest.raises(TableError, match="one training object only"):
            validation_objects(table, split, seed=seed)
        return
    mask = validation_objects(table, split, seed=seed)
    assert not (mask & ~split.train).any()
    assert 1 <= mask.sum() < n_train
    before = indicator_rank(table.candidate_values[split.train])
    after = indicator_rank(table.candidate_values[split.train & ~mask])
    if n_train > before:  # there is an object to spare
        assert after == before
        assert mask.sum() == min(max(round(0.1 * n_train), 1), n_train - before)
    assert np.array_equal(mask, validation_objects(table, split, seed=seed))


def test_object_splits_are_determined_by_the_seed() -> None:
    table = incomplete(scenes(6, 5), 0.8)
    for method in ("connected", "random"):
        one, two, three = (split_objects(table, 0.6, s, method).train for s in (1, 1, 2))  # type: ignore[arg-type]
        assert np.array_equal(one, two)
        assert not np.array_equal(one, three)
    first, second = object_folds(table, 0.6, 1), object_folds(table, 0.6, 1)
    assert all(np.array_equal(a.train, b.train) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", [n for n, t in DESIGNS.items() if t.n_objects > 1])
def test_every_design_can_be_split(name: str) -> None:
    table = DESIGNS[name]
    for coverage in (0.05, 0.5, 0.95):
        split = split_objects(table, coverage)
        assert 0 < split.train.sum() < table.n_objects
        assert split.sides(table).shape == split.closed(table).shape == (len(table),)
    assert object_folds(table, 0.5)
    assert split_scenes(table).any()


def test_one_concept_needs_all_its_values() -> None:
    """With C = 1 every object is a value of its own: a held-out one is always unseen."""
    split = split_objects(scenes(6), 0.5)
    assert not split.identified
    assert split.unseen_share == 1.0


def test_sides_with_absent_objects() -> None:
    table = mixed_counts(3, 2)
    split = split_objects(table, 0.5)
    alone = table.rows_with(1)
    assert set(split.sides(table)[alone].tolist()) == {TRAIN, TEST}


def test_object_splits_refuse() -> None:
    table = scenes(3, 3)
    order = np.arange(9)
    for coverage in (0.0, 1.0, 1.5, float("nan")):
        for call in (
            lambda c: split_objects(table, c),
            lambda c: object_folds(table, c),
            lambda c: split_objects_in_order(table, c, order),
        ):
            with pytest.raises(InputError, match="coverage must lie between 0 and 1"):
                call(coverage)
    with pytest.raises(InputError, match="method must be 'connected' or 'random', got 'paper'"):
        split_objects(table, 0.5, method="paper")  # type: ignore[arg-type]
    lonely = SceneTable.build(space_of(2, 2), [[[1, 1]], [[1, 1]]])
    for call in (lambda t: split_objects(t, 0.5), lambda t: object_folds(t, 0.5)):
        with pytest.raises(TableError, match="one object only; nothing can be held out"):
            call(lonely)
    split = split_objects(table, 0.6)
    for share in (0.0, 1.0, -1.0):
        with pytest.raises(InputError, match="share of validation objects must lie between 0 and 1"):
            validation_objects(table, split, share)
    with pytest.raises(TableError, match="one training object only; none can be kept for validation"):
        validation_objects(table, split_objects(table, 0.05))
