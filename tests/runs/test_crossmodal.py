"""Records of two-sided runs on planted worlds: what must be reached, one headline a question, every table shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bindscope.analyses.context import Context
from bindscope.analyses.crossmodal.repair import repair
from bindscope.analyses.registry import analyses
from bindscope.datasets import load_dataset
from bindscope.datasets.items import Dataset, Items, query_items
from bindscope.datasets.wording import caption_set
from bindscope.embeddings import Embeddings, embed
from bindscope.encoders import load_encoder
from bindscope.errors import InputError
from bindscope.results import Results
from bindscope.runs.diagnose import diagnose
from bindscope.runs.vocabulary import gate_vocabulary
from bindscope.scenes import SceneTable
from planted import designs


def two_sided(model: str, data: str = "text:6x5") -> Embeddings:
    dataset = load_dataset(data)
    return embed(load_encoder(model), dataset, captions=caption_set(dataset))


def measured(embeddings: Embeddings, seed: int = 0) -> Results:
    """Both two-sided analyses."""
    context = Context(embeddings, seed)
    names = ("crossmodal", "alignment")
    return Results(one for name in names for one in context.records(name, analyses()[name].measured(context)))


@pytest.fixture(scope="module")
def same() -> Results:
    return measured(two_sided("planted:mixed?dim=128"))


@pytest.fixture(scope="module")
def own() -> Results:
    return measured(two_sided("planted:mixed?sides=own&dim=512"))


def test_the_same_function_on_both_sides(same: Results) -> None:
    swap = same.one(metric="swap_accuracy")
    assert (swap.value, swap.chance, swap.ceiling, swap.n_ties, swap.split) == (1.0, 0.5, 0.5, 0, "all")
    for metric in ("text_score", "image_score", "group_score"):
        assert same.one(metric=metric).value == 1.0
    for target in ("scene_to_caption", "caption_to_scene"):
        assert same.one(metric="retrieval_top1", target=target).value == 1.0
        assert same.one(metric="swap_confusion_at_1", target=target).value == 0.0
    for estimator in ("identity", "ridge", "procrustes"):
        value = same.one(
            analysis="alignment", metric="r2", target="interaction", estimator=estimator, split="test"
        ).value
        assert value == pytest.approx(1.0, abs=1e-6)


def test_shared_concepts_and_own_objects_on_each_side(own: Results) -> None:
    apart = own.select(lambda r: r.extra == {"wordings": "apart"}, metric="concept_recognition", target="mean")
    assert apart.records[0].value == pytest.approx(1.0, abs=0.01)
    swap = own.one(metric="swap_accuracy")
    assert swap.ci_low is not None
    assert swap.ci_high is not None
    assert swap.ci_low < 0.5 < swap.ci_high
    for estimator in ("identity", "ridge", "procrustes"):
        words = {"analysis": "alignment", "target": "interaction", "estimator": estimator}
        assert (own.one(metric="p_value", **words).value or 0) > 0.02
        value = own.one(metric="r2", split="test", **words).value
        assert value is not None
        assert abs(value) < 0.05


def test_a_bag_is_at_half_by_ties_and_the_rules_say_so() -> None:
    found = measured(two_sided("planted:bag?dim=64", "text:4x4")).select(estimator="zero_shot")
    swap = found.one(metric="swap_accuracy")
    assert swap.value == 0.5
    assert swap.n_ties is not None
    assert swap.n_ties > 0
    by_rule = {r.extra["ties"]: r.value for r in found.select(metric="swap_accuracy") if "ties" in r.extra}
    assert by_rule == {"wrong": 0.0, "right": 1.0}


def test_one_headline_a_question(same: Results) -> None:
    keys = [(r.analysis, r.metric, r.estimator, r.target, r.split) for r in same.headline()]
    assert len(keys) == len(set(keys))
    assert len(same.headline(metric="swap_accuracy")) == 1


def test_every_share_has_an_interval_that_holds_it(own: Results) -> None:
    for record in own.select(analysis="crossmodal"):
        if record.value is None or record.extra.get("objects") or record.ci_low is None:
            continue
        assert record.ci_low - 1e-9 <= record.value <= (record.ci_high or 0) + 0.06


@pytest.mark.parametrize("name", designs())
def test_every_table_shape_gives_records_or_none(name: str) -> None:
    table = designs()[name]
    objects, values = query_items(table)
    dataset = Dataset("x", "labels", table, Items(table.values, np.arange(len(table)), "scene"), objects, values)
    found = embed(load_encoder("planted:mixed?dim=24&noise=0.2"), dataset, captions=caption_set(dataset))
    results = measured(found)
    swap = results.one(metric="swap_accuracy")
    assert (swap.value is None) == (name in ("C=1", "m=1", "one-sided value"))
    assert results.one(metric="retrieval_top1", target="scene_to_caption").value is not None


def test_embeddings_without_captions_give_no_records() -> None:
    found = embed(load_encoder("planted:bag?dim=8"), load_dataset("text:2x2"))
    assert len(measured(found)) == 0
    with pytest.raises(InputError, match="holds no captions"):
        repair(found)


def test_known_training_objects_take_the_headline(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder that binds the objects it was trained on and has random captions for all others."""
    found = two_sided("planted:object?dim=64", "text:4x4")
    table = found.table
    assert found.captions is not None
    words = [table.object_name(i).split() for i in range(table.n_objects)]
    trained = [row for row in words if not (row[0] in ("red", "blue") and row[1] in ("circle", "square"))]
    seen = np.array([row in trained for row in words])
    rng = np.random.default_rng(0)
    vectors = found.captions.vectors.copy()
    outside = ~seen[found.captions.scenes.object_ids].all(axis=1)
    vectors[:, outside] = rng.normal(size=vectors[:, outside].shape)
    record = {"concepts": list(table.space.names), "objects": trained}
    captions = type(found.captions)(found.captions.scenes, vectors, found.captions.anchors, found.captions.orders)
    known = Embeddings(found.vectors, table, found.queries, {"training_objects": record}, captions=captions)
    results = measured(known)
    headline = results.one(metric="swap_accuracy")
    assert (headline.value, headline.split) == (1.0, "train")
    closed = results.select(lambda r: r.extra == {"scenes": "closed"}, metric="swap_accuracy").records[0]
    assert closed.split == "test"
    assert closed.n_scenes == 4
    assert closed.value is not None
    assert closed.value < 1.0


