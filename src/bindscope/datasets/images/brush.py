"""Patches of anti-aliased shapes laid on a batch of pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import IntArray
from bindscope.datasets.images.layout import Layout
from bindscope.datasets.images.shapes import signed_distance

Singles = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Patches:
    """One object in each of b pictures: the pixels around it.

    rows `[b]`: pictures. corner `[b, 2]`: first column and line of the patch on the canvas. x, y `[b, p, p]`: pixel
    centres in the object's own unit and direction. unit `[b]`: pixels of that unit.
    """

    rows: IntArray
    corner: IntArray
    x: Singles
    y: Singles
    unit: Singles

    @classmethod
    def around(cls, layout: Layout, rows: IntArray, slots: IntArray, side: int, edge: int) -> Patches:
        """Patches around the objects at `slots` `[b]` of pictures of `side` pixels, on a canvas with an edge around it."""
        centre = layout.centre[rows, slots] * side + edge
        unit = layout.radius[rows, slots] * side
        reach = int(np.ceil(unit.max() * 1.2)) + 2
        corner = np.clip(np.floor(centre).astype(np.int64) - reach, 0, max(side + 2 * edge - 2 * reach, 0))
        width = min(2 * reach, side + 2 * edge)
        ticks = np.arange(width) + 0.5
        away = (corner[:, None, :] + ticks[None, :, None] - centre[:, None, :]) / unit[:, None, None]
        turn = layout.angle[rows, slots][:, None, None]
        cos, sin = np.cos(turn).astype(np.float32), np.sin(turn).astype(np.float32)
        across, down = away[:, None, :, 0].astype(np.float32), away[:, :, None, 1].astype(np.float32)
        return cls(
            rows, corner, cos * across + sin * down, cos * down - sin * across, unit.astype(np.float32)[:, None, None]
        )

    def cover(self, shape: str) -> Singles:
        """How much of each pixel the shape covers, `[b, p, p]` in 0..1."""
        distance = signed_distance(shape, self.x, self.y) * self.unit
        covered: Singles = np.clip(np.float32(0.5) - distance, np.float32(0), np.float32(1))
        return covered

    def lay(self, canvas: NDArray[np.uint8], cover: Singles, paint: Singles) -> None:
        """Blend paint `[b, p, p, 3]` or `[b, 1, 1, 3]` over the canvas `[n, s, s, 3]`."""
        where = self.window
        below = canvas[where].astype(np.float32)
        blended = below + (paint - below) * cover[..., None]
        canvas[where] = np.clip(np.rint(blended), 0, 255).astype(np.uint8)

    @property
    def window(self) -> tuple[IntArray, IntArray, IntArray]:
        """Index of the patches on a canvas `[n, s, s]`."""
        ticks = np.arange(self.x.shape[1])
        return (
            self.rows[:, None, None],
            (self.corner[:, 1, None] + ticks)[:, :, None],
            (self.corner[:, 0, None] + ticks)[:, None, :],
        )
