"""Recipe files: one's own concepts and wording, one to four concepts; every mistake in one line with the file's name."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from bindscope.datasets import Dataset, load_dataset
from bindscope.errors import InputError, StoreError

Load = Callable[..., Dataset]
CONCEPTS = """
concepts:
  size: [small, large]
  color: [red, blue]
  shape: [cube, ball]
"""
CLOTHES = """
concepts:
  color: [red, blue, green]
  garment: [shirt, jeans]
"""


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def call(text: str | bytes, options: str = "") -> Dataset:
        file = tmp_path / "recipe.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_dataset(f"text:{file}{options}")

    return call


def test_three_concepts_with_all_defaults(load: Load) -> None:
    data = load(CONCEPTS)
    assert len(data) == 8 * 7
    assert data.items.texts[0] == "a small red cube and a small red ball"
    assert data.object_queries.texts[-1] == "a large blue ball"
    assert [items.texts for items in data.value_queries] == [("small", "large"), ("red", "blue"), ("cube", "ball")]


@pytest.mark.parametrize("sizes", [(4,), (2, 3), (2, 2, 2), (2, 1, 2, 2)])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_one_to_four_concepts_give_all_scenes(load: Load, sizes: tuple[int, ...], m: int) -> None:
    concepts = {f"k{k}": [f"w{k}{i}" for i in range(size)] for k, size in enumerate(sizes)}
    lines = "".join(f"  {name}: [{', '.join(words)}]\n" for name, words in concepts.items())
    data = load(f"concepts:\n{lines}m: {m}\n")
    objects = [" ".join(words) for words in product(*concepts.values())]
    joined = {1: "a {}", 2: "a {} and a {}", 3: "a {}, a {} and a {}"}[m]
    assert list(data.items.texts) == [joined.format(*scene) for scene in permutations(objects, m)]
    assert data.table.n_slots == m
    assert data.table.space.sizes == sizes


def test_own_wording(load: Load) -> None:
    data = load(
        CLOTHES
        + """
