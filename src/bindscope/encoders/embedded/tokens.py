"""Words as numbers: a fixed vocabulary, and one number for every other word."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from bindscope.concepts import IntArray
from bindscope.encoders.embedded.recipe import COLORS, SHAPES

FRAME = "a an the and of with next to it shows there is are i can see this picture image photo we look at together ,".split()
WORDS = (*COLORS, *SHAPES, *FRAME)
PAD, OTHER = 0, 1
LENGTH = 32
_NUMBER = {word: i + 2 for i, word in enumerate(WORDS)}


def vocabulary_size() -> int:
    """Number of rows that a table of word vectors needs."""
    return len(WORDS) + 2


def tokens(texts: Sequence[str]) -> IntArray:
    """Word numbers `[n, length]`, padded with 0 to the longest text; words beyond 32 are left out.

    >>> tokens(["red circle", "A red zebra"]).tolist()
    [[2, 14, 0], [17, 2, 1]]
    """
    rows = [[_NUMBER.get(word, OTHER) for word in re.findall(r"\w+|,", text.lower())][:LENGTH] for text in texts]
    width = max((len(row) for row in rows), default=1) or 1
    out = np.full((len(rows), width), PAD, dtype=np.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out
