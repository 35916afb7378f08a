"""Solids on the ground as geometry: corners, meshes, the camera, outlines in the picture, and what hides what.

Lengths are in units of a large radius. Nothing is rendered here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.scenes import FloatArray

Mask = NDArray[np.bool_]
Outline = FloatArray  # corners [k, 2] of a convex polygon, in order
# Radius of a circle around the footprint, height, and number of corners of the footprint (0: round).
_FOOTPRINTS = {
    "cube": (1.13, 1.6, 4),
    "sphere": (1.0, 2.0, 0),
    "cylinder": (0.85, 1.75, 0),
    "cone": (1.05, 2.1, 0),
    "pyramid": (1.3, 1.9, 4),
    "prism": (1.15, 1.6, 3),
}
_POINTED = ("cone", "pyramid")
_ROUND = 72
_FIRST_CORNER = {4: 0.4, 3: 0.75}  # radians: several faces are seen


def reach(shape: str) -> float:
    """Radius of a circle around the footprint."""
    return _FOOTPRINTS[shape][0]


def corners(shape: str, turn: float) -> FloatArray:
    """Points `[k, 3]` whose convex hull is the solid, turned about its axis."""
    if shape == "sphere":
        return _ball()
    radius, top, sides = _FOOTPRINTS[shape]
    angles = turn + _FIRST_CORNER.get(sides, 0.0) + 2 * np.pi * np.arange(sides or _ROUND) / (sides or _ROUND)
    base = np.stack([radius * np.cos(angles), radius * np.sin(angles), np.zeros(len(angles))], axis=1)
    if shape in _POINTED:
        return np.concatenate([base, [[0.0, 0.0, top]]])
    return np.concatenate([base, base + [0.0, 0.0, top]])


def _ball() -> FloatArray:
    around = 2 * np.pi * np.arange(_ROUND) / _ROUND
    down = np.pi * np.arange(1, _ROUND // 3) / (_ROUND // 3)
    a, b = np.meshgrid(around, down)
    points = np.stack([np.sin(b) * np.cos(a), np.sin(b) * np.sin(a), 1 + np.cos(b)], axis=2)
    return np.concatenate([points.reshape(-1, 3), [[0.0, 0.0, 0.0], [0.0, 0.0, 2.0]]])


def mesh(shape: str, turn: float) -> Any:
    """The same as a pyvista surface whose normals are those of the solid: smooth where it is round."""
    import pyvista as pv

    if shape == "sphere":
        return pv.Sphere(radius=1.0, center=(0, 0, 1), theta_resolution=_ROUND, phi_resolution=_ROUND)
    points = corners(shape, turn)
    sides = len(points) - 1 if shape in _POINTED else len(points) // 2
    bottom = [sides, *range(sides)[::-1]]
    faces = [*bottom]
    for i in range(sides):
        j = (i + 1) % sides
        faces += [3, i, j, sides] if shape in _POINTED else [4, i, j, sides + j, sides + i]
    if shape not in _POINTED:
        faces += [sides, *range(sides, 2 * sides)]
    surface = pv.PolyData(points, faces)
    if not _FOOTPRINTS[shape][2]:
        return surface.compute_normals(split_vertices=True, feature_angle=30.0, point_normals=True, cell_normals=False)
    return surface


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


@dataclass(frozen=True, eq=False)
class Stage:
    """One picture, ready to be rendered: objects as (shape, color 0..1, metal, place `[2]`, radius, turn)."""

    camera: Camera
    objects: tuple[tuple[str, FloatArray, bool, FloatArray, float, float], ...]
    slots: tuple[int, ...]
    light: tuple[float, float, float]  # turn of the lights in degrees, factor of the first and of the second

    def outlines(self) -> list[Outline]:
        """Convex outlines as the camera sees them, in shares of the picture's side."""
        found = []
        for shape, _, _, place, radius, turn in self.objects:
            points = corners(shape, turn) * radius + [place[0], place[1], 0.0]
            found.append(convex_hull(self.camera.project(points)))
        return found

    def nearer(self) -> list[list[int]]:
        """For each object, those that stand in front of it."""
        found: list[list[int]] = [[] for _ in self.objects]
        for i, (shape, _, _, place, radius, _) in enumerate(self.objects):
            for j, (other, _, _, there, size, _) in enumerate(self.objects):
                own, theirs = reach(shape) * radius, reach(other) * size
                if i != j and in_front(self.camera, place, there, own / (own + theirs)):
                    found[i].append(j)
        return found
