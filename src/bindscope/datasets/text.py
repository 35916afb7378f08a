"""Text scenes: captions of all ordered scenes of a design, from built-in word lists or from a recipe file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bindscope.concepts import ABSENT, ConceptSpace, IntArray
from bindscope.datasets.captions import Template, paraphrases, phrases_of
from bindscope.datasets.designs import MAX_ROWS, refuse_many_objects, scene_codes
from bindscope.datasets.items import Dataset, Items, Wording, query_items
from bindscope.errors import InputError
from bindscope.scenes import SceneTable


@dataclass(frozen=True)
class TextScenes:
    """All that determines a set of captions.

    templates, singles: one a replicate, for scenes of m objects and of one. objects `[O]`: sorted ids of the objects
    that may occur (None: all). phrase: an object in words, with `{concept}` in braces. value_queries: one a concept,
    with `{value}`. sample: number of scenes to draw (None: all). captions: sentences for the second side (empty: built-in
    paraphrases).
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
    captions: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ids(self) -> IntArray:
        """Ids of the objects that may occur, `[O]`."""
        return np.arange(self.space.n_objects, dtype=np.int64) if self.objects is None else self.objects


def build(spec: TextScenes, name: str) -> Dataset:
    """Captions, scenes and queries of a specification: scenes of m objects first, wording by wording, then singles."""
    refuse_many_objects(spec.space.sizes, None if spec.objects is None else len(spec.objects))
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
    wording = Wording(spec.captions or paraphrases(slots), spec.phrase, spec.templates[0].article)
    return Dataset(name, "text", table, items, objects, values, dict(spec.options), wording=wording)


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
