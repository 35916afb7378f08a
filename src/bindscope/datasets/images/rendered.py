"""Pictures in three dimensions, rendered off screen by pyvista: solids on a gray floor, two lights, shadows."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from bindscope.concepts import ABSENT, IntArray
from bindscope.datasets.images.layout import Layout, Path, full_radius, rounded, spread
from bindscope.datasets.images.pictures import Pictures, Pixels
from bindscope.datasets.images.solids import (
    Camera,
    Stage,
    convex_hull,
    corners,
    filled,
    mesh,
    orbit,
    reach,
    visible_shares,
)
from bindscope.errors import MissingExtraError
from bindscope.scenes import FloatArray

try:
    import pyvista as pv
    from vtkmodules.vtkCommonCore import vtkLogger, vtkVersion
except ImportError:
    raise MissingExtraError("clevr:", "pyvista", "render") from None

RADIUS = 0.7  # of a large object, in world units
ELEVATION = 22.0  # degrees above the floor, a little lower than in CLEVR, so that more can be hidden
STRETCH = 2.0  # a step down the picture goes so much farther on the floor
MARGIN = 1.2
_CAMERA, _LIGHT = 111, 121
_MASK = 160  # pixels of the masks that overlaps are computed on
_PATH_STEPS = 33
SUPERSAMPLING = 2
FLOOR, SKY = (0.72, 0.72, 0.72), (0.56, 0.56, 0.56)  # the sky as dark as the floor far away, where it ends
KEY, FILL = (-10.0, -13.0, 21.0), (13.0, -16.0, 17.0)  # far away, so that the floor is lit evenly
KEY_POWER, FILL_POWER = 0.72, 0.38
CONE = 62.0  # degrees from the axis of a lamp to its edge


class SolidPictures(Pictures):
    """Solids of rubber or metal under two lights."""

    kind = "solid"
    drawing = 3
    chunk = 12
    fragile = True

    def draw_with_shares(self, values: IntArray, replicate: IntArray | None = None) -> tuple[Pixels, FloatArray]:
        """Pictures, and the visible share of each object `[n, m]` (NaN where absent)."""
        stages = self.stages(values, replicate)
        pixels = np.empty((len(values), self.size, self.size, 3), dtype=np.uint8)
        for row, stage in enumerate(stages):
            pixels[row] = self._studio.render(stage)
        return pixels, self._shares(stages, values)

    def shares(self, values: IntArray, replicate: IntArray | None = None) -> FloatArray:
        """Visible shares alone, from the outlines."""
        return self._shares(self.stages(values, replicate), values)

    def libraries(self) -> dict[str, Any]:
        """The renderer's version."""
        return {"vtk": vtkVersion().GetVTKVersion()}

    def make_path(self, rear: int, front: int, m: int) -> Path:
        """The front solid goes around the rear one, as near as their footprints allow."""
        (behind, size), (ahead, other) = self._kinds[rear], self._kinds[front]
        apart = self.apart(rear, front)
        across = np.linspace(0.0, 1.3 * apart, _PATH_STEPS)
        near = np.sqrt(np.maximum(apart**2 - across**2, 0.0))
        camera = self._camera(m)
        shares = [self._hidden(camera, (behind, size), (ahead, other), x, y) for x, y in zip(across, near, strict=True)]
        return Path(np.array(shares), across, near / STRETCH)

    def apart(self, first: int, second: int) -> float:
        """Sum of the radii around their footprints, and a little more."""
        return 1.03 * sum(reach(shape) * float(scale) for shape, scale in (self._kinds[first], self._kinds[second]))

    @cached_property
    def _kinds(self) -> list[tuple[str, float]]:
        return [(shape, float(scale)) for shape in self.words("shape") for scale in self.scales]

    def _hidden(
        self, camera: Camera, rear: tuple[str, float], front: tuple[str, float], across: float, near: float
    ) -> float:
        """Hidden share of the rear one, the front one so far to the right and nearer (in large radii)."""
        masks = []
        for (shape, scale), x, y in ((rear, -across / 2, near / 2), (front, across / 2, -near / 2)):
            points = RADIUS * (corners(shape, 0.0) * scale + [x, y, 0.0])
            masks.append(filled(convex_hull(camera.project(points)), _MASK))
        return float((masks[0] & masks[1]).sum() / masks[0].sum())

    def stages(self, values: IntArray, replicate: IntArray | None = None) -> list[Stage]:
        """What is to be rendered, picture by picture."""
        values = np.asarray(values, dtype=np.int64)
        layout = self.layout(values, replicate, ("position",))
        dice = self.dice(values, replicate)
        views = np.stack([spread(dice.uniform(_CAMERA + i)) for i in range(3)], axis=1)
        lamps = np.stack([spread(dice.uniform(_LIGHT + i)) for i in range(3)], axis=1)
        views = rounded(views * (self.jitter if "camera" in self.moves else 0.0))
        lamps = rounded(lamps * (self.jitter if "light" in self.moves else 0.0))
        return [self._stage(values[row], layout, row, views[row], lamps[row]) for row in range(len(values))]

    def _stage(self, cells: IntArray, layout: Layout, row: int, view: FloatArray, lamps: FloatArray) -> Stage:
        m = len(cells)
        unit = RADIUS / full_radius(m)
        slots = np.flatnonzero((cells != ABSENT).any(axis=1))
        shapes, colors = self.words("shape") or ("sphere",), self.colors / 255.0
        objects = []
        for slot in slots.tolist():
            x, y = layout.centre[row, slot]
            place = np.array([(x - 0.5) * unit, (0.5 - y) * unit * STRETCH])
            shape = shapes[int(self.column(cells[slot], "shape"))]
            color = colors[int(self.column(cells[slot], "color"))]
            radius, turn = float(layout.radius[row, slot] * unit), float(layout.angle[row, slot] * 1.5)
            objects.append((shape, color, bool(self.metal(cells[slot])), place, radius, turn))
        lights = (20.0 * lamps[0], 1 + 0.15 * lamps[1], 1 + 0.25 * lamps[2])
        return Stage(self._camera(m, view), tuple(objects), tuple(slots.tolist()), lights)

    def _camera(self, m: int, view: FloatArray | None = None) -> Camera:
        """The camera of scenes with m places; view `[3]`: jitter of turn, elevation and distance in -1..1."""
        turn, up, away = (0.0, 0.0, 0.0) if view is None else view
        wide = RADIUS / full_radius(m) * MARGIN * (1.25 if m > 3 else 1.0)
        distance = wide / (2 * np.tan(np.radians(15.0)))
        focus = np.array([0.0, 0.0, 1.0 * RADIUS])
        return orbit(focus, distance * (1 + 0.04 * away), ELEVATION + 3.0 * up, 5.0 * turn)

    def _shares(self, stages: list[Stage], values: IntArray) -> FloatArray:
        shares = np.full(values.shape[:2], np.nan)
        for row, stage in enumerate(stages):
            shares[row, list(stage.slots)] = visible_shares(stage.outlines(), stage.nearer(), 2 * self.size)
        return np.round(shares, 4)

    @cached_property
    def _studio(self) -> Any:
        return Studio(self.size)


