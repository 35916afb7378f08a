"""Level I and II against numpy.linalg.lstsq, plain loops and planted worlds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bindscope.analyses.geometry.levels import (
    AdditiveModel,
    best_scale,
    everywhere,
    fit_additive,
    fit_single,
    level2_objects,
    reconstruct,
    reconstruct_held_out,
    reconstruct_single,
)
from bindscope.analyses.geometry.retrieval import Gallery, retrieve
from bindscope.concepts import ConceptSpace
from bindscope.errors import InputError, TableError
from bindscope.probes import fit_probes
from bindscope.scenes import SceneTable
from bindscope.splits import split_scenes


def space(*sizes: int) -> ConceptSpace:
    return ConceptSpace.of([(f"c{k}", [f"v{i}" for i in range(size)]) for k, size in enumerate(sizes)])


def scenes(sizes: tuple[int, ...], m: int = 2, keep: float = 1.0, seed: int = 0) -> SceneTable:
    objects = list(itertools.product(*(range(size) for size in sizes)))
    rows = np.array(list(itertools.permutations(objects, m)))
    chosen = np.random.default_rng(seed).random(len(rows)) < keep
    return SceneTable.build(space(*sizes), rows[chosen])


def one_hot(table: SceneTable, level: str, by_slot: bool) -> np.ndarray:
    """The design by plain loops."""
    if level == "level1":
        width, codes = table.n_objects, table.object_codes[:, :, None]
    else:
        width = sum(table.space.sizes)
        codes = table.values + np.cumsum([0, *table.space.sizes[:-1]])
    out = np.zeros((len(table), width * (table.n_slots if by_slot else 1)))
    for row in range(len(table)):
        for slot in range(table.n_slots):
            for code in codes[row, slot]:
                out[row, code + slot * width * by_slot] += 1
    return out


WORLDS = [((4, 3), 2, 1.0), ((5, 4), 2, 0.4), ((3, 2, 2), 2, 0.7), ((3, 2), 3, 0.8)]


@pytest.mark.parametrize(("sizes", "m", "keep"), WORLDS)
@pytest.mark.parametrize("level", ["level1", "level2"])
@pytest.mark.parametrize("estimator", ["ols", "ols+pos"])
def test_ols_agrees_with_lstsq(sizes: tuple[int, ...], m: int, keep: float, level: str, estimator: str) -> None:
    table = scenes(sizes, m, keep)
    vectors = np.random.default_rng(1).normal(size=(len(table), 5)).astype(np.float32) + 3.0
    design = one_hot(table, level, estimator.endswith("pos"))
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    expected, *_ = np.linalg.lstsq(design, centred, rcond=None)
    model = fit_additive(vectors, table, estimator, level)
    np.testing.assert_allclose(model.coefficients, expected, atol=1e-6)
    error, total = reconstruct(vectors, table, estimator, level).errors(vectors)
    assert 1 - error.sum() / total.sum() == pytest.approx(
        1 - ((centred - design @ expected) ** 2).sum() / (centred**2).sum(), abs=1e-9
    )


@pytest.mark.parametrize("estimator", ["avg", "avg+pos"])
@pytest.mark.parametrize("level", ["level1", "level2"])
def test_averages_are_means_over_the_scenes_that_show(level: str, estimator: str) -> None:
    table = scenes((4, 3), 2, 0.8)
    vectors = np.random.default_rng(2).normal(size=(len(table), 3))
    centred = vectors - vectors.mean(axis=0)
    shows = one_hot(table, level, estimator.endswith("pos")) > 0
    expected = np.array([centred[column].mean(axis=0) for column in shows.T])
    np.testing.assert_allclose(fit_additive(vectors, table, estimator, level).coefficients, expected, atol=1e-12)


@pytest.mark.parametrize("estimator", ["avg", "avg+pos", "ols", "ols+pos"])
def test_held_out_rows_are_rebuilt_by_models_that_did_not_see_them(estimator: str) -> None:
    table = scenes((4, 4))
    vectors = np.random.default_rng(3).normal(size=(len(table), 6))
    rebuilt = reconstruct_held_out(vectors, table, estimator, "level1", folds=5)
    for fold, model in enumerate(rebuilt.models):
        rest = rebuilt.owner != fold
        refitted = fit_additive(vectors[rest], table.take(rest), estimator, "level1")
        np.testing.assert_allclose(model.coefficients, refitted.coefficients, atol=1e-8)
        np.testing.assert_allclose(model.mean, refitted.mean, atol=1e-12)
    bags_of_folds = [set(table.bag_ids[rebuilt.owner == fold]) for fold in range(5)]
    assert not set.intersection(*bags_of_folds[:2])


@pytest.mark.parametrize("estimator", ["ols", "ols+pos"])
@pytest.mark.parametrize(("sizes", "m", "keep"), WORLDS)
def test_an_additive_world_is_rebuilt_exactly_even_where_the_design_is_incomplete(
    sizes: tuple[int, ...], m: int, keep: float, estimator: str
) -> None:
    table = scenes(sizes, m, keep)
    objects = np.random.default_rng(4).normal(size=(table.n_objects, 16))
    vectors = objects[table.object_codes].sum(axis=1)
    for rebuilt in (reconstruct(vectors, table, estimator, "level1"),):
        error, total = rebuilt.errors(vectors)
        assert error.sum() < 1e-12 * total.sum()


def test_averages_are_wrong_on_incomplete_designs_and_least_squares_is_not() -> None:
    table = scenes((5, 4), 2, 0.15, seed=3)
    vectors = np.random.default_rng(5).normal(size=(table.n_objects, 16))[table.object_codes].sum(axis=1)

    def r2(estimator: str) -> float:
        error, total = reconstruct(vectors, table, estimator, "level1").errors(vectors)
        return float(1 - error.sum() / total.sum())

    assert r2("ols") > 1 - 1e-10
    assert r2("avg") < 0.95


def test_level2_tells_concepts_from_objects() -> None:
    table = scenes((6, 5))
    rng = np.random.default_rng(6)
    first, second = rng.normal(size=(6, 20)), rng.normal(size=(5, 20))
    bag = first[table.values[:, :, 0]].sum(axis=1) + second[table.values[:, :, 1]].sum(axis=1)
    own = rng.normal(size=(30, 20))[table.object_codes].sum(axis=1)
    for vectors, low, high in ((bag, 1 - 1e-10, 1.0), (own, -0.2, 0.6)):
        error, total = reconstruct(vectors, table, "ols", "level2").errors(vectors)
        assert low <= 1 - error.sum() / total.sum() <= high + 1e-12
    for vectors, expected in ((bag, True), (own, False)):
        model = fit_additive(vectors, table, "ols", "level1")
        error, total, codes = level2_objects(model, table, held_out=True)
        assert bool(1 - error.sum() / total.sum() > 1 - 1e-9) is expected
        assert sorted(codes) == list(range(30))
    error, total, _ = level2_objects(fit_additive(own, table, "ols+pos", "level1"), table, held_out=True)
    assert 1 - error.sum() / total.sum() <= 0.0


def test_single_objects_rebuild_pairs_and_the_scale_is_fitted() -> None:
    pairs = scenes((4, 3))
    objects = np.random.default_rng(7).normal(size=(12, 8))
    singles = SceneTable.build(pairs.space, pairs.candidate_values[:, None, :])
    vectors = 0.5 * objects[pairs.object_codes].sum(axis=1) + 2.0
    rebuilt = reconstruct_single(vectors, pairs, objects, singles, "level1")
    assert best_scale(vectors, rebuilt) == pytest.approx(0.5, abs=1e-9)
    error, total = rebuilt.errors(vectors)
    assert 1 - error.sum() / total.sum() == pytest.approx(0.0, abs=1e-9)  # twice too long: the error equals the total


def test_one_object_scenes_in_every_place_give_vectors_of_objects_in_slots() -> None:
    pairs = scenes((4, 3))
    rng = np.random.default_rng(3)
    own = rng.normal(size=(2, 12, 6))
    vectors = own[0][pairs.object_codes[:, 0]] + own[1][pairs.object_codes[:, 1]]
    values = np.full((24, 2, 2), -1)
    values[:12, 0] = values[12:, 1] = pairs.candidate_values
    singles = SceneTable.build(pairs.space, values)
    alone = own.reshape(24, 6)
    shown = np.arange(12)
    assert everywhere(singles, shown)
    assert not everywhere(singles.take(np.arange(23)), shown)

    def r2(by_slot: bool) -> float:
        error, total = reconstruct_single(vectors, pairs, alone, singles, "level1", by_slot).errors(vectors)
        return 1.0 - float(error.sum() / total.sum())

    assert r2(True) == pytest.approx(1.0)
    assert r2(False) < 0.9  # the control: objects look different in the two places


def test_single_refuses_missing_objects_and_pairs() -> None:
    pairs = scenes((4, 3))
    few = SceneTable.build(pairs.space, pairs.candidate_values[:5, None, :], candidates=pairs.candidates)
    with pytest.raises(TableError, match="7 objects have no one-object scene"):
        fit_single(np.ones((5, 2)), few, "level1", np.zeros(2))
    with pytest.raises(TableError, match="one object only"):
        fit_single(np.ones((len(pairs), 2)), pairs, "level1", np.zeros(2))


def test_wrong_words_are_refused() -> None:
    table = scenes((3, 3))
    vectors = np.ones((len(table), 2))
    with pytest.raises(InputError, match="unknown estimator 'mean'"):
        fit_additive(vectors, table, "mean", "level1")
    with pytest.raises(InputError, match="unknown level 'level3'"):
        fit_additive(vectors, table, "ols", "level3")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="needs a level1 model"):
        level2_objects(fit_additive(vectors, table, "ols", "level2"), table, held_out=False)


def naive_hits(vectors: np.ndarray, guesses: np.ndarray, ids: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    hits = []
    for row, guess in enumerate(guesses):
        scores = unit @ (guess / np.linalg.norm(guess))
        own = ids == ids[row]
        hits.append(scores[own].max() > scores[~own].max() + 2e-6)
    return np.array(hits)


@pytest.mark.parametrize("estimator", ["avg", "ols+pos"])
@pytest.mark.parametrize("level", ["level1", "level2"])
@pytest.mark.parametrize("dimensions", [6, 60])
def test_retrieval_agrees_with_a_plain_loop(estimator: str, level: str, dimensions: int) -> None:
    table = scenes((4, 3))
    rng = np.random.default_rng(8)
    vectors = rng.normal(size=(12, dimensions))[table.object_codes].sum(axis=1)
    vectors = (vectors + rng.normal(size=vectors.shape) + 1.0).astype(np.float32)
    rebuilt = reconstruct_held_out(vectors, table, estimator, level)
    guesses = np.empty(vectors.shape)
    for fold, model in enumerate(rebuilt.models):
        guesses[rebuilt.owner == fold] = model(table)[rebuilt.owner == fold]
    ids = table.scene_ids if "pos" in estimator else table.multiset_ids
    expected = naive_hits(vectors.astype(np.float64), guesses, ids)
    got = retrieve(Gallery.of(vectors, table), rebuilt, np.arange(len(table))).right
    assert (got == expected).all()
    assert expected.any()


def test_a_tie_with_another_scene_is_a_miss() -> None:
    table = scenes((2, 2))
    first, second = np.eye(8)[:2], np.eye(8)[2:4]
    bag = first[table.values[:, :, 0]].sum(axis=1) + second[table.values[:, :, 1]].sum(axis=1)
    found = retrieve(Gallery.of(bag, table), reconstruct(bag, table, "ols", "level1"), np.arange(len(table)))
    assert (found.tied == table.unshared).all()
    assert (found.right == ~table.unshared).all()  # unshared scenes have a swapped twin with the very same embedding


def test_an_encoder_of_sets_is_not_asked_for_the_order() -> None:
    table = scenes((3, 3))
    objects = np.random.default_rng(11).normal(size=(2, 9, 24))
    sets = objects[0][table.object_codes].sum(axis=1)
    blurred = (sets * (1 + 1e-8 * np.arange(len(table))[:, None])).astype(np.float32)  # equal up to rounding
    every = np.arange(len(table))
    for vectors in (sets, blurred):
        for estimator in ("ols", "ols+pos"):
            assert retrieve(
                Gallery.of(vectors, table), reconstruct(vectors, table, estimator, "level1"), every
            ).right.all()
    # the control: vectors that tell the order apart are asked for it, and a guess that does not know it ties or errs
    ordered = sets + 0.5 * objects[1][table.object_codes[:, 0]]
    guess = reconstruct(sets, table, "ols+pos", "level1")
    assert retrieve(Gallery.of(ordered, table), guess, every).right.mean() < 0.7
    known = reconstruct(ordered, table, "ols+pos", "level1")
    assert retrieve(Gallery.of(ordered, table), known, every).right.all()


def test_probes_read_reconstructions_as_they_read_the_predicted_vectors() -> None:
    table = scenes((5, 4))
    vectors = np.random.default_rng(9).normal(size=(20, 64))[table.object_codes].sum(axis=1).astype(np.float32)
    probes = fit_probes(vectors, table, split_scenes(table))
    rebuilt = reconstruct_held_out(vectors, table, "ols", "level1")
    direct = np.empty(vectors.shape)
    for fold, model in enumerate(rebuilt.models):
        direct[rebuilt.owner == fold] = model(table)[rebuilt.owner == fold]
    members = table.object_codes
    assert (rebuilt.recognised(probes.objects, members).right == probes.objects.recognised(direct, members).right).all()


def test_a_scaled_model_scales_its_components_only() -> None:
    model = AdditiveModel("level1", False, np.ones(2), np.full((9, 2), 3.0))
    table = scenes((3, 3))
    np.testing.assert_allclose(model.scaled(0.5)(table) - 1.0, (model(table) - 1.0) * 0.5)
