"""Objects in words, and frames filled with two of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bindscope.datasets.captions import starts_with_vowel
from bindscope.finetune.words import COUNTS, plural

_TOKEN = re.compile(r"\{(the )?([A-D])(?: (\w+))?\}")


@dataclass(frozen=True)
class Thing:
    """One object in words. word: what is said of the noun (empty: a bare noun); count words take the plural.

    >>> Thing("cube", "red").said(), Thing("ox", "old").said(), Thing("box", "two").said("the "), Thing("box").said()
    ('a red cube', 'an old ox', 'the two boxes', 'a box')
    """

    noun: str
    word: str = ""

    @property
    def many(self) -> bool:
        """Whether it takes the plural."""
        return self.word in COUNTS

    @property
    def noun_form(self) -> str:
        """The noun, in the plural behind a count."""
        return plural(self.noun) if self.many else self.noun

    def said(self, article: str = "") -> str:
        """The phrase with an article: the one given, else a or an, else none before a count."""
        phrase = f"{self.word} {self.noun_form}".strip()
        if article or self.many:
            return article + phrase
        return ("an " if starts_with_vowel(phrase) else "a ") + phrase

    def verb(self, form: str) -> str:
        """A verb in the third person, in the plural behind a count.

        >>> [Thing("box", "two").verb(word) for word in ("is", "has", "carries", "watches", "holds")]
        ['are', 'have', 'carry', 'watch', 'hold']
        """
        if not self.many:
            return form
        if form in ("is", "has"):
            return {"is": "are", "has": "have"}[form]
        if form.endswith("ies"):
            return form[:-3] + "y"
        return form[:-2] if form.endswith(("ches", "shes", "oes")) else form[:-1]


def fill(frame: str, things: Sequence[Thing]) -> str:
    """A frame with its things: {A} with an article, {the A}, {A noun}, {A bare}, {A word}, and verbs such as {A is}.

    >>> fill("{the A} {A covers} {B}", [Thing("cloth", "red"), Thing("egg")])
    'the red cloth covers an egg'
    """
    return _TOKEN.sub(_filler(things), frame)


def _filler(things: Sequence[Thing]) -> Callable[[re.Match[str]], str]:
    def put(match: re.Match[str]) -> str:
        thing, part = things["ABCD".index(match[2])], match[3]
        if part is None:
            return thing.said(match[1] or "")
        if part == "noun":
            return thing.noun_form
        if part == "bare":
            return thing.noun_form if thing.many else Thing(thing.noun).said()
        return thing.word if part == "word" else thing.verb(part)

    return put
