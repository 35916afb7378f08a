"""Captions of the built-in word lists, and the door of everything named `text:`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bindscope.concepts import ConceptSpace
from bindscope.datasets.captions import LEADS, Template, default_templates
from bindscope.datasets.designs import MAX_ROWS
from bindscope.datasets.items import Dataset
from bindscope.datasets.options import Option, read_options, split_options
from bindscope.datasets.recipe import load_recipe
from bindscope.datasets.text import TextScenes, build
from bindscope.errors import InputError

ADJECTIVES = tuple(
    "red blue green yellow purple orange pink brown gray black "
    "small large tiny round sharp rough bumpy smooth matte glossy".split()
)
NOUNS = tuple(
    "circle square triangle star heart spiral sphere cylinder cone pyramid "
    "car cat dog man woman tree flower rock bird fish".split()
)
OPTIONS = {
    "m": Option(2, int, 1, 3),
    "same": Option(False, bool),
    "singles": Option(False, bool),
    "replicates": Option(1, int, 1, len(LEADS)),
    "article": Option(False, bool),
    "scenes": Option(None, int, 1, MAX_ROWS),
    "seed": Option(0, int, 0),
}


def load_words(rest: str, name: str) -> Dataset:
    """Captions from the built-in word lists, `AxB?options`: the first A adjectives and the first B nouns."""
    base, query = split_options(rest)
    if base.lower().endswith((".yaml", ".yml")):
        return load_recipe(base, query, name)
    space = ConceptSpace.of(_counted_words(base))
    options = read_options(query, OPTIONS, "text:")
    return build(word_scenes(space, options), name)


def word_scenes(space: ConceptSpace, options: Mapping[str, Any]) -> TextScenes:
    """The specification of captions in the built-in wordings for any space."""
    article, m, replicates = options["article"], options["m"], options["replicates"]
    if options["singles"] and m == 1:
        raise InputError("singles=true adds one-object scenes, and m=1 has them already; leave one of the two out")
    return TextScenes(
        space,
        templates=default_templates(m, replicates, article),
        phrase=" ".join(f"{{{name}}}" for name in space.names),
        query=Template("a {object}", article),
        value_queries=("{value}",) * space.n_concepts,
        singles=default_templates(1, replicates, article) if options["singles"] else (),
        same=options["same"],
        sample=options["scenes"],
        seed=options["seed"],
        options=options,
    )


def _counted_words(base: str) -> list[tuple[str, Sequence[str]]]:
    numbers = base.lower().split("x")
    if len(numbers) != 2 or not all(number.isascii() and number.isdigit() for number in numbers):
        raise InputError(f"text: expects AxB such as text:10x10, or a .yaml file, got 'text:{base}'")
    counts = [int(number) for number in numbers]
    for count, words, kind in zip(counts, (ADJECTIVES, NOUNS), ("adjectives", "nouns"), strict=True):
        if not 1 <= count <= len(words):
            raise InputError(f"text:{base}: the number of {kind} must be in 1..{len(words)}, got {count}")
    return [("adjective", ADJECTIVES[: counts[0]]), ("noun", NOUNS[: counts[1]])]
