from __future__ import annotations

import numpy as np
import pytest

from bindscope.analyses.codelength.arrivals import Arrivals, arrivals
from bindscope.errors import InputError, TableError
from bindscope.scenes import SceneTable
from planted import incomplete, mixed_counts, random_scenes, scenes

TABLES = {
    "pairs": scenes(4, 5),
    "same": scenes(3, 4, same=True),
    "singles": scenes(5, 5, m=1, replicates=3),
    "triples": scenes(2, 3, m=3),
    "incomplete": incomplete(scenes(5, 5), 0.6),
    "gaps": mixed_counts(3, 3),
    "unbalanced": random_scenes(4, 4, n=150, m=2, absent=0.2),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_scene_is_coded_when_its_last_object_arrives(table: SceneTable) -> None:
    found = arrivals(table, seed=3, order=1)
    place = {int(o): k for k, o in enumerate(found.objects)}
    assert sorted(found.rows.tolist()) == list(range(len(table)))
    for k in range(len(found.objects)):
        for row in found.rows[found.starts[k] : found.starts[k + 1]]:
            assert max(place[int(c)] for c in table.object_codes[row] if c >= 0) == k


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_first_block_is_large_enough_and_blocks_are_filled(table: SceneTable) -> None:
    found = arrivals(table, seed=0, order=0)
    assert found.first >= max(2, np.ceil(0.2 * len(found.objects)))
    assert found.starts[found.first] >= min(16, len(table) // 4)
    assert (np.diff(found.starts[found.edges]) > 0).all()
    assert found.edges[-1] == len(found.objects)
    assert found.coded.sum() == len(table) - found.starts[found.first]
    assert not found.coded[: found.first].any()


def test_only_objects_that_occur_arrive() -> None:
    table = scenes(4, 4).take(np.flatnonzero((scenes(4, 4).object_codes < 9).all(axis=1)))
    found = arrivals(table, seed=0, order=0)
    assert sorted(found.objects.tolist()) == list(range(9))


def test_orders_differ_and_repeat_with_the_seed() -> None:
    table = scenes(5, 5)
    first, second, again = (arrivals(table, 7, order).objects for order in (0, 1, 0))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, arrivals(table, 8, 0).objects)


def test_lengths_of_blocks_are_spread_over_their_objects() -> None:
    found = Arrivals(np.arange(5), np.arange(10), np.array([0, 1, 2, 4, 8, 10]), np.array([2, 4, 5]))
    np.testing.assert_allclose(found.spread(np.array([6.0, 5.0])), [0, 0, 2, 4, 5])


def test_at_most_so_many_blocks() -> None:
    found = arrivals(scenes(10, 10), 0, 0, most_blocks=7)
    assert len(found.edges) == 8


def test_too_few_objects_are_refused() -> None:
    with pytest.raises(TableError, match="leave nothing to code"):
        arrivals(scenes(1, 2), 0, 0)
    with pytest.raises(InputError, match="share of the objects between 0 and 1"):
        arrivals(scenes(3, 3), 0, 0, first_block=1.0)
