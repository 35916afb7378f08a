"""What was changed between two captions: by hand, by a second rule, and on captions whose edit is known."""

from __future__ import annotations

import random
from collections import Counter
from difflib import SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindscope.analyses.pairs.edits import WAYS, align, places, same_bag, words

CASES = [
    ("a red cube and a blue ball", "a blue cube and a red ball", "swapped attribute"),
    ("two small dogs chase one big cat", "one small dogs chase two big cat", "swapped attribute"),
    ("the girl pushes the boy", "the boy pushes the girl", "swapped object"),
    ("a mug on a desk under a lamp", "a mug under a desk on a lamp", "swapped relation"),
    ("a mug on a desk", "a mug under a desk", "replaced relation"),
    ("a green door", "a yellow door", "replaced attribute"),
    ("a green door", "a green window", "replaced object"),
    ("a man standing on a hill", "a man sitting on a hill", "replaced relation"),
    ("a cat", "a cat and a parrot", "added object"),
    ("a large cat and a parrot", "a large cat", "removed object"),
    ("a cat on a mat", "A cat on a mat!", "same"),
    ("a white cat chases an orange bird", "an orange cat chases a white bird", "swapped attribute"),
    ("an old man with a young dog", "a young man with an old cat", "swapped and changed attribute"),
    ("the dog", "a dog", "replaced function"),
    ("the dog sees the cat", "the cat the dog sees", "swapped object"),
]


@pytest.mark.parametrize(("caption", "negative", "kind"), CASES)
def test_edits_by_hand(caption: str, negative: str, kind: str) -> None:
    assert align(caption, negative).kind == kind


def test_changed_words_stand_where_they_are_said_to() -> None:
    edit = align("A red cube, and a blue ball.", "a blue cube and a red ball")
    assert [words("A red cube, and a blue ball.")[i] for i in edit.removed] == ["red", "blue"]
    assert edit.moved == ("blue", "red")
    text = "A red cube, and a blue ball."
    assert [text[slice(*places(text)[i])] for i in edit.removed] == ["red", "blue"]


captions = st.lists(st.sampled_from("a the red blue big cube ball on under and dog runs".split()), max_size=9)


@given(captions, captions)
def test_alignment_keeps_a_longest_common_subsequence(one: list[str], two: list[str]) -> None:
    edit = align(" ".join(one), " ".join(two))
    kept_one = [word for i, word in enumerate(one) if i not in edit.removed]
    kept_two = [word for i, word in enumerate(two) if i not in edit.added]
    assert kept_one == kept_two
    matched = sum(block.size for block in SequenceMatcher(None, one, two, autojunk=False).get_matching_blocks())
    assert len(kept_one) >= matched  # difflib finds a common subsequence that need not be the longest
    assert edit.way in WAYS
    assert same_bag(" ".join(one), " ".join(two)) == (edit.way in ("same", "swapped"))


@given(captions, st.randoms())
def test_reordered_words_are_the_same_bag(said: list[str], shuffle: random.Random) -> None:
    other = list(said)
    shuffle.shuffle(other)
    assert same_bag(" ".join(said), ", ".join(other).upper())
    assert not same_bag(" ".join(said), " ".join([*said, "red"]))


@given(st.text())
def test_words_have_places_or_none(text: str) -> None:
    spans = places(text)
    assert len(spans) in (0, len(words(text)))
    assert Counter(words(text)) == Counter(words(text.lower())) or not text.isascii()
