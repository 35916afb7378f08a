"""Which part of a caption's vector decides a swap: its concepts, its binding part, or the rest.

Captions are split, linearly and nested, into concepts (+ concepts by slot), interaction (objects by slot beyond that) and
residual; scenes likewise. A swap's margin a.(b - b') is then the sum over all pairs of a part of a and a part of b.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bindscope.analyses.sides import TIE, TwoSides
from bindscope.design import MAX_COLUMNS, Vectors, concept_design, fit, object_design
from bindscope.errors import TableError
from bindscope.scenes import FloatArray, SceneTable

PARTS = ("concepts", "interaction", "residual")
MAX_DESIGN = min(4_000, MAX_COLUMNS)  # columns of objects x slots


@dataclass(frozen=True, eq=False)
class MarginParts:
    """margins `[W, 3, 4]`: swap, part of the captions (PARTS), part of the scene (mean, then PARTS). They add up to the
    swap's margin with ensembled captions before these are brought to unit length."""

    margins: FloatArray

    @property
    def by_caption_part(self) -> FloatArray:
        """Margin that each part of the captions gives, `[W, 3]`."""
        return np.asarray(self.margins.sum(axis=2))

    @property
    def total(self) -> FloatArray:
        """The whole margin, `[W]`."""
        return np.asarray(self.margins.sum(axis=(1, 2)))

    @property
    def worst(self) -> FloatArray:
        """Which part pulls down most, `[W]`: its number where the swap is wrong or tied, NaN where it is right."""
        parts = self.by_caption_part
        lowest = parts.argmin(axis=1).astype(np.float64)
        return np.where(self.total > TIE, np.nan, lowest)


def attribute(sides: TwoSides) -> MarginParts:
    """Split the margins of all swaps. Raises TableError where objects x slots are too many for the fit. O(W d)."""
    if sides.table.n_objects * sides.table.n_slots > MAX_DESIGN:
        raise TableError(f"attribution takes at most {MAX_DESIGN:,} objects x slots; use fewer objects")
    told = _parts(sides.captions.mean(axis=0), sides.told)
    seen = _parts(sides.scenes, sides.table)
    swaps = sides.swaps
    out = np.empty((len(swaps), len(PARTS), len(PARTS) + 1))
    right, wrong, rows = sides.own[swaps.row], sides.partner, swaps.row
    for j, part in enumerate(told[1:]):
        change = part[right] - part[wrong]
        for i, own in enumerate(seen):
            vectors = own[rows] if own.ndim > 1 else np.broadcast_to(own, change.shape)
            out[:, j, i] = np.einsum("wd,wd->w", vectors, change)
    return MarginParts(out)


def _parts(vectors: Vectors, table: SceneTable) -> list[FloatArray]:
    """Mean `[d]`, then concepts, interaction and residual `[n, d]`."""
    mean = np.asarray(np.mean(vectors, axis=0, dtype=np.float64))
    centred = vectors - mean
    concepts = concept_design(table, by_slot=True)
    objects = object_design(table, by_slot=True)
    by_concept, by_object = fit(concepts, centred)(concepts), fit(objects, centred)(objects)
    return [mean, by_concept, by_object - by_concept, centred - by_object]
