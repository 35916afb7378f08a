"""Contests, ties by three rules, pair scores and ranks: against brute force and exact bags."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from bindscope.analyses.pairs.contests import TIE_RULES, Scores, both, contest, image_contests, ranks, text_contests


def by_orders(right: list[float], wrong: list[float]) -> float:
    """Share of the orders that break ties in which every right score lies above every wrong one."""
    labelled = [(score, 1) for score in right] + [(score, 0) for score in wrong]
    wins = []
    for order in permutations(range(len(labelled))):
        ranked = sorted(range(len(labelled)), key=lambda i: (-labelled[i][0], order[i]))
        wins.append(all(labelled[i][1] for i in ranked[: len(right)]))
    return float(np.mean(wins))


def test_half_is_the_mean_over_orders_that_break_ties() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        right, wrong = rng.integers(0, 3, 2) / 10, rng.integers(0, 3, 3) / 10
        made = contest(right[None], wrong[None])
        assert made.credit["half"][0] == pytest.approx(by_orders(right.tolist(), wrong.tolist()))
        assert made.credit["wrong"][0] <= made.credit["half"][0] <= made.credit["right"][0]
        assert made.chance[0] == pytest.approx(1 / 10)


def test_chance_is_what_random_scores_reach() -> None:
    rng = np.random.default_rng(1)
    n = 40_000
    scores = Scores(*(rng.normal(size=shape) for shape in ((n,), (n, 1), (n, 1), (n, 2), (n, 1), (n, 2))))
    for found in (text_contests(scores), image_contests(scores)):
        for name, one in found.items():
            assert one.credit["wrong"].mean() == pytest.approx(one.chance.mean(), abs=0.008), name


def test_group_needs_text_and_image() -> None:
    seen, back = np.array([[0.9, np.nan], [0.9, np.nan]]), np.array([[0.2, 0.8], [0.95, 0.97]])
    none = np.full((2, 1), np.nan)
    scores = Scores(none[:, 0], none, none, seen, np.array([[0.3], [0.4]]), back)
    found = image_contests(scores)
    assert found["text"].credit["wrong"].tolist() == [1.0, 1.0]
    assert found["image"].credit["wrong"].tolist() == [1.0, 0.0]  # the caption is nearer to the other picture
    assert found["group"].credit["wrong"].tolist() == [1.0, 0.0]
    assert found["group"].chance.tolist() == [1 / 6, 1 / 6]


def test_items_without_a_side_are_not_held() -> None:
    right, wrong = np.array([[0.5], [np.nan], [0.5]]), np.array([[0.1, np.nan], [0.2, 0.3], [np.nan, np.nan]])
    made = contest(right, wrong)
    assert made.held.tolist() == [True, False, False]
    assert np.isnan(made.credit["half"][1:]).all()
    assert made.chance[0] == 0.5
    assert both([made, contest(right, right - 0.1)]).held.tolist() == [True, False, False]


def test_ties_within_rounding_are_ties_and_others_are_not() -> None:
    made = contest(np.array([[0.5], [0.5]]), np.array([[0.5 + 4e-7], [0.5 - 1e-4]]))
    assert [made.credit[rule].tolist() for rule in TIE_RULES] == [[0.0, 1.0], [0.5, 1.0], [1.0, 1.0]]
    assert made.tied.tolist() == [1.0, 0.0]


def test_ranks_against_brute_force() -> None:
    rng = np.random.default_rng(2)
    gallery = rng.integers(0, 2, (30, 4)).astype(float) + 0.1
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    own, wrong = np.arange(10), np.column_stack([np.arange(10, 20), np.full(10, -1)])
    queries = gallery[own] + 0.1 * rng.normal(size=(10, 4))
    found = ranks(queries, gallery, own, wrong)
    scores = queries @ gallery.T
    for i in range(10):
        best = scores[i, own[i]]
        assert found.above[i] == (scores[i] > best + 1e-6).sum()
        others = np.delete(scores[i], own[i])
        assert found.level[i] == (np.abs(others - best) <= 1e-6).sum()
        first = scores[i].max()
        lead = scores[i, wrong[i, 0]]
        expected = 0.0 if lead < first - 1e-6 else 1.0 if lead > best + 1e-6 else 0.5
        assert found.wrong_first[i] == expected
    assert (found.hits(1, "wrong") <= found.hits(1)).all()
    assert (found.hits(1) <= found.hits(1, "right")).all()
