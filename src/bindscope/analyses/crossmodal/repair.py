"""Heads on the captions' side: does a small map repair the swaps of objects that it never saw, and does it do harm?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bindscope.analyses.context import Context
from bindscope.analyses.crossmodal.heads import Head
from bindscope.analyses.crossmodal.measure import crossmodal_records
from bindscope.errors import MissingExtraError

if TYPE_CHECKING:
    from bindscope.analyses.crossmodal.head_module import HeadModule

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bindscope.analyses.crossmodal.heads import HEADS, QUICK, Budget, HoldOut, fit_head, hold_out
from bindscope.analyses.crossmodal.measure import CLOSED, CrossMaker
from bindscope.analyses.crossmodal.retrieval import rank_captions
from bindscope.analyses.sides import TwoSides, two_sides
from bindscope.embeddings import Embeddings
from bindscope.errors import InputError, TableError, UnknownNameError
from bindscope.results import Record
from bindscope.scenes import BoolArray, FloatArray

MAX_QUERIES = 500
REPAIR = {"repair": True}


@dataclass(frozen=True, eq=False)
class Repair:
    """Heads by name, and their records."""

    heads: dict[str, Head]
    records: list[Record]


def repair(embeddings: Embeddings, seed: int = 0, kinds: Sequence[str] = HEADS, budget: Budget = QUICK) -> Repair:
    """Fit heads on training objects and judge them on closed swaps of held-out ones, beside no head at all.

    Raises InputError where the model has no second side, UnknownNameError for an unknown head, TableError where no scene
    shows training objects only.
    """
    for kind in kinds:
        if kind not in HEADS:
            raise UnknownNameError("head", kind, HEADS)
    sides = two_sides(embeddings)
    if sides is None or embeddings.captions is None:
        raise InputError("this run holds no captions, so there is nothing to repair; run `bindscope diagnose` again")
    if not len(sides.swaps):
        raise TableError("no scene has a value swap (one object, or one concept), so there is nothing to repair")
    held_out = hold_out(sides, seed)
    heads = {
        kind: fit_head(sides, held_out.train, kind, seed, budget=budget) for kind in dict.fromkeys(("none", *kinds))
    }
    records: list[Record] = []
    base, *_ = _hits(sides, heads["none"], held_out.fresh, seed)
    for kind, head in heads.items():
        records += _records(sides, head, held_out, base, embeddings, kind, seed)
    return Repair(heads, records)


def repair_records(embeddings: Embeddings, seed: int) -> list[Record]:
    """The records alone; none where heads cannot be fitted."""
    try:
        return repair(embeddings, seed).records
    except (InputError, TableError):
        return []


def _records(
    sides: TwoSides,
    head: Head,
    held_out: HoldOut,
    base: FloatArray,
    embeddings: Embeddings,
    kind: str,
    seed: int,
) -> list[Record]:
    assert embeddings.captions is not None
    behind = sides.with_captions(head(sides.captions))
    maker = CrossMaker(behind, embeddings.captions.anchors, embeddings.captions.orders, None, seed, REPAIR, kind)
    margin = maker.outcome.text
    neither = ~held_out.closed & ~held_out.seen
    hits, asked, level = _hits(sides, head, held_out.fresh, seed)
    words: dict[str, Any] = {"gallery": "without swapped"}
    records = [
        maker.swap("swap_accuracy", "text", margin, held_out.closed, "test", CLOSED),
        maker.swap("swap_accuracy", "text", margin, held_out.seen, "train"),
        maker.swap("swap_accuracy", "text", margin, neither, "mixed"),
        maker.ratio("retrieval_top1", "scene_to_caption", hits * asked, asked, "test", words, chance=level),
    ]
    if kind != "none":
        gain = maker.ratio("harm", "scene_to_caption", (base - hits) * asked, asked, "test", words)
        records.append(gain)
    return records


def _hits(sides: TwoSides, head: Head, fresh: BoolArray, seed: int) -> tuple[FloatArray, FloatArray, float]:
    """Top-1 hits of scenes that the head never saw, swapped distractors out of the gallery, `[n]`; who was asked; and chance."""
    rows = np.flatnonzero(fresh)
    if len(rows) > MAX_QUERIES:
        rows = np.sort(np.random.default_rng([seed, 69]).choice(rows, MAX_QUERIES, replace=False))
    hits, asked = np.zeros(len(sides.table)), np.zeros(len(sides.table))
    told = head(sides.captions)
    ranks = [rank_captions(sides, one, rows) for one in told]
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


def measure(context: Context) -> list[Record]:
    """All figures of two sides, and of heads that repair."""
    return [*crossmodal_records(context.main, context.seed), *repair_records(context.main, context.seed)]
