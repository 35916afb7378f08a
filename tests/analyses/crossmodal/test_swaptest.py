"""Swap test and retrieval against loops, on planted two-sided worlds and their controls."""

from __future__ import annotations

import numpy as np
import pytest

from bindscope.analyses.crossmodal.retrieval import rank_captions, rank_scenes
from bindscope.analyses.crossmodal.swaptest import (
    SwapMargins,
    attribute,
    credit,
    object_confusions,
    swap_test,
    value_confusions,
)
from bindscope.analyses.retrieval import unit
from bindscope.analyses.sides import TwoSides
from bindscope.errors import TableError
from bindscope.scenes import SceneTable
from planted import designs, plant, scenes

SWAPPABLE = ["pairs", "replicates", "C=3", "m=3", "incomplete C=3 m=3", "mixed m"]


def two_sides(kind: str, table: SceneTable, own: bool = False, dim: int = 64, noise: float = 0.0) -> TwoSides:
    """A world on both sides; with `own`, the captions have object vectors of their own and share the concepts'."""
    seen = plant("bag", table, dim=dim, seed=1).vectors
    told = seen.copy()
    if kind != "bag":
        seen = seen + plant("object", table, dim=dim, seed=2).vectors
        told = told + plant("object", table, dim=dim, seed=3 if own else 2).vectors
    seen = seen + noise * np.random.default_rng(5).normal(size=seen.shape)
    _, first = np.unique(table.scene_ids, return_index=True)
    return TwoSides.of(seen, table, told[first][None], table.take(first))


@pytest.mark.parametrize("name", SWAPPABLE)
def test_the_same_function_on_both_sides_is_always_right(name: str) -> None:
    outcome = swap_test(two_sides("mixed", designs()[name]))
    assert (credit(outcome.text) == 1).all()
    assert (credit(outcome.scene)[~np.isnan(outcome.scene)] == 1).all()


@pytest.mark.parametrize("name", SWAPPABLE)
def test_a_bag_ties_everywhere(name: str) -> None:
    outcome = swap_test(two_sides("bag", designs()[name]))
    for rule, value in (("half", 0.5), ("wrong", 0.0), ("right", 1.0)):
        assert (credit(outcome.text, rule) == value).all()  # type: ignore[arg-type]
    group = outcome.pair_scores("half")[2]
    assert np.nanmax(group) == 1 / 16


def test_own_objects_on_each_side_are_at_chance() -> None:
    figures = []
    for seed in range(6):
        table = scenes(6, 5)
        base = plant("bag", table, dim=256, seed=10 + seed).vectors
        seen = base + plant("object", table, dim=256, seed=20 + seed).vectors
        told = base + plant("object", table, dim=256, seed=40 + seed).vectors
        figures.append(credit(swap_test(TwoSides.of(seen, table, told[None], table)).text).mean())
    assert abs(np.mean(figures) - 0.5) < 0.06
    assert max(figures) < 0.75


def test_margins_are_those_of_a_loop() -> None:
    table = designs()["m=3"]
    sides = two_sides("mixed", table, own=True, noise=0.3)
    outcome = swap_test(sides)
    place = {tuple(row): i for i, row in enumerate(sides.caption_table.object_ids.tolist())}
    for w in range(0, len(sides.swaps), 7):
        row = sides.swaps.row[w]
        right = sides.captions[0, place[tuple(sides.table.object_ids[row])]]
        swapped_ids = tuple(table.space.object_ids(sides.swaps.values[w]).tolist())
        wrong = sides.captions[0, place[swapped_ids]]
        seen = sides.scenes[row].astype(float)
        assert outcome.text[0, w] == pytest.approx(seen @ right - seen @ wrong, abs=1e-6)
        other = sides.scenes[sides.swapped_rows[w]].astype(float)
        assert outcome.scene[0, w] == pytest.approx(seen @ right - other @ right, abs=1e-6)
        assert outcome.back_text[0, w] == pytest.approx(other @ wrong - other @ right, abs=1e-6)
        assert outcome.back_scene[0, w] == pytest.approx(other @ wrong - seen @ wrong, abs=1e-6)


def test_winogrounds_scores_by_hand() -> None:
    plus, minus, none = np.array([[0.2]]), np.array([[-0.2]]), np.array([[np.nan]])
    text, image, group = SwapMargins(plus, plus, plus, minus).pair_scores()
    assert (text.item(), image.item(), group.item()) == (1.0, 0.0, 0.0)
    assert np.isnan(SwapMargins(plus, none, none, none).pair_scores()[2]).all()


def ranks_by_loop(sides: TwoSides, row: int, k: int, swapped: bool) -> float:
    """Recall@k of one scene among captions, by sorting; no ties."""
    table, told = sides.table, sides.caption_table
    scores = sides.captions[0].astype(float) @ sides.scenes[row].astype(float)
    objects = sorted(table.object_ids[row].tolist())
    bag = [sorted(table.values[row][:, c].tolist()) for c in range(table.space.n_concepts)]
    kept = []
    for j in range(len(told)):
        same = sorted(told.object_ids[j].tolist()) == objects
        alike = [sorted(told.values[j][:, c].tolist()) for c in range(table.space.n_concepts)] == bag
        if same or swapped or not alike:
            kept.append((scores[j], same))
    kept.sort(reverse=True)
    first = next(i for i, (_, same) in enumerate(kept) if same)
    return float(first < k)


