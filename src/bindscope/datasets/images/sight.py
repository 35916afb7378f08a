"""What can be seen of each object: its share of pixels that no nearer object covers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import IntArray
from bindscope.datasets.images.brush import Patches
from bindscope.datasets.images.layout import Layout
from bindscope.scenes import BoolArray, FloatArray

REACH = 1.12  # no shape reaches farther from its centre, in radii


@dataclass(frozen=True, eq=False)
class Sight:
    """Covers of objects, added from the farthest to the nearest, in the pictures in which any two may touch.

    place `[n]`: position among the crowded pictures, -1 for the others. seen `[crowded, m, s, s]`; area `[crowded, m]`.
    """

    place: IntArray
    seen: NDArray[np.float32]
    area: FloatArray

    @classmethod
    def of(cls, layout: Layout, shown: BoolArray, side: int) -> Sight:
        """Nothing added yet."""
        crowded = touching(layout, shown)
        place = np.where(crowded, np.cumsum(crowded) - 1, -1)
        count, m = int(crowded.sum()), shown.shape[1]
        return cls(place, np.zeros((count, m, side, side), dtype=np.float32), np.ones((count, m)))

    def add(self, patches: Patches, slots: IntArray, cover: NDArray[np.float32]) -> None:
        """Cover what lies behind, and remember what is new."""
        width = cover.shape[1]
        for i, place in enumerate(self.place[patches.rows].tolist()):
            if place >= 0:
                x, y = patches.corner[i].tolist()
                window = self.seen[place, :, y : y + width, x : x + width]
                window *= 1 - cover[i]
                window[slots[i]] = cover[i]
                self.area[place, slots[i]] = cover[i].sum(dtype=np.float64)

    def shares(self, shown: BoolArray) -> FloatArray:
        """Visible share of each object `[n, m]`, to four digits; NaN where absent."""
        shares = np.ones(shown.shape)
        crowded = self.place >= 0
        shares[crowded] = self.seen.sum(axis=(2, 3), dtype=np.float64) / np.maximum(self.area, 1e-9)
        return np.where(shown, np.round(np.clip(shares, 0.0, 1.0), 4), np.nan)


def touching(layout: Layout, shown: BoolArray) -> BoolArray:
    """Pictures `[n]` in which circles around two objects meet."""
    away = np.hypot(*np.moveaxis(layout.centre[:, :, None] - layout.centre[:, None], 3, 0))
    reach = REACH * (layout.radius[:, :, None] + layout.radius[:, None])
    both = shown[:, :, None] & shown[:, None]
    both &= ~np.eye(shown.shape[1], dtype=bool)
    return np.asarray((both & (away < reach)).any(axis=(1, 2)))
