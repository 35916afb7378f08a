from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from bindscope.analyses.codelength.codelength import switched


@pytest.mark.parametrize(("codes", "blocks"), [(1, 4), (2, 5), (3, 4)])
def test_it_is_the_mixture_over_all_sequences_of_codes(codes: int, blocks: int) -> None:
    """By enumeration: a code is kept before block t with 1 - 1/(t + 1), else drawn anew from all."""
    bits = np.random.default_rng(codes).uniform(0.0, 6.0, size=(codes, blocks))
    total = 0.0
    for path in product(range(codes), repeat=blocks):
        weight = 1.0 / codes
        for t in range(1, blocks):
            rate = 1.0 / (t + 1)
            weight *= rate / codes + (1.0 - rate) * (path[t] == path[t - 1])
        total += weight * 2.0 ** -sum(bits[k, t] for t, k in enumerate(path))
    found = switched({str(k): row for k, row in enumerate(bits)})
    assert found.sum() == pytest.approx(-np.log2(total))


def test_it_follows_the_better_code_at_small_cost() -> None:
    early, late = np.r_[np.full(20, 10.0), np.full(20, 500.0)], np.r_[np.full(20, 500.0), np.full(20, 10.0)]
    found = switched({"a": early, "b": late}).sum()
    assert 400.0 <= found <= 400.0 + np.log2(2) + 2 * np.log2(40 * 2)


def test_huge_lengths_neither_overflow_nor_vanish() -> None:
    found = switched({"a": np.array([1e6, -1e6]), "b": np.array([2e6, -2e6])})
    np.testing.assert_allclose(found, [1e6 + 1.0, -2e6 + 2.0], atol=1e-6)
