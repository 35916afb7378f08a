"""Comparisons: paired on the same scenes, differences with intervals against a direct computation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bindscope.analyses.context import Context
from bindscope.analyses.editing.measure import Editing
from bindscope.embeddings import load_embeddings
from bindscope.errors import InputError, StoreError, UnknownNameError
from bindscope.jackknife import Jackknife
from bindscope.recognition import recognise_by_cosine
from bindscope.results import Record
from bindscope.runs.compare import Comparison, compare
from bindscope.runs.diagnose import diagnose
from bindscope.uncertainty import ObjectBootstrap, Outcome


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")

    def make(name: str, model: str, data: str, **more: object) -> None:
        diagnose(f"planted:{model}", data, folder / name, analyses=["audit"], cache=folder / "cache", **more)  # type: ignore[arg-type]

    make("object", "object?dim=48&noise=2.5", "text:5x5")
    make("bag", "bag?dim=48", "text:5x5")
    make("again", "object?dim=48&noise=2.5&seed=7", "text:5x5")
    make("sample", "mixed?dim=48", "text:5x5", sample=300)
    make("singles", "bag?dim=48", "text:5x5?singles=true")
    make("other", "bag?dim=48", "text:4x5")
    np.save(folder / "v.npy", np.random.default_rng(0).normal(size=(600, 8)))
    diagnose(f"file:{folder}/v.npy", "text:5x5", folder / "file", analyses=["audit"])
    return folder


def difference(found: Comparison, metric: str, estimator: str, target: str) -> Record:
    return next(
        r for r in found.results if r.extra and (r.metric, r.estimator, r.target) == (metric, estimator, target)
    )


def test_paired_differences_by_direct_computation(runs: Path) -> None:
    found = compare([runs / "object", runs / "bag"])
    a, b = load_embeddings(runs / "object"), load_embeddings(runs / "bag")
    table = a.table
    right = [
        recognise_by_cosine(e.vectors, e.queries.objects, table.object_codes).right.astype(float)  # type: ignore[union-attr]
        for e in (a, b)
    ]
    weights = ObjectBootstrap.of(table).weights
    rows = table.unshared
    drawn = weights[:, table.object_codes[rows, 0]] * weights[:, table.object_codes[rows, 1]]
    gaps = drawn @ (right[0] - right[1])[rows] / drawn.sum(axis=1)
    record = difference(found, "object_recognition", "zero_shot", "unshared")
    assert record.value == pytest.approx((right[0] - right[1])[rows].mean())
    assert (record.words_low, record.words_high) == (
        pytest.approx(np.percentile(gaps, 2.5), abs=1e-9), pytest.approx(np.percentile(gaps, 97.5), abs=1e-9),
    )  # fmt: skip
    assert record.ci_low < record.value < record.ci_high  # type: ignore[operator]
    assert record.extra == {"minus": "planted:bag?dim=48", "tie": record.ci_low <= 0 <= record.ci_high}  # type: ignore[operator]
    a, b = (Outcome.mean("object_recognition", one, rows) for one in right)
    assert (record.ci_low, record.ci_high) == pytest.approx(tuple(Jackknife.of(table).difference(a, b)[1]))
    apart = difference(found, "binding_preference", "zero_shot", "ambiguous")
    assert apart.extra["tie"] is False
    own = [r.value for r in found.results if not r.extra and (r.metric, r.target) == ("object_recognition", "unshared")]
    assert record.value == pytest.approx(own[0] - own[2])  # type: ignore[operator]


def test_pairing_narrows_the_interval_of_two_alike(runs: Path) -> None:
    """Two models of one kind differ less, and more surely, than their own intervals say."""
    found = compare([runs / "object", runs / "object"])
    for record in found.results:
        if record.extra:
            assert (record.value, record.words_low, record.words_high, record.extra["tie"]) == (0.0, 0.0, 0.0, True)
            assert record.ci_low is None or record.ci_low < 0 < record.ci_high  # type: ignore[operator]
    near = compare([runs / "object", runs / "again"])
    record = difference(near, "concept_recognition", "zero_shot", "mean")
    assert record.ci_low <= record.value <= record.ci_high  # type: ignore[operator]


def test_differences_turn_round_with_the_order(runs: Path) -> None:
    there, back = compare([runs / "object", runs / "bag"]), compare([runs / "bag", runs / "object"])
    for metric, estimator, target in (
        ("object_recognition", "zero_shot", "all"),
        ("object_recognition", "probe", "unshared"),
        ("binding_preference", "zero_shot", "ambiguous"),
        ("r2", "ols+pos", "level1"),
    ):
        a, b = difference(there, metric, estimator, target), difference(back, metric, estimator, target)
        assert a.value == pytest.approx(-b.value)  # type: ignore[operator]
        assert a.ci_low == pytest.approx(-b.ci_high)  # type: ignore[operator]


def test_only_common_scenes_of_the_headline_count(runs: Path) -> None:
    sampled = len(load_embeddings(runs / "sample").table)  # whole bags, so not to the scene
    assert 300 <= sampled < 320
    assert compare([runs / "object", runs / "sample"]).n_scenes == sampled
    assert compare([runs / "singles", runs / "bag"]).n_scenes == 600
    three = compare([runs / "object", runs / "bag", runs / "sample"])
    pairs = {(r.model, r.extra["minus"]) for r in three.results if r.extra}
    assert len(pairs) == 3
    assert three.n_scenes == sampled


def test_without_queries_probes_alone_are_compared(runs: Path) -> None:
    found = compare([runs / "object", runs / "file"])
    estimators = {r.estimator for r in found.results}
    assert {"probe", "ols+pos"} <= estimators
    assert "zero_shot" not in estimators


def test_a_comparison_holds_the_headlines_of_what_every_run_holds(runs: Path, tmp_path: Path) -> None:
    found = compare([runs / "object", runs / "bag"])
    assert {r.analysis for r in found.results} == {"recognition", "geometry"}  # the runs hold the audit alone
    assert all(set(r.extra) == {"minus", "tie"} for r in found.differences)
    assert not any(r.extra for r in found.own)
    both = []
    for kind in ("bag", "object"):
        where = tmp_path / kind
        diagnose(f"planted:{kind}?dim=24", "text:3x3", where, analyses=["variance", "audit"], cache=tmp_path / "c")
        both.append(where)
    found = compare(both)
    assert {r.analysis for r in found.results} == {"recognition", "geometry", "variance"}
    share = next(r for r in found.differences if (r.metric, r.target) == ("share", "interaction"))
    own = [r for r in found.own if (r.metric, r.target) == ("share", "interaction")]
    assert share.value == pytest.approx(own[0].value - own[1].value)  # type: ignore[operator]
    assert share.ci_low < share.value < share.ci_high < 0  # type: ignore[operator]


def test_named_analyses_are_compared_in_full_against_a_direct_computation(runs: Path) -> None:
    found = compare([runs / "object", runs / "bag"], analyses=["editing"])
    assert {r.analysis for r in found.results} == {"editing"}
    contexts = [Context(load_embeddings(runs / name)) for name in ("object", "bag")]
    pairs = (
        {one.key: one for one in Editing(contexts[0]).outcomes()},
        {one.key: one for one in Editing(contexts[1]).outcomes()},
    )
    weights = ObjectBootstrap.of(contexts[0].table).weights
    codes = contexts[0].table.object_codes
    drawn = weights[:, codes[:, 0]] * weights[:, codes[:, 1]]
    parts = [r for r in found.differences if r.metric == "retrieval_top1" and r.extra.get("concept") == "adjective"]
    assert {r.estimator for r in parts} == {"avg", "avg+pos", "ols", "ols+pos"}
    for record in parts:
        key = ("retrieval_top1", record.target, record.estimator, record.split, None, "[('concept', 'adjective')]")
        a, b = (one[key] for one in pairs)
        gaps = drawn @ a.top / (drawn @ a.below) - drawn @ b.top / (drawn @ b.below)  # type: ignore[operator]
        assert record.value == pytest.approx(a.value - b.value)  # type: ignore[operator]
        assert (record.words_low, record.words_high) == (
            pytest.approx(np.percentile(gaps, 2.5), abs=1e-9), pytest.approx(np.percentile(gaps, 97.5), abs=1e-9),
        )  # fmt: skip
        other = contexts[0].jackknife.difference(a, b)[1]
        assert (record.ci_low, record.ci_high) == (other.low, other.high)
        assert record.extra["tie"] is (other.low <= 0 <= other.high)
    of_gaps = [r for r in found.differences if "gap" in r.extra]  # a figure that is a difference itself keeps its word
    assert {r.extra["gap"] for r in of_gaps} == {"in_sample"}
    assert {r.extra["minus"] for r in of_gaps} == {"planted:bag?dim=48"}
    assert not any(r.metric == "n_cases" for r in found.differences)  # a count has no rows to pair


def test_one_model_twice_is_told_apart_by_its_directory(runs: Path) -> None:
    assert compare([runs / "bag", runs / "singles"]).names == (
        "planted:bag?dim=48 (bag)",
        "planted:bag?dim=48 (singles)",
    )


def test_refusals(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs at least two runs, got 1"):
        compare([runs / "bag"])
    with pytest.raises(InputError, match=r"was run on other concepts than .*; run both on the same data"):
        compare([runs / "bag", runs / "other"])
    with pytest.raises(UnknownNameError, match=r"unknown analysis 'removals'.*removal"):
        compare([runs / "bag", runs / "object"], analyses=["removals"])
    with pytest.raises(
        InputError, match=r"crossmodal needs captions and planted:bag\?dim=48 has none; make the run again"
    ):
        compare([runs / "bag", runs / "object"], analyses=["crossmodal"])
    with pytest.raises(StoreError, match=r"is no run directory"):
        compare([runs / "bag", tmp_path])
    few = []
    for seed in (0, 1):
        diagnose("planted:bag?dim=8", "text:9x9", tmp_path / str(seed), analyses=["audit"], sample=8, seed=seed)
        few.append(tmp_path / str(seed))
    with pytest.raises(InputError, match=r"fewer than two scenes in common"):
        compare(few)