@pytest.mark.parametrize("name", ["pairs", "C=3", "m=3", "incomplete C=3 m=3"])
@pytest.mark.parametrize("swapped", [True, False])
def test_recall_is_that_of_a_loop(name: str, swapped: bool) -> None:
    sides = two_sides("mixed", designs()[name], own=True, dim=12, noise=0.4)
    ranks = rank_captions(sides, sides.captions[0])
    for k in (1, 3):
        wanted = [ranks_by_loop(sides, row, k, swapped) for row in range(len(sides.table))]
        np.testing.assert_array_equal(ranks.hits(k, swapped), wanted)


def test_recall_of_a_bag_ties_with_its_swaps_and_not_without_them() -> None:
    sides = two_sides("bag", scenes(4, 4))
    ranks = rank_captions(sides, sides.captions[0])
    unshared = sides.table.unshared
    np.testing.assert_allclose(ranks.hits(1)[unshared], 1 / 3)  # one of three: the swap stands there in two orders
    np.testing.assert_allclose(ranks.hits(1, rule="wrong")[unshared], 0.0)
    np.testing.assert_allclose(ranks.hits(1, rule="right"), 1.0)
    np.testing.assert_allclose(ranks.hits(1, swapped=False), 1.0)
    np.testing.assert_allclose(ranks.swapped_first[unshared], 0.5)


def test_both_ways_agree_where_both_sides_are_the_same() -> None:
    sides = two_sides("mixed", scenes(4, 3))
    for ranks in (rank_captions(sides, sides.captions[0]), rank_scenes(sides, sides.captions[0])):
        assert (ranks.hits(1) == 1).all()
        assert (ranks.swapped_first == 0).all()


def test_chance_of_recall_is_that_of_random_scores() -> None:
    rng = np.random.default_rng(0)
    table = scenes(4, 3)
    figures = {True: [], False: []}
    for _ in range(40):
        sides = TwoSides.of(rng.normal(size=(len(table), 24)), table, rng.normal(size=(1, len(table), 24)), table)
        ranks = rank_captions(sides, sides.captions[0])
        for swapped, found in figures.items():
            found.append(ranks.hits(5, swapped).mean())
    for swapped, found in figures.items():
        assert np.mean(found) == pytest.approx(ranks.chance(5, swapped).mean(), abs=0.01)


def test_confusions_find_the_planted_pair() -> None:
    sides = two_sides("mixed", scenes(4, 3))
    table = sides.table
    right = np.ones(len(sides.swaps))
    values = table.values[sides.swaps.row]
    each = np.arange(len(right))
    pair = np.sort(
        np.stack([values[each, sides.swaps.slots[:, i], sides.swaps.concept] for i in (0, 1)], axis=1), axis=1
    )
    bad = (sides.swaps.concept == 0) & (pair == [1, 3]).all(axis=1)
    right[bad] = 0.0
    found = value_confusions(sides, right)
    assert found.concept[0] == 0
    assert found.members[0].tolist() == [1, 3]
    assert found.rate.tolist() == [1.0] + [0.0] * (len(found.rate) - 1)
    assert found.count[0] == bad.sum()
    assert (found.group == 0).sum() == bad.sum()
    objects = object_confusions(sides, right)
    assert objects.count.sum() == len(right)
    assert (objects.rate * objects.count).sum() == pytest.approx(bad.sum())


@pytest.mark.parametrize("name", ["pairs", "C=3", "m=3", "replicates"])
def test_parts_of_a_margin_add_up(name: str) -> None:
    sides = two_sides("mixed", designs()[name], own=True, noise=0.2)
    parts = attribute(sides)
    mean = sides.captions.mean(axis=0).astype(float)
    seen = sides.scenes[sides.swaps.row].astype(float)
    whole = np.einsum("wd,wd->w", seen, mean[sides.own[sides.swaps.row]] - mean[sides.partner])
    np.testing.assert_allclose(parts.total, whole, atol=1e-6)


def test_the_binding_part_gives_the_margin_where_both_sides_agree() -> None:
    agree = attribute(two_sides("mixed", scenes(5, 4), dim=128)).by_caption_part.mean(axis=0)
    apart = attribute(two_sides("mixed", scenes(5, 4), own=True, dim=128)).by_caption_part.mean(axis=0)
    assert agree[1] > 20 * abs(agree[0])
    assert agree[1] > 0.2
    assert abs(apart[1]) < 0.05


def test_worst_part_is_given_for_errors_alone() -> None:
    parts = attribute(two_sides("mixed", scenes(5, 4), own=True, dim=128))
    np.testing.assert_array_equal(np.isnan(parts.worst), parts.total > 2e-6)
    wrong = ~np.isnan(parts.worst)
    assert np.bincount(parts.worst[wrong].astype(int), minlength=3)[1] > 0.5 * wrong.sum()


def test_attribution_refuses_too_many_objects() -> None:
    table = scenes(3, 2)
    wide = SceneTable.build(
        type(table.space).of([("a", [f"a{i}" for i in range(50)]), ("b", [f"b{i}" for i in range(50)])]),
        table.values,
        candidates=np.arange(2500),
    )
    sides = TwoSides.of(np.ones((len(table), 4)), wide, np.ones((1, len(table), 4)), wide)
    with pytest.raises(TableError, match="at most 4,000 objects x slots"):
        attribute(sides)


def test_zero_vectors_stay_zero() -> None:
    assert (unit(np.zeros((2, 3))) == 0).all()
