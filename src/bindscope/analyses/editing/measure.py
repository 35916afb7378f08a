"""Figures of object editing.

target `value`: one concept value is exchanged; `object`: the whole object. split `in_sample`: object vectors from all
scenes; `held_out`: the base and the target scene left out of them (`single` has seen neither). Headlines have an empty
extra; `{"concept": name}`, `{"slot": i}`, `{"other": "same"}` are parts of them (another object of the scene has the value
that is taken out, or not), `{"minus": "in_sample"}` is the gap on the same edits, `{"strength": s}` the dial,
`{"order": "any"}` retrieval of the same objects in any slots, `{"protocol": "paper"}` the edits that the paper tries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bindscope.analyses.context import Context
from bindscope.analyses.editing.cases import (
    MANY_CASES,
    Cases,
    Untested,
    as_the_paper_edits,
    drawn,
    object_cases,
    target_members,
    value_cases,
)
from bindscope.analyses.editing.object_vectors import ESTIMATORS, ObjectVectors, Weights, object_vectors, single_vectors
from bindscope.analyses.editing.ranking import Gallery, Ranks, rank_edits
from bindscope.recognition import ceiling, concept_chance, object_chance
from bindscope.scenes import BoolArray
from bindscope.uncertainty import Outcome

LARGE = 20_000  # rows, above which SAMPLED edits are tried
SAMPLED = 2_000
DIALLED = 2_000  # edits that are tried at every strength, and in any order of the objects
STRENGTHS = (0.5, 0.75, 1.25, 1.5)
DIAL = "ols+pos"
Keywords = Mapping[str, Any]


def measure(context: Context) -> list[Outcome]:
    """All figures of the edits."""
    return Editing(context).outcomes()


class Editing:
    """The figures of one table of scenes, all of one number of objects."""

    def __init__(self, context: Context) -> None:
        self.context, self.vectors, self.table = context, context.vectors, context.table

    def outcomes(self) -> list[Outcome]:
        """Both targets by every estimator."""
        out: list[Outcome] = []
        for target in ("value", "object"):
            cases, untested = self.cases(target)
            out += self.counts(target, cases, untested)
            if not len(cases):
                continue
            for estimator in self.estimators:
                self.context.say(f"editing: {len(cases):,} edits of one {target} by {estimator}")
                out += self.edited(target, cases, estimator)
        return out

    @property
    def estimators(self) -> list[str]:
        """Those that the data allow: `single` needs one-object scenes."""
        return [name for name in ESTIMATORS if name != "single" or self.context.singles is not None]

    def cases(self, target: str) -> tuple[Cases, Untested]:
        """All edits of every scene, slot and value (or object); a seeded draw where there are too many."""
        n = len(self.table)
        rows = np.arange(n)
        if n > LARGE:
            rows = np.sort(self.context.stream("edited rows").choice(n, SAMPLED, replace=False))
        made = value_cases if target == "value" else object_cases
        found, untested = made(self.table, rows)
        kept = drawn(found, MANY_CASES if n <= LARGE else SAMPLED, self.context.seed)
        return kept, replace(untested, left_out=untested.left_out + len(found) - len(kept))

    def counts(self, target: str, cases: Cases, untested: Untested) -> list[Outcome]:
        """How many edits are tried, and what becomes of the others."""
        keywords: dict[str, Any] = {"target": target, "split": "all", "n_scenes": len(np.unique(cases.row))}
        numbers = {
            None: len(cases),
            "no such object": untested.no_object,
            "no such scene": untested.no_scene,
            "not drawn": untested.left_out,
        }
        return [_counted(count, outcome, keywords) for outcome, count in numbers.items()]

    @cached_property
    def gallery(self) -> Gallery:
        """All real scenes."""
        return Gallery.of(self.vectors, self.table)

    @cached_property
    def unordered(self) -> Gallery:
        """The same, where the order of the objects does not count."""
        return replace(self.gallery, scenes=self.table.multiset_ids)

    def fitted(self, estimator: str) -> ObjectVectors:
        """Object vectors of an estimator."""
        singles = self.context.singles
        if estimator == "single" and singles is not None:
            return single_vectors(self.vectors, self.table, *singles)
        return object_vectors(self.vectors, self.table, estimator)

    def edited(self, target: str, cases: Cases, estimator: str) -> list[Outcome]:
        """All figures of one estimator."""
        fitted = self.fitted(estimator)
        splits = {"in_sample": fitted.weights(cases)} if fitted.leaves_out else {}
        splits["held_out"] = fitted.weights(cases, leave_out=True)
        ranks = rank_edits(self.gallery, cases, [(fitted, weights) for weights in splits.values()])
        out: list[Outcome] = []
        for (split, weights), found in zip(splits.items(), ranks, strict=True):
            keywords = {"estimator": estimator, "target": target, "split": split}
            out += self.retrieval(cases, weights, found, keywords)
            out += self.probing(cases, fitted, weights, keywords)
            if target == "value" and split == next(iter(splits)):
                out += self.paper(cases, fitted, weights, found, keywords)
        keywords = {"estimator": estimator, "target": target, "split": "held_out"}
        if len(splits) == 2:
            out.append(self.gap(cases, list(splits.values()), ranks, keywords))
        return out + self.variants(cases, fitted, keywords)

    def retrieval(self, cases: Cases, weights: Weights, found: Ranks, keywords: Keywords) -> list[Outcome]:
        """Top 1 (whole and by part), mean and median rank, and the edits that cannot be tested or told apart."""
        tested = weights.testable
        out = [self.top1(cases, found, where, keywords, extra) for where, extra in self.parts(cases, tested)]
        out.append(self.mean("retrieval_rank", cases, found.rank, tested, **keywords))
        if tested.any():
            median = float(np.median(found.rank[tested].astype(np.float64)))
            out.append(Outcome.number("retrieval_rank", median, extra={"statistic": "median"}, **keywords))
        copies = np.bincount(self.table.scene_ids)[cases.target]
        edits = {
            None: tested,
            "not testable": ~tested,
            "target has the vector of another scene": tested & (found.own > copies),
        }
        return out + [_counted(int(some.sum()), outcome, keywords) for outcome, some in edits.items()]

    def parts(self, cases: Cases, tested: BoolArray) -> Iterator[tuple[BoolArray, dict[str, Any]]]:
        """The whole, and its parts by concept, by slot, and by the values of the other objects."""
        yield tested, {}
        for k, name in enumerate(self.table.space.names):
            if (cases.concept == k).any():
                yield tested & (cases.concept == k), {"concept": name}
        for slot in range(self.table.n_slots):
            yield tested & (cases.slot == slot), {"slot": slot + 1}
        if self.table.n_slots > 1:
            yield tested & cases.shared, {"other": "same"}
            yield tested & ~cases.shared, {"other": "different"}

    def top1(
        self, cases: Cases, found: Ranks, where: BoolArray, keywords: Keywords, extra: Mapping[str, Any]
    ) -> Outcome:
        """Share of the edits whose nearest real vector shows the counterfactual scene, and no other does."""
        chance = float(found.own[where].mean() / len(self.table)) if where.any() else None
        ties = int((found.tied & where).sum())
        return self.mean("retrieval_top1", cases, found.hit, where, chance=chance, ties=ties, extra=extra, **keywords)

    def probing(self, cases: Cases, fitted: ObjectVectors, weights: Weights, keywords: Keywords) -> list[Outcome]:
        """What probes trained on real vectors read: where neither the base nor the target scene trained them."""
        probes, rows = self.context.probes, self.context.held_out
        _, first = np.unique(self.table.scene_ids, return_index=True)
        index = np.flatnonzero(weights.testable & rows[cases.row] & rows[first[cases.target]])
        if not len(index):
            return []
        some, theirs = cases.take(index), weights.take(index)
        concepts = np.stack(
            [
                fitted.recognised(some, theirs, probe, target_members(self.table, some, k)).right
                for k, probe in enumerate(probes.concepts)
            ],
            axis=1,
        )
        objects = fitted.recognised(some, theirs, probes.objects, target_members(self.table, some))
        shown, everything = first[some.target], np.ones(len(some), dtype=bool)
        chance = concept_chance(self.table)[shown]
        levels: dict[str, Any] = {
            "chance": float(object_chance(self.table)[shown].mean()),
            "ceiling": ceiling(self.table, shown),
            "ties": int(objects.tied.sum()),
        }
        figures: list[tuple[str, Any, dict[str, Any]]] = [
            ("joint_probing", concepts.all(axis=1), {"chance": float(chance.prod(axis=1).mean())}),
            ("concept_recognition", concepts.mean(axis=1), {"chance": float(chance.mean())}),
            ("object_recognition", objects.right, levels),
        ]
        return [self.mean(metric, some, values, everything, **more, **keywords) for metric, values, more in figures]

    def paper(
        self, cases: Cases, fitted: ObjectVectors, weights: Weights, found: Ranks, keywords: Keywords
    ) -> list[Outcome]:
        """The paper's own edits (see `as_the_paper_edits`), whole and by the value of the other objects."""
        asked = as_the_paper_edits(self.table, cases, self.context.seed)
        tested, protocol = asked & weights.testable, {"protocol": "paper"}
        out = [self.top1(cases, found, tested, keywords, protocol)]
        for word, some in (("same", cases.shared), ("different", ~cases.shared)):
            out.append(self.top1(cases, found, tested & some, keywords, {**protocol, "other": word}))
        index = np.flatnonzero(asked)
        read = self.probing(cases.take(index), fitted, weights.take(index), {**keywords, "extra": protocol})
        return out + [one for one in read if one.metric != "concept_recognition"]

    def gap(self, cases: Cases, weights: list[Weights], ranks: list[Ranks], keywords: Keywords) -> Outcome:
        """Retrieval with both scenes left out minus retrieval in sample, on the same edits."""
        both = weights[0].testable & weights[1].testable
        change = ranks[1].hit.astype(np.float64) - ranks[0].hit
        return self.mean("retrieval_top1", cases, change, both, extra={"minus": "in_sample"}, **keywords)

    def variants(self, cases: Cases, fitted: ObjectVectors, keywords: Keywords) -> list[Outcome]:
        """Any order of the objects; and the dial of strength, for one estimator and for one-object scenes at their scale."""
        some = drawn(cases, DIALLED, self.context.seed)
        weights = fitted.weights(some, leave_out=True)
        _, first = np.unique(self.table.scene_ids, return_index=True)
        wanted = self.table.multiset_ids[first[some.target]]
        found = rank_edits(self.unordered, some, [(fitted, weights)], wanted)[0]
        out = [self.top1(some, found, weights.testable, keywords, {"order": "any"})] if self.table.n_slots > 1 else []
        strengths = list(STRENGTHS) if fitted.estimator == DIAL else []
        if fitted.estimator == "single":
            strengths.append(round(fitted.best_strength(), 4))
        turned = [(fitted, weights.times(strength)) for strength in strengths]
        for strength, ranks in zip(strengths, rank_edits(self.gallery, some, turned) if turned else [], strict=True):
            out.append(self.top1(some, ranks, weights.testable, keywords, {"strength": strength}))
        return out

    def mean(self, metric: str, cases: Cases, values: ArrayLike, where: BoolArray, **more: Any) -> Outcome:
        """Mean over some edits; its interval resamples the objects of the scenes that are edited."""
        rows, n = cases.row[where], len(self.table)
        total = np.bincount(rows, np.asarray(values, dtype=np.float64)[where], n)
        return Outcome.ratio(metric, total, np.bincount(rows, minlength=n), **more)


def _counted(count: int, outcome: str | None, keywords: Keywords) -> Outcome:
    return Outcome.number("n_cases", float(count), extra={"outcome": outcome} if outcome else {}, **keywords)
