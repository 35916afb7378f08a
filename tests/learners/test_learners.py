"""What every learner must stand: one contract over all of them, on every sort of table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bindscope.concepts import Concept, ConceptSpace
from bindscope.errors import InputError, TableError, UnknownNameError, VectorsError
from bindscope.learners import registry
from bindscope.learners.base import Approximator, Solution
from bindscope.learners.registry import approximator_names, load_approximator, register
from bindscope.scenes import SceneTable
from bindscope.splits import TEST, TRAIN, split_objects
from planted import designs, plant, scenes

LEARNERS = (
    "additive",
    "additive?slots=shared",
    "additive?length=unit",
    "ridge",
    "neighbours",
    "per-object",
    "per-object?rank=2&slots=shared",
    "global",
    "global?rank=2&ridge=0.1",
    "global?rank=1&ridge=0.1&slots=shared",
    "mlp:8?epochs=2",
    "mlp:8x2?epochs=2",
    "products:8?epochs=2",
    "products:6x2?epochs=2",
    "per-object?rank=2&additive=no",
    "global?rank=1&ridge=0.1&additive=no",
    "global?rank=1&ridge=0.1&additive=no&slots=shared",
    "forest?trees=4",
    "xgboost?rounds=4",
)
FAST = (
    "additive",
    "ridge",
    "neighbours",
    "per-object?rank=2",
    "per-object?rank=1&additive=no",
    "mlp:8?epochs=2",
    "products:4?epochs=2",
    "forest?trees=4",
    "xgboost?rounds=4",
)


def sides(table: SceneTable, coverage: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    found = split_objects(table, coverage, seed).sides(table)
    return found == TRAIN, found == TEST


def r2(real: np.ndarray, predicted: np.ndarray) -> float:
    return float(1 - ((real - predicted) ** 2).sum() / ((real - real.mean(0)) ** 2).sum())


@pytest.mark.parametrize("name", LEARNERS)
def test_contract(name: str) -> None:
    table = scenes(4, 3)
    vectors = plant("mixed", table, dim=6, noise=0.1).vectors
    train, test = sides(table, 0.6)
    fitted = load_approximator(name).fit(table.take(train), vectors[train], seed=3)
    again = load_approximator(name).fit(table.take(train), vectors[train], seed=3)
    predicted = fitted.predict(table.take(test))
    assert fitted.name == name
    assert predicted.shape == (test.sum(), 6)
    assert np.isfinite(predicted).all()
    assert np.array_equal(predicted, again.predict(table.take(test)))
    assert fitted.train_r2 == pytest.approx(r2(vectors[train], fitted.predict(table.take(train))), abs=1e-6)
    backwards = table.take(np.flatnonzero(test)[::-1])
    assert fitted.predict(backwards) == pytest.approx(predicted[::-1], abs=1e-5)  # a row depends on itself alone
    with pytest.raises(InputError, match="predict scenes of the same concepts and slots"):
        fitted.predict(scenes(4, 4))


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("design", list(designs()))
def test_every_learner_stands_every_design(name: str, design: str) -> None:
    table = designs()[design]
    vectors = plant("bag", table, dim=5).vectors
    fitted = load_approximator(name).fit(table, vectors)
    assert np.isfinite(fitted.predict(table)).all()
    if name in ("additive", "per-object?rank=2"):
        assert fitted.train_r2 == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("name", FAST)
def test_constant_vectors_and_a_single_row(name: str) -> None:
    table = scenes(3, 3)
    same = np.ones((len(table), 4))
    fitted = load_approximator(name).fit(table, same)
    assert fitted.predict(table) == pytest.approx(same, abs=1e-5)
    assert np.isnan(fitted.train_r2)
    assert not fitted.fits_training
    one = load_approximator(name).fit(table.take([0]), np.array([[1.0, 2.0]]))
    assert one.predict(table.take([0])) == pytest.approx(np.array([[1.0, 2.0]]), abs=1e-4)


@pytest.mark.parametrize("name", FAST)
def test_what_cannot_be_fitted_is_refused(name: str) -> None:
    table = scenes(3, 3)
    vectors = plant("bag", table, dim=4).vectors
    bad = vectors.copy()
    bad[3, 1] = np.nan
    with pytest.raises(VectorsError, match="must be finite"):
        load_approximator(name).fit(table, bad)
    with pytest.raises(VectorsError, match="give one vector a row"):
        load_approximator(name).fit(table, vectors[1:])
    empty = replace(table, values=table.values[:0], present=table.present[:0], replicate=table.replicate[:0])
    with pytest.raises(TableError, match="no training scenes"):
        load_approximator(name).fit(empty, vectors[:0])


@pytest.mark.parametrize("coverage", [0.3, 0.5, 0.8])
@pytest.mark.parametrize(("sizes", "m"), [((5, 4), 2), ((3, 3, 2), 2), ((6, 5), 1), ((3, 3), 3)])
def test_bag_is_learnt_by_additive_exactly_wherever_connected(coverage: float, sizes: tuple[int, ...], m: int) -> None:
    table = scenes(*sizes, m=m, same=True)
    vectors = plant("bag", table, dim=8, slots="own").vectors
    split = split_objects(table, coverage, 1)
    train, test = split.sides(table) == TRAIN, split.sides(table) == TEST
    fitted = load_approximator("additive").fit(table.take(train), vectors[train])
    gap = np.abs(fitted.predict(table.take(test)) - vectors[test]).max()
    assert (gap < 1e-8) == split.identified or len(np.unique(table.object_ids[train])) < 2


@pytest.mark.parametrize(
    "name", ["additive", "ridge", "neighbours", "per-object", "mlp:64?epochs=20", "forest?trees=10"]
)
def test_object_world_is_learnt_by_nobody(name: str) -> None:
    table = scenes(6, 6)
    vectors = plant("object", table, dim=256).vectors
    train, test = sides(table, 0.7)
    fitted = load_approximator(name).fit(table.take(train), vectors[train])
    assert r2(vectors[test], fitted.predict(table.take(test))) <= 0.0


def test_additive_agrees_with_lstsq() -> None:
    table = scenes(4, 3)
    vectors = plant("mixed", table, dim=5, noise=0.3).vectors
    features = np.zeros((len(table), 14))
    for slot in range(2):
        features[np.arange(len(table)), 7 * slot + table.values[:, slot, 0]] = 1
        features[np.arange(len(table)), 7 * slot + 4 + table.values[:, slot, 1]] = 1
    wanted = features @ np.linalg.lstsq(features, vectors, rcond=None)[0]
    assert load_approximator("additive").fit(table, vectors).predict(table) == pytest.approx(wanted, abs=1e-9)


def test_ridge_agrees_with_scikit_learn() -> None:
    from sklearn.linear_model import Ridge

    table = scenes(4, 3)
    vectors = plant("mixed", table, dim=5, noise=0.3).vectors
    features = np.zeros((len(table), 14))
    for slot in range(2):
        features[np.arange(len(table)), 7 * slot + table.values[:, slot, 0]] = 1
        features[np.arange(len(table)), 7 * slot + 4 + table.values[:, slot, 1]] = 1
    wanted = Ridge(alpha=0.2 * len(table)).fit(features, vectors).predict(features)
    found = load_approximator("ridge?penalty=0.2").fit(table, vectors).predict(table)
    assert found == pytest.approx(wanted, abs=1e-8)


def test_perceptron_learns_its_training_scenes_and_an_additive_rule() -> None:
    table = scenes(5, 5)
    vectors = plant("bag", table, dim=16).vectors
    train, test = sides(table, 0.6)
    fitted = load_approximator("mlp:256").fit(table.take(train), vectors[train])
    assert fitted.fits_training
    assert fitted.train_r2 > 0.99
    assert r2(vectors[test], fitted.predict(table.take(test))) > 0.8


def test_a_learner_that_does_not_train_is_marked() -> None:
    table = scenes(5, 5)
    vectors = plant("object", table, dim=16).vectors
    assert not load_approximator("mlp:64?rate=1e-7").fit(table, vectors).fits_training
    assert not load_approximator("additive").fit(table, vectors).fits_training


def test_tuning_chooses_inside_the_training_table() -> None:
    table = scenes(4, 4)
    vectors = plant("bag", table, dim=8).vectors
    for name in ("mlp:16?epochs=2", "forest?trees=4", "xgboost?rounds=4"):
        fitted = load_approximator(name, tune=True).fit(table, vectors)
        assert "validation_r2" in fitted.notes


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("addditive", "did you mean additive"),
        ("mlp", "mlp:WIDTH"),
        ("mlp:wide", "mlp:WIDTH"),
        ("mlp:0", "width must be in 1"),
        ("mlp:8x99", "depth in 1"),
        ("mlp:8?epoch=3", "did you mean epochs"),
        ("additive:4", "takes no argument"),
        ("per-object?rank=-1", "rank must be"),
        ("global?slots=both", "one of own, shared"),
        ("module:nowhere", "expected module:package.module:factory"),
        ("module:no.such.module:make", "cannot make"),
        ("module:builtins:dict", "expected an Approximator"),
    ],
)
def test_wrong_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_approximator(name)


class Constant(Approximator):
    """Predicts the mean."""

    name = "constant"

    def solve(self, table: SceneTable, vectors: np.ndarray, seed: int) -> Solution:
        mean = vectors.mean(axis=0)
        return Solution(lambda other: np.tile(mean, (len(other), 1)))


def test_ones_own_learner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.LEARNERS, "added", {})
    register("constant", lambda rest, tune: Constant(), "the mean")
    assert approximator_names()["constant"] == "the mean"
    table = scenes(3, 3)
    fitted = load_approximator("constant").fit(table, plant("bag", table).vectors)
    assert fitted.train_r2 == pytest.approx(0.0)
    with pytest.raises(UnknownNameError, match="did you mean constant"):
        load_approximator("konstant")
    with pytest.raises(InputError, match="cannot name a learner"):
        register("additive", lambda rest, tune: Constant())


def test_unseen_values_do_no_harm() -> None:
    """Below the coverage that identifies, an unseen value adds nothing and blows nothing up."""
    space = ConceptSpace((Concept("c0", ("a", "b", "c")), Concept("c1", ("x", "y", "z"))))
    table = scenes(3, 3)
    assert table.space.sizes == space.sizes
    vectors = plant("bag", table, dim=4).vectors
    train = (table.values[:, :, 0] < 2).all(axis=1)
    for name in FAST:
        predicted = load_approximator(name).fit(table.take(train), vectors[train]).predict(table)
        assert np.abs(predicted).max() < 50 * np.abs(vectors).max(), name
