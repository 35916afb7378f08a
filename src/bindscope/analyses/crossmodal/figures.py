"""Figures of two sides: the swap test, retrieval, what is confused, and which part of the captions decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from bindscope.analyses.context import Context
from bindscope.analyses.crossmodal.retrieval import rank_captions, rank_scenes
from bindscope.analyses.crossmodal.swaptest import (
    PARTS,
    TIE_RULES,
    Confusion,
    SwapMargins,
    TieRule,
    attribute,
    credit,
    object_confusions,
    swap_test,
    tied,
    value_confusions,
)
from bindscope.analyses.sides import TwoSides
from bindscope.concepts import IntArray
from bindscope.errors import TableError
from bindscope.scenes import BoolArray, FloatArray
from bindscope.streams import stream
from bindscope.uncertainty import Outcome

RECALLS = (1, 5, 10)
MAX_QUERIES = 2_000
WORST = 10
CLOSED = {"scenes": "closed"}


@dataclass(frozen=True, eq=False)
class TwoSidedFigures:
    """Makes the figures of two sides. anchors `[S]`: captions of drawn scenes; orders: how each wording names the objects;
    trained `[O]`: objects that the encoder has seen. estimator, extra: what all figures carry."""

    sides: TwoSides
    anchors: BoolArray
    orders: Sequence[str]
    trained: BoolArray | None = None
    seed: int = 0
    estimator: str = "zero_shot"
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, context: Context, trained: BoolArray | None = None) -> Self:
        """Those of a context that has two sides."""
        sides, captions = context.sides, context.main.captions
        assert sides is not None
        assert captions is not None
        return cls(sides, captions.anchors, captions.orders, trained, context.seed)

    @cached_property
    def margins(self) -> SwapMargins:
        """Margins in every wording."""
        return swap_test(self.sides)

    @cached_property
    def asked(self) -> BoolArray:
        """Swaps `[W]` of drawn scenes."""
        return self.anchors[self.sides.own[self.sides.swaps.row]]

    @cached_property
    def known(self) -> tuple[BoolArray, BoolArray] | None:
        """Swaps `[W]` among training objects only, and among held-out objects only; None where no training is known."""
        if self.trained is None:
            return None
        table = self.sides.table
        seen = np.isin(np.arange(table.space.n_objects), table.candidates[self.trained])
        ids = np.concatenate(
            [table.object_ids[self.sides.swaps.row], table.space.object_ids(self.sides.swaps.values)], axis=1
        )
        here = ids >= 0
        return np.asarray((seen[ids] | ~here).all(axis=1)), np.asarray((~seen[ids] | ~here).all(axis=1))

    @property
    def scope(self) -> tuple[BoolArray, str]:
        """Swaps of the headline and its split: those of training objects where these are known, else all."""
        if self.known is not None and (self.asked & self.known[0]).any():
            return self.asked & self.known[0], "train"
        return self.asked, "all"

    def swaps(self) -> list[Outcome]:
        """Swap accuracy and its variants, and Winoground's scores."""
        text, (where, split) = self.margins.text, self.scope
        out = [self.accuracy(text, where, split)]
        if self.known is not None and split == "train":
            out += [
                self.accuracy(text, self.asked & self.known[1], "test", CLOSED),
                self.accuracy(text, self.asked, "all", {"scenes": "all"}),
            ]
        together = swap_test(self.sides, ensembled=True).text
        image = {"direction": "caption_to_scene"}
        return [
            *out,
            *(self.accuracy(text, where, split, {"ties": rule}, rule) for rule in TIE_RULES[1:]),
            self.accuracy(self.margins.scene, where, split, image, target="image"),
            self.accuracy(together, where, split, {"wordings": "ensembled"}),
            *(self.by_order(where, split) if len(set(self.orders)) > 1 else []),
            *self.by_concept(where, split),
            *self.pairs(where, split),
        ]

    def by_order(self, where: BoolArray, split: str) -> list[Outcome]:
        """Swap accuracy with captions in the order of the slots, and reversed: does position stand in for binding?"""
        chosen = [(order, self.margins.text[np.array(self.orders) == order]) for order in sorted(set(self.orders))]
        return [self.accuracy(margin, where, split, {"order": order}) for order, margin in chosen]

    def by_concept(self, where: BoolArray, split: str) -> list[Outcome]:
        """Swap accuracy by the concept whose values are exchanged."""
        concept = self.sides.swaps.concept
        return [
            self.accuracy(self.margins.text, where & (concept == k), split, {"concept": name})
            for k, name in enumerate(self.sides.table.space.names)
            if (where & (concept == k)).any()
        ]

    def pairs(self, where: BoolArray, split: str) -> list[Outcome]:
        """Text, image and group score of scene and swapped scene, both seen."""
        return [
            self.mean(f"{name}_score", "pairs", score, where, split, {} if rule == "half" else {"ties": rule}, chance)
            for rule in TIE_RULES
            for name, score, chance in zip(
                ("text", "image", "group"), self.margins.pair_scores(rule), (0.25, 0.25, 1 / 6), strict=True
            )
        ]

    def accuracy(
        self,
        margin: FloatArray,
        where: BoolArray,
        split: str,
        extra: Mapping[str, Any] | None = None,
        rule: TieRule = "half",
        target: str = "text",
    ) -> Outcome:
        """Swap accuracy: the share of margins `[T, W]` that are positive. A bag reaches 1/2 by ties."""
        ties = int(tied(margin[:, where]).sum())
        best = 0.5 if rule == "half" else None
        return self.mean("swap_accuracy", target, credit(margin, rule), where, split, extra, 0.5, best, ties)

    def mean(
        self,
        metric: str,
        target: str,
        values: FloatArray,
        where: BoolArray,
        split: str,
        extra: Mapping[str, Any] | None = None,
        chance: float | None = None,
        ceiling: float | None = None,
        ties: int | None = None,
    ) -> Outcome:
        """Mean over wordings and swaps of values `[T, W]` where they are known."""
        there = ~np.isnan(values) & where
        rows, n = self.sides.swaps.row, len(self.sides.table)
        top = np.bincount(rows, np.where(there, values, 0.0).sum(axis=0), n)
        below = np.bincount(rows, there.sum(axis=0), n)
        return self.ratio(metric, target, top, below, split, extra, chance=chance, ceiling=ceiling, ties=ties)

    def ratio(
        self,
        metric: str,
        target: str,
        top: ArrayLike,
        below: ArrayLike,
        split: str,
        extra: Mapping[str, Any] | None = None,
        **levels: Any,
    ) -> Outcome:
        """sum(top) / sum(below) over rows of scenes; nothing where nothing was asked."""
        table = self.sides.table
        words: dict[str, Any] = {"estimator": self.estimator, "codes": table.object_codes, "n_objects": table.n_objects}
        more = {**self.extra, **(extra or {})}
        return Outcome.ratio(metric, top, below, target=target, split=split, extra=more, **words, **levels)

    def query_rows(self) -> IntArray:
        """Rows of drawn scenes that ask: at most 2,000, drawn by seed."""
        rows = np.flatnonzero(self.anchors[self.sides.own])
        if len(rows) > MAX_QUERIES:
            rows = np.sort(stream(self.seed, "cross-modal queries").choice(rows, MAX_QUERIES, replace=False))
        return rows

    def retrieval(self, recalls: Sequence[int] = RECALLS) -> list[Outcome]:
        """Recall@k both ways, each wording apart, with swapped distractors in the gallery and without."""
        rows, out = self.query_rows(), []
        for target, ask in (("scene_to_caption", rank_captions), ("caption_to_scene", rank_scenes)):
            ranks = [ask(self.sides, captions, rows) for captions in self.sides.captions]
            for swapped in (True, False):
                extra = {} if swapped else {"gallery": "without swapped"}
                for k in recalls:
                    metric = "retrieval_top1" if k == 1 else f"recall_at_{k}"
                    hits = np.mean([one.hits(k, swapped) for one in ranks], axis=0)
                    level = float(np.mean([one.chance(k, swapped) for one in ranks]))
                    out.append(self.queried(metric, target, hits, rows, extra, level))
            first = np.mean([one.swapped_first for one in ranks], axis=0)
            out.append(self.queried("swap_confusion_at_1", target, first, rows))
        return out

    def queried(
        self,
        metric: str,
        target: str,
        values: FloatArray,
        rows: IntArray,
        extra: Mapping[str, Any] | None = None,
        chance: float | None = None,
    ) -> Outcome:
        """Mean over the rows that asked."""
        top, below = np.zeros(len(self.sides.table)), np.zeros(len(self.sides.table))
        top[rows], below[rows] = values, 1.0
        return self.ratio(metric, target, top, below, "all", extra, chance=chance)

    def confusions(self, worst: int = WORST, least: int = 1) -> list[Outcome]:
        """The most confused pairs of values and of objects, of those that at least so many swaps exchange."""
        if not self.asked.any():
            return []
        right = credit(self.margins.text).mean(axis=0)
        space = self.sides.table.space
        values, objects = value_confusions(self.sides, right), object_confusions(self.sides, right)

        def by_value(i: int) -> tuple[str, dict[str, Any]]:
            concept = space.concepts[int(values.concept[i])]
            return concept.name, {"values": [concept.values[int(v)] for v in values.members[i]]}

        def by_object(i: int) -> tuple[str, dict[str, Any]]:
            return "objects", {"objects": [space.object_name(int(o)) for o in objects.members[i]]}

        def confusion(found: Confusion, i: int, target: str, extra: dict[str, Any]) -> Outcome:
            return self.mean("swap_confusion", target, 1.0 - right[None], found.group == i, "all", extra, 0.5)

        return [
            confusion(found, i, *name(i))
            for found, name in ((values, by_value), (objects, by_object))
            for i in np.flatnonzero(found.count >= least)[:worst].tolist()
        ]

    def attribution(self) -> list[Outcome]:
        """Margins by the part of the captions that gives them, and which part most errors are due to."""
        where, split = self.scope
        if not where.any():
            return []
        try:
            parts = attribute(self.sides)
        except TableError:
            return []  # too many objects for the fit
        worst, out = parts.worst, []
        wrong = where & ~np.isnan(worst)
        for j, name in enumerate(PARTS):
            margin = parts.by_caption_part[None, :, j]
            out.append(self.mean("swap_margin", name, margin, where, split))
            out.append(self.accuracy(margin, where, split, {"part": name}))
            out.append(self.mean("swap_error_share", name, (worst == j)[None].astype(float), wrong, split))
            for i, own in enumerate(("mean", *PARTS)):
                share = parts.margins[None, :, j, i]
                out.append(self.mean("swap_margin", name, share, where, split, {"scene_part": own}))
        return [*out, self.mean("swap_margin", "all", parts.total[None], where, split)]
