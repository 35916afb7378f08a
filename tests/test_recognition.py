"""Recognition, chance and ceiling against the definition in plain Python, brute force and simulation."""

from __future__ import annotations

import math
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindscope.concepts import ABSENT
from bindscope.errors import InputError
from bindscope.recognition import (
    additive_scorer,
    ambiguous,
    ceiling,
    chance_per_scene,
    concept_chance,
    distinct_counts,
    object_chance,
    recognise,
    recognise_by_cosine,
    recognise_linear,
)
from bindscope.scenes import SceneTable
from planted import designs, plant, random_scenes, scenes, space_of

quick = settings(deadline=None, max_examples=40, derandomize=True)
DESIGNS = designs()
small_tables = st.builds(
    lambda sizes, n, m, absent, seed: random_scenes(*sizes, n=n, m=m, absent=absent, seed=seed),
    st.sampled_from([(2, 2), (3, 2), (2, 3), (5,), (1, 4), (2, 1, 3)]),
    st.integers(1, 20),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.4]),
    st.integers(0, 10_000),
)


def right_by_definition(scores: list[float], present: set[int]) -> bool:
    """min over P > max over K minus P."""
    others = [s for c, s in enumerate(scores) if c not in present]
    return not others or min(scores[c] for c in present) > max(others)


def ceiling_by_brute_force(table: SceneTable) -> float:
    """Best of all rankings of the candidates for each bag: every function of the bag gives each bag one ranking."""
    rankings = [list(map(float, p)) for p in permutations(range(table.n_objects))]
    present = [{int(c) for c in row if c != ABSENT} for row in table.object_codes]
    total = 0
    for bag in np.unique(table.bag_ids):
        rows = np.flatnonzero(table.bag_ids == bag)
        total += max(sum(right_by_definition(r, present[i]) for i in rows) for r in rankings)
    return total / len(table)


# --- the definition


@given(st.data())
@quick
def test_recognise_is_the_definition(data: st.DataObject) -> None:
    n, k, m = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5)), data.draw(st.integers(1, 3))
    grid = st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0])  # few levels, so that ties occur
    scores = np.array(data.draw(st.lists(st.lists(grid, min_size=k, max_size=k), min_size=n, max_size=n)))
    members = np.array(
        data.draw(st.lists(st.lists(st.integers(-1, k - 1), min_size=m, max_size=m), min_size=n, max_size=n))
    )
    members[:, -1] = np.maximum(members[:, -1], 0)
    outcome = recognise(scores, members)
    for i in range(n):
        present = {int(c) for c in members[i] if c != ABSENT}
        assert outcome.right[i] == right_by_definition(scores[i].tolist(), present)
        others = [s for c, s in enumerate(scores[i]) if c not in present]
        assert outcome.tied[i] == (bool(others) and min(scores[i][list(present)]) == max(others))


def test_a_tie_is_wrong_and_counted_also_by_rounding() -> None:
    third = np.array([0.1 + 0.2, 0.3, -5.0])  # the sum differs from 0.3 in the last digit
    scores = np.stack([third, [0.3 + 1e-6, 0.3, -5.0], [0.0, 0.0, 0.0], [1.0, 2.0, 0.0]])
    outcome = recognise(scores, np.array([[0], [0], [0], [0]]))
    assert third[0] > third[1]
    assert outcome.right.tolist() == [False, True, False, False]
    assert outcome.tied.tolist() == [True, False, True, False]


def test_all_candidates_present_is_right_and_repeats_count_once() -> None:
    scores = np.array([[3.0, -1.0], [0.0, 0.0], [1.0, 2.0]])
    outcome = recognise(scores, np.array([[0, 1], [1, 0], [1, 1]]))
    assert outcome.right.tolist() == [True, True, True]
    assert not outcome.tied.any()


def test_one_candidate_is_always_right() -> None:
    assert recognise(np.array([[-3.0]]), np.array([[0, 0]])).right.all()


@given(st.integers(0, 1000), st.floats(1e-6, 1e6), st.sampled_from([np.float32, np.float64]))
@quick
def test_linear_scores_in_blocks_and_scaled_are_the_same(seed: int, scale: float, kind: type) -> None:
    rng = np.random.default_rng(seed)
    vectors, weights, bias = rng.normal(size=(50, 4)).astype(kind), rng.normal(size=(4, 6)), rng.normal(size=6)
    members = rng.integers(0, 6, size=(50, 2))
    expected = recognise(vectors.astype(np.float64) @ weights + bias, members)
    assert np.array_equal(recognise_linear(vectors, weights, bias, members).right, expected.right)
    assert np.array_equal(recognise_linear(vectors, scale * weights, scale * bias, members).right, expected.right)


def test_linear_goes_through_the_rows_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    vectors, weights, members = rng.normal(size=(31, 3)), rng.normal(size=(3, 5)), rng.integers(0, 5, size=(31, 2))
    whole = recognise_linear(vectors, weights, None, members)
    monkeypatch.setattr("bindscope.recognition._CELLS", 20)
    blocks = recognise_linear(vectors, weights, None, members)
    assert np.array_equal(whole.right, blocks.right)
    assert np.array_equal(whole.tied, blocks.tied)
    assert recognise_linear(vectors[:0], weights, None, members[:0]).right.shape == (0,)


