"""Object editing as records.

target `value`: one concept value is exchanged; `object`: the whole object. split `in_sample`: object vectors from all
scenes; `held_out`: the base and the target scene left out of them (`single` has seen neither). Headlines have an empty
extra; `{"concept": name}`, `{"slot": i}`, `{"other": "same"}` are parts of them (another object of the scene has the value
that is taken out, or not), `{"minus": "in_sample"}` is the gap on the same edits, `{"strength": s}` the dial,
`{"order": "any"}` retrieval of the same objects in any slots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from bindscope.analyses.context import Context
from bindscope.analyses.editing.cases import (
    MANY_CASES,
    Cases,
    Untested,
    drawn,
    object_cases,
    target_members,
    value_cases,
)
from bindscope.analyses.editing.object_vectors import ESTIMATORS, ObjectVectors, Weights, object_vectors, single_vectors
from bindscope.analyses.editing.ranking import Gallery, Ranks, rank_edits
from bindscope.embeddings import Embeddings
from bindscope.probes import ProbeSet
from bindscope.recognition import ceiling, concept_chance, object_chance
from bindscope.results import Record
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.uncertainty import UNKNOWN, Interval, ObjectBootstrap

LARGE = 20_000  # rows, above which SAMPLED edits are tried
SAMPLED = 2_000
DIALLED = 2_000  # edits that are tried at every strength, and in any order of the objects
STRENGTHS = (0.5, 0.75, 1.25, 1.5)
DIAL = "ols+pos"
Vectors = np.ndarray[Any, Any]
Singles = tuple[Vectors, SceneTable]
Say = Callable[[str], None]


class EditingMaker:
    """Makes the editing records of scenes of one number of objects."""

    def __init__(
        self,
        vectors: Vectors,
        table: SceneTable,
        singles: Singles | None,
        probes: ProbeSet | None,
        rows: BoolArray | None,
        seed: int,
        say: Say | None = None,
    ) -> None:
        self.vectors, self.table, self.singles, self.seed = vectors, table, singles, seed
        self.probes, self.rows = probes, rows
        self.say = say or (lambda text: None)
        self.bootstrap = ObjectBootstrap.of(table, seed)

    def records(self) -> list[Record]:
        """Both targets by every estimator."""
        out: list[Record] = []
        for target in ("value", "object"):
            cases, untested = self.cases(target)
            out += self.counts(target, cases, untested)
            if not len(cases):
                continue
            for estimator in self.estimators:
                self.say(f"editing: {len(cases):,} edits of one {target} by {estimator}")
                out += self.edited(target, cases, estimator)
        return out

    @property
    def estimators(self) -> list[str]:
        """Those that the data allow: `single` needs one-object scenes."""
        return [name for name in ESTIMATORS if name != "single" or self.singles is not None]

    def cases(self, target: str) -> tuple[Cases, Untested]:
        """All edits of every scene, slot and value (or object); a seeded draw where there are too many."""
        n = len(self.table)
        rows = np.arange(n)
        if n > LARGE:
            rows = np.sort(np.random.default_rng([self.seed, 95]).choice(n, SAMPLED, replace=False))
        made = value_cases if target == "value" else object_cases
        found, untested = made(self.table, rows)
        kept = drawn(found, MANY_CASES if n <= LARGE else SAMPLED, self.seed)
        return kept, replace(untested, left_out=untested.left_out + len(found) - len(kept))

    def counts(self, target: str, cases: Cases, untested: Untested) -> list[Record]:
        """How many edits are tried, and what becomes of the others."""
        words = {"split": "all", "n_scenes": len(np.unique(cases.row))}
        numbers = {
            "no such object": untested.no_object,
            "no such scene": untested.no_scene,
            "not drawn": untested.left_out,
        }
        out = [self._record("n_cases", float(len(cases)), UNKNOWN, None, target, {}, **words)]
        return out + [
            self._record("n_cases", float(count), UNKNOWN, None, target, {"outcome": name}, **words)
            for name, count in numbers.items()
        ]

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
        if estimator == "single" and self.singles is not None:
            return single_vectors(self.vectors, self.table, *self.singles)
        return object_vectors(self.vectors, self.table, estimator)

    def edited(self, target: str, cases: Cases, estimator: str) -> list[Record]:
        """All figures of one estimator."""
        fitted = self.fitted(estimator)
        splits = {"in_sample": fitted.weights(cases)} if fitted.leaves_out else {}
        splits["held_out"] = fitted.weights(cases, leave_out=True)
        ranks = rank_edits(self.gallery, cases, [(fitted, weights) for weights in splits.values()])
        out: list[Record] = []
        for (split, weights), found in zip(splits.items(), ranks, strict=True):
            out += self.retrieval(cases, weights, found, estimator, target, split)
            out += self.probing(cases, fitted, weights, estimator, target, split)
        if len(splits) == 2:
            out.append(self.gap(cases, list(splits.values()), ranks, estimator, target))
        return out + self.variants(cases, fitted, estimator, target)

    def retrieval(
        self, cases: Cases, weights: Weights, found: Ranks, estimator: str, target: str, split: str
    ) -> list[Record]:
        """Top 1 (whole and by part), mean and median rank, and the edits that cannot be tested or told apart."""
        words = (estimator, target, split)
        tested = weights.testable
        out = [self.top1(cases, found, where, words, extra) for where, extra in self.parts(cases, tested)]
        rank = found.rank.astype(np.float64)
        out.append(self.mean("retrieval_rank", cases, rank, tested, words))
        if tested.any():
            median = float(np.median(rank[tested]))
            out.append(self.bare("retrieval_rank", median, words, {"statistic": "median"}))
        copies = np.bincount(self.table.scene_ids)[cases.target]
        alike = float((tested & (found.own > copies)).sum())
        out.append(self.bare("n_cases", float(tested.sum()), words, {}))
        out.append(self.bare("n_cases", float((~tested).sum()), words, {"outcome": "not testable"}))
        out.append(self.bare("n_cases", alike, words, {"outcome": "target has the vector of another scene"}))
        return out

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
        self,
        cases: Cases,
        found: Ranks,
        where: BoolArray,
        words: tuple[str, str, str],
        extra: Mapping[str, Any],
    ) -> Record:
        """Share of the edits whose nearest real vector shows the counterfactual scene, and no other does."""
        chance = float(found.own[where].mean() / len(self.table)) if where.any() else None
        more = {"chance": chance, "n_ties": int((found.tied & where).sum())}
        return self.mean("retrieval_top1", cases, found.hit.astype(np.float64), where, words, extra, **more)

    def probing(
        self, cases: Cases, fitted: ObjectVectors, weights: Weights, estimator: str, target: str, split: str
    ) -> list[Record]:
        """What probes trained on real vectors read: where neither the base nor the target scene trained them."""
        if self.probes is None or self.rows is None:
            return []
        _, first = np.unique(self.table.scene_ids, return_index=True)
        fresh = weights.testable & self.rows[cases.row] & self.rows[first[cases.target]]
        index = np.flatnonzero(fresh)
        if not len(index):
            return []
        some, theirs = cases.take(index), _taken(weights, index)
        concepts = np.stack(
            [
                fitted.recognised(some, theirs, probe, target_members(self.table, some, k)).right
                for k, probe in enumerate(self.probes.concepts)
            ],
            axis=1,
        )
        outcome = fitted.recognised(some, theirs, self.probes.objects, target_members(self.table, some))
        shown = first[some.target]
        chance, everything = concept_chance(self.table)[shown], np.ones(len(some), dtype=bool)
        words = (estimator, target, split)
        levels: dict[str, Any] = {
            "chance": float(object_chance(self.table)[shown].mean()),
            "ceiling": ceiling(self.table, shown),
        }
        joint, mean = np.asarray(concepts.all(axis=1)), concepts.mean(axis=1)
        by_chance = {"joint": float(chance.prod(axis=1).mean()), "mean": float(chance.mean())}
        ties = int(outcome.tied.sum())
        return [
            self.mean("joint_probing", some, joint, everything, words, chance=by_chance["joint"]),
            self.mean("concept_recognition", some, mean, everything, words, chance=by_chance["mean"]),
            self.mean("object_recognition", some, outcome.right, everything, words, n_ties=ties, **levels),
        ]

    def gap(self, cases: Cases, weights: list[Weights], ranks: list[Ranks], estimator: str, target: str) -> Record:
        """Retrieval with both scenes left out minus retrieval in sample, on the same edits."""
        both = weights[0].testable & weights[1].testable
        change = ranks[1].hit.astype(np.float64) - ranks[0].hit
        words = (estimator, target, "held_out")
        return self.mean("retrieval_top1", cases, change, both, words, {"minus": "in_sample"})

    def variants(self, cases: Cases, fitted: ObjectVectors, estimator: str, target: str) -> list[Record]:
        """Any order of the objects; and the dial of strength, for one estimator and for one-object scenes at their scale."""
        some = drawn(cases, DIALLED, self.seed)
        weights = fitted.weights(some, leave_out=True)
        _, first = np.unique(self.table.scene_ids, return_index=True)
        wanted = self.table.multiset_ids[first[some.target]]
        found = rank_edits(self.unordered, some, [(fitted, weights)], wanted)[0]
        words = (estimator, target, "held_out")
        out = [self.top1(some, found, weights.testable, words, {"order": "any"})] if self.table.n_slots > 1 else []
        strengths = list(STRENGTHS) if estimator == DIAL else []
        if estimator == "single":
            strengths.append(round(fitted.best_strength(), 4))
        turned = [(fitted, weights.times(strength)) for strength in strengths]
        for strength, ranks in zip(strengths, rank_edits(self.gallery, some, turned) if turned else [], strict=True):
            out.append(self.top1(some, ranks, weights.testable, words, {"strength": strength}))
        return out

    def mean(
        self,
        metric: str,
        cases: Cases,
        values: FloatArray | BoolArray,
        where: BoolArray,
        words: tuple[str, str, str],
        extra: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Record:
        """Mean over some edits; its interval resamples the objects of the scenes that are edited."""
        rows, n = cases.row[where], len(self.table)
        total = np.bincount(rows, np.asarray(values, dtype=np.float64)[where], n)
        count = np.bincount(rows, minlength=n).astype(np.float64)
        value = float(total.sum() / count.sum()) if len(rows) else None
        interval = self.bootstrap.ratio(total, count) if len(rows) else UNKNOWN
        estimator, target, split = words
        used: dict[str, Any] = {"split": split, "n_scenes": int((count > 0).sum()), **more}
        return self._record(metric, value, interval, estimator, target, extra or {}, **used)

    def bare(self, metric: str, value: float, words: tuple[str, str, str], extra: Mapping[str, Any]) -> Record:
        """A number without an interval."""
        estimator, target, split = words
        return self._record(metric, value, UNKNOWN, estimator, target, extra, split=split)

    def _record(
        self,
        metric: str,
        value: float | None,
        interval: Interval,
        estimator: str | None,
        target: str,
        extra: Mapping[str, Any],
        **more: Any,
    ) -> Record:
        ends: dict[str, Any] = {"ci_low": interval.low, "ci_high": interval.high}
        common: dict[str, Any] = {"n_objects": self.table.n_objects, "seed": self.seed, "extra": extra}
        return Record("editing", metric, value, estimator, target, **ends, **common, **more)


def _taken(weights: Weights, index: Vectors) -> Weights:
    names = ("new", "old", "base", "target", "testable")
    return Weights(*(getattr(weights, name)[index] for name in names))


def editing_records(
    embeddings: Embeddings,
    singles: Singles | None,
    probes: ProbeSet | None,
    rows: BoolArray | None,
    seed: int,
    say: Say | None = None,
) -> list[Record]:
    """Object editing on scenes of one number of objects; `singles`: one-object scenes of the same data, if there are any."""
    return EditingMaker(embeddings.vectors, embeddings.table, singles, probes, rows, seed, say).records()


def measure(context: Context) -> list[Record]:
    """All figures of the edits."""
    return editing_records(context.main, context.singles, context.probes, context.held_out, context.seed, context.say)
