"""Cross-fitted probes, and what they make of predictions."""

from __future__ import annotations

import numpy as np
import pytest

from bindscope.analyses.complexity.judging import cross_probes, judge
from bindscope.analyses.replicates import noise_floor
from planted import plant, scenes


def test_no_scene_is_read_by_probes_that_it_trained() -> None:
    table = scenes(4, 3)
    probes = cross_probes(plant("object", table, dim=64).vectors, table, 0)
    for fold, one in enumerate(probes.sets):
        assert not one.train[probes.fold == fold].any()
    bags = table.bag_ids
    assert all(len(set(probes.fold[bags == bag])) == 1 for bag in np.unique(bags))


def test_real_vectors_are_perfect_predictions_and_the_mean_is_none() -> None:
    table = scenes(4, 3)
    vectors = plant("object", table, dim=128).vectors
    probes = cross_probes(vectors, table, 0)
    rows = np.arange(0, len(table), 2)
    perfect = judge(vectors[rows], vectors, table, rows, probes)
    assert perfect.r2 == 1.0
    assert perfect.objects.mean() > 0.9
    nothing = judge(np.tile(vectors[rows].mean(0), (len(rows), 1)), vectors, table, rows, probes)
    assert nothing.r2 == pytest.approx(0.0)
    assert nothing.objects.mean() < 0.1
    none = judge(vectors[:0], vectors, table, rows[:0], probes)
    assert np.isnan(none.r2)


def test_a_row_is_read_as_by_its_own_half() -> None:
    table = scenes(4, 3)
    vectors = plant("object", table, dim=32, noise=0.5).vectors
    probes = cross_probes(vectors, table, 0)
    concepts, objects = probes.read(vectors, table, np.arange(len(table)))
    for row in range(0, len(table), 17):
        own = probes.sets[probes.fold[row]]
        one = table.take([row])
        assert objects[row] == own.object_outcome(vectors[[row]], one).right[0]
        assert concepts[row, 1] == own.concept_outcomes(vectors[[row]], one)[1].right[0]


def test_noise_floor_is_the_planted_noise() -> None:
    table = scenes(4, 3, replicates=4)
    world = plant("object", table, dim=64, noise=0.5)
    floor = noise_floor(world.vectors, table)
    planted = ((world.vectors - world.clean) ** 2).sum(axis=1)
    assert floor.mean() == pytest.approx(planted.mean(), rel=0.03)
    first = np.flatnonzero(table.replicate == 0)
    assert np.isnan(noise_floor(world.vectors[first], table.take(first))).all()
