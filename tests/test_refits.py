"""Fits without a value or an object against fits made anew on the rows that are left."""

from __future__ import annotations

import numpy as np
import pytest

from bindscope import refits
from bindscope.design import concept_design, object_design
from bindscope.jackknife import Jackknife
from bindscope.refits import refitted_r2
from bindscope.scenes import SceneTable
from planted import random_scenes


def r2_by_lstsq(design: np.ndarray, vectors: np.ndarray) -> float:
    away = vectors - vectors.mean(axis=0)
    left = away - design @ np.linalg.lstsq(design, away, rcond=None)[0]
    return float(1 - np.square(left).sum() / np.square(away).sum())


@pytest.fixture
def table() -> SceneTable:
    return random_scenes(4, 3, n=70, m=2, seed=1)


@pytest.mark.parametrize("by_slot", [False, True])
@pytest.mark.parametrize("design", [object_design, concept_design])
def test_against_fits_made_anew(table: SceneTable, design: object, by_slot: bool) -> None:
    columns = design(table, by_slot)  # type: ignore[operator]
    vectors = np.random.default_rng(0).normal(size=(len(table), 5)) + columns @ np.ones((columns.shape[1], 5))
    found = refitted_r2(vectors.astype(np.float32), columns, Jackknife.of(table))
    assert found is not None
    dense = columns.toarray()
    for k, left in enumerate(found.values):
        for value, one in enumerate(left):
            rows = ~(table.values[:, :, k] == value).any(axis=1)
            assert one == pytest.approx(r2_by_lstsq(dense[rows], vectors[rows]), abs=1e-5)
    assert found.objects is not None
    shown = [o for o in range(table.n_objects) if (table.object_codes == o).any()]
    for code, one in zip(shown, found.objects, strict=True):
        rows = ~(table.object_codes == code).any(axis=1)
        assert one == pytest.approx(r2_by_lstsq(dense[rows], vectors[rows]), abs=1e-5)


def test_what_takes_too_long_is_left_out(table: SceneTable, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, columns = np.random.default_rng(0).normal(size=(len(table), 5)), object_design(table, False)
    each = columns.shape[1] ** 2 * (columns.shape[1] / 3 + 5)
    monkeypatch.setattr(refits, "MOST", 8 * each)
    found = refitted_r2(vectors, columns, Jackknife.of(table))
    assert found is not None
    assert found.objects is None
    monkeypatch.setattr(refits, "MOST", 6 * each)
    assert refitted_r2(vectors, columns, Jackknife.of(table)) is None


def test_constant_remainders_are_passed_over() -> None:
    """Vectors that vary with one value alone: without it nothing is left to explain."""
    table = random_scenes(3, 3, n=60, m=1, seed=2)
    vectors = np.repeat((table.values[:, 0, :1] == 0).astype(float), 4, axis=1)
    found = refitted_r2(vectors, concept_design(table, False), Jackknife.of(table))
    assert found is not None
    assert len(found.values[0]) == 2
