"""Runs on pairs: exact bags at exactly their tie credit, binders at one, pages, refusals, published outcomes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

from bindscope.analyses.pairs.measure import PairContext, measure
from bindscope.analyses.pairs.similarity import Sides, unit
from bindscope.datasets.pairs import load_pairs
from bindscope.errors import InputError, StoreError, TableError, UnknownNameError, VectorsError
from bindscope.results import Record, Results
from bindscope.runs.compare import compare
from bindscope.runs.diagnose import Run, diagnose
from bindscope.runs.verdict import verdict
from commands import Command
from paired import bag, ordered, swaps, two_by_two, written

BAG, ORDERED = "module:paired:bag_encoder", "module:paired:ordered_encoder"
SEEING_BAG, SEEING = "module:paired:seeing_bag", "module:paired:seeing_ordered"


def judged(model: str, data: str, tmp_path: Path, **words: object) -> Run:
    return diagnose(model, data, tmp_path / "run", cache=tmp_path / "cache", **words)  # type: ignore[arg-type]


def figure(results: Results, metric: str, target: str = "all", **words: object) -> Record:
    return results.select(lambda r: not r.extra, analysis="pairs", metric=metric, target=target, **words).records[0]


def test_an_exact_bag_has_exactly_its_tie_credit_on_the_same_bag(tmp_path: Path) -> None:
    results = judged(BAG, written(tmp_path, swaps()), tmp_path).results
    for estimator in ("zero_shot", "bag_of_words"):
        half = figure(results, "pair_preference", "same_bag", estimator=estimator)
        assert (half.value, half.chance, half.n_ties, half.n_scenes) == (0.5, 0.5, 60, 60)
        assert half.ci_low is not None
        assert half.ci_high is not None
        assert half.ci_low < 0.5 < half.ci_high  # no interval of width zero
        for rule, value in (("wrong", 0.0), ("right", 1.0)):
            found = results.select(metric="pair_preference", target="same_bag", estimator=estimator)
            assert [r.value for r in found if r.extra == {"ties": rule}] == [value]
        assert figure(results, "pair_all_right", "same_bag", estimator=estimator).value == 0.0


def test_a_reader_of_order_gets_all_right_and_binds(tmp_path: Path) -> None:
    run = judged(ORDERED, written(tmp_path, swaps()), tmp_path)
    for metric in ("pair_preference", "pair_all_right", "retrieval_top1"):
        found = run.results.select(metric=metric, target="same_bag", estimator="zero_shot")
        assert found.records[0].value == 1.0
    assert figure(run.results, "pair_all_right", estimator="bag_of_words").value == 0.0
    assert verdict(run.results).label == "binds"
    assert verdict(judged(BAG, written(tmp_path, swaps(400)), tmp_path).results).label == "bag of concepts"


def test_few_items_decide_nothing(tmp_path: Path) -> None:
    assert verdict(judged(ORDERED, written(tmp_path, swaps(12)), tmp_path).results).label == "undecided"


def test_pictures_of_both_captions(tmp_path: Path) -> None:
    data = written(tmp_path, two_by_two(tmp_path))
    binder, blind = (judged(model, data, tmp_path).results for model in (SEEING, SEEING_BAG))
    for metric in ("pair_preference", "text_score", "image_score", "group_score"):
        assert figure(binder, metric).value == 1.0
        assert figure(binder, metric).modality == "image"
    assert figure(blind, "pair_preference").value == 0.5
    assert figure(blind, "group_score").value == 0.0
    ties = blind.select(lambda r: r.extra == {"ties": "half"}, metric="group_score", target="all").records
    assert [r.value for r in ties] == [1 / 16]  # four ties, each broken apart


def test_a_side_that_the_model_does_not_have_is_refused(tmp_path: Path) -> None:
    data = written(tmp_path, two_by_two(tmp_path))
    with pytest.raises(InputError, match="needs pictures, which reader does not see"):
        judged("module:paired:reading", data, tmp_path)
    with pytest.raises(InputError, match="makes vectors of concept values and cannot read captions"):
        judged("planted:bag", data, tmp_path)
    rows = [{key: row[key] for key in ("filename", "caption", "negative_caption")} for row in swaps(8, pictures=True)]
    with pytest.raises(InputError, match=r"has no pictures here \(give \?images=DIR\)"):
        judged(BAG, written(tmp_path, rows), tmp_path)
    with pytest.raises(UnknownNameError, match="unknown analysis 'geometry'"):
        judged(BAG, written(tmp_path, swaps(8)), tmp_path, analyses=["geometry"])


def test_vectors_without_a_direction_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import paired

    data = written(tmp_path, swaps(8))
    monkeypatch.setattr(paired, "bag_encoder", lambda: lambda texts: np.ones((len(texts), 3)))
    with pytest.raises(VectorsError, match="all 24 captions are equal"):
        judged(BAG, data, tmp_path)
    first = swaps(1)[0]["caption"]
    monkeypatch.setattr(
        paired, "bag_encoder", lambda: lambda texts: bag(texts) * np.array([[t != first] for t in texts])
    )
    with pytest.raises(VectorsError, match="number 0 of the captions is zero"):
        judged(BAG, data, tmp_path)


def test_the_page_tells_failures_with_the_exchanged_words_marked(command: Command, tmp_path: Path) -> None:
    data = written(tmp_path, two_by_two(tmp_path))
    out = command("diagnose", SEEING_BAG, "--data", data, "--out", str(tmp_path / "run"))
    assert out.code == 0, out.err
    assert "Pairs: right captions against negatives" in out.out
    page = Path(out.last).read_text(encoding="utf-8")
    assert page.count("<mark>") >= 24
    assert "data:image/jpeg;base64," in page
    told = json.loads((tmp_path / "run" / "pairs.json").read_text())
    marked = [text for text, bold in told["failures"][0]["spans"] if bold]
    assert len(marked) == 4
    assert set(marked[:2]) == set(marked[2:]) <= set("red blue green black white brown".split())
    items = parquet.read_table(tmp_path / "run" / "items.parquet").to_pylist()
    assert {row["edit"] for row in items} == {"swapped attribute"}
    assert {row["credit:image:preference"] for row in items} == {0.5}


def test_same_seed_same_bytes_and_a_run_that_goes_on(tmp_path: Path) -> None:
    data = written(tmp_path, swaps(30, pictures=True))
    files = []
    for _ in range(2):
        run = judged(BAG, data, tmp_path)
        files.append(
            [(run.directory / name).read_bytes() for name in ("results.parquet", "items.parquet", "pairs.json")]
        )
    assert files[0] == files[1]
    assert judged(BAG, data, tmp_path, resume=True).results.records == run.results.records


def test_categories_and_samples(tmp_path: Path) -> None:
    rows = [{**row, "category": ("near", "far")[i % 2]} for i, row in enumerate(swaps(40))]
    results = judged(ORDERED, written(tmp_path, rows), tmp_path).results
    by = results.select(
        lambda r: set(r.extra) == {"category"}, metric="pair_all_right", target="all", estimator="zero_shot"
    )
    assert {r.extra["category"]: r.n_scenes for r in by} == {"near": 20, "far": 20}
    some = judged(ORDERED, written(tmp_path, rows), tmp_path, sample=10).results
    assert figure(some, "n_items").value == 10.0


def test_interval_of_single_pictures_is_the_binomial_one(tmp_path: Path) -> None:
    """Second implementation: with one item a picture the variance is p (1 - p) / (n - 1), on the arcsine scale."""
    from scipy import stats

    pairs = load_pairs(written(tmp_path, swaps(200)).removeprefix("pairs:"), "p")
    rng = np.random.default_rng(3)
    sides = Sides.of_vectors(rng.normal(size=(len(pairs.texts), 8)), None)
    context = PairContext(pairs, sides)
    found = next(r for r in context.records("pairs", measure(context)) if r.metric == "pair_all_right")
    p, n = found.value, 200
    assert p is not None
    half = stats.t.ppf(0.975, n - 1) * np.sqrt(1 / (4 * (n - 1)))
    ends = [np.sin(np.arcsin(np.sqrt(p)) + sign * half) ** 2 for sign in (-1, 1)]
    assert [found.ci_low, found.ci_high] == pytest.approx(ends)
    assert found.n_objects == 200


@pytest.mark.slow
def test_intervals_over_pictures_hold_what_they_promise() -> None:
    """Shares of items that hang together within a picture: at least 0.93 of the intervals hold the truth."""
    from bindscope.analyses.pairs.intervals import Clusters
    from bindscope.uncertainty import Outcome

    rng = np.random.default_rng(4)
    for share in (0.03, 0.225, 0.5, 0.9):
        covered = 0
        for _ in range(400):
            sizes = rng.choice([1, 1, 1, 2, 3], size=150)
            codes = np.repeat(np.arange(150), sizes)
            level = rng.beta(share * 2, (1 - share) * 2, size=150)
            low, high = Clusters(codes).interval(
                Outcome.mean("m", (rng.random(len(codes)) < level[codes]).astype(float))
            )[0]
            covered += low <= share <= high
        assert covered / 400 > 0.92, share


@pytest.mark.slow
def test_ten_thousand_pairs_take_less_than_five_seconds(tmp_path: Path) -> None:
    pairs = load_pairs(written(tmp_path, swaps(10_000)).removeprefix("pairs:"), "p")
    vectors = np.random.default_rng(0).normal(size=(len(pairs.texts), 384)).astype(np.float32)
    start = time.process_time()
    context = PairContext(pairs, Sides.of_vectors(vectors, None))
    records = context.records("pairs", measure(context))
    assert records
    assert time.process_time() - start < 5


def test_published_outcomes_are_judged_as_a_model(tmp_path: Path) -> None:
    lines = ["filename,caption,negative_caption,type,correct"]
    lines += [
        f"{i // 2}.jpg,{r['caption']},{r['negative_caption']},swap,{int(i % 4 > 0)}" for i, r in enumerate(swaps(60))
    ]
    (tmp_path / "clip.csv").write_text("\n".join(lines))
    name = f"outcomes:{tmp_path / 'clip.csv'}"
    results = judged(name, name, tmp_path).results
    found = figure(results, "pair_preference")
    assert (found.value, found.estimator, found.model, found.n_scenes, found.n_objects) == (
        0.75,
        "published",
        name,
        60,
        30,
    )
    rows = swaps(64, pictures=True)
    on = judged(name, written(tmp_path, rows), tmp_path).results
    assert on.select(metric="pair_preference", target="same_bag").records[0].n_scenes == 60
    missing = on.select(metric="n_odd_items", target="unmatched").records[0]
    assert (missing.value, missing.extra["rows"]) == (4.0, ["60", "61", "62", "63"])


def test_published_outcomes_beside_a_model_and_of_several_models(tmp_path: Path) -> None:
    rows = [{**row, "clip": "true", "tuned": ["1", "0.5"][i % 2]} for i, row in enumerate(swaps(60))]
    data = written(tmp_path, rows).replace("pairs:", "outcomes:")
    results = judged(ORDERED, data, tmp_path).results
    found = {r.model: r.value for r in results.select(lambda r: set(r.extra) == {"published"}, target="all")}
    assert found == {"clip": 1.0, "tuned": 0.75}
    assert figure(results, "pair_all_right", estimator="zero_shot").value == 1.0


def test_scores_of_two_pictures_as_published(tmp_path: Path) -> None:
    rows = [
        {"caption": r["caption"], "negative_caption": r["negative_caption"], "image": "<lost>", "type": "swap"}
        | {
            "text_score": "True",
            "image_score": str(i % 2 == 0),
            "group_score": str(i % 2 == 0),
            "text_score_i0": "True",
        }
        for i, r in enumerate(swaps(20))
    ]
    data = written(tmp_path, rows).replace("pairs:", "outcomes:")
    results = judged(data, data, tmp_path).results
    found = {name: figure(results, name).value for name in ("text_score", "image_score", "group_score")}
    assert found == {"text_score": 1.0, "image_score": 0.5, "group_score": 0.5}


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([{"caption": "a", "negative_caption": "b", "filename": "1.jpg"}], "no column of outcomes"),
        (
            [{"caption": "a", "negative_caption": "b", "filename": "1.jpg", "correct": "perhaps"}],
            "correct must be 0 or 1",
        ),
    ],
)
def test_outcomes_that_are_none_are_refused(tmp_path: Path, rows: list[dict[str, str]], match: str) -> None:
    data = written(tmp_path, rows).replace("pairs:", "outcomes:")
    with pytest.raises(TableError, match=match):
        judged(data, data, tmp_path)
    with pytest.raises(InputError, match="outcomes: needs a file"):
        judged("outcomes:", "outcomes:", tmp_path)


def test_models_on_pairs_are_compared_and_ranked_with_ties(command: Command, tmp_path: Path) -> None:
    data = written(tmp_path, swaps(80, pictures=True))
    for name, model in (("bag", BAG), ("ordered", ORDERED), ("again", ORDERED)):
        diagnose(model, data, tmp_path / name, cache=tmp_path / "cache")
    rows = [{**row, "clip": 1} for row in swaps(70, pictures=True)]
    published = written(tmp_path, rows, "clip.json").replace("pairs:", "outcomes:")
    found = compare([tmp_path / "bag", tmp_path / "ordered", tmp_path / "again", published])
    one, two = f"{ORDERED} #1", f"{ORDERED} #2"
    assert (found.n_scenes, found.names) == (70, (BAG, one, two, "clip"))
    strict = found.results.select(metric="pair_all_right", target="same_bag")
    apart = strict.select(lambda r: r.extra.get("minus") == one, model=BAG).records[0]
    assert (apart.value, apart.extra["tie"], apart.n_scenes) == (-1.0, False, 70)
    same = strict.select(lambda r: r.extra.get("minus") == two, model=one).records[0]
    assert (same.value, same.extra["tie"]) == (0.0, True)
    assert same.ci_low is not None
    assert same.ci_low < 0.0
    assert found.ranking == ()  # figures of text and a published one of pictures: none in common
    out = command(
        "compare", *(str(tmp_path / name) for name in ("bag", "ordered", "again")), "--out", str(tmp_path / "c.html")
    )
    assert out.code == 0, out.err
    assert f"1= {one} (1.000); 1= {two} (1.000); 3 {BAG} (0.000)" in out.out
    assert "Best first" in (tmp_path / "c.html").read_text(encoding="utf-8")
    other = written(tmp_path, [{**row, "clip": 1, "caption": f"x {row['caption']}"} for row in rows], "other.json")
    with pytest.raises(InputError, match="fewer than two items in common"):
        compare([tmp_path / "bag", other.replace("pairs:", "outcomes:")])
    with pytest.raises(InputError, match="have no item in common"):
        judged(other.replace("pairs:", "outcomes:"), data, tmp_path)


def test_gate_on_pairs(command: Command, tmp_path: Path) -> None:
    data = written(tmp_path, swaps(80))
    out = command("gate", BAG, ORDERED, "--data", data, "--fail-if", "pair_all_right[same_bag]<0.5")
    assert out.code == 1
    assert "Ranking by all three right, same bag" in out.out
    assert out.out.index(f"\n{ORDERED}\n") < out.out.index(f"\n{BAG}\n")
    assert "Worst items, exchanged words in brackets" in out.out
    passed = command("gate", ORDERED, "--data", data, "--fail-if", "recall@1<0.9,pair_preference.ci_low<0.9", "--json")
    assert passed.code == 0, passed.err
    assert not json.loads(passed.out)["gate"]["failed"]
    assert "give one of --vocabulary" in command("gate", BAG).refusal
    assert "takes pairs:FILE" in command("gate", BAG, "--data", "text:8x8").refusal
    assert "is given twice" in command("gate", BAG, BAG, "--data", data).refusal


def test_runs_on_scenes_and_on_pairs_are_not_compared(tmp_path: Path) -> None:
    diagnose(BAG, written(tmp_path, swaps(8)), tmp_path / "pairs", cache=tmp_path / "cache")
    diagnose("planted:bag?dim=16", "text:3x3", tmp_path / "scenes", analyses=["audit"], cache=tmp_path / "cache")
    with pytest.raises(InputError, match="runs of one kind"):
        compare([tmp_path / "pairs", tmp_path / "scenes"])
    (tmp_path / "pairs" / "items.parquet").write_bytes(b"no table")
    with pytest.raises(StoreError, match="cannot read"):
        compare([tmp_path / "pairs", tmp_path / "pairs"])


def test_scenes_are_not_made_of_pairs(command: Command, tmp_path: Path) -> None:
    refused = command("embed", BAG, "--data", written(tmp_path, swaps(8)), "--out", str(tmp_path / "e")).refusal
    assert "holds captions with negatives, not scenes" in refused


def test_encoders_of_the_fixtures_are_what_they_say() -> None:
    texts = [swaps(1)[0][key] for key in ("caption", "negative_caption")]
    one, two = unit(bag(texts))
    assert one @ two == pytest.approx(1.0)
    one, two = unit(ordered(texts))
    assert one @ two < 0.9
