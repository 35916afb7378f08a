"""The swap test: is the right caption nearer to the scene than the one with exchanged values, and the reverse?

For a scene s and its swap s' with captions c and c': text margin cos(s, c) - cos(s, c'), scene margin cos(s, c) -
cos(s', c). Where s' was seen too, the pair has Winoground's scores: text (both scenes find their caption), image (both
captions find their scene) and group (both); Thrush et al., CVPR 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bindscope.crossmodal.sides import TIE, Single, TwoSides
from bindscope.scenes import FloatArray

TieRule = Literal["half", "wrong", "right"]
TIE_RULES: tuple[TieRule, ...] = ("half", "wrong", "right")
_ROWS = 4_096


@dataclass(frozen=True, eq=False)
class SwapOutcome:
    """Margins of each wording and swap, `[T, W]`; NaN where no row shows the swapped scene.

    text, scene: of the swap's own scene. back_text, back_scene: the same with the parts of scene and swap exchanged.
    """

    text: FloatArray
    scene: FloatArray
    back_text: FloatArray
    back_scene: FloatArray

    def pair_scores(self, rule: TieRule = "half") -> tuple[FloatArray, FloatArray, FloatArray]:
        """Winoground's text, image and group score of each pair, `[T, W]`; ties by the rule, NaN without the pair."""
        text = credit(self.text, rule) * credit(self.back_text, rule)
        image = credit(self.scene, rule) * credit(self.back_scene, rule)
        return text, image, text * image


def credit(margin: FloatArray, rule: TieRule = "half") -> FloatArray:
    """1 where the margin is positive, 0 where negative, 1/2 (or 0, 1 by the rule) within rounding of zero; NaN stays.

    >>> credit(np.array([0.1, 0.0, -0.1])).tolist()
    [1.0, 0.5, 0.0]
    """
    tied = {"half": 0.5, "wrong": 0.0, "right": 1.0}[rule]
    return np.where(np.isnan(margin), np.nan, np.where(np.abs(margin) <= TIE, tied, (margin > 0).astype(np.float64)))


def tied(margin: FloatArray) -> FloatArray:
    """1 where a margin is within rounding of zero."""
    return (np.abs(margin) <= TIE).astype(np.float64)


def swap_test(sides: TwoSides, ensembled: bool = False) -> SwapOutcome:
    """Margins of all swaps in every wording (or of the ensembled wordings, T = 1). O(T W d), a block of swaps at a time."""
    captions = sides.ensemble[None] if ensembled else sides.captions
    shape = (len(captions), len(sides.swaps))
    text, scene, back_text, back_scene = (np.full(shape, np.nan) for _ in range(4))
    for start in range(0, shape[1], _ROWS):
        part = slice(start, start + _ROWS)
        rows, others = sides.swaps.row[part], sides.swapped_rows[part]
        seen, wrong = sides.scenes[rows], sides.scenes[others]
        there = others >= 0
        for t, told in enumerate(captions):
            right, swapped = told[sides.own[rows]], told[sides.partner[part]]
            text[t, part] = _products(seen, right) - _products(seen, swapped)
            scene[t, part] = np.where(there, _products(seen, right) - _products(wrong, right), np.nan)
            back_text[t, part] = np.where(there, _products(wrong, swapped) - _products(wrong, right), np.nan)
            back_scene[t, part] = np.where(there, _products(wrong, swapped) - _products(seen, swapped), np.nan)
    return SwapOutcome(text, scene, back_text, back_scene)


def _products(left: Single, right: Single) -> FloatArray:
    return np.asarray(np.einsum("nd,nd->n", left, right, dtype=np.float64))
