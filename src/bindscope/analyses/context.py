"""What an analysis may ask for, and the only place that makes Records of its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property

import numpy as np

from bindscope.analyses.sides import TwoSides, two_sides
from bindscope.concepts import IntArray
from bindscope.embeddings import Embeddings
from bindscope.encoders.base import Vectors
from bindscope.jackknife import Jackknife
from bindscope.probes import ProbeSet, probed
from bindscope.results import Record
from bindscope.scenes import BoolArray, SceneTable
from bindscope.streams import stream
from bindscope.uncertainty import UNKNOWN, Interval, ObjectBootstrap, Outcome, difference

Say = Callable[[str], None]


class Context:
    """Embeddings with what several analyses need of them, made once, when first asked for.

    whole: all scenes. main, vectors `[n, d]`, table: those of the most frequent number of objects, which the analyses judge.
    seed: of everything that is drawn. say: tells a person what is being done.
    """

    def __init__(self, embeddings: Embeddings, seed: int = 0, say: Say | None = None) -> None:
        self.whole, self.seed = embeddings, seed
        self.say: Say = say or (lambda text: None)

    @classmethod
    def of_table(cls, table: SceneTable, seed: int = 0) -> Context:
        """The context of a bare table, for what the table alone decides."""
        return cls(Embeddings(np.zeros((len(table), 0), dtype=np.float32), table), seed)

    @cached_property
    def main(self) -> Embeddings:
        """The scenes of the most frequent number of objects."""
        return of_count(self.whole, self.whole.table.headline_count)

    @property
    def table(self) -> SceneTable:
        """Their table."""
        return self.main.table

    @property
    def vectors(self) -> Vectors:
        """Their vectors `[n, d]`."""
        return self.main.vectors

    @cached_property
    def singles(self) -> tuple[Vectors, SceneTable] | None:
        """One-object scenes beside those of several objects, if there are any."""
        alone = self.whole.table.rows_with(1)
        if self.table.headline_count == 1 or not len(alone):
            return None
        return self.whole.vectors[alone], self.whole.table.take(alone)

    @cached_property
    def _probed(self) -> tuple[ProbeSet, BoolArray]:
        return probed(self.vectors, self.table, self.seed)

    @property
    def probes(self) -> ProbeSet:
        """Read-outs trained on 40 % of the bags."""
        return self._probed[0]

    @property
    def held_out(self) -> BoolArray:
        """Rows `[n]` whose bags trained no read-out."""
        return self._probed[1]

    @cached_property
    def sides(self) -> TwoSides | None:
        """Scenes and captions in one frame; None where the model has no second side."""
        return two_sides(self.main)

    @cached_property
    def trained(self) -> BoolArray | None:
        """Candidates `[O]` that the encoder says it was trained on; None where it does not say."""
        return trained_objects(self.main)

    @cached_property
    def closed(self) -> BoolArray | None:
        """Scenes `[n]` whose every arrangement shows held-out objects alone; None where no training is known."""
        if self.trained is None:
            return None
        return np.asarray(self.table.unshared & (self.table.count_in_bag(self.trained) == 0))

    @cached_property
    def bootstrap(self) -> ObjectBootstrap:
        """Intervals for these words: objects resampled."""
        return ObjectBootstrap.of(self.table, self.seed)

    @cached_property
    def jackknife(self) -> Jackknife:
        """Intervals for other words: values left out."""
        return Jackknife.of(self.table)

    @cached_property
    def _bootstraps(self) -> dict[int, ObjectBootstrap]:
        return {id(self.table.object_codes): self.bootstrap}

    def bootstrap_of(self, one: Outcome) -> ObjectBootstrap:
        """The bootstrap over the rows of a figure."""
        if one.codes is None:
            return self.bootstrap
        kept = self._bootstraps.get(id(one.codes))
        if kept is None:
            kept = ObjectBootstrap(one.codes, self.table.n_objects, seed=self.seed)
            self._bootstraps[id(one.codes)] = kept  # holds the codes, so the number stays theirs
        return kept

    def stream(self, name: str, *more: int) -> np.random.Generator:
        """A random stream of its own for a named purpose."""
        return stream(self.seed, name, *more)

    def among(self, rows: BoolArray) -> Context:
        """The context of some rows of the table alone, with the same read-outs where they were trained."""
        some = Context(rows_of(self.main, rows), self.seed, self.say)
        some.__dict__["main"] = some.whole
        some.__dict__["singles"] = self.singles
        if "_probed" in self.__dict__:
            some.__dict__["_probed"] = (self.probes, self.held_out[rows])
        return some

    def records(self, analysis: str, outcomes: Iterable[Outcome]) -> list[Record]:
        """Records of figures, with both intervals: for other words (`ci`), and for these words (`words`)."""
        return [self._record(analysis, one, *self.intervals(one)) for one in outcomes]

    def _record(self, analysis: str, one: Outcome, other: Interval, these: Interval) -> Record:
        return Record(
            analysis,
            one.metric,
            one.value,
            one.estimator,
            one.target,
            split=one.split,
            coverage=one.coverage,
            ci_low=other.low,
            ci_high=other.high,
            words_low=these.low,
            words_high=these.high,
            chance=one.chance,
            ceiling=one.ceiling,
            n_scenes=one.rows,
            n_objects=self._n_objects(one),
            n_ties=one.ties,
            seed=self.seed,
            extra=one.extra,
        )

    def intervals(self, one: Outcome) -> tuple[Interval, Interval]:
        """For other words, and for these words; a figure that brings an interval has the first alone."""
        if one.ends is not None or one.top is None:
            return one.ends or UNKNOWN, UNKNOWN
        these = self.jackknife.not_exact(one, one.interval(self.bootstrap_of(one)))
        return self.jackknife.interval(one), these

    def differences(
        self, analysis: str, outcomes: Iterable[Outcome], others: Iterable[Outcome], minus: str
    ) -> list[Record]:
        """Records of these figures minus the same ones of another model, `minus`, on the rows of this context, paired.

        The same: of equal key. A bare number has no rows to pair and is left out. `tie`: the interval for other words holds 0.
        """
        theirs = {one.key: one for one in others}
        pairs = ((one, theirs[one.key]) for one in outcomes if one.key in theirs)
        return [self._minus(analysis, a, b, minus) for a, b in pairs if a.pairs_with(b)]

    def _minus(self, analysis: str, a: Outcome, b: Outcome, minus: str) -> Record:
        value, other = self.jackknife.difference(a, b)
        _, these = difference(a, b, self.bootstrap_of(a))
        assert a.below is not None
        assert b.below is not None
        extra = {("gap" if name == "minus" else name): word for name, word in a.extra.items()}
        extra |= {"minus": minus, "tie": not (other.low > 0 or other.high < 0)}
        count = int(((a.below > 0) & (b.below > 0)).sum())
        bare = replace(a, value=value, chance=None, ceiling=None, ties=None, n_scenes=count, extra=extra)
        return self._record(analysis, bare, other, these)

    def _n_objects(self, one: Outcome) -> int | None:
        if not one.counts_objects:
            return None
        return self.table.n_objects if one.n_objects is None else one.n_objects


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


def rows_of(embeddings: Embeddings, rows: IntArray | BoolArray) -> Embeddings:
    """Some rows of the scenes."""
    some = {name: vectors[rows] for name, vectors in embeddings.controls.items()}
    return replace(embeddings, vectors=embeddings.vectors[rows], table=embeddings.table.take(rows), controls=some)


def of_count(embeddings: Embeddings, count: int) -> Embeddings:
    """The scenes of one number of objects."""
    rows = embeddings.table.rows_with(count)
    if len(rows) == len(embeddings.table):
        return embeddings
    return rows_of(embeddings, rows)
