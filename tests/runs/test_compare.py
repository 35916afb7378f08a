"""Comparisons: paired on the same scenes, differences with intervals against a direct computation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bindscope.embeddings import load_embeddings
from bindscope.errors import InputError, StoreError
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
    a, b = (Outcome.mean("object_recognition", one, rows) for one in right)
    assert (record.ci_low, record.ci_high) == pytest.approx(tuple(Jackknife.of(table).difference(a, b)[1]))
    assert record.extra == {"minus": "planted:bag?dim=48", "tie": record.ci_low <= 0 <= record.ci_high}  # type: ignore[operator]
    apart = difference(found, "binding_preference", "zero_shot", "ambiguous")
    assert apart.extra["tie"] is False
    own = [r.value for r in found.results if not r.extra and (r.metric, r.target) == ("object_recognition", "unshared")]
    assert record.value == pytest.approx(own[0] - own[2])  # type: ignore[operator]


def test_pairing_narrows_the_interval_of_two_alike(runs: Path) -> None:
    """Two models of one kind differ less, and more surely, than their own intervals say."""
    found = compare([runs / "object", runs / "object"])
    for record in found.results:
        if record.extra:
            assert (record.value, record.extra["tie"]) == (0.0, True)
            assert record.ci_low < 0.0 < record.ci_high  # type: ignore[operator]
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
    assert compare([runs / "object", runs / "sample"]).n_scenes == 300
    assert compare([runs / "singles", runs / "bag"]).n_scenes == 600
    three = compare([runs / "object", runs / "bag", runs / "sample"])
    pairs = {(r.model, r.extra["minus"]) for r in three.results if r.extra}
    assert len(pairs) == 3
    assert three.n_scenes == 300


def test_without_queries_probes_alone_are_compared(runs: Path) -> None:
    found = compare([runs / "object", runs / "file"])
    assert {r.estimator for r in found.results} == {"probe", "ols+pos"}


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
    with pytest.raises(StoreError, match=r"is no run directory"):
        compare([runs / "bag", tmp_path])
    few = []
    for seed in (0, 1):
        diagnose("planted:bag?dim=8", "text:9x9", tmp_path / str(seed), analyses=["audit"], sample=8, seed=seed)
        few.append(tmp_path / str(seed))
    with pytest.raises(InputError, match=r"fewer than two scenes in common"):
        compare(few)
