"""Diagnosis end to end on planted worlds of every shape: the verdict theory asks for, and records that keep the contract."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bindscope.analyses.context import Context
from bindscope.analyses.registry import default, two_sided
from bindscope.datasets import load_dataset
from bindscope.embeddings import Embeddings, Queries, embed
from bindscope.encoders import load_encoder
from bindscope.errors import InputError, TableError, UnknownNameError, VectorsError
from bindscope.recognition import ceiling, concept_chance, object_chance
from bindscope.results import Results
from bindscope.runs.diagnose import Run, analyse, diagnose
from bindscope.runs.settings import Settings
from bindscope.runs.verdict import verdict
from planted import KINDS, designs, incomplete, plant, random_scenes, scenes

DESIGNS = designs()
RECIPE = "concepts:\n  size: [small, large]\n  color: [red, blue]\n  shape: [cube, ball]\n"


def run(model: str, data: str, folder: Path, **more: object) -> Run:
    return diagnose(f"planted:{model}", data, folder / "run", cache=folder / "cache", **more)  # type: ignore[arg-type]


@cache
def by_hand(kind: str, name: str, queries: bool = True, noise: float = 0.0, dim: int = 48) -> Results:
    """All analyses of a world made by the tests' own factory."""
    table = DESIGNS[name]
    world = plant(kind, table, dim=dim, noise=noise)  # type: ignore[arg-type]
    values = tuple(world.concept_queries(k).astype(np.float32) for k in range(table.space.n_concepts))
    asked = Queries(world.queries.astype(np.float32), values) if queries else None
    embeddings = Embeddings(world.vectors.astype(np.float32), table, asked)
    return Results(analyse(embeddings, Settings("m", "d")))


@pytest.mark.parametrize(
    ("data", "kind", "label"),
    [
        ("text:5x5", "bag", "bag of concepts"),
        ("text:5x5", "object", "binds"),
        ("text:5x5", "mixed", "binds"),
        ("text:5x4?m=3&scenes=700", "bag", "bag of concepts"),
        ("text:5x4?m=3&scenes=700", "object", "binds"),
        ("text:4x4?same=true&singles=true&replicates=2", "bag", "bag of concepts"),
        ("text:4x4?same=true&singles=true&replicates=2", "object", "binds"),
        ("text:r.yaml", "bag", "undecided"),  # 32 ambiguous scenes
        ("text:r.yaml", "object", "undecided"),
        ("text:5x5?m=1", "object", "undecided"),
        ("text:1x6", "object", "undecided"),
    ],
)
def test_the_verdict_is_the_planted_truth(tmp_path: Path, data: str, kind: str, label: str) -> None:
    if data.endswith("yaml"):
        (tmp_path / "r.yaml").write_text(RECIPE)
        data = f"text:{tmp_path}/r.yaml"
    found = run(f"{kind}?dim=384", data, tmp_path, analyses=["recognition"])
    assert verdict(found.results).label == label


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", list(DESIGNS))
def test_every_design_is_diagnosed_and_keeps_the_contract(name: str, kind: str) -> None:
    if name == "pairs" or kind == "object":  # the others add time, not cases
        results = by_hand(kind, name)
        check_contract(results)
        assert {record.analysis for record in results} == set(default()) - set(two_sided())  # it has no captions


def check_contract(results: Results) -> None:
    heads: set[tuple[object, ...]] = set()
    for record in results:
        if not record.extra:
            key = (record.analysis, record.metric, record.estimator, record.target, record.split, record.coverage)
            assert key not in heads, f"two headlines of one question: {key}"
            heads.add(key)
        if record.value is not None and record.ci_low is not None and record.ci_high is not None:
            assert record.ci_low <= record.ci_high + 1e-12
        if record.metric in ("concept_recognition", "object_recognition", "retrieval_top1", "joint_probing"):
            assert record.value is None or 0.0 <= record.value <= 1.0
            assert record.extra.get("spread") or record.value is None or record.chance is not None
        if record.analysis == "recognition" and record.metric == "object_recognition" and not record.extra:
            assert record.ceiling is None or 0.0 < record.ceiling <= 1.0


@pytest.mark.parametrize("name", ["pairs", "C=3", "m=3", "incomplete", "mixed m", "replicates", "C=1", "m=1"])
def test_an_additive_world_is_rebuilt_and_a_bag_world_by_its_concepts(name: str) -> None:
    bag, unique = by_hand("bag", name), by_hand("object", name)
    for estimator in ("ols", "ols+pos"):
        for level in ("level1", "level2"):
            assert r2(bag, estimator, level) == pytest.approx(1.0, abs=1e-5)
        assert r2(unique, estimator, "level1") == pytest.approx(1.0, abs=1e-5)
        if name not in ("C=1", "incomplete"):
            assert r2(unique, estimator, "level2") < 0.95
    for record in bag.select(analysis="variance", metric="share", estimator="ols", target="concepts"):
        if record.extra or name not in ("C=1", "m=1"):  # there no degree of freedom is left to correct by
            assert record.value == pytest.approx(1.0, abs=1e-4)
        else:
            assert record.value is None


