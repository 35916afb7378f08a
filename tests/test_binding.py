"""Binding against its definition in plain Python, against planted worlds, and against what theory says of chance and ceiling."""

from __future__ import annotations

from collections import Counter
from itertools import combinations_with_replacement, permutations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindscope.binding import (
    MAX_WAYS,
    Binding,
    above_chance,
    arrangements,
    binding_by_cosine,
    binding_errors,
    binding_linear,
    binding_outcomes,
    preference_ceiling,
)
from bindscope.concepts import ABSENT
from bindscope.errors import InputError
from bindscope.recognition import recognise_by_cosine
from bindscope.scenes import SceneTable
from planted import plant, random_scenes, space_of

quick = settings(deadline=None, max_examples=60, derandomize=True)
small_tables = st.builds(
    lambda sizes, n, m, absent, seed: random_scenes(*sizes, n=n, m=m, absent=absent, seed=seed),
    st.sampled_from([(2, 2), (3, 2), (2, 3), (4,), (1, 4), (2, 1, 3), (2, 2, 2)]),
    st.integers(1, 12),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.4]),
    st.integers(0, 10_000),
)


def bag_of(table: SceneTable, codes: list[int]) -> list[Counter[int]]:
    return [Counter(table.candidate_values[codes, k].tolist()) for k in range(table.space.n_concepts)]


def by_definition(table: SceneTable, row: int) -> list[tuple[int, ...]]:
    """A(s): every multiset of candidates with the scene's multiset of values in every concept."""
    own = [c for c in table.object_codes[row].tolist() if c != ABSENT]
    every = combinations_with_replacement(range(table.n_objects), len(own))
    return [some for some in every if bag_of(table, list(some)) == bag_of(table, own)]


def judged_by_definition(table: SceneTable, scores: np.ndarray, row: int) -> tuple[int, float, bool, float]:
    """N, preference, within the bag, chance within; scores `[O]` without rounding."""
    own = sorted(c for c in table.object_codes[row].tolist() if c != ABSENT)
    every = by_definition(table, row)
    if len(every) < 2:
        return len(every), 0.0, False, 0.0
    totals = [sum(int(scores[c]) for c in some) for some in every]
    top = [some for some, total in zip(every, totals, strict=True) if total == max(totals)]
    shown = [set(table.values[row, :, k].tolist()) for k in range(table.space.n_concepts)]
    among = [
        c
        for c in range(table.n_objects)
        if all(int(v) in s for v, s in zip(table.candidate_values[c], shown, strict=True))
    ]
    others = [scores[c] for c in among if c not in own]
    right = not others or min(scores[c] for c in own) > max(others)
    return len(every), (tuple(own) in top) / len(top), right, 1 / comb(len(among), len(set(own)))


@quick
@given(small_tables, st.integers(0, 100), st.sampled_from([2, 5, 1000]))
def test_against_the_definition(table: SceneTable, seed: int, levels: int) -> None:
    """Scores of few levels tie often."""
    scores = np.random.default_rng(seed).integers(0, levels, (len(table), table.n_objects))
    found = binding_linear(np.asarray(scores, dtype=float), np.eye(table.n_objects), None, table)
    for row in range(len(table)):
        many, share, right, chance = judged_by_definition(table, scores[row], row)
        assert found.arrangements[row] == many
        assert found.preference[row] == pytest.approx(share)
        assert found.within[row] == right
        assert found.within_chance[row] == pytest.approx(chance)
    assert (arrangements(table) == found.arrangements).all()


def test_bias_and_large_candidate_sets_give_the_same() -> None:
    """Scores of listed candidates alone (many candidates) and of all (few) agree; a bias is added to its candidate."""
    table = random_scenes(20, 20, n=300, m=2, seed=1)
    rng = np.random.default_rng(0)
    vectors, weights, bias = (
        rng.normal(size=(len(table), 8)),
        rng.normal(size=(8, table.n_objects)),
        rng.normal(size=table.n_objects),
    )
    gathered = binding_linear(vectors, weights, bias, table)
    whole = binding_linear(np.asarray(vectors @ weights + bias), np.eye(table.n_objects), None, table)
    assert gathered.ambiguous.any()
    assert (gathered.preference == whole.preference).all()
    assert (gathered.within == whole.within).all()


