"""Painters by kind: what turns scenes into pixels."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import IntArray
from bindscope.scenes import FloatArray

PAINTERS = {
    "flat": "bindscope.datasets.images.flat:FlatPictures",
    "solid": "bindscope.datasets.images.solid:SolidPictures",
}


class Painter(Protocol):
    """Draws scenes; a picture depends on its scene, its replicate and the painter alone."""

    @property
    def chunk(self) -> int:
        """Scenes that a process draws before it reports."""

    @property
    def fragile(self) -> bool:
        """Whether drawing can bring a process down (a graphics driver), so that it must not be this one."""

    def draw(self, values: IntArray, replicate: IntArray | None = None) -> NDArray[np.uint8]:
        """Pictures `[n, size, size, 3]` of scenes `[n, m, C]`."""

    def shares(self, values: IntArray, replicate: IntArray | None = None) -> FloatArray:
        """Visible share of each object `[n, m]`, NaN where absent."""

    def draw_with_shares(
        self, values: IntArray, replicate: IntArray | None = None
    ) -> tuple[NDArray[np.uint8], FloatArray]:
        """Both."""

    def to_json(self) -> dict[str, Any]:
        """All that determines the pictures."""


def painter_of(record: Mapping[str, Any]) -> Painter:
    """The painter that `to_json` described."""
    module, name = PAINTERS[record["kind"]].split(":")
    return cast(Painter, getattr(importlib.import_module(module), name).from_json(record))
