"""Edits against brute force: every case by loops, every leave-out by a refit without the rows, every rank one by one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from bindscope.analyses.editing.cases import (
    as_the_paper_edits,
    drawn,
    object_cases,
    target_members,
    value_cases,
)
from bindscope.analyses.editing.object_vectors import object_vectors, single_vectors
from bindscope.analyses.editing.ranking import Gallery, nearest, rank_edits, twins
from bindscope.concepts import ABSENT
from bindscope.design import object_design
from bindscope.errors import InputError, TableError
from bindscope.probes import Probe
from bindscope.recognition import recognise
from bindscope.scenes import SceneTable
from planted import designs, incomplete, plant, random_scenes, scenes

FITTED = ("avg", "avg+pos", "ols", "ols+pos")


def headline(table: SceneTable) -> SceneTable:
    return table.take(table.rows_with(table.headline_count))


TABLES = {
    **{name: headline(table) for name, table in designs().items()},
    "same and replicates": scenes(3, 2, same=True, replicates=2),
    "uneven replicates": random_scenes(3, 2, n=90, m=2, seed=5),
    "sparse": incomplete(scenes(4, 3), 0.45, seed=2),
}


def noise(table: SceneTable, dim: int = 7, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(len(table), dim)) + 1.0


def key(table: SceneTable, row: int) -> tuple[int, ...]:
    return tuple(table.object_codes[row].tolist())


@pytest.mark.parametrize("name", TABLES)
def test_cases_are_all_edits_that_a_loop_finds(name: str) -> None:
    table = TABLES[name]
    place = {key(table, row): int(table.scene_ids[row]) for row in range(len(table))}
    value, whole = set(), set()
    no_object = no_scene = whole_missing = 0
    for row, slot in product(range(len(table)), range(table.n_slots)):
        if not table.present[row, slot]:
            continue
        for k in range(table.space.n_concepts):
            for v in table.known_values(k):
                if v == table.values[row, slot, k]:
                    continue
                cells = table.values[row, slot].copy()
                cells[k] = v
                code = np.flatnonzero(table.candidates == table.space.object_ids(cells))
                if not len(code):
                    no_object += 1
                    continue
                wanted = list(key(table, row))
                wanted[slot] = int(code[0])
                scene = place.get(tuple(wanted))
                no_scene += scene is None
                if scene is not None:
                    value.add((row, slot, int(code[0]), k, scene))
        for code in range(table.n_objects):
            wanted = list(key(table, row))
            if code == wanted[slot]:
                continue
            wanted[slot] = code
            scene = place.get(tuple(wanted))
            whole_missing += scene is None
            if scene is not None:
                whole.add((row, slot, code, scene))
    cases, untested = value_cases(table, np.arange(len(table)))
    found = list(
        zip(*(a.tolist() for a in (cases.row, cases.slot, cases.new, cases.concept, cases.target)), strict=True)
    )
    assert len(found) == len(set(found))
    assert set(found) == value
    assert (untested.no_object, untested.no_scene, untested.left_out) == (no_object, no_scene, 0)
    cases, untested = object_cases(table, np.arange(len(table)))
    found = list(zip(*(a.tolist() for a in (cases.row, cases.slot, cases.new, cases.target)), strict=True))
    assert set(found) == whole
    assert len(found) == len(whole)
    assert untested.no_scene == whole_missing
    assert (np.diff(cases.row) >= 0).all()


def test_strata_say_whether_another_object_has_the_value() -> None:
    table = scenes(3, 2, m=3)
    cases, _ = value_cases(table, np.arange(len(table)))
    for i in range(0, len(cases), 37):
        row, slot, k = int(cases.row[i]), int(cases.slot[i]), int(cases.concept[i])
        others = [table.values[row, j, k] for j in range(3) if j != slot]
        assert cases.shared[i] == (table.values[row, slot, k] in others)
        assert cases.wanted[i] == (table.candidate_values[cases.new[i], k] in others)


@pytest.mark.parametrize("name", list(designs()))
def test_the_papers_edits_are_one_value_of_the_first_concept_for_each_object(name: str) -> None:
    table = headline(designs()[name])
    cases, _ = value_cases(table, np.arange(len(table)))
    chosen = cases.take(as_the_paper_edits(table, cases, 0))
    for row, slot, concept, old, new in zip(
        chosen.row, chosen.slot, chosen.concept, chosen.old, chosen.new, strict=True
    ):
        values = table.values[row][table.present[row]]
        assert all(len(set(values[:, k].tolist())) == len(values) for k in range(1, table.space.n_concepts))
        assert (concept, old) == (0, table.object_codes[row, slot])
        assert table.candidate_values[old, 0] != table.candidate_values[new, 0]
        assert table.candidate_values[old, 1:].tolist() == table.candidate_values[new, 1:].tolist()
    places = np.stack([chosen.row, chosen.slot], axis=1)
    assert len(np.unique(places, axis=0)) == len(places)  # one each


def test_the_papers_edits_of_a_whole_table_are_two_a_scene_of_different_nouns() -> None:
    table = scenes(5, 4)
    cases, _ = value_cases(table, np.arange(len(table)))
    mask = as_the_paper_edits(table, cases, 0)
    assert mask.sum() == 2 * 20 * 15
    assert cases.take(mask).shared.mean() == pytest.approx(0.2)
    assert not np.array_equal(mask, as_the_paper_edits(table, cases, 1))


def test_many_objects_are_drawn_and_the_rest_is_counted() -> None:
    table = scenes(4, 3)
    cases, untested = object_cases(table, np.arange(len(table)), seed=3, most=len(table) * 2 * 4)
    assert untested.left_out == len(table) * 2 * (11 - 4)
    pairs = set(zip(cases.row.tolist(), cases.slot.tolist(), cases.new.tolist(), strict=True))
    assert len(pairs) == len(cases) == len(table) * 2 * 4 - untested.no_scene
    again, _ = object_cases(table, np.arange(len(table)), seed=3, most=len(table) * 2 * 4)
    assert np.array_equal(again.new, cases.new)
    assert len(drawn(cases, 10, 0)) == 10


def refit(vectors: np.ndarray, table: SceneTable, estimator: str, keep: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Object vectors from the rows of a mask by numpy alone, and the dense design."""
    design = object_design(table, estimator.endswith("+pos")).toarray()[keep]
    centred = vectors[keep] - vectors[keep].mean(axis=0)
    if estimator.startswith("ols"):
        return np.linalg.lstsq(design, centred, rcond=1e-9)[0], design
    shown = (design > 0).astype(float)
    return (shown.T @ centred) / np.maximum(shown.sum(axis=0), 1)[:, None], design


