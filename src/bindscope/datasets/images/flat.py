"""Flat pictures: anti-aliased shapes on a plain ground, drawn by arithmetic on whole batches."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import ABSENT, IntArray
from bindscope.datasets.images.brush import Patches
from bindscope.datasets.images.layout import MOVES, Layout, Path
from bindscope.datasets.images.pictures import Pictures, Pixels
from bindscope.datasets.images.shapes import signed_distance
from bindscope.datasets.images.sight import Sight
from bindscope.scenes import FloatArray

GROUND = (206.0, 206.0, 206.0)
BATCH = 32
_EDGE = 4  # pixels around a picture that are drawn and cut off
_CELLS, _REACH = 48, 1.25  # cells of a mask per unit of length, and how far it goes


class FlatPictures(Pictures):
    """Shapes of one colour each on a gray ground; metal has a sheen of stripes."""

    kind = "flat"
    drawing = 2
    chunk = 128
    fragile = False

    def draw_with_shares(self, values: IntArray, replicate: IntArray | None = None) -> tuple[Pixels, FloatArray]:
        """Pictures, and the visible share of each object `[n, m]` (NaN where absent)."""
        pixels = np.empty((len(values), self.size, self.size, 3), dtype=np.uint8)
        shares = np.full(values.shape[:2], np.nan)
        for start in range(0, len(values), BATCH):
            rows = slice(start, start + BATCH)
            some = np.asarray(values[rows], dtype=np.int64)
            layout = self.layout(some, None if replicate is None else replicate[rows], MOVES)
            pixels[rows], shares[rows] = self._paint(some, layout)
        return pixels, shares

    def shares(self, values: IntArray, replicate: IntArray | None = None) -> FloatArray:
        """Visible shares alone, at the cost of drawing."""
        return self.draw_with_shares(values, replicate)[1]

    def make_path(self, rear: int, front: int, m: int) -> Path:
        """The front mask slides to the side, cell by cell."""
        behind, ahead = self._masks[rear], self._masks[front]
        width = behind.shape[1]
        padded = np.pad(ahead, ((0, 0), (width, 0)))
        hidden = [(behind & padded[:, width - step : 2 * width - step]).sum() for step in range(width)]
        shares = np.asarray(hidden, dtype=np.float64) / behind.sum()
        return Path(shares, np.arange(width) / _CELLS, np.zeros(width))

    def apart(self, first: int, second: int) -> float:
        """Sum of their half widths."""
        widths = [np.flatnonzero(self._masks[kind].any(axis=0)) for kind in (first, second)]
        return float(sum(columns[-1] - columns[0] + 1 for columns in widths)) / (2 * _CELLS)

    @cached_property
    def _masks(self) -> list[NDArray[np.bool_]]:
        """What each kind covers, in units of a large radius."""
        ticks = (np.arange(int(2 * _REACH * _CELLS)) + 0.5) / _CELLS - _REACH
        x, y = np.meshgrid(ticks, ticks)
        return [signed_distance(shape, x / s, y / s) <= 0 for shape in self.words("shape") for s in self.scales]

    def _paint(self, values: IntArray, layout: Layout) -> tuple[Pixels, FloatArray]:
        """Lay the objects on the ground, the farthest first."""
        n, side = len(values), self.size + 2 * _EDGE
        ground = np.rint(np.array(GROUND) * layout.ground[:, None]).astype(np.uint8)
        canvas = np.broadcast_to(ground[:, None, None, :], (n, side, side, 3)).copy()
        shown = (values != ABSENT).any(axis=2)
        sight = Sight.of(layout, shown, side)
        for slot in np.argsort(layout.front, axis=1).T:
            cells = values[np.arange(n), slot]
            shapes = np.where(shown[np.arange(n), slot], self.column(cells, "shape"), ABSENT)
            for shape in np.unique(shapes[shapes != ABSENT]).tolist():
                rows = np.flatnonzero(shapes == shape)
                patches = Patches.around(layout, rows, slot[rows], self.size, _EDGE)
                cover = patches.cover(self.words("shape")[shape])
                patches.lay(canvas, cover, self._colored(cells[rows], layout.gain[rows], patches))
                sight.add(patches, slot[rows], cover)
        return canvas[:, _EDGE:-_EDGE, _EDGE:-_EDGE], sight.shares(shown)

    def _colored(self, cells: IntArray, gain: FloatArray, patches: Patches) -> NDArray[np.float32]:
        """Colour of each pixel: plain for rubber, with a sheen across it for metal."""
        colors = self.colors[self.column(cells, "color")] * gain[:, None]
        plain = colors.astype(np.float32)[:, None, None, :]
        if "material" not in self.space.names:
            return plain
        sheen = metallic(patches.x, patches.y)[..., None] * self.metal(cells)[:, None, None, None].astype(np.float32)
        return np.asarray(plain * (1 - np.float32(0.45) * np.abs(sheen)) + np.float32(115) * np.maximum(sheen, 0))


def metallic(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """A sheen in -1..1 along the diagonal: bright bands, dark between them."""
    along = (x + y) * np.float32(2.6)
    wave = np.abs(along - 2 * np.floor(along * np.float32(0.5)) - 1)  # a triangle wave, 0..1
    return np.asarray(2 * wave - 1)
