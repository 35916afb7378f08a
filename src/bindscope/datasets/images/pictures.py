"""What flat and solid pictures share: what they are drawn from, and how they are written down."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import ABSENT, ConceptSpace, IntArray
from bindscope.datasets.images.layout import MOVES, Dice, Layout, Path, arrange, overlapped
from bindscope.datasets.images.vocabulary import COLORS, SCALES
from bindscope.scenes import BoolArray, FloatArray

Pixels = NDArray[np.uint8]
_PARITY, _AIM = 91, 92


@dataclass(frozen=True)
class Pictures(ABC):
    """Draws scenes; a picture depends on its scene, its replicate and these fields alone.

    space: concepts named color and shape, and perhaps size and material. size: side in pixels. jitter: 0 (none) .. 1.
    moves: what jitters. occlusion: hidden share of the rear one of two neighbours, drawn evenly between the two numbers.
    lone: a scene of one object shows it in the middle.
    """

    space: ConceptSpace
    size: int = 224
    jitter: float = 0.0
    moves: tuple[str, ...] = MOVES
    occlusion: tuple[float, float] = (0.0, 0.0)
    seed: int = 0
    lone: bool = True

    kind: ClassVar[str]
    drawing: ClassVar[int]  # raised whenever the same scene gives other pixels
    chunk: ClassVar[int]  # scenes that a process draws before it reports
    fragile: ClassVar[bool]  # whether drawing can bring a process down

    @abstractmethod
    def draw_with_shares(self, values: IntArray, replicate: IntArray | None = None) -> tuple[Pixels, FloatArray]:
        """Pictures, and the visible share of each object `[n, m]` (NaN where absent)."""

    @abstractmethod
    def shares(self, values: IntArray, replicate: IntArray | None = None) -> FloatArray:
        """Visible shares alone."""

    @abstractmethod
    def make_path(self, rear: int, front: int, m: int) -> Path:
        """How one kind of object comes to hide another; kinds number shapes, and sizes within them."""

    @abstractmethod
    def apart(self, first: int, second: int) -> float:
        """Distance at which two kinds are clear of each other, in large radii."""

    def path(self, rear: int, front: int, m: int) -> Path:
        """The same, made once."""
        if (rear, front, m) not in self._paths:
            self._paths[rear, front, m] = self.make_path(rear, front, m)
        return self._paths[rear, front, m]

    @cached_property
    def _paths(self) -> dict[tuple[int, int, int], Path]:
        return {}

    def draw(self, values: IntArray, replicate: IntArray | None = None) -> Pixels:
        """Pictures `[n, size, size, 3]` of scenes `[n, m, C]` (value indices, -1 where absent)."""
        return self.draw_with_shares(values, replicate)[0]

    def to_json(self) -> dict[str, Any]:
        """All that determines the pictures, as JSON-able values."""
        space = [[concept.name, list(concept.values)] for concept in self.space.concepts]
        about = {"kind": self.kind, "drawing": self.drawing, "colors": self.colors.tolist(), **self.libraries()}
        return {**asdict(self), "space": space, **about}

    def libraries(self) -> dict[str, Any]:
        """Versions of libraries that the pixels depend on."""
        return {}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The same from `to_json`."""
        low, high = record["occlusion"]
        moves, space = tuple(record["moves"]), ConceptSpace.of(record["space"])
        return cls(space, record["size"], record["jitter"], moves, (low, high), record["seed"], record["lone"])

    def layout(self, values: IntArray, replicate: IntArray | None, moves: tuple[str, ...]) -> Layout:
        """Where the objects of each scene stand; moves: what of `self.moves` the layout shows itself."""
        dice = self.dice(values, replicate)
        shown = (values != ABSENT).any(axis=2)
        scale = np.where(shown, self.scales[self.column(values, "size")], 1.0)
        layout = arrange(dice, scale, self.jitter, tuple(word for word in self.moves if word in moves), self.lone)
        low, high = self.occlusion
        if high <= 0 or values.shape[1] < 2:
            return layout
        share = np.where(shown.sum(axis=1) > 1, low + (high - low) * dice.uniform(_AIM), 0.0)
        return overlapped(layout, shown, self.kinds(values), self, share, dice.uniform(_PARITY) < 0.5)

    def dice(self, values: IntArray, replicate: IntArray | None) -> Dice:
        """The chance of these pictures."""
        copies = np.zeros(len(values), dtype=np.int64) if replicate is None else np.asarray(replicate, dtype=np.int64)
        return Dice(self.seed, self.space.object_ids(values), copies)

    def kinds(self, values: IntArray) -> IntArray:
        """Number of each object's shape and size, `[n, m]`."""
        return self.column(values, "shape") * len(self.scales) + self.column(values, "size")

    def words(self, concept: str) -> tuple[str, ...]:
        """Values of a concept; none where the space has no such concept."""
        names = self.space.names
        return self.space.concepts[names.index(concept)].values if concept in names else ()

    def column(self, values: IntArray, concept: str) -> IntArray:
        """Value indices of a concept; 0 where the space has no such concept or no object is there."""
        if concept not in self.space.names:
            return np.zeros(values.shape[:-1], dtype=np.int64)
        return np.maximum(values[..., self.space.names.index(concept)], 0)

    def metal(self, values: IntArray) -> BoolArray:
        """Whether objects are of metal."""
        words = self.words("material") or ("rubber",)
        return np.array([word == "metal" for word in words])[self.column(values, "material")]

    @cached_property
    def colors(self) -> FloatArray:
        """Red, green, blue in 0..255 of each value of color, `[V, 3]`."""
        return np.array([COLORS[word] for word in self.words("color") or ("gray",)], dtype=np.float64)

    @cached_property
    def scales(self) -> FloatArray:
        """Size of each value of size, 1 for a large one."""
        return np.array([SCALES[word] for word in self.words("size") or ("large",)])