@pytest.mark.parametrize("estimator", FITTED)
@pytest.mark.parametrize("name", TABLES)
def test_left_out_vectors_are_those_of_a_refit(name: str, estimator: str) -> None:
    table = TABLES[name]
    vectors = noise(table)
    fitted = object_vectors(vectors, table, estimator)
    cases, _ = object_cases(table, np.arange(len(table)))
    cases = drawn(cases, 120, 1)
    weights = fitted.weights(cases, leave_out=True)
    plain = fitted.weights(cases)
    got, before = fitted.edited(cases, weights), fitted.edited(cases, plain)
    whole, whole_design = refit(vectors, table, estimator, np.ones(len(table), dtype=bool))
    step = table.n_objects * estimator.endswith("+pos")
    seen = 0
    for i in range(len(cases)):
        old, new = int(cases.old[i] + cases.slot[i] * step), int(cases.new[i] + cases.slot[i] * step)
        keep = ~np.isin(table.scene_ids, [cases.base[i], cases.target[i]])
        contrast = np.zeros(whole_design.shape[1])
        contrast[new], contrast[old] = 1.0, -1.0
        if estimator.startswith("ols"):
            left = whole_design[keep]
            full = np.linalg.matrix_rank(left) == np.linalg.matrix_rank(whole_design) if keep.any() else False
            testable = full and in_row_space(contrast, left)
        else:
            testable = bool((whole_design[keep][:, [old, new]] > 0).any(axis=0).all())
        assert weights.testable[i] == testable
        if plain.testable[i]:
            np.testing.assert_allclose(before[i], vectors[cases.row[i]] + whole[new] - whole[old], atol=1e-8)
        if testable:
            seen += 1
            less, _ = refit(vectors, table, estimator, keep)
            np.testing.assert_allclose(got[i], vectors[cases.row[i]] + less[new] - less[old], atol=1e-7)
    assert seen > 0 or name in ("m=1", "sparse", "incomplete", "C=1", "mixed m"), "nothing could be tested"


