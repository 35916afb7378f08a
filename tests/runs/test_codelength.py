from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bindscope.analyses.codelength import measure as experiment
from bindscope.analyses.codelength.measure import measure
from bindscope.analyses.context import Context
from bindscope.embeddings import Embeddings
from bindscope.errors import DegenerateWarning
from bindscope.results import Record, Results, read_results
from bindscope.runs import grid as complexity
from bindscope.runs.diagnose import diagnose
from bindscope.scenes import SceneTable, concatenate
from planted import incomplete, plant, scenes

EXACT = ("lookup", "additive", "switch")


def records(vectors: np.ndarray, table: SceneTable, families: Sequence[str] = EXACT, seed: int = 0) -> list[Record]:
    context = Context(Embeddings(vectors.astype(np.float32), table), seed)
    return context.records("codelength", measure(context, families, orders=4))


@pytest.fixture(scope="module")
def results() -> Results:
    world = plant("bag", scenes(5, 5), 16)
    return Results(records(world.vectors, world.table))


def test_one_headline_for_each_question(results: Results) -> None:
    for code in EXACT:
        for metric in ("bits_per_scene", "bits_per_dimension"):
            record = results.one(analysis="codelength", metric=metric, estimator=code)
            assert record.ci_low is not None
            assert record.ci_high is not None
            assert record.value is not None
            assert record.ci_low <= record.value <= record.ci_high
            assert record.target is None
            assert record.n_objects == 25
    saved = results.one(metric="bits_saved", estimator="additive", target="lookup")
    bits = {code: results.one(metric="bits_per_scene", estimator=code).value or 0.0 for code in EXACT}
    assert saved.value == pytest.approx(bits["lookup"] - bits["additive"])
    assert saved.ci_low is not None
    assert saved.ci_low > 0
    assert results.one(metric="objects_to_pay", estimator="additive", target="lookup").value is not None
    assert results.one(metric="orders", estimator="lookup").value == 4
    assert results.one(metric="coded_dimensions").value is not None


def test_variants_carry_extra(results: Results) -> None:
    found = {key for record in results for key in record.extra}
    assert {
        "exceptions",
        "resampled",
        "cumulative",
        "components",
        "floor",
        "precision",
        "first_block",
        "whitening",
    } <= found
    curve = results.select(lambda r: r.extra.get("cumulative") is True, estimator="additive", target="lookup")
    seen = [record.extra["objects_seen"] for record in curve]
    assert seen == sorted(seen)
    assert seen[-1] == 25
    assert all(record.coverage is None for record in results)


def test_scenes_of_the_most_frequent_number_of_objects_are_coded() -> None:
    pairs, singles = scenes(4, 4), scenes(4, 4, m=1)
    table = concatenate([singles, pairs])
    world = plant("bag", table, 8)
    both = records(world.vectors, table, EXACT[:2])
    alone = records(world.vectors[16:], table.take(np.arange(16, len(table))), EXACT[:2])
    assert [r.value for r in both] == [r.value for r in alone]


def test_too_little_to_code_is_one_record_without_a_value() -> None:
    world = plant("bag", scenes(1, 2), 4)
    with pytest.warns(DegenerateWarning, match="no code length: 2 scenes of 2 objects leave nothing"):
        (record,) = records(world.vectors, world.table)
    assert record.value is None
    assert not record.extra


def test_incomplete_designs_have_records() -> None:
    table = incomplete(scenes(6, 6), 0.5)
    found = Results(records(plant("object", table, 8).vectors, table, seed=1))
    saved = found.one(metric="bits_saved", estimator="additive", target="lookup")
    assert saved.ci_low is not None
    assert saved.ci_low <= 0


def test_all_families_without_torch_are_those_that_need_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert any(name.startswith("mlp") for name in experiment.available_families())
    monkeypatch.setattr(experiment, "find_spec", lambda name: None)
    assert not any(name.startswith("mlp") for name in experiment.available_families())


@pytest.mark.slow
def test_diagnose_runs_it_by_name_and_writes_the_section(tmp_path: Path) -> None:
    from bindscope.report import write_report

    run = diagnose("planted:object?dim=16", "text:4x4", tmp_path / "run", analyses=["codelength"])
    page = write_report(run.directory).read_text(encoding="utf-8")
    assert "Code length" in page
    found = read_results(run.directory)
    for code in ("per-object", "global", "switch"):
        saved = found.one(metric="bits_saved", estimator=code, target="lookup")
        assert saved.ci_low is None or saved.ci_low <= 0


def settings(**more: object) -> complexity.Settings:
    return complexity.Settings(coverages=(0.5,), learners=("additive",), splits=1, **more)  # type: ignore[arg-type]


def test_families_are_the_default_ones_or_the_learners_that_are_named() -> None:
    assert complexity.code_families(complexity.Settings()) == experiment.available_families()
    assert complexity.code_families(settings()) == EXACT
    named = complexity.Settings(learners=("additive", "per-object?rank=2"))
    assert complexity.code_families(named) == ("lookup", "additive", "per-object?rank=2", "switch")


def test_command_adds_code_lengths_once_and_keeps_them_when_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = diagnose("planted:bag?dim=8", "text:4x4", tmp_path / "run", analyses=["audit"])
    monkeypatch.setattr(complexity, "code_lengths", partial(measure, orders=2))
    with monkeypatch.context() as killed:
        killed.setattr(complexity, "replace_records", _killed)
        with pytest.raises(KeyboardInterrupt):
            complexity.run_complexity(run.directory, settings())
    with monkeypatch.context() as again:
        again.setattr(complexity, "code_lengths", _killed)  # not asked a second time
        first = complexity.run_complexity(run.directory, settings())
    assert (
        first.one(analysis="codelength", metric="bits_saved", estimator="additive", target="lookup").value is not None
    )
    assert {r.analysis for r in read_results(run.directory)} == {"audit", "complexity", "codelength"}
    complexity.run_complexity(run.directory, settings(codelength=False))
    kept = read_results(run.directory).select(analysis="codelength")
    assert [r.value for r in kept] == [r.value for r in first.select(analysis="codelength")]


def _killed(*arguments: object, **more: object) -> None:
    raise KeyboardInterrupt
