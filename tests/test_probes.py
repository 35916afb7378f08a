"""Linear read-outs: their optimum against scikit-learn, what they read of planted worlds, and where nothing can be read."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from bindscope import probes as module
from bindscope import softmax
from bindscope.concepts import ABSENT
from bindscope.errors import NotConvergedWarning
from bindscope.probes import (
    PENALTIES,
    Probe,
    _standard_error,
    constant_cross_entropy,
    fit_probe,
    fit_probes,
    training_rows,
)
from bindscope.recognition import object_chance
from bindscope.scenes import SceneTable
from bindscope.splits import split_scenes
from planted import designs, mixed_counts, plant, scenes

DESIGNS = designs()


def labelled(n: int = 200, d: int = 8, k: int = 4, spread: float = 1.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors with one label each, overlapping, far from the origin and of another unit in each dimension."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    vectors = 7.0 + rng.normal(size=(k, d))[labels] + spread * rng.normal(size=(n, d))
    return vectors * np.linspace(0.5, 2.0, d), labels[:, None]


def mean_loss(probe: Probe, vectors: np.ndarray, members: np.ndarray, penalty: float) -> float:
    """The objective: on centred vectors of unit RMS, so that weights are in that unit."""
    rms = float(np.sqrt(np.mean((vectors - vectors.mean(axis=0)) ** 2)))
    return float(probe.cross_entropy(vectors, members).mean() + 0.5 * penalty * ((probe.weights * rms) ** 2).sum())


def by_sklearn(vectors: np.ndarray, labels: np.ndarray, penalty: float) -> Probe:
    """The same optimum by another hand: C sum CE + |W|^2 / 2 with C = 1 / (n penalty)."""
    away = vectors - vectors.mean(axis=0)
    rms = float(np.sqrt(np.mean(away**2)))
    model = LogisticRegression(C=1 / (len(vectors) * penalty), tol=1e-10, max_iter=100_000)
    model.fit(away / rms, labels)
    weights = model.coef_.T / rms
    return Probe(weights, model.intercept_ - vectors.mean(axis=0) @ weights, penalty, True)


@pytest.mark.parametrize("penalty", [1e-1, 1e-3])
@pytest.mark.parametrize("shape", [(200, 8, 4), (60, 100, 3), (400, 5, 10)], ids=["n > d", "n < d", "many labels"])
def test_the_optimum_is_that_of_scikit_learn(shape: tuple[int, int, int], penalty: float) -> None:
    vectors, members = labelled(*shape)
    ours = fit_probe(vectors, members, shape[2], penalties=[penalty])
    theirs = by_sklearn(vectors, members[:, 0], penalty)
    assert (ours.converged, ours.penalty) == (True, penalty)
    best = mean_loss(theirs, vectors, members, penalty)
    assert best - 1e-6 <= mean_loss(ours, vectors, members, penalty) <= best + 1e-3
    new, _ = labelled(*shape, seed=1)
    agree = ours.scores(new).argmax(axis=1) == theirs.scores(new).argmax(axis=1)
    assert agree.mean() > 0.95


def test_vectors_in_any_unit_and_place_give_the_same_read_out() -> None:
    vectors, members = labelled()
    plain = fit_probe(vectors, members, 4, penalties=[1e-2])
    for scale, shift in ((1e-9, 0.0), (1e9, 0.0), (1.0, 1e3), (1e-6, 1e-3)):
        moved = scale * vectors + shift
        probe = fit_probe(moved, members, 4, penalties=[1e-2])
        assert np.allclose(probe.scores(moved), plain.scores(vectors), atol=0.05)
        assert np.array_equal(probe.scores(moved).argmax(axis=1), plain.scores(vectors).argmax(axis=1))


def test_cross_entropy_and_scores_by_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    probe = Probe(rng.normal(size=(3, 5)), rng.normal(size=5), 0.1, True)
    vectors = rng.normal(size=(7, 3))
    members = np.array([[0, 1], [2, 2], [4, ABSENT], [ABSENT, 3], [1, 0], [0, 4], [3, 3]])
    scores = vectors @ probe.weights + probe.bias
    log = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    expected = [-np.mean([log[i, c] for c in row if c != ABSENT]) for i, row in enumerate(members.tolist())]
    assert np.allclose(probe.scores(vectors), scores)
    assert np.allclose(probe.cross_entropy(vectors, members), expected)
    monkeypatch.setattr(module, "_ROWS", 2)
    assert np.allclose(probe.cross_entropy(vectors, members), expected)


def test_constant_cross_entropy_is_the_entropy_of_the_training_targets() -> None:
    members = np.array([[0, 1], [0, 2], [0, 0], [1, ABSENT]])
    everyone = np.ones(4, dtype=bool)
    chances = np.array([2.0, 1.5, 0.5]) / 4  # counts / m, meaned
    expected = [-np.mean([np.log(chances[c]) for c in row if c != ABSENT]) for row in members.tolist()]
    assert np.allclose(constant_cross_entropy(members, 3, everyone), expected)
    assert np.mean(expected) == pytest.approx(-(chances * np.log(chances)).sum())
    unseen = constant_cross_entropy(members, 3, np.array([False, False, True, True]))
    assert np.isfinite(unseen).all()
    assert unseen[1] > unseen[0]  # a candidate that training does not show costs more


# --- what probes read of worlds whose truth is known


@pytest.mark.parametrize(("kind", "binds"), [("object", True), ("mixed", True), ("bag", False)])
def test_objects_are_read_where_they_are_and_not_in_a_bag(kind: str, binds: bool) -> None:
    world = plant(kind, scenes(5, 5), dim=64)  # type: ignore[arg-type]
    train = split_scenes(world.table, 0.4, seed=1)
    found = fit_probes(world.vectors, world.table, train)
    held = world.table.take(~train)
    concepts = [outcome.right.mean() for outcome in found.concept_outcomes(world.vectors[~train], held)]
    right = found.object_outcome(world.vectors[~train], held).right[held.unshared].mean()
    assert min(concepts) > 0.95
    assert right > 0.9 if binds else right <= 0.5
    assert np.array_equal(found.train, train)


def test_vectors_without_meaning_are_read_at_chance() -> None:
    table = scenes(4, 4)
    vectors = np.random.default_rng(0).normal(size=(len(table), 32))
    train = split_scenes(table, 0.4)
    held = table.take(~train)
    right = fit_probes(vectors, table, train).object_outcome(vectors[~train], held).right.mean()
    assert right < 4 * object_chance(held).mean() + 0.02


@pytest.mark.parametrize("name", list(DESIGNS))
def test_every_design_can_be_probed(name: str) -> None:
    world = plant("object", DESIGNS[name], dim=40, noise=0.05)
    train = split_scenes(world.table, 0.5)
    found = fit_probes(world.vectors, world.table, train)
    assert len(found.concepts) == world.table.space.n_concepts
    for probe, target in zip((*found.concepts, found.objects), [*range(len(found.concepts)), None], strict=True):
        members, candidates = world.table.members(target)
        assert probe.weights.shape == (40, candidates)
        assert np.isfinite(probe.scores(world.vectors)).all()
        assert probe.recognised(world.vectors[train], members[train]).right.mean() > 0.9


def test_scenes_of_several_sizes_in_one_table() -> None:
    world = plant("object", mixed_counts(3, 2), dim=24)
    found = fit_probes(world.vectors, world.table, np.ones(len(world.table), dtype=bool))
    assert found.object_outcome(world.vectors, world.table).right.mean() > 0.95


def test_fewer_rows_than_dimensions() -> None:
    world = plant("object", scenes(3, 3), dim=900, noise=0.1)
    train = split_scenes(world.table, 0.5, seed=2)
    found = fit_probes(world.vectors, world.table, train)
    assert found.objects.converged
    assert found.object_outcome(world.vectors[~train], world.table.take(~train)).right.mean() > 0.9


def test_copies_of_rows_change_nothing() -> None:
    vectors, members = labelled(80)
    once = fit_probe(vectors, members, 4, penalties=[1e-2])
    thrice = fit_probe(np.repeat(vectors, 3, axis=0), np.repeat(members, 3, axis=0), 4, penalties=[1e-2])
    assert np.allclose(once.scores(vectors), thrice.scores(vectors), atol=0.1)
    same = np.repeat(vectors[:1], 30, axis=0)  # nothing but copies: no variance
    flat = fit_probe(same, members[:30], 4, penalties=[1e-2])
    assert not flat.weights.any()
    assert flat.recognised(same, members[:30]).tied.all()


# --- where there is little to read


def test_one_candidate_needs_no_fit() -> None:
    probe = fit_probe(np.random.default_rng(0).normal(size=(6, 3)), np.zeros((6, 2), dtype=int), 1)
    assert probe.weights.shape == (3, 1)
    assert probe.recognised(np.ones((2, 3)), np.zeros((2, 2), dtype=int)).right.all()


def test_constant_vectors_give_a_constant_read_out_whatever_their_place() -> None:
    for place in (0.0, 1.0, 1e8):
        probe = fit_probe(np.full((20, 4), place), np.arange(20)[:, None] % 3, 3)
        assert not probe.weights.any()
        assert probe.converged


def test_a_candidate_that_training_does_not_show() -> None:
    vectors, members = labelled(200, k=4)
    seen = members[:, 0] != 3
    probe = fit_probe(vectors[seen], members[seen], 4, penalties=[1e-2])
    assert np.isfinite(probe.scores(vectors)).all()
    assert not probe.recognised(vectors[~seen], members[~seen]).right.any()
    assert probe.recognised(vectors[seen], members[seen]).right.mean() > 0.5


def test_a_single_bag_cannot_choose_and_takes_the_first_penalty() -> None:
    table = SceneTable.build(scenes(2, 2).space, [[[0, 0], [1, 1]], [[1, 1], [0, 0]]])
    found = fit_probes(np.eye(2), table, np.ones(2, dtype=bool))
    assert {probe.penalty for probe in (*found.concepts, found.objects)} == {PENALTIES[0]}


# --- how the penalty is chosen, and on what


def test_the_penalty_is_chosen_on_rows_that_do_not_fit() -> None:
    vectors, members = labelled(160, d=60, spread=6.0)  # mostly noise: only a strong penalty generalises
    inner = np.zeros(160, dtype=bool)
    inner[:100] = True
    noisy = fit_probe(vectors, members, 4, inner, choose_by="cross_entropy")
    clear = fit_probe(*labelled(160, d=60, spread=0.01), 4, inner, choose_by="cross_entropy")  # type: ignore[misc]
    assert noisy.penalty > clear.penalty
    new, labels = labelled(400, d=60, spread=6.0, seed=0)
    loose = fit_probe(vectors, members, 4, penalties=[1e-5])
    held = slice(160, None)
    assert noisy.cross_entropy(new[held], labels[held]).mean() < loose.cross_entropy(new[held], labels[held]).mean()


def test_rows_of_one_bag_are_one_witness() -> None:
    values, units = np.random.default_rng(0).normal(size=40), np.arange(40)
    alone = _standard_error(values, units)
    assert alone == pytest.approx(values.std(ddof=1) / np.sqrt(40))
    assert _standard_error(np.repeat(values, 6), np.repeat(units, 6)) == pytest.approx(alone)
    assert _standard_error(values, np.zeros(40, dtype=int)) == np.inf


def test_by_loss_noise_takes_the_largest_penalty_whatever_the_luck_of_the_split() -> None:
    table = scenes(4, 4)
    vectors = np.random.default_rng(0).normal(size=(table.n_objects**2, 40))
    vectors = vectors[np.ravel_multi_index(table.object_codes.T, (16, 16))]  # mirror images differ: noise alone
    signal = plant("object", table, dim=40).vectors
    for seed in range(5):
        train = split_scenes(table, 0.4, "bag", seed)
        words = {"seed": seed, "penalties": (1e5, *PENALTIES), "choose_by": "cross_entropy"}
        nothing = fit_probes(vectors, table, train, **words)  # type: ignore[arg-type]
        assert {probe.penalty for probe in (*nothing.concepts, nothing.objects)} == {1e5}
        something = fit_probes(signal, table, train, **words)  # type: ignore[arg-type]
        assert max(probe.penalty for probe in (*something.concepts, something.objects)) <= 1e-1


def test_like_takes_the_penalties_of_others() -> None:
    world = plant("object", scenes(4, 4), dim=16, noise=0.5)
    train = split_scenes(world.table, 0.4)
    first = fit_probes(world.vectors, world.table, train, penalties=[1e-2, 1e-3])
    again = fit_probes(world.vectors, world.table, ~train, like=first)
    assert [p.penalty for p in again.concepts] == [p.penalty for p in first.concepts]
    assert again.objects.penalty == first.objects.penalty


def test_at_most_so_many_rows_train_and_they_are_known() -> None:
    mask = np.ones(100, dtype=bool)
    mask[::3] = False
    rows = training_rows(mask, seed=4, max_rows=10)
    assert len(rows) == 10
    assert mask[rows].all()
    assert (np.diff(rows) > 0).all()
    assert np.array_equal(rows, training_rows(mask, 4, 10))
    assert not np.array_equal(rows, training_rows(mask, 5, 10))
    assert np.array_equal(training_rows(mask, 0), np.flatnonzero(mask))
    world = plant("object", scenes(3, 3), dim=8)
    found = fit_probes(world.vectors, world.table, np.ones(72, dtype=bool), max_rows=30)
    assert found.train.sum() == 30


def test_the_choice_goes_on_thinned_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CHOICE_ROWS", 10)
    rows = module._thinned(np.arange(5, 105))
    assert (len(rows), rows[0], rows[-1]) == (10, 5, 104)
    world = plant("object", scenes(3, 3), dim=30)
    found = fit_probes(world.vectors, world.table, np.ones(72, dtype=bool))
    assert found.object_outcome(world.vectors, world.table).right.mean() > 0.95


def test_the_same_seed_gives_the_same_probe() -> None:
    world = plant("mixed", scenes(3, 3), dim=16, noise=0.5)
    train = split_scenes(world.table, 0.4)
    a, b = (fit_probes(world.vectors, world.table, train, seed=1) for _ in range(2))
    assert a.objects.weights.tobytes() == b.objects.weights.tobytes()


def test_not_converged_is_a_warning_and_a_field(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, members = labelled()
    monkeypatch.setattr(softmax, "_MAX_STEPS", 1)
    with pytest.warns(NotConvergedWarning, match=r"a probe over 4 candidates did not converge"):
        probe = fit_probe(vectors, members, 4, penalties=[1e-5])
    assert not probe.converged
