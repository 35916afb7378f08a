"""Heads on the captions' side: does a small map repair the swaps of objects that it never saw, and does it do harm?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bindscope.analyses.context import Context
from bindscope.analyses.crossmodal.figures import CLOSED, TwoSidedFigures
from bindscope.analyses.crossmodal.heads import HEADS, QUICK, Budget, Head, HoldOut, fit_head, hold_out
from bindscope.analyses.crossmodal.retrieval import rank_captions
from bindscope.analyses.sides import TwoSides
from bindscope.embeddings import Embeddings
from bindscope.errors import InputError, MissingExtraError, TableError, UnknownNameError
from bindscope.results import Record
from bindscope.scenes import BoolArray, FloatArray
from bindscope.streams import stream
from bindscope.uncertainty import Outcome

if TYPE_CHECKING:
    from bindscope.analyses.crossmodal.head_module import HeadModule

MAX_QUERIES = 500
PLAIN = {"gallery": "without swapped"}


@dataclass(frozen=True, eq=False)
class Repair:
    """Heads by name, and their records."""

    heads: dict[str, Head]
    records: list[Record]


def repair(embeddings: Embeddings, seed: int = 0, kinds: Sequence[str] = HEADS, budget: Budget = QUICK) -> Repair:
    """Fit heads on training objects and judge them on closed swaps of held-out ones, beside no head at all.

    The scenes are those of the most frequent number of objects. Raises InputError where the model has no second side,
    UnknownNameError for an unknown head, TableError where no scene shows training objects only.

    >>> from bindscope import embed, load_dataset, load_encoder
    >>> from bindscope.datasets.wording import caption_set
    >>> data = load_dataset("text:4x4")
    >>> made = embed(load_encoder("planted:mixed?dim=16"), data, captions=caption_set(data))
    >>> sorted(repair(made, kinds=("linear",)).heads)
    ['linear', 'none']
    """
    context = Context(embeddings, seed)
    heads, found = fit_heads(context, kinds, budget)
    return Repair(heads, context.records("crossmodal", found))


def repaired(context: Context) -> list[Outcome]:
    """The figures alone; none where heads cannot be fitted."""
    try:
        return fit_heads(context, HEADS, QUICK)[1]
    except TableError:
        return []


def fit_heads(context: Context, kinds: Sequence[str], budget: Budget) -> tuple[dict[str, Head], list[Outcome]]:
    """Heads by name, and their figures."""
    for kind in kinds:
        if kind not in HEADS:
            raise UnknownNameError("head", kind, HEADS)
    sides, seed = context.sides, context.seed
    if sides is None:
        raise InputError("this run holds no captions, so there is nothing to repair; run `bindscope diagnose` again")
    if not len(sides.swaps):
        raise TableError("no scene has a value swap (one object, or one concept), so there is nothing to repair")
    held_out = hold_out(sides, seed)
    heads = {
        kind: fit_head(sides, held_out.train, kind, seed, budget=budget) for kind in dict.fromkeys(("none", *kinds))
    }
    before, *_ = _hits(sides, heads["none"], held_out.fresh, seed)
    figures = TwoSidedFigures.of(context)
    return heads, [one for kind, head in heads.items() for one in _judged(figures, kind, head, held_out, before)]


def _judged(figures: TwoSidedFigures, kind: str, head: Head, held_out: HoldOut, before: FloatArray) -> list[Outcome]:
    """Swap accuracy and retrieval behind a head. before `[n]`: top-1 hits without one."""
    sides = figures.sides
    behind = replace(figures, sides=sides.with_captions(head(sides.captions)), estimator=kind, extra={"repair": True})
    margin, mixed = behind.margins.text, ~held_out.closed & ~held_out.seen
    hits, asked, level = _hits(sides, head, held_out.fresh, figures.seed)
    target = "scene_to_caption"
    out = [
        behind.accuracy(margin, held_out.closed, "test", CLOSED),
        behind.accuracy(margin, held_out.seen, "train"),
        behind.accuracy(margin, mixed, "mixed"),
        behind.ratio("retrieval_top1", target, hits * asked, asked, "test", PLAIN, chance=level),
    ]
    harm = behind.ratio("harm", target, (before - hits) * asked, asked, "test", PLAIN)
    return out if kind == "none" else [*out, harm]


def _hits(sides: TwoSides, head: Head, fresh: BoolArray, seed: int) -> tuple[FloatArray, FloatArray, float]:
    """Top-1 hits of scenes that the head never saw, swapped distractors out of the gallery, `[n]`; who was asked; and chance."""
    rows = np.flatnonzero(fresh)
    if len(rows) > MAX_QUERIES:
        rows = np.sort(stream(seed, "repair queries").choice(rows, MAX_QUERIES, replace=False))
    hits, asked = np.zeros(len(sides.table)), np.zeros(len(sides.table))
    ranks = [rank_captions(sides, captions, rows) for captions in head(sides.captions)]
    hits[rows] = np.mean([one.hits(1, swapped=False) for one in ranks], axis=0)
    asked[rows] = 1.0
    level = float(ranks[0].chance(1, swapped=False).mean()) if len(rows) else float("nan")
    return hits, asked, level


def sentence_module(head: Head) -> HeadModule:
    """The head as a module to put behind the pooling of a sentence-transformers model."""
    try:
        from bindscope.analyses.crossmodal.head_module import HeadModule
    except ImportError:
        raise MissingExtraError("the sentence-transformers module", "sentence-transformers", "text") from None
    return HeadModule(head)
