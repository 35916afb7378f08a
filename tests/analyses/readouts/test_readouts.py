"""The ladder on worlds whose code is known: who reads what."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from bindscope.analyses.context import Context
from bindscope.analyses.readouts.measure import _products, across_slots, by_slot, measure
from bindscope.analyses.readouts.section import sentences
from bindscope.datasets import load_dataset
from bindscope.embeddings import Embeddings, embed
from bindscope.encoders import load_encoder
from bindscope.results import Results
from planted import plant, scenes

DATA = "symbolic:6x6"


@cache
def results(world: str) -> Results:
    context = Context(embed(load_encoder(world), load_dataset(DATA)))
    return Results(context.records("readouts", measure(context)))


def value(world: str, rung: str) -> float:
    found = results(world).one(metric="binding_preference", estimator=rung).value
    assert found is not None
    return found


@pytest.mark.parametrize("rung", ["linear", "bilinear", "network"])
def test_objects_of_their_own_are_read_by_every_rung(rung: str) -> None:
    assert value("planted:object?dim=64", rung) > 0.9


@pytest.mark.parametrize("rung", ["linear", "bilinear", "network"])
def test_a_bag_is_read_by_none(rung: str) -> None:
    assert value("planted:bag?dim=32", rung) == pytest.approx(0.5, abs=0.1)
    assert "No read-out" in sentences(results("planted:bag?dim=32"))[0]


def test_a_code_by_position_is_told_as_what_it_is() -> None:
    """Linear read-outs of objects find nothing, a network everything; by slot even unseen objects are told apart."""
    world = "planted:bag?dim=64&slots=own"
    assert value(world, "linear") < 0.75
    assert value(world, "network") > 0.85
    assert value(world, "by_slot") > 0.95
    assert results(world).one(metric="across_slots").value < 0.1  # type: ignore[operator]
    said = sentences(results(world))
    assert "does not read it" in said[0]
    assert "codes by position" in said[1]


def test_without_slots_nothing_tells_them_apart_and_all_carries_over() -> None:
    world = "planted:object?dim=64"
    assert value(world, "by_slot") == pytest.approx(0.5, abs=0.25)
    assert results(world).one(metric="across_slots").value > 0.9  # type: ignore[operator]
    assert len(sentences(results(world))) == 1


def test_shuffled_scenes_teach_nothing() -> None:
    for world in ("planted:object?dim=64", "planted:bag?dim=64&slots=own"):
        control = results(world).select(
            lambda r: r.extra == {"control": "shuffled scenes"}, metric="binding_preference"
        )
        assert control.records[0].value == pytest.approx(0.5, abs=0.12)


def test_products_are_those_of_the_leading_components() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 3))
    train = np.arange(50) < 30
    features = _products(vectors, train)
    assert features.shape == (50, 3 + 6)
    assert (features[train] ** 2).mean(axis=0) == pytest.approx(1.0)
    ratio = features[:, 3] / features[:, 0] ** 2
    assert ratio == pytest.approx(ratio[0])


def test_one_object_has_no_other_slot() -> None:
    table = scenes(4, 3, m=1)
    world = plant("object", table, dim=8)
    context = Context(Embeddings(world.vectors.astype(np.float32), table))
    assert across_slots(context) == by_slot(context) == []
