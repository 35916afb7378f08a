from __future__ import annotations

import numpy as np
import pytest

from bindscope.analyses.codelength.coding import whitening
from bindscope.errors import InputError

VECTORS = np.random.default_rng(0).normal(size=(200, 6)) @ np.diag([9.0, 5.0, 3.0, 1.0, 0.1, 0.01]) + 4.0


def test_scores_have_unit_covariance() -> None:
    found = whitening(VECTORS, components=1.0)
    scores = found(VECTORS)
    np.testing.assert_allclose(scores.mean(axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(scores.T @ scores / 200, np.eye(6), atol=1e-8)


def test_components_reach_the_share_and_no_more_than_needed() -> None:
    variances = np.linalg.eigvalsh(np.cov(VECTORS.T, bias=True))[::-1]
    for share in (0.5, 0.9, 0.99, 0.99999):
        count = len(whitening(VECTORS, share).floor)
        assert variances[:count].sum() >= share * variances.sum() > variances[: count - 1].sum()


def test_floors_are_the_same_in_the_units_of_the_vectors_and_add_up() -> None:
    found = whitening(VECTORS, 0.99, floor=1e-3)
    raw = found.floor * found.deviations**2
    np.testing.assert_allclose(raw, raw[0])
    assert raw.sum() == pytest.approx(1e-3 * (found.deviations**2).sum())
    np.testing.assert_allclose(whitening(VECTORS, 0.99, 1e-3, "component").floor, 1e-3)


def test_fewer_rows_than_dimensions_and_no_variance() -> None:
    few = whitening(np.random.default_rng(1).normal(size=(4, 50)).astype(np.float32), 1.0)
    assert len(few.floor) == 3
    assert len(whitening(np.full((5, 3), 0.1, dtype=np.float32)).floor) == 0
    assert len(whitening(np.ones((1, 3))).floor) == 0


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"components": 0.0}, "components must be a share"),
        ({"components": 1.1}, "components must be a share"),
        ({"floor": 0.0}, "floor must be a share"),
        ({"precision": "bits"}, "precision must be 'total' or 'component'"),
    ],
)
def test_bad_choices_are_refused(choice: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        whitening(VECTORS, **choice)  # type: ignore[arg-type]
