"""Two sides of a model: scenes (images, or texts) against captions.

Swap test, retrieval with swapped distractors, alignment of the two binding functions by component, and heads that repair.
"""

from __future__ import annotations

from bindscope.crossmodal.alignment import Alignment, align
from bindscope.crossmodal.attribution import MarginParts, attribute
from bindscope.crossmodal.confusion import Confusion, object_confusions, value_confusions
from bindscope.crossmodal.heads import HEADS, Head, fit_head
from bindscope.crossmodal.retrieval import Ranks, rank_captions, rank_scenes
from bindscope.crossmodal.sides import TwoSides
from bindscope.crossmodal.swaptest import SwapOutcome, credit, swap_test

__all__ = [
    "HEADS",
    "Alignment",
    "Confusion",
    "Head",
    "MarginParts",
    "Ranks",
    "SwapOutcome",
    "TwoSides",
    "align",
    "attribute",
    "credit",
    "fit_head",
    "object_confusions",
    "rank_captions",
    "rank_scenes",
    "swap_test",
    "value_confusions",
]
