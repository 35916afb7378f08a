"""Flat pictures: anti-aliased shapes on a plain ground, drawn by arithmetic on whole batches.

A shape is a signed distance to its outline. An object is painted on a patch of pixels around it, the farthest object
first; what each patch covers gives the visible share of the objects behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import ABSENT, IntArray
from bindscope.datasets.images.layout import MOVES, Layout, Path
from bindscope.datasets.images.pictures import Pictures, Pixels
from bindscope.scenes import BoolArray, FloatArray

Floats = NDArray[np.floating[Any]]
Singles = NDArray[np.float32]
GROUND = (206.0, 206.0, 206.0)
REACH = 1.12  # no shape reaches farther from its centre, in radii
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
        coverage = Coverage.of(layout, shown, side)
        for slot in np.argsort(layout.front, axis=1).T:
            cells = values[np.arange(n), slot]
            shapes = np.where(shown[np.arange(n), slot], self.column(cells, "shape"), ABSENT)
            for shape in np.unique(shapes[shapes != ABSENT]).tolist():
                rows = np.flatnonzero(shapes == shape)
                patches = Patches.around(layout, rows, slot[rows], self.size, _EDGE)
                cover = patches.cover(self.words("shape")[shape])
                patches.lay(canvas, cover, self._colored(cells[rows], layout.gain[rows], patches))
                coverage.add(patches, slot[rows], cover)
        return canvas[:, _EDGE:-_EDGE, _EDGE:-_EDGE], coverage.shares(shown)

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


def signed_distance(shape: str, x: Floats, y: Floats) -> Floats:
    """Distance of points to the outline of a shape; x to the right, y down. Convex outlines: exact near the edges."""
    return _SHAPES[shape](x, y)


def _circle(x: Floats, y: Floats) -> Floats:
    return np.sqrt(x * x + y * y) - x.dtype.type(0.9)


def _ring(x: Floats, y: Floats) -> Floats:
    return np.abs(np.sqrt(x * x + y * y) - x.dtype.type(0.72)) - x.dtype.type(0.24)


def _regular(corners: int, radius: float, first: float) -> list[tuple[float, float]]:
    """Corners of a regular polygon, counted from an angle in turns, clockwise as seen (y down)."""
    turns = first + np.arange(corners) / corners
    return [(radius * float(np.cos(2 * np.pi * t)), radius * float(np.sin(2 * np.pi * t))) for t in turns]


def _star() -> list[tuple[float, float]]:
    outer, inner = _regular(5, 1.1, -0.25), _regular(5, 0.5, -0.15)
    return [corner for pair in zip(outer, inner, strict=True) for corner in pair]


def _cross() -> list[tuple[float, float]]:
    a, b = 0.32, 0.98
    return [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a)]


def _heart() -> list[tuple[float, float]]:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return [(float(a) / 16.5, float(b - 2.5) / 16.5) for a, b in zip(x, y, strict=True)]


def _convex(corners: Sequence[tuple[float, float]]) -> Callable[[Floats, Floats], Floats]:
    """The largest distance to an edge's line."""
    ends = [*corners[1:], corners[0]]
    lines = []
    for (ax, ay), (bx, by) in zip(corners, ends, strict=True):
        length = float(np.hypot(bx - ax, by - ay))
        nx, ny = (by - ay) / length, (ax - bx) / length
        lines.append((nx, ny, nx * ax + ny * ay))

    def distance(x: Floats, y: Floats) -> Floats:
        kind = x.dtype.type
        found = kind(lines[0][0]) * x + kind(lines[0][1]) * y - kind(lines[0][2])
        for nx, ny, offset in lines[1:]:
            np.maximum(found, kind(nx) * x + kind(ny) * y - kind(offset), out=found)
        return found

    return distance


def _polygon(corners: Sequence[tuple[float, float]]) -> Callable[[Floats, Floats], Floats]:
    """Distance to the nearest edge, negative where a ray to the right crosses an odd number of edges."""
    ends = [*corners[1:], corners[0]]

    def distance(x: Floats, y: Floats) -> Floats:
        kind = x.dtype.type
        nearest, inside = np.full_like(x, 16.0), np.zeros(x.shape, dtype=bool)
        for (ax, ay), (bx, by) in zip(corners, ends, strict=True):
            ex, ey = kind(bx - ax), kind(by - ay)
            wx, wy = x - kind(ax), y - kind(ay)
            along = np.clip((wx * ex + wy * ey) / (ex * ex + ey * ey), kind(0), kind(1))
            dx, dy = wx - along * ex, wy - along * ey
            np.minimum(nearest, dx * dx + dy * dy, out=nearest)
            if ay != by:
                crossed = (y >= kind(ay)) != (y >= kind(by))
                inside ^= crossed & (wx < wy * ex / ey)
        return np.where(inside, -1, 1).astype(kind) * np.sqrt(nearest)

    return distance


_SHAPES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "circle": _circle,
    "square": _convex(_regular(4, 1.08, 0.125)),
    "triangle": _convex(_regular(3, 1.1, -0.25)),
    "star": _polygon(_star()),
    "cross": _polygon(_cross()),
    "diamond": _convex([(0.0, -1.1), (0.72, 0.0), (0.0, 1.1), (-0.72, 0.0)]),
    "ring": _ring,
    "heart": _polygon(_heart()),
}


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


@dataclass(frozen=True, eq=False)
class Coverage:
    """How much of each pixel every object still shows, in the pictures in which any two objects may touch.

    Objects are added from the farthest to the nearest.

    place `[n]`: position among the crowded pictures, -1 for the others. seen `[crowded, m, s, s]`; area `[crowded, m]`.
    """

    place: IntArray
    seen: NDArray[np.float32]
    area: FloatArray

    @classmethod
    def of(cls, layout: Layout, shown: BoolArray, side: int) -> Coverage:
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
