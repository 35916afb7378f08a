"""Built-in captions, written out; what each option changes and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

from bindscope.datasets import dataset_names, load_dataset
from bindscope.datasets.captions import LEADS, Template, default_templates, phrases_of, starts_with_vowel
from bindscope.datasets.recipe import ADJECTIVES, NOUNS
from bindscope.errors import InputError, UnknownNameError


def test_the_papers_word_lists() -> None:
    assert (len(ADJECTIVES), len(set(ADJECTIVES)), len(NOUNS), len(set(NOUNS))) == (20, 20, 20, 20)
    assert ADJECTIVES[:10] == (
        "red", "blue", "green", "yellow", "purple", "orange", "pink", "brown", "gray", "black",
    )  # fmt: skip
    assert ADJECTIVES[10:] == (
        "small",
        "large",
        "tiny",
        "round",
        "sharp",
        "rough",
        "bumpy",
        "smooth",
        "matte",
        "glossy",
    )
    assert NOUNS == (
        "circle", "square", "triangle", "star", "heart", "spiral", "sphere", "cylinder", "cone", "pyramid",
        "car", "cat", "dog", "man", "woman", "tree", "flower", "rock", "bird", "fish",
    )  # fmt: skip


def test_default_captions_are_literal_and_in_order() -> None:
    data = load_dataset("text:2x2")
    assert data.items.texts is not None
    assert len(data) == 4 * 3
    assert data.items.texts[:2] == ("a red circle and a red square", "a red circle and a blue circle")
    assert data.object_queries.texts == ("a red circle", "a red square", "a blue circle", "a blue square")
    assert [items.texts for items in data.value_queries] == [("red", "blue"), ("circle", "square")]
    assert data.table.space.names == ("adjective", "noun")


@pytest.mark.parametrize(
    "name", ["text:3x4", "text:3x4?same=true&singles=true", "text:2x3?m=3&replicates=2", "text:4x1?m=1"]
)
def test_every_caption_names_the_values_of_its_row(name: str) -> None:
    data = load_dataset(name)
    assert data.items.texts is not None
    for row, text in enumerate(data.items.texts):
        words = [word.strip(",") for word in text.split()]
        values = data.table.values[row][data.table.present[row]]
        expected = [data.table.space.concepts[k].values[i] for obj in values for k, i in enumerate(obj)]
        known = {*ADJECTIVES, *NOUNS}
        assert [word for word in words if word in known] == expected, text


def test_counts_by_option() -> None:
    assert len(load_dataset("text:10x10")) == 9_900
    assert len(load_dataset("text:5x4?same=true")) == 400
    assert len(load_dataset("text:5x4?same=true&singles=true")) == 420
    assert len(load_dataset("text:2x3?m=3")) == 6 * 5 * 4
    assert len(load_dataset("text:2x3?m=1")) == 6
    assert len(load_dataset("text:3x3?replicates=3&singles=true")) == 3 * (72 + 9)
    assert len(load_dataset("text:20x20?scenes=500&m=3")) == 500


@pytest.mark.slow
def test_the_papers_set_has_all_pairs_and_all_single_captions() -> None:
    data = load_dataset("text:20x20?same=true&singles=true")
    assert len(data) == 160_400
    assert np.bincount(data.table.counts).tolist() == [0, 400, 160_000]


def test_m_is_worded_and_replicates_reword() -> None:
    texts = load_dataset("text:1x3?m=3").items.texts
    assert texts is not None
    assert texts[0] == "a red circle, a red square and a red triangle"
    data = load_dataset("text:2x2?replicates=2")
    assert data.items.texts is not None
    assert data.items.texts[12] == "a photo of " + data.items.texts[0]
    assert data.table.scene_ids[0] == data.table.scene_ids[12]
    assert data.table.replicate[[0, 12]].tolist() == [0, 1]
    assert len({len(load_dataset(f"text:2x2?replicates={r}")) for r in range(1, len(LEADS) + 1)}) == len(LEADS)


def test_singles_come_last_with_one_slot_filled() -> None:
    table = load_dataset("text:2x3?singles=true").table
    assert table.counts[-6:].tolist() == [1] * 6
    assert not table.present[-6:, 1].any()
    assert np.array_equal(np.sort(table.object_ids[-6:, 0]), np.arange(6))


def test_articles_by_option() -> None:
    plain, right = load_dataset("text:6x1"), load_dataset("text:6x1?article=true")
    assert plain.items.texts is not None
    assert right.items.texts is not None
    assert all(" an " not in f" {text}" for text in plain.items.texts)
    for text in right.items.texts:
        for article, word in zip(text.split(), text.split()[1:], strict=False):
            if article in ("a", "an"):
                assert article == ("an" if starts_with_vowel(word) else "a")
    assert "an orange circle" in (right.object_queries.texts or ())


def test_captions_without_articles_by_option() -> None:
    found = load_dataset("text:2x2?bare=true&singles=true&replicates=2")
    texts = found.items.texts
    assert texts is not None
    assert texts[0] == "red circle and red square"
    assert not any(f" {word} " in f" {text} " for text in texts for word in ("a", "an") if "photo" not in text)
    assert found.object_queries.texts is not None
    assert found.object_queries.texts[0] == "red circle"
    plain = load_dataset("text:2x2?bare=false").items.texts
    assert plain == load_dataset("text:2x2").items.texts
    with pytest.raises(InputError, match="bare=true leaves articles out"):
        load_dataset("text:2x2?bare=true&article=true")


def test_a_sample_keeps_all_candidates_and_is_seeded() -> None:
    data = load_dataset("text:4x4?scenes=10")
    assert data.table.n_objects == 16
    assert len(data.object_queries) == 16
    assert data.digest == load_dataset("text:4x4?scenes=10").digest
    assert data.digest != load_dataset("text:4x4?scenes=10&seed=1").digest


def test_digests_tell_content_not_names() -> None:
    assert load_dataset("text:2x3").digest == load_dataset("text:2x3?same=false&seed=5").digest
    changed = ["text:3x2", "text:2x3?same=true", "text:2x3?singles=true", "text:2x3?replicates=2", "text:2x3?m=3"]
    assert len({load_dataset(name).digest for name in ["text:2x3", *changed]}) == 6


def test_take_keeps_rows_texts_and_scenes_together() -> None:
    data = load_dataset("text:3x3")
    some = data.take([5, 1, 70])
    assert some.items.rows.tolist() == [5, 1, 70]
    assert some.items.texts == tuple(data.items.texts[i] for i in (5, 1, 70))
    assert np.array_equal(some.items.values, some.table.values)
    assert some.total == 72
    assert some.digest != data.digest
    mask = np.zeros(72, dtype=bool)
    mask[[1, 5]] = True
    assert data.take(mask).items.rows.tolist() == [1, 5]
    assert data.items.take(slice(3, 5)).texts == data.items.texts[3:5]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("text:21x3", r"number of adjectives must be in 1\.\.20, got 21"),
        ("text:3x0", r"number of nouns must be in 1\.\.20, got 0"),
        ("text:3", "expects AxB"),
        ("text:axb", "expects AxB"),
        ("text:-3x3", "expects AxB"),
        ("text:3x3x3", "expects AxB"),
        ("text:³x3", "expects AxB"),
        ("text:3x3?m=1&singles=true", "m=1 has them already"),
        ("text:3x3?replicates=7", r"replicates must be a whole number in 1\.\.6"),
        ("text:1x1", "1 objects give no scene of 2 different objects"),
        ("text:20x20?m=3", "63,520,800 scenes"),
        ("a.csv", "write labels:a.csv"),
        ("dir/b.YAML", "write text:dir/b.YAML"),
    ],
)
def test_refusals(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_dataset(name)


def test_too_many_captions_by_replicates() -> None:
    with pytest.raises(InputError, match=r"captions are more than the limit"):
        load_dataset("text:20x20?m=3&scenes=1999999&replicates=2")


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean text"):
        load_dataset("txt:3x3")
    with pytest.raises(UnknownNameError, match=r"unknown data set"):
        load_dataset("3x3")
    assert set(dataset_names()) >= {"text:AxB", "text:FILE.yaml", "labels:FILE"}


def test_templates() -> None:
    assert Template("{object}!").fill([["red cube"], ["blue ball"]]) == ("red cube!", "blue ball!")
    four = Template("{object} {object} {object} {object}")
    assert four.slots == 4
    assert four.fill([["a", "b", "c", "d"], ["d", "c", "b", "a"]]) == ("a b c d", "d c b a")
    assert Template("an {object}, A {object}", article=True).fill([["ape", "ape"], ["bee", "bee"]]) == (
        "an ape, An ape", "a bee, A bee",
    )  # fmt: skip
    assert Template("a {object}", article=False).fill([["ape"]]) == ("a ape",)
    assert phrases_of("{b}-{a}", ["a", "b"], [["x", "y"], ["u", "v"]], np.array([[1, 0], [0, 1]])) == ["u-y", "v-x"]
    with pytest.raises(InputError, match=r"replicates must be in 1\.\.6"):
        default_templates(2, 7)