@given(st.integers(0, 1000))
@quick
def test_cosine_does_not_see_lengths(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, queries = rng.normal(size=(40, 3)), rng.normal(size=(5, 3))
    members = rng.integers(0, 5, size=(40, 2))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit @ (queries / np.linalg.norm(queries, axis=1, keepdims=True)).T
    expected = recognise(cosine, members).right
    lengths = rng.uniform(0.1, 9, size=(5, 1))
    assert np.array_equal(recognise_by_cosine(vectors, queries, members).right, expected)
    assert np.array_equal(recognise_by_cosine(3 * vectors, lengths * queries, members).right, expected)


def test_zero_vectors_and_zero_queries() -> None:
    queries = np.array([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]])
    vectors = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
    outcome = recognise_by_cosine(vectors, queries, np.array([[0], [0], [0]]))
    assert outcome.right.tolist() == [True, False, False]
    assert outcome.tied.tolist() == [False, False, True]


def test_cosine_refuses_queries_of_other_dimensions() -> None:
    with pytest.raises(InputError, match=r"queries must have shape \[candidates, 3\], got \[5, 4\]"):
        recognise_by_cosine(np.zeros((2, 3)), np.zeros((5, 4)), np.zeros((2, 1), dtype=int))
    with pytest.raises(InputError, match=r"queries must have shape \[candidates, 3\], got \[3\]"):
        recognise_by_cosine(np.zeros((2, 3)), np.zeros(3), np.zeros((2, 1), dtype=int))


# --- chance


@given(small_tables)
@quick
def test_chance_is_one_over_binom_of_distinct_candidates(table: SceneTable) -> None:
    for target in (None, *range(table.space.n_concepts)):
        codes, number = table.members(target)
        distinct = [len({int(c) for c in row if c != ABSENT}) for row in codes]
        assert distinct_counts(codes).tolist() == distinct
        expected = [1 / math.comb(number, p) for p in distinct]
        assert np.allclose(chance_per_scene(codes, number), expected, rtol=1e-10, atol=0)
    per_concept = [chance_per_scene(*table.members(k)) for k in range(table.space.n_concepts)]
    assert np.array_equal(concept_chance(table), np.stack(per_concept, axis=1))
    assert np.array_equal(object_chance(table), chance_per_scene(*table.members()))


def test_chance_of_many_candidates() -> None:
    members = np.array([[0, 1, 2], [4, 4, 4]])
    assert chance_per_scene(members, 9216) == pytest.approx([1 / math.comb(9216, 3), 1 / 9216], rel=1e-9)


@pytest.mark.parametrize("name", ["pairs+same", "m=3", "incomplete C=3 m=3", "mixed m", "C=3"])
def test_random_scores_reach_chance(name: str) -> None:
    table, rng, draws = DESIGNS[name], np.random.default_rng(5), 300
    for target in (None, *range(table.space.n_concepts)):
        codes, number = table.members(target)
        hits = [recognise(rng.normal(size=(len(table), number)), codes).right.mean() for _ in range(draws)]
        chance = float(chance_per_scene(codes, number).mean())
        assert abs(np.mean(hits) - chance) < 4 * np.std(hits) / math.sqrt(draws) + 1e-12


def test_joint_chance_is_the_product_over_concepts() -> None:
    table, rng, draws = scenes(3, 2, 2), np.random.default_rng(6), 400
    right = np.ones((draws, len(table)), dtype=bool)
    for k in range(3):
        codes, number = table.members(k)
        for draw in range(draws):
            right[draw] &= recognise(rng.normal(size=(len(table), number)), codes).right
    assert right.mean() == pytest.approx(concept_chance(table).prod(axis=1).mean(), abs=0.01)


# --- ceiling


@given(small_tables)
@settings(deadline=None, max_examples=60, derandomize=True)
def test_ceiling_is_the_best_function_of_the_bag(table: SceneTable) -> None:
    assert table.n_objects <= 6
    assert ceiling(table) == pytest.approx(ceiling_by_brute_force(table), abs=1e-12)


def test_ceiling_adds_sets_that_lie_inside_each_other() -> None:
    table = SceneTable.build(space_of(2, 2), [[[0, 1], [0, 1], [1, 0], [1, 0]], [[0, 0], [1, 1], [0, 1], [1, 0]]])
    assert table.bag_ids.tolist() == [0, 0]
    assert table.set_ids[0] != table.set_ids[1]
    assert ceiling(table) == ceiling_by_brute_force(table) == 1.0
    both = SceneTable.build(table.space, np.concatenate([table.values, [[[0, 0], [1, 1], [0, 0], [1, 1]]]]))
    assert ceiling(both) == ceiling_by_brute_force(both) == pytest.approx(2 / 3)


