"""Records of removal and editing: words, headlines, intervals, what is counted, and what they say of planted worlds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bindscope.analyses.context import Context, of_count
from bindscope.analyses.editing import explorer
from bindscope.analyses.editing import measure as editing
from bindscope.analyses.editing.measure import Editing
from bindscope.analyses.registry import default, measurable
from bindscope.analyses.removal.findings import findings, nothing_more
from bindscope.analyses.removal.measure import REFERENCE, Removal, reference
from bindscope.datasets import load_dataset
from bindscope.embeddings import Embeddings, embed
from bindscope.encoders import load_encoder
from bindscope.errors import DegenerateWarning
from bindscope.results import Record, Results
from bindscope.runs.diagnose import analyse, diagnose
from bindscope.runs.settings import Settings
from bindscope.scenes import SceneTable
from planted import designs, plant, scenes

TARGETS = ("none", "concepts", "objects", "interaction", "permuted_concepts", "permuted_objects")


def embeddings(world: str, data: str) -> Embeddings:
    return embed(load_encoder(world), load_dataset(data))


def main_of(found: Embeddings) -> Embeddings:
    return of_count(found, found.table.headline_count)


def removal(world: str, data: str, seed: int = 0) -> Results:
    context = Context(embeddings(world, data), seed)
    return Results(context.records("removal", Removal(context).outcomes()))


def context_of(vectors: np.ndarray, table: SceneTable) -> Context:
    return Context(Embeddings(vectors, table))


def edits(context: Context) -> Results:
    return Results(context.records("editing", Editing(context).outcomes()))


@pytest.fixture(scope="module")
def removed() -> Results:
    return removal("planted:object?dim=96", "text:5x5")


@pytest.fixture(scope="module")
def edited() -> Results:
    found = embeddings("planted:object?dim=96&slots=own", "text:4x4?singles=true")
    return Results(analyse(found, Settings("m", "d", ("editing",))))


def value(results: Results, metric: str, target: str, **extra: object) -> float:
    found = results.select(lambda r: r.extra == extra, metric=metric, target=target, estimator="subtract")
    assert len(found) == 1
    assert found.records[0].value is not None
    return found.records[0].value


def test_one_headline_answers_each_question_and_has_an_interval(removed: Results, edited: Results) -> None:
    for results in (removed, edited):
        seen = [(r.metric, r.estimator, r.target, r.split) for r in results.headline()]
        assert len(set(seen)) == len(seen)
        plain = ("n_cases", "p_value", "erased_rank")
        for record in results.headline():
            if record.metric not in plain:
                assert record.value is not None
                assert record.ci_low is not None
                assert record.ci_low - 1e-9 <= record.value <= (record.ci_high or 0) + 1e-9


def test_removal_uses_the_words_of_the_contract(removed: Results) -> None:
    assert {r.target for r in removed} == set(TARGETS)
    assert {r.estimator for r in removed} == {"subtract", "leace"}
    for target in TARGETS:
        for metric in ("concept_recognition", "object_recognition", "cross_entropy_gain"):
            assert removed.first(analysis="removal", metric=metric, target=target, estimator="subtract") is not None
    named = removed.select(lambda r: r.extra == {"concept": "noun"}, target="concepts", metric="concept_recognition")
    assert {r.estimator for r in named} == {"subtract", "leace"}
    objects = removed.one(metric="object_recognition", target="none", estimator="subtract")
    assert objects.chance == pytest.approx(1 / 300)
    assert objects.ceiling is not None


def test_minus_concepts_hides_concepts_alone_and_minus_objects_hides_both(removed: Results) -> None:
    assert abs(value(removed, "cross_entropy_gain", "concepts")) < 0.01
    assert value(removed, "concept_recognition", "concepts") <= 0.3
    assert value(removed, "object_recognition", "concepts") >= 0.9
    assert value(removed, "cross_entropy_gain", "concepts", concept="objects") > 1.0
    assert abs(value(removed, "cross_entropy_gain", "objects")) < 0.01
    assert abs(value(removed, "cross_entropy_gain", "objects", concept="objects")) < 0.01
    for control in ("permuted_concepts", "permuted_objects"):
        assert value(removed, "concept_recognition", control) > 0.9
        assert value(removed, "object_recognition", control) > 0.9
    assert value(removed, "p_value", "concepts") == pytest.approx(1 / 21)
    assert value(removed, "share", "objects") == pytest.approx(1.0)
    assert value(removed, "concept_recognition", "concepts", readout="mlp") > 0.6


def test_the_gap_is_the_separate_fit_minus_the_fit_on_all_rows(removed: Results) -> None:
    for target in ("concepts", "objects", "interaction"):
        apart = value(removed, "cross_entropy_gain", target, fit="separate")
        gap = value(removed, "cross_entropy_gain", target, fit="gap")
        assert abs(apart - gap - value(removed, "cross_entropy_gain", target)) < 0.2
    separate = removed.select(lambda r: r.extra.get("fit") == "separate", metric="cross_entropy_gain")
    whole = removed.one(metric="cross_entropy_gain", target="concepts", estimator="subtract")
    assert all((r.n_scenes or 0) < (whole.n_scenes or 0) for r in separate)


def test_leace_states_its_rank_and_has_a_control_of_the_same_rank(removed: Results) -> None:
    ranks = {r.target: r.value for r in removed.select(metric="erased_rank")}
    assert ranks == {"concepts": 8.0, "interaction": 16.0, "objects": 24.0}
    erased = removed.one(metric="cross_entropy_gain", target="concepts", estimator="leace")
    assert abs(erased.value or 0.0) < 0.01
    kept = removed.one(metric="concept_recognition", target="interaction", estimator="leace")
    assert (kept.value or 0.0) > 0.95
    control = removed.select(
        lambda r: r.extra == {"control": "random subspace", "rank": 8}, metric="concept_recognition", target="concepts"
    )
    assert (control.records[0].value or 0.0) > 0.5 > 0.3 > value(removed, "concept_recognition", "concepts")


def test_leace_that_takes_too_much_is_said_and_left_out() -> None:
    removal = Removal(Context(embeddings("planted:object?dim=12", "text:4x4")))
    with pytest.warns(DegenerateWarning, match="LEACE of objects is left out: it takes 15 dimensions"):
        outcomes = removal.erased("objects")
    assert [(one.metric, one.value) for one in outcomes] == [("erased_rank", 15.0), ("cross_entropy_gain", None)]


def test_what_is_kept_is_the_gain_after_over_the_gain_before(removed: Results) -> None:
    for extra in ({}, {"concept": "objects"}):
        before = value(removed, "cross_entropy_gain", "none", **extra)
        for target in ("concepts", "objects", "interaction"):
            after = value(removed, "cross_entropy_gain", target, **extra)
            assert value(removed, "gain_kept", target, **extra) == pytest.approx(after / before)
    lone = scenes(4, 3, m=1)  # held-out objects were never shown: nothing is read before, so nothing can be kept
    context = context_of(plant("object", lone, dim=20).vectors, lone)
    nothing = Removal(context)
    kept = context.records("removal", nothing.kept(nothing.baseline, "subtract", "none"))
    assert [(r.metric, r.value, r.ci_low) for r in kept] == [("gain_kept", None, None)] * 2


@pytest.mark.parametrize(
    ("sizes", "m", "exact"),
    [((3, 3), 3, 42 / 84), ((3, 3), 2, 18 / 36), ((4, 4), 2, 1.0), ((4, 3), 2, 1.0), ((7, 6), 2, 1.0), ((8,), 2, 0.0)],
)
def test_the_reference_is_what_the_table_allows(sizes: tuple[int, ...], m: int, exact: float) -> None:
    """3 x 3, three objects: of the 84 sets the 6 lines leave nothing and the 36 corners are read in the wrong order."""
    table = scenes(*sizes, m=m)
    context = Context.of_table(table)
    records = Results(context.records("removal", reference(context)))
    assert {r.target for r in records} == {"none", "concepts"}
    assert {r.extra["reference"] for r in records} == {"independent objects"}
    own = records.select(lambda r: "readout" in r.extra).records
    assert [(r.metric, r.split) for r in own] == [("object_recognition", "all")]
    assert own[0].value == pytest.approx(exact)
    assert value(records, "object_recognition", "none", **REFERENCE) > 0.9
    assert abs(value(records, "cross_entropy_gain", "concepts", **REFERENCE)) < 0.01
    trained = value(records, "object_recognition", "concepts", **REFERENCE)
    assert trained <= exact + 0.05
    assert trained > 0.95 or sizes != (7, 6)


def test_no_reference_for_tables_that_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bindscope.analyses.removal.measure.REFERENCE_CELLS", 100)
    assert reference(Context.of_table(scenes(3, 3))) == []


def test_in_a_bag_there_is_nothing_more_to_remove() -> None:
    for world, more in (
        ("planted:bag?dim=64", False),
        ("planted:bag?dim=64&noise=0.2", False),
        ("planted:bag?dim=4&noise=0.3", False),
        ("planted:mixed?dim=64", True),
        ("planted:mixed?dim=64&noise=0.5", True),
    ):
        context = Context(embeddings(world, "text:5x4"))
        results = Results(context.records("removal", Removal(context, controls=2).table3()))
        assert nothing_more(results) is not more
        assert ("nothing more to remove" in " ".join(findings(results))) is not more


def test_editing_is_exact_in_a_noiseless_additive_world(edited: Results) -> None:
    for record in edited.headline(metric="retrieval_top1"):
        if record.estimator in ("avg+pos", "ols+pos"):
            assert record.value == 1.0, record
        assert record.chance == pytest.approx(1 / 240)
    assert edited.one(metric="joint_probing", estimator="ols+pos", target="value", split="held_out").value == 1.0


def test_editing_has_every_estimator_split_target_and_part(edited: Results) -> None:
    top1 = edited.select(metric="retrieval_top1")
    assert {r.estimator for r in top1} == {"avg", "avg+pos", "single", "ols", "ols+pos"}
    assert {r.target for r in top1} == {"value", "object"}
    assert {r.split for r in top1.select(estimator="single")} == {"held_out"}
    assert {r.split for r in top1.select(estimator="avg")} == {"in_sample", "held_out"}
    keys = {key for r in top1 for key in r.extra}
    assert keys == {"concept", "slot", "other", "minus", "strength", "order", "protocol"}
    half = top1.select(lambda r: r.extra.get("strength") == 0.5, target="object").records[0]
    assert (half.value or 0.0) < 0.7


def test_edits_that_cannot_be_tested_are_counted(edited: Results) -> None:
    counts = {r.extra.get("outcome"): r.value for r in edited.select(metric="n_cases", target="object", split="all")}
    assert counts == {None: 240 * 2 * 14, "no such object": 0, "no such scene": 240 * 2, "not drawn": 0}
    table = scenes(3, 2)
    some = table.take(np.arange(0, len(table), 4))  # so few that the object vectors hang on single scenes
    vectors = plant("object", some, dim=20).vectors
    results = edits(context_of(vectors, some))
    lost = results.select(lambda r: r.extra.get("outcome") == "not testable", metric="n_cases", split="held_out")
    assert sum(r.value or 0 for r in lost) > 0
    for record in lost:
        tried = results.one(metric="n_cases", target=record.target, split="all")
        kept = results.one(metric="n_cases", target=record.target, split="held_out", estimator=record.estimator)
        assert (record.value or 0) + (kept.value or 0) == tried.value


@pytest.mark.parametrize("name", designs())
def test_odd_tables_are_edited_and_removed_from(name: str) -> None:
    table = designs()[name]
    table = table.take(table.rows_with(table.headline_count))
    vectors = plant("mixed", table, dim=30, noise=0.2).vectors.astype(np.float32)
    context = context_of(vectors, table)
    records = edits(context).records
    assert records
    assert all(isinstance(r, Record) for r in records)
    removal = Removal(context, controls=2)
    outcomes = [*removal.table3(), *removal.separate("concepts"), *removal.erased("concepts")]
    assert {one.target for one in outcomes} >= {"none", "concepts", "objects", "interaction"}


def test_large_tables_are_sampled_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    found = embeddings("planted:object?dim=48&slots=own", "text:4x4")
    monkeypatch.setattr(editing, "LARGE", 100)
    monkeypatch.setattr(editing, "SAMPLED", 60)
    results = edits(Context(found))
    assert results.one(metric="n_cases", target="value", split="all").value == 60
    drawn = results.select(lambda r: r.extra == {"outcome": "not drawn"}, metric="n_cases", target="value")
    assert (drawn.records[0].value or 0) > 0
    assert results.to_json() == edits(Context(found)).to_json()


def test_defaults_stay_cheap_and_all_means_all() -> None:
    assert not {"removal", "editing"} & set(default())
    assert {"removal", "editing"} <= set(measurable())
    assert {"removal", "editing"} <= set(Settings("m", "d", ("all",)).analyses)


def test_a_run_keeps_the_explorer_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    run = diagnose("planted:mixed?dim=32", "text:3x3", tmp_path / "a", analyses=["editing"], cache=tmp_path / "c")
    first = (run.directory / explorer.FILE).read_bytes()
    again = diagnose("planted:mixed?dim=32", "text:3x3", tmp_path / "b", analyses=["editing"], cache=tmp_path / "c")
    assert (again.directory / explorer.FILE).read_bytes() == first
    assert (again.directory / "results.parquet").read_bytes() == (run.directory / "results.parquet").read_bytes()


def test_the_explorer_shows_real_scenes_before_and_after() -> None:
    data = load_dataset("text:4x3?singles=true")
    found = embed(load_encoder("planted:object?dim=64&slots=own"), data)
    main = main_of(found)
    content = explorer.explorer(main, found.table.rows_with(2), data, 0)
    assert content is not None
    for scene in content["scenes"]:
        assert scene["before"][0][0] == scene["row"]
        for slot, new, wanted, near in scene["edits"]:
            assert near[0][0] == wanted  # exact in this world
            codes = list(scene["objects"])
            codes[slot] = new
            assert main.table.object_codes[wanted].tolist() == codes
            assert str(wanted) in content["shown"]
            assert content["objects"][str(new)] == main.table.object_name(new)
    row = content["scenes"][0]["row"]
    assert content["shown"][str(row)]["text"] == data.items.texts[found.table.rows_with(2)[row]]  # type: ignore[index]
    assert explorer.as_json(content) == explorer.as_json(
        explorer.explorer(main, found.table.rows_with(2), data, 0) or {}
    )


def test_the_explorer_takes_small_pictures(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    data = load_dataset("text:3x3")
    paths = []
    for row in range(len(data.table)):
        paths.append(tmp_path / f"{row}.png")
        image.new("RGB", (300, 200), (row, 10, 200)).save(paths[-1])
    data = replace(data, items=replace(data.items, texts=None, images=tuple(paths)))
    found = embed(load_encoder("planted:object?dim=32"), data)
    content = explorer.explorer(found, np.arange(len(data.table)), data, 0)
    assert content is not None
    shown = next(iter(content["shown"].values()))
    assert shown["image"].startswith("data:image/jpeg;base64,")
    assert len(shown["image"]) < 4000
    assert explorer.thumbnail(tmp_path / "none.png") is None


def test_nothing_to_explore() -> None:
    data = load_dataset("text:3x3")
    found = embed(load_encoder("planted:object?dim=16"), data)
    lone = replace(found, vectors=found.vectors[[0]], table=found.table.take([0]))
    assert explorer.explorer(lone, np.array([0]), data, 0) is None


def test_a_removal_is_no_finding_where_nothing_could_be_read() -> None:
    """Vectors that mean nothing: the component fitted on their own rows hides every name better than a permuted one does."""
    table = scenes(4, 4)
    context = context_of(np.random.default_rng(0).normal(size=(len(table), 16)).astype(np.float32), table)
    results = Results(context.records("removal", Removal(context).outcomes()))
    assert {r.value for r in results.select(metric="p_value")} == {None}
    seen = removal("planted:bag?dim=32", "text:4x4")
    p = seen.one(metric="p_value", target="concepts")
    assert (p.value, p.ci_low) == (pytest.approx(1 / 21), 0.0)
