"""Other words for scenes: the captions that stand for the second side of a model.

A wording is a sentence and an order in which it names the objects (that of the slots, or reversed): where captions always
follow the slots, position can stand in for binding. Wordings are replicates.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bindscope.concepts import ABSENT, IntArray
from bindscope.datasets.captions import Template, paraphrases, phrases_of
from bindscope.datasets.items import Dataset, Items, Wording
from bindscope.errors import InputError
from bindscope.scenes import BoolArray, SceneTable
from bindscope.streams import stream
from bindscope.swaps import scene_keys, value_swaps

MAX_SCENES = 600  # scenes whose captions are made, drawn by seed where there are more
MAX_QUERY_OBJECTS = 2_000  # above this many objects they are asked for in one wording
SAME, REVERSED = "same", "reversed"


@dataclass(frozen=True, eq=False)
class Captions:
    """Captions of some scenes and of all their value swaps, in T wordings.

    scenes: S different scenes, one row each; anchors `[S]`: True for those of the data set, False for swaps that had to
    be added. items: T blocks of S captions. orders: `same` or `reversed`, one a wording. queries: further wordings of the
    object queries (first) and value queries. digest: sha256 over all of it.
    """

    scenes: SceneTable
    anchors: BoolArray
    items: Items
    orders: tuple[str, ...]
    patterns: tuple[str, ...]
    queries: tuple[tuple[Items, ...], ...]
    digest: str

    @property
    def n_wordings(self) -> int:
        """Number of wordings T."""
        return len(self.orders)


def caption_set(dataset: Dataset, limit: int = MAX_SCENES, seed: int = 0, made: bool = True) -> Captions:
    """Captions of at most `limit` scenes of the most frequent number of objects, and of their value swaps.

    made=False: only captions that a file can hold, one for each scene that the data set shows.
    """
    wording = dataset.wording or Wording()
    table = dataset.table
    values, anchors, rows = _scenes(table, limit, seed, made)
    ids = table.space.object_ids(values)
    known = np.union1d(table.candidates, ids[ids != ABSENT])
    scenes = SceneTable.build(table.space, values, replicate=np.zeros(len(values), dtype=np.int64), candidates=known)
    count = int(scenes.counts[0])
    orders = (SAME, REVERSED) if count > 1 and made else (SAME,)
    patterns = [_template(wording, count, i) for i in range(len(wording.patterns) if made else 1)]
    texts = [_texts(scenes, wording, template, order) for template in patterns for order in orders]
    rows = np.where(rows < 0, -1, dataset.items.rows[rows])
    tiled = np.tile(values, (len(texts), 1, 1))
    items = Items(tiled, np.tile(rows, len(texts)), "caption", tuple(text for block in texts for text in block))
    queries = _query_wordings(dataset, wording) if made else ()
    named = tuple(order for _ in patterns for order in orders)
    names = tuple(template.text for template in patterns for _ in orders)
    return Captions(scenes, anchors, items, named, names, queries, _digest(items, queries))


def _scenes(table: SceneTable, limit: int, seed: int, made: bool) -> tuple[IntArray, BoolArray, IntArray]:
    """Different scenes `[S, m, C]`: drawn ones, then their missing swaps; which are drawn; a row that shows each, or -1."""
    compact, radix = table.compact(), table.space.radix
    keys = scene_keys(compact, radix)
    shown = dict(zip(keys[::-1], range(len(table) - 1, -1, -1), strict=True))
    rows = table.rows_with(table.headline_count)
    own = np.unique([shown[keys[row]] for row in rows.tolist()])
    if len(own) > limit:
        own = np.sort(stream(seed, "captioned scenes").choice(own, limit, replace=False))
    drawn = SceneTable.build(table.space, compact[own], candidates=table.candidates)
    swapped = value_swaps(drawn).values
    seen = {keys[row] for row in own.tolist()}
    keep = []
    for i, key in enumerate(scene_keys(swapped, radix)):
        if key not in seen and (made or key in shown):
            seen.add(key)
            keep.append(i)
    values = np.concatenate([drawn.values, swapped[keep]])
    place = np.array([shown.get(key, -1) for key in scene_keys(values, radix)], dtype=np.int64)
    return values, np.arange(len(values)) < len(own), place


def _template(wording: Wording, count: int, number: int) -> Template:
    pattern = wording.patterns[number]
    own = Template(pattern, wording.article)
    if own.slots == count:
        return own
    return Template(paraphrases(count)[number % 2], wording.article)


def _texts(scenes: SceneTable, wording: Wording, template: Template, order: str) -> tuple[str, ...]:
    unique, codes = np.unique(scenes.space.object_ids(scenes.compact()), return_inverse=True)
    phrases = _phrases(scenes, wording, scenes.space.object_values(unique[unique != ABSENT]))
    places = codes.reshape(len(scenes), -1) - int((unique == ABSENT).any())
    places = places[:, : template.slots]
    return template.fill_codes(places[:, ::-1] if order == REVERSED else places, phrases)


def _phrases(table: SceneTable, wording: Wording, cells: IntArray) -> list[str]:
    names = table.space.names
    pattern = wording.phrase or " ".join(f"{{{name}}}" for name in names)
    return phrases_of(pattern, names, [concept.values for concept in table.space.concepts], cells)


def _query_wordings(dataset: Dataset, wording: Wording) -> tuple[tuple[Items, ...], ...]:
    """Object and value queries behind each further lead."""
    given = (dataset.object_queries, *dataset.value_queries)
    if dataset.table.n_objects > MAX_QUERY_OBJECTS:
        return ()
    base = [items.texts or _bare(dataset.table, wording, items) for items in given]
    return tuple(
        tuple(
            Items(items.values, items.rows, items.kind, tuple(lead + text for text in texts))
            for items, texts in zip(given, base, strict=True)
        )
        for lead in wording.query_leads
    )


def _bare(table: SceneTable, wording: Wording, items: Items) -> tuple[str, ...]:
    """Plain words for queries of a data set that has none."""
    if items.kind == "object":
        return tuple("a " + phrase for phrase in _phrases(table, wording, items.values[:, 0]))
    asked = items.values[:, 0]
    k = int(np.argmax((asked != ABSENT).any(axis=0)))
    return tuple(table.space.concepts[k].values[i] for i in asked[:, k].tolist())


def _digest(items: Items, queries: Sequence[Sequence[Items]]) -> str:
    if items.texts is None:
        raise InputError("captions need words; this is a defect of bindscope")
    digest = hashlib.sha256(np.ascontiguousarray(items.values, dtype="<i8").tobytes())
    digest.update(np.ascontiguousarray(items.rows, dtype="<i8").tobytes())
    for texts in (items.texts, *(one.texts for some in queries for one in some)):
        digest.update(json.dumps(texts, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