def r2(results: Results, estimator: str, level: str, split: str = "in_sample") -> float:
    value = results.one(analysis="geometry", metric="r2", estimator=estimator, target=level, split=split).value
    assert value is not None
    return value


def test_recognition_records_by_definition() -> None:
    """Chance and ceiling of exactly the rows that are scored."""
    table = DESIGNS["pairs+same"]
    results = by_hand("mixed", "pairs+same", noise=0.5)
    shot = {"analysis": "recognition", "estimator": "zero_shot", "split": "all"}
    everything = results.one(metric="object_recognition", target="all", **shot)
    unshared = results.one(metric="object_recognition", target="unshared", **shot)
    assert everything.chance == pytest.approx(object_chance(table).mean())
    assert everything.ceiling == pytest.approx(ceiling(table))
    assert unshared.chance == pytest.approx(object_chance(table)[table.unshared].mean())
    assert (unshared.ceiling, unshared.n_scenes) == (0.5, int(table.unshared.sum()))
    concepts = concept_chance(table)
    assert results.one(metric="concept_recognition", target="mean", **shot).chance == pytest.approx(concepts.mean())
    joint = results.one(metric="concept_recognition", target="joint", **shot)
    assert joint.chance == pytest.approx(concepts.prod(axis=1).mean())
    each = [results.one(metric="concept_recognition", target=name, **shot) for name in table.space.names]
    mean = results.one(metric="concept_recognition", target="mean", **shot)
    assert mean.value == pytest.approx(np.mean([record.value for record in each]))  # type: ignore[misc]
    assert joint.value <= min(record.value for record in each)  # type: ignore[operator,type-var]


def test_no_row_scores_a_probe_that_it_trained() -> None:
    results = by_hand("object", "replicates", queries=False)
    held = results.one(analysis="recognition", metric="object_recognition", estimator="probe", target="all")
    trained = results.select(metric="training_rows").records[0]
    assert held.n_scenes == len(DESIGNS["replicates"]) - trained.n_scenes  # type: ignore[operator]
    assert trained.value == trained.n_scenes
    assert not results.select(estimator="zero_shot").records
    assert trained.extra["converged"] is True


def test_more_rows_than_the_limit_are_said() -> None:
    from bindscope.analyses.recognition import measure as recognise
    from bindscope.probes import fit_probes

    world = plant("object", scenes(4, 4), dim=32)
    train = np.ones(len(world.table), dtype=bool)
    train[::2] = False
    probes = fit_probes(world.vectors, world.table, train, max_rows=50)
    context = Context(Embeddings(world.vectors.astype(np.float32), world.table))
    context.__dict__["_probed"] = (probes, ~train)
    said = recognise.training(context)
    assert (said.value, said.n_scenes) == (50, int(train.sum()))