def in_row_space(contrast: np.ndarray, design: np.ndarray) -> bool:
    solution = np.linalg.lstsq(design.T, contrast, rcond=1e-9)[0]
    return bool(np.abs(design.T @ solution - contrast).max() < 1e-6)


@pytest.mark.parametrize("estimator", ["avg+pos", "ols"])
@pytest.mark.parametrize("name", ["pairs", "replicates", "C=3", "m=3", "incomplete C=3 m=3", "same and replicates"])
def test_ranks_are_those_of_a_loop_over_all_vectors(name: str, estimator: str) -> None:
    table = TABLES[name]
    vectors = noise(table, 5, 3).astype(np.float32)
    fitted = object_vectors(vectors, table, estimator)
    cases, _ = value_cases(table, np.arange(len(table)))
    edits = [fitted.weights(cases), fitted.weights(cases, leave_out=True), fitted.weights(cases).times(0.7)]
    found = rank_edits(Gallery.of(vectors, table), cases, [(fitted, weights) for weights in edits])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for weights, ranks in zip(edits, found, strict=True):
        edited = fitted.edited(cases, weights)
        scores = (edited / np.linalg.norm(edited, axis=1, keepdims=True)) @ unit.T
        for i in range(0, len(cases), 7):
            own = table.scene_ids == cases.target[i]
            assert ranks.rank[i] == 1 + (scores[i][~own] >= scores[i][own].max() - 2e-6).sum()
            assert ranks.own[i] == own.sum()


def test_ranks_do_not_depend_on_the_block_of_the_gallery(monkeypatch: pytest.MonkeyPatch) -> None:
    table = scenes(4, 3)
    vectors = noise(table)
    fitted = object_vectors(vectors, table, "ols+pos")
    cases, _ = value_cases(table, np.arange(len(table)))
    edits = [(fitted, fitted.weights(cases, leave_out=True))]
    whole = rank_edits(Gallery.of(vectors, table), cases, edits)[0]
    monkeypatch.setattr("bindscope.analyses.editing.ranking._COLUMNS", 17)
    monkeypatch.setattr("bindscope.analyses.editing.ranking._BLOCK", 5)
    parts = rank_edits(Gallery.of(vectors, table), cases, edits)[0]
    assert np.array_equal(whole.rank, parts.rank)


@pytest.mark.parametrize("kind", ["bag", "object", "mixed", "product"])
@pytest.mark.parametrize("slots", ["shared", "own"])
def test_editing_is_exact_in_a_noiseless_additive_world(kind: str, slots: str) -> None:
    table = scenes(4, 3)
    world = plant(kind, table, dim=48, slots=slots, seed=2)  # type: ignore[arg-type]
    vectors = world.vectors.astype(np.float32)
    for cases, _ in (value_cases(table, np.arange(len(table))), object_cases(table, np.arange(len(table)))):
        for estimator in FITTED if slots == "shared" else ("avg+pos", "ols+pos"):
            fitted = object_vectors(vectors, table, estimator)
            for left_out in (False, True):
                weights = fitted.weights(cases, left_out)
                ranks = rank_edits(Gallery.of(vectors, table), cases, [(fitted, weights)])[0]
                assert ranks.hit[weights.testable].all()
                assert weights.testable.all()