class Studio:
    """Renders stages into pictures of `size` pixels."""

    def __init__(self, size: int) -> None:
        # VTK would say that it found no display, which it does not need.
        vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
        self.size = size
        side = size * SUPERSAMPLING
        self.plotter = pv.Plotter(off_screen=True, window_size=(side, side), lighting="none")
        self.plotter.set_background(SKY)
        self.plotter.enable_shadows()

    def render(self, stage: Stage) -> Pixels:
        """The picture `[size, size, 3]`."""
        self.plotter.clear_actors()
        self.plotter.remove_all_lights()
        self._furnish(stage)
        self.plotter.render()
        large = np.asarray(self.plotter.screenshot(None, return_img=True))
        side, s = self.size, SUPERSAMPLING
        pixels: Pixels = np.rint(large.reshape(side, s, side, s, 3).mean(axis=(1, 3))).astype(np.uint8)
        return pixels

    def _furnish(self, stage: Stage) -> None:
        turn, key, fill = stage.light
        for lamp, power in ((KEY, KEY_POWER * key), (FILL, FILL_POWER * fill)):
            self.plotter.add_light(_lamp(_turned(lamp, turn), power))
        floor = pv.Plane(center=(0, 15, 0), direction=(0, 0, 1), i_size=70, j_size=70, i_resolution=1, j_resolution=1)
        self.plotter.add_mesh(floor, color=FLOOR, ambient=0.45, diffuse=0.6, specular=0.0, render=False)
        for shape, color, metal, place, radius, angle in stage.objects:
            solid = mesh(shape, angle).scale(radius).translate((place[0], place[1], 0.0))
            self.plotter.add_mesh(solid, render=False, **(_metal(solid, color) if metal else _rubber(color)))
        camera = self.plotter.camera
        camera.position, camera.focal_point = tuple(stage.camera.position), tuple(stage.camera.focus)
        camera.up = (0.0, 0.0, 1.0)
        camera.view_angle = stage.camera.angle
        camera.clipping_range = (0.5, 100.0)


def _rubber(color: FloatArray) -> dict[str, Any]:
    return {"color": tuple(color), "ambient": 0.42, "diffuse": 0.68, "specular": 0.05, "specular_power": 6}


def _metal(solid: Any, color: FloatArray) -> dict[str, Any]:
    """Bands of light and dark from the ground up, as a polished body mirrors a room, and a sharp highlight."""
    heights = solid.points[:, 2] / max(float(solid.points[:, 2].max()), 1e-9)
    solid.active_texture_coordinates = np.stack([np.full(len(heights), 0.5), heights], axis=1).astype(np.float32)
    up = np.linspace(1.0, 0.0, 128)[:, None]  # an image's first line is its top
    gloss = np.cos(2 * np.pi * 1.6 * (up - 0.86)) ** 3
    bands = np.clip(color * (1 - 0.45 * np.maximum(-gloss, 0)) + 0.5 * np.maximum(gloss, 0), 0, 1)
    image = np.repeat(np.rint(255 * bands).astype(np.uint8)[:, None, :], 4, axis=1)
    texture = pv.Texture(image)
    texture.interpolate = True
    return {"texture": texture, "ambient": 0.42, "diffuse": 0.62, "specular": 0.6, "specular_power": 30}


def _lamp(place: tuple[float, float, float], power: float) -> Any:
    lamp = pv.Light(position=place, focal_point=(0, 0, 0), color="white", light_type="scene light", intensity=power)
    lamp.positional, lamp.cone_angle, lamp.exponent = True, CONE, 0.0
    return lamp


def _turned(place: tuple[float, float, float], degrees: float) -> tuple[float, float, float]:
    a = np.radians(degrees)
    x, y, z = place
    return float(x * np.cos(a) - y * np.sin(a)), float(x * np.sin(a) + y * np.cos(a)), z
