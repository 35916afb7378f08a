"""Where the objects of a picture stand: named places, jitter, who is in front, and how far they overlap.

Coordinates are shares of the picture's side, x to the right and y down. All numbers are rounded to multiples of 2^-16,
so that the last bit of a library's sine moves no pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import ABSENT
from bindscope.datasets.images.keyed import Dice
from bindscope.scenes import BoolArray, FloatArray

MOVES = ("position", "camera", "light")
_POSITION, _TURN, _SIZE, _CAMERA, _LIGHT, _FRONT, _SHARE = range(1, 8)
_STEPS = 65536.0
# Rows of places for each number of slots, as (number in the row, height); radius of a large object.
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
    front: NDArray[np.int64]
    gain: FloatArray
    ground: FloatArray


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
    """Places with jitter. scale `[n, m]`: size of each object, 1 for a large one. lone: a single object stands in the middle."""
    n, m = dice.ids.shape
    centre = np.broadcast_to(places(m), (n, m, 2)).copy()
    shown = dice.ids != ABSENT
    if lone:
        alone = shown.sum(axis=1) == 1
        centre[alone] = 0.5
    radius = full_radius(m) * scale
    angle = np.zeros((n, m))
    gain, ground = np.ones(n), np.ones(n)
    if "position" in moves and jitter:
        reach = full_radius(m) * 0.16 * jitter
        centre += reach * np.stack([spread(dice.by_slot(_POSITION)), spread(dice.by_slot(_POSITION + 32))], axis=2)
        angle += 0.21 * jitter * spread(dice.by_slot(_TURN))
        radius = radius * (1 + 0.05 * jitter * spread(dice.by_slot(_SIZE)))
    if "camera" in moves and jitter:
        zoom = 1 + 0.03 * jitter * spread(dice.uniform(_CAMERA))
        shift = (
            0.012 * jitter * np.stack([spread(dice.uniform(_CAMERA + 32)), spread(dice.uniform(_CAMERA + 64))], axis=1)
        )
        centre = 0.5 + (centre - 0.5) * zoom[:, None, None] + shift[:, None, :]
        radius = radius * zoom[:, None]
    if "light" in moves and jitter:
        gain = 1 - 0.16 * jitter * dice.uniform(_LIGHT)
        ground = 1 - 0.1 * jitter * dice.uniform(_LIGHT + 32)
    front = np.argsort(np.argsort(dice.by_slot(_FRONT), axis=1), axis=1)
    return Layout(rounded(centre), rounded(radius), rounded(angle), front, rounded(gain), rounded(ground))


def spread(uniform: FloatArray) -> FloatArray:
    """Numbers in -1..1 from numbers in 0..1."""
    return 2 * uniform - 1


def rounded(array: FloatArray) -> FloatArray:
    """The nearest multiples of 2^-16."""
    return np.rint(array * _STEPS) / _STEPS


def scales_of(
    words: tuple[str, ...], scales: dict[str, float], codes: NDArray[np.int64], shown: BoolArray
) -> FloatArray:
    """Size of each object `[n, m]` from the words of its size concept."""
    lookup = np.array([scales[word] for word in words])
    return np.where(shown, lookup[codes], 1.0)
