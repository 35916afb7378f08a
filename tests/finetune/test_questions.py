"""What is asked: a bag of words answers at its level, and an encoder that binds answers everything."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Sequence

import numpy as np
import pytest

from bindscope.errors import InputError
from bindscope.finetune.phrases import Thing
from bindscope.finetune.questions import Choice, Naming, Watch, all_questions, similarity_kept
from bindscope.finetune.vocabulary import Parts, divide, load_words
from bindscope.finetune.words import adjectives, nouns

ADJECTIVES = set(adjectives())
NOUNS = {form: word for word in nouns() for form in (word, Thing(word, "two").noun_form)}


def axis(word: str) -> np.ndarray:
    return np.random.default_rng(list(hashlib.sha256(word.encode()).digest())).normal(size=256)


def bag_encoder(texts: Sequence[str], query: bool = False) -> np.ndarray:
    """A random vector a word, added up."""
    vectors = np.stack([np.sum([axis(word) for word in re.findall(r"[\w-]+", text)], axis=0) for text in texts])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def binding_encoder(texts: Sequence[str], query: bool = False) -> np.ndarray:
    """A random vector for each attribute with the noun behind it, added up; other words count for nothing."""
    found = []
    for text in texts:
        words = [word for word in re.findall(r"[\w-]+", text.lower()) if word in ADJECTIVES or word in NOUNS]
        pairs = [(a, NOUNS[b]) for a, b in itertools.pairwise(words) if a in ADJECTIVES and b in NOUNS]
        found.append(np.sum([axis(" ".join(pair)) for pair in pairs], axis=0))
    vectors = np.stack(found)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def parts() -> Parts:
    return divide(load_words(None), seed=1)


def test_every_question_is_there_and_its_objects_are_of_its_side(parts: Parts) -> None:
    questions = {question.name: question for question in all_questions(parts, 0, 60)}
    assert {
        "naming_train",
        "naming_closed",
        "swaps_unseen_words_own",
        "exchanges_untrained_bare",
        "three_objects",
    } <= set(questions)
    sides = {"train": parts.ids(parts.train), "closed": parts.ids(parts.test), "unseen_words": parts.unseen}
    for question in questions.values():
        objects = np.unique(question.objects)
        assert np.isin(objects, sides[question.extra["side"]]).all(), question.name
    own = questions["swaps_closed_own"]
    assert isinstance(own, Choice)
    assert own.chance == 0.5
    drop = {"a", "an", "is", "are", "stand", "stands"}
    for anchor, negative in zip(own.anchors, own.negatives[0], strict=True):
        both = ([NOUNS.get(word, word) for word in re.findall(r"[\w-]+", text)] for text in (anchor, negative))
        first, second = (sorted(word for word in words if word not in drop) for words in both)
        assert first == second


def test_a_bag_of_words_and_an_encoder_that_binds(parts: Parts) -> None:
    questions = [q for q in all_questions(parts, 0, 80) if q.name.startswith(("naming", "swaps"))]
    for question in questions:
        assert question.right(binding_encoder).mean() == 1.0, question.name
        if question.name.endswith("_own"):
            assert question.right(bag_encoder).mean() < 0.15  # where a plural or an article differs
        if isinstance(question, Naming):
            preference, ambiguous = question.preference(bag_encoder)
            assert preference[ambiguous].mean() == pytest.approx(0.5, abs=0.1)  # a or an is not exchanged
            assert question.right(bag_encoder).mean() <= question.ceiling
            assert 0 < question.chance < 0.01


def test_similarities_kept() -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    turned = vectors @ np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))[0].astype(np.float32)
    assert similarity_kept(vectors, turned) == pytest.approx(1.0, abs=1e-4)
    other = np.random.default_rng(2).normal(size=(40, 8)).astype(np.float32)
    assert abs(similarity_kept(vectors, other)) < 0.2


def test_watching_uses_validation_objects_and_no_test_object(parts: Parts) -> None:
    watch = Watch.of(parts, binding_encoder_or_bag, count=30)
    test = parts.ids(parts.test)
    assert not any(np.isin(question.objects, test).any() for question in watch.questions)
    figures = watch.figures(binding_encoder_or_bag)
    assert figures["binding"] == 1.0
    assert figures["similarity"] == pytest.approx(1.0)


def binding_encoder_or_bag(texts: Sequence[str], query: bool = False) -> np.ndarray:
    """The binding encoder, for captions; a bag for other sentences."""
    return binding_encoder(texts) if any(word in NOUNS for word in texts[0].split()[-2:]) else bag_encoder(texts)


@pytest.mark.parametrize("size", ["6x6", "10x10"])
def test_watching_small_words(size: str) -> None:
    parts = divide(load_words(f"text:{size}"), 0.6, 0.0, seed=0)
    watch = Watch.of(parts, bag_encoder, count=30)
    validation, test = parts.ids(parts.validation), parts.ids(parts.test)
    for question in watch.questions:
        assert np.isin(question.objects[:, :2], validation).any(axis=1).all()
        assert not np.isin(question.objects, test).any()


def test_too_few_objects_to_watch() -> None:
    with pytest.raises(InputError, match="validation objects make no two scenes"):
        Watch.of(divide(load_words("text:3x3"), 0.6, 0.0), bag_encoder)