object: "{garment} in {color}"
scene: "she wears {object}; he wears {object}."
query: "someone wears {object}"
value_query: {color: "something {value}"}
"""
    )
    assert data.items.texts[0] == "she wears shirt in red; he wears jeans in red."
    assert data.object_queries.texts[0] == "someone wears shirt in red"
    assert data.value_queries[0].texts == ("something red", "something blue", "something green")
    assert data.value_queries[1].texts == ("shirt", "jeans")


def test_templates_are_replicates_and_m_follows_the_wording(load: Load) -> None:
    text = CLOTHES + 'templates: ["{object} / {object} / {object}", "{object} + {object} + {object}"]\n'
    data = load(text)
    assert data.table.n_slots == 3
    assert np.bincount(data.table.replicate).tolist() == [120, 120]
    assert data.items.texts[0].count("/") == 2
    assert data.items.texts[120].count("+") == 2
    assert len(load(text, "?replicates=1")) == 120


def test_objects_and_exclude_give_incomplete_designs(load: Load) -> None:
    only = load(
        CLOTHES + "objects: [{color: red, garment: shirt}, {color: blue, garment: jeans}, {color: red, garment: jeans}]"
    )
    assert only.object_queries.texts == ("a red shirt", "a red jeans", "a blue jeans")
    assert len(only) == 6
    without = load(CLOTHES + "exclude: [{color: green}, {color: red, garment: jeans}]")
    assert without.object_queries.texts == ("a red shirt", "a blue shirt", "a blue jeans")
    assert without.value_queries[0].texts == ("red", "blue")  # green cannot be shown
    assert len(without) == 6


def test_singles_same_scenes_seed_and_article(load: Load) -> None:
    assert len(load(CLOTHES + "same: true\nsingles: true")) == 42
    assert load(CLOTHES + "singles: true\nsingle: 'just {object}'").items.texts[-1] == "just green jeans"
    assert load(CLOTHES + "singles: true").items.texts[-1] == "a green jeans"
    assert len(load(CLOTHES + "scenes: 7\nseed: 3")) == 7
    assert load("concepts:\n  a: [old, new]\narticle: true").items.texts[0] == "an old and a new"


def test_options_go_before_the_file(load: Load) -> None:
    assert len(load(CLOTHES + "m: 3\nsame: true", "?m=2&same=false")) == 30
    assert load(CLOTHES, "?seed=9").options["seed"] == 9


def test_words_beyond_ascii(load: Load) -> None:
    data = load("concepts:\n  Farbe: [grün, 'ро́зовый']\n  形: [球, '😀']\nscene: '{object} und {object}'")
    assert data.items.texts[0] == "grün 球 und grün 😀"
    assert data.table.space.names == ("Farbe", "形")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a mapping with the key concepts, got NoneType"),
        ("- a", "expected a mapping with the key concepts, got list"),
        ("scene: 'a {object}'", "the key concepts is missing"),
        ("concepts: {}", "concepts"),
        ("concepts: {color: []}", r"concepts\.color"),
        ("concepts: {color: red}", r"concepts\.color: input should be a valid list"),
        ("concepts: [red, blue]", "concepts: input should be a valid dictionary"),
        ("concepts: {color: [yes, no]}", r"color\.0: YAML reads this as no word; put it in quotes, got True"),
        ("concepts: {color: [1, 2]}", "expected a word; put it in quotes, got 1"),
        ("concepts: {color: [red, null]}", r"color\.1: YAML reads this as no word"),
        ("concepts: {1: [red, blue]}", "expected a word; put it in quotes"),
        ("concepts: {color: [red, red]}", "'red' stands twice"),
        ("concepts: {color: [red]}\nconcepts: {color: [blue]}", "line 2: key 'concepts' stands twice|stands twice"),
        ("concepts: {color: ['', blue]}", "non-empty"),
        ("concepts:\n\tcolor: [a]", "not YAML in line 2"),
        ("concepts: {color: [red", "not YAML"),
        (b"concepts: {color: [gr\xfcn, blau]}", "not YAML in UTF-8"),
        (CLOTHES + "queri: a", "unknown key 'queri'; did you mean query"),
        (CLOTHES + "object: '{colour} {garment}'", "did you mean color"),
        (CLOTHES + "object: '{color}'", r"must hold \{garment\} once, got 0"),
        (CLOTHES + "object: '{color} {color} {garment}'", r"must hold \{color\} once, got 2"),
        (CLOTHES + "scene: 'a {object} and a {objct}'", "did you mean object"),
        (CLOTHES + "scene: 'a {object} and {object'", "brace without its partner"),
        (CLOTHES + "scene: 'nothing'", r"must hold \{object\} 1 times, got 0"),
        (CLOTHES + "m: 3\nscene: '{object} {object}'", r"must hold \{object\} 3 times, got 2"),
        (CLOTHES + "scene: '{object} {object} {object} {object}'", "names 4 objects; scenes have 1 to 3"),
        (CLOTHES + "templates: ['{object}', '{object} {object}']", r"must hold \{object\} 1 times, got 2"),
        (CLOTHES + "templates: ['{object}']\nscene: '{object}'", "both given"),
        (CLOTHES + "templates: ['{object} {object}']\nreplicates: 2", "asks for more wordings than the 1 given"),
        (CLOTHES + "query: 'a {object} and {object}'", r"query .* must hold \{object\} 1 times, got 2"),
        (CLOTHES + "value_query: 'nothing'", r"must hold \{value\} once"),
        (CLOTHES + "value_query: {colr: '{value}'}", "did you mean color"),
        (CLOTHES + "m: 5", "m: .*less than or equal to 3, got 5"),
        (CLOTHES + "m: true", "m: "),
        (CLOTHES + "same: 'yes'", "same: .*boolean"),
        (CLOTHES + "seed: -1", "seed: "),
        (CLOTHES + "scenes: 31", "more than the 30 scenes there are"),
        (CLOTHES + "m: 1\nsingles: true", "have one object already"),
        (CLOTHES + "objects: [{color: red}]", "has no garment"),
        (CLOTHES + "objects: [{color: rde, garment: shirt}]", "did you mean red"),
        (CLOTHES + "objects: []", "objects"),
        (CLOTHES + "exclude: [{}]", "an entry of exclude is empty"),
        (CLOTHES + "exclude: [{size: small}]", "unknown concept in exclude 'size'"),
        (CLOTHES + "exclude: [{color: red}, {color: blue}, {color: green}]", "leave no object"),
        ("concepts: {color: [red], shape: [cube]}", "1 objects give no scene of 2"),
    ],
)  # fmt: skip
def test_mistakes_are_named_in_one_line(load: Load, text: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load(text)
    assert "recipe.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot read .*nothing\.yaml: No such file"):
        load_dataset(f"text:{tmp_path}/nothing.yaml")
    (tmp_path / "d.yaml").mkdir()
    with pytest.raises(StoreError, match=r"cannot read .*d\.yaml: Is a directory"):
        load_dataset(f"text:{tmp_path}/d.yaml")


def test_exclude_of_a_huge_space_is_refused(load: Load) -> None:
    words = ", ".join(f"w{i}" for i in range(130))
    text = f"concepts:\n  a: [{words}]\n  b: [{words}]\n  c: [{words}]\nscenes: 5\nexclude: [{{a: w0}}]"
    with pytest.raises(InputError, match=r"exclude needs at most 100,000 objects"):
        load(text)


def test_a_recipe_whose_name_holds_a_question_mark_or_that_is_a_pipe(tmp_path: Path) -> None:
    content = "concepts: {color: [red, blue], shape: [cube, ball]}\n"
    (tmp_path / "what?.yaml").write_text(content)
    assert len(load_dataset(f"text:{tmp_path}/what?.yaml")) == 12
    assert len(load_dataset(f"text:{tmp_path}/what?.yaml?same=true")) == 16
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(StoreError, match="it is a pipe, socket or device"):
        load_dataset(f"text:{tmp_path}/pipe.yaml")
