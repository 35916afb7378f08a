"""Symbolic scenes `symbolic:V1xV2x...`: any number of concepts, values named by letter and number, no text or image."""

from __future__ import annotations

import numpy as np

from bindscope.concepts import ConceptSpace
from bindscope.datasets.designs import MAX_ROWS, scene_codes
from bindscope.datasets.items import Dataset, Items, query_items
from bindscope.datasets.options import Option, read_options, split_options
from bindscope.errors import InputError
from bindscope.scenes import SceneTable, concatenate

OPTIONS = {
    "m": Option(2, int, 1, 8),
    "same": Option(False, bool),
    "singles": Option(False, bool),
    "replicates": Option(1, int, 1, 1000),
    "scenes": Option(None, int, 1, MAX_ROWS),
    "seed": Option(0, int, 0),
}
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def load_symbolic(rest: str, name: str) -> Dataset:
    """All ordered scenes (or a seeded sample) of m objects over V1 x V2 x ... values; for encoders that read scenes."""
    base, query = split_options(rest)
    options = read_options(query, OPTIONS, "symbolic:")
    space = symbolic_space(base)
    if options["singles"] and options["m"] == 1:
        raise InputError("singles=true adds one-object scenes, and m=1 has them already; leave one of the two out")
    table = _table(
        space, scene_codes(space.n_objects, options["m"], options["same"], options["scenes"], options["seed"])
    )
    if options["replicates"] > 1:
        table = table.take(np.tile(np.arange(len(table)), options["replicates"]))
        table = _table(space, table.object_ids)
    if options["singles"]:
        table = concatenate([table, _table(space, scene_codes(space.n_objects, 1, same=True))])
    objects, values = query_items(table)
    items = Items(table.values, np.arange(len(table)), "scene")
    return Dataset(name, "labels", table, items, objects, values, options)


def symbolic_space(base: str) -> ConceptSpace:
    """Concepts a, b, c, ... of the sizes in `16x16x4`; values a0, a1, ..."""
    numbers = base.lower().split("x")
    if not all(number.isascii() and number.isdigit() and int(number) >= 1 for number in numbers) or len(numbers) > 26:
        raise InputError(f"symbolic: expects sizes such as symbolic:16x16 or symbolic:8x8x8, got 'symbolic:{base}'")
    return ConceptSpace.of([(LETTERS[k], [f"{LETTERS[k]}{v}" for v in range(int(n))]) for k, n in enumerate(numbers)])


def _table(space: ConceptSpace, codes: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> SceneTable:
    return SceneTable.build(space, space.object_values(codes), candidates=np.arange(space.n_objects))
