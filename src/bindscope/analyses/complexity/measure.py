"""Coverage curves as records.

A figure pools the scenes of all repeated splits: value = sum of contributions / sum of scored scenes, with an interval
from resampled objects; the spread over splits stands beside it. Headline recognition of objects is read on closed
scenes of held-out objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np

from bindscope.analyses.complexity.judging import CrossProbes, Judged, noise_floor
from bindscope.analyses.complexity.threshold import RECOGNITION, Threshold, coverage_threshold
from bindscope.learners.base import FITTED
from bindscope.recognition import ceiling, concept_chance, object_chance
from bindscope.results import Record
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.splits import ObjectSplit, split_objects
from bindscope.uncertainty import UNKNOWN, ObjectBootstrap

REAL = "real"  # the yardstick: the real held-out embeddings, read by the same probes
NUMBERS = ("rank", "ridge", "factor_norm", "validation_r2", "product_left")  # notes of learners that become records


@dataclass(frozen=True, eq=False)
class CellOutcome:
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


def complexity_records(
    outcomes: Sequence[CellOutcome], vectors: Any, table: SceneTable, probes: CrossProbes, seed: int
) -> list[Record]:
    """All records of a grid: curves, yardsticks, fits, thresholds, and the curves over ranks."""
    frame = _Frame(vectors, table, probes, seed)
    curves = [one for one in outcomes if one.rank is None]
    records: list[Record] = []
    for coverage, cells in _grouped(curves, lambda one: one.coverage):
        records += frame.design_records(coverage, sorted({one.split for one in cells}))
        by_split = list({one.split: one for one in cells}.values())
        records += frame.yardsticks(coverage, by_split)
    for learner, own in _grouped(curves, lambda one: one.learner):
        for coverage, cells in _grouped(own, lambda one: one.coverage):
            records += frame.cell_records(learner, coverage, cells)
        records += frame.threshold_records(learner, own)
    for (learner, rank), cells in _grouped([o for o in outcomes if o.rank is not None], lambda o: (o.learner, o.rank)):
        records += frame.rank_records(learner, int(rank or 0), cells)
    return records


def _grouped(outcomes: Sequence[CellOutcome], key: Any) -> Iterator[tuple[Any, list[CellOutcome]]]:
    """Groups in the order in which they first occur for learners, and in increasing coverage."""
    first = {k: i for i, k in reversed(list(enumerate(dict.fromkeys(map(key, outcomes)))))}
    ordered = sorted(outcomes, key=lambda one: (first[key(one)], one.coverage, one.split))
    for value, group in groupby(ordered, key=key):
        yield value, list(group)


@dataclass(frozen=True, eq=False)
class _Frame:
    vectors: Any
    table: SceneTable
    probes: CrossProbes
    seed: int

    @cached_property
    def bootstrap(self) -> ObjectBootstrap:
        return ObjectBootstrap.of(self.table, self.seed)

    @cached_property
    def chances(self) -> tuple[FloatArray, FloatArray]:
        """Chance of each concept `[n, C]`, and of objects `[n]`."""
        return concept_chance(self.table), object_chance(self.table)

    def split(self, coverage: float, split: int) -> ObjectSplit:
        return split_objects(self.table, coverage, self.seed + split)

    def design_records(self, coverage: float, splits: Sequence[int]) -> list[Record]:
        """What the splits leave to test on, averaged over splits."""
        made = [self.split(coverage, split) for split in splits]
        figures = {
            "held_out_objects": [float((~one.train).sum()) for one in made],
            "test_scenes": [float((one.sides(self.table) == 1).sum()) for one in made],
            "closed_scenes": [float(one.closed(self.table).sum()) for one in made],
            "unseen_share": [one.unseen_share for one in made],
            "identified": [float(one.identified) for one in made],
        }
        words: dict[str, Any] = {"coverage": coverage, "split": "test", "n_objects": self.table.n_objects}
        return [
            Record("complexity", metric, float(np.mean(values)), seed=self.seed, **words)
            for metric, values in figures.items()
        ]

    def yardsticks(self, coverage: float, cells: Sequence[CellOutcome]) -> list[Record]:
        """The real held-out embeddings read by the same probes, and the noise ceiling where there are replicates."""
        rows = [(cell.split, cell.judged["test"].rows) for cell in cells]
        real = [(split, _real(self, some)) for split, some in rows]
        records = self.recognition(REAL, coverage, "test", real, {})
        floors = [noise_floor(self.vectors, self.table, some) for _, some in rows]
        if any(np.isfinite(floor).any() for floor in floors):
            records.append(self.noise_ceiling(coverage, cells, floors))
        return records

    def noise_ceiling(self, coverage: float, cells: Sequence[CellOutcome], floors: Sequence[FloatArray]) -> Record:
        """1 - noise / variance on held-out scenes with replicates."""
        left, total = np.zeros(len(self.table)), np.zeros(len(self.table))
        for cell, floor in zip(cells, floors, strict=True):
            known = np.isfinite(floor)
            rows = cell.judged["test"].rows[known]
            left[rows] += floor[known]
            total[rows] += cell.judged["test"].total[known]
        return self.r2_record("noise_ceiling", None, coverage, "test", left, total, {})

    def cell_records(self, learner: str, coverage: float, cells: Sequence[CellOutcome]) -> list[Record]:
        """One learner at one coverage: each side, whether it fits, what it chose, and the spread over splits."""
        records: list[Record] = []
        for side in ("train", "test", "mixed"):
            judged = [(cell.split, cell.judged[side]) for cell in cells]
            records += self.r2(learner, coverage, side, judged, {})
            records += self.recognition(learner, coverage, side, judged, {})
        records += self.fit_records(learner, coverage, cells)
        return records + self.spread(learner, coverage, cells)

    def fit_records(self, learner: str, coverage: float, cells: Sequence[CellOutcome]) -> list[Record]:
        """Shares of splits that fit their training scenes, and numbers that the learner chose (median over splits)."""
        words: dict[str, Any] = {"estimator": learner, "coverage": coverage, "split": "train", "seed": self.seed}
        records = [
            Record("complexity", "fits_training", float(np.mean([cell.fits for cell in cells])), **words),
            Record("complexity", "converged", float(np.mean([cell.converged for cell in cells])), **words),
        ]
        for name in NUMBERS:
            values = [float(cell.notes[name]) for cell in cells if isinstance(cell.notes.get(name), (int, float))]
            if values:
                extra = {"by_split": values}
                records.append(Record("complexity", name, float(np.median(values)), **words, extra=extra))
        return records

    def spread(self, learner: str, coverage: float, cells: Sequence[CellOutcome]) -> list[Record]:
        """Standard deviation over repeated splits and seeds."""
        if len(cells) < 2:
            return []
        figures: dict[tuple[str, str | None], list[float]] = {
            ("r2", None): [cell.judged["test"].r2 for cell in cells],
            ("object_recognition", "closed"): [self.closed(cell) for cell in cells],
        }
        extra = {"spread": "splits", "splits": len(cells)}
        words: dict[str, Any] = {"estimator": learner, "coverage": coverage, "split": "test", "seed": self.seed}
        return [
            Record("complexity", metric, float(np.std(values, ddof=1)), target=target, **words, extra=extra)
            for (metric, target), values in figures.items()
        ]

    def closed(self, cell: CellOutcome) -> float:
        """Object recognition on the closed scenes of one split; NaN without any."""
        judged = cell.judged["test"]
        here = self.split(cell.coverage, cell.split).closed(self.table)[judged.rows]
        return float(judged.objects[here].mean()) if here.any() else float("nan")

    def threshold_records(self, learner: str, cells: Sequence[CellOutcome]) -> list[Record]:
        """The coverage at which recognition of objects on closed scenes rises, where it does."""
        good = [cell for cell in cells if self.split(cell.coverage, cell.split).identified]
        closed = [self.closed(cell) for cell in good]
        found = coverage_threshold([cell.coverage for cell in good], closed, self.seed, bounds=RECOGNITION)
        words: dict[str, Any] = {"estimator": learner, "target": "closed", "split": "test", "seed": self.seed}
        return [_threshold_record(found, words), _sharpness_record(found, words)]

    def rank_records(self, form: str, rank: int, cells: Sequence[CellOutcome]) -> list[Record]:
        """A form with a fixed rank."""
        coverage, extra = cells[0].coverage, {"rank": rank}
        judged = [(cell.split, cell.judged["test"]) for cell in cells]
        norms = [float(cell.notes["factor_norm"]) for cell in cells if "factor_norm" in cell.notes]
        words: dict[str, Any] = {"estimator": form, "coverage": coverage, "split": "train", "seed": self.seed}
        records = self.r2(form, coverage, "test", judged, extra)
        records += [
            r for r in self.recognition(form, coverage, "test", judged, extra) if r.target in ("closed", "mean")
        ]
        return records + [Record("complexity", "factor_norm", float(np.median(norms)), **words, extra=extra)]

    def r2(self, learner: str, coverage: float, side: str, judged: Any, extra: Mapping[str, Any]) -> list[Record]:
        left, total = np.zeros(len(self.table)), np.zeros(len(self.table))
        for _, one in judged:
            left[one.rows] += one.error
            total[one.rows] += one.total
        return [self.r2_record("r2", learner, coverage, side, left, total, extra)]

    def r2_record(
        self,
        metric: str,
        learner: str | None,
        coverage: float,
        side: str,
        left: FloatArray,
        total: FloatArray,
        extra: Mapping[str, Any],
    ) -> Record:
        low, high = self.bootstrap.r2(left, total) if total.any() else UNKNOWN
        value = 1.0 - left.sum() / total.sum() if total.sum() > 0 else None
        counted = int((total > 0).sum())
        words: dict[str, Any] = {"ci_low": low, "ci_high": high, "n_scenes": counted, "n_objects": self.table.n_objects}
        return Record(
            "complexity", metric, value, learner, split=side, coverage=coverage, seed=self.seed, extra=extra, **words
        )

    def recognition(
        self, learner: str, coverage: float, side: str, judged: Sequence[tuple[int, Judged]], extra: Mapping[str, Any]
    ) -> list[Record]:
        """Concepts (mean, joint, each) and objects (closed on held-out scenes, unshared, all) of one side."""
        concepts, objects = self.chances
        names = self.table.space.names
        pool = _Pool(self, judged)
        everywhere = pool.masks(lambda split, rows: np.ones(len(rows), dtype=bool))
        figures: list[tuple[str, str, Any, FloatArray, list[BoolArray]]] = [
            ("concept_recognition", "mean", lambda j: j.concepts.mean(axis=1), concepts.mean(axis=1), everywhere),
            ("concept_recognition", "joint", lambda j: j.concepts.all(axis=1), concepts.prod(axis=1), everywhere),
            *(
                ("concept_recognition", name, lambda j, k=k: j.concepts[:, k], concepts[:, k], everywhere)
                for k, name in enumerate(names)
            ),
            ("object_recognition", "all", lambda j: j.objects, objects, everywhere),
            (
                "object_recognition",
                "unshared",
                lambda j: j.objects,
                objects,
                pool.masks(lambda split, rows: self.table.unshared[rows]),
            ),
        ]
        if side == "test":
            closed = pool.masks(lambda split, rows: self.split(coverage, split).closed(self.table)[rows])
            figures.append(("object_recognition", "closed", lambda j: j.objects, objects, closed))
        return [pool.record(learner, coverage, side, *figure, extra) for figure in figures]


@dataclass(frozen=True, eq=False)
class _Pool:
    """The judged scenes of several splits, added up row by row of the table."""

    frame: _Frame
    judged: Sequence[tuple[int, Judged]]

    def masks(self, choose: Any) -> list[BoolArray]:
        return [choose(split, one.rows) for split, one in self.judged]

    def record(
        self,
        learner: str,
        coverage: float,
        side: str,
        metric: str,
        target: str,
        outcome: Any,
        chance: FloatArray,
        masks: Sequence[BoolArray],
        extra: Mapping[str, Any],
    ) -> Record:
        frame, size = self.frame, len(self.frame.table)
        top, below, best = np.zeros(size), np.zeros(size), 0.0
        for (_, one), mask in zip(self.judged, masks, strict=True):
            rows = one.rows[mask]
            top[rows] += outcome(one)[mask]
            below[rows] += 1.0
            if metric == "object_recognition" and len(rows):
                best += ceiling(frame.table, rows) * len(rows)
        count = below.sum()
        low, high = frame.bootstrap.ratio(top, below) if count else UNKNOWN
        return Record(
            "complexity",
            metric,
            top.sum() / count if count else None,
            learner,
            target,
            split=side,
            coverage=coverage,
            ci_low=low,
            ci_high=high,
            chance=float((chance * below).sum() / count) if count else None,
            ceiling=best / count if count and metric == "object_recognition" else None,
            n_scenes=int((below > 0).sum()),
            n_objects=frame.table.n_objects,
            seed=frame.seed,
            extra=extra,
        )


def _real(frame: _Frame, rows: Any) -> Judged:
    """The real embeddings in the place of predictions."""
    concepts, objects = frame.probes.read(frame.vectors[rows], frame.table, rows)
    nothing = np.zeros(len(rows))
    return Judged(rows, nothing, nothing, concepts, objects)


def _threshold_record(found: Threshold, words: Mapping[str, Any]) -> Record:
    low, high = found.interval
    return Record("complexity", "coverage_threshold", found.middle, ci_low=low, ci_high=high, **words)


def _sharpness_record(found: Threshold, words: Mapping[str, Any]) -> Record:
    """Slope per unit of coverage; why there is no threshold; gain in held-out log-likelihood over a straight line."""
    low, high = found.slope_interval
    extra = {"why": found.why or None, "low": found.low, "high": found.high, "line_gain": found.line_gain}
    return Record("complexity", "threshold_slope", found.slope, ci_low=low, ci_high=high, **words, extra=extra)
