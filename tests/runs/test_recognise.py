"""Recognition records against the definition, row by row."""

from __future__ import annotations

import numpy as np
import pytest

from bindscope.analyses.context import Context
from bindscope.analyses.recognition.measure import measure, spread
from bindscope.embeddings import Embeddings, Queries
from bindscope.jackknife import Jackknife
from bindscope.recognition import SceneRecognition, recognition_outcomes, zero_shot
from bindscope.results import Record, Results
from bindscope.uncertainty import ObjectBootstrap, Outcome
from planted import plant, scenes


def embeddings(kind: str = "mixed", noise: float = 1.0, shift: float = 0.0, dim: int = 12) -> Embeddings:
    table = scenes(4, 3)
    world = plant(kind, table, dim=dim, noise=noise)  # type: ignore[arg-type]
    values = tuple(world.concept_queries(k).astype(np.float32) for k in range(2))
    vectors = (world.vectors + shift).astype(np.float32)
    return Embeddings(vectors, table, Queries(world.queries.astype(np.float32), values))


def asked(found: Embeddings, centred: bool = False) -> SceneRecognition:
    assert found.queries is not None
    return zero_shot(found.vectors, found.table, found.queries, centred=centred)


def recorded(found: Embeddings, seed: int = 0) -> list[Record]:
    context = Context(found, seed)
    return context.records("recognition", recognition_outcomes(asked(found), "zero_shot", "all"))


def right_by_loops(vectors: np.ndarray, queries: np.ndarray, members: np.ndarray) -> list[bool]:
    out = []
    for vector, present in zip(vectors, members.tolist(), strict=True):
        scores = [float(vector @ q / np.linalg.norm(q) / np.linalg.norm(vector)) for q in queries]
        inside = {c for c in present if c >= 0}
        out.append(min(scores[c] for c in inside) > max(s for c, s in enumerate(scores) if c not in inside))
    return out


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_zero_shot_by_loops(centred: bool, shift: float) -> None:
    found = embeddings(shift=shift)
    assert found.queries is not None
    outcomes = asked(found, centred)
    vectors = found.vectors.astype(np.float64) - (found.vectors.mean(axis=0, dtype=np.float64) if centred else 0.0)
    for target, queries, outcome in (
        (None, found.queries.objects, outcomes.objects),
        (0, found.queries.values[0], outcomes.concepts[0]),
        (1, found.queries.values[1], outcomes.concepts[1]),
    ):
        theirs = queries.astype(np.float64) - (queries.mean(axis=0, dtype=np.float64) if centred else 0.0)
        expected = right_by_loops(vectors, theirs, found.table.members(target)[0])
        assert (outcome.right == expected).mean() > 0.98  # single precision may turn a near tie


def test_a_common_direction_is_seen_by_raw_vectors_alone() -> None:
    """Raw cosine is what a user gets; centring tells how much of its failure is one shared direction."""
    plain, shifted = embeddings("object", 0.0, 0.0, 128), embeddings("object", 0.0, 30.0, 128)
    assert asked(plain).objects.right.mean() == 1.0
    assert asked(shifted).objects.right.mean() < 0.5
    assert asked(shifted, centred=True).objects.right.mean() > 0.9


def test_figures_and_intervals_are_those_of_the_rows() -> None:
    found = embeddings()
    outcomes = asked(found)
    results = Results(recorded(found, 3))
    bootstrap = ObjectBootstrap.of(found.table, 3)
    right = np.stack([o.right for o in outcomes.concepts], axis=1)
    rows = found.table.unshared
    for target, values in (("mean", right.mean(axis=1)), ("joint", right.all(axis=1)), ("c0", right[:, 0])):
        record = results.one(metric="concept_recognition", target=target)
        assert record.value == pytest.approx(values.mean())
        assert (record.words_low, record.words_high) == pytest.approx(tuple(bootstrap.mean(values)))
        other = Jackknife.of(found.table).interval(Outcome.mean("concept_recognition", values))
        assert (record.ci_low, record.ci_high) == pytest.approx(tuple(other))
        alone = next(r for r in results.select(metric="concept_recognition", target=target) if r.extra)
        assert alone.extra == {"scenes": "unshared"}
        assert alone.value == pytest.approx(values[rows].mean())
        assert (alone.words_low, alone.words_high) == pytest.approx(bootstrap.mean(values, rows))
    objects = results.one(metric="object_recognition", target="unshared")
    assert objects.value == pytest.approx(outcomes.objects.right[rows].mean())
    assert (objects.words_low, objects.words_high) == pytest.approx(bootstrap.mean(outcomes.objects.right, rows))


def test_scenes_that_are_not_there_are_null() -> None:
    found = embeddings()
    shared = found.table.take(~found.table.unshared)
    some = Embeddings(found.vectors[~found.table.unshared], shared, found.queries)
    record = Results(recorded(some)).one(target="unshared")
    assert (record.value, record.ci_low, record.chance, record.ceiling, record.n_scenes) == (None, None, None, None, 0)


def test_the_spread_over_splits_stands_apart() -> None:
    found = embeddings()
    context = Context(found)
    spreads = context.records("recognition", spread(context))
    assert [record.target for record in spreads] == ["mean", "all"]
    assert all(record.extra == {"spread": "splits", "splits": 3} for record in spreads)
    assert all(0.0 <= record.value < 0.5 for record in spreads)  # type: ignore[operator]
    every = Results(context.records("recognition", measure(context)))
    targets = [r.target for r in every.headline(estimator="probe", metric="object_recognition")]
    assert targets == ["all", "unshared", "ambiguous"]
    centred = [r for r in every.select(estimator="zero_shot") if r.extra.get("vectors") == "centred"]
    plain = every.select(lambda r: "vectors" not in r.extra and r.target != "ambiguous", estimator="zero_shot")
    kept = [r for r in plain if not r.metric.startswith("binding") and r.extra.get("scenes") != "ambiguous"]
    assert len(centred) == len(kept)


def test_without_queries_there_is_no_zero_shot() -> None:
    found = embeddings()
    alone = Embeddings(found.vectors, found.table)
    assert {one.estimator for one in measure(Context(alone))} == {"probe"}
