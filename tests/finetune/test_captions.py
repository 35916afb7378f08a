"""Words, wordings and training captions: what is the same, what is not, and what training never shows."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bindscope.errors import InputError, StoreError, UnknownNameError
from bindscope.finetune.captions import Place, Recipe, Sampler, draw_pairs
from bindscope.finetune.frames import APART, HELD_OUT, HELD_OUT_SETS, RELATIONS, SETS
from bindscope.finetune.keep import FRAMES, LISTS, harm_texts, keep_texts, read_texts
from bindscope.finetune.phrases import Thing, fill
from bindscope.finetune.vocabulary import Parts, divide, load_words
from bindscope.finetune.words import adjectives, nouns, plural

RED, OLD, TWO = Thing("cube", "red"), Thing("hat", "old"), Thing("fish", "two")

SINGULAR = {plural(noun): noun for noun in nouns()}


@pytest.fixture(scope="module")
def parts() -> Parts:
    return divide(load_words(None), seed=3)


def bag(text: str) -> Counter[str]:
    """Words of a text without articles and verbs of being, which agree with their nouns, nouns in the singular."""
    words = [SINGULAR.get(word, word) for word in re.findall(r"[\w-]+", text.lower())]
    return Counter(word for word in words if word not in ("a", "an", "is", "are", "stand", "stands"))


def test_words_are_many_and_differ() -> None:
    assert len(set(adjectives())) == len(adjectives()) >= 75
    assert len(set(nouns())) == len(nouns()) >= 116
    assert not set(adjectives()) & set(nouns())
    assert all(re.fullmatch(r"[a-z-]+", word) for word in (*adjectives(), *nouns()))


@pytest.mark.parametrize(
    ("one", "many"), [("box", "boxes"), ("knife", "knives"), ("bus", "buses"), ("key", "keys"), ("fly", "flies")]
)
def test_plurals(one: str, many: str) -> None:
    assert plural(one) == many


@pytest.mark.parametrize("frame", [*SETS, *APART, *(frame for one in RELATIONS for frame in one.frames)])
def test_every_frame_names_both_things_and_nothing_is_left_unfilled(frame: str) -> None:
    for two in ((RED, OLD), (TWO, RED)):
        text = fill(frame, two)
        assert "{" not in text
        assert all(word in text for thing in two for word in (thing.noun, thing.word)), text


def test_frames_do_not_repeat_and_relations_have_paraphrases() -> None:
    every = [*SETS, *APART, *(frame for one in RELATIONS for frame in one.frames)]
    assert len(set(every)) == len(every)
    assert all(len(one.frames) >= 3 for one in RELATIONS)
    assert set(HELD_OUT) < {one.name for one in RELATIONS}
    assert set(HELD_OUT_SETS) < set(SETS)


def test_verbs_agree_with_counts() -> None:
    assert fill("{the A} {A is} {A word}, {B} {B watches}", [TWO, OLD]) == "the two fish are two, an old hat watches"
    assert fill("{A bare} and {B bare}", [Thing("box", "two"), OLD]) == "boxes and a hat"


def test_a_place_may_move_and_says_the_same() -> None:
    rng = np.random.default_rng(0)
    place = Place("in the park")
    assert place.put("a cube") == "a cube in the park"
    assert {bag(place.moved(rng).put("a cube"))[w] for _ in range(20) for w in ("in", "park", "cube")} == {1}
    assert Place("", sentence=True).put("a cube") == "A cube."


def test_the_same_step_gives_the_same_captions_whatever_was_drawn_before(parts: Parts) -> None:
    first, second = Sampler(parts, Recipe(), 8, 1), Sampler(parts, Recipe(), 8, 1)
    first.batch(0)
    assert first.batch(5) == second.batch(5)
    assert first.batch(5) != Sampler(parts, Recipe(), 8, 2).batch(5)


def test_training_shows_no_held_out_word_object_relation_or_wording(parts: Parts) -> None:
    sampler = Sampler(parts, Recipe(), 32, 0)
    allowed, held = set(parts.ids(parts.train).tolist()), set(parts.words_held_out())
    texts: list[str] = list(sampler.captions(200))
    for step in range(30):
        batch = sampler.batch(step)
        for example in batch.examples:
            assert set(example.shown) | set(example.swapped) <= allowed
            texts += [example.anchor, example.positive, *example.negatives]
        texts += batch.queries.values()
    places = {word for text in sampler_places() for word in re.findall(r"\w+", text)}
    shown = {word for text in texts for word in re.findall(r"[\w-]+", text.lower())}
    frames = {
        word
        for frame in (*SETS, *APART, *(f for r in RELATIONS for f in r.frames))
        for word in re.findall(r"\w+", frame)
    }
    assert not (held & shown) - places - frames
    assert not any("not only" in text.lower() or "pulls" in text or "shining on" in text for text in texts)


def sampler_places() -> tuple[str, ...]:
    from bindscope.finetune.words import PLACES

    return tuple(PLACES)


def test_negatives_in_the_own_wording_are_the_same_words(parts: Parts) -> None:
    sampler = Sampler(parts, Recipe(relations=0.0, own_wording=1.0, apart=0.5), 64, 0)
    for example in sampler.batch(0).examples:
        assert [bag(text) for text in example.negatives] == [bag(example.anchor)], example
        assert example.anchor not in example.negatives


def test_exchanging_a_set_is_a_paraphrase_and_exchanging_roles_is_a_negative(parts: Parts) -> None:
    roles = Sampler(parts, Recipe(relations=1.0, bare=1.0, own_wording=1.0, replaced=0.0, places=0.0), 64, 0)
    for example in roles.batch(0).examples:
        assert len(example.negatives) == 1
        assert bag(example.negatives[0]) == bag(example.anchor)
        assert example.positive != example.negatives[0] != example.anchor
        assert not example.shown  # bare nouns are no objects
    replaced = Sampler(parts, Recipe(relations=1.0, bare=1.0, replaced=1.0), 32, 0).batch(0).examples
    assert all(len(example.negatives) == 2 for example in replaced)


def test_pairs_of_a_side_stay_in_it() -> None:
    parts = divide(load_words("text:8x8"), 0.6, 0.0, seed=1)
    ids = parts.ids(parts.test)
    pairs, swapped = draw_pairs(parts.words.space, ids, 40, np.random.default_rng(0))
    closed = swapped[:, 0] >= 0
    assert np.isin(pairs, ids).all()
    assert np.isin(swapped[closed], ids).all()
    values = parts.words.space.object_values(np.stack([pairs, swapped])[:, closed])
    assert (np.sort(values[0], axis=1) == np.sort(values[1], axis=1)).all()  # the same bag of values
    assert (pairs[closed] != swapped[closed]).all()


def test_objects_fall_into_three_parts_and_held_out_values_into_none(parts: Parts) -> None:
    every = parts.train.astype(int) + parts.validation + parts.test
    assert (every == 1).all()
    for k, held in enumerate(parts.held_out):
        assert not np.isin(parts.table.values[:, 0, k], held).any()
        assert np.isin(parts.words.space.object_values(parts.unseen)[:, k], held).all()
    assert parts.coverage == pytest.approx(0.5, abs=0.01)
    assert parts.identified


def test_small_words_keep_all_their_values() -> None:
    parts = divide(load_words("text:4x4"), 0.5, 0.15)
    assert parts.held_out == ((), ())
    assert len(parts.unseen) == 0


def test_own_words_and_wordings_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "concepts:\n  size: [small, large, tiny]\n  shape: [cube, ball, cone]\nobject: '{shape} of {size} size'\n"
        "captions: ['look: a {object} and then a {object}']\n",
        encoding="utf-8",
    )
    words = load_words(f"text:{tmp_path / 'own.yaml'}")
    assert not words.plain
    assert words.named(0).said() == "a cube of small size"
    assert words.frames == ("look: {A} and then {B}",)
    sampler = Sampler(divide(words, 0.6, 0.0), Recipe(relations=0.0, places=0.0, wordings=2), 16, 0)
    assert any(example.anchor.lower().startswith("look: a ") for example in sampler.batch(0).examples)


def test_words_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs text data such as text:20x20"):
        load_words("symbolic:4x4")
    for wrong in ("built-in:0x3", "built-in:7", "built-in:9999x3", "built-in:axb"):
        with pytest.raises(InputError, match="asked for as built-in or built-in:AxB"):
            load_words(wrong)
    assert load_words("built-in:12x20").space.sizes == (12, 20)
    with pytest.raises(UnknownNameError, match="unknown data set"):
        load_words("txet:4x4")
    (tmp_path / "one.yaml").write_text("concepts:\n  shape: [cube, ball]\n", encoding="utf-8")
    with pytest.raises(InputError, match="has one concept"):
        load_words(f"text:{tmp_path / 'one.yaml'}")
    with pytest.raises(InputError, match="share of held-out values"):
        divide(load_words("text:4x4"), 0.5, 1.0)
    with pytest.raises(InputError, match="2 objects are left"):
        divide(load_words("text:1x2"), 0.5, 0.0)


def test_kept_texts_are_diverse_and_harm_is_measured_on_others() -> None:
    kept, chosen, judged = set(keep_texts(1500)), set(harm_texts(100, choosing=True)), set(harm_texts(100))
    assert len(kept) == 1500
    assert not kept & chosen
    assert not kept & judged
    assert not chosen & judged
    assert len(set(FRAMES)) == len(FRAMES) >= 60
    assert all(name in LISTS for frame in FRAMES for name in re.findall(r"\{(\w+)\}", frame))
    assert keep_texts(20, 1) == keep_texts(20, 1) != keep_texts(20, 2)


def test_own_texts_to_keep(tmp_path: Path) -> None:
    file = tmp_path / "keep.txt"
    file.write_text("one\n\n two \none\n", encoding="utf-8")
    assert read_texts(file) == ("one", "two")
    file.write_text("one\none\n", encoding="utf-8")
    with pytest.raises(InputError, match="at least two different lines"):
        read_texts(file)
    with pytest.raises(StoreError, match="cannot read"):
        read_texts(tmp_path / "none.txt")
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StoreError, match="cannot read"):
        read_texts(file)
