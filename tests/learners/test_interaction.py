"""R^2 of the interaction alone, on worlds whose interaction is known."""

from __future__ import annotations

import numpy as np
import pytest

from bindscope.design import concept_design, object_design
from bindscope.learners import interaction
from bindscope.learners.interaction import Interaction, interacts, within_objects
from bindscope.learners.registry import load_approximator
from bindscope.scenes import SceneTable
from bindscope.splits import TEST, TRAIN, split_objects
from planted import World, plant, scenes


def parted(world: World, coverage: float, seed: int = 0) -> Interaction:
    table = world.table
    sides = split_objects(table, coverage, seed).sides(table)
    train, test = sides == TRAIN, sides == TEST
    return Interaction(table.take(train), world.vectors[train], table.take(test), world.vectors[test])


def reached(found: Interaction, learner: str) -> float | None:
    fitted = load_approximator(learner).fit(found.train, found.seen)
    return found.r2(fitted.predict(found.table))


def test_a_product_is_predicted_by_its_form_and_not_by_concepts() -> None:
    found = parted(plant("product", scenes(9, 9), 32, rank=2), 0.8)
    assert reached(found, "per-object?rank=2") == pytest.approx(1.0, abs=1e-3)
    assert reached(found, "additive") == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("learner", ["additive", "per-object?rank=2", "ridge", "neighbours", "forest?trees=10"])
def test_objects_at_random_are_not_predicted_beyond_what_shrinking_gives(learner: str) -> None:
    found = parted(plant("object", scenes(8, 8), 48), 0.6)
    chance = 1.0 - float(found.chance.sum() / found.total.sum())
    assert chance > 0.1  # a fit that shrinks beats least squares where nothing can be predicted
    assert (reached(found, learner) or 0.0) <= max(chance, 0.0) + 0.03


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_a_bag_has_no_interaction_whatever_its_noise(noise: float) -> None:
    world = plant("bag", scenes(6, 5), 24, noise=noise)
    assert not interacts(world.table, world.vectors)
    mixed = plant("mixed", scenes(6, 5), 24, noise=noise)
    assert interacts(mixed.table, mixed.vectors)


def test_a_bag_of_unit_length_is_predicted_by_concepts_alone() -> None:
    bag, bound = (plant(kind, scenes(7, 7), 32).vectors for kind in ("bag", "object"))
    unit, control = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (bag, bound))
    table = scenes(7, 7)
    assert interacts(table, unit)  # length alone makes objects more than their concepts
    found = parted(World("bag", table, unit, unit, unit[None]), 0.6)
    assert reached(found, "additive?length=unit") == pytest.approx(1.0, abs=1e-3)
    assert 1.0 - found.chance.sum() / found.total.sum() > 0.99  # so nothing counts as binding there
    other = parted(World("object", table, control, control, control[None]), 0.6)
    assert (reached(other, "additive?length=unit") or 0.0) < 0.2


def test_within_objects_is_the_projection_on_objects_by_slot() -> None:
    table = scenes(4, 3).take(np.arange(0, 132, 2))
    vectors = np.random.default_rng(0).normal(size=(len(table), 5))
    design = object_design(table, by_slot=True).toarray()
    projected = design @ np.linalg.lstsq(design, vectors, rcond=None)[0]
    assert within_objects(table, vectors) == pytest.approx((projected**2).sum(axis=1))


def test_the_total_is_what_concepts_by_slot_leave_on_training_scenes() -> None:
    found = parted(plant("object", scenes(5, 5), 16), 0.7)
    train, test = (concept_design(table, by_slot=True).toarray() for table in (found.train, found.table))
    mean = found.seen.mean(axis=0)
    fitted = test @ np.linalg.lstsq(train, found.seen - mean, rcond=None)[0] + mean
    assert found.total == pytest.approx(within_objects(found.table, found.vectors - fitted), rel=1e-4)


def test_too_many_objects_have_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interaction, "MOST_COLUMNS", 5)
    table: SceneTable = scenes(4, 3)
    assert np.isnan(within_objects(table, np.ones((len(table), 2)))).all()
    assert reached(parted(plant("object", table, 16), 0.6), "additive") is None


def test_one_object_a_scene_has_its_interaction_without_a_degree_of_freedom() -> None:
    table = scenes(5, 4, m=1)
    assert interacts(table, plant("object", table, 16).vectors)
    assert not interacts(table, plant("bag", table, 16).vectors)
