"""Scene tables against slow definitions in plain Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bindscope.concepts import ABSENT
from bindscope.errors import TableError
from bindscope.scenes import SceneTable, concatenate, row_ids
from planted import designs, mixed_counts, random_scenes, scenes, space_of

quick = settings(deadline=None, max_examples=40, derandomize=True)
DESIGNS = designs()
small_tables = st.builds(
    lambda sizes, n, m, absent, seed: random_scenes(*sizes, n=n, m=m, absent=absent, seed=seed),
    st.lists(st.integers(1, 3), min_size=1, max_size=3),
    st.integers(1, 25),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.4]),
    st.integers(0, 10_000),
)

Object = tuple[int, ...]


def objects_of(table: SceneTable, row: int) -> list[Object]:
    """The objects of a scene in slot order, absent ones left out."""
    return [tuple(o) for o, shown in zip(table.values[row].tolist(), table.present[row], strict=True) if shown]


def scene_of(table: SceneTable, row: int) -> Hashable:
    return tuple(map(tuple, table.values[row].tolist()))


def multiset_of(table: SceneTable, row: int) -> Hashable:
    return tuple(sorted(objects_of(table, row)))


def set_of(table: SceneTable, row: int) -> Hashable:
    return frozenset(objects_of(table, row))


def bag_of(table: SceneTable, row: int) -> Hashable:
    return tuple(tuple(sorted(o[k] for o in objects_of(table, row))) for k in range(table.space.n_concepts))


def same_partition(ids: np.ndarray, keys: list[Hashable]) -> bool:
    """Equal number exactly where equal key, and numbers without gaps."""
    pairs = set(zip(ids.tolist(), keys, strict=True))
    return len(pairs) == len(set(keys)) == len(set(ids.tolist())) == int(ids.max()) + 1


@pytest.mark.parametrize(
    ("name", "key"),
    [("scene_ids", scene_of), ("multiset_ids", multiset_of), ("set_ids", set_of), ("bag_ids", bag_of)],
)
@given(table=small_tables)
@quick
def test_ids_tell_apart_what_their_definition_tells_apart(
    name: str, key: Callable[[SceneTable, int], Hashable], table: SceneTable
) -> None:
    assert same_partition(getattr(table, name), [key(table, row) for row in range(len(table))])


@given(small_tables)
@quick
def test_properties_by_definition(table: SceneTable) -> None:
    shown = [objects_of(table, row) for row in range(len(table))]
    assert table.counts.tolist() == [len(objects) for objects in shown]
    candidates = sorted({tuple(o) for objects in shown for o in objects})
    assert list(map(tuple, table.candidate_values.tolist())) == candidates
    assert table.n_objects == len(candidates)
    for row, objects in enumerate(shown):
        assert [candidates[c] for c in table.object_codes[row] if c != ABSENT] == objects
        assert (table.object_codes[row] == ABSENT).tolist() == (~table.present[row]).tolist()
        twice = any(n > 1 for k in range(table.space.n_concepts) for n in Counter(o[k] for o in objects).values())
        assert table.unshared[row] == (not twice)


@given(small_tables)
@quick
def test_members_of_concepts_and_objects(table: SceneTable) -> None:
    for k in range(table.space.n_concepts):
        codes, number = table.members(k)
        known = table.known_values(k)
        assert number == len(known) == len({int(v) for v in table.candidate_values[:, k]})
        assert np.array_equal(np.where(codes == ABSENT, ABSENT, known[codes]), table.values[:, :, k])
    codes, number = table.members()
    assert number == table.n_objects
    assert np.array_equal(codes, table.object_codes)


@given(small_tables)
@quick
def test_bag_objects_by_definition(table: SceneTable) -> None:
    listed = table.bag_objects()
    assert listed.shape == (len(table), table.n_slots**table.space.n_concepts)
    for row in range(len(table)):
        objects = objects_of(table, row)
        swapped = set(product(*({o[k] for o in objects} for k in range(table.space.n_concepts))))
        found = {tuple(o) for o in table.space.object_values(listed[row]).tolist()} - {
            (ABSENT,) * table.space.n_concepts
        }
        assert found == swapped


@given(small_tables, st.integers(0, 100))
@quick
def test_take_keeps_candidates_and_commutes_with_everything(table: SceneTable, seed: int) -> None:
    rows = np.random.default_rng(seed).permutation(len(table))[: max(1, len(table) // 2)]
    part = table.take(rows)
    assert len(part) == len(rows)
    assert np.array_equal(part.candidates, table.candidates)
    for name in ("object_ids", "object_codes", "counts", "unshared", "present", "replicate"):
        assert np.array_equal(getattr(part, name), getattr(table, name)[rows])
    assert same_partition(part.bag_ids, [bag_of(table, int(r)) for r in rows])
    mask = np.zeros(len(table), dtype=bool)
    mask[rows] = True
    assert np.array_equal(table.take(mask).values, table.values[np.sort(rows)])


@given(small_tables, st.integers(0, 100))
@quick
def test_bags_and_sets_do_not_know_the_order_of_slots(table: SceneTable, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shuffled = np.array([row[rng.permutation(table.n_slots)] for row in table.values])
    both = concatenate([table, SceneTable.build(table.space, shuffled)])
    for name in ("bag_ids", "set_ids", "multiset_ids"):
        first, second = np.split(getattr(both, name), 2)
        assert np.array_equal(first, second)


@given(
    arrays(np.int64, st.tuples(st.integers(0, 30), st.integers(1, 4)), elements=st.integers(-2, 3)),
)
@quick
def test_row_ids_agree_with_unique(matrix: np.ndarray) -> None:
    _, expected = np.unique(matrix, axis=0, return_inverse=True)
    assert np.array_equal(row_ids(matrix), expected.ravel())


def test_row_ids_of_no_columns_are_one_number() -> None:
    assert row_ids(np.zeros((3, 0), dtype=np.int64)).tolist() == [0, 0, 0]


def test_row_ids_stand_huge_numbers() -> None:
    big = 2**62
    matrix = np.array([[big, -big], [big, big], [big, -big], [0, big - 1]])
    assert row_ids(matrix).tolist() == [1, 2, 1, 0]


def test_replicates_are_counted_in_row_order() -> None:
    table = SceneTable.build(space_of(2), [[[0], [1]], [[1], [0]], [[0], [1]], [[0], [1]], [[1], [0]]])
    assert table.replicate.tolist() == [0, 0, 1, 2, 1]
    assert scenes(3, 2, replicates=3).replicate.tolist() == [0, 1, 2] * 30
    assert SceneTable.build(space_of(2), [[[0]], [[1]]], replicate=[5, 7]).replicate.tolist() == [5, 7]


def test_an_absent_object_in_the_first_slot() -> None:
    table = SceneTable.build(space_of(2, 2), [[[-1, -1], [1, 0]], [[0, 1], [1, 0]]])
    assert table.present.tolist() == [[False, True], [True, True]]
    assert table.object_codes.tolist() == [[-1, 1], [0, 1]]
    assert table.compact()[0].tolist() == [[1, 0], [-1, -1]]
    assert table.bag_objects()[0].tolist() == [2, -1, -1, -1]
    assert table.describe(0) == "c0v1 c1v0"
    assert table.describe(1) == "c0v0 c1v1 + c0v1 c1v0"
    assert table.object_name(1) == "c0v1 c1v0"


def test_present_hides_values() -> None:
    table = SceneTable.build(space_of(2, 2), [[[0, 1], [1, 99]]], present=[[True, False]])
    assert table.values.tolist() == [[[0, 1], [-1, -1]]]
    assert table.n_objects == 1


def test_headline_count_is_the_commonest_and_the_larger_on_a_tie() -> None:
    assert mixed_counts(3, 2).headline_count == 2
    one_each = SceneTable.build(space_of(3), [[[0], [1]], [[1], [-1]]])
    assert one_each.headline_count == 2
    assert one_each.rows_with(1).tolist() == [1]
    assert one_each.rows_with(3).tolist() == []


def test_candidates_stay_when_given() -> None:
    table = SceneTable.build(space_of(2, 2), [[[0, 0], [1, 1]]], candidates=[3, 0, 1])
    assert table.candidates.tolist() == [0, 1, 3]
    assert table.object_codes.tolist() == [[0, 2]]
    assert table.known_values(1).tolist() == [0, 1]


def test_known_values_leave_out_what_no_candidate_has() -> None:
    table = SceneTable.build(space_of(4, 2), [[[3, 0], [1, 1]]])
    codes, number = table.members(0)
    assert (table.known_values(0).tolist(), codes.tolist(), number) == ([1, 3], [[1, 0]], 2)


def test_concatenate_pads_slots_and_keeps_visibility() -> None:
    space = space_of(2, 2)
    one = SceneTable.build(space, [[[0, 1]]], visible=[[0.5]])
    two = SceneTable.build(space, [[[0, 0], [1, 1]]], replicate=[4], visible=[[1.0, 0.25]], candidates=[0, 2, 3])
    both = concatenate([one, two])
    assert both.object_ids.tolist() == [[1, -1], [0, 3]]
    assert both.candidates.tolist() == [0, 1, 2, 3]
    assert both.replicate.tolist() == [0, 4]
    assert both.visible is not None
    assert np.array_equal(both.visible, [[0.5, np.nan], [1.0, 0.25]], equal_nan=True)
    assert both.take([1]).visible is not None
    assert concatenate([one, SceneTable.build(space, [[[0, 0]]])]).visible is None


def test_rows_may_all_go() -> None:
    empty = scenes(2, 2).take([])
    assert len(empty) == 0
    for name in ("object_ids", "object_codes", "scene_ids", "multiset_ids", "set_ids", "bag_ids", "unshared", "counts"):
        assert len(getattr(empty, name)) == 0
    assert empty.n_objects == 4
    with pytest.raises(TableError, match="the table is empty"):
        _ = empty.headline_count


def test_one_value_is_shared_by_any_two_objects() -> None:
    table = scenes(1, 3)
    assert not table.unshared.any()
    assert scenes(1, 3, m=1).unshared.all()


@pytest.mark.parametrize("name", DESIGNS)
def test_the_tables_of_the_factory_are_what_they_say(name: str) -> None:
    table = DESIGNS[name]
    again = designs()[name]
    assert np.array_equal(table.values, again.values)
    if name.startswith("pairs"):
        expected = table.n_objects * (table.n_objects - (name == "pairs"))
        assert len(np.unique(table.scene_ids)) == len(table) == expected


def test_build_refuses() -> None:
    space = space_of(2, 3)
    with pytest.raises(TableError, match=r"values must have shape \[scenes, slots, 2\], got \[1, 2, 3\]"):
        SceneTable.build(space, [[[0, 0, 0], [1, 1, 1]]])
    with pytest.raises(TableError, match=r"values must have shape \[scenes, slots, 2\], got \[2\]"):
        SceneTable.build(space, [0, 1])
    with pytest.raises(TableError, match="values must be one array"):
        SceneTable.build(space, [[[0, 0], [1, 1]], [[0, 0]]])
    with pytest.raises(TableError, match="the table is empty; it needs at least one scene"):
        SceneTable.build(space, np.zeros((0, 2, 2), dtype=int))
    with pytest.raises(TableError, match="the table is empty; it needs at least one scene with at least one slot"):
        SceneTable.build(space, np.zeros((2, 0, 2), dtype=int))
    with pytest.raises(TableError, match="values must be integer indices, got float64"):
        SceneTable.build(space, [[[0.0, 1.0]]])
    with pytest.raises(TableError, match=r"row 1, object 2, c1: value index 3 is outside 0..2"):
        SceneTable.build(space, [[[0, 0], [1, 2]], [[0, 0], [1, 3]]])
    with pytest.raises(TableError, match=r"row 0, object 1, c0: value index -2 is outside 0..1"):
        SceneTable.build(space, [[[-2, 0], [1, 2]]])
    with pytest.raises(TableError, match=r"row 0, object 2, c1: value index -1 is outside 0..2"):
        SceneTable.build(space, [[[0, 0], [1, -1]]])  # half an object is no absent object
    with pytest.raises(TableError, match="row 0, object 2, c0: value index -1"):
        SceneTable.build(space, [[[0, 0], [-1, -1]]], present=[[True, True]])
    with pytest.raises(TableError, match="row 1 shows no object"):
        SceneTable.build(space, [[[0, 0], [1, 1]], [[-1, -1], [-1, -1]]])
    with pytest.raises(TableError, match=r"present must have shape \[1, 2\], got \[2\]"):
        SceneTable.build(space, [[[0, 0], [1, 1]]], present=[True, True])
    with pytest.raises(TableError, match="objects that are not among its candidates"):
        SceneTable.build(space, [[[0, 0], [1, 1]]], candidates=[0, 1])
    with pytest.raises(TableError, match="objects that are not among its candidates"):
        SceneTable.build(space, [[[0, 0], [1, 1]]], candidates=[])
    with pytest.raises(TableError, match=r"candidates must be object ids 0..5, got 6"):
        SceneTable.build(space, [[[0, 0], [1, 1]]], candidates=[0, 4, 6])
    with pytest.raises(TableError, match=r"candidates must be object ids 0..5, got -1"):
        SceneTable.build(space, [[[0, 0], [1, 1]]], candidates=[-1, 0, 4])
    with pytest.raises(TableError, match=r"replicate must have shape \(1,\), got \(2,\)"):
        SceneTable.build(space, [[[0, 0], [1, 1]]], replicate=[0, 1])
    with pytest.raises(TableError, match=r"visible must have shape \(1, 2\), got \(1,\)"):
        SceneTable.build(space, [[[0, 0], [1, 1]]], visible=[1.0])


def test_concatenate_refuses() -> None:
    with pytest.raises(TableError, match="only tables of one concept space can be stacked, at least one"):
        concatenate([])
    with pytest.raises(TableError, match="only tables of one concept space"):
        concatenate([scenes(2, 2), scenes(2, 3)])


def test_bag_objects_refuses_too_many_swaps() -> None:
    space = space_of(*[2] * 11)
    table = SceneTable.build(space, np.zeros((1, 3, 11), dtype=int))
    with pytest.raises(TableError, match="3 slots with 11 concepts give too many value swaps"):
        table.bag_objects()


@given(small_tables, st.integers(0, 2**32 - 1), st.booleans())
@quick
def test_count_in_bag_both_ways_by_definition(table: SceneTable, seed: int, listed: bool) -> None:
    among = np.random.default_rng(seed).random(table.n_objects) < 0.6
    objects = [tuple(v) for v, a in zip(table.candidate_values.tolist(), among, strict=True) if a]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("bindscope.scenes._BAG_CELLS", 7)  # blocks of a few rows
        found = table._count_listed(among) if listed else table.count_in_bag(among)
    for row, (values, present) in enumerate(zip(table.values.tolist(), table.present.tolist(), strict=True)):
        shown = [cells for cells, there in zip(values, present, strict=True) if there]
        made = [o for o in objects if all(any(cells[k] == v for cells in shown) for k, v in enumerate(o))]
        assert found[row] == len(made)


def test_scenes_of_many_objects_and_concepts_can_be_counted() -> None:
    table = random_scenes(8, 3, 2, 2, n=300, m=10, seed=0)  # 10^4 ways to mix the values of a scene
    assert table.count_in_bag(np.ones(table.n_objects, dtype=bool)).max() <= table.n_objects
