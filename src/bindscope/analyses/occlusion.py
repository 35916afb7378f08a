"""Scenes by how much of their objects can be seen, where the table knows it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bindscope.errors import TableError
from bindscope.scenes import BoolArray, FloatArray, SceneTable

EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0)  # of the visible share; the last bin holds what is hardly covered


def least_visible(table: SceneTable) -> FloatArray:
    """Visible share of the most hidden object of each scene, `[n]`; TableError where the table does not know it."""
    if table.visible is None:
        raise TableError("the table has no visible shares; give columns visible1, visible2, ...")
    shown = np.where(table.present, table.visible, np.nan)
    if np.isnan(shown[table.present]).any():
        row = int(np.flatnonzero((np.isnan(shown) & table.present).any(axis=1))[0])
        raise TableError(f"row {row}: an object has no visible share; fill visible{{i}} for every object, or for none")
    return np.asarray(np.nanmin(shown, axis=1))


def occluded(table: SceneTable) -> bool:
    """Whether shares are known for every object, and some object is covered."""
    if table.visible is None or np.isnan(table.visible[table.present]).any():
        return False
    return bool((table.visible[table.present] < EDGES[-2]).any())


@dataclass(frozen=True, eq=False)
class Bin:
    """Scenes whose most hidden object shows a share between low (exclusive, but for 0) and high."""

    low: float
    high: float
    mean: float
    rows: BoolArray

    @property
    def extra(self) -> dict[str, float]:
        """What sets the records of this bin apart; `visible` is the mean share of its scenes."""
        return {"visible": round(self.mean, 4), "visible_low": self.low, "visible_high": self.high}


def bins(table: SceneTable) -> list[Bin]:
    """The bins that hold any scene, from hidden to seen."""
    share = least_visible(table)
    found = []
    for low, high in pairwise(EDGES):
        rows = (share <= high) & ((share > low) | ((low == 0) & (share == 0)))
        if rows.any():
            found.append(Bin(low, high, float(share[rows].mean()), rows))
    return found
