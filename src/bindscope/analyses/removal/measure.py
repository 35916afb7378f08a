"""Targeted removal as records.

Headline (empty extra): components fitted on all rows, the paper's procedure and the theorem's; read-outs trained on 40 % of
the bags and judged on the rest. Variants: `{"fit": "separate"}`, fitted on half of the other bags and judged on the other
half, and `{"fit": "gap"}`, separate minus all on those same rows; `{"slots": "shared"}`, one vector for all slots;
`{"readout": "mlp"}`; `{"strength": s}` and `{"rank": r}`, the dose.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bindscope.analyses.removal.components import (
    Components,
    Part,
    corrected_interaction,
    fit_components,
    permuted,
    retrieved,
    without_rounding,
)
from bindscope.analyses.removal.leace import Eraser, Level, fit_leace, label_rank, random_eraser
from bindscope.analyses.removal.readouts import Reading, read, read_by_network
from bindscope.errors import DegenerateWarning, TableError
from bindscope.probes import OBJECTS, ProbeSet
from bindscope.recognition import ceiling, chance_per_scene
from bindscope.results import Record
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.splits import split_scenes
from bindscope.uncertainty import UNKNOWN, Interval, ObjectBootstrap

TRAIN_SHARE = 0.4
CONTROLS = 20
CONTROLS_LARGE = 5  # where a table has more rows than LARGE
RANDOM_DRAWS = 5  # of random subspaces
STRENGTHS = (0.5, 0.9)
DOSES = (0.25, 0.5, 0.75)  # of the erased rank
LARGE = 40_000
READABLE = 0.01  # nats a scene: a gain below it is none
RETRIEVED = 2_000
PARTS: tuple[Part, ...] = ("concepts", "objects", "interaction")
ERASED: tuple[Level, ...] = ("concepts", "interaction", "objects")
Vectors = np.ndarray[Any, Any]
Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Figure:
    """Per-row contributions `[n]` of one figure, and the mask of the rows that count."""

    metric: str
    concept: str | None
    values: FloatArray
    rows: BoolArray
    chance: float | None = None
    ceiling: float | None = None
    ties: int | None = None


class RemovalMaker:
    """Makes the removal records of scenes of one number of objects."""

    def __init__(self, vectors: Vectors, table: SceneTable, seed: int, say: Say | None = None) -> None:
        self.vectors, self.table, self.seed = vectors, table, seed
        self.say = say or (lambda text: None)
        self.train = split_scenes(table, TRAIN_SHARE, "bag", seed)
        self.test = ~self.train
        self.bootstrap = ObjectBootstrap.of(table, seed)
        self.controls = CONTROLS if len(table) <= LARGE else CONTROLS_LARGE

    def records(self) -> list[Record]:
        """Table 3 by subtraction, its variants and controls, LEACE at its levels, doses and the network."""
        out = self.table3()
        for part in PARTS:
            self.say(f"removal: {part} by a separate fit")
            out += self.separate(part)
        out += self.variants()
        self.say("removal: LEACE")
        for level in ERASED:
            out += self.erased(level)
        return out + self.doses() + self.networks()

    def table3(self) -> list[Record]:
        """The paper's Table 3: nothing, concepts, objects (and the interaction) taken out, and the permuted controls."""
        out = self.figures(self.baseline, "subtract", "none")
        for part in PARTS:
            self.say(f"removal: {part}")
            left = self.components.left(self.vectors, self.table, part)
            out += self.figures(self.readings[part], "subtract", part)
            out += self.kept(self.readings[part], "subtract", part)
            out += self.damage(left, "subtract", part)
        out.append(self.interaction())
        for part in PARTS[:2]:
            self.say(f"removal: {self.controls} permuted {part}")
            out += self.permutations(part)
        return out

    @cached_property
    def components(self) -> Components:
        """Fitted on all rows, per slot."""
        return fit_components(self.vectors, self.table)

    @cached_property
    def whole(self) -> FloatArray:
        """Centred vectors with nothing taken out."""
        return self.components.left(self.vectors, self.table, None)

    @cached_property
    def baseline(self) -> Reading:
        """What is read before anything is taken out."""
        return self.read(self.whole)

    @cached_property
    def readings(self) -> dict[Part, Reading]:
        """What is read after each removal."""
        return {part: self.read(self.components.left(self.vectors, self.table, part)) for part in PARTS}

    def read(self, left: FloatArray, test: BoolArray | None = None, like: ProbeSet | None = None) -> Reading:
        """Linear read-outs on what is left."""
        return read(left, self.table, self.train, self.test if test is None else test, self.seed, like)

    def separate(self, part: Part) -> list[Record]:
        """The component fitted on rows that neither read-out nor test sees, and the gap to the fit on all rows."""
        try:
            apart = split_scenes(self.table.take(self.test), 0.5, "bag", self.seed + 1)
        except TableError:
            return []  # one bag outside training: nothing can be kept apart
        rows = np.zeros(len(self.table), dtype=bool)
        rows[np.flatnonzero(self.test)[apart]] = True
        judged = self.test & ~rows
        fitted = fit_components(self.vectors, self.table, rows)
        reading = self.read(fitted.left(self.vectors, self.table, part), judged)
        inside = judged[self.test]
        before = self.readings[part]
        same = Reading(judged, before.right[inside], before.tied[inside], before.gain[inside])
        out = self.figures(reading, "subtract", part, {"fit": "separate"})
        return out + self.gaps(reading, same, "subtract", part)

    def gaps(self, reading: Reading, same: Reading, estimator: str, target: str) -> list[Record]:
        """Separate minus all, on the same rows."""
        pairs = zip(self._figures(reading), self._figures(same), strict=True)
        return [
            self.record(
                Figure(a.metric, a.concept, a.values - b.values, a.rows), estimator, target, "held_out", {"fit": "gap"}
            )
            for a, b in pairs
            if a.concept in (None, OBJECTS)
        ]

    def variants(self) -> list[Record]:
        """Slot-free components."""
        shared = fit_components(self.vectors, self.table, by_slot=False)
        out: list[Record] = []
        for part in PARTS[:2]:
            self.say(f"removal: {part}, one vector for all slots")
            left = shared.left(self.vectors, self.table, part)
            out += self.figures(self.read(left), "subtract", part, {"slots": "shared"})
            out.append(self.share(left, "subtract", part, {"slots": "shared"}))
        return out

    def permutations(self, part: Part) -> list[Record]:
        """Controls: the component of the wrong value (or object), averaged over draws, and a p-value of the true one.

        p: how often a permuted removal lets no more be read than the true one, over concepts (or objects).
        """
        readings, shares = [], []
        for left in self.permuted_lefts(part):
            readings.append(self.read(left, like=self.baseline.probes))
            shares.append(self.squares(left))
        target = f"permuted_{part}"
        if not readings:
            return []
        figures = [self._figures(reading) for reading in readings]
        out = [
            self.record(
                Figure(
                    one[0].metric,
                    one[0].concept,
                    np.mean([f.values for f in one], axis=0),
                    one[0].rows,
                    one[0].chance,
                    one[0].ceiling,
                ),
                "subtract",
                target,
                "held_out",
            )
            for one in zip(*figures, strict=True)
        ]
        words = {"draws": len(readings), "spread": "draws"}
        for one in zip(*figures, strict=True):
            if one[0].concept in (None, OBJECTS):
                means = [float(f.values[f.rows].mean()) for f in one]
                spread = float(np.std(means, ddof=1)) if len(means) > 1 else None
                out.append(self.bare(one[0].metric, spread, "subtract", target, {**words, **_measured(one[0].concept)}))
        squares = np.mean(shares, axis=0)
        out.append(self.share_of(squares, "subtract", target))
        return [*out, *self.p_values(part, readings)]

    def permuted_lefts(self, part: Part) -> Iterator[FloatArray]:
        """What each permuted removal leaves, one by one."""
        rng = np.random.default_rng([self.seed, 43, PARTS.index(part)])
        for _ in range(self.controls):
            wrong = permuted(self.table, part, rng)
            if wrong is None:
                return
            component = self.components.component(wrong, part)
            yield without_rounding(self.whole - component, self.whole)

    def p_values(self, part: Part, controls: Sequence[Reading]) -> list[Record]:
        """p = (1 + permuted removals that let no more be read) / (1 + draws), by cross-entropy gain."""
        concepts = self.table.space.n_concepts
        out = []
        for name, columns in ((None, slice(0, concepts)), (OBJECTS, slice(concepts, concepts + 1))):
            true = float(self.readings[part].gain[:, columns].mean())
            null = np.array([float(reading.gain[:, columns].mean()) for reading in controls])
            p = float((1 + (null <= true).sum()) / (1 + len(null)))
            extra = {**_measured(name), "draws": len(null)} if name else {}
            out.append(self.bare("p_value", p, "subtract", part, extra))
        return out

    def erased(self, level: Level) -> list[Record]:
        """LEACE on all rows and on separate rows, its rank, and random subspaces of the same rank."""
        needed = label_rank(self.table, level)
        out = [self.bare("erased_rank", float(needed), "leace", level, {})]
        if needed > self.vectors.shape[1]:
            warnings.warn(
                f"LEACE of {level} is left out: it takes {needed} dimensions and the vectors have {self.vectors.shape[1]}",
                DegenerateWarning,
                stacklevel=2,
            )
            return [*out, self.bare("cross_entropy_gain", None, "leace", level, {})]
        if needed == 0:
            return out
        eraser = fit_leace(self.vectors, self.table, level)
        left = without_rounding(eraser(self.vectors), self.whole)
        reading = self.read(left)
        out += self.figures(reading, "leace", level) + self.damage(left, "leace", level)
        if level == "objects":
            return out
        return [*out, *self.erased_apart(level, reading), *self.random_controls(eraser, level)]

    def erased_apart(self, level: Level, whole: Reading) -> list[Record]:
        """LEACE fitted on rows that neither read-out nor test sees."""
        try:
            apart = split_scenes(self.table.take(self.test), 0.5, "bag", self.seed + 1)
        except TableError:
            return []
        rows = np.zeros(len(self.table), dtype=bool)
        rows[np.flatnonzero(self.test)[apart]] = True
        if label_rank(self.table.take(rows), level) < 1:
            return []
        eraser = fit_leace(self.vectors[rows], self.table.take(rows), level)
        judged = self.test & ~rows
        reading = self.read(without_rounding(eraser(self.vectors), self.whole), judged)
        inside = judged[self.test]
        same = Reading(judged, whole.right[inside], whole.tied[inside], whole.gain[inside])
        out = self.figures(reading, "leace", level, {"fit": "separate"})
        return out + self.gaps(reading, same, "leace", level)

    def random_controls(self, eraser: Eraser, level: Level) -> list[Record]:
        """Erase as many random directions: the matched control of LEACE, for which permuted names change nothing."""
        rng = np.random.default_rng([self.seed, 47])
        lefts = [random_eraser(self.vectors, eraser.rank, rng)(self.vectors) for _ in range(RANDOM_DRAWS)]
        extra = {"control": "random subspace", "rank": eraser.rank}
        return self.averaged(lefts, "leace", level, extra)

    def averaged(self, lefts: Sequence[FloatArray], estimator: str, target: str, extra: dict[str, Any]) -> list[Record]:
        """Figures of several removals, averaged row by row."""
        whole = self.whole
        kept = [without_rounding(left, whole) for left in lefts]
        figures = [self._figures(self.read(left, like=self.baseline.probes)) for left in kept]
        out = []
        for one in zip(*figures, strict=True):
            if one[0].concept in (None, OBJECTS):
                values = np.mean([f.values for f in one], axis=0)
                mean = Figure(one[0].metric, one[0].concept, values, one[0].rows, one[0].chance, one[0].ceiling)
                out.append(self.record(mean, estimator, target, "held_out", extra))
        return [*out, self.share_of(np.mean([self.squares(left) for left in kept], axis=0), estimator, target, extra)]

    def doses(self) -> list[Record]:
        """How much is taken out against what can still be read: by strength, and by rank beside random directions."""
        out: list[Record] = []
        for part in PARTS[:2]:
            for strength in STRENGTHS:
                self.say(f"removal: {part} at strength {strength}")
                left = self.components.left(self.vectors, self.table, part, strength)
                out += self.averaged([left], "subtract", part, {"strength": strength})
        if not 1 < label_rank(self.table, "concepts") <= self.vectors.shape[1]:
            return out
        whole = fit_leace(self.vectors, self.table, "concepts")
        rng = np.random.default_rng([self.seed, 53])
        for rank in sorted({max(1, round(dose * whole.rank)) for dose in DOSES} - {whole.rank}):
            self.say(f"removal: {rank} of {whole.rank} directions")
            out += self.averaged([whole.first(rank)(self.vectors)], "leace", "concepts", {"rank": rank})
            control = random_eraser(self.vectors, rank, rng)(self.vectors)
            out += self.averaged([control], "leace", "concepts", {"rank": rank, "control": "random subspace"})
        return out

    def networks(self) -> list[Record]:
        """What a small network finds that the linear read-outs miss."""
        lefts: dict[str, FloatArray] = {"none": self.whole}
        lefts |= {part: self.components.left(self.vectors, self.table, part) for part in PARTS}
        out: list[Record] = []
        for target, left in lefts.items():
            self.say(f"removal: {target}, read by a network")
            reading = read_by_network(left, self.table, self.train, self.test, self.seed)
            out += self.figures(reading, "subtract", target, {"readout": "mlp"})
        return out

    def figures(
        self, reading: Reading, estimator: str, target: str, extra: Mapping[str, Any] | None = None
    ) -> list[Record]:
        """Recognition and gain, for the concepts together, one by one, and for objects."""
        return [self.record(f, estimator, target, "held_out", extra) for f in self._figures(reading)]

    def _figures(self, reading: Reading) -> list[Figure]:
        concepts = self.table.space.n_concepts
        names = self.table.space.names
        chances = [chance_per_scene(*self.table.members(k)) for k in range(concepts)]
        chance = np.stack([*chances, chance_per_scene(*self.table.members())], axis=1)[reading.rows]
        out = []
        columns: list[tuple[str | None, Any]] = [(None, slice(0, concepts)), *((n, [k]) for k, n in enumerate(names))]
        for name, some in columns:
            level = float(chance[:, some].mean()) if len(chance) else None
            ties = int(reading.tied[:, some].any(axis=1).sum())
            right = self._spread(reading, reading.right[:, some].mean(axis=1))
            out.append(Figure("concept_recognition", name, right, reading.rows, level, None, ties))
            gain = self._spread(reading, reading.gain[:, some].mean(axis=1))
            out.append(Figure("cross_entropy_gain", name, gain, reading.rows))
        right = self._spread(reading, reading.right[:, -1].astype(np.float64))
        level, ties = (float(chance[:, -1].mean()) if len(chance) else None), int(reading.tied[:, -1].sum())
        best = ceiling(self.table, reading.rows)
        out.append(Figure("object_recognition", None, right, reading.rows, level, best, ties))
        gain = self._spread(reading, reading.gain[:, -1])
        return [*out, Figure("cross_entropy_gain", OBJECTS, gain, reading.rows)]

    def _spread(self, reading: Reading, values: FloatArray) -> FloatArray:
        out = np.zeros(len(self.table))
        out[reading.rows] = values
        return out

    def kept(self, reading: Reading, estimator: str, target: str) -> list[Record]:
        """Gain after a removal as a share of the gain before, for concepts and for objects; none where none was before."""
        concepts = self.table.space.n_concepts
        out = []
        for name, some in ((None, slice(0, concepts)), (OBJECTS, slice(concepts, concepts + 1))):
            after, before = (
                self._spread(reading, found.gain[:, some].mean(axis=1)) for found in (reading, self.baseline)
            )
            total, count = float(before.sum()), int(reading.rows.sum())
            readable = total > READABLE * count
            value = float(after.sum()) / total if readable else None
            interval = self.bootstrap.ratio(after, before) if readable else UNKNOWN
            words = _measured(name)
            out.append(self._record("gain_kept", value, interval, estimator, target, "held_out", count, words))
        return out

    def damage(self, left: FloatArray, estimator: str, target: str) -> list[Record]:
        """Share of the variance that is taken out, and whether what is left still finds its own scene."""
        rng = np.random.default_rng([self.seed, 59])
        n = len(self.table)
        rows = np.arange(n) if n <= RETRIEVED else np.sort(rng.choice(n, RETRIEVED, replace=False))
        hit, tied = retrieved(left, self.vectors, self.table, rows)
        values, asked = np.zeros(n), np.zeros(n, dtype=bool)
        values[rows], asked[rows] = hit, True
        chance = float(np.bincount(self.table.scene_ids)[self.table.scene_ids].mean() / n)
        kept = Figure("retrieval_top1", None, values, asked, chance, None, int(tied.sum()))
        return [self.share(left, estimator, target), self.record(kept, estimator, target, "all")]

    def squares(self, left: FloatArray) -> FloatArray:
        """Squared length of what is left of each row, `[n]`."""
        return np.asarray(np.einsum("nd,nd->n", left, left))

    def share(self, left: FloatArray, estimator: str, target: str, extra: Mapping[str, Any] | None = None) -> Record:
        """Share of the variance that is gone."""
        return self.share_of(self.squares(left), estimator, target, extra)

    def share_of(
        self, squares: FloatArray, estimator: str, target: str, extra: Mapping[str, Any] | None = None
    ) -> Record:
        """Share of the variance that is gone: 1 - sum(left) / sum(before); below 0 where a removal adds variance."""
        before = self.squares(self.whole)
        total = float(before.sum())
        value = 1.0 - float(squares.sum()) / total if total > 0 else None
        interval = self.bootstrap.r2(squares, before) if total > 0 else UNKNOWN
        return self._record("share", value, interval, estimator, target, "in_sample", len(before), extra or {})

    def interaction(self) -> Record:
        """The interaction's share without what its degrees of freedom alone would explain."""
        value = corrected_interaction(self.vectors, self.table, self.components)
        return self.bare("share", value, "subtract", "interaction", {"correction": "degrees of freedom"}, "in_sample")

    def record(
        self, figure: Figure, estimator: str, target: str, split: str, extra: Mapping[str, Any] | None = None
    ) -> Record:
        """One figure with its interval."""
        count = int(figure.rows.sum())
        value = float(figure.values[figure.rows].mean()) if count else None
        interval = self.bootstrap.mean(figure.values, figure.rows) if count else UNKNOWN
        words = {**(extra or {}), **_measured(figure.concept)}
        more = {"chance": figure.chance, "ceiling": figure.ceiling, "n_ties": figure.ties}
        return self._record(figure.metric, value, interval, estimator, target, split, count, words, **more)

    def bare(
        self,
        metric: str,
        value: float | None,
        estimator: str,
        target: str,
        extra: Mapping[str, Any],
        split: str = "held_out",
    ) -> Record:
        """A number that has no interval."""
        return self._record(metric, value, UNKNOWN, estimator, target, split, len(self.table), extra)

    def _record(
        self,
        metric: str,
        value: float | None,
        interval: Interval,
        estimator: str,
        target: str,
        split: str,
        n_scenes: int,
        extra: Mapping[str, Any],
        **more: Any,
    ) -> Record:
        return Record(
            "removal",
            metric,
            value,
            estimator,
            target,
            split=split,
            ci_low=interval.low,
            ci_high=interval.high,
            n_scenes=n_scenes,
            n_objects=self.table.n_objects,
            seed=self.seed,
            extra=extra,
            **more,
        )


def _measured(concept: str | None) -> dict[str, str]:
    return {} if concept is None else {"concept": concept}
