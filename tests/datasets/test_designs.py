"""Which scenes there are: all of them against itertools, and seeded samples."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindscope.datasets import load_dataset
from bindscope.datasets.designs import MAX_ROWS, count_scenes, sampled_ranks, scene_codes, unrank
from bindscope.errors import InputError

quick = settings(deadline=None, max_examples=60, derandomize=True)


@given(st.integers(1, 6), st.integers(1, 3), st.booleans())
@quick
def test_all_scenes_are_those_of_itertools_in_that_order(n: int, m: int, same: bool) -> None:
    expected = list(product(range(n), repeat=m) if same else permutations(range(n), m))
    assert count_scenes(n, m, same) == len(expected)
    if expected:
        assert scene_codes(n, m, same).tolist() == [list(scene) for scene in expected]
    else:
        with pytest.raises(InputError, match=r"objects give no scene"):
            scene_codes(n, m, same)


@given(st.integers(2, 40), st.integers(1, 3), st.booleans(), st.integers(0, 100), st.floats(0.01, 1.0))
@quick
def test_a_sample_is_a_subset_in_order_without_repeats(n: int, m: int, same: bool, seed: int, share: float) -> None:
    total = count_scenes(n, m, same)
    if not total:
        return
    count = max(1, min(int(share * total), 200))
    codes = scene_codes(n, m, same, count, seed)
    assert codes.shape == (count, m)
    rows = [tuple(row) for row in codes.tolist()]
    assert rows == sorted(set(rows))  # lexicographic, each once
    assert codes.min() >= 0
    assert codes.max() < n
    if not same:
        assert all(len(set(row)) == m for row in rows)
    assert np.array_equal(codes, scene_codes(n, m, same, count, seed))


def test_a_sample_depends_on_the_seed_and_hits_every_scene_alike() -> None:
    assert not np.array_equal(scene_codes(30, 2, False, 50, 0), scene_codes(30, 2, False, 50, 1))
    for total, count in ((12, 6), (60, 6)):  # both ways to draw: a permutation, and draws without listing all
        hits = np.zeros(total)
        for seed in range(600):
            hits[sampled_ranks(total, count, seed)] += 1
        expected = 600 * count / total
        assert np.abs(hits - expected).max() < 5 * np.sqrt(expected)


def test_a_sample_of_a_huge_design_is_drawn_without_listing_it() -> None:
    codes = scene_codes(400, 3, False, sample=1000, seed=1)  # of 63 million
    assert len(np.unique(codes, axis=0)) == 1000
    assert abs(codes.mean() - 199.5) < 15


def test_unrank_is_the_inverse_of_counting() -> None:
    assert unrank(np.array([0, 5, 23]), 4, 3, same=False).tolist() == [[0, 1, 2], [0, 3, 2], [3, 2, 1]]


def test_one_object_scenes_stand_in_every_place() -> None:
    table = load_dataset("symbolic:3x2?singles=true&places=true&m=3").table
    alone = table.take(table.rows_with(1))
    assert len(alone) == 3 * 6
    assert [set(column[column >= 0].tolist()) for column in alone.object_codes.T] == [set(range(6))] * 3
    first = load_dataset("symbolic:3x2?singles=true").table
    assert len(first.rows_with(1)) == 6
    assert (first.take(first.rows_with(1)).object_codes[:, 1] == -1).all()
    with pytest.raises(InputError, match="places=true puts one-object scenes in every slot; add singles=true"):
        load_dataset("symbolic:3x2?places=true")


def test_too_much_is_refused_before_it_is_made() -> None:
    with pytest.raises(InputError, match=r"take a seeded sample with scenes=20000"):
        scene_codes(400, 3, same=False)
    with pytest.raises(InputError, match=r"asks for more than the 6 scenes there are"):
        scene_codes(3, 2, same=False, sample=7)
    assert count_scenes(1414, 2, same=True) < MAX_ROWS < count_scenes(1415, 2, same=True)
