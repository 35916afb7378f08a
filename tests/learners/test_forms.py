"""Forms with a product term: planted truth, and second implementations of the fit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from bindscope.datasets import load_dataset
from bindscope.encoders import load_encoder
from bindscope.learners.parts import ObjectParts, global_features, per_object_features
from bindscope.learners.products import Cells, Effort, _Gradient, fit_product, prepared
from bindscope.learners.registry import load_approximator
from bindscope.scenes import SceneTable
from bindscope.splits import TEST, TRAIN, split_objects
from planted import incomplete, plant, random_scenes, scenes


def r2(real: np.ndarray, predicted: np.ndarray) -> float:
    return float(1 - ((real - predicted) ** 2).sum() / ((real - real.mean(0)) ** 2).sum())


def held_out(name: str, table: SceneTable, vectors: np.ndarray, coverage: float, seed: int = 0) -> float:
    sides = split_objects(table, coverage, seed).sides(table)
    train, test = sides == TRAIN, sides == TEST
    fitted = load_approximator(name).fit(table.take(train), vectors[train], seed)
    return r2(vectors[test], fitted.predict(table.take(test)))


@pytest.mark.parametrize("seed", range(3))
def test_product_world_is_learnt_by_per_object_and_not_by_additive(seed: int) -> None:
    data = load_dataset("text:12x12")
    encoder = load_encoder(f"planted:product?rank=4&dim=64&seed={seed}").prepare(data)
    vectors = encoder.encode(data.items).astype(np.float64)
    assert held_out("per-object", data.table, vectors, 0.7, seed) >= 0.99
    assert held_out("additive", data.table, vectors, 0.7, seed) < 0.5


@pytest.mark.parametrize("slots", ["own", "shared"])
@pytest.mark.parametrize(("sizes", "m"), [((6, 6), 1), ((4, 4, 3), 2), ((6, 5), 3)])
def test_product_world_of_other_shapes(slots: str, sizes: tuple[int, ...], m: int) -> None:
    table = scenes(*sizes, m=m, same=m < 3) if m < 3 else random_scenes(*sizes, n=2500, m=m)
    vectors = plant("product", table, dim=24, rank=2, slots="shared").vectors
    assert held_out(f"per-object?slots={slots}", table, vectors, 0.85) > 0.99


def test_scenes_of_an_incomplete_design_are_fitted_exactly() -> None:
    table = incomplete(scenes(7, 6), 0.9)
    vectors = plant("product", table, dim=24, rank=2).vectors
    fitted = load_approximator("per-object?rank=2").fit(table, vectors)
    assert fitted.train_r2 == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("slots", ["own", "shared"])
def test_global_product_is_learnt_by_global(slots: str) -> None:
    table = scenes(5, 4, same=True)
    rng = np.random.default_rng(1)
    copies = 2 if slots == "own" else 1
    factors = [rng.normal(size=(size + 1, 2)) for _ in range(copies) for size in table.space.sizes]
    signal = global_features(table, factors, slots) @ rng.normal(size=(2, 16))  # type: ignore[arg-type]
    vectors = plant("bag", table, dim=16).vectors + 2 * signal
    left = 1 - held_out(f"global?slots={slots}&rank=2", table, vectors, 0.8)
    assert left < 0.02
    assert left < 0.2 * (1 - held_out("additive", table, vectors, 0.8))


def test_bag_needs_no_product() -> None:
    table = scenes(5, 5)
    vectors = plant("bag", table, dim=16).vectors
    for name in ("per-object", "global"):
        assert load_approximator(name).fit(table, vectors).notes["rank"] == 0


def test_rank_zero_is_the_additive_fit() -> None:
    table = scenes(4, 4)
    vectors = plant("mixed", table, dim=8).vectors
    wanted = load_approximator("additive").fit(table, vectors).predict(table)
    for name in ("per-object?rank=0", "global?rank=0"):
        assert load_approximator(name).fit(table, vectors).predict(table) == pytest.approx(wanted, abs=1e-7)


def test_too_high_a_rank_shows_in_the_norm() -> None:
    table = scenes(6, 6, m=1)
    vectors = plant("mixed", table, dim=24).vectors
    norms = [
        load_approximator(f"per-object?rank={rank}&ridge=1e-6").fit(table, vectors).notes["factor_norm"]
        for rank in (1, 6)
    ]
    assert norms[1] > 2 * norms[0]


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_two_modes_and_one_output_are_a_truncated_svd(rank: int) -> None:
    """With d = 1 and no missing cell the product term is the best approximation of the doubly centred matrix."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(7, 6))
    codes = np.stack(np.unravel_index(np.arange(42), (7, 6)), axis=1)
    found = fit_product(
        Cells(codes, (7, 6), np.ones(42)), matrix.reshape(-1, 1), rank, 1e-9, 0, Effort(24, 3000, 1e-10)
    )
    centred = matrix - matrix.mean(0) - matrix.mean(1, keepdims=True) + matrix.mean()
    singular = np.linalg.svd(centred, compute_uv=False) ** 2
    assert found.left == pytest.approx(singular[rank:].sum() / singular.sum(), abs=2e-3)


def test_polishing_lowers_the_error_on_scenes_of_an_unbalanced_table() -> None:
    table = random_scenes(5, 4, n=60, m=2, seed=3)
    vectors = plant("mixed", table, dim=6, noise=0.5).vectors
    parts = ObjectParts(table, vectors - vectors.mean(0), "own")
    rough = parts.fit(2, 0.1, 0, Effort(8, 200), None)
    fine = parts.polished(rough, 0.1)
    assert parts._on_scenes(fine, 0.1)[1] <= parts._on_scenes(rough, 0.1)[1]


def test_gradient_of_the_shared_product() -> None:
    table = scenes(3, 3)
    vectors = plant("mixed", table, dim=4).vectors
    codes = table.values.reshape(len(table), -1)
    problem = prepared(Cells(codes, (3, 3, 3, 3), np.ones(len(table))), vectors, Effort())
    assert problem is not None
    loss = _Gradient(*problem, 2, 0.05, 2)
    start = np.random.default_rng(0).normal(size=12)
    error = optimize.check_grad(lambda x: loss.loss(x)[0], lambda x: loss.loss(x)[1], start)
    assert error < 1e-4


def test_features_of_products_against_loops() -> None:
    table = random_scenes(3, 2, n=20, m=3, absent=0.3)
    rng = np.random.default_rng(0)
    per_object = [rng.normal(size=(size * 3 + 1, 2)) for size in (3, 2)]
    whole = [rng.normal(size=(size + 1, 2)) for _ in range(3) for size in (3, 2)]
    for factor in whole:
        factor[-1] = 1.0
    for row in range(20):
        total, product = np.zeros(2), np.ones(2)
        for slot in np.flatnonzero(table.present[row]):
            a, b = table.values[row, slot]
            total += per_object[0][a + 3 * slot] * per_object[1][b + 2 * slot]
            product *= whole[2 * slot][a] * whole[2 * slot + 1][b]
        assert per_object_features(table.take([row]), per_object, "own")[0] == pytest.approx(total)
        assert global_features(table.take([row]), whole, "own")[0] == pytest.approx(product)
