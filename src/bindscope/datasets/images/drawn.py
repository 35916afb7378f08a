"""Data sets that are drawn: `clevr2d:CxS` (flat) and `clevr:CxS` (in three dimensions), as PNG files in the cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import IntArray
from bindscope.datasets.designs import MAX_ROWS, scene_codes
from bindscope.datasets.images.layout import MOVES
from bindscope.datasets.images.store import kept_pictures
from bindscope.datasets.images.vocabulary import (
    FLAT_SHAPES,
    MAX_OBJECTS,
    PLACES,
    SOLID_SHAPES,
    drawn_space,
    worded_queries,
)
from bindscope.datasets.images.worker import Painter, painter_of
from bindscope.datasets.items import Dataset, Items
from bindscope.errors import InputError
from bindscope.files import default_cache
from bindscope.names import Option, read_options, split_options
from bindscope.scenes import SceneTable

KINDS = {"clevr2d": ("flat", FLAT_SHAPES), "clevr": ("solid", SOLID_SHAPES)}
OPTIONS = {
    "m": Option(2, int, 1, MAX_OBJECTS),
    "same": Option(False, bool),
    "singles": Option(False, bool),
    "replicates": Option(1, int, 1, 1000),
    "scenes": Option(None, int, 1, MAX_ROWS),
    "seed": Option(0, int, 0, 2**31),
    "size": Option(224, int, 16, 2048),
    "sizes": Option(1, int, 1, 3),
    "materials": Option(1, int, 1, 2),
    "occlusion": Option("0"),
    "jitter": Option(None, float, 0, 1),
    "vary": Option(",".join(MOVES)),
}
MOST_HIDDEN = 0.95


@dataclass(frozen=True, eq=False)
class Drawn:
    """Scenes and the painter that draws them: all of a data set but the files."""

    table: SceneTable
    painter: Painter
    options: Mapping[str, Any]

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the places."""
        return PLACES[self.table.n_slots]

    def pixels(self, rows: IntArray | slice | None = None) -> NDArray[np.uint8]:
        """Pictures `[n, size, size, 3]` in memory, the same pixels as those of the PNG files."""
        where = slice(None) if rows is None else rows
        return self.painter.draw(self.table.values[where], self.table.replicate[where])


def plan(name: str) -> Drawn:
    """Scenes and painter of a name such as `clevr2d:8x3?size=48&replicates=2`; nothing is drawn yet.

    >>> plan("clevr2d:2x2?size=48").pixels(slice(0, 3)).shape
    (3, 48, 48, 3)
    """
    prefix, _, rest = name.partition(":")
    kind, shapes = KINDS[prefix]
    base, query = split_options(rest)
    options = read_options(query, OPTIONS, f"{prefix}:")
    space = drawn_space(base, f"{prefix}:", shapes, options["sizes"], options["materials"])
    table = _table(space, options)
    record = {
        "kind": kind,
        "space": [[concept.name, concept.values] for concept in space.concepts],
        "size": options["size"],
        "jitter": _jitter(options, prefix),
        "moves": _moves(options["vary"], prefix),
        "occlusion": _hidden(options["occlusion"], prefix, options["m"]),
        "seed": options["seed"],
        "lone": True,
    }
    return Drawn(table, painter_of(record), options)


def load_drawn(rest: str, name: str, cache: Path | None = None) -> Dataset:
    """The data set, with every picture on disk."""
    drawn = plan(name)
    table, images = kept_pictures(name, drawn.painter, drawn.table, cache or default_cache())
    items = Items(table.values, np.arange(len(table)), "scene", images=images)
    objects, values = worded_queries(table)
    return Dataset(name, "image", table, items, objects, values, dict(drawn.options), slots=drawn.slots)


def _table(space: Any, options: Mapping[str, Any]) -> SceneTable:
    """Scenes of m objects, replicate by replicate, then one-object scenes likewise."""
    m, copies = options["m"], options["replicates"]
    if options["singles"] and m == 1:
        raise InputError("singles=true adds one-object scenes, and m=1 has them already; leave one of the two out")
    codes = scene_codes(space.n_objects, m, options["same"], options["scenes"], options["seed"])
    alone = scene_codes(space.n_objects, 1, same=True) if options["singles"] else np.zeros((0, 1), dtype=np.int64)
    rows = (len(codes) + len(alone)) * copies
    if rows > MAX_ROWS:
        raise InputError(f"{rows:,} pictures are more than the limit of {MAX_ROWS:,}; take a sample with scenes=20000")
    wide = np.pad(alone, ((0, 0), (0, m - 1)), constant_values=-1)
    ids = np.concatenate([np.tile(codes, (copies, 1)), np.tile(wide, (copies, 1))])
    replicate = np.concatenate([np.repeat(np.arange(copies), len(part)) for part in (codes, alone)])
    every = np.arange(space.n_objects)
    return SceneTable.build(space, space.object_values(ids), replicate=replicate, candidates=every)


def _jitter(options: Mapping[str, Any], prefix: str) -> float:
    """None where each scene has one picture; with replicates they must differ."""
    if options["jitter"] is None:
        return 0.0 if options["replicates"] == 1 else 1.0
    if not options["jitter"] and options["replicates"] > 1:
        raise InputError(f"{prefix}: replicates without jitter would be the same picture; leave jitter=0 out")
    return float(options["jitter"])


def _moves(words: str, prefix: str) -> tuple[str, ...]:
    given = [word.strip() for word in words.split(",")]
    for word in given:
        if word not in MOVES:
            raise InputError(f"{prefix}: vary must be some of {','.join(MOVES)}, got {word!r}")
    return tuple(word for word in MOVES if word in given)


def _hidden(text: str, prefix: str, m: int) -> tuple[float, float]:
    """`0.3`, or a range `0.1-0.6` from which each scene draws."""
    try:
        numbers = [float(word) for word in text.split("-")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2) or not all(0 <= x <= MOST_HIDDEN for x in numbers) or numbers != sorted(numbers):
        raise InputError(
            f"{prefix}: occlusion must be a share in 0..{MOST_HIDDEN} such as 0.3, or a range such as 0-0.6, got {text!r}"
        )
    if numbers[-1] and m == 1:
        raise InputError(f"{prefix}: occlusion needs another object that hides, and m=1 has none; take m=2 or more")
    return numbers[0], numbers[-1]
