"""How far two neighbours must stand apart so that the one in front hides a given share of the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bindscope.datasets.images.layout import Layout, full_radius, places, rounded, rows_of_places
from bindscope.scenes import BoolArray, FloatArray

Mask = NDArray[np.bool_]
_CELLS = 48  # cells of a mask per unit of length
_REACH = 1.25
CLOSEST = 0.2  # the left object stays left by this much of a large radius


def mask_grid() -> tuple[FloatArray, FloatArray]:
    """Points of a mask, x and y `[k, k]`, in units of a large radius."""
    ticks = (np.arange(int(2 * _REACH * _CELLS)) + 0.5) / _CELLS - _REACH
    x, y = np.meshgrid(ticks, ticks)
    return np.asarray(x), np.asarray(y)


def hidden_shares(rear: Mask, front: Mask) -> FloatArray:
    """Hidden share of the rear mask when the front one is moved right by 0, 1, 2, ... cells, `[2 k]`."""
    width = rear.shape[1]
    padded = np.pad(front, ((0, 0), (2 * width, 0)))
    hidden = [(rear & padded[:, 2 * width - step : 3 * width - step]).sum() for step in range(2 * width)]
    return np.asarray(hidden, dtype=np.float64) / rear.sum()


def distance_for(shares: FloatArray, wanted: FloatArray) -> FloatArray:
    """Distance, in large radii, at which the hidden share falls to what is wanted; CLOSEST where it is never reached."""
    falling = np.minimum.accumulate(shares)
    steps = np.arange(len(falling)) / _CELLS
    order = slice(None, None, -1)
    return np.asarray(np.maximum(np.interp(wanted, falling[order], steps[order]), CLOSEST))


def overlapped(
    layout: Layout,
    shown: BoolArray,
    kinds: NDArray[np.int64],
    masks: Sequence[Mask],
    share: FloatArray,
    odd: BoolArray,
) -> Layout:
    """The layout with neighbours moved together until the one in front hides `share` `[n]` of the other.

    kinds `[n, m]`: which of `masks` each object has. odd `[n]`: whether the objects at odd or at even places of a row
    are in front; so a hidden object between two others is hidden half by each.
    """
    n, m = shown.shape
    centre, front = layout.centre.copy(), layout.front.copy()
    moved = share > 0
    table: dict[tuple[int, int], FloatArray] = {}

    def shares_of(rear: int, ahead: int) -> FloatArray:
        if (rear, ahead) not in table:
            table[rear, ahead] = hidden_shares(masks[rear], masks[ahead])
        return table[rear, ahead]

    for row in rows_of_places(m):
        if len(row) < 2:
            continue
        home = places(m)[row, 0]
        x = np.zeros((n, len(row)))
        for i in range(1, len(row)):
            left, right = row[i - 1], row[i]
            ahead = (np.full(n, i % 2 == 1)) == odd  # whether the right one is in front
            rear = np.where(ahead, kinds[:, left], kinds[:, right])
            over = np.where(ahead, kinds[:, right], kinds[:, left])
            hider = np.where(ahead, i - 1, i)
            split = np.where((hider > 0) & (hider < len(row) - 1), 2.0, 1.0)
            step = _steps(shares_of, rear, over, share / split, shown[:, left] & shown[:, right]) * full_radius(m)
            x[:, i] = x[:, i - 1] + np.where(moved, step, home[i] - home[i - 1])
        x += home.mean() - (x[:, :1] + x[:, -1:]) / 2
        together = layout.centre[:, row[:1]] - places(m)[row[0]]  # one jitter for all, or the shares would miss the aim
        moved_to = np.stack([x, np.broadcast_to(places(m)[row, 1], x.shape)], axis=2) + together
        centre[:, row] = np.where(moved[:, None, None], moved_to, centre[:, row])
        places_in_row = np.arange(len(row))[None, :]
        nearer = (places_in_row % 2 == 1) == odd[:, None]
        front[:, row] = np.where(
            moved[:, None], nearer * m + np.argsort(np.argsort(front[:, row], 1), 1), front[:, row]
        )
    return Layout(
        rounded(centre), layout.radius, layout.angle, np.argsort(np.argsort(front, 1), 1), layout.gain, layout.ground
    )


def _steps(
    shares_of: Callable[[int, int], FloatArray],
    rear: NDArray[np.int64],
    over: NDArray[np.int64],
    share: FloatArray,
    both: BoolArray,
) -> FloatArray:
    steps = np.full(len(rear), 2.2)
    pairs = np.stack([rear, over], axis=1)[both]
    for a, b in np.unique(pairs, axis=0):
        rows = np.flatnonzero(both & (rear == a) & (over == b))
        steps[rows] = distance_for(shares_of(int(a), int(b)), share[rows])
    return steps
