"""Recipes of the two encoders: everything that determines their weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from bindscope.concepts import IntArray
from bindscope.errors import InputError, UnknownNameError

# The last four colours are in training only, so that shapes are learnt apart from the colours of the test scenes.
COLORS = (
    "red",
    "blue",
    "green",
    "yellow",
    "purple",
    "cyan",
    "brown",
    "gray",
    "orange",
    "pink",
    "black",
    "white",
)
SHAPES = ("circle", "square", "triangle")
# Of the first eight colours by three shapes: a block of three colours by two shapes, within which every value swap of two
# held-out objects is held out too, and two more. Each value also occurs in training.
HELD_OUT = (
    ("red", "circle"),
    ("red", "square"),
    ("blue", "circle"),
    ("blue", "square"),
    ("green", "circle"),
    ("green", "square"),
    ("yellow", "triangle"),
    ("purple", "circle"),
)


@dataclass(frozen=True)
class Recipe:
    """How an encoder is trained.

    name: `bag` or `bound`. queries: what is asked beside captions, `values` or `objects`. swaps: value-swapped captions as
    hard negatives (else no batch holds a scene's swapped partner). partial: share of the captions that name one object
    only. readout: weight of a linear read-out of objects from the picture alone, which no text sees: it keeps in the vector
    what the captions do not ask for. swappable: share of a
    batch drawn from scenes whose value swaps show training objects too. replicates: drawings of each training scene.
    """

    name: str
    queries: str
    swaps: bool
    partial: float
    readout: float
    seed: int = 1
    steps: int = 300
    batch: int = 96
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    size: int = 48
    channels: tuple[int, ...] = (64, 96, 128, 128)
    width: int = 96
    layers: int = 2
    heads: int = 4
    dim: int = 128
    replicates: int = 12
    render_seed: int = 20_000
    query_weight: float = 1.0
    swappable: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 2 or self.replicates < 1:
            raise InputError("a recipe needs at least one step, a batch of two and one replicate")

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {**asdict(self), "channels": list(self.channels), "held_out": [list(one) for one in HELD_OUT]}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Recipe:
        """The same from `to_json`."""
        known = {field.name for field in fields(cls)}
        values = {key: value for key, value in record.items() if key in known}
        return cls(**{**values, "channels": tuple(values["channels"])})


RECIPES = {
    "bag": Recipe("bag", queries="values", swaps=False, partial=0.5, readout=0.3),
    "bound": Recipe("bound", queries="objects", swaps=True, partial=0.0, readout=0.3, steps=700, swappable=0.75),
}


def recipe_of(name: str, **changes: Any) -> Recipe:
    """The recipe of a name, with changes."""
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    return replace(RECIPES[name], **changes)


FRAME = "a an the and of with next to it shows there is are i can see this picture image photo we look at together ,".split()
WORDS = (*COLORS, *SHAPES, *FRAME)
PAD, OTHER = 0, 1
LENGTH = 32
_NUMBER = {word: i + 2 for i, word in enumerate(WORDS)}


def vocabulary_size() -> int:
    """Number of rows that a table of word vectors needs."""
    return len(WORDS) + 2


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return re.findall(r"\w+|,", text.lower())


def pieces_of(text: str) -> tuple[list[str], tuple[str, ...]]:
    """The words that a text is read as, and those and the signs that have no vector (plain punctuation apart).

    >>> pieces_of("a red zebra.")
    (['a', 'red', 'zebra'], ('zebra',))
    """
    words = words_of(text)
    signs = re.findall(r"[^\w\s.,;:!?'\"()-]+", text)
    return words, (*(word for word in words if word not in _NUMBER), *signs)


def tokens(texts: Sequence[str]) -> IntArray:
    """Word numbers `[n, length]`, padded with 0 to the longest text; words beyond 32 are left out.

    >>> tokens(["red circle", "A red zebra"]).tolist()
    [[2, 14, 0], [17, 2, 1]]
    """
    rows = [[_NUMBER.get(word, OTHER) for word in words_of(text)][:LENGTH] for text in texts]
    width = max((len(row) for row in rows), default=1) or 1
    out = np.full((len(rows), width), PAD, dtype=np.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out