def test_diagnose_refuses_a_model_without_a_second_side(tmp_path: Path) -> None:
    dataset = load_dataset("text:3x2")
    np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(len(dataset), 8)).astype(np.float32))
    with pytest.raises(InputError, match="has no second side for crossmodal"):
        diagnose(f"file:{tmp_path / 'v.npy'}", "text:3x2", tmp_path / "run", analyses=("crossmodal",))


def test_same_seed_same_records() -> None:
    found = two_sided("planted:mixed?sides=own&dim=32", "text:4x3")
    assert measured(found, 1).to_json() == measured(found, 1).to_json()


SHOP = "concepts: {color: [red, blue, white, black], garment: [shirt, jeans, coat, hat]}\nscene: 'a {object} and a {object}'\n"


def test_models_are_ranked_and_ties_called_ties(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(SHOP)
    models = ["planted:bag?dim=64", "planted:mixed?dim=64", "planted:object?dim=64"]
    ranking = gate_vocabulary(models, file, scenes=120)
    assert {one.model for one in ranking.models[:2]} == set(models[1:])
    assert ranking.places == (1, 1, 3)
    first, second = ranking.differences.records
    assert first.extra["tie"] is True
    assert second.extra["tie"] is False
    assert second.value == pytest.approx(0.5)
    bag = ranking.models[2]
    assert bag.worst
    assert "50.0%" in bag.card
    assert ranking.models[0].worst == ()


def test_the_gate_refuses_what_it_cannot_judge(tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text("concepts: {color: [red, blue, white]}\n")
    with pytest.raises(InputError, match="can exchange a value"):
        gate_vocabulary(["planted:bag"], file)
    with pytest.raises(InputError, match="given twice"):
        gate_vocabulary(["planted:bag", "planted:bag"], file)
    with pytest.raises(InputError, match="at least one model"):
        gate_vocabulary([], file)


def test_table_of_strange_concepts_has_no_known_training_objects() -> None:
    from bindscope.analyses.context import trained_objects

    space = load_dataset("text:2x2").table.space
    table = SceneTable.build(space, [[[0, 0], [1, 1]]])
    record = {"concepts": ["other"], "objects": [["red", "circle"]]}
    assert (
        trained_objects(Embeddings(np.ones((1, 2), np.float32), table, fidelity={"training_objects": record})) is None
    )
