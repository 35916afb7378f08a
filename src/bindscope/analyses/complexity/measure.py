"""Coverage curves: how well each learner predicts the scenes of unseen objects.

A figure pools the scenes of all repeated splits: value = sum of contributions / sum of scored scenes, with an interval
from resampled objects; the spread over splits stands beside it. Headline recognition of objects is read on closed
scenes of held-out objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np

from bindscope.analyses.complexity.judging import CrossProbes, Judged, cell_rows
from bindscope.analyses.complexity.threshold import RECOGNITION, coverage_threshold
from bindscope.analyses.context import Context
from bindscope.analyses.replicates import noise_floor
from bindscope.concepts import IntArray
from bindscope.learners.base import FITTED, Fitted
from bindscope.learners.interaction import Interaction, interacts
from bindscope.recognition import ceiling, concept_chance, object_chance
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.splits import ObjectMethod, ObjectSplit, split_objects
from bindscope.uncertainty import Outcome

REAL = "real"  # the yardstick: the real held-out embeddings, read by the same probes
NUMBERS = ("rank", "ridge", "factor_norm", "validation_r2", "product_left")  # notes of learners that become records
Pooled = Sequence[tuple[int, Judged]]  # split, and how its scenes were judged


@dataclass(frozen=True, eq=False)
class JudgedCell:
    """A finished cell: how its predictions were judged on each side, and what the learner says of its fit."""

    learner: str
    coverage: float
    split: int
    rank: int | None
    judged: Mapping[str, Judged]
    train_r2: float
    converged: bool
    notes: Mapping[str, Any]

    @property
    def fits(self) -> bool:
        """Whether it learnt its own training scenes."""
        return self.converged and self.train_r2 >= FITTED


def curves(
    cells: Sequence[JudgedCell], context: Context, probes: CrossProbes, method: ObjectMethod = "connected"
) -> list[Outcome]:
    """All figures of a grid: curves, yardsticks, fits, thresholds, and the curves over ranks. method: of its object splits."""
    made = _Curves(context, probes, method)
    along = [one for one in cells if one.rank is None]
    out: list[Outcome] = []
    for coverage, own in _grouped(along, lambda one: one.coverage):
        out += made.design(coverage, sorted({one.split for one in own}))
        out += made.yardsticks(coverage, list({one.split: one for one in own}.values()))
    for learner, own in _grouped(along, lambda one: one.learner):
        for coverage, some in _grouped(own, lambda one: one.coverage):
            out += made.learner(learner, coverage, some)
        out += made.threshold(learner, own)
    for (learner, rank), own in _grouped([o for o in cells if o.rank is not None], lambda o: (o.learner, o.rank)):
        out += made.rank(learner, int(rank or 0), own)
    return out


def _grouped(cells: Sequence[JudgedCell], key: Callable[[JudgedCell], Any]) -> Iterator[tuple[Any, list[JudgedCell]]]:
    """Groups in the order in which they first occur for learners, and in increasing coverage."""
    first = {k: i for i, k in reversed(list(enumerate(dict.fromkeys(map(key, cells)))))}
    ordered = sorted(cells, key=lambda one: (first[key(one)], one.coverage, one.split))
    for value, group in groupby(ordered, key=key):
        yield value, list(group)


@dataclass(frozen=True, eq=False)
class _Binding:
    """Squared length of the interaction `[q]` on the judged rows of one side, and of all beside the concepts; and what the
    best function of the concepts leaves of each."""

    within: FloatArray
    within_chance: FloatArray
    beside: FloatArray
    beside_chance: FloatArray

    @classmethod
    def of(cls, found: Interaction) -> _Binding:
        beside, chance = (np.square(one).sum(axis=1) for one in (found.left, found.baseline))
        return cls(found.total, found.chance, beside, chance)

    def of_cell(self, judged: Judged) -> float:
        """R^2 of one cell on the interaction; NaN where there is none."""
        total = float(self.within.sum())
        return 1.0 - float(judged.within.sum()) / total if total > 0 else float("nan")


@dataclass(frozen=True, eq=False)
class _Curves:
    context: Context
    probes: CrossProbes
    method: ObjectMethod

    @property
    def table(self) -> SceneTable:
        return self.context.table

    @cached_property
    def chances(self) -> tuple[FloatArray, FloatArray]:
        """Chance of each concept `[n, C]`, and of objects `[n]`."""
        return concept_chance(self.table), object_chance(self.table)

    def split(self, coverage: float, split: int) -> ObjectSplit:
        return split_objects(self.table, coverage, self.context.seed + split, self.method)

    def design(self, coverage: float, splits: Sequence[int]) -> list[Outcome]:
        """What the splits leave to test on, averaged over splits."""
        made = [self.split(coverage, split) for split in splits]
        figures = {
            "held_out_objects": [float((~one.train).sum()) for one in made],
            "test_scenes": [float((one.sides(self.table) == 1).sum()) for one in made],
            "closed_scenes": [float(one.closed(self.table).sum()) for one in made],
            "unseen_share": [one.unseen_share for one in made],
            "identified": [float(one.identified) for one in made],
        }
        return [
            Outcome.number(metric, float(np.mean(values)), coverage=coverage, split="test")
            for metric, values in figures.items()
        ]

    def yardsticks(self, coverage: float, cells: Sequence[JudgedCell]) -> list[Outcome]:
        """The real held-out embeddings read by the same probes, and the noise ceiling where there are replicates."""
        vectors, table = self.context.vectors, self.table
        every = [(cell.split, cell.judged["test"]) for cell in cells]
        real = [(split, self.real(one.rows)) for split, one in every]
        floors = [noise_floor(vectors[one.rows], table.take(one.rows)) for _, one in every]
        words = {"coverage": coverage, "split": "test"}
        out = self.recognition(real, {"estimator": REAL, **words})
        if any(np.isfinite(floor).any() for floor in floors):
            left, total = np.zeros(len(table)), np.zeros(len(table))
            for (_, one), floor in zip(every, floors, strict=True):
                known = np.isfinite(floor)
                left[one.rows[known]] += floor[known]
                total[one.rows[known]] += one.total[known]
            out.append(Outcome.r2("noise_ceiling", left, total, **words))
        return out

    def real(self, rows: Any) -> Judged:
        """The real embeddings in the place of predictions."""
        concepts, objects = self.probes.read(self.context.vectors[rows], self.table, rows)
        nothing = np.zeros(len(rows))
        return Judged(rows, nothing, nothing, nothing, concepts, objects)

    def learner(self, learner: str, coverage: float, cells: Sequence[JudgedCell]) -> list[Outcome]:
        """One learner at one coverage: each side, whether it fits, what it chose, and the spread over splits."""
        out: list[Outcome] = []
        for side in ("train", "test", "mixed"):
            judged = [(cell.split, cell.judged[side]) for cell in cells]
            words = {"estimator": learner, "coverage": coverage, "split": side}
            out += [*self.r2(judged, words), *self.recognition(judged, words)]
        return [*out, *self.fits(learner, coverage, cells), *self.spread(learner, coverage, cells)]

    def fits(self, learner: str, coverage: float, cells: Sequence[JudgedCell]) -> list[Outcome]:
        """Shares of splits that fit their training scenes, and numbers that the learner chose (median over splits)."""
        words: dict[str, Any] = {"estimator": learner, "coverage": coverage, "split": "train", "counts_objects": False}
        out = [
            Outcome.number("fits_training", float(np.mean([cell.fits for cell in cells])), **words),
            Outcome.number("converged", float(np.mean([cell.converged for cell in cells])), **words),
        ]
        for name in NUMBERS:
            values = [float(cell.notes[name]) for cell in cells if isinstance(cell.notes.get(name), (int, float))]
            if values:
                out.append(Outcome.number(name, float(np.median(values)), extra={"by_split": values}, **words))
        return out

    def spread(self, learner: str, coverage: float, cells: Sequence[JudgedCell]) -> list[Outcome]:
        """Standard deviation over repeated splits and seeds."""
        if len(cells) < 2:
            return []
        figures: dict[tuple[str, str | None], list[float]] = {
            ("r2", None): [cell.judged["test"].r2 for cell in cells],
            ("binding_r2", None): [self.binding_of(cell) for cell in cells],
            ("object_recognition", "closed"): [self.closed(cell) for cell in cells],
        }
        extra = {"spread": "splits", "splits": len(cells)}
        words: dict[str, Any] = {"estimator": learner, "coverage": coverage, "split": "test", "extra": extra}
        return [
            Outcome.number(metric, float(np.std(values, ddof=1)), target=target, counts_objects=False, **words)
            for (metric, target), values in figures.items()
        ]

    def closed(self, cell: JudgedCell) -> float:
        """Object recognition on the closed scenes of one split; NaN without any."""
        judged = cell.judged["test"]
        here = self.split(cell.coverage, cell.split).closed(self.table)[judged.rows]
        return float(judged.objects[here].mean()) if here.any() else float("nan")

    def threshold(self, learner: str, cells: Sequence[JudgedCell]) -> list[Outcome]:
        """The coverage at which recognition of objects on closed scenes rises, and its slope per unit of coverage.

        Without a threshold the slope's `extra` says why; line_gain: gain in held-out log-likelihood over a line.
        """
        good = [cell for cell in cells if self.split(cell.coverage, cell.split).identified]
        closed = [self.closed(cell) for cell in good]
        found = coverage_threshold(
            [cell.coverage for cell in good],
            closed,
            self.context.seed,
            bounds=RECOGNITION,
            models=[cell.split for cell in good],
        )
        extra = {"why": found.why or None, "low": found.low, "high": found.high, "line_gain": found.line_gain}
        words: dict[str, Any] = {"estimator": learner, "target": "closed", "split": "test", "counts_objects": False}
        return [
            Outcome.number("coverage_threshold", found.middle, found.interval, **words),
            Outcome.number("threshold_slope", found.slope, found.slope_interval, extra=extra, **words),
        ]

    def rank(self, form: str, rank: int, cells: Sequence[JudgedCell]) -> list[Outcome]:
        """A form with a fixed rank."""
        judged = [(cell.split, cell.judged["test"]) for cell in cells]
        norms = [float(cell.notes["factor_norm"]) for cell in cells if "factor_norm" in cell.notes]
        words: dict[str, Any] = {"estimator": form, "coverage": cells[0].coverage, "extra": {"rank": rank}}
        test = {**words, "split": "test"}
        read = [one for one in self.recognition(judged, test) if one.target in ("closed", "mean")]
        norm = Outcome.number("factor_norm", float(np.median(norms)), split="train", counts_objects=False, **words)
        return [*self.r2(judged, test), *read, norm]

    def r2(self, judged: Pooled, words: Mapping[str, Any]) -> list[Outcome]:
        """R^2, and R^2 of the interaction alone and of all that is left beside the concepts."""
        left, total = np.zeros(len(self.table)), np.zeros(len(self.table))
        for _, one in judged:
            left[one.rows] += one.error
            total[one.rows] += one.total
        out = [Outcome.r2("r2", left, total, **words)]
        parts = [(one, self.binding(words["coverage"], split, words["split"])) for split, one in judged]
        return [*out, *self.binding_r2(parts, words)]

    def binding_r2(self, parts: Sequence[tuple[Judged, _Binding]], words: Mapping[str, Any]) -> list[Outcome]:
        """Of the interaction, and of all beside the concepts (pairs across objects too); None without an interaction."""
        if not self.interacts:
            return [Outcome.number("binding_r2", None, n_scenes=0, **words)]
        within = self._pooled([(one.rows, one.within, two.within, two.within_chance) for one, two in parts])
        beside = self._pooled([(one.rows, one.error, two.beside, two.beside_chance) for one, two in parts])
        more = {**words, "extra": {**words.get("extra", {}), "beyond": "concepts"}}
        out = []
        for (error, total, chance), said in ((within, words), (beside, more)):
            level = 1.0 - float(chance.sum() / total.sum()) if total.sum() > 0 else None
            out.append(
                Outcome.r2("binding_r2", error, total, chance=None if level is None else max(level, 0.0), **said)
            )
        return out

    def _pooled(self, parts: Sequence[tuple[IntArray, FloatArray, FloatArray, FloatArray]]) -> FloatArray:
        """Columns of each part added up by rows of the table, `[columns, n]`."""
        out = np.zeros((len(parts[0]) - 1, len(self.table)))
        for rows, *columns in parts:
            out[:, rows] += np.array(columns)
        return out

    def binding_of(self, cell: JudgedCell) -> float:
        """R^2 of one cell on the held-out interaction; NaN without one."""
        found = self.binding(cell.coverage, cell.split, "test")
        return found.of_cell(cell.judged["test"]) if self.interacts else float("nan")

    @cached_property
    def interacts(self) -> bool:
        return interacts(self.table, self.context.vectors)

    def binding(self, coverage: float, split: int, side: str) -> _Binding:
        """What the concepts, taken out on the training scenes of a split, leave of those of a side."""
        key = (coverage, split, side)
        if key not in self._bindings:
            vectors, table = self.context.vectors, self.table
            train, rows = cell_rows(table, self.split(coverage, split), self.context.seed, split)
            here, seed = rows[side], self.context.seed + 1000 * split
            known = self._fits.setdefault((coverage, split), ())
            one = Interaction(table.take(train), vectors[train], table.take(here), vectors[here], seed, known)
            self._fits[coverage, split] = one.fits
            self._bindings[key] = _Binding.of(one)
        return self._bindings[key]

    @cached_property
    def _fits(self) -> dict[tuple[float, int], tuple[Fitted, ...]]:
        return {}

    @cached_property
    def _bindings(self) -> dict[tuple[float, int, str], _Binding]:
        return {}

    def recognition(self, judged: Pooled, words: Mapping[str, Any]) -> list[Outcome]:
        """Concepts (mean, joint, each) and objects (closed on held-out scenes, unshared, all) of one side."""
        concepts, objects = self.chances
        read: list[tuple[str, FloatArray, list[FloatArray]]] = [
            ("mean", concepts.mean(axis=1), [np.asarray(one.concepts.mean(axis=1)) for _, one in judged]),
            (
                "joint",
                concepts.prod(axis=1),
                [np.asarray(one.concepts.all(axis=1), dtype=np.float64) for _, one in judged],
            ),
        ]
        for k, name in enumerate(self.table.space.names):
            read.append((name, concepts[:, k], [one.concepts[:, k].astype(np.float64) for _, one in judged]))
        rows = [one.rows for _, one in judged]
        out = [
            self.share("concept_recognition", target, list(zip(rows, right, strict=True)), chance, words)
            for target, chance, right in read
        ]
        for target, scored in (("all", np.ones(len(self.table), dtype=bool)), ("unshared", self.table.unshared)):
            out.append(self.objects(judged, target, objects, [scored[one.rows] for _, one in judged], words))
        if words["split"] == "test":
            splits = [self.split(words["coverage"], split).closed(self.table) for split, _ in judged]
            closed = [mask[one.rows] for mask, (_, one) in zip(splits, judged, strict=True)]
            out.append(self.objects(judged, "closed", objects, closed, words))
        return out

    def objects(
        self, judged: Pooled, target: str, chance: FloatArray, masks: Sequence[BoolArray], words: Any
    ) -> Outcome:
        every = [(one.rows[mask], one.objects[mask]) for (_, one), mask in zip(judged, masks, strict=True)]
        best = sum((ceiling(self.table, rows) * len(rows) for rows, _ in every if len(rows)), 0.0)
        count = sum(len(rows) for rows, _ in every)
        return self.share(
            "object_recognition", target, every, chance, {**words, "ceiling": best / count if count else None}
        )

    def share(self, metric: str, target: str, every: Any, chance: FloatArray, words: Any) -> Outcome:
        """Scenes that are right of those scored, added up row by row of the table over splits (rows, right)."""
        top, below = np.zeros(len(self.table)), np.zeros(len(self.table))
        for rows, right in every:
            top[rows] += right
            below[rows] += 1.0
        level = float((chance * below).sum() / below.sum()) if below.any() else None
        return Outcome.ratio(metric, top, below, target=target, chance=level, **words)
