"""Scene graphs as scenes of factors: each format by hand, what is left out counted, a planted unbalanced table of 5,000."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bindscope.datasets import Dataset, load_dataset
from bindscope.embeddings import embed
from bindscope.encoders import load_encoder
from bindscope.errors import InputError, StoreError, TableError
from bindscope.runs.diagnose import diagnose


def thing(name: str, attributes: list[str], x: float, y: float = 50, size: float = 10) -> dict[str, Any]:
    return {"name": name, "attributes": attributes, "x": x, "y": y, "w": size, "h": size, "relations": []}


SCENES = {
    "11": [thing("car", ["red", "small"], 10), thing("Tree", ["green"], 60, size=20), thing("dog", ["black"], 90, size=5)],
    "12": [thing("automobile", ["blue"], 80), thing("tree", ["green"], 20, size=30), thing("cat", [], 50)],
    "13": [thing("car", ["red"], 70), thing("dog", ["Black"], 20), thing("car", ["red"], 40, size=2)],
    "14": [thing("tree", ["green"], 30), "not an object", {"name": "x", "attributes": ["red"]}, thing("", [], 1)],
}  # fmt: skip


def gqa(folder: Path, scenes: dict[str, list[Any]] = SCENES) -> Path:
    content = {
        key: {"width": 100, "height": 100, "objects": {str(i): one for i, one in enumerate(things)}}
        for key, things in scenes.items()
    }
    return saved(folder, content)


def genome(folder: Path, key: str = "objects") -> Path:
    content = [
        {
            "image_id": int(name),
            key: [
                {**{k: v for k, v in one.items() if k != "name"}, "names": [one["name"]]}
                if isinstance(one, dict)
                else one
                for one in things
            ],
        }
        for name, things in SCENES.items()
    ]
    return saved(folder, content)


def saved(folder: Path, content: Any, name: str = "graph.json") -> Path:
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder / name


def load(path: Path, options: str = "") -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_dataset(f"graph:{path}{options}")


def described(data: Dataset) -> list[str]:
    return [data.describe(row) for row in range(len(data))]


def synonyms(folder: Path) -> str:
    return f"synonyms={saved(folder, {'automobile': 'motor car', 'motor car': 'car'}, 'words.json')}"


def test_three_ways_to_write_the_same_graph(tmp_path: Path) -> None:
    found = []
    for path in (gqa(tmp_path), genome(tmp_path), genome(tmp_path, "attributes")):
        data = load(path, f"?{synonyms(tmp_path)}")
        found.append(described(data))
        assert data.table.space.names == ("attribute", "name")
        assert data.modality == "labels"
    assert found[0] == found[1] == found[2]
    assert found[0] == [
        "red car on the left, green tree on the right",  # the dog is the smallest
        "green tree on the left, blue car on the right",  # the cat has no attribute
        "black dog on the left, red car on the right",  # the second red car is of a kind that is there
    ]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    notes = load(gqa(tmp_path)).notes
    for note in (
        "3 of 4 pictures of gqa as scenes",
        "left out: 1 objects without a name",
        "left out: 1 objects without a box",
        "left out: 1 objects that are no records",
        "left out: 1 objects beyond the 2 largest",
        "left out: 1 objects of a kind that its picture has already",
        "left out: 1 objects without a frequent attribute",
        "left out: 1 pictures with fewer than 2 usable objects",
    ):
        assert note in notes
    assert any("averages are biased on it, least squares is not" in note for note in notes)
    assert any("objects occur once" in note for note in notes)


def test_options_choose_objects_slots_and_concepts(tmp_path: Path) -> None:
    car, dog = ("car", ["red", "small"]), ("dog", ["black", "large"])
    scenes = {
        "1": [thing(*car, 0, 90, 30), thing(*dog, 45, 40), thing("cat", ["red"], 80, size=5)],
        "2": [thing(*dog, 0, 80, 30), thing(*car, 45, 40)],
    }
    path = gqa(tmp_path, scenes)
    assert described(load(path, "?m=1")) == ["red car", "black dog"]  # the largest
    assert described(load(path, "?m=1&by=central")) == ["black dog", "red car"]
    assert described(load(path)) == [
        "red car on the left, black dog on the right",
        "black dog on the left, red car on the right",
    ]
    assert described(load(path, "?place=y"))[0] == "black dog at the top, red car at the bottom"
    both = load(path, "?attributes=color,size")
    assert both.table.space.names == ("color", "size", "name")
    assert described(both)[0] == "red small car on the left, black large dog on the right"
    assert "left out: 1 objects with a rare name" in load(path, "?names=2").notes
    worded = load(path, "?text=true")
    assert (worded.modality, worded.items.texts) == ("text", ("a red car and a black dog", "a black dog and a red car"))
    with pytest.raises(TableError, match="size has one value only"):
        load(
            path, "?values=2&m=1&names=2&attributes=size&synonyms=" + str(saved(tmp_path, {"small": "large"}, "w.json"))
        )


def clevr(folder: Path) -> Path:
    def one(shape: str, color: str, size: str, x: float, depth: float) -> dict[str, Any]:
        return {"shape": shape, "color": color, "size": size, "material": "rubber", "pixel_coords": [x, 90, depth]}

    scenes = [
        {
            "image_filename": "a.png",
            "objects": [one("cube", "red", "large", 300, 9), one("ball", "blue", "small", 60, 9)],
        },
        {
            "image_filename": "b.png",
            "objects": [one("ball", "red", "small", 30, 9), one("cube", "blue", "large", 60, 9)],
        },
        {
            "image_filename": "c.png",
            "objects": [{"shape": "cube", "color": "red"}, one("cube", "blue", "large", 60, 9)],
        },
    ]
    return saved(folder, {"info": {"version": "1.0"}, "scenes": scenes}, "scenes.json")


def test_scenes_of_clevr(tmp_path: Path) -> None:
    from PIL import Image

    data = load(clevr(tmp_path))
    assert described(data) == [
        "blue ball on the left, red cube on the right",
        "red ball on the left, blue cube on the right",
    ]
    assert data.table.space.names == ("color", "name")
    assert "left out: 1 objects without a shape or a place" in data.notes
    (tmp_path / "images").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "images" / "b.png")
    seen = load(clevr(tmp_path), f"?images={tmp_path / 'images'}")
    assert (seen.modality, len(seen)) == ("image", 1)
    assert "1 pictures without a file in ?images=, left out (a.png)" in seen.notes


@pytest.mark.parametrize(
    ("content", "options", "match"),
    [
        ([1, 2], "", "is no scene graph; known: Visual Genome"),
        ({"a": 1}, "", "is no scene graph"),
        ([], "", "is no scene graph"),
        ([{"image_id": 1}], "", "is no scene graph"),
        ({"1": {"objects": {}}}, "", "none of its 1 pictures has 2 different objects"),
        ({"1": {"objects": {}}}, "?attributes=colour", "attributes must be one of any"),
        ({"1": {"objects": {}}}, "?attributes=any,size", "any only alone"),
        ({"1": {"objects": {}}}, "?text=true&images=.", r"give one of \?images= and \?text="),
        ({"1": {"objects": {}}}, "?synonyms=none.csv", "cannot read none.csv"),
    ],
)
def test_what_is_no_graph_is_refused(tmp_path: Path, content: Any, options: str, match: str) -> None:
    with pytest.raises(InputError, match=match) as refused:
        load(saved(tmp_path, content), options)
    assert "\n" not in str(refused.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot read"):
        load(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(StoreError, match="is not JSON"):
        load(tmp_path / "bad.json")
    with pytest.raises(InputError, match="graph: needs a file"):
        load_dataset("graph:")
    path = gqa(tmp_path)
    for name, text, match in (
        ("a.csv", "a,b,c\n", "expected two columns"),
        ("b.json", "[1]", "expected an object from word to word"),
        ("c.json", "{", "is not JSON"),
        ("d.csv", "car,bus\nbus,car\n", "run in a circle"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=match):
            load(path, f"?synonyms={tmp_path / name}")
    with pytest.raises(StoreError, match="is no directory"):
        load(path, "?images=nowhere")
    with pytest.raises(StoreError, match="holds none of the 3 photographs"):
        load(path, f"?images={tmp_path}")


cells = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 99), st.sampled_from(["red", "car", "", "tree"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["name", "names", "attributes", "x", "y", "w", "h", "objects", "scenes", "shape"]),
            inner,
            max_size=6,
        ),
    ),
    max_leaves=25,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=cells)
def test_any_json_is_read_or_refused_in_one_line(tmp_path: Path, content: Any) -> None:
    try:
        data = load(saved(tmp_path, content))
    except InputError as refused:
        assert "\n" not in str(refused)  # noqa: PT017 - either outcome is right
    else:
        assert len(data)


def natural(folder: Path, pictures: int, names: int = 40, words: int = 20) -> Path:
    """Pictures of objects whose names and attributes are drawn with unequal chances, and together."""
    rng = np.random.default_rng(5)
    by_name, by_word = (1 / np.arange(1, size + 1) ** 0.9 for size in (names, words))
    liking = rng.gamma(0.6, size=(names, words)) * by_word  # each name has words of its own
    joint = (by_name[:, None] * liking / liking.sum(axis=1, keepdims=True)).ravel()
    drawn = rng.choice(names * words, size=(pictures, 4), p=joint / joint.sum())
    places = rng.integers(0, 90, size=(pictures, 4, 2))
    content = {
        str(i): {
            "width": 100,
            "height": 100,
            "objects": {
                str(j): thing(f"thing{kind // words:02d}", [f"word{kind % words:02d}"], int(x), int(y), 5 + int(x) % 7)
                for j, (kind, (x, y)) in enumerate(zip(drawn[i].tolist(), places[i].tolist(), strict=True))
            },
        }
        for i in range(pictures)
    }
    return saved(folder, content)


def test_r2_is_corrected_where_many_objects_are_rare(tmp_path: Path) -> None:
    """The fast sibling: 400 scenes, R^2 by least squares in sample, plain and corrected, beside the truth."""
    from bindscope.analyses.context import Context
    from bindscope.analyses.geometry.levels import reconstruct
    from bindscope.analyses.geometry.measure import corrected

    dataset = load(natural(tmp_path, 420, 8, 8))
    noisy, clean = (
        embed(load_encoder(f"planted:mixed?dim=256{more}"), dataset).vectors.astype(float)
        for more in ("&noise=0.7", "")
    )
    truth = 1 - ((noisy - clean) ** 2).sum() / ((noisy - noisy.mean(axis=0)) ** 2).sum()
    rebuilt = reconstruct(noisy, dataset.table, "ols", "level1")
    error, total = rebuilt.errors(noisy)
    words = {"estimator": "ols", "target": "level1", "split": "in_sample"}
    found = Context(embed(load_encoder("planted:bag"), dataset)).records(
        "geometry", corrected(rebuilt, error, total, words)
    )
    assert 1 - error.sum() / total.sum() > truth + 0.03
    assert found[0].value == pytest.approx(truth, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("world", "noise"), [("mixed", 0.5), ("object", 0.3), ("bag", 0.5)])
def test_planted_vectors_on_an_unbalanced_table_come_back(tmp_path: Path, world: str, noise: float) -> None:
    """5,000 scenes: what the objects explain is within 0.01 of the truth, which the noiseless vectors tell."""
    data = f"graph:{natural(tmp_path, 5_050)}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = load_dataset(data)
        model = f"planted:{world}?dim=32&noise={noise}"
        run = diagnose(
            model, data, tmp_path / "run", analyses=["geometry", "variance", "audit"], cache=tmp_path / "cache"
        )
        noisy, clean = (
            embed(load_encoder(name), dataset).vectors.astype(float) for name in (model, f"planted:{world}?dim=32")
        )
    table = dataset.table
    assert len(table) > 4_900
    counts = np.bincount(table.object_codes.ravel())
    assert counts.max() > 20 * np.median(counts)  # unbalanced
    assert table.n_objects < table.space.n_objects  # incomplete
    truth = 1 - ((noisy - clean) ** 2).sum() / ((noisy - noisy.mean(axis=0)) ** 2).sum()
    shares = {r.target: r for r in run.results.headline(analysis="variance", metric="share")}
    explained = sum(shares[name].value or 0.0 for name in ("concepts", "slot", "interaction"))
    assert explained == pytest.approx(truth, abs=0.01)
    residual = shares["residual"]
    assert residual.ci_low is not None
    assert residual.ci_high is not None
    assert residual.ci_low - 0.005 < 1 - truth < residual.ci_high + 0.005
    level1 = run.results.select(metric="r2", target="level1", estimator="ols", split="in_sample").records
    in_sample = [r for r in level1 if not r.extra]
    corrected = [r for r in level1 if r.extra.get("corrected") == "degrees of freedom"]
    assert (corrected or in_sample)[0].value == pytest.approx(truth, abs=0.01)  # corrected where it is 0.01 too high
