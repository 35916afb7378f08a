"""Words for scenes: templates with an {object} for each slot, filled for many rows at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bindscope.concepts import IntArray
from bindscope.errors import InputError

# The first wording is the default one, literally; `replicates=R` takes the first R.
LEADS = ("", "a photo of ", "there is ", "an image of ", "I can see ", "this picture shows ")
JOINED = {1: "a {object}", 2: "a {object} and a {object}", 3: "a {object}, a {object} and a {object}"}
# Paraphrases: neither their leads nor what joins the objects occurs in the wordings above.
OTHER = (("it shows ", " next to "), ("we look at ", " together with "))
_ARTICLE = re.compile(r"\b([Aa])n?(?=\s+\{object\})")


@dataclass(frozen=True)
class Template:
    """A caption with `{object}` once for each slot.

    >>> Template("a {object} and a {object}").fill([["red cube", "blue ball"]])
    ('a red cube and a blue ball',)
    >>> Template("a {object}", article=True).fill([["orange cube"]])
    ('an orange cube',)
    """

    text: str
    article: bool = False

    @property
    def slots(self) -> int:
        """Number of objects that the template names."""
        return self.text.count("{object}")

    @property
    def literals(self) -> tuple[str, ...]:
        """Text around the objects, one piece more than slots."""
        text = _ARTICLE.sub(r"\1", self.text) if self.article else self.text
        return tuple(text.split("{object}"))

    def fill(self, scenes: Sequence[Sequence[str]]) -> tuple[str, ...]:
        """One caption for each row of object phrases."""
        phrases = sorted({phrase for scene in scenes for phrase in scene})
        position = {phrase: i for i, phrase in enumerate(phrases)}
        return self.fill_codes([[position[phrase] for phrase in scene] for scene in scenes], phrases)

    def fill_codes(self, codes: IntArray | Sequence[Sequence[int]], phrases: Sequence[str]) -> tuple[str, ...]:
        """One caption for each row of object positions `[n, slots]` into `phrases`."""
        slots = [self._slot_texts(slot, phrases) for slot in range(self.slots)]
        rows = codes if isinstance(codes, Sequence) else codes.tolist()
        tail = self.literals[-1]
        if self.slots == 1:
            return tuple([slots[0][a] + tail for (a,) in rows])
        if self.slots == 2:
            first, second = slots
            return tuple([first[a] + second[b] + tail for a, b in rows])
        return tuple(["".join([slot[i] for slot, i in zip(slots, row, strict=True)]) + tail for row in rows])

    def _slot_texts(self, slot: int, phrases: Sequence[str]) -> list[str]:
        """What stands before and at one slot, for each phrase."""
        lead = self.literals[slot]
        if self.article and re.search(r"\b[Aa]\s+$", lead):
            space = lead[len(lead.rstrip()) :]
            return [lead.rstrip() + ("n" if starts_with_vowel(p) else "") + space + p for p in phrases]
        return [lead + phrase for phrase in phrases]


def starts_with_vowel(phrase: str) -> bool:
    """Whether `an` goes before it, by the first letter (a, e, i, o, u); sounds such as "hour" are not known."""
    return phrase[:1].lower() in tuple("aeiou")


def said_place(slot: str) -> str:
    """The name of a place as it is said.

    >>> said_place("left"), said_place("middle"), said_place("top left")
    ('on the left', 'in the middle', 'at the top left')
    """
    if slot in ("left", "right"):
        return f"on the {slot}"
    return f"in the {slot}" if slot in ("middle", "center", "centre") else f"at the {slot}"


def default_templates(m: int, replicates: int, article: bool = False) -> tuple[Template, ...]:
    """The first wordings for scenes of m objects."""
    if replicates > len(LEADS):
        raise InputError(f"replicates must be in 1..{len(LEADS)} (that many wordings are built in), got {replicates}")
    return tuple(Template(lead + JOINED[m], article) for lead in LEADS[:replicates])


def paraphrases(m: int) -> tuple[str, ...]:
    """Two other ways to name m objects.

    >>> paraphrases(2)[0]
    'it shows a {object} next to a {object}'
    """
    return tuple(
        lead + ", ".join(["a {object}"] * max(m - 1, 1)) + (last + "a {object}") * (m > 1) for lead, last in OTHER
    )


def phrases_of(pattern: str, names: Sequence[str], values: Sequence[Sequence[str]], cells: IntArray) -> list[str]:
    """Object phrases for value indices `[O, C]`: the pattern with each `{concept}` replaced by its word.

    >>> import numpy as np
    >>> phrases_of("{size} {shape}", ["size", "shape"], [["small"], ["cube", "ball"]], np.array([[0, 1]]))
    ['small ball']
    """
    pieces = re.split(r"\{([^{}]*)\}", pattern)
    where = {name: k for k, name in enumerate(names)}
    concepts = [where[name] for name in pieces[1::2]]
    literals = pieces[0::2]
    return [
        literals[0] + "".join([values[k][row[k]] + text for k, text in zip(concepts, literals[1:], strict=True)])
        for row in cells.tolist()
    ]
