"""The swap test: is the right caption nearer to the scene than the one with exchanged values, and the reverse?

For a scene s and its swap s' with captions c and c': text margin cos(s, c) - cos(s, c'), scene margin cos(s, c) -
cos(s', c). Where s' was seen too, the pair has Winoground's scores: text (both scenes find their caption), image (both
captions find their scene) and group (both); Thrush et al., CVPR 2022.

Attribution: captions are split, linearly and nested, into concepts (+ concepts by slot), interaction (objects by slot
beyond that) and residual; scenes likewise. A swap's margin a.(b - b') is then the sum over all pairs of a part of a and a
part of b.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bindscope.analyses.retrieval import TIE, Single
from bindscope.analyses.sides import TwoSides
from bindscope.concepts import IntArray
from bindscope.design import MAX_COLUMNS, Vectors, concept_design, fit, object_design
from bindscope.errors import TableError
from bindscope.scenes import FloatArray, SceneTable

TieRule = Literal["half", "wrong", "right"]
TIE_RULES: tuple[TieRule, ...] = ("half", "wrong", "right")
PARTS = ("concepts", "interaction", "residual")
MAX_DESIGN = min(4_000, MAX_COLUMNS)  # columns of objects x slots
_ROWS = 4_096


@dataclass(frozen=True, eq=False)
class SwapMargins:
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


def swap_test(sides: TwoSides, ensembled: bool = False) -> SwapMargins:
    """Margins of all swaps in every wording (or of the ensembled wordings, T = 1). O(T W d), a block of swaps at a time."""
    captions = sides.ensemble[None] if ensembled else sides.captions
    shape = (len(captions), len(sides.swaps))
    text, scene, back_text, back_scene = (np.full(shape, np.nan) for _ in range(4))
    for start in range(0, shape[1], _ROWS):
        part = slice(start, start + _ROWS)
        rows, others = sides.swaps.row[part], sides.swapped_rows[part]
        seen, wrong = sides.scenes[rows], sides.scenes[others]
        there = others >= 0
        for t, wording in enumerate(captions):
            right, swapped = wording[sides.own[rows]], wording[sides.partner[part]]
            text[t, part] = _products(seen, right) - _products(seen, swapped)
            scene[t, part] = np.where(there, _products(seen, right) - _products(wrong, right), np.nan)
            back_text[t, part] = np.where(there, _products(wrong, swapped) - _products(wrong, right), np.nan)
            back_scene[t, part] = np.where(there, _products(wrong, swapped) - _products(seen, swapped), np.nan)
    return SwapMargins(text, scene, back_text, back_scene)


def _products(left: Single, right: Single) -> FloatArray:
    return np.asarray(np.einsum("nd,nd->n", left, right, dtype=np.float64))


@dataclass(frozen=True, eq=False)
class Confusion:
    """Groups of swaps, the most confused first. members `[g, 2]`; concept `[g]` (-1 for objects); rate `[g]`: share of
    swaps that are wrong (half for ties); count `[g]`: swaps; group `[W]`: the place of each swap in the list."""

    members: IntArray
    concept: IntArray
    rate: FloatArray
    count: IntArray
    group: IntArray


def value_confusions(sides: TwoSides, right: FloatArray) -> Confusion:
    """By concept and the two values exchanged (value indices, smaller first). right `[W]`: credit of each swap."""
    swaps, table = sides.swaps, sides.table
    each = np.arange(len(swaps))
    values = table.values[swaps.row]
    pair = np.stack([values[each, swaps.slots[:, i], swaps.concept] for i in range(2)], axis=1)
    return _grouped(np.column_stack([swaps.concept, np.sort(pair, axis=1)]), right)


def object_confusions(sides: TwoSides, right: FloatArray) -> Confusion:
    """By the two objects that exchange a value (object ids, smaller first)."""
    swaps, table = sides.swaps, sides.table
    ids = table.object_ids[swaps.row[:, None], swaps.slots]
    return _grouped(np.column_stack([np.full(len(swaps), -1), np.sort(ids, axis=1)]), right)


def _grouped(keys: IntArray, right: FloatArray) -> Confusion:
    if not len(keys):
        none = np.zeros(0, dtype=np.int64)
        return Confusion(np.zeros((0, 2), dtype=np.int64), none, np.zeros(0), none, none)
    groups, code = np.unique(keys, axis=0, return_inverse=True)
    code = code.reshape(-1)
    count = np.bincount(code)
    rate = np.bincount(code, 1.0 - right) / count
    order = np.lexsort((np.arange(len(groups)), -rate))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return Confusion(groups[order, 1:], groups[order, 0], rate[order], count[order], place[code])


@dataclass(frozen=True, eq=False)
class MarginParts:
    """margins `[W, 3, 4]`: swap, part of the captions (PARTS), part of the scene (mean, then PARTS). They add up to the
    swap's margin with ensembled captions before these are brought to unit length."""

    margins: FloatArray

    @property
    def by_caption_part(self) -> FloatArray:
        """Margin that each part of the captions gives, `[W, 3]`."""
        return np.asarray(self.margins.sum(axis=2))

    @property
    def total(self) -> FloatArray:
        """The whole margin, `[W]`."""
        return np.asarray(self.margins.sum(axis=(1, 2)))

    @property
    def worst(self) -> FloatArray:
        """Which part pulls down most, `[W]`: its number where the swap is wrong or tied, NaN where it is right."""
        parts = self.by_caption_part
        lowest = parts.argmin(axis=1).astype(np.float64)
        return np.where(self.total > TIE, np.nan, lowest)


def attribute(sides: TwoSides) -> MarginParts:
    """Split the margins of all swaps. Raises TableError where objects x slots are too many for the fit. O(W d)."""
    if sides.table.n_objects * sides.table.n_slots > MAX_DESIGN:
        raise TableError(f"attribution takes at most {MAX_DESIGN:,} objects x slots; use fewer objects")
    captions = _parts(sides.captions.mean(axis=0), sides.caption_table)
    scenes = _parts(sides.scenes, sides.table)
    swaps = sides.swaps
    out = np.empty((len(swaps), len(PARTS), len(PARTS) + 1))
    right, wrong, rows = sides.own[swaps.row], sides.partner, swaps.row
    for j, part in enumerate(captions[1:]):
        change = part[right] - part[wrong]
        for i, own in enumerate(scenes):
            vectors = own[rows] if own.ndim > 1 else np.broadcast_to(own, change.shape)
            out[:, j, i] = np.einsum("wd,wd->w", vectors, change)
    return MarginParts(out)


def _parts(vectors: Vectors, table: SceneTable) -> list[FloatArray]:
    """Mean `[d]`, then concepts, interaction and residual `[n, d]`."""
    mean = np.asarray(np.mean(vectors, axis=0, dtype=np.float64))
    centred = vectors - mean
    concepts = concept_design(table, by_slot=True)
    objects = object_design(table, by_slot=True)
    by_concept, by_object = fit(concepts, centred)(concepts), fit(objects, centred)(objects)
    return [mean, by_concept, by_object - by_concept, centred - by_object]