def test_shuffled_vectors_are_not_found() -> None:
    table = scenes(4, 3)
    vectors = plant("object", table, dim=48, slots="own").vectors
    shuffled = vectors[np.random.default_rng(0).permutation(len(vectors))]
    fitted = object_vectors(shuffled, table, "ols+pos")
    cases, _ = value_cases(table, np.arange(len(table)))
    weights = fitted.weights(cases, leave_out=True)
    assert rank_edits(Gallery.of(shuffled, table), cases, [(fitted, weights)])[0].hit.mean() < 0.1


def test_equal_vectors_count_as_one_and_only_they() -> None:
    table = scenes(3, 2)
    vectors = plant("object", table, dim=20).vectors  # no slots: a scene and its mirror image are one vector
    gallery = Gallery.of(vectors, table)
    assert int(gallery.groups.max()) + 1 == len(table) // 2
    position, row = gallery.own(np.array([0, 5]))
    assert np.bincount(position).tolist() == [2, 2]
    assert (table.multiset_ids[row] == table.multiset_ids[row[[0, 0, 2, 2]]]).all()
    moved = np.random.default_rng(0).normal(size=(500, 20)).astype(np.float32)
    assert int(twins(moved / np.linalg.norm(moved, axis=1, keepdims=True)).max()) + 1 == 500


def test_one_object_scenes_edit_scenes_of_several() -> None:
    pairs, alone = scenes(4, 3), scenes(4, 3, m=1)
    world = plant("object", pairs, dim=40, seed=1)
    single = world.objects[0][alone.object_codes[:, 0]] + 5.0  # another mean, as captions of one object have
    fitted = single_vectors(world.vectors, pairs, single, alone)
    cases, _ = object_cases(pairs, np.arange(len(pairs)))
    weights = fitted.weights(cases, leave_out=True)
    assert weights.testable.all()
    assert rank_edits(Gallery.of(world.vectors, pairs), cases, [(fitted, weights)])[0].hit.all()
    assert fitted.best_strength() == pytest.approx(1.0, abs=0.1)
    some = single_vectors(world.vectors, pairs, single[1:], alone.take(np.arange(1, 12)))
    missing = ~some.weights(cases).testable
    assert missing.any()
    assert (missing == ((cases.old == 0) | (cases.new == 0))).all()


def test_probes_read_edited_vectors_as_if_they_were_given_one_by_one() -> None:
    table = scenes(3, 3)
    vectors = noise(table, 6)
    rng = np.random.default_rng(4)
    for estimator in FITTED:
        fitted = object_vectors(vectors, table, estimator)
        cases, _ = value_cases(table, np.arange(len(table)))
        weights = fitted.weights(cases, leave_out=True)
        probe = Probe(rng.normal(size=(6, 9)), rng.normal(size=9), 0.1, True)
        members = target_members(table, cases)
        right = recognise(fitted.edited(cases, weights) @ probe.weights + probe.bias, members).right
        assert np.array_equal(fitted.recognised(cases, weights, probe, members).right, right)
        _, first = np.unique(table.scene_ids, return_index=True)
        assert np.array_equal(members, table.object_codes[first[cases.target]])
        values = target_members(table, cases, 1)
        assert np.array_equal(values, table.members(1)[0][first[cases.target]])


def test_strength_is_a_dial() -> None:
    table = scenes(3, 3)
    vectors = noise(table)
    fitted = object_vectors(vectors, table, "ols+pos")
    cases, _ = value_cases(table, np.arange(len(table)))
    weights = fitted.weights(cases, leave_out=True)
    still, full = fitted.edited(cases, weights.times(0.0)), fitted.edited(cases, weights)
    np.testing.assert_allclose(still, vectors[cases.row])
    np.testing.assert_allclose(fitted.edited(cases, weights.times(0.5)), (still + full) / 2)


