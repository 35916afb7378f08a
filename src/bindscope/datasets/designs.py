"""Which objects stand together: all scenes of m objects in object order, or a seeded sample; and `symbolic:`.

`symbolic:V1xV2x...` is such a design alone, without words or pictures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bindscope.concepts import ABSENT, ConceptSpace, IntArray
from bindscope.datasets.items import Dataset, Items, query_items
from bindscope.errors import InputError
from bindscope.names import Option, read_options, split_options
from bindscope.scenes import SceneTable, concatenate
from bindscope.streams import MAX_SEED, stream

MAX_ROWS = 2_000_000
MAX_OBJECTS = 100_000  # each of them is a query and a candidate
_DIGITS = 9  # of a size; more could not be meant
OPTIONS = {
    "m": Option(2, int, 1, 8),
    "same": Option(False, bool),
    "singles": Option(False, bool),
    "replicates": Option(1, int, 1, 1000),
    "scenes": Option(None, int, 1, MAX_ROWS),
    "seed": Option(0, int, 0, MAX_SEED),
}
SYMBOLIC_OPTIONS = {**OPTIONS, "places": Option(False, bool)}
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def refuse_many_objects(sizes: Sequence[int], listed: int | None = None) -> None:
    """Raise InputError where concepts of these sizes span more objects than a design here takes, before any is made.

    listed: how many of them may occur (None: all).

    >>> refuse_many_objects((300, 300))
    """
    count = math.prod(sizes) if listed is None else listed
    if count > MAX_OBJECTS or max(sizes) > MAX_OBJECTS:
        shown = " x ".join(f"{size:,}" for size in sizes)
        raise InputError(
            f"{shown} values give {count:,} objects, and a design here takes at most {MAX_OBJECTS:,}; take fewer values"
        )


def count_scenes(n_objects: int, m: int, same: bool) -> int:
    """Number of ordered scenes of m objects: O^m, or O!/(O-m)! without same-object scenes."""
    return n_objects**m if same else math.perm(n_objects, m)


def scene_codes(n_objects: int, m: int, same: bool, sample: int | None = None, seed: int = 0) -> IntArray:
    """Object positions `[n, m]` of all ordered scenes, first object outermost; or of `sample` of them, in that order.

    `same=False` leaves out scenes that show one object twice. A sample is drawn without listing all scenes.
    Raises InputError where there is no scene, or more rows than MAX_ROWS.
    """
    total = count_scenes(n_objects, m, same)
    if not total:
        raise InputError(
            f"{n_objects} objects give no scene of {m} different objects; take more values, a smaller m, or same=true"
        )
    if sample is not None and sample > total:
        raise InputError(f"scenes={sample} asks for more than the {total:,} scenes there are; ask for fewer")
    if sample is None and total > MAX_ROWS:
        raise InputError(
            f"{total:,} scenes are more than the limit of {MAX_ROWS:,} rows; take a seeded sample with scenes=20000, "
            "or fewer values"
        )
    ranks = np.arange(total, dtype=np.int64) if sample is None else sampled_ranks(total, sample, seed)
    return unrank(ranks, n_objects, m, same)


def sampled_ranks(total: int, count: int, seed: int) -> IntArray:
    """`count` different numbers of 0..total-1, sorted `[count]`; memory O(count) where count is a small share."""
    rng = stream(seed, "designed scenes")
    if total <= 4 * count:
        return np.sort(rng.permutation(total)[:count]).astype(np.int64)
    found = np.zeros(0, dtype=np.int64)
    while len(found) < count:
        drawn = np.concatenate([found, rng.integers(total, size=count + count // 4 + 16)])
        first = np.sort(np.unique(drawn, return_index=True)[1])
        found = drawn[first][:count]
    return np.sort(found)


def unrank(ranks: IntArray, n_objects: int, m: int, same: bool) -> IntArray:
    """Object positions `[n, m]` of scene numbers `[n]` in lexicographic order.

    >>> unrank(np.arange(6), 3, 2, same=False).tolist()
    [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]
    """
    codes = np.empty((len(ranks), m), dtype=np.int64)
    rest = ranks
    for slot in reversed(range(m)):
        rest, codes[:, slot] = np.divmod(rest, n_objects if same else n_objects - slot)
    return codes if same else _skip_used(codes)


def _skip_used(codes: IntArray) -> IntArray:
    """Turn positions among the objects not used so far into positions among all objects."""
    for slot in range(1, codes.shape[1]):
        for used in np.sort(codes[:, :slot], axis=1).T:
            codes[:, slot] += codes[:, slot] >= used
    return codes


def load_symbolic(rest: str, name: str) -> Dataset:
    """All ordered scenes (or a seeded sample) of m objects over V1 x V2 x ... values; for encoders that read scenes."""
    base, query = split_options(rest)
    options = read_options(query, SYMBOLIC_OPTIONS, "symbolic:")
    if not options["places"]:
        del options["places"]  # runs of earlier versions keep their names
    space = symbolic_space(base)
    if options["singles"] and options["m"] == 1:
        raise InputError("singles=true adds one-object scenes, and m=1 has them already; leave one of the two out")
    table = _table(
        space, scene_codes(space.n_objects, options["m"], options["same"], options["scenes"], options["seed"])
    )
    if options["replicates"] > 1:
        table = table.take(np.tile(np.arange(len(table)), options["replicates"]))
        table = _table(space, table.object_ids)
    if options.get("places") and not options["singles"]:
        raise InputError("places=true puts one-object scenes in every slot; add singles=true")
    if options["singles"]:
        alone = one_object_scenes(space, options["m"] if options.get("places") else 1)
        table = concatenate([table, _table(space, scene_codes(space.n_objects, 1, same=True)), *alone])
    objects, values = query_items(table)
    items = Items(table.values, np.arange(len(table)), "scene")
    return Dataset(name, "labels", table, items, objects, values, options)


def one_object_scenes(space: ConceptSpace, m: int) -> list[SceneTable]:
    """For each slot but the first of m, the scenes in which an object stands there alone."""
    out = []
    for slot in range(1, m):
        values = np.full((space.n_objects, m, space.n_concepts), ABSENT, dtype=np.int64)
        values[:, slot] = space.object_values(np.arange(space.n_objects))
        out.append(SceneTable.build(space, values, candidates=np.arange(space.n_objects)))
    return out


def symbolic_space(base: str) -> ConceptSpace:
    """Concepts a, b, c, ... of the sizes in `16x16x4`; values a0, a1, ..."""
    numbers = base.lower().split("x")
    if not all(_is_size(number) for number in numbers) or len(numbers) > len(LETTERS):
        raise InputError(
            f"symbolic: expects sizes such as symbolic:16x16 or symbolic:8x8x8, got 'symbolic:{base[:80]}'; a size has at "
            f"most {_DIGITS} digits"
        )
    refuse_many_objects([int(number) for number in numbers])
    return ConceptSpace.of([(LETTERS[k], [f"{LETTERS[k]}{v}" for v in range(int(n))]) for k, n in enumerate(numbers)])


def _is_size(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= _DIGITS and int(word) >= 1


def _table(space: ConceptSpace, codes: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> SceneTable:
    return SceneTable.build(space, space.object_values(codes), candidates=np.arange(space.n_objects))
