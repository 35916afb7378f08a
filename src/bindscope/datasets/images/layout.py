"""Where the objects of a picture stand: named places, jitter, who is in front, and how far they overlap.

Coordinates are shares of the picture's side, x to the right and y down (in three dimensions: towards the camera). All
numbers are rounded to multiples of 2^-16, so that the last bit of a library's sine moves no pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import ABSENT, IntArray
from bindscope.scenes import BoolArray, FloatArray

Keys = NDArray[np.uint64]
MOVES = ("position", "camera", "light")
CLOSEST = 0.2  # the left one of two objects stays left by this much of a large radius
_POSITION, _TURN, _SIZE, _CAMERA, _LIGHT, _FRONT = range(1, 7)
_STEPS = 65536.0
# Rows of places for each number of slots, as (number in the row, height).
_ROWS: dict[int, tuple[tuple[int, float], ...]] = {
    1: ((1, 0.5),),
    2: ((2, 0.5),),
    3: ((3, 0.5),),
    4: ((2, 0.27), (2, 0.73)),
    5: ((3, 0.27), (2, 0.73)),
    6: ((3, 0.27), (3, 0.73)),
}
_ACROSS = {1: (0.5,), 2: (0.27, 0.73), 3: (0.19, 0.5, 0.81)}


@dataclass(frozen=True, eq=False)
class Layout:
    """n pictures of up to m objects. centre `[n, m, 2]`; radius, angle `[n, m]`; front `[n, m]`: 0 is the farthest.

    gain `[n]`: factor on the objects' brightness; ground `[n]`: factor on the background's.
    """

    centre: FloatArray
    radius: FloatArray
    angle: FloatArray
    front: IntArray
    gain: FloatArray
    ground: FloatArray


@dataclass(frozen=True, eq=False)
class Path:
    """How one object comes to hide another, step by step: hidden share, and how far it stands to the side and nearer.

    shares `[k]`; across, near `[k]` in large radii.
    """

    shares: FloatArray
    across: FloatArray
    near: FloatArray

    def at(self, wanted: FloatArray) -> FloatArray:
        """Distances across for wanted shares; the closest where a share is never reached."""
        falling = np.minimum.accumulate(self.shares)[::-1]
        return np.maximum(np.interp(wanted, falling, self.across[::-1]), CLOSEST)

    def near_at(self, across: FloatArray) -> FloatArray:
        """Distance towards the viewer at a distance across."""
        return np.asarray(np.interp(across, self.across, self.near))


def rows_of_places(m: int) -> list[list[int]]:
    """Slots that stand side by side, row by row."""
    rows, start = [], 0
    for count, _ in _ROWS[m]:
        rows.append(list(range(start, start + count)))
        start += count
    return rows


def places(m: int) -> FloatArray:
    """Centres `[m, 2]` of the places."""
    return np.array([(x, y) for count, y in _ROWS[m] for x in _ACROSS[count]], dtype=np.float64)


def full_radius(m: int) -> float:
    """Radius of a large object, so that neighbours never touch."""
    return 0.115 if max(count for count, _ in _ROWS[m]) > 2 else 0.17


def arrange(dice: Dice, scale: FloatArray, jitter: float, moves: tuple[str, ...], lone: bool) -> Layout:
    """Places with jitter. scale `[n, m]`: size of each object. lone: a single object stands in the middle."""
    n, m = dice.ids.shape
    centre = np.broadcast_to(places(m), (n, m, 2)).copy()
    if lone:
        centre[(dice.ids != ABSENT).sum(axis=1) == 1] = 0.5
    radius, angle = full_radius(m) * scale, np.zeros((n, m))
    gain, ground = np.ones(n), np.ones(n)
    if "position" in moves:
        aside = np.stack([dice.by_slot(_POSITION), dice.by_slot(_POSITION + 32)], axis=2)
        centre += full_radius(m) * 0.16 * jitter * spread(aside)
        angle += 0.21 * jitter * spread(dice.by_slot(_TURN))
        radius = radius * (1 + 0.05 * jitter * spread(dice.by_slot(_SIZE)))
    if "camera" in moves:
        zoom = 1 + 0.03 * jitter * spread(dice.uniform(_CAMERA))
        aside = np.stack([dice.uniform(_CAMERA + 32), dice.uniform(_CAMERA + 64)], axis=1)
        centre = 0.5 + (centre - 0.5) * zoom[:, None, None] + 0.012 * jitter * spread(aside)[:, None, :]
        radius = radius * zoom[:, None]
    if "light" in moves:
        gain = 1 - 0.16 * jitter * dice.uniform(_LIGHT)
        ground = 1 - 0.1 * jitter * dice.uniform(_LIGHT + 32)
    front = ranks(dice.by_slot(_FRONT))
    return Layout(rounded(centre), rounded(radius), rounded(angle), front, rounded(gain), rounded(ground))


class Occlusion(Protocol):
    """How kinds of objects hide each other."""

    def path(self, rear: int, front: int, m: int) -> Path:
        """How the front one comes to hide the rear one."""

    def apart(self, first: int, second: int) -> float:
        """Distance at which they neither touch nor hide each other when side by side, in large radii."""


def overlapped(
    layout: Layout, shown: BoolArray, kinds: IntArray, occlusion: Occlusion, share: FloatArray, odd: BoolArray
) -> Layout:
    """The layout with neighbours moved together until the one in front hides `share` `[n]` of the other.

    kinds `[n, m]`: what each object looks like. odd `[n]`: whether the objects at odd or at even places of a row are in
    front; one between two others is hidden half by each.
    """
    m = shown.shape[1]
    moved = share > 0
    centre, front = layout.centre.copy(), layout.front.copy()
    for row in rows_of_places(m):
        ahead = (np.arange(len(row)) % 2 == 1) == odd[:, None]
        line = _Line(kinds[:, row], shown[:, row], ahead, occlusion, m)
        across, near = line.offsets(share)
        # One jitter for the whole row: with one for each object the shares would miss their aim.
        start = layout.centre[:, row[:1]] - places(m)[row[0]]
        home = places(m)[row]
        aside = np.stack([across + home[:, 0].mean(), near + home[0, 1]], axis=2) + start
        centre[:, row] = np.where(moved[:, None, None], aside, centre[:, row])
        front[:, row] = np.where(moved[:, None], ahead * m + ranks(front[:, row]), front[:, row])
    return replace(layout, centre=rounded(centre), front=ranks(front))


@dataclass(frozen=True, eq=False)
class _Line:
    """Objects side by side: kinds, shown, ahead (in front) `[n, k]`."""

    kinds: IntArray
    shown: BoolArray
    ahead: BoolArray
    occlusion: Occlusion
    m: int

    def offsets(self, share: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Offsets across and towards the viewer `[n, k]` from the middle of the row."""
        n, count = self.shown.shape
        steps = np.zeros((n, count))
        for i in range(1, count):
            steps[:, i] = self._step(i, share)
        for i in range(2, count):  # the two beside one object must not meet each other
            need = self._apart(i - 2, i)
            steps[:, i - 1 : i + 1] *= np.maximum(need / (steps[:, i - 1] + steps[:, i]), 1.0)[:, None]
        across = np.cumsum(steps, axis=1)
        depth = np.stack([np.zeros(n), *(self._depth(i, steps[:, i]) for i in range(1, count)), np.zeros(n)], axis=1)
        near = (
            np.where(self.ahead, 0.0, -np.maximum(depth[:, :-1], depth[:, 1:])) + depth.max(axis=1, keepdims=True) / 2
        )
        unit = full_radius(self.m)
        return (across - across[:, -1:] / 2) * unit, near * unit

    def _pairs(self, i: int) -> list[tuple[int, int, IntArray]]:
        """Each (rear kind, front kind) that neighbours i - 1 and i show, with its rows."""
        right = self.ahead[:, i]
        rear = np.where(right, self.kinds[:, i - 1], self.kinds[:, i])
        over = np.where(right, self.kinds[:, i], self.kinds[:, i - 1])
        both = self.shown[:, i - 1] & self.shown[:, i]
        known = np.unique(np.stack([rear, over], axis=1)[both], axis=0).tolist()
        return [(a, b, np.flatnonzero(both & (rear == a) & (over == b))) for a, b in known]

    def _step(self, i: int, share: FloatArray) -> FloatArray:
        hidden = np.where(self.ahead[:, i], i - 1, i)
        aim = share / np.where((hidden > 0) & (hidden < self.shown.shape[1] - 1), 2.0, 1.0)
        step = np.full(len(share), 2.2)
        for rear, front, rows in self._pairs(i):
            step[rows] = self.occlusion.path(rear, front, self.m).at(aim[rows])
        return step

    def _depth(self, i: int, step: FloatArray) -> FloatArray:
        depth = np.zeros(len(step))
        for rear, front, rows in self._pairs(i):
            depth[rows] = self.occlusion.path(rear, front, self.m).near_at(step[rows])
        return depth

    def _apart(self, first: int, second: int) -> FloatArray:
        need = np.zeros(len(self.shown))
        both = self.shown[:, first] & self.shown[:, second]
        pairs = self.kinds[:, [first, second]]
        for a, b in np.unique(pairs[both], axis=0).tolist():
            need[both & (pairs == [a, b]).all(axis=1)] = self.occlusion.apart(a, b)
        return need


