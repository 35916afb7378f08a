"""The two sides as records: swap test, retrieval, zero-shot recognition in several wordings, confusions, attribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from bindscope.analyses.crossmodal.attribution import PARTS, attribute
from bindscope.analyses.crossmodal.queries import caption_probe_records, recognition_records
from bindscope.analyses.crossmodal.retrieval import rank_captions, rank_scenes
from bindscope.analyses.crossmodal.swaptest import (
    TIE_RULES,
    Confusion,
    SwapOutcome,
    TieRule,
    credit,
    object_confusions,
    swap_test,
    tied,
    value_confusions,
)
from bindscope.analyses.sides import TwoSides, two_sides
from bindscope.concepts import IntArray
from bindscope.embeddings import Embeddings
from bindscope.errors import TableError
from bindscope.results import Record
from bindscope.scenes import BoolArray, FloatArray
from bindscope.uncertainty import UNKNOWN, ObjectBootstrap

RECALLS = (1, 5, 10)
MAX_QUERIES = 2_000
WORST = 10
CLOSED = {"scenes": "closed"}


def trained_objects(embeddings: Embeddings) -> BoolArray | None:
    """Candidates `[O]` that the encoder says it was trained on; None where it does not say, or on other concepts."""
    known = embeddings.fidelity.get("training_objects")
    space = embeddings.table.space
    if not known or list(known["concepts"]) != list(space.names):
        return None
    words = {tuple(row) for row in known["objects"]}
    named = [
        tuple(concept.values[i] for concept, i in zip(space.concepts, row, strict=True))
        for row in embeddings.table.candidate_values.tolist()
    ]
    mask = np.array([one in words for one in named])
    return mask if mask.any() else None


def crossmodal_records(embeddings: Embeddings, seed: int) -> list[Record]:
    """All figures of the analysis `crossmodal` for scenes of one number of objects; none without a second side."""
    sides = two_sides(embeddings)
    if sides is None or embeddings.captions is None:
        return []
    maker = CrossMaker(
        sides, embeddings.captions.anchors, embeddings.captions.orders, trained_objects(embeddings), seed
    )
    return [
        *maker.swaps(),
        *maker.retrieval(),
        *recognition_records(embeddings, seed),
        *caption_probe_records(embeddings, seed),
        *maker.confusions(),
        *maker.attribution(),
    ]


@dataclass(frozen=True, eq=False)
class CrossMaker:
    """Makes records of two sides. anchors `[S]`: captions of drawn scenes; trained `[O]`: objects the encoder has seen."""

    sides: TwoSides
    anchors: BoolArray
    orders: Sequence[str]
    trained: BoolArray | None
    seed: int
    extra: Mapping[str, Any] = field(default_factory=dict)
    estimator: str = "zero_shot"

    @cached_property
    def bootstrap(self) -> ObjectBootstrap:
        """Intervals over the rows of scenes."""
        return ObjectBootstrap.of(self.sides.table, self.seed)

    @cached_property
    def outcome(self) -> SwapOutcome:
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

    def swaps(self) -> list[Record]:
        """Swap accuracy and its variants, and Winoground's scores."""
        text, scene = self.outcome.text, self.outcome.scene
        where, split = self.scope
        name = ("swap_accuracy", "text")
        records = [self.swap(*name, text, where, split)]
        if self.known is not None and split == "train":
            records += [
                self.swap(*name, text, self.asked & self.known[1], "test", CLOSED),
                self.swap(*name, text, self.asked, "all", {"scenes": "all"}),
            ]
        together = swap_test(self.sides, ensembled=True).text
        return [
            *records,
            *(self.swap(*name, text, where, split, {"ties": rule}, rule) for rule in TIE_RULES[1:]),
            self.swap("swap_accuracy", "image", scene, where, split, {"direction": "caption_to_scene"}),
            self.swap(*name, together, where, split, {"wordings": "ensembled"}),
            *self.by_order(where, split),
            *self.by_concept(where, split),
            *self.pairs(where, split),
        ]

    def by_order(self, where: BoolArray, split: str) -> list[Record]:
        """Swap accuracy with captions in the order of the slots, and reversed: does position stand in for binding?"""
        orders = sorted(set(self.orders))
        chosen = [(order, self.outcome.text[np.array(self.orders) == order]) for order in orders]
        return [
            self.swap("swap_accuracy", "text", margin, where, split, {"order": order})
            for order, margin in chosen
            if len(orders) > 1
        ]

    def by_concept(self, where: BoolArray, split: str) -> list[Record]:
        """Swap accuracy by the concept whose values are exchanged."""
        concept = self.sides.swaps.concept
        return [
            self.swap("swap_accuracy", "text", self.outcome.text, where & (concept == k), split, {"concept": name})
            for k, name in enumerate(self.sides.table.space.names)
            if (where & (concept == k)).any()
        ]

    def pairs(self, where: BoolArray, split: str) -> list[Record]:
        """Text, image and group score of scene and swapped scene, both seen."""
        records = []
        for rule in TIE_RULES:
            scores = self.outcome.pair_scores(rule)
            extra = {} if rule == "half" else {"ties": rule}
            chances = (0.25, 0.25, 1 / 6)
            for name, score, chance in zip(("text", "image", "group"), scores, chances, strict=True):
                records.append(self.row_mean(f"{name}_score", "pairs", score, where, split, extra, chance=chance))
        return records

    def swap(
        self,
        metric: str,
        target: str,
        margin: FloatArray,
        where: BoolArray,
        split: str,
        extra: Mapping[str, Any] | None = None,
        rule: TieRule = "half",
    ) -> Record:
        """A share of margins that are positive."""
        ties = int(tied(margin[:, where]).sum())
        best = 0.5 if rule == "half" else None
        return self.row_mean(
            metric, target, credit(margin, rule), where, split, extra, chance=0.5, ceiling=best, n_ties=ties
        )

    def row_mean(
        self,
        metric: str,
        target: str | None,
        values: FloatArray,
        where: BoolArray,
        split: str,
        extra: Mapping[str, Any] | None = None,
        **levels: Any,
    ) -> Record:
        """Mean over wordings and swaps of values `[T, W]` where they are known, with the interval over objects."""
        there = ~np.isnan(values) & where
        rows, n = self.sides.swaps.row, len(self.sides.table)
        top = np.asarray(np.bincount(rows, np.where(there, values, 0.0).sum(axis=0), n), dtype=np.float64)
        below = np.asarray(np.bincount(rows, there.sum(axis=0), n), dtype=np.float64)
        return self.ratio(metric, target, top, below, split, extra, **levels)

    def ratio(
        self,
        metric: str,
        target: str | None,
        top: FloatArray,
        below: FloatArray,
        split: str,
        extra: Mapping[str, Any] | None = None,
        **levels: Any,
    ) -> Record:
        """sum(top) / sum(below) over rows of scenes, with its interval; null where nothing was asked."""
        some = below.sum() > 0
        low, high = self.bootstrap.ratio(top, below) if some else UNKNOWN
        return Record(
            "crossmodal",
            metric,
            float(top.sum() / below.sum()) if some else None,
            self.estimator,
            target,
            split=split,
            ci_low=low,
            ci_high=high,
            n_scenes=int((below > 0).sum()),
            n_objects=self.sides.table.n_objects,
            seed=self.seed,
            extra={**self.extra, **(extra or {})},
            **levels,
        )

    def query_rows(self) -> IntArray:
        """Rows of drawn scenes that ask: at most 2,000, drawn by seed."""
        rows = np.flatnonzero(self.anchors[self.sides.own])
        if len(rows) > MAX_QUERIES:
            rows = np.sort(np.random.default_rng([self.seed, 85]).choice(rows, MAX_QUERIES, replace=False))
        return rows

    def retrieval(self, recalls: Sequence[int] = RECALLS, plain: bool = True) -> list[Record]:
        """Recall@k both ways, each wording apart, with swapped distractors in the gallery and without."""
        rows = self.query_rows()
        records = []
        for target, ask in (("scene_to_caption", rank_captions), ("caption_to_scene", rank_scenes)):
            ranks = [ask(self.sides, told, rows) for told in self.sides.captions]
            for swapped in (True, False) if plain else (True,):
                extra = {} if swapped else {"gallery": "without swapped"}
                for k in recalls:
                    metric = "retrieval_top1" if k == 1 else f"recall_at_{k}"
                    hits = np.mean([one.hits(k, swapped) for one in ranks], axis=0)
                    level = float(np.mean([one.chance(k, swapped) for one in ranks]))
                    records.append(self.asked_mean(metric, target, hits, rows, extra, chance=level))
            first = np.mean([one.swapped_first for one in ranks], axis=0)
            records.append(self.asked_mean("swap_confusion_at_1", target, first, rows, {}))
        return records

    def asked_mean(
        self, metric: str, target: str, values: FloatArray, rows: IntArray, extra: Mapping[str, Any], **levels: Any
    ) -> Record:
        """Mean over the rows that asked."""
        top, below = np.zeros(len(self.sides.table)), np.zeros(len(self.sides.table))
        top[rows], below[rows] = values, 1.0
        return self.ratio(metric, target, top, below, "all", extra, **levels)

    def confusions(self, worst: int = WORST) -> list[Record]:
        """The most confused pairs of values and of objects, and where the errors are."""
        if not self.asked.any():
            return []
        right = credit(self.outcome.text).mean(axis=0)
        space = self.sides.table.space
        values, objects = value_confusions(self.sides, right), object_confusions(self.sides, right)

        def by_value(i: int) -> tuple[str, dict[str, Any]]:
            concept = space.concepts[int(values.concept[i])]
            return concept.name, {"values": [concept.values[int(v)] for v in values.members[i]]}

        def by_object(i: int) -> tuple[str, dict[str, Any]]:
            return "objects", {"objects": [space.object_name(int(o)) for o in objects.members[i]]}

        return [
            self._confusion(found, i, *name(i), right)
            for found, name in ((values, by_value), (objects, by_object))
            for i in range(min(worst, len(found.rate)))
        ]

    def _confusion(self, found: Confusion, i: int, target: str, extra: dict[str, Any], right: FloatArray) -> Record:
        return self.row_mean("swap_confusion", target, 1.0 - right[None], found.group == i, "all", extra, chance=0.5)

    def attribution(self) -> list[Record]:
        """Margins by the part of the captions that gives them, and which part most errors are due to."""
        try:
            parts = attribute(self.sides)
        except TableError:
            return []  # too many objects for the fit
        where, split = self.scope
        if not where.any():
            return []
        worst, records = parts.worst, []
        wrong = where & ~np.isnan(worst)
        for j, name in enumerate(PARTS):
            margin = parts.by_caption_part[None, :, j]
            records.append(self.row_mean("swap_margin", name, margin, where, split))
            records.append(self.swap("swap_accuracy", "text", margin, where, split, {"part": name}))
            records.append(self.row_mean("swap_error_share", name, (worst == j)[None].astype(float), wrong, split))
            for i, own in enumerate(("mean", *PARTS)):
                share = parts.margins[None, :, j, i]
                records.append(self.row_mean("swap_margin", name, share, where, split, {"scene_part": own}))
        return [*records, self.row_mean("swap_margin", "all", parts.total[None], where, split)]
