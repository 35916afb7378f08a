from __future__ import annotations

import threading

import numpy as np
import pytest
import scipy.linalg  # noqa: F401  # loads a BLAS of its own, whose threads are counted here
from threadpoolctl import threadpool_info, threadpool_limits

from bindscope.parallel import SMALL, one_thread, over_blocks


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_small_matrices_get_one_thread_and_large_ones_all() -> None:
    with threadpool_limits(2, user_api="blas"):
        with one_thread(SMALL):
            assert blas_threads() == {1}
        with one_thread(SMALL + 1):
            assert blas_threads() == {2}
        assert blas_threads() == {2}


def test_blocks_cover_all_rows_in_order_and_add_up() -> None:
    values = np.random.default_rng(0).normal(size=(103, 3))
    parts = over_blocks(lambda rows: values[rows] * 2, 103, 10)
    assert len(parts) == 11
    assert np.array_equal(np.concatenate(parts), values * 2)
    assert over_blocks(lambda rows: rows, 0, 10) == []


def test_blocks_run_with_one_thread_of_linear_algebra() -> None:
    with threadpool_limits(2, user_api="blas"):
        assert over_blocks(lambda rows: blas_threads(), 4, 2) == [{1}, {1}]


def test_an_error_in_a_block_is_raised() -> None:
    def fail(rows: slice) -> None:
        if rows.start:
            raise ValueError(f"block {rows.start} in {threading.current_thread().name}")

    with pytest.raises(ValueError, match="block 2"):
        over_blocks(fail, 4, 2)
