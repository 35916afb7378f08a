"""Designs and least squares against dense matrices written out by hand and numpy.linalg.lstsq."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import sparse

from bindscope import design as module
from bindscope.concepts import ABSENT
from bindscope.design import (
    MAX_COLUMNS,
    Sums,
    centre,
    checked_vectors,
    concept_design,
    cross_products,
    fit,
    gram,
    object_design,
    pair_design,
    parse_estimator,
    rank,
    solve,
    squared_errors,
)
from bindscope.errors import InputError, VectorsError
from bindscope.scenes import SceneTable
from planted import designs, plant, random_scenes, scenes, space_of

DESIGNS = designs()
MAKERS: dict[str, Callable[[SceneTable], sparse.csr_matrix]] = {
    "objects": lambda t: object_design(t, by_slot=False),
    "objects+slot": lambda t: object_design(t, by_slot=True),
    "concepts": lambda t: concept_design(t, by_slot=False),
    "concepts+slot": lambda t: concept_design(t, by_slot=True),
    "pairs": pair_design,
    "all": lambda t: sparse.hstack([concept_design(t, True), object_design(t, True), pair_design(t)]).tocsr(),
}
CASES = [(table, maker) for table in DESIGNS for maker in MAKERS]


def dense_objects(table: SceneTable, by_slot: bool) -> np.ndarray:
    out = np.zeros((len(table), table.n_slots if by_slot else 1, table.n_objects))
    for row in range(len(table)):
        for slot in range(table.n_slots):
            if table.present[row, slot]:
                here = np.flatnonzero((table.candidate_values == table.values[row, slot]).all(axis=1))
                out[row, slot if by_slot else 0, here] += 1
    return out.reshape(len(table), -1)


def dense_concepts(table: SceneTable, by_slot: bool) -> np.ndarray:
    blocks = []
    for slot in range(table.n_slots):
        parts = [table.values[:, slot, k, None] == np.arange(size) for k, size in enumerate(table.space.sizes)]
        blocks.append(np.concatenate(parts, axis=1).astype(float))
    return np.concatenate(blocks, axis=1) if by_slot else np.sum(blocks, axis=0)


def dense_pairs(table: SceneTable) -> np.ndarray:
    """Every product of a value indicator in one slot with one in a later slot; columns without rows are dropped."""
    width = sum(table.space.sizes)
    indicators = dense_concepts(table, by_slot=True).reshape(len(table), table.n_slots, width)
    columns = [
        indicators[:, i, a] * indicators[:, j, b]
        for i in range(table.n_slots)
        for j in range(i + 1, table.n_slots)
        for a in range(width)
        for b in range(width)
    ]
    kept = [column for column in columns if column.any()]
    return np.array(kept).T if kept else np.zeros((len(table), 0))


def sorted_columns(matrix: np.ndarray) -> np.ndarray:
    return matrix[:, np.lexsort(matrix)]


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("by_slot", [False, True])
def test_object_and_concept_designs_written_out(name: str, by_slot: bool) -> None:
    table = DESIGNS[name]
    assert np.array_equal(object_design(table, by_slot).toarray(), dense_objects(table, by_slot))
    assert np.array_equal(concept_design(table, by_slot).toarray(), dense_concepts(table, by_slot))


@pytest.mark.parametrize("name", DESIGNS)
def test_pair_design_written_out(name: str) -> None:
    table = DESIGNS[name]
    made = pair_design(table)
    assert isinstance(made, sparse.csr_matrix)
    expected = dense_pairs(table)
    assert made.shape == expected.shape
    assert np.array_equal(sorted_columns(made.toarray()), sorted_columns(expected))


@pytest.mark.parametrize(("name", "maker"), CASES)
def test_fit_agrees_with_lstsq(name: str, maker: str) -> None:
    """Predictions, the coefficients of least norm, the rank, and the leverages a' (A'A)^+ a."""
    table = DESIGNS[name]
    made = MAKERS[maker](table)
    vectors = np.random.default_rng(3).normal(size=(len(table), 5)) + 2.0
    dense = made.toarray()
    if not dense.shape[1]:
        assert fit(made, vectors).rank == rank(made) == 0
        assert not fit(made, vectors)(made).any()
        return
    expected, _, _, _ = np.linalg.lstsq(dense, vectors, rcond=1e-10)
    fitted = fit(made, vectors)
    assert fitted.rank == rank(made) == np.linalg.matrix_rank(dense)
    assert np.allclose(fitted(made), dense @ expected, atol=1e-9)
    assert np.allclose(fitted.coefficients, expected, atol=1e-9)
    pseudo = np.linalg.pinv(dense, rcond=1e-10)
    assert np.allclose(dense @ fitted.inverse @ dense.T, dense @ pseudo, atol=1e-9)
    assert np.trace(dense @ fitted.inverse @ dense.T) == pytest.approx(fitted.rank)


@pytest.mark.parametrize("name", DESIGNS)
def test_columns_without_rows_get_zero(name: str) -> None:
    table = DESIGNS[name].take(np.arange(min(4, len(DESIGNS[name]))))
    made = object_design(table, by_slot=True)
    fitted = fit(made, np.ones((len(table), 2)))
    unused = ~made.toarray().any(axis=0)
    assert not fitted.coefficients[unused].any()
    assert not fitted.inverse[unused].any()
    assert fitted.rank == np.linalg.matrix_rank(made.toarray())


@pytest.mark.parametrize("slots", ["shared", "own"])
@pytest.mark.parametrize("name", DESIGNS)
def test_a_world_is_explained_by_its_own_design(name: str, slots: str) -> None:
    """Objects explain every world; concepts explain a bag and, where there are interactions, not an object world."""
    table = DESIGNS[name]
    by_slot = slots == "own"
    for kind in ("bag", "object", "mixed", "product"):
        world = plant(kind, table, dim=6, slots=slots)  # type: ignore[arg-type]
        made = object_design(table, by_slot)
        assert squared_errors(world.vectors, fit(made, world.vectors)(made)).max() < 1e-16 * (world.vectors**2).sum()
        concepts = concept_design(table, by_slot)
        missed = squared_errors(world.vectors, fit(concepts, world.vectors)(concepts)).sum()
        if kind == "bag":
            assert missed < 1e-16 * (world.vectors**2).sum()
        elif rank(made) > rank(concepts):
            assert missed > 1e-3 * (world.vectors**2).sum()


def test_leave_one_out_by_leverage() -> None:
    """The error of a row left out is its residual / (1 - leverage)."""
    table = random_scenes(3, 3, n=80, m=2, seed=2)
    made = object_design(table, by_slot=False)
    vectors = plant("object", table, dim=4, noise=0.5).vectors
    fitted = fit(made, vectors)
    dense = made.toarray()
    leverage = np.einsum("np,pq,nq->n", dense, fitted.inverse, dense)
    for row in (0, 17, 79):
        others = np.delete(np.arange(len(table)), row)
        left_out = fit(made[others], vectors[others])
        expected = vectors[row] - left_out(made[row])[0]
        assert np.allclose((vectors[row] - fitted(made[row])[0]) / (1 - leverage[row]), expected, atol=1e-9)


def test_unbalanced_rows_do_not_lower_the_rank() -> None:
    """One scene a hundred thousand times beside others once."""
    table = scenes(4, 4)
    rows = np.concatenate([np.arange(len(table)), np.zeros(100_000, dtype=int)])
    made = object_design(table.take(rows), by_slot=False)
    assert rank(made) == 16
    world = plant("object", table, dim=3)
    fitted = fit(made, world.vectors[rows])
    assert np.allclose(fitted.coefficients, world.objects[0], atol=1e-8)


def test_single_precision_input_is_summed_in_double() -> None:
    table = scenes(3, 3)
    rows = np.tile(np.arange(len(table)), 300)
    vectors = (np.random.default_rng(0).normal(size=(len(rows), 2)) + 1000).astype(np.float32)
    made = object_design(table.take(rows), by_slot=False)
    expected = made.T @ vectors.astype(np.float64)
    assert np.allclose(cross_products(made, vectors), expected, rtol=1e-13)
    assert cross_products(made, vectors).dtype == np.float64
    centred, mean = centre(vectors)
    assert np.allclose(mean, vectors.astype(np.float64).mean(axis=0), rtol=1e-14)
    assert np.abs(centred.mean(axis=0)).max() < 1e-9


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    table = DESIGNS["mixed m"]
    made = concept_design(table, by_slot=True)
    vectors = np.random.default_rng(1).normal(size=(len(table), 3))
    guess = np.random.default_rng(2).normal(size=vectors.shape)
    whole = cross_products(made, vectors), squared_errors(vectors, guess)
    monkeypatch.setattr(module, "_ROWS", 7)
    assert np.allclose(cross_products(made, vectors), whole[0], atol=1e-12)
    assert np.allclose(squared_errors(vectors, guess), whole[1])
    assert np.allclose(whole[1], ((vectors - guess) ** 2).sum(axis=1))


def test_centre_by_some_rows() -> None:
    vectors = np.arange(12.0).reshape(4, 3)
    centred, mean = centre(vectors, np.array([True, False, True, False]))
    assert mean.tolist() == [3.0, 4.0, 5.0]
    assert np.array_equal(centred, vectors - mean)
    assert np.array_equal(centre(vectors, np.array([0, 2]))[1], mean)


def test_one_scene_one_object_one_value() -> None:
    one = SceneTable.build(space_of(1, 1), [[[0, 0]]])
    for maker in MAKERS.values():
        made = maker(one)
        fitted = fit(made, np.array([[3.0, 4.0]]))
        assert fitted.rank == min(1, made.shape[1])
        assert np.allclose(fitted(made), [[3.0, 4.0]] if made.shape[1] else [[0.0, 0.0]])


def test_absent_everywhere_in_a_slot() -> None:
    table = SceneTable.build(space_of(2, 2), [[[ABSENT] * 2, [0, 1]], [[ABSENT] * 2, [1, 1]]])
    assert object_design(table, by_slot=True).toarray().tolist() == [[0, 0, 1, 0], [0, 0, 0, 1]]
    assert pair_design(table).shape == (2, 0)


def test_solve_of_nothing() -> None:
    fitted = solve(np.zeros((3, 3)), np.zeros((3, 2)))
    assert fitted.rank == 0
    assert not fitted.coefficients.any()
    assert rank(sparse.csr_matrix((4, 3))) == 0


def test_too_many_columns_are_refused() -> None:
    wide = sparse.csr_matrix((2, MAX_COLUMNS + 1))
    with pytest.raises(
        InputError, match="the design has 12,001 columns and a least-squares fit here takes at most 12,000"
    ):
        gram(wide)


def test_checked_vectors_lets_real_numbers_pass() -> None:
    for kind in (np.float16, np.float32, np.float64):
        vectors = np.ones((3, 2), dtype=kind)
        assert checked_vectors(vectors, 3) is vectors
    whole = checked_vectors(np.ones((3, 2), dtype=np.int8), 3)
    assert whole.dtype == np.float32


def test_checked_vectors_refuses() -> None:
    good = np.ones((3, 2))
    with pytest.raises(VectorsError, match=r"vectors must have shape \[scenes, dimensions\], got \[3\]"):
        checked_vectors(np.ones(3), 3)
    with pytest.raises(VectorsError, match=r"vectors must have shape \[scenes, dimensions\], got \[3, 0\]"):
        checked_vectors(np.ones((3, 0)), 3)
    with pytest.raises(VectorsError, match="the table has 4 rows and the vectors have 3; give one vector a row"):
        checked_vectors(good, 4)
    for kind in (np.complex128, np.bool_, object, "U3"):
        with pytest.raises(VectorsError, match="vectors must be real numbers, got"):
            checked_vectors(good.astype(kind), 3)  # type: ignore[arg-type]
    for bad, word in ((np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")):
        broken = np.ones((20_000, 2), dtype=np.float32)
        broken[17_001, 1] = bad
        with pytest.raises(VectorsError, match=f"vector 17001, dimension 1 is {word}; all numbers must be finite"):
            checked_vectors(broken, 20_000)


@pytest.mark.parametrize("kind", ["ols", "avg"])
@pytest.mark.parametrize("name", DESIGNS)
def test_sums_of_parts_add_up_and_give_the_vectors_of_each_object(name: str, kind: str) -> None:
    table = DESIGNS[name]
    vectors = np.random.default_rng(3).normal(size=(len(table), 5)) + 1.0
    design, part = object_design(table, False), np.arange(len(table)) % 3 == 0
    whole = Sums.of(vectors, design, kind)
    inside, outside = Sums.of(vectors[part], design[part], kind), Sums.of(vectors[~part], design[~part], kind)
    np.testing.assert_allclose(
        Sums.joined([inside, outside]).fitted().coefficients, whole.fitted().coefficients, atol=1e-9
    )
    np.testing.assert_allclose(whole.without(inside).mean, vectors[~part].mean(axis=0))
    centred, dense = vectors - vectors.mean(axis=0), design.toarray()
    np.testing.assert_allclose(whole.mean, vectors.mean(axis=0))
    if kind == "ols":
        expected = np.linalg.lstsq(dense, centred, rcond=1e-9)[0]
    else:
        shown = dense > 0
        expected = np.stack([centred[rows].mean(axis=0) if rows.any() else np.zeros(5) for rows in shown.T])
    np.testing.assert_allclose(whole.fitted().coefficients, expected, atol=1e-8)


def test_estimators_are_parsed_or_refused() -> None:
    assert [parse_estimator(name) for name in ("avg", "ols+pos")] == [("avg", False), ("ols", True)]
    for name in ("single", "ols+slot", ""):
        with pytest.raises(InputError, match=r"unknown estimator .*; expected one of avg"):
            parse_estimator(name)


def test_svd_takes_the_slower_driver_where_the_fast_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = np.random.default_rng(0).normal(size=(7, 4))
    whole = np.linalg.svd(matrix, full_matrices=False)
    real = module.linalg.svd

    def fast_fails(*given: object, lapack_driver: str, **more: object) -> object:
        if lapack_driver == "gesdd":
            raise np.linalg.LinAlgError("SVD did not converge")
        return real(*given, lapack_driver=lapack_driver, **more)

    monkeypatch.setattr(module.linalg, "svd", fast_fails)
    left, values, right = module.svd(matrix)
    np.testing.assert_allclose(values, whole[1])
    np.testing.assert_allclose(left * values @ right, matrix, atol=1e-12)
