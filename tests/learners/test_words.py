"""Learners that start from a model's own vectors of values, and products that stand alone."""

from __future__ import annotations

import numpy as np
import pytest

from bindscope.errors import InputError, VectorsError
from bindscope.learners.interaction import Interaction
from bindscope.learners.registry import WORDED, load_approximator, register
from bindscope.learners.words import Words
from bindscope.scenes import SceneTable
from bindscope.splits import TEST, TRAIN, split_objects
from planted import designs, plant, scenes


def own_words(table: SceneTable, dim: int = 6, seed: int = 0) -> Words:
    rng = np.random.default_rng(seed)
    return Words.of(table, [rng.normal(size=(len(table.known_values(k)), dim)) for k in range(table.space.n_concepts)])


def parted(table: SceneTable, vectors: np.ndarray, coverage: float = 0.7) -> Interaction:
    sides = split_objects(table, coverage, 0).sides(table)
    train, test = sides == TRAIN, sides == TEST
    return Interaction(table.take(train), vectors[train], table.take(test), vectors[test])


def reached(found: Interaction, name: str, words: Words | None = None) -> float:
    fitted = load_approximator(name, words=words).fit(found.train, found.seen)
    assert fitted.name == name
    value = found.r2(fitted.predict(found.table))
    assert value is not None
    return value


@pytest.mark.parametrize("design", list(designs()))
def test_values_keep_their_distances_and_absent_objects_are_zero(design: str) -> None:
    table = designs()[design]
    rng = np.random.default_rng(1)
    own = [rng.normal(size=(len(table.known_values(k)), 5)) for k in range(table.space.n_concepts)]
    words = Words.of(table, own)
    inputs = words(table)
    assert inputs.shape == (len(table), table.n_slots * sum(words.widths))
    for k, given in enumerate(own):
        placed = words.values[k][table.known_values(k)]
        distances, wanted = (np.linalg.norm(one[:, None] - one[None], axis=2) for one in (placed, given))
        scale = np.sqrt(((given - given.mean(0)) ** 2).sum(axis=1).mean())
        assert distances == pytest.approx(wanted / max(scale, 1e-12))  # one known value alone has no spread
    width = sum(words.widths)
    for slot in range(table.n_slots):
        assert not inputs[~table.present[:, slot], slot * width : (slot + 1) * width].any()


@pytest.mark.parametrize(
    "name", ["words:ridge", "words:mlp:8?epochs=2", "words:products:8?epochs=2", "words:forest?trees=4"]
)
def test_contract_from_words(name: str) -> None:
    table = scenes(4, 3)
    vectors = plant("mixed", table, dim=6, noise=0.1).vectors
    fits = [load_approximator(name, words=own_words(table)).fit(table, vectors, seed=3) for _ in range(2)]
    assert np.array_equal(fits[0].predict(table), fits[1].predict(table))
    assert np.isfinite(fits[0].predict(table)).all()
    other = load_approximator(name, words=own_words(table, seed=1)).fit(table, vectors, seed=3)
    if name != "words:ridge":  # independent vectors of few values span the same functions
        assert not np.array_equal(other.predict(table), fits[0].predict(table))


def test_what_is_bilinear_in_words_is_simple_from_words_and_not_from_indices() -> None:
    table, rng = scenes(12, 12), np.random.default_rng(5)
    own = [rng.normal(size=(12, 2)) for _ in range(2)]
    first, second = (own[k][table.candidate_values[:, k]] for k in range(2))
    objects = np.einsum("ni,nj->nij", first, second).reshape(len(first), -1) @ rng.normal(size=(4, 24))
    found = parted(table, objects[table.object_codes].sum(axis=1), 0.5)
    words = Words.of(table, own)
    from_words, from_indices = reached(found, "words:mlp:64", words), reached(found, "mlp:64")
    assert from_words > 0.85
    assert from_words > from_indices + 0.1
    shuffled = Words.of(table, [one[rng.permutation(12)] for one in own])
    assert reached(found, "words:mlp:64", shuffled) < from_words - 0.3  # the control: words that mean something else


def test_a_product_alone_is_found_without_an_additive_part_and_a_sum_is_not() -> None:
    table = scenes(9, 9)
    product = parted(table, plant("product", table, 24, rank=2).vectors, 0.8)
    assert reached(product, "per-object?rank=2&additive=no") == pytest.approx(1.0, abs=1e-3)
    bag = plant("bag", table, 24).vectors
    alone = load_approximator("per-object?rank=1&additive=no").fit(table, bag)
    assert alone.train_r2 < 0.9
    assert load_approximator("per-object?rank=1").fit(table, bag).train_r2 == pytest.approx(1.0)


def test_a_perceptron_on_products_finds_a_product_that_one_on_indices_does_not() -> None:
    table = scenes(12, 12)
    found = parted(table, plant("product", table, 48, rank=4).vectors, 0.7)
    assert reached(found, "products:64") > 0.97
    assert reached(found, "mlp:64") < 0.85


def test_refusals() -> None:
    table = scenes(3, 3)
    for name in ("words:additive", "words:per-object", "words:neighbours"):
        with pytest.raises(InputError, match="learns from indices alone"):
            load_approximator(name)
    for name in WORDED:
        assert load_approximator("words:" + name.replace("WIDTH", "8")).takes_words
    with pytest.raises(VectorsError, match="one vector for each of 3 values of c0"):
        Words.of(table, [np.ones((2, 4)), np.ones((3, 4))])
    with pytest.raises(InputError, match="'words' cannot name a learner"):
        register("words", lambda rest, tune: load_approximator("additive"))
    with pytest.raises(InputError, match="products:WIDTH or products:WIDTHxDEPTH"):
        load_approximator("products:wide")
