"""Solids that stand on the ground, in units of a large radius: corners for outlines, footprints, and meshes."""

from __future__ import annotations

from typing import Any

import numpy as np

from bindscope.scenes import FloatArray

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
