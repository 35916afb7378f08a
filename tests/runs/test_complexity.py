"""`bindscope complexity RUN` on planted worlds: whole path, resume, verdicts, bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bindscope.analyses.codelength.measure import available_families
from bindscope.analyses.complexity.findings import complexity_sentences, readable
from bindscope.embeddings import load_embeddings, save_embeddings
from bindscope.errors import InputError, StoreError
from bindscope.learners import interaction
from bindscope.results import Record, Results, read_results
from bindscope.run_directory import replace_records
from bindscope.runs import grid as experiment
from bindscope.runs.diagnose import diagnose
from bindscope.runs.grid import Cell, Settings, code_families, grid, run_complexity
from bindscope.splits import split_objects
from commands import exit_code

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def without_code_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have tests of their own, and take longer than the small grids here."""
    monkeypatch.setattr(experiment, "code_lengths", lambda *arguments: [])


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(model: str, data: str, name: str = "run") -> Path:
        return diagnose(model, data, tmp_path / name, analyses=("audit",), cache=tmp_path / "cache").directory

    return made


def run_cli(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = exit_code(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_appends_its_records_and_writes_the_report(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run = make("planted:bag?dim=48", "text:5x5")
    before = read_results(run)
    code, out, err = run_cli(
        capsys, "complexity", str(run), "--learners", "additive,neighbours", "--coverage", "0.5,0.6", "--splits", "2"
    )
    assert code == 0, err
    assert "8 cells" in err
    assert "additive predicts the vectors of unseen objects exactly" in out
    assert out.strip().splitlines()[-1] == str(run / "report.html")
    assert "Complexity of the binding function" in (run / "report.html").read_text()
    assert not (run / "complexity.partial").exists()
    after = read_results(run)
    assert after.records[: len(before)] == before.records
    assert json.loads((run / "config.json").read_text())["complexity"]["coverages"] == [0.5, 0.6]
    for coverage in (0.5, 0.6):
        found = after.one(analysis="complexity", metric="r2", estimator="additive", split="test", coverage=coverage)
        assert found.value == pytest.approx(1.0, abs=1e-9)
        assert found.config_hash == before.records[0].config_hash
        objects = after.one(
            analysis="complexity", metric="object_recognition", estimator="additive", split="test",
            target="closed", coverage=coverage,
        )  # fmt: skip
        assert objects.ceiling == pytest.approx(0.5)
        assert objects.chance == pytest.approx(1 / 300)
        assert objects.value is not None
        assert objects.value <= 0.6
        none = after.one(metric="binding_r2", estimator="additive", split="test", coverage=coverage)
        assert none.value is None  # a bag has no interaction to predict
    run_cli(capsys, "complexity", str(run), "--learners", "additive", "--coverage", "0.5", "--splits", "1")
    again = read_results(run)
    assert again.records[: len(before)] == before.records
    assert {r.coverage for r in again if r.analysis == "complexity" and r.estimator == "additive"} == {0.5, None}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(make: Make) -> None:
    runs = [make("planted:mixed?dim=24&noise=0.2", "text:4x4", name) for name in "abc"]
    settings = [Settings((0.6,), ("additive", "per-object", "mlp:8?epochs=2"), 1, seed=seed) for seed in (0, 0, 1)]
    for run, one in zip(runs, settings, strict=True):
        run_complexity(run, one)
    texts = [(run / "results.csv").read_bytes() for run in runs]
    assert texts[0] == texts[1] != texts[2]


def test_a_killed_grid_goes_on_where_it_stopped(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, killed = make("planted:mixed?dim=16", "text:4x4", "a"), make("planted:mixed?dim=16", "text:4x4", "b")
    settings = Settings((0.5, 0.7), ("additive", "ridge"), 2)
    run_complexity(whole, settings)
    fitted: list[Cell] = []
    real = experiment.fit_cell

    def counting(cell: Cell, *rest: object) -> object:
        if len(fitted) == 5:
            raise KeyboardInterrupt
        fitted.append(cell)
        return real(cell, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(experiment, "fit_cell", counting)
    before = (killed / "results.parquet").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        run_complexity(killed, settings)
    assert (killed / "results.parquet").read_bytes() == before
    broken = sorted(file for file in (killed / "complexity.partial").iterdir() if not file.name.startswith("probes"))
    assert len(broken) == 5
    monkeypatch.setattr(experiment, "cross_probes", None)  # the probes are not made again either
    broken[0].write_bytes(broken[0].read_bytes()[:100])  # cut short: made again
    again: list[Cell] = []
    monkeypatch.setattr(experiment, "fit_cell", lambda cell, *rest: (again.append(cell), real(cell, *rest))[1])
    run_complexity(killed, settings)
    assert len(again) == 8 - 4
    assert (killed / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()


@pytest.mark.parametrize(
    ("world", "data"),
    [
        ("planted:bag?dim=16", "text:3x3?m=3&same=true"),
        ("planted:bag?dim=16", "text:6x6?m=1"),
        ("planted:mixed?dim=16&noise=0.3", "text:5x4?replicates=2"),
    ],
)
def test_other_shapes(make: Make, world: str, data: str) -> None:
    run = make(world, data)
    results = run_complexity(run, Settings((0.7,), ("additive", "global"), 1))
    assert len(results.headline(metric="r2", split="test", estimator="additive")) == 1
    has_noise = results.first(metric="noise_ceiling")
    assert (has_noise is not None) == ("replicates" in data)
    if has_noise is not None:
        assert has_noise.value == pytest.approx(1 / 1.09, abs=0.08)  # a few held-out objects vary less than all


def test_each_figure_has_an_interval_and_every_learner_its_training_fit(make: Make) -> None:
    run = make("planted:mixed?dim=32&noise=0.1", "text:6x6")
    results = run_complexity(run, Settings((0.5,), ("additive", "mlp:32?epochs=5"), 2))
    for record in results.headline(metric=("r2", "object_recognition", "concept_recognition")):
        if record.value is not None:
            assert record.ci_low is not None, record
            assert record.ci_low <= record.value <= record.ci_high, record  # type: ignore[operator]
    for learner in ("additive", "mlp:32?epochs=5"):
        words = {"estimator": learner, "coverage": 0.5, "split": "train"}
        assert len(results.headline(metric="r2", **words)) == 1
        assert len(results.headline(metric="fits_training", **words)) == 1
        assert len(results.headline(metric="converged", **words)) == 1
        spread = results.select(lambda r: r.extra.get("spread") == "splits", estimator=learner, metric="r2")
        assert len(spread) == 1
    keys = [(r.metric, r.estimator, r.target, r.split, r.coverage) for r in results.headline()]
    assert len(keys) == len(set(keys))


def test_rank_curve_of_a_form(make: Make) -> None:
    run = make("planted:product?rank=2&dim=32", "text:7x7")
    results = run_complexity(run, Settings((0.8,), ("per-object",), 1))
    found = results.select(lambda r: "rank" in r.extra, metric="r2", estimator="per-object")
    by_rank = {r.extra["rank"]: r.value for r in found}
    assert set(by_rank) == {0, 1, 2, 4, 8, 16}
    assert by_rank[2] == pytest.approx(1.0, abs=1e-3)
    assert by_rank[0] < 0.5  # type: ignore[operator]
    of_binding = results.select(lambda r: set(r.extra) == {"rank"}, metric="binding_r2", estimator="per-object")
    figures = {r.extra["rank"]: r.value for r in of_binding}
    assert figures[0] == pytest.approx(0.0, abs=1e-9)
    assert figures[2] == pytest.approx(1.0, abs=1e-2)
    headline = results.one(metric="binding_r2", estimator="per-object", split="test")
    assert headline.ci_low is not None
    assert headline.ci_low <= headline.value <= headline.ci_high  # type: ignore[operator]
    beyond = results.select(lambda r: r.extra == {"beyond": "concepts"}, metric="binding_r2", split="test")
    assert [r.value for r in beyond] == [pytest.approx(1.0, abs=1e-2)]
    assert results.one(metric="r2", estimator="per-object", split="test").value == pytest.approx(1.0, abs=1e-3)


def test_learners_of_words_stand_beside_those_of_indices(make: Make) -> None:
    run = make("planted:mixed?dim=24", "text:5x5")
    settings = Settings((0.6,), ("additive", "ridge", "words:ridge"), 1)
    found = run_complexity(run, settings)
    assert {r.estimator for r in found.headline(metric="binding_r2", split="test")} == {
        "additive",
        "ridge",
        "words:ridge",
    }
    only = Settings((0.6,), ("ridge",), 1, inputs="words")
    assert only.learners == ("words:ridge",)
    assert code_families(only) == available_families()
    no_queries = make("planted:mixed?dim=8", "text:3x3", "bare")
    embeddings = load_embeddings(no_queries)
    save_embeddings(replace(embeddings, queries=None), no_queries)
    with pytest.raises(InputError, match="this run has none: its model has no queries"):
        run_complexity(no_queries, only)


def test_random_splits_are_the_papers(make: Make) -> None:
    run = make("planted:bag?dim=16", "text:5x5")
    table = load_embeddings(run).table
    settings = [Settings((0.36,), ("additive",), 1, split=split) for split in ("connected", "random")]  # type: ignore[arg-type]
    made = [one.objects(table, 0.36, 0).train for one in settings]
    assert not np.array_equal(*made)
    assert np.array_equal(made[1], split_objects(table, 0.36, 0, "random").train)
    found = run_complexity(run, settings[1])
    unseen = found.one(metric="unseen_share", coverage=0.36)
    assert unseen.value == pytest.approx(split_objects(table, 0.36, 0, "random").unseen_share)
    assert json.loads((run / "config.json").read_text())["complexity"]["split"] == "random"
    for wrong in ({"inputs": "pixels"}, {"split": "odd"}):
        with pytest.raises(InputError, match="must be one of"):
            Settings(**wrong)  # type: ignore[arg-type]


def test_the_command_takes_words_splits_and_the_papers_learners(
    make: Make, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make("planted:mixed?dim=16", "text:5x4")
    options = ("--learners", "ridge", "--coverage", "0.6", "--splits", "1", "--inputs", "words", "--split", "random")
    code, out, err = run_cli(capsys, "complexity", str(run), *options)
    assert code == 0, err
    assert "words:ridge" in out
    assert "binding R²" in out
    code, _, err = run_cli(capsys, "complexity", str(run), "--inputs", "pixels")
    assert code == 2
    assert "--inputs must be one of indices, words, got 'pixels'" in err
    asked: list[Settings] = []

    def noted(run: object, settings: Settings, *rest: object) -> None:
        asked.append(settings)
        raise InputError("seen")

    monkeypatch.setattr(experiment, "run_complexity", noted)
    run_cli(capsys, "complexity", str(run), "--paper")
    run_cli(capsys, "complexity", str(run), "--paper", "--learners", "mlp:7")
    assert {"mlp:128", "mlp:512", "mlp:2048", "per-object?additive=no", "products:512"} <= set(asked[0].learners)
    assert [one.split for one in asked] == ["random", "random"]
    assert asked[1].learners == ("mlp:7",)


def test_with_too_many_objects_the_rest_of_the_grid_stands(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interaction, "MOST_COLUMNS", 5)
    found = run_complexity(make("planted:mixed?dim=16", "text:4x4"), Settings((0.6,), ("additive", "ridge"), 2))
    assert found.one(metric="binding_r2", estimator="ridge", split="test").value is None
    assert found.one(metric="r2", estimator="ridge", split="test").value is not None
    beyond = found.select(lambda r: r.extra == {"beyond": "concepts"}, estimator="ridge", split="test")
    assert [r.value is not None for r in beyond] == [True]


def test_coverages_without_scenes_are_left_out(make: Make) -> None:
    table = load_embeddings(make("planted:bag?dim=8", "text:3x2")).table
    with pytest.warns(UserWarning, match=r"left out there"):
        cells = grid(Settings((0.1, 0.5), ("additive",), 1), table)
    assert {cell.coverage for cell in cells} == {0.5}


def test_wrong_input_is_one_clear_line(make: Make, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = make("planted:bag?dim=8", "text:3x3")
    for arguments, message in (
        (("--learners", "aditive"), "did you mean additive"),
        (("--learners", ","), "names none"),
        (("--coverage", "1.5"), "between 0 and 1"),
        (("--coverage", "half"), "numbers between 0 and 1"),
        (("--coverage", ","), "no coverage was asked for"),
        (("--splits", "0"), "--splits must be at least 1"),
        (("--learners", "additive", "--coverage", "0.05"), "no coverage of 0.05 leaves scenes"),
    ):
        code, _, err = run_cli(capsys, "complexity", str(run), *arguments)
        lines = [line for line in err.splitlines() if line.startswith("error: ")]
        assert code == 2, arguments
        assert len(lines) == 1
        assert message in lines[0]
    assert run_cli(capsys, "complexity", str(tmp_path / "no"))[0] == 2
    with pytest.raises(InputError, match="seed must be 0 or larger"):
        Settings(seed=-1)


def curve(
    learner: str,
    value: float,
    half: float,
    fits: float = 1.0,
    real: float = 0.97,
    r2: float = 0.95,
    binding: float | None = -0.1,
    chance: float = 0.05,
) -> Results:
    """Made-up records of one coverage."""
    words = {"coverage": 0.5, "n_objects": 100, "ceiling": 0.5}
    closed = {"metric": "object_recognition", "target": "closed", "split": "test", **words}
    train = {"split": "train", "coverage": 0.5}
    design = [("identified", 1.0), ("held_out_objects", 50.0), ("closed_scenes", 400.0)]
    return Results(
        [
            *(Record("complexity", metric, one, coverage=0.5, split="test") for metric, one in design),
            Record("complexity", value=value, estimator=learner, ci_low=value - half, ci_high=value + half, **closed),
            Record("complexity", value=real, estimator="real", ci_low=real - 0.02, ci_high=real + 0.02, **closed),
            Record("complexity", "r2", r2, learner, coverage=0.5, split="test", ci_low=r2 - 0.001, ci_high=r2 + 0.001),
            Record(
                "complexity",
                "binding_r2",
                binding,
                learner,
                coverage=0.5,
                split="test",
                chance=chance,
                ci_low=None if binding is None else binding - 0.05,
                ci_high=None if binding is None else binding + 0.05,
            ),
            Record("complexity", "fits_training", fits, learner, **train),
            Record("complexity", "object_recognition", 0.99, learner, "unshared", **train),
        ]
    )


@pytest.mark.parametrize(
    ("results", "words"),
    [
        (curve("mlp:1024", 0.15, 0.03), "the binding part is memorised"),
        (curve("mlp:1024", 0.15, 0.03), "not exact enough to tell unseen objects apart"),
        (curve("mlp:1024", 0.15, 0.03, binding=0.4), "the binding part follows a rule, in part"),
        (curve("mlp:1024", 0.15, 0.03, binding=0.97), "the binding part follows a rule as well"),
        (curve("mlp:1024", 0.15, 0.03, binding=0.1), "Whether the binding part can be predicted is undecided"),
        (curve("mlp:1024", 0.15, 0.03, binding=0.3, chance=0.36), "the binding part is memorised"),
        (curve("mlp:1024", 0.15, 0.03, binding=None), "there is no binding to predict"),
        (curve("mlp:1024", 0.15, 0.03, r2=0.995), "its predictions are not exact"),
        (curve("mlp:1024", 0.95, 0.02, r2=0.995), "predicts the vectors of unseen objects exactly"),
        (curve("mlp:1024", 0.80, 0.05), "a small learner finds the rule"),
        (curve("mlp:1024", 0.45, 0.10), "Undecided"),
        (curve("mlp:1024", 0.15, 0.03, fits=0.5), "supports no verdict"),
        (curve("mlp:1024", 0.15, 0.03, real=0.5), "do not read the objects from the real held-out vectors"),
    ],
)
def test_the_verdict_says_only_what_the_intervals_carry(results: Results, words: str) -> None:
    assert readable(results, 0.5)
    assert words in " ".join(complexity_sentences(results))


def test_what_did_not_fit_says_nothing_of_the_binding_part() -> None:
    said = " ".join(complexity_sentences(curve("mlp:1024", 0.15, 0.03, fits=0.5, binding=0.4)))
    assert "binding part" not in said


def test_no_verdict_without_enough_held_out() -> None:
    few = [
        Record("complexity", r.metric, 2.0, coverage=0.5, split="test") if r.metric == "held_out_objects" else r
        for r in curve("mlp:1024", 0.1, 0.01)
    ]
    assert complexity_sentences(Results(few)) == [
        "No coverage leaves enough identified, held-out objects, so the curves support no verdict."
    ]
    assert complexity_sentences(Results([])) == []


def test_replacing_records_keeps_the_rest(make: Make) -> None:
    run = make("planted:bag?dim=8", "text:3x3")
    before = read_results(run)
    fresh = Results([Record("complexity", "r2", 0.5)])
    replace_records(run, ("complexity",), fresh)
    replace_records(run, ("complexity",), fresh)
    assert read_results(run).records == (*before.records, *fresh.records)
    assert not [file for file in run.iterdir() if file.name.startswith(".results")]
    with pytest.raises(StoreError, match="no results at"):
        replace_records(run / "nowhere", ("complexity",), fresh)


def test_processes_side_by_side_give_the_same_results(make: Make) -> None:
    settings = Settings((0.5, 0.7), ("additive", "per-object?rank=1"), 1, codelength=False)
    one, two = (make("planted:product?rank=2&dim=32", "text:6x6", name) for name in ("one", "two"))
    said: list[str] = []
    alone = run_complexity(one, settings)
    together = run_complexity(two, settings, said.append, workers=2)
    assert together.to_json() == alone.to_json()
    assert sum(line.startswith("cell ") for line in said) == 4
    assert not (two / "complexity.partial").exists()
