"""Recognition as records: the model's own queries (zero-shot) and trained read-outs (probe)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bindscope.embeddings import Embeddings
from bindscope.errors import InputError
from bindscope.probes import MAX_TRAIN_ROWS, ProbeSet, fit_probes
from bindscope.recognition import Recognised, ceiling, concept_chance, object_chance, recognise_by_cosine
from bindscope.results import Record
from bindscope.scenes import BoolArray, SceneTable
from bindscope.splits import SceneUnit, split_scenes
from bindscope.uncertainty import UNKNOWN, ObjectBootstrap

Vectors = np.ndarray[Any, Any]
TRAIN_SHARE = 0.4
SPREAD_SPLITS = 3
SPREAD_MAX_ROWS = 20_000


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Recognition of each row of a table: concepts (one for each concept) and objects."""

    table: SceneTable
    concepts: tuple[Recognised, ...]
    objects: Recognised


def zero_shot(embeddings: Embeddings, centred: bool = False) -> Outcomes:
    """Cosine of each scene with the model's own queries; `centred` takes the mean off scenes and off queries first."""
    queries = embeddings.queries
    if queries is None:
        raise InputError("the embeddings have no queries; give them, or use the probes")
    vectors, table = embeddings.vectors, embeddings.table
    away = vectors.mean(axis=0, dtype=np.float64) if centred else np.zeros(vectors.shape[1])

    def judged(asked: Vectors, members: Vectors) -> Recognised:
        own = asked.mean(axis=0, dtype=np.float64) if centred else np.zeros(vectors.shape[1])
        return recognise_by_cosine(vectors - away.astype(np.float32), asked - own, members)

    concepts = tuple(judged(q, table.members(k)[0]) for k, q in enumerate(queries.values))
    return Outcomes(table, concepts, judged(queries.objects, table.object_codes))


def probed(vectors: Vectors, table: SceneTable, seed: int, by: SceneUnit = "bag") -> tuple[ProbeSet, BoolArray]:
    """Probes trained on 40 % of the bags, and the mask of the rows that may be scored."""
    train = split_scenes(table, TRAIN_SHARE, by, seed)
    return fit_probes(vectors, table, train, seed, inner_split=by), ~train


def probe_outcomes(probes: ProbeSet, vectors: Vectors, table: SceneTable, rows: BoolArray) -> Outcomes:
    """What the probes read on the rows of a mask."""
    some, theirs = table.take(rows), vectors[rows]
    return Outcomes(some, tuple(probes.concept_outcomes(theirs, some)), probes.object_outcome(theirs, some))


def outcome_records(
    outcomes: Outcomes, estimator: str, split: str, seed: int, extra: Mapping[str, Any] | None = None
) -> list[Record]:
    """All figures of one read-out: concepts (mean, joint, each, and on unshared scenes) and objects (all, unshared)."""
    maker = _Maker(outcomes, estimator, split, seed, dict(extra or {}))
    everywhere = np.ones(len(outcomes.table), dtype=bool)
    unshared = outcomes.table.unshared
    return [
        *maker.concepts(everywhere, {}),
        *maker.concepts(unshared, {"scenes": "unshared"}),
        maker.objects("all", everywhere),
        maker.objects("unshared", unshared),
    ]


def brief_records(
    outcomes: Outcomes,
    estimator: str,
    split: str,
    rows: BoolArray,
    seed: int,
    extra: Mapping[str, Any],
    among: BoolArray | None = None,
) -> list[Record]:
    """Concepts (mean) and objects (all, unshared) on the rows of a mask; nothing where it has none.

    among: the rows that the ceiling is taken over, where a bag is not told which of them are scored.
    """
    if not rows.any():
        return []
    maker = _Maker(outcomes, estimator, split, seed, dict(extra))
    whole, unshared = rows if among is None else among, outcomes.table.unshared
    objects = [maker.objects("all", rows, whole), maker.objects("unshared", rows & unshared, whole & unshared)]
    return [*maker.concepts(rows, {})[:1], *(record for record in objects if record.n_scenes)]