def test_known_numbers_of_two_different_objects_of_10x10() -> None:
    table = scenes(10, 10)
    assert len(table) == 9900
    assert ceiling(table) == pytest.approx(0.59, abs=0.001)
    assert ceiling(table, table.unshared) == 0.5
    assert ceiling(table, np.flatnonzero(table.unshared)) == 0.5
    assert ceiling(table, ~table.unshared) == 1.0
    wrong, random = additive_scorer(table)
    assert (wrong.mean(), random.mean()) == (pytest.approx(0.18, abs=0.002), pytest.approx(0.32, abs=0.002))
    assert np.array_equal(ambiguous(table), table.unshared)


def test_ceiling_is_one_where_no_bag_has_two_sets() -> None:
    for table in (scenes(5), scenes(4, 3, m=1), scenes(1, 5), scenes(3, 3).take([4])):
        assert ceiling(table) == 1.0
        assert not ambiguous(table).any()


def test_ceiling_of_no_rows_is_nan() -> None:
    table = scenes(2, 2)
    assert math.isnan(ceiling(table, np.zeros(len(table), dtype=bool)))
    assert math.isnan(ceiling(table.take([])))


@given(small_tables, st.integers(1, 4))
@quick
def test_ceiling_does_not_see_replicates_or_row_order(table: SceneTable, times: int) -> None:
    rows = np.random.default_rng(times).permutation(np.repeat(np.arange(len(table)), times))
    assert ceiling(table.take(rows)) == pytest.approx(ceiling(table), abs=1e-12)


@given(small_tables)
@quick
def test_ambiguous_by_definition(table: SceneTable) -> None:
    sets: dict[int, set[int]] = {}
    for bag, own in zip(table.bag_ids.tolist(), table.set_ids.tolist(), strict=True):
        sets.setdefault(bag, set()).add(own)
    assert ambiguous(table).tolist() == [len(sets[bag]) > 1 for bag in table.bag_ids.tolist()]


# --- the additive scorer


@given(small_tables)
@quick
def test_additive_scorer_by_definition(table: SceneTable) -> None:
    """One equal number per present value: a scene is right where no other candidate has present values alone."""
    wrong, random = additive_scorer(table)
    candidates = [tuple(o) for o in table.candidate_values.tolist()]
    for row in range(len(table)):
        codes = [c for c in table.object_codes[row].tolist() if c != ABSENT]
        here = [{candidates[c][k] for c in codes} for k in range(table.space.n_concepts)]
        scores = [float(sum(v in here[k] for k, v in enumerate(o))) for o in candidates]
        assert wrong[row] == right_by_definition(scores, set(codes))
        top = [c for c, s in enumerate(scores) if s == table.space.n_concepts]
        ways = list(combinations(top, len(set(codes))))
        assert random[row] == pytest.approx(sum(set(way) == set(codes) for way in ways) / len(ways))


def test_additive_scorer_by_simulation() -> None:
    table, rng, draws = random_scenes(3, 3, n=60, m=2, seed=8), np.random.default_rng(9), 400
    values = table.candidate_values
    hits = np.zeros((draws, len(table)))
    scores = np.zeros((len(table), table.n_objects))
    for k in range(2):
        scores += (table.values[:, :, k, None] == values[:, k]).any(axis=1)
    wrong, random = additive_scorer(table)
    assert np.array_equal(recognise(scores, table.object_codes).right, wrong.astype(bool))
    for draw in range(draws):
        hits[draw] = recognise(scores + 0.01 * rng.random(scores.shape), table.object_codes).right
    assert np.allclose(hits.mean(axis=0), random, atol=0.13)
    assert hits.mean() == pytest.approx(random.mean(), abs=0.01)


# --- planted worlds, by their own queries


@pytest.mark.parametrize("slots", ["shared", "own"])
def test_an_object_world_binds_and_a_bag_world_does_not(slots: str) -> None:
    table = scenes(5, 4)
    bag, single = (plant(kind, table, dim=400, slots=slots) for kind in ("bag", "object"))  # type: ignore[arg-type]
    unshared = table.unshared
    by_objects = recognise_by_cosine(single.vectors, single.queries, table.object_codes)
    assert by_objects.right.mean() >= 0.99
    by_bag = recognise_by_cosine(bag.vectors, bag.queries, table.object_codes)
    assert by_bag.right[unshared].mean() <= ceiling(table, unshared) + 1e-9
    for k in range(2):
        own = recognise_by_cosine(bag.vectors, bag.concept_queries(k), table.members(k)[0])
        assert own.right.mean() >= 0.95


def test_swapped_values_tie_exactly_in_a_bag_world() -> None:
    """u_a + u_b = u_a' + u_b' for the swapped pair, so their vectors are one and no query can tell them apart."""
    table = scenes(3, 3)
    world = plant("bag", table, dim=8)
    for bag in np.unique(table.bag_ids):
        rows = table.bag_ids == bag
        assert np.ptp(world.clean[rows], axis=0).max() < 1e-12
    product = plant("product", table, dim=8, rank=2)
    unshared = np.flatnonzero(table.unshared)
    first = unshared[0]
    partner = next(
        r for r in unshared if table.bag_ids[r] == table.bag_ids[first] and table.set_ids[r] != table.set_ids[first]
    )
    assert np.abs(product.clean[first] - product.clean[partner]).max() > 0.1
