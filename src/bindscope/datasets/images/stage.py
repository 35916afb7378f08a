"""One picture in three dimensions, ready to be rendered."""

from __future__ import annotations

from dataclasses import dataclass

from bindscope.datasets.images.camera import Camera, Outline, convex_hull, in_front
from bindscope.datasets.images.solids import corners, reach
from bindscope.scenes import FloatArray


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
