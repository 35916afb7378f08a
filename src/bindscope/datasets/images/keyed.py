"""Chance that belongs to a picture: uniform numbers as a function of seed, scene, replicate and purpose alone.

So a scene looks the same whatever other scenes are drawn beside it, in whatever order, by however many processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import IntArray
from bindscope.scenes import FloatArray

Keys = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Dice:
    """Numbers for n pictures. ids `[n, m]`: object ids, -1 where absent. replicate `[n]`."""

    seed: int
    ids: IntArray
    replicate: IntArray

    @cached_property
    def _keys(self) -> Keys:
        keys = mixed(np.full(len(self.ids), self.seed, dtype=np.uint64))
        for column in (*self.ids.T, self.replicate):
            keys = mixed(keys ^ (column.astype(np.int64) + 1).astype(np.uint64))
        return keys

    def uniform(self, purpose: int) -> FloatArray:
        """One number in [0, 1) a picture, `[n]`."""
        keys = mixed(self._keys + np.uint64(purpose << 8))
        return (keys >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def by_slot(self, purpose: int) -> FloatArray:
        """One number in [0, 1) an object, `[n, m]`."""
        slots = self.ids.shape[1]
        return np.stack([self.uniform((purpose << 8) + slot + 1) for slot in range(slots)], axis=1)


def mixed(keys: Keys) -> Keys:
    """A bijection of 64-bit numbers that leaves no pattern (the finaliser of splitmix64, Steele et al. 2014)."""
    z = keys + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
