from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from bindscope.embeddings import Embeddings
from bindscope.errors import DegenerateWarning
from bindscope.experiments import codelength as experiment
from bindscope.experiments.codelength import codelength_records
from bindscope.experiments.diagnose import diagnose
from bindscope.results import Record, Results, read_results
from bindscope.scenes import SceneTable, concatenate
from planted import incomplete, plant, scenes

EXACT = ("lookup", "additive", "switch")


def records(vectors: np.ndarray, table: SceneTable, families: Sequence[str] = EXACT, seed: int = 0) -> list[Record]:
    return codelength_records(Embeddings(vectors.astype(np.float32), table), seed, families, orders=4)


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
def test_diagnose_runs_it_by_name_and_writes_the_section(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from bindscope.report import write_report

    run = diagnose("planted:object?dim=16", "text:4x4", tmp_path / "run", analyses=["codelength"])
    page = write_report(run.directory).read_text(encoding="utf-8")
    assert "Code length" in page
    found = read_results(run.directory)
    for code in ("per-object", "global", "switch"):
        saved = found.one(metric="bits_saved", estimator=code, target="lookup")
        assert saved.ci_low is None or saved.ci_low <= 0
