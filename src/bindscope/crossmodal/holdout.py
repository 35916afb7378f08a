"""Which objects a head must not see: a block of values, so that the value swaps of held-out objects are held out too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bindscope.crossmodal.sides import TwoSides
from bindscope.errors import TableError
from bindscope.scenes import BoolArray
from bindscope.splits import split_objects

TRIES = 8
COVERAGE = 0.7  # of a random split, where no block will do


@dataclass(frozen=True, eq=False)
class HoldOut:
    """train `[O]`: objects that may be seen. closed `[W]`: swaps whose objects are all held out, before and after; seen
    `[W]`: swaps among training objects only. fresh `[n]`: rows of scenes with at least one held-out object."""

    train: BoolArray
    closed: BoolArray
    seen: BoolArray
    fresh: BoolArray


def hold_out(sides: TwoSides, seed: int = 0) -> HoldOut:
    """The block, of several random ones, with the most closed swaps; a random connected split where none has any.

    A block takes half of the values of each concept (rounded up, all but one at most), so every value stays in training.
    Raises TableError where there is one object only.
    """
    if sides.table.n_objects < 2:
        raise TableError("one object only; nothing can be held out")
    rng = np.random.default_rng([seed, 67])
    best: HoldOut | None = None
    for _ in range(TRIES):
        found = _parts(sides, ~_block(sides, rng))
        usable = 0 < found.train.sum() < len(found.train) and found.closed.any()
        if usable and (best is None or found.closed.sum() > best.closed.sum()):
            best = found
    if best is not None:
        return best
    return _parts(sides, split_objects(sides.table, COVERAGE, seed).train)


def _block(sides: TwoSides, rng: np.random.Generator) -> BoolArray:
    inside = np.ones(sides.table.n_objects, dtype=bool)
    for k, column in enumerate(sides.table.candidate_values.T):
        known = sides.table.known_values(k)
        take = max(1, min(len(known) - 1, (len(known) + 1) // 2))
        inside &= np.isin(column, rng.permutation(known)[:take])
    return inside


def _parts(sides: TwoSides, train: BoolArray) -> HoldOut:
    table, swaps = sides.table, sides.swaps
    trained = np.zeros(table.space.n_objects + 1, dtype=bool)
    trained[table.candidates[train]] = True
    ids = np.concatenate([table.object_ids[swaps.row], table.space.object_ids(swaps.values)], axis=1)
    there = ids >= 0
    closed = (~trained[ids] | ~there).all(axis=1)
    seen = (trained[ids] | ~there).all(axis=1)
    fresh = (~trained[table.object_ids] & table.present).any(axis=1)
    return HoldOut(train, closed, seen, np.asarray(fresh))
