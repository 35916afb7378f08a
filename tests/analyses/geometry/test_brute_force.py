"""Shares and Level II against plain loops and numpy on random small tables: unbalanced, incomplete, any m and C."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindscope.analyses.geometry.levels import fit_additive, level2_objects
from bindscope.analyses.variance.shares import variance_shares
from bindscope.concepts import ABSENT
from bindscope.errors import TableError
from bindscope.scenes import SceneTable
from bindscope.splits import object_folds
from planted import random_scenes, scenes

quick = settings(deadline=None, max_examples=25, derandomize=True)
tables = st.builds(
    lambda sizes, n, m, seed: random_scenes(*sizes, n=n, m=m, seed=seed),
    st.sampled_from([(2, 2), (3, 2), (2, 2, 2), (4,), (1, 3), (3, 3)]),
    st.integers(3, 40),
    st.integers(1, 3),
    st.integers(0, 10_000),
)


def dense(table: SceneTable, steps: tuple[str, ...]) -> np.ndarray:
    """Indicator columns of the named steps, written out scene by scene."""
    columns: dict[Hashable, int] = {}
    rows: list[dict[int, int]] = []
    for scene in table.values.tolist():
        keys: list[Hashable] = ["mean"]
        for i, cells in enumerate(scene):
            keys += [("concept", k, v) for k, v in enumerate(cells)] if "concepts" in steps else []
            keys += [("slot", i, k, v) for k, v in enumerate(cells)] if "slot" in steps else []
            keys += [("object", i, *cells)] if "interaction" in steps else []
        if "cross_object" in steps:
            for (i, a), (j, b) in combinations(enumerate(scene), 2):
                keys += [("pair", i, j, k, l, v, w) for k, v in enumerate(a) for l, w in enumerate(b)]  # noqa: E741
        row: dict[int, int] = {}
        for key in keys:
            place = columns.setdefault(key, len(columns))
            row[place] = row.get(place, 0) + 1
        rows.append(row)
    out = np.zeros((len(rows), len(columns)))
    for number, row in enumerate(rows):
        for place, count in row.items():
            out[number, place] = count
    return out


def left_over(design: np.ndarray, vectors: np.ndarray) -> float:
    return float(((vectors - design @ np.linalg.lstsq(design, vectors, rcond=None)[0]) ** 2).sum())


@given(tables, st.integers(0, 100))
@quick
def test_shares_are_drops_of_the_squared_error(table: SceneTable, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(len(table), 3)) + 5.0
    found = variance_shares(vectors, table)
    steps = ("concepts", "slot", "interaction", "cross_object")
    errors = [left_over(dense(table, steps[:count]), vectors) for count in range(5)]
    for step, name in enumerate((*steps, "residual")):
        expected = (errors[step] - (errors[step + 1] if step < 4 else 0.0)) / errors[0]
        assert found.share(step) == pytest.approx(expected, abs=1e-7), name
    ranks = [np.linalg.matrix_rank(dense(table, steps[:count])) for count in range(5)]
    assert list(found.ranks) == ranks
    ids = table.scene_ids
    within = sum(((vectors[ids == i] - vectors[ids == i].mean(axis=0)) ** 2).sum() for i in np.unique(ids))
    free = len(table) - len(np.unique(ids))
    if not free:
        assert found.noise is None
        return
    assert found.noise_share == pytest.approx(within / free * (len(table) - 1) / errors[0])
    between = len(np.unique(ids)) - ranks[-1]
    if between > 0:  # what a column without meaning takes: the spread between scenes that no pair explains
        expected = (errors[4] - within) / between * (ranks[3] - ranks[2]) / errors[0]
        assert found.correction(2) == pytest.approx(expected, abs=1e-7)
    elif between == 0:
        assert found.correction(2) == pytest.approx(within / free * (ranks[3] - ranks[2]) / errors[0], abs=1e-7)


@pytest.mark.parametrize("own", [0.0, 1.0], ids=["noise alone", "a vector of every scene"])
def test_columns_without_meaning_get_no_share_with_replicates(own: float) -> None:
    table = scenes(4, 4, replicates=2)
    raw, corrected = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        structure = own * rng.normal(size=(240, 30))[table.scene_ids]
        found = variance_shares(structure + 0.5 * rng.normal(size=(480, 30)), table)
        raw.append([found.share(step) for step in range(4)])
        corrected.append([found.corrected(step) for step in range(4)])
    assert np.abs(np.mean(corrected, axis=0)).max() < 0.006
    assert np.mean(raw, axis=0)[2] > 0.03


def object_errors(vectors: np.ndarray, values: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared error and total of the objects that do not train (or of all, where all train)."""
    test = np.ones(len(train), dtype=bool) if train.all() else ~train
    columns = [np.eye(int(values[:, k].max()) + 1)[values[:, k]] for k in range(values.shape[1])]
    design = np.concatenate(columns, axis=1)
    mean = vectors[train].mean(axis=0)
    fitted = np.linalg.lstsq(design[train], vectors[train] - mean, rcond=None)[0]
    away = vectors[test] - mean
    return ((away - design[test] @ fitted) ** 2).sum(axis=1), (away**2).sum(axis=1)


@given(tables, st.sampled_from(["avg", "avg+pos", "ols", "ols+pos"]), st.integers(0, 20))
@quick
def test_level2_of_objects_by_numpy(table: SceneTable, estimator: str, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(len(table), 3))
    model = fit_additive(vectors, table, estimator, "level1")
    blocks = np.split(model.coefficients, table.n_slots if "pos" in estimator else 1)
    for held_out in (False, True):
        expected_error, expected_total = [], []
        for slot, block in enumerate(blocks):
            codes = table.object_codes[:, slot] if "pos" in estimator else table.object_codes.ravel()
            seen = np.unique(codes[codes != ABSENT])
            if len(seen) < 2:
                continue
            values, own = table.candidate_values[seen], block[seen]
            error, total, times = np.zeros(len(seen)), np.zeros(len(seen)), np.zeros(len(seen))
            everyone = np.ones(len(seen), dtype=bool)
            alone = SceneTable.build(table.space, values[:, None, :])
            splits = object_folds(alone, 0.8 if len(seen) > 4 else 0.5, 3) if held_out else []
            for train in [s.train for s in splits if s.identified] if held_out else [everyone]:
                test = everyone if train.all() else ~train
                missed, spread = object_errors(own, values, train)
                error[test] += missed
                total[test] += spread
                times[test] += 1
            expected_error.append(error / np.maximum(times, 1))
            expected_total.append(total / np.maximum(times, 1))
        if not expected_error:
            with pytest.raises(TableError, match=r"fewer than two objects"):
                level2_objects(model, table, held_out, 3)
            continue
        error, total, codes = level2_objects(model, table, held_out, 3)
        assert np.allclose(error, np.concatenate(expected_error), atol=1e-8)
        assert np.allclose(total, np.concatenate(expected_total), atol=1e-8)
        assert len(codes) == len(error)
