"""Variance shares against planted components, sums of squares by lstsq, and the null of no interaction."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import kstest

from bindscope.analyses.context import Context
from bindscope.analyses.variance.measure import measure
from bindscope.analyses.variance.shares import interaction_test, nested_designs, variance_shares
from bindscope.concepts import ConceptSpace
from bindscope.embeddings import Embeddings
from bindscope.errors import TableError
from bindscope.results import Results
from bindscope.scenes import SceneTable
from bindscope.uncertainty import p_value
from planted import space_of


def table_of(sizes: tuple[int, ...], m: int = 2, keep: float = 1.0, replicates: int = 1) -> SceneTable:
    space = ConceptSpace.of([(f"c{k}", [f"v{i}" for i in range(size)]) for k, size in enumerate(sizes)])
    objects = list(itertools.product(*(range(size) for size in sizes)))
    rows = np.array(list(itertools.permutations(objects, m)))
    rows = rows[np.random.default_rng(0).random(len(rows)) < keep]
    return SceneTable.build(space, np.repeat(rows, replicates, axis=0))


@pytest.mark.parametrize(
    ("sizes", "m", "keep"), [((4, 3), 2, 1.0), ((4, 3), 2, 0.5), ((3, 2, 2), 2, 0.6), ((3, 2), 3, 1.0)]
)
def test_nested_fits_agree_with_lstsq_for_any_design(sizes: tuple[int, ...], m: int, keep: float) -> None:
    table = table_of(sizes, m, keep)
    vectors = np.random.default_rng(1).normal(size=(len(table), 4))
    shares = variance_shares(vectors, table)
    centred = vectors - vectors.mean(axis=0)
    for step, design in enumerate(nested_designs(table)):
        dense = design.toarray()
        fitted = dense @ np.linalg.lstsq(dense, centred, rcond=None)[0]
        np.testing.assert_allclose(shares.errors[step + 1].sum(), ((centred - fitted) ** 2).sum(), rtol=1e-8)
        assert shares.ranks[step + 1] == np.linalg.matrix_rank(dense)
    assert sum(shares.share(step) for step in range(5)) == pytest.approx(1.0)
    if shares.free > 0:
        assert sum(shares.corrected(step) for step in range(5)) == pytest.approx(1.0)


def test_pure_noise_has_corrected_shares_near_zero_and_raw_ones_above() -> None:
    table = table_of((5, 5))
    raw, corrected = [], []
    for seed in range(12):
        shares = variance_shares(np.random.default_rng(seed).normal(size=(len(table), 20)), table)
        raw.append([shares.share(step) for step in range(4)])
        corrected.append([shares.corrected(step) for step in range(4)])
    assert np.abs(np.mean(corrected, axis=0)).max() < 0.003
    assert np.mean(raw, axis=0)[2] > 0.05


def test_planted_shares_are_found() -> None:
    """Components whose variances are known: bag 4 + own vector of every object 1 (two concepts of 7 and 6 values)."""
    table = table_of((7, 6))
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(7, 4000)), rng.normal(size=(6, 4000))
    concepts = first[table.values[:, :, 0]].sum(axis=1) + second[table.values[:, :, 1]].sum(axis=1)
    own = rng.normal(size=(42, 4000))[table.object_codes].sum(axis=1)
    shares = variance_shares(own, table)
    # of the 41 degrees of freedom between objects, 6 + 5 are concepts and 30 interaction
    assert shares.share(2) == pytest.approx(30 / 41, abs=0.02)
    assert shares.share(0) == pytest.approx(11 / 41, abs=0.02)
    assert variance_shares(concepts, table).share(2) == pytest.approx(0.0, abs=1e-12)
    assert variance_shares(concepts, table).share(0) == pytest.approx(1.0, abs=1e-12)


def test_slots_and_pairs_are_told_apart() -> None:
    table = table_of((4, 3))
    rng = np.random.default_rng(3)
    by_slot = rng.normal(size=(2, 4, 30))
    slotted = by_slot[0][table.values[:, 0, 0]] + by_slot[1][table.values[:, 1, 0]]
    shares = variance_shares(slotted, table)
    assert shares.share(0) + shares.share(1) == pytest.approx(1.0)
    assert shares.share(1) > 0.2
    pairs = rng.normal(size=(4, 4, 30))[table.values[:, 0, 0], table.values[:, 1, 0]]
    shares = variance_shares(pairs, table)
    assert shares.share(3) > 0.2
    assert sum(shares.share(step) for step in range(4)) == pytest.approx(1.0)


def test_replicates_give_the_noise_share() -> None:
    table = table_of((4, 4), replicates=3)
    rng = np.random.default_rng(4)
    signal = rng.normal(size=(16, 200))[table.object_codes].sum(axis=1)
    signal -= signal.mean(axis=0)
    vectors = signal + 0.5 * signal.std() * rng.normal(size=signal.shape)
    assert variance_shares(vectors, table).noise_share == pytest.approx(0.2, abs=0.01)
    assert np.isnan(variance_shares(signal[::3], table.take(np.arange(0, len(table), 3))).noise_share)


def test_no_degrees_of_freedom_left_is_not_a_number() -> None:
    table = table_of((3, 3), keep=0.15)
    shares = variance_shares(np.random.default_rng(5).normal(size=(len(table), 3)), table)
    assert shares.free <= 0
    assert np.isnan(shares.corrected(0))


def test_embeddings_that_do_not_vary_are_refused() -> None:
    table = table_of((3, 3))
    with pytest.raises(TableError, match="do not vary"):
        variance_shares(np.full((len(table), 4), 7.0), table)


def additive(table: SceneTable, rng: np.random.Generator, dim: int = 12) -> np.ndarray:
    """A sum of concept vectors, one set for each slot."""
    parts = [
        rng.normal(size=(size, dim))[table.values[:, slot, k]]
        for k, size in enumerate(table.space.sizes)
        for slot in range(table.n_slots)
    ]
    return np.sum(parts, axis=0)


@pytest.mark.parametrize("replicates", [1, 2])
def test_a_planted_interaction_is_found(replicates: int) -> None:
    table = table_of((5, 4), replicates=replicates)
    rng = np.random.default_rng(6)
    own = rng.normal(size=(20, 12))[table.object_codes].sum(axis=1)
    found = interaction_test(additive(table, rng) + rng.normal(size=(len(table), 12)) + 0.5 * own, table, 49)
    assert found is not None
    assert p_value(found.statistic, found.null) == 1 / 50


@pytest.mark.parametrize(("keep", "replicates"), [(1.0, 1), (0.8, 1), (1.0, 2)])
def test_p_values_of_additive_worlds_are_uniform(keep: float, replicates: int) -> None:
    """A raw sum of squares gave p <= .05 in 13 to 32 % of such worlds."""
    table = table_of((4, 3), keep=keep, replicates=replicates)
    found = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        test = interaction_test(additive(table, rng) + rng.normal(size=(len(table), 12)), table, 19, seed)
        assert test is not None
        found.append(p_value(test.statistic, test.null) - np.random.default_rng([seed, 1]).random() / 20)
    assert kstest(found, "uniform").pvalue > 0.001  # 1,000 worlds at 0.01: benchmarks/calibration


def test_the_statistic_is_the_pooled_f_of_the_nested_fits() -> None:
    table = table_of((4, 3), keep=0.8)
    vectors = np.random.default_rng(7).normal(size=(len(table), 5))
    found, shares = interaction_test(vectors, table, 1), variance_shares(vectors, table)
    assert found is not None
    within, left = shares.contributions(2).sum(), shares.errors[3].sum()
    assert found.freedom == (shares.ranks[3] - shares.ranks[2], len(table) - shares.ranks[3])
    assert found.statistic == pytest.approx(within / found.freedom[0] / (left / found.freedom[1]), rel=1e-5)


def test_scenes_that_leave_no_freedom_are_not_tested_but_by_replicates() -> None:
    """One object a scene: objects explain every scene, so only replicates tell an interaction from noise."""
    rng = np.random.default_rng(0)
    space = space_of(5, 4)
    single = SceneTable.build(space, space.object_values(np.arange(20))[:, None])
    assert interaction_test(rng.normal(size=(20, 6)), single, 19) is None
    twice = SceneTable.build(space, np.repeat(single.values, 3, axis=0))
    noise = rng.normal(size=(60, 6))
    found = interaction_test(noise, twice, 19)
    assert found is not None
    assert found.freedom == (12, 40)
    own = rng.normal(size=(20, 6))[twice.object_codes[:, 0]]
    strong = interaction_test(noise + 3 * own, twice, 19)
    assert strong is not None
    assert p_value(strong.statistic, strong.null) == 1 / 20


def test_one_concept_has_no_interaction() -> None:
    table = table_of((6,))
    assert interaction_test(np.random.default_rng(1).normal(size=(len(table), 4)), table, 5) is None


def test_what_cannot_be_tested_is_a_record_of_nothing() -> None:
    space = space_of(5, 4)
    single = SceneTable.build(space, space.object_values(np.arange(20))[:, None])
    context = Context(Embeddings(np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32), single))
    record = Results(context.records("variance", measure(context))).one(metric="p_value")
    assert record.value is None


def test_an_exactly_additive_world_is_not_significant() -> None:
    table = table_of((5, 4))
    found = interaction_test(additive(table, np.random.default_rng(2)).astype(np.float32), table, 19)
    assert found is not None
    assert found.statistic == 0.0
    assert p_value(found.statistic, found.null) == 1.0
