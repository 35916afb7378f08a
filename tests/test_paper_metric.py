"""The metric of the paper's training script beside the definition."""

from __future__ import annotations

import numpy as np
import pytest

from bindscope.concepts import ABSENT
from bindscope.recognition import recognise_by_cosine
from bindscope.scenes import SceneTable
from bindscope.swaps import few_candidates, one_swapped_object, paper_metric, value_swaps
from planted import designs, plant, random_scenes, scenes, space_of


def drawn_scenes(size: int, count: int) -> SceneTable:
    """Scenes of two different objects of a large space, all objects being candidates."""
    space = space_of(size, size)
    codes = np.random.default_rng(0).integers(space.n_objects, size=(count, 2))
    codes = codes[codes[:, 0] != codes[:, 1]]
    return SceneTable.build(space, space.object_values(codes), candidates=np.arange(space.n_objects))


def test_a_bag_reads_two_of_three_by_it_and_one_of_seven_by_the_definition() -> None:
    table = drawn_scenes(50, 1500)
    bag = plant("bag", table, dim=512)
    right, chance = paper_metric(bag.vectors, bag.queries, table)
    assert right.mean() == pytest.approx(0.66, abs=0.03)
    strict = recognise_by_cosine(bag.vectors, bag.queries, table.object_codes).right
    assert strict.mean() == pytest.approx(0.13, abs=0.03)
    assert chance.mean() == pytest.approx(2 / 67, abs=0.002)


def test_a_binding_world_reads_one_and_noise_reads_chance() -> None:
    table = drawn_scenes(20, 800)
    bound = plant("object", table, dim=400)
    assert paper_metric(bound.vectors, bound.queries, table)[0].mean() > 0.99
    noise = np.random.default_rng(1).normal(size=bound.vectors.shape)
    right, chance = paper_metric(noise, bound.queries, table)
    assert right.mean() == pytest.approx(chance.mean(), abs=0.015)


@pytest.mark.parametrize("name", list(designs()))
def test_candidates_are_own_drawn_and_one_swap(name: str) -> None:
    table = designs()[name]
    few, swapped = few_candidates(table, positives=3), one_swapped_object(table)
    made = value_swaps(table)
    possible: dict[int, set[int]] = {}
    for row, values in zip(made.row, made.values, strict=True):
        known = {int(i) for i in table.space.object_ids(values) if i != ABSENT} & set(table.candidates.tolist())
        possible.setdefault(int(row), set()).update(
            known - set(table.candidates[table.object_codes[row][table.present[row]]].tolist())
        )
    for row in range(len(table)):
        own = set(table.object_codes[row][table.present[row]].tolist())
        others = set(np.flatnonzero(few[row]).tolist()) - own
        assert own <= set(np.flatnonzero(few[row]).tolist())
        assert len(others) <= 4
        if swapped[row] == ABSENT:
            assert not possible.get(row)
        else:
            assert int(table.candidates[swapped[row]]) in possible[row]
            assert swapped[row] in others


def test_ties_are_wrong_and_the_seed_draws() -> None:
    table = scenes(3, 3)
    same = np.ones((table.n_objects, 2))
    right, _ = paper_metric(np.ones((len(table), 2)), same, table)
    assert right.max() == 0.0
    assert not np.array_equal(one_swapped_object(table, 0), one_swapped_object(table, 1))
    assert np.array_equal(few_candidates(table, 4), few_candidates(table, 4))
    many = random_scenes(3, 2, n=30, m=3, absent=0.3)
    assert paper_metric(np.zeros((len(many), 2)), np.zeros((many.n_objects, 2)), many)[0].shape == (len(many),)