def test_sampling_above_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit: fewer retrieval queries against the whole gallery, fewer draws of the null, and the records say so."""
    from bindscope.analyses.geometry import retrieval
    from bindscope.analyses.variance import measure as variance

    monkeypatch.setattr(retrieval, "MAX_GALLERY", 100)
    monkeypatch.setattr(retrieval, "SAMPLED_QUERIES", 40)
    monkeypatch.setattr(variance, "LARGE", 100)
    results = by_hand("object", "pairs", noise=0.3)
    for record in results.select(metric="retrieval_top1"):
        assert record.n_scenes == 40
    null = next(r for r in results.select(analysis="variance") if r.extra.get("null"))
    assert null.extra["draws"] == 99
    p = results.one(analysis="variance", metric="p_value").value
    assert p == pytest.approx(1 / 100)


# --- one-object scenes


def test_single_is_judged_on_the_scenes_whose_objects_stand_alone() -> None:
    pairs, alone = scenes(3, 3), scenes(3, 3, m=1)
    from bindscope.scenes import concatenate

    few = alone.take(np.arange(6))
    table = concatenate([pairs, few])
    world = plant("object", table, dim=20)
    results = Results(analyse(Embeddings(world.vectors.astype(np.float32), table), Settings("m", "d")))
    covered = np.isin(pairs.object_ids, few.object_ids[:, :1]).all(axis=1).sum()
    record = results.one(analysis="geometry", metric="r2", estimator="single", target="level1", split="held_out")
    assert record.n_scenes == covered == 30
    assert (
        results.one(analysis="geometry", metric="r2", estimator="ols", target="level1", split="held_out").n_scenes == 72
    )
    none = concatenate([pairs, alone.take([0])])  # one object alone: no scene of two can be rebuilt
    world = plant("object", none, dim=20)
    results = Results(analyse(Embeddings(world.vectors.astype(np.float32), none), Settings("m", "d", ("geometry",))))
    assert not results.select(estimator="single").records


def test_single_by_hand() -> None:
    """u_o = z_(o) - mean of one-object scenes; R^2 of mu + u_o + u_o'."""
    found = embed(load_encoder("planted:mixed?dim=32&noise=0.4"), load_dataset("text:4x3?singles=true"))
    results = Results(analyse(found, Settings("m", "d", ("geometry",))))
    table, vectors = found.table, found.vectors.astype(np.float64)
    two, one = table.rows_with(2), table.rows_with(1)
    units = np.zeros((12, 32))
    units[table.object_codes[one, 0]] = vectors[one] - vectors[one].mean(axis=0)
    away = vectors[two] - vectors[two].mean(axis=0)
    guess = units[table.object_codes[two]].sum(axis=1)
    expected = 1 - ((away - guess) ** 2).sum() / (away**2).sum()
    assert r2(results, "single", "level1", "held_out") == pytest.approx(expected, abs=1e-6)
    scale = (away * guess).sum() / (guess**2).sum()
    scaled = next(r for r in results.select(estimator="single", target="level1") if "scale" in r.extra)
    assert scaled.extra["scale"] == pytest.approx(scale, abs=1e-5)
    assert scaled.value == pytest.approx(1 - ((away - scale * guess) ** 2).sum() / (away**2).sum(), abs=1e-6)


def test_other_numbers_of_objects_are_read_too(tmp_path: Path) -> None:
    found = run("object?dim=64", "text:4x4?singles=true", tmp_path, analyses=["recognition"])
    alone = [r for r in found.results if r.extra.get("objects") == 1 and r.metric == "object_recognition"]
    assert {record.n_scenes for record in alone} == {16}
    assert found.results.one(metric="object_recognition", estimator="zero_shot", target="all").n_scenes == 240


# --- noise


def test_replicates_tell_noise_from_structure_with_intervals() -> None:
    table = scenes(5, 4, replicates=3)
    world = plant("object", table, dim=60, noise=0.5)
    results = Results(analyse(Embeddings(world.vectors.astype(np.float32), table), Settings("m", "d", ("variance",))))
    shares = {record.target: record for record in results.headline(metric="share")}
    assert shares["noise"].value == pytest.approx(0.2, abs=0.02)
    assert shares["higher_order"].value == pytest.approx(0.0, abs=0.01)
    limit = results.one(metric="noise_ceiling")
    assert limit.value == pytest.approx(1 - shares["noise"].value)
    for record in (shares["noise"], shares["higher_order"], limit):
        assert record.ci_low is not None
        assert record.ci_high is not None
        assert record.ci_low <= record.value <= record.ci_high
    parts = ("concepts", "slot", "interaction", "cross_object", "residual")
    assert sum(shares[part].value for part in parts) == pytest.approx(1.0)


def test_higher_order_is_what_pairs_cannot_explain() -> None:
    """Every scene has a vector of its own: nearly all that is left is structure, and replicates say so."""
    table = scenes(6, 5, replicates=2)
    rng = np.random.default_rng(0)
    own = rng.normal(size=(int(table.scene_ids.max()) + 1, 30))[table.scene_ids]
    vectors = (own + 0.5 * rng.normal(size=own.shape)).astype(np.float32)
    results = Results(analyse(Embeddings(vectors, table), Settings("m", "d", ("variance",))))
    shares = {record.target: record.value for record in results.headline(metric="share")}
    assert shares["noise"] == pytest.approx(0.2, abs=0.02)
    assert shares["higher_order"] == pytest.approx(0.8, abs=0.03)
    assert shares["interaction"] == pytest.approx(0.0, abs=0.02)


# --- degenerate, and refused


@pytest.mark.parametrize("dim", [1, 2, 700])
def test_any_number_of_dimensions(dim: int) -> None:
    check_contract(by_hand("object", "pairs", dim=dim))


def test_few_rows_unbalanced_and_incomplete() -> None:
    for table in (
        random_scenes(3, 3, n=7, m=2, seed=2),
        incomplete(scenes(6, 5), 0.4),
        scenes(3, 3).take([0, 1, 2, 8, 8, 8]),
    ):
        world = plant("object", table, dim=16, noise=0.1)
        results = Results(analyse(Embeddings(world.vectors.astype(np.float32), table), Settings("m", "d")))
        check_contract(results)
        assert verdict(results).label in ("binds", "partly", "undecided", "bag of concepts")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("text:1x2", r"2 scenes of 2 objects with one bag of values only"),
        ("text:1x1?same=true", r"shows one object only \('red circle'\)"),
        ("text:1x1?m=1", r"shows one object only"),
    ],
)
def test_data_that_can_show_nothing_is_refused(tmp_path: Path, data: str, message: str) -> None:
    with pytest.raises(TableError, match=message):
        run("bag?dim=8", data, tmp_path)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("analysis", ["geometry", "variance"])
