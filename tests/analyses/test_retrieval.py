"""Top-1 retrieval against a plain loop; its rule for ties; unit vectors."""

from __future__ import annotations

import numpy as np
import pytest

from bindscope.analyses import retrieval
from bindscope.analyses.retrieval import TIE, own_minus_others, top1, unit


@pytest.mark.parametrize("cells", [1, 1_000_000])
def test_gaps_are_those_of_a_plain_loop(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "_CELLS", cells)
    rng = np.random.default_rng(0)
    gallery, queries = unit(rng.normal(size=(300, 6))), unit(rng.normal(size=(150, 6)))
    first = rng.integers(0, 290, 150)
    end = first + rng.integers(1, 10, 150)
    found = own_minus_others(queries, gallery, first, end)
    for i, gap in enumerate(found):
        scores = gallery.astype(np.float64) @ queries[i]
        own = np.zeros(300, dtype=bool)
        own[first[i] : end[i]] = True
        assert gap == pytest.approx(scores[own].max() - scores[~own].max(), abs=1e-6)


def test_a_tie_is_a_miss_and_is_counted() -> None:
    found = top1(np.array([0.1, 2 * TIE, TIE / 2, 0.0, -TIE / 2, -0.1]))
    assert found.right.tolist() == [True, True, False, False, False, False]
    assert found.tied.tolist() == [False, False, True, True, True, False]


def test_two_equal_vectors_tie_and_nothing_is_no_query() -> None:
    gallery = unit(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]))
    found = top1(own_minus_others(gallery[:1], gallery, np.array([0]), np.array([1])))
    assert (found.right.tolist(), found.tied.tolist()) == ([False], [True])
    nothing = np.zeros(0, dtype=np.int64)
    assert len(own_minus_others(gallery[:0], gallery, nothing, nothing)) == 0


def test_unit_vectors_of_any_shape_and_zero_stays_zero() -> None:
    vectors = np.random.default_rng(1).normal(size=(2, 5, 3))
    vectors[1, 2] = 0.0
    found = unit(vectors)
    assert found.dtype == np.float32
    lengths = np.linalg.norm(found, axis=-1)
    assert lengths[1, 2] == 0
    np.testing.assert_allclose(np.delete(lengths.ravel(), 7), 1.0, atol=1e-6)