@pytest.mark.parametrize(
    ("sizes", "m", "chance", "ceiling"),
    [((8, 8), 2, 0.5, 0.5), ((4, 4, 4), 2, 0.375, 0.375), ((8, 8), 3, 0.269, 0.308)],
)
def test_chance_of_whole_tables(sizes: tuple[int, ...], m: int, chance: float, ceiling: float) -> None:
    """Arrangements of three objects in which one stands twice are not in this table, so a bag may do without them."""
    table = every_scene(sizes, m)
    found = nothing(table)
    assert found.chance[found.ambiguous].mean() == pytest.approx(chance, abs=5e-4)
    assert preference_ceiling(table, found.ambiguous) == pytest.approx(ceiling, abs=5e-4)


def every_scene(sizes: tuple[int, ...], m: int) -> SceneTable:
    """All ordered scenes of m different objects."""
    space = space_of(*sizes)
    ids = np.array(list(permutations(range(space.n_objects), m))) if m == 2 else triples(space.n_objects)
    return SceneTable.build(space, space.object_values(ids.ravel()).reshape(*ids.shape, len(sizes)))


def triples(n: int) -> np.ndarray:
    a, b, c = np.meshgrid(*[np.arange(n)] * 3, indexing="ij")
    some = (a != b) & (a != c) & (b != c)
    return np.stack([a[some], b[some], c[some]], axis=1)


def nothing(table: SceneTable) -> Binding:
    """Judged by scores that say nothing."""
    return binding_linear(np.ones((len(table), 1)), np.zeros((1, table.n_objects)), None, table)


def test_scores_that_say_nothing_reach_chance_exactly() -> None:
    for table in (every_scene((4, 4), 2), random_scenes(3, 2, 2, n=80, m=3, absent=0.3, seed=2)):
        found = nothing(table)
        assert found.preference == pytest.approx(found.chance)
        assert not found.within[found.within_chance < 1].any()


@pytest.mark.parametrize("sizes", [(8, 8), (4, 4, 4)])
def test_a_bag_is_at_chance_and_a_binder_at_one(sizes: tuple[int, ...]) -> None:
    """By cosine, where a bag has no exact ties; on a whole table its preference is exactly chance."""
    table = every_scene(sizes, 2)
    for kind in ("bag", "product", "object"):
        world = plant(kind, table, dim=256, seed=3)
        found = binding_by_cosine(world.vectors.astype(np.float32), world.queries.astype(np.float32), table)
        some = found.ambiguous
        if kind == "bag":
            assert found.preference[some].mean() == pytest.approx(found.chance[some].mean(), abs=1e-12)
            assert found.within[some].mean() < 0.15
        else:
            assert found.preference[some].mean() > 0.99
            assert found.within[some].mean() > 0.9


def test_noise_that_hides_objects_leaves_the_preference() -> None:
    """8 x 8, d 64, noise 4: p 0.92, w 0.58, over all objects 0.04; a bag 0.50, 0.00, 0.00."""
    table = every_scene((8, 8), 2)
    figures = []
    for seed in range(3):
        world = plant("object", table, dim=64, noise=4.0, seed=seed)
        found = binding_by_cosine(world.vectors, world.queries, table)
        objects = recognise_by_cosine(world.vectors, world.queries, table.object_codes).right
        some = found.ambiguous
        figures.append([found.preference[some].mean(), found.within[some].mean(), objects[some].mean()])
        errors = binding_errors(world.vectors, world.queries, table, ~objects)
        assert 0.005 < errors[~objects].mean() < 0.1  # most errors are of resolution
    assert np.mean(figures, axis=0) == pytest.approx([0.92, 0.58, 0.04], abs=0.03)