def ranks(array: NDArray[np.generic]) -> IntArray:
    """Rank of each number within its row, 0 for the smallest."""
    return np.asarray(np.argsort(np.argsort(array, axis=1, kind="stable"), axis=1, kind="stable"), dtype=np.int64)


def spread(uniform: FloatArray) -> FloatArray:
    """Numbers in -1..1 from numbers in 0..1."""
    return 2 * uniform - 1


def rounded(array: FloatArray) -> FloatArray:
    """The nearest multiples of 2^-16."""
    return np.asarray(np.rint(array * _STEPS) / _STEPS)


@dataclass(frozen=True, eq=False)
class Dice:
    """Numbers for n pictures. ids `[n, m]`: object ids, -1 where absent. replicate `[n]`."""

    seed: int
    ids: IntArray
    replicate: IntArray

    @cached_property
    def _keys(self) -> Keys:
        keys = mixed(np.full(len(self.ids), self.seed, dtype=np.uint64))
        for column in (*self.ids.T, self.replicate):
            keys = mixed(keys ^ (column.astype(np.int64) + 1).astype(np.uint64))
        return keys

    def uniform(self, purpose: int) -> FloatArray:
        """One number in [0, 1) a picture, `[n]`."""
        keys = mixed(self._keys + np.uint64(purpose << 8))
        return (keys >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def by_slot(self, purpose: int) -> FloatArray:
        """One number in [0, 1) an object, `[n, m]`."""
        slots = self.ids.shape[1]
        return np.stack([self.uniform((purpose << 8) + slot + 1) for slot in range(slots)], axis=1)


def mixed(keys: Keys) -> Keys:
    """A bijection of 64-bit numbers that leaves no pattern (the finaliser of splitmix64, Steele et al. 2014)."""
    z = keys + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
