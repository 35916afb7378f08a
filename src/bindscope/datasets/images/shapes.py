"""Flat shapes as signed distances (negative inside), on a scale where a large shape reaches about 1 from its centre."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


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
