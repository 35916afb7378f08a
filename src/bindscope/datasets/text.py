"""Text scenes: captions of all ordered scenes of a design, from built-in word lists or from a recipe file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bindscope.concepts import ABSENT, ConceptSpace, IntArray
from bindscope.datasets.captions import LEADS, Template, default_templates, phrases_of
from bindscope.datasets.designs import MAX_ROWS, scene_codes
from bindscope.datasets.items import Dataset, Items, query_items
from bindscope.datasets.options import Option, read_options, split_options
from bindscope.errors import InputError
from bindscope.scenes import SceneTable

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


@dataclass(frozen=True)
class TextScenes:
    """All that determines a set of captions.

    templates, singles: one a replicate, for scenes of m objects and of one. objects `[O]`: sorted ids of the objects
    that may occur (None: all). phrase: an object in words, with `{concept}` in braces. value_queries: one a concept,
    with `{value}`. sample: number of scenes to draw (None: all).
    """

    space: ConceptSpace
    templates: tuple[Template, ...]
    phrase: str
    query: Template
    value_queries: tuple[str, ...]
    singles: tuple[Template, ...] = ()
    objects: IntArray | None = None
    same: bool = False
    sample: int | None = None
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ids(self) -> IntArray:
        """Ids of the objects that may occur, `[O]`."""
        return np.arange(self.space.n_objects, dtype=np.int64) if self.objects is None else self.objects


def build(spec: TextScenes, name: str) -> Dataset:
    """Captions, scenes and queries of a specification: scenes of m objects first, wording by wording, then singles."""
    slots = spec.templates[0].slots
    codes = scene_codes(len(spec.ids), slots, spec.same, spec.sample, spec.seed)
    singles = scene_codes(len(spec.ids), 1, same=True)
    _refuse_many(len(codes) * len(spec.templates) + len(singles) * len(spec.singles))
    phrases = _phrases(spec, spec.space.object_values(spec.ids))
    texts: list[str] = []
    for template in spec.templates:
        texts += template.fill_codes(codes, phrases)
    for template in spec.singles:
        texts += template.fill_codes(singles, phrases)
    table = _table(spec, codes, singles)
    items = Items(table.values, np.arange(len(table)), "scene", tuple(texts))
    objects, values = _queries(spec, table)
    return Dataset(name, "text", table, items, objects, values, dict(spec.options))


def load_words(rest: str, name: str) -> Dataset:
    """Captions from the built-in word lists, `AxB?options`: the first A adjectives and the first B nouns."""
    base, query = split_options(rest)
    if base.lower().endswith((".yaml", ".yml")):
        from bindscope.datasets.recipe import load_recipe

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


def _refuse_many(rows: int) -> None:
    if rows > MAX_ROWS:
        raise InputError(
            f"{rows:,} captions are more than the limit of {MAX_ROWS:,} rows; take fewer replicates, or a seeded "
            "sample with scenes=20000"
        )


def _phrases(spec: TextScenes, cells: IntArray) -> list[str]:
    words = [concept.values for concept in spec.space.concepts]
    return phrases_of(spec.phrase, spec.space.names, words, cells)


def _table(spec: TextScenes, codes: IntArray, singles: IntArray) -> SceneTable:
    alone = np.pad(singles, ((0, 0), (0, codes.shape[1] - 1)), constant_values=ABSENT)
    all_codes = np.concatenate([*[codes] * len(spec.templates), *[alone] * len(spec.singles)])
    replicate = np.concatenate(
        [
            np.repeat(np.arange(len(spec.templates)), len(codes)),
            np.repeat(np.arange(len(spec.singles)), len(alone)),
        ]
    )
    ids = np.where(all_codes == ABSENT, ABSENT, spec.ids[all_codes])
    return SceneTable.build(spec.space, spec.space.object_values(ids), replicate=replicate, candidates=spec.ids)


def _queries(spec: TextScenes, table: SceneTable) -> tuple[Items, tuple[Items, ...]]:
    objects, values = query_items(table)
    phrases = _phrases(spec, table.candidate_values)
    texts = spec.query.fill_codes(np.arange(len(phrases))[:, None], phrases)
    worded = []
    for pattern, concept, items in zip(spec.value_queries, spec.space.concepts, values, strict=True):
        words = tuple(pattern.replace("{value}", concept.values[i]) for i in items.rows.tolist())
        worded.append(replace(items, texts=words))
    return replace(objects, texts=texts), tuple(worded)