def test_designs_that_no_fit_can_hold_are_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, analysis: str
) -> None:
    monkeypatch.setattr("bindscope.runs.diagnose.MAX_COLUMNS", 500)
    monkeypatch.setattr("bindscope.runs.diagnose.embed", None)  # it does not come to that
    data = "text:20x15?m=3&scenes=1000"
    with pytest.raises(InputError, match=rf"{analysis} of these scenes needs a design of [\d,]+ columns .*--analyses"):
        run("bag?dim=8", data, tmp_path, analyses=[analysis, "recognition"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"analyses": ["geometri"]}, r"unknown analysis 'geometri'; did you mean geometry"),
        ({"analyses": []}, r"no analysis was asked for"),
        ({"seed": -1}, r"seed must be 0 or larger and below 2\^63, got -1"),
        ({"sample": 1}, r"at least 2 scenes, got 1"),
        ({"batch_size": 0}, r"at least 1, got 0"),
    ],
)
def test_settings_that_make_no_sense(tmp_path: Path, given: dict[str, object], message: str) -> None:
    with pytest.raises((InputError, UnknownNameError), match=message):
        run("bag?dim=8", "text:3x3", tmp_path, **given)
    assert list(tmp_path.iterdir()) == []


def test_vectors_that_say_nothing_are_refused_before_any_analysis(tmp_path: Path) -> None:
    for array, message in (
        (np.ones((72, 3), dtype=np.float32), r"the embeddings do not vary: all 72 vectors are equal"),
        (np.zeros((72, 3), dtype=np.float32), r"do not vary"),
        (1e-20 * np.random.default_rng(0).normal(size=(72, 3)), r"no vector holds a number as large as 1e-15"),
    ):
        np.save(tmp_path / "v.npy", array)
        with pytest.raises(VectorsError, match=message):
            diagnose(f"file:{tmp_path}/v.npy", "text:3x3", tmp_path / "run", analyses=["recognition"])
        audit = diagnose(f"file:{tmp_path}/v.npy", "text:3x3", tmp_path / "audit", analyses=["audit"])
        assert len(audit.results) > 20  # which needs no vectors


# --- the run directory


def test_a_run_tells_all_that_made_it(tmp_path: Path) -> None:
    found = run("mixed?dim=16", "text:3x3?singles=true", tmp_path, seed=3, sample=50, analyses=["recognition", "audit"])
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config == json.loads(json.dumps(dict(found.config)))
    assert config["command"] == (
        "bindscope diagnose 'planted:mixed?dim=16' --data 'text:3x3?singles=true' --analyses recognition,audit "
        "--seed 3 --sample 50"
    )
    assert (config["seed"], config["options"]["sample"], config["modality"]) == (3, 50, "text")
    assert {"python", "numpy", "scipy"} <= set(config["versions"])
    assert "fingerprint" in config["fidelity"]
    assert config["space"][0] == {"name": "adjective", "values": ["red", "blue", "green"]}
    assert len(config["examples"]) == 6
    for record in found.results:
        assert (record.model, record.dataset, record.modality) == (
            "planted:mixed?dim=16",
            "text:3x3?singles=true",
            "text",
        )
        assert record.config_hash == config["hash"]
        assert record.version == config["bindscope"]
        assert record.seed in (3, None)


def test_what_names_a_run() -> None:
    """The seed, sample, data and analyses change the hash; device, batch size and order of analyses do not."""
    from bindscope.run_directory import config_hash
    from bindscope.runs.diagnose import _identity

    data = load_dataset("text:2x2")

    def digest(**more: object) -> str:
        return config_hash(_identity(Settings("m", "d", **more), data))  # type: ignore[arg-type]

    same = {digest(), digest(device="cpu"), digest(batch_size=4), digest(analyses=default()[::-1])}
    other = {digest(seed=1), digest(sample=3), digest(prompt="x"), digest(analyses=("audit",))}
    assert len(same) == 1
    assert len(other) == 4
    assert not same & other


def test_records_of_one_question_have_one_headline(tmp_path: Path) -> None:
    found = run("object?dim=24", "text:3x3?singles=true&replicates=2", tmp_path)
    check_contract(found.results)
    assert r2(found.results, "ols+pos", "level2", "held_out") < r2(found.results, "ols+pos", "level1", "held_out")
