"""Several processors without waiting: blocks of rows side by side, the linear algebra inside each on one thread.

A linear-algebra library of several threads lets all of them wait for the slowest after each small product. On a machine
that has other work to do, the wait takes up to a thousand times as long as the product (measured: a QR of 384 x 101 in
1.4 ms on one thread, in 1.8 s on two). Blocks that are independent wait once, at the end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

SMALL = 1_000  # rows of a matrix up to which one thread is as good as two
T = TypeVar("T")


@contextmanager
def one_thread(size: int = 0) -> Iterator[None]:
    """Linear algebra inside runs on one thread, unless the matrices have more than 1,000 rows. Costs 0.2 ms."""
    if size > SMALL:
        yield
        return
    with _libraries().limit(limits=1, user_api="blas"):
        yield


def over_blocks(work: Callable[[slice], T], n_rows: int, step: int) -> list[T]:
    """What `work` gives for each block of `step` rows, in order; as many at once as there are processors.

    The blocks do not depend on the machine, so neither do sums over them. `work` must not call this again.

    >>> over_blocks(lambda rows: (rows.start, rows.stop), 5, 2)
    [(0, 2), (2, 4), (4, 5)]
    """
    blocks = [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]
    with one_thread():
        if len(blocks) < 2 or processors() < 2:
            return [work(block) for block in blocks]
        return list(_pool().map(work, blocks))


@cache
def _libraries() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401  # loads its own BLAS, which the controller must know

    return ThreadpoolController()


@cache
def processors() -> int:
    """Processors that this process may use, or fewer where OMP_NUM_THREADS says so."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(int(asked), here) if asked.isdecimal() and int(asked) > 0 else here


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(processors(), thread_name_prefix="bindscope")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork
