"""What every encoder's vectors must be, and what is said where they are not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from bindscope.encoders.base import LARGEST, checked_vectors, file_digest, library_versions, refuse_non_finite
from bindscope.errors import StoreError, VectorsError


@pytest.mark.parametrize(
    "given",
    [
        [[1, 2], [3, 4]],
        np.array([[1, 2], [3, 4]], dtype=np.float64)[:, ::1],
        np.array([[1, 3], [2, 4]], dtype=np.float16).T,
        np.array([[1, 2], [3, 4]], dtype=np.uint8),
    ],
)
def test_numbers_of_any_kind_become_single_precision(given: object) -> None:
    found = checked_vectors(given, 2, "m")
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert found.tolist() == [[1, 2], [3, 4]]


def test_tensors_of_torch_are_arrays_too() -> None:
    torch = pytest.importorskip("torch")
    assert checked_vectors(torch.ones(3, 2), 3, "m").shape == (3, 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.ones((3, 2)), r"m: expected vectors of shape \[2, d\], got \[3, 2\]"),
        (np.ones(2), r"got \[2\]"),
        (np.ones((2, 0)), r"got \[2, 0\]"),
        (np.ones((2, 2, 2)), r"got \[2, 2, 2\]"),
        (None, r"expected an array of numbers, got dtype object"),
        ("text", r"expected an array of numbers, got dtype <U4"),
        ([[1.0], [1.0, 2.0]], r"expected an array of numbers, got list"),
        ([[1.0, np.nan], [0.0, 0.0]], r"row 10 holds NaN \(1 such rows\); leave those rows out"),
        ([[0.0, 0.0], [np.inf, -np.inf]], r"row 11 holds infinite numbers"),
        ([[0.0, 0.0], [1e39, 0.0]], r"row 11 holds infinite numbers"),  # beyond single precision
        ([[0.0, -1e16], [0.0, 0.0]], r"row 10 holds a number as large as 1\.0e\+16, expected at most 1e\+15"),
    ],
)
def test_what_cannot_be_vectors_is_told_by_row(given: object, message: str) -> None:
    with pytest.raises(VectorsError, match=message):
        checked_vectors(given, 2, "m", first_row=10)


def test_large_numbers_that_are_fine() -> None:
    refuse_non_finite(np.array([[LARGEST, -LARGEST, 0.0]], dtype=np.float32) * 0.99, "m")
    refuse_non_finite(np.zeros((0, 3), dtype=np.float32), "m")


def test_digests_and_versions(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"content")
    assert file_digest(tmp_path / "x") == hashlib.sha256(b"content").hexdigest()
    with pytest.raises(StoreError, match=r"cannot read .*none: No such file"):
        file_digest(tmp_path / "none")
    found = library_versions("numpy")
    assert found["numpy"] == np.__version__
    assert set(found) == {"python", "numpy"}
