"""A pinhole camera, outlines of solids as it sees them, and what they hide of each other.

Exact, without a renderer: all solids are convex, so an outline is the convex hull of the projected corners; and two
disjoint convex solids have a plane between them, so the one on the camera's side of it is in front wherever they overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bindscope.scenes import FloatArray

Mask = NDArray[np.bool_]
Outline = FloatArray  # corners [k, 2] of a convex polygon, in order


@dataclass(frozen=True, eq=False)
class Camera:
    """position, focus `[3]`: where it is and what it looks at; angle: degrees from edge to edge of the square picture."""

    position: FloatArray
    focus: FloatArray
    angle: float = 30.0

    def project(self, points: FloatArray) -> FloatArray:
        """Points `[k, 3]` as shares of the picture's side `[k, 2]`, x to the right and y down."""
        forward = self.focus - self.position
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, (0.0, 0.0, 1.0))
        right = right / np.linalg.norm(right)
        up = np.cross(right, forward)
        away = points - self.position
        depth = away @ forward * (2 * np.tan(np.radians(self.angle) / 2))
        return np.stack([0.5 + away @ right / depth, 0.5 - away @ up / depth], axis=1)


def orbit(focus: FloatArray, distance: float, elevation: float, azimuth: float) -> Camera:
    """A camera at a distance from its focus; angles in degrees, azimuth 0 looks along +y."""
    e, a = np.radians(elevation), np.radians(azimuth)
    away = np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])
    return Camera(focus + distance * away, focus)


def convex_hull(points: FloatArray) -> Outline:
    """Corners of the convex hull of points `[k, 2]` in order (Andrew's monotone chain)."""
    ordered = [tuple(point) for point in np.unique(np.round(points, 9), axis=0).tolist()]

    def half(line: Sequence[tuple[float, ...]]) -> list[tuple[float, ...]]:
        kept: list[tuple[float, ...]] = []
        for x, y in line:
            while len(kept) > 1 and _turn(kept[-2], kept[-1], (x, y)) <= 0:
                kept.pop()
            kept.append((x, y))
        return kept[:-1]

    return np.array(half(ordered) + half(ordered[::-1]))


def _turn(a: tuple[float, ...], b: tuple[float, ...], c: tuple[float, ...]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def filled(outline: Outline, side: int) -> Mask:
    """Pixels `[side, side]` whose centre lies in a convex outline."""
    mask = np.zeros((side, side), dtype=bool)
    low = np.clip(np.floor(outline.min(axis=0) * side).astype(int), 0, side)
    high = np.clip(np.ceil(outline.max(axis=0) * side).astype(int), 0, side)
    x = (np.arange(low[0], high[0]) + 0.5) / side
    y = (np.arange(low[1], high[1]) + 0.5)[:, None] / side
    inside = np.ones((high[1] - low[1], high[0] - low[0]), dtype=bool)
    for (ax, ay), (bx, by) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        inside &= (bx - ax) * (y - ay) - (by - ay) * (x - ax) >= 0
    mask[low[1] : high[1], low[0] : high[0]] = inside
    return mask


def in_front(camera: Camera, first: FloatArray, second: FloatArray, ratio: float) -> bool:
    """Whether the second of two solids on the ground is in front. first, second `[2]`: centres; ratio: the first's part
    of the distance between them, where the dividing plane stands."""
    across = second - first
    return bool((camera.position[:2] - (first + across * ratio)) @ across > 0)


def visible_shares(outlines: Sequence[Outline], nearer: Sequence[Sequence[int]], side: int) -> FloatArray:
    """Share of the pixels of each outline that no nearer one covers, `[k]`. nearer: which are in front of each."""
    masks = [filled(outline, side) for outline in outlines]
    shares = []
    for mask, others in zip(masks, nearer, strict=True):
        seen = mask.copy()
        for other in others:
            seen &= ~masks[other]
        shares.append(seen.sum() / max(int(mask.sum()), 1))
    return np.array(shares)