def test_errors_of_a_bag_are_of_binding() -> None:
    table = every_scene((6, 6), 2)
    world = plant("bag", table, dim=512, seed=1)
    objects = recognise_by_cosine(world.vectors, world.queries, table.object_codes).right
    errors = binding_errors(world.vectors, world.queries, table, ~objects)
    unshared = table.unshared & ~objects
    assert errors[unshared].mean() > 0.95
    assert not errors[objects].any()


@quick
@given(small_tables, st.integers(0, 100))
def test_errors_against_the_definition(table: SceneTable, seed: int) -> None:
    scores = np.random.default_rng(seed).normal(size=(len(table), table.n_objects))
    wrong = np.ones(len(table), dtype=bool)
    found = binding_errors(scores, np.eye(table.n_objects), table, wrong)
    for row in range(len(table)):
        own = set(table.object_codes[row].tolist())
        others = [c for c in range(table.n_objects) if c not in own]
        if not others:
            continue
        best = max(others, key=lambda c: scores[row, c])
        values = table.candidate_values[best]
        assert found[row] == all(v in table.values[row, :, k] for k, v in enumerate(values))


def test_single_precision_does_not_break_ties_of_a_bag() -> None:
    """Sums of scores of an additive model tie exactly; single precision moves them by less than the tolerance."""
    table = every_scene((6, 6), 2)
    world = plant("bag", table, dim=512, seed=5)
    found = binding_linear(world.vectors.astype(np.float32), world.queries.astype(np.float32).T, None, table)
    assert found.preference == pytest.approx(found.chance)
    assert (found.tied == found.ambiguous).all()


def test_ceiling_of_an_incomplete_table() -> None:
    """A table that shows one arrangement of each bag cannot tell binding from a bag: its ceiling is 1."""
    space = space_of(4, 4)
    table = SceneTable.build(space, [[[0, 0], [1, 1]], [[2, 2], [3, 3]]], candidates=np.arange(16))
    assert preference_ceiling(table, np.ones(2, dtype=bool)) == 1.0
    assert nothing(table).preference.tolist() == [0.5, 0.5]
    assert np.isnan(preference_ceiling(table, np.zeros(2, dtype=bool)))


def test_missing_candidates_take_arrangements_away() -> None:
    space = space_of(2, 2)
    table = SceneTable.build(space, [[[0, 0], [1, 1]]])
    assert arrangements(table).tolist() == [1]
    assert not nothing(table).ambiguous.any()


def test_scenes_of_too_many_arrangements_are_not_judged() -> None:
    space = space_of(9, 9)
    values = np.stack([np.arange(9), np.arange(9)], axis=1)
    table = SceneTable.build(space, values[None])
    assert MAX_WAYS < 362_880
    assert arrangements(table).tolist() == [0]
    assert not nothing(table).ambiguous.any()


def test_outcomes_carry_chance_ceiling_and_rows() -> None:
    table = every_scene((4, 4), 2)
    found = nothing(table)
    preference, within = binding_outcomes(found, table, estimator="zero_shot", split="all")
    assert preference.value == preference.chance == preference.ceiling == 0.5
    assert preference.rows == int(found.ambiguous.sum()) < len(table)
    assert preference.ties == preference.rows
    assert (within.metric, within.value, within.chance) == ("binding_within_bag", 0.0, pytest.approx(1 / 6))
    none = binding_outcomes(found, table, np.zeros(len(table), dtype=bool))[0]
    assert (none.value, none.chance, none.ceiling) == (None, None, None)


def test_above_chance() -> None:
    assert above_chance(0.5, 0.5) == 0.0
    assert above_chance(1.0, 0.375) == 1.0
    assert np.isnan(above_chance(1.0, 1.0))


def test_wrong_shapes_are_refused() -> None:
    table = every_scene((2, 2), 2)
    with pytest.raises(InputError, match=r"queries must have shape \[candidates, 3\], got \[4, 2\]"):
        binding_by_cosine(np.ones((len(table), 3)), np.ones((4, 2)), table)
    with pytest.raises(InputError, match="a column of weights for each of 4 candidates"):
        binding_linear(np.ones((len(table), 3)), np.ones((3, 5)), None, table)
