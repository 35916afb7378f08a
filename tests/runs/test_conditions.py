"""Figures by visible share and beside the noise ceiling, on worlds whose truth is planted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bindscope.analyses.occlusion import bins, least_visible, occluded
from bindscope.analyses.replicates import noise_ceiling, replicated, scene_means
from bindscope.concepts import ConceptSpace
from bindscope.datasets.images import thumbnails as samples
from bindscope.embeddings import Embeddings, Queries
from bindscope.errors import BindscopeWarning, MissingExtraError, TableError
from bindscope.report import write_report
from bindscope.results import Results
from bindscope.runs.diagnose import analyse, diagnose
from bindscope.runs.settings import Settings
from bindscope.scenes import SceneTable
from planted import plant

SPACE = ConceptSpace.of([("color", list("abcde")), ("shape", list("uvwx"))])


def pairs(copies: int = 1) -> SceneTable:
    """All ordered pairs of two different objects, several times."""
    ids = [(a, b) for _ in range(copies) for a in range(20) for b in range(20) if a != b]
    return SceneTable.build(SPACE, SPACE.object_values(np.array(ids)))


def embeddings(table: SceneTable, sd: np.ndarray, seed: int = 0) -> Embeddings:
    """A world of objects, each row with noise of its own size relative to the signal."""
    world = plant("object", table, dim=48)
    rng = np.random.default_rng(seed)
    vectors = world.clean + rng.normal(size=world.clean.shape) * world.clean.std() * sd[:, None]
    queries = Queries(
        world.queries.astype(np.float32), tuple(world.concept_queries(k).astype(np.float32) for k in (0, 1))
    )
    return Embeddings(vectors.astype(np.float32), table, queries)


def records(given: Embeddings) -> Results:
    return Results(analyse(given, Settings("m", "d", ("recognition", "geometry"))))


def test_figures_fall_where_hidden_objects_carry_noise_and_only_there() -> None:
    rng = np.random.default_rng(1)
    table = pairs(2)
    share = rng.choice([0.1, 0.5, 1.0], len(table))
    seen = replace(table, visible=np.stack([share, np.ones(len(table))], axis=1))
    sd = np.array([4.0, 0.8, 0.05])[np.searchsorted([0.1, 0.5, 1.0], share)]
    noisy, control = records(embeddings(seen, sd)), records(embeddings(seen, np.full(len(table), 0.3)))
    for metric, estimator, target in (
        ("object_recognition", "zero_shot", "all"),
        ("object_recognition", "zero_shot", "unshared"),
        ("concept_recognition", "zero_shot", "mean"),
        ("r2", "ols+pos", "level1"),
    ):
        words = {
            "metric": metric,
            "estimator": estimator,
            "target": target,
            "split": "all" if "rec" in metric else "held_out",
        }
        found = noisy.select(lambda r: "visible" in r.extra, **words)
        assert [r.extra["visible"] for r in found] == [0.1, 0.5, 1.0]
        values = [r.value for r in found]
        assert values[0] < values[1] - 0.1 <= values[2]
        assert found.records[0].ci_high < found.records[2].ci_low
        assert sum(r.n_scenes for r in found) == len(table) if target != "unshared" else True
        flat = [r.value for r in control.select(lambda r: "visible" in r.extra, **words)]
        assert max(flat) - min(flat) < 0.06
    hidden = noisy.select(
        lambda r: r.extra.get("visible") == 0.1, metric="r2", target="level1", split="held_out"
    ).records[0]
    low = embeddings(seen, sd)  # the figure by hand: one fit on all, errors of those rows alone
    from bindscope.analyses.geometry.levels import reconstruct_held_out

    error, total = reconstruct_held_out(low.vectors, seen, "ols+pos", "level1", 5, 0).errors(low.vectors)
    rows = share == 0.1
    assert hidden.value == pytest.approx(1 - error[rows].sum() / total[rows].sum())


def test_records_by_share_need_known_shares_and_something_hidden() -> None:
    table = pairs()
    ones = replace(table, visible=np.ones((len(table), 2)))
    holes = replace(table, visible=np.where(np.arange(len(table))[:, None] == 3, np.nan, 0.5) * np.ones((1, 2)))
    assert not occluded(table)
    assert not occluded(ones)
    assert not occluded(holes)
    assert not [r for r in records(embeddings(ones, np.full(len(table), 0.2))) if "visible" in r.extra]
    with pytest.raises(TableError, match="has no visible shares"):
        least_visible(table)
    with pytest.raises(TableError, match="row 3: an object has no visible share"):
        least_visible(holes)


def test_bins_hold_every_scene_once_and_absent_objects_hide_nothing() -> None:
    table = SceneTable.build(SPACE, np.stack([pairs().values[:6, 0], np.full((6, 2), -1)], axis=1))
    shares = np.array([0.0, 0.2, 0.2001, 0.95, 0.96, 1.0])
    seen = replace(table, visible=np.stack([shares, np.full(6, np.nan)], axis=1))
    assert occluded(seen)
    assert np.sum([part.rows for part in bins(seen)], axis=0).tolist() == [1] * 6
    assert [int(part.rows.sum()) for part in bins(seen)] == [2, 1, 1, 2]


@pytest.mark.parametrize("copies", [2, 5])
def test_noise_ceiling_is_the_planted_share(copies: int) -> None:
    table = pairs(copies)
    sd = 0.7
    given = embeddings(table, np.full(len(table), sd))
    top, below = noise_ceiling(given.vectors, table)
    clean = embeddings(table, np.zeros(len(table))).vectors
    variance = clean.var(axis=0).sum()
    truth = variance / (variance + 48 * (clean.astype(float).std() * sd) ** 2)
    assert 1 - top.sum() / below.sum() == pytest.approx(truth, abs=0.01)
    frame = given.vectors.astype(float)  # a second count: one-way analysis of variance, scene by scene
    within = sum(((frame[table.scene_ids == s] - frame[table.scene_ids == s].mean(0)) ** 2).sum() for s in range(380))
    mean_square = within / (len(table) - 380)
    whole = ((frame - frame.mean(0)) ** 2).sum() / len(table)
    assert 1 - top.sum() / below.sum() == pytest.approx(1 - mean_square / whole)


def test_r2_and_recognition_stand_beside_the_ceiling() -> None:
    table = pairs(3)
    found = records(embeddings(table, np.full(len(table), 1.6)))
    ceiling = found.one(analysis="geometry", metric="noise_ceiling")
    fit = found.one(metric="r2", estimator="ols+pos", target="level1", split="held_out")
    part = found.select(lambda r: r.extra.get("of") == "noise_ceiling", target="level1").records[0]
    assert part.value == pytest.approx(fit.value / ceiling.value)
    assert fit.value < ceiling.value
    assert part.ci_low < part.value < part.ci_high
    # an additive world: all but the noise is explained, and what 39 components cost that are fitted to 912 noisy rows
    cost = 39 / 912 * (1 - ceiling.value) / ceiling.value
    assert part.value == pytest.approx(1 - cost, abs=0.03)
    single = found.one(metric="object_recognition", estimator="zero_shot", target="all")
    calm = found.select(
        lambda r: r.extra.get("vectors") == "replicate mean",
        metric="object_recognition",
        estimator="zero_shot",
        target="all",
    ).records[0]
    assert calm.ci_low > single.value
    probes = found.select(lambda r: r.extra.get("vectors") == "replicate mean", estimator="probe", split="held_out")
    assert {r.target for r in probes} == {"mean", "all", "unshared"}


def test_without_replicates_there_is_no_ceiling_and_some_are_enough() -> None:
    table = pairs()
    assert not replicated(table)
    assert not [r for r in records(embeddings(table, np.full(len(table), 0.2))) if r.metric == "noise_ceiling"]
    rows = np.r_[np.arange(380), np.arange(50)]
    few = table.take(rows)
    assert replicated(few)
    means, sizes = scene_means(np.arange(430.0)[:, None], few)
    assert sizes[[0, 60]].tolist() == [2, 1]
    assert means[[0, 380, 60], 0].tolist() == [190.0, 190.0, 60.0]
    top, below = noise_ceiling(np.arange(430.0)[:, None], few)
    assert (below[50:380] == 0).all()
    assert top[0] == pytest.approx(2 * 190.0**2)


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BINDSCOPE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_a_run_on_pictures_says_its_slots_and_shows_what_it_saw(cached: Path) -> None:
    pytest.importorskip("PIL")
    run = diagnose(
        "planted:mixed?noise=0.3&dim=48",
        "clevr2d:3x2?m=2&size=24&replicates=2&singles=true&occlusion=0-0.8",
        cached / "run",
        analyses=("audit", "recognition", "geometry"),
    )
    assert run.config["slots"] == ["left", "right"]
    assert run.config["examples"][0] == "red circle on the left, red square on the right"
    assert (run.directory / "samples.jpg").stat().st_size > 500
    assert len(run.config["samples"]["captions"]) == 18
    assert run.results.first(metric="r2", estimator="single", target="level1", split="held_out") is not None
    assert {r.modality for r in run.results} == {"image"}
    page = write_report(run.directory).read_text(encoding="utf-8")
    for words in ("Occlusion", "Noise ceiling", "data:image/jpeg;base64,", "Slots, in this order: left, right."):
        assert words in page
    assert 'alt="18 pictures in rows of 6: red circle on the left, red square on the right;' in page
    (run.directory / "samples.jpg").unlink()
    assert "data:image/jpeg" not in write_report(run.directory).read_text(encoding="utf-8")


def test_three_objects_run_too(cached: Path) -> None:
    run = diagnose(
        "planted:mixed?noise=0.3&dim=48",
        "clevr2d:3x2?m=3&size=24",
        cached / "run",
        analyses=("recognition", "geometry"),
    )
    assert run.config["slots"] == ["left", "middle", "right"]
    assert run.results.one(metric="r2", estimator="ols+pos", target="level1", split="in_sample").value > 0.5


def test_without_pillow_a_run_goes_on_without_samples(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> bytes:
        raise MissingExtraError("contact sheets", "Pillow", "vision")

    monkeypatch.setattr(samples, "contact_sheet", none)
    with pytest.warns(BindscopeWarning, match="no samples of the pictures in the report"):
        run = diagnose("planted:bag", "clevr2d:2x2?size=24", cached / "run", analyses=("audit",))
    assert run.config["samples"] is None
