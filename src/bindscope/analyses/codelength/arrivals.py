"""The order in which scenes are coded: objects arrive one after the other, a scene when its last object has arrived.

Prequential coding needs an order. Here it is an order of objects, so that what is coded next always shows at least one
object that was never seen: the question that a table of objects cannot answer and a rule can.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bindscope.concepts import ABSENT, IntArray
from bindscope.errors import InputError, TableError
from bindscope.scenes import FloatArray, SceneTable
from bindscope.streams import stream

FIRST_BLOCK = 0.2  # share of the objects whose scenes are seen before coding starts
FEWEST_ROWS = 16  # ... and at least so many scenes, or a quarter of all where these are few
MOST_BLOCKS = 40


@dataclass(frozen=True, eq=False)
class Arrivals:
    """One order of the objects of a table, and its rows in it.

    objects `[O]`: object codes in the order of arrival (only those that occur). rows `[n]`: row numbers in the order of
    coding. starts `[O + 1]`: the scenes that arrive with the k-th object are `rows[starts[k]:starts[k + 1]]`. edges
    `[B + 1]`: numbers of objects at which blocks end; the first of them ends the block that is not coded.
    """

    objects: IntArray
    rows: IntArray
    starts: IntArray
    edges: IntArray

    @property
    def first(self) -> int:
        """Number of objects in the block that is not coded."""
        return int(self.edges[0])

    @property
    def coded(self) -> IntArray:
        """Number of coded scenes that arrive with each object, `[O]`."""
        counts = np.diff(self.starts)
        counts[: self.first] = 0
        return counts

    def spread(self, bits: FloatArray) -> FloatArray:
        """Lengths of blocks `[B]` as lengths of objects `[O]`, in proportion to the scenes that arrive with them."""
        coded = self.coded.astype(np.float64)
        block = np.searchsorted(self.edges, np.arange(len(self.objects)), side="right") - 1
        inside = block >= 0
        total = np.bincount(block[inside], coded[inside], len(bits))
        out = np.zeros(len(self.objects))
        out[inside] = bits[block[inside]] * coded[inside] / np.maximum(total[block[inside]], 1.0)
        return out


def arrivals(
    table: SceneTable, seed: int, order: int, first_block: float = FIRST_BLOCK, most_blocks: int = MOST_BLOCKS
) -> Arrivals:
    """The `order`-th random order of the objects that occur in a table.

    The first block holds at least a share `first_block` (0..1) of the objects, at least two, and at least 16 scenes (or
    a quarter of all). Raises TableError where nothing would be left to code. O(n m + n log n).
    """
    if not 0.0 < first_block < 1.0:
        raise InputError(f"the first block must be a share of the objects between 0 and 1, got {first_block}")
    codes = table.object_codes
    occurring = np.unique(codes[codes != ABSENT])
    objects = occurring[stream(seed, "code orders", order).permutation(len(occurring))]
    place = np.full(table.n_objects, -1, dtype=np.int64)
    place[objects] = np.arange(len(objects))
    arrival = np.where(table.present, place[codes], -1).max(axis=1)
    rows = np.argsort(arrival, kind="stable").astype(np.int64)
    starts = np.searchsorted(arrival[rows], np.arange(len(objects) + 1)).astype(np.int64)
    return Arrivals(objects, rows, starts, _edges(starts, first_block, most_blocks))


def _edges(starts: IntArray, first_block: float, most_blocks: int) -> IntArray:
    """Ends of the blocks in numbers of objects; blocks without scenes are joined to the next."""
    n_objects, n_rows = len(starts) - 1, int(starts[-1])
    wanted = min(FEWEST_ROWS, n_rows // 4)
    first = max(2, int(np.ceil(first_block * n_objects)), int(np.searchsorted(starts, wanted)))
    if first >= n_objects or starts[min(first, n_objects)] == n_rows:
        raise TableError(
            f"{n_rows} scenes of {n_objects} objects leave nothing to code after a first block of {first} objects; "
            "give scenes of more objects"
        )
    count = min(n_objects - first, most_blocks)
    edges = np.unique(np.round(np.linspace(first, n_objects, count + 1)).astype(np.int64))
    filled = np.r_[True, np.diff(starts[edges]) > 0]
    edges[-1] = n_objects
    kept = edges[filled]
    kept[-1] = n_objects
    return kept
