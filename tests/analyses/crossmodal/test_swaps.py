"""Value swaps against a plain loop, and the pairing of two sides."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from bindscope.analyses.sides import TwoSides
from bindscope.concepts import ABSENT
from bindscope.errors import TableError, VectorsError
from bindscope.scenes import SceneTable
from bindscope.swaps import scene_keys, value_swaps
from planted import designs, plant, scenes


def swaps_by_loop(table: SceneTable) -> set[tuple[int, int, int, int, bytes]]:
    """Every swap of one concept between two objects that changes the multiset of objects."""
    found = set()
    for row, scene in enumerate(table.values.tolist()):
        for k in range(table.space.n_concepts):
            for i, j in combinations(range(table.n_slots), 2):
                if ABSENT in scene[i] or ABSENT in scene[j]:
                    continue
                new = [list(one) for one in scene]
                new[i][k], new[j][k] = new[j][k], new[i][k]
                if Counter(map(tuple, new)) != Counter(map(tuple, scene)):
                    found.add((row, k, i, j, np.array(new).tobytes()))
    return found


@pytest.mark.parametrize("name", designs())
def test_swaps_are_those_of_a_loop(name: str) -> None:
    table = designs()[name]
    swaps = value_swaps(table)
    mine = {
        (int(r), int(k), int(i), int(j), values.tobytes())
        for r, k, (i, j), values in zip(swaps.row, swaps.concept, swaps.slots, swaps.values, strict=True)
    }
    assert len(mine) == len(swaps)
    assert mine == swaps_by_loop(table)
    assert (np.diff(swaps.row) >= 0).all()


@pytest.mark.parametrize("name", ["pairs", "C=3", "m=3", "incomplete C=3 m=3", "mixed m"])
def test_swaps_keep_the_bag_and_change_the_objects(name: str) -> None:
    table = designs()[name]
    swaps = value_swaps(table)
    for row, values in zip(swaps.row, swaps.values, strict=True):
        before, after = table.values[row], values
        assert all(sorted(before[:, k]) == sorted(after[:, k]) for k in range(table.space.n_concepts))
        assert Counter(map(tuple, before.tolist())) != Counter(map(tuple, after.tolist()))


@pytest.mark.parametrize("name", ["C=1", "m=1"])
def test_one_object_or_one_concept_has_no_swap(name: str) -> None:
    assert len(value_swaps(designs()[name])) == 0


def test_keys_tell_order_or_not() -> None:
    table = scenes(2, 2)
    ordered = scene_keys(table.values, table.space.radix)
    free = scene_keys(table.values, table.space.radix, ordered=False)
    assert len(set(ordered)) == len(table) == 12
    assert len(set(free)) == 6


def sides_of(table: SceneTable, vectors: NDArray[np.floating] | None = None) -> TwoSides:
    world = plant("object", table, dim=16)
    _, first = np.unique(table.scene_ids, return_index=True)
    told = table.take(np.sort(first))
    seen = world.vectors if vectors is None else vectors
    return TwoSides.of(seen, table, world.vectors[np.sort(first)][None], told)


@pytest.mark.parametrize("name", designs())
def test_every_row_meets_its_own_caption_and_its_partner(name: str) -> None:
    table = designs()[name]
    sides = sides_of(table)
    assert len(sides.table) == len(table)
    here = np.sort(sides.caption_table.object_ids[sides.own], axis=1)
    np.testing.assert_array_equal(here, np.sort(sides.table.object_ids, axis=1))
    partner = np.sort(sides.caption_table.object_ids[sides.partner], axis=1)
    np.testing.assert_array_equal(partner, np.sort(table.space.object_ids(sides.swaps.values), axis=1))


def test_swapped_rows_prefer_the_same_replicate() -> None:
    table = scenes(2, 2, replicates=3)
    sides = sides_of(table)
    other = sides.swapped_rows
    assert (other >= 0).all()
    np.testing.assert_array_equal(table.replicate[other], table.replicate[sides.swaps.row])
    np.testing.assert_array_equal(table.values[other], sides.swaps.values)


def test_rows_without_a_caption_are_left_out() -> None:
    table = scenes(3, 3)
    world = plant("object", table, dim=8)
    told = table.take(np.arange(10))
    sides = TwoSides.of(world.vectors, table, world.vectors[None, :10], told)
    assert len(sides.table) == 10
    assert len(sides.swaps) < len(value_swaps(table))


def test_sides_refuse_other_dimensions_and_other_scenes() -> None:
    table = scenes(2, 2)
    with pytest.raises(VectorsError, match="both sides need one space"):
        TwoSides.of(np.ones((12, 3)), table, np.ones((1, 12, 4)), table)
    alone = scenes(2, 2, m=1)
    with pytest.raises(TableError, match="no scene has a caption"):
        TwoSides.of(np.ones((12, 3)), table, np.ones((1, 4, 3)), alone)


def test_restricted_rows_keep_their_swaps() -> None:
    sides = sides_of(scenes(3, 2))
    rows = np.arange(len(sides.table)) % 2 == 0
    some = sides.restricted(rows)
    kept = rows[sides.swaps.row]
    np.testing.assert_array_equal(some.partner, sides.partner[kept])
    np.testing.assert_array_equal(np.flatnonzero(rows)[some.swaps.row], sides.swaps.row[kept])