def test_nearest_is_sorted_by_cosine() -> None:
    table = scenes(3, 2)
    vectors = noise(table)
    rows, cosines = nearest(Gallery.of(vectors, table), vectors[:4], 5)
    assert rows[:, 0].tolist() == [0, 1, 2, 3]
    assert (np.diff(cosines, axis=1) <= 0).all()
    exact = vectors[:4] @ vectors.T / np.outer(np.linalg.norm(vectors[:4], axis=1), np.linalg.norm(vectors, axis=1))
    np.testing.assert_allclose(cosines, np.sort(exact, axis=1)[:, ::-1][:, :5], atol=1e-6)


def test_absent_slots_are_never_edited() -> None:
    table = random_scenes(3, 2, n=60, m=3, absent=0.4, seed=1)
    table = table.take(table.rows_with(2))
    cases, _ = value_cases(table, np.arange(len(table)))
    assert table.present[cases.row, cases.slot].all()
    assert (cases.old != ABSENT).all()
    vectors = noise(table)
    for estimator in FITTED:
        fitted = object_vectors(vectors, table, estimator)
        assert len(rank_edits(Gallery.of(vectors, table), cases, [(fitted, fitted.weights(cases, True))])[0].rank)


def test_what_cannot_be_used_is_refused() -> None:
    table = scenes(3, 2)
    with pytest.raises(InputError, match="unknown estimator 'median'"):
        object_vectors(noise(table), table, "median")
    with pytest.raises(TableError, match="one object only"):
        single_vectors(noise(table), table, noise(table), table)
    with pytest.raises(TableError, match="same candidates"):
        single_vectors(noise(table), table, noise(scenes(2, 2, m=1)), scenes(2, 2, m=1))


def expected_hits(clean: np.ndarray, sd: float, base: np.ndarray, target: np.ndarray, error: float) -> float:
    """What noise leaves of top-1 retrieval, by the laws of the noise alone.

    The edit is e = c_target + n_base + error of the two object vectors. The base's own real vector c_base + n_base has the
    same noise, so it is compared as it is. Every other scene r has noise of its own and stays behind with probability
    Phi((t |g_r| - c_r e / |e|) / sd), t the cosine of e and the target's real vector, independently of all others.
    """
    from scipy.stats import norm

    rng = np.random.default_rng(1)
    d = clean.shape[1]
    length = np.sqrt((clean**2).sum(axis=1) + d * sd**2)
    chances = []
    for b, t in zip(base, target, strict=True):
        noise = sd * rng.normal(size=d)
        e = clean[t] + noise + error * sd * rng.normal(size=d)
        e /= np.linalg.norm(e)
        wanted, started = clean[t] + sd * rng.normal(size=d), clean[b] + noise
        cosine = e @ wanted / np.linalg.norm(wanted)
        log = norm.logcdf((cosine * length - clean @ e) / sd)
        log[[b, t]] = 0.0
        chances.append(np.exp(log.sum()) * (cosine > e @ started / np.linalg.norm(started)))
    return float(np.mean(chances))


@pytest.mark.parametrize("level", [0.6, 0.9, 1.3])
def test_noise_costs_what_is_computed(level: float) -> None:
    table = scenes(6, 5)
    world = plant("object", table, dim=64, noise=level, slots="own", seed=5)
    fitted = object_vectors(world.vectors, table, "ols+pos")
    cases, _ = object_cases(table, np.arange(len(table)))
    cases = drawn(cases, 1500, 0)
    weights = fitted.weights(cases, leave_out=True)
    measured = rank_edits(Gallery.of(world.vectors, table), cases, [(fitted, weights)])[0].hit.mean()
    _, first = np.unique(table.scene_ids, return_index=True)
    error = np.sqrt(2 / 28)  # the difference of two means over the 28 scenes that are left of each object
    expected = expected_hits(world.clean, level * world.clean.std(), cases.row, first[cases.target], error)
    assert measured == pytest.approx(expected, abs=0.03)
    assert measured < 1.0
