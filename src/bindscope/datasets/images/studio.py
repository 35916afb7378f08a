"""The renderer: one off-screen window, emptied and furnished anew for every picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyvista as pv
from vtkmodules.vtkCommonCore import vtkLogger

from bindscope.datasets.images.pictures import Pixels
from bindscope.datasets.images.solids import mesh
from bindscope.datasets.images.stage import Stage
from bindscope.scenes import FloatArray

SUPERSAMPLING = 2
FLOOR, SKY = (0.72, 0.72, 0.72), (0.56, 0.56, 0.56)  # the sky as dark as the floor far away, where it ends
KEY, FILL = (-10.0, -13.0, 21.0), (13.0, -16.0, 17.0)  # far away, so that the floor is lit evenly
KEY_POWER, FILL_POWER = 0.72, 0.38
CONE = 62.0  # degrees from the axis of a lamp to its edge


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