@dataclass(frozen=True, eq=False)
class _Maker:
    outcomes: Outcomes
    estimator: str
    split: str
    seed: int
    extra: dict[str, Any]

    def concepts(self, rows: BoolArray, extra: Mapping[str, Any]) -> list[Record]:
        names = self.outcomes.table.space.names
        right = np.stack([o.right for o in self.outcomes.concepts], axis=1).astype(np.float64)
        tied = np.stack([o.tied for o in self.outcomes.concepts], axis=1)
        chance = concept_chance(self.outcomes.table)
        figures: list[tuple[str, Vectors, Vectors, Vectors]] = [
            ("mean", right.mean(axis=1), chance.mean(axis=1), np.asarray(tied.any(axis=1))),
            (
                "joint",
                np.asarray(right.all(axis=1), dtype=np.float64),
                chance.prod(axis=1),
                np.asarray(tied.any(axis=1)),
            ),
            *((name, right[:, k], chance[:, k], tied[:, k]) for k, name in enumerate(names)),
        ]
        return [
            self.record("concept_recognition", target, value, rows, level, ties, None, extra)
            for target, value, level, ties in figures
        ]

    def objects(self, target: str, rows: BoolArray, among: BoolArray | None = None) -> Record:
        outcome, table = self.outcomes.objects, self.outcomes.table
        best = ceiling(table, rows if among is None else among)
        right = outcome.right.astype(np.float64)
        return self.record("object_recognition", target, right, rows, object_chance(table), outcome.tied, best, {})

    def record(
        self,
        metric: str,
        target: str,
        right: Vectors,
        rows: BoolArray,
        chance: Vectors,
        tied: Vectors,
        best: float | None,
        extra: Mapping[str, Any],
    ) -> Record:
        table, count = self.outcomes.table, int(rows.sum())
        low, high = self.bootstrap.mean(right, rows) if count else UNKNOWN
        return Record(
            analysis="recognition",
            metric=metric,
            value=right[rows].mean() if count else None,
            estimator=self.estimator,
            target=target,
            split=self.split,
            ci_low=low,
            ci_high=high,
            chance=chance[rows].mean() if count else None,
            ceiling=best,
            n_scenes=count,
            n_objects=table.n_objects,
            n_ties=tied[rows].sum(),
            seed=self.seed,
            extra={**self.extra, **extra},
        )

    @property
    def bootstrap(self) -> ObjectBootstrap:
        kept: ObjectBootstrap | None = self.__dict__.get("_bootstrap")
        if kept is None:
            kept = ObjectBootstrap.of(self.outcomes.table, self.seed)
            object.__setattr__(self, "_bootstrap", kept)
        return kept


def recognition_records(embeddings: Embeddings, probes: ProbeSet, rows: BoolArray, seed: int) -> list[Record]:
    """Zero-shot (where the model has queries) and probes, on the scenes of the most frequent number of objects."""
    records: list[Record] = []
    if embeddings.queries is not None:
        records += outcome_records(zero_shot(embeddings), "zero_shot", "all", seed)
        records += outcome_records(
            zero_shot(embeddings, centred=True), "zero_shot", "all", seed, {"vectors": "centred"}
        )
    vectors, table = embeddings.vectors, embeddings.table
    records += outcome_records(probe_outcomes(probes, vectors, table, rows), "probe", "held_out", seed)
    records.append(training_record(probes, rows, seed))
    if len(table) <= SPREAD_MAX_ROWS:
        records += spread_records(vectors, table, probes, seed)
    return records


def training_record(probes: ProbeSet, rows: BoolArray, seed: int) -> Record:
    """What the probes were trained on: `value` rows of `n_scenes` training scenes (fewer where the limit bites)."""
    every = (*probes.concepts, probes.objects)
    extra = {
        "limit": MAX_TRAIN_ROWS,
        "penalties": [probe.penalty for probe in every],
        "converged": all(probe.converged for probe in every),
    }
    return Record(
        "recognition",
        "training_rows",
        int(probes.train.sum()),
        "probe",
        "all",
        split="train",
        n_scenes=int((~rows).sum()),
        seed=seed,
        extra=extra,
    )


def other_count_records(embeddings: Embeddings, seed: int) -> list[Record]:
    """Zero-shot recognition of the scenes of one number of objects that is not the headline."""
    if embeddings.queries is None:
        return []
    extra = {"objects": embeddings.table.headline_count}
    return outcome_records(zero_shot(embeddings), "zero_shot", "all", seed, extra)


def spread_records(vectors: Vectors, table: SceneTable, probes: ProbeSet, seed: int) -> list[Record]:
    """Standard deviation of the probe's figures over repeated splits and fits, at the penalties already chosen."""
    figures = []
    for again in range(SPREAD_SPLITS):
        train = split_scenes(table, TRAIN_SHARE, "bag", seed + 101 + again)
        fitted = fit_probes(vectors, table, train, seed, like=probes)
        outcome = probe_outcomes(fitted, vectors, table, ~train)
        concepts = float(np.mean([o.right.mean() for o in outcome.concepts]))
        figures.append((concepts, float(outcome.objects.right.mean())))
    spread = np.std(figures, axis=0, ddof=1)
    extra = {"spread": "splits", "splits": SPREAD_SPLITS}
    names: Sequence[tuple[str, str]] = (("concept_recognition", "mean"), ("object_recognition", "all"))
    return [
        Record(
            "recognition", metric, value, "probe", target, split="held_out", n_scenes=len(table), seed=seed, extra=extra
        )
        for (metric, target), value in zip(names, spread, strict=True)
    ]
