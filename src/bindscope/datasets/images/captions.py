"""Words for drawn scenes: captions, and the queries that a text tower gets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bindscope.concepts import ABSENT
from bindscope.datasets.captions import LEADS, Template, phrases_of, said_place
from bindscope.datasets.items import Items, query_items
from bindscope.errors import InputError
from bindscope.scenes import SceneTable

QUERY = Template("a {object}")


def scene_captions(table: SceneTable, wording: int = 0, slots: tuple[str, ...] = ()) -> tuple[str, ...]:
    """A caption for every row: "a red cube and a blue sphere", objects in slot order.

    wording: which of the built-in openings ("", "a photo of ", ...). slots: names of the places, to say them too
    ("a red cube on the left and ..."), where a scene has several objects. Raises InputError for a wording that is not built in.
    """
    if not 0 <= wording < len(LEADS):
        raise InputError(f"wording must be in 0..{len(LEADS) - 1}, got {wording}")
    names = object_phrases(table)
    said = [" " + said_place(slot) if slots else "" for slot in slots or ("",) * table.n_slots]
    captions = []
    for codes in table.object_codes.tolist():
        alone = sum(code != ABSENT for code in codes) == 1
        parts = [f"a {names[code]}{'' if alone else said[slot]}" for slot, code in enumerate(codes) if code != ABSENT]
        captions.append(LEADS[wording] + (parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]))
    return tuple(captions)


def object_phrases(table: SceneTable) -> list[str]:
    """Every candidate in words, concepts in their order: "red cube"."""
    pattern = " ".join(f"{{{name}}}" for name in table.space.names)
    values = [concept.values for concept in table.space.concepts]
    return phrases_of(pattern, table.space.names, values, table.candidate_values)


def worded_queries(table: SceneTable) -> tuple[Items, tuple[Items, ...]]:
    """Object queries ("a red cube") and value queries ("red"), for encoders with a text tower."""
    objects, values = query_items(table)
    texts = QUERY.fill_codes(np.arange(table.n_objects)[:, None], object_phrases(table))
    worded = [
        replace(items, texts=tuple(concept.values[i] for i in items.rows.tolist()))
        for concept, items in zip(table.space.concepts, values, strict=True)
    ]
    return replace(objects, texts=texts), tuple(worded)
