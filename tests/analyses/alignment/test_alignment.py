"""Alignment on worlds whose maps are known, the maps against closed forms, and the null."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group

from bindscope.analyses.alignment.alignment import Alignment, align
from bindscope.analyses.alignment.maps import MAPS, choose_penalty, prepare
from bindscope.analyses.alignment.measure import best_of
from bindscope.analyses.sides import TwoSides
from bindscope.errors import TableError
from bindscope.scenes import SceneTable
from bindscope.uncertainty import p_value
from planted import designs, plant, scenes, space_of


def found(sides: TwoSides, component: str, estimator: str) -> Alignment:
    return next(one for one in align(sides) if (one.component, one.estimator) == (component, estimator))


def worlds(table: SceneTable, dim: int, own: bool) -> tuple[np.ndarray, np.ndarray]:
    base = plant("bag", table, dim=dim, seed=1).vectors
    seen = base + plant("object", table, dim=dim, seed=2).vectors
    return seen, base + plant("object", table, dim=dim, seed=3 if own else 2).vectors


@pytest.mark.parametrize(
    ("component", "estimator"),
    [("concepts", "identity"), *((one, name) for one in ("interaction", "objects") for name in MAPS)],
)
def test_the_same_function_aligns_exactly(component: str, estimator: str) -> None:
    table = scenes(5, 4)
    seen, told = worlds(table, 64, own=False)
    one = found(TwoSides.of(seen, table, told[None], table), component, estimator)
    assert one.r2 == pytest.approx(1.0, abs=1e-6)
    assert one.train_r2 == pytest.approx(1.0, abs=1e-6)
    if component == "interaction":
        assert np.nanmax(one.null) < 0.6


def test_concepts_are_held_against_the_identity_alone_and_can_fail() -> None:
    """Two additive codes that share nothing map onto each other exactly by ridge; they are not the same vectors."""
    table = scenes(6, 5)
    seen, told = (plant("bag", table, dim=32, seed=seed).vectors for seed in (1, 2))
    every = [one for one in align(TwoSides.of(seen, table, told[None], table)) if one.component == "concepts"]
    assert [one.estimator for one in every] == ["identity"]
    assert every[0].r2 < 0.1
    assert p_value(every[0].r2, every[0].null) > 0.01


def test_objects_of_unrelated_additive_sides_are_not_significant() -> None:
    """Ridge predicts them, and predicts relabelled ones as well."""
    table = scenes(6, 5)
    seen, told = (plant("bag", table, dim=32, seed=seed).vectors for seed in (3, 4))
    one = found(TwoSides.of(seen, table, told[None], table), "objects", "ridge")
    assert one.r2 > 0.9
    assert p_value(one.r2, one.null) > 0.05


def test_the_best_map_is_held_against_the_best_of_each_permutation() -> None:
    table = scenes(5, 4)
    seen, told = worlds(table, 24, own=True)
    every = align(TwoSides.of(seen, table, told[None], table))
    (best,) = best_of(every)
    maps = [one for one in every if one.component == "interaction"]
    assert len({one.null[0] for one in maps}) == 3  # the same permutations under three maps
    null = np.max([one.null[:49] for one in maps], axis=0)
    assert best.value == p_value(max(one.r2 for one in maps), null)
    assert (best.target, best.estimator) == ("interaction", "best")
    assert best_of([one for one in every if one.component == "concepts"]) == []


def test_unrelated_interactions_have_even_p_values() -> None:
    found_p = []
    for seed in range(24):
        table = scenes(5, 4)
        base = plant("bag", table, dim=12, seed=seed).vectors
        seen = base + plant("object", table, dim=12, seed=100 + seed).vectors
        told = base + plant("object", table, dim=12, seed=200 + seed).vectors
        one = found(TwoSides.of(seen, table, told[None], table), "interaction", "identity")
        found_p.append(p_value(one.r2, one.null))
    assert 0.3 < np.mean(found_p) < 0.7
    assert np.mean(np.array(found_p) <= 0.05) < 0.17


@pytest.mark.parametrize("estimator", MAPS)
@pytest.mark.parametrize("dim", [12, 64])
def test_own_objects_on_each_side_do_not_align(estimator: str, dim: int) -> None:
    table = scenes(6, 5)
    seen, told = worlds(table, dim, own=True)
    sides = TwoSides.of(seen, table, told[None], table)
    binding = found(sides, "interaction", estimator)
    assert binding.r2 < 0.15
    assert p_value(binding.r2, binding.null) > 0.005
    assert found(sides, "concepts", "identity").r2 > 0.15  # the concepts are shared


def test_a_turned_binding_part_is_found_by_the_maps_but_not_by_the_identity() -> None:
    """More training objects than dimensions: the rotation can be learnt and is right for held-out objects."""
    table, dim = scenes(7, 6), 12
    base = plant("bag", table, dim=dim, seed=1).vectors
    own = plant("object", table, dim=dim, seed=2).vectors
    turn = ortho_group.rvs(dim, random_state=0)
    sides = TwoSides.of(base + own, table, (base @ turn + 2.0 * own @ turn)[None], table)
    assert found(sides, "interaction", "identity").r2 < 0.5
    assert found(sides, "interaction", "ridge").r2 > 0.99
    assert found(sides, "interaction", "procrustes").r2 > 0.99


def test_slots_and_order_are_residual_and_noise_does_not_align() -> None:
    table = scenes(5, 4)
    seen, told = worlds(table, 24, own=False)
    order = plant("object", table, dim=24, slots="own", seed=7)
    extra = order.vectors - order.vectors.mean(axis=0)
    both = TwoSides.of(seen + extra, table, (told + extra)[None], table)
    assert found(both, "residual", "identity").r2 > 0.95
    rng = np.random.default_rng(0)
    noisy = TwoSides.of(seen + rng.normal(size=seen.shape), table, (told + rng.normal(size=seen.shape))[None], table)
    assert abs(found(noisy, "residual", "identity").r2) < 0.1


def test_a_bag_has_no_binding_part_to_align() -> None:
    table = scenes(5, 4)
    vectors = plant("bag", table, dim=32).vectors
    components = {one.component for one in align(TwoSides.of(vectors, table, vectors[None], table))}
    assert components == {"concepts", "objects"}


def test_held_out_objects_do_not_reach_the_fit() -> None:
    """Independent object vectors in few dimensions: with a leak through the margins ridge would predict them."""
    figures = []
    for seed in range(5):
        table = scenes(6, 6)
        seen = plant("object", table, dim=200, seed=50 + seed).vectors
        told = plant("object", table, dim=200, seed=80 + seed).vectors
        figures.append(found(TwoSides.of(seen, table, told[None], table), "interaction", "ridge").r2)
    assert max(figures) < 0.05


@pytest.mark.parametrize("name", designs())
def test_every_design_is_stood(name: str) -> None:
    table = designs()[name]
    table = table.take(table.rows_with(table.headline_count))
    vectors = plant("mixed", table, dim=16, noise=0.1).vectors
    _, first = np.unique(table.scene_ids, return_index=True)
    for one in align(TwoSides.of(vectors, table, vectors[None, first], table.take(first))):
        assert np.isfinite(one.r2)
        assert one.error.shape == one.total.shape


def test_one_object_and_too_many_are_refused() -> None:
    one = SceneTable.build(space_of(1, 1), [[[0, 0]], [[0, 0]]])
    with pytest.raises(TableError, match="nothing can be held out"):
        align(TwoSides.of(np.ones((2, 3)), one, np.ones((1, 2, 3)), one))
    table = SceneTable.build(space_of(50, 50), [[[0, 0]], [[1, 1]]], candidates=np.arange(2500))
    with pytest.raises(TableError, match="at most 2,000 objects"):
        align(TwoSides.of(np.ones((2, 3)), table, np.ones((1, 2, 3)), table))


@pytest.mark.parametrize(("n", "d"), [(30, 6), (5, 9)])
def test_maps_are_their_closed_forms(n: int, d: int) -> None:
    rng = np.random.default_rng(0)
    a, b, more = rng.normal(size=(n, d)), rng.normal(size=(n, d)), rng.normal(size=(4, d))
    scale = (a * b).sum() / (a**2).sum()
    np.testing.assert_allclose(prepare("identity", a, more, 1.0)(b)[0], scale * more)
    level = 0.3 * (a**2).sum() / n
    weights = scale * np.eye(d) + np.linalg.solve(a.T @ a + level * np.eye(d), a.T @ (b - scale * a))
    np.testing.assert_allclose(prepare("ridge", a, more, 0.3)(b)[0], more @ weights, atol=1e-9)
    if n > d:  # the data decide the rotation alone
        turn, _ = orthogonal_procrustes(a, b)
        size = (a @ turn * b).sum() / (a**2).sum()
        np.testing.assert_allclose(prepare("procrustes", a, more, 1e-12)(b)[0], size * (more @ turn), atol=1e-6)


def test_a_large_penalty_is_the_identity() -> None:
    rng = np.random.default_rng(1)
    a, b, more = rng.normal(size=(20, 5)), rng.normal(size=(20, 5)), rng.normal(size=(4, 5))
    plain = prepare("identity", a, more, 1.0)(b)[0]
    for name in ("ridge", "procrustes"):
        np.testing.assert_allclose(prepare(name, a, more, 1e9)(b)[0], plain, atol=1e-6)


def test_penalty_is_large_for_noise_and_small_for_a_map() -> None:
    rng = np.random.default_rng(2)
    a, more = rng.normal(size=(60, 6)), rng.normal(size=(30, 6))
    weights = rng.normal(size=(6, 6))
    assert choose_penalty("ridge", a, a @ weights, more, more @ weights) <= 1e-4
    noise, other = rng.normal(size=(60, 6)), rng.normal(size=(30, 6))
    assert choose_penalty("ridge", a, noise, more, other) >= 1.0


def test_same_seed_same_numbers() -> None:
    table = scenes(5, 4)
    seen, told = worlds(table, 16, own=True)
    sides = TwoSides.of(seen, table, told[None], table)
    first, again = align(sides, seed=3), align(sides, seed=3)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.null, other.null)
        np.testing.assert_array_equal(one.error, other.error)
