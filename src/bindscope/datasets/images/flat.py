"""Flat pictures: anti-aliased shapes on a plain ground, drawn by arithmetic on whole batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import ABSENT, ConceptSpace, IntArray
from bindscope.datasets.images.brush import Patches
from bindscope.datasets.images.keyed import Dice
from bindscope.datasets.images.layout import MOVES, Layout, arrange
from bindscope.datasets.images.overlap import mask_grid, overlapped
from bindscope.datasets.images.shapes import signed_distance
from bindscope.datasets.images.sight import Sight
from bindscope.datasets.images.words import COLORS, SCALES
from bindscope.scenes import FloatArray

Pixels = NDArray[np.uint8]
GROUND = (206.0, 206.0, 206.0)
BATCH = 32
DRAWING = 1  # raised whenever the same scene gives other pixels
_EDGE = 4  # pixels around a picture that are drawn and cut off
_PARITY, _AIM = 91, 92


@dataclass(frozen=True)
class FlatPictures:
    """How scenes are drawn. space: concepts named color and shape, and perhaps size and material.

    size: side in pixels. jitter: 0 (none) .. 1. moves: what jitters. occlusion: hidden share of the rear one of two
    neighbours, drawn evenly between the two numbers. lone: a scene of one object shows it in the middle.
    """

    space: ConceptSpace
    size: int = 224
    jitter: float = 0.0
    moves: tuple[str, ...] = MOVES
    occlusion: tuple[float, float] = (0.0, 0.0)
    seed: int = 0
    lone: bool = True

    def draw(self, values: IntArray, replicate: IntArray | None = None) -> Pixels:
        """Pictures `[n, size, size, 3]` of scenes `[n, m, C]` (value indices, -1 where absent)."""
        return self.draw_with_shares(values, replicate)[0]

    def draw_with_shares(self, values: IntArray, replicate: IntArray | None = None) -> tuple[Pixels, FloatArray]:
        """Pictures, and the visible share of each object `[n, m]` (NaN where absent)."""
        copies = np.zeros(len(values), dtype=np.int64) if replicate is None else replicate
        pixels = np.empty((len(values), self.size, self.size, 3), dtype=np.uint8)
        shares = np.full(values.shape[:2], np.nan)
        for start in range(0, len(values), BATCH):
            rows = slice(start, start + BATCH)
            some = np.asarray(values[rows], dtype=np.int64)
            layout = self.layout(some, copies[rows])
            pixels[rows], shares[rows] = self._paint(some, layout)
        return pixels, shares

    def shares(self, values: IntArray, replicate: IntArray | None = None) -> FloatArray:
        """Visible share of each object `[n, m]`, NaN where absent."""
        return self.draw_with_shares(values, replicate)[1]

    @property
    def chunk(self) -> int:
        """Scenes that a process draws before it reports."""
        return 128

    def layout(self, values: IntArray, replicate: IntArray) -> Layout:
        """Where the objects of each scene stand."""
        dice = Dice(self.seed, self.space.object_ids(values), np.asarray(replicate, dtype=np.int64))
        shown = (values != ABSENT).any(axis=2)
        scale = np.where(shown, self._scales[self._column(values, "size")], 1.0)
        layout = arrange(dice, scale, self.jitter, self.moves, self.lone)
        low, high = self.occlusion
        if high <= 0 or values.shape[1] < 2:
            return layout
        share = np.where(shown.sum(axis=1) > 1, low + (high - low) * dice.uniform(_AIM), 0.0)
        kinds = self._column(values, "shape") * len(self._scales) + self._column(values, "size")
        return overlapped(layout, shown, kinds, self._masks, share, dice.uniform(_PARITY) < 0.5)

    def to_json(self) -> dict[str, Any]:
        """All that determines the pictures, as JSON-able values."""
        space = [[concept.name, list(concept.values)] for concept in self.space.concepts]
        return {"kind": "flat", "drawing": DRAWING, **asdict(self), "space": space}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> FlatPictures:
        """The same from `to_json`."""
        return cls(
            ConceptSpace.of(record["space"]),
            record["size"],
            record["jitter"],
            tuple(record["moves"]),
            (record["occlusion"][0], record["occlusion"][1]),
            record["seed"],
            record["lone"],
        )

    def _words(self, concept: str) -> tuple[str, ...]:
        names = self.space.names
        return self.space.concepts[names.index(concept)].values if concept in names else ()

    def _column(self, values: IntArray, concept: str) -> IntArray:
        """Value indices `[n, m]` of a concept; 0 where the space has no such concept or no object is there."""
        if concept not in self.space.names:
            return np.zeros(values.shape[:2], dtype=np.int64)
        return np.maximum(values[:, :, self.space.names.index(concept)], 0)

    @cached_property
    def _scales(self) -> FloatArray:
        return np.array([SCALES[word] for word in self._words("size") or ("large",)])

    @cached_property
    def _masks(self) -> list[NDArray[np.bool_]]:
        """What each shape covers in each size, shape by shape."""
        x, y = mask_grid()
        return [signed_distance(shape, x / s, y / s) <= 0 for shape in self._words("shape") for s in self._scales]

    def _paint(self, values: IntArray, layout: Layout) -> tuple[Pixels, FloatArray]:
        """Lay the objects on the ground, the farthest first."""
        n = len(values)
        side = self.size + 2 * _EDGE
        ground = np.rint(np.array(GROUND) * layout.ground[:, None]).astype(np.uint8)
        canvas = np.broadcast_to(ground[:, None, None, :], (n, side, side, 3)).copy()
        shown = (values != ABSENT).any(axis=2)
        sight = Sight.of(layout, shown, side)
        for slot in np.argsort(layout.front, axis=1).T:
            shapes = np.where(shown[np.arange(n), slot], self._column(values, "shape")[np.arange(n), slot], ABSENT)
            for shape in np.unique(shapes[shapes != ABSENT]).tolist():
                rows = np.flatnonzero(shapes == shape)
                patches = Patches.around(layout, rows, slot[rows], self.size, _EDGE)
                cover = patches.cover(self._words("shape")[shape])
                patches.lay(canvas, cover, self._colored(values[rows, slot[rows]], layout.gain[rows], patches))
                sight.add(patches, slot[rows], cover)
        return canvas[:, _EDGE:-_EDGE, _EDGE:-_EDGE], sight.shares(shown)

    def _colored(self, cells: IntArray, gain: FloatArray, patches: Patches) -> NDArray[np.float32]:
        """Colour of each pixel: plain for rubber, with a sheen across it for metal."""
        names = self.space.names
        colors = np.array([COLORS[word] for word in self._words("color") or ("gray",)], dtype=np.float32)
        index = cells[:, names.index("color")] if "color" in names else np.zeros(len(cells), dtype=np.int64)
        plain: NDArray[np.float32] = (colors[index] * gain.astype(np.float32)[:, None])[:, None, None, :]
        if "material" not in names:
            return plain
        metal = np.array([word == "metal" for word in self._words("material")])[cells[:, names.index("material")]]
        sheen = metallic(patches.x, patches.y)[..., None] * metal[:, None, None, None].astype(np.float32)
        return np.asarray(plain * (1 - np.float32(0.45) * np.abs(sheen)) + np.float32(115) * np.maximum(sheen, 0))


def metallic(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """A sheen in -1..1 along the diagonal: bright bands, dark between them."""
    along = (x + y) * np.float32(2.6)
    wave = np.abs(along - 2 * np.floor(along * np.float32(0.5)) - 1)  # a triangle wave, 0..1
    return np.asarray(2 * wave - 1)
