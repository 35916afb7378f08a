"""What an analysis will roughly cost, said before it starts.

Counts of multiplications in the dominant products, over the speed of a small product on this machine. Right within a
factor of about three; meant to tell seconds from minutes from hours.
"""

from __future__ import annotations

import time
from functools import cache

import numpy as np

from bindscope.parallel import one_thread

OVERHEAD = 3.0  # of everything around the products, measured
WORTH_SAYING = 2.0  # seconds


def seconds(work: float | None) -> float | None:
    """Seconds that so many multiplications take here, roughly; None where their number is not known."""
    return None if work is None else OVERHEAD * work / _speed()


def about(seconds: float | None) -> str:
    """The estimate as the end of a sentence; empty where it is short or unknown.

    >>> about(None), about(1.0), about(34.0), about(600.0)
    ('', '', ', about 30 s', ', about 10 min')
    """
    if seconds is None or seconds < WORTH_SAYING:
        return ""
    if seconds < 90:
        return f", about {_rounded(seconds)} s"
    return f", about {_rounded(seconds / 60)} min" if seconds < 5400 else f", about {seconds / 3600:.1f} h"


def _rounded(value: float) -> int:
    return max(1, round(value)) if value < 10 else 10 * round(value / 10)


@cache
def _speed() -> float:
    """Multiplications a second, of all processors together."""
    left, right = np.ones((1024, 384), dtype=np.float32), np.ones((384, 128), dtype=np.float32)
    best = float("inf")
    with one_thread():
        for _ in range(3):
            start = time.perf_counter()
            left @ right
            best = min(best, time.perf_counter() - start)
    return left.size * right.shape[1] / best
