"""Geometry and variance shares as records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bindscope.analyses.geometry.levels import (
    LEVELS,
    Level,
    Reconstruction,
    best_scale,
    level2_objects,
    reconstruct,
    reconstruct_held_out,
    reconstruct_single,
)
from bindscope.analyses.geometry.retrieval import MAX_GALLERY, Gallery, retrieve, sampled_rows
from bindscope.analyses.variance.shares import STEPS, VarianceShares, interaction_null, variance_shares
from bindscope.embeddings import Embeddings
from bindscope.errors import TableError
from bindscope.probes import ProbeSet
from bindscope.recognition import ceiling, concept_chance, object_chance
from bindscope.results import Record
from bindscope.scenes import BoolArray, SceneTable
from bindscope.uncertainty import Interval, ObjectBootstrap, p_value

FITTED = ("avg", "avg+pos", "ols", "ols+pos")
AVERAGES = ("avg", "avg+pos")  # their retrieval is scored in sample only
FOLDS = 5
NULL_DRAWS = 199
NULL_DRAWS_LARGE = 99

Vectors = np.ndarray[Any, Any]


class GeometryMaker:
    """Makes the geometry records of one table of scenes, all of one number of objects."""

    def __init__(
        self, vectors: Vectors, table: SceneTable, probes: ProbeSet | None, rows: BoolArray | None, seed: int
    ) -> None:
        self.vectors, self.table, self.seed = vectors, table, seed
        self.probes, self.rows = probes, rows
        self.bootstrap = ObjectBootstrap.of(table, seed)
        self.sample = sampled_rows(len(table), seed)
        self.gallery = Gallery.of(vectors, table)

    def records(self, singles: tuple[Vectors, SceneTable] | None) -> list[Record]:
        """All levels and estimators, in sample and held out, and the sensitivity to centring and length."""
        out: list[Record] = []
        for level in LEVELS:
            for estimator in FITTED:
                rebuilt = reconstruct(self.vectors, self.table, estimator, level)
                out += self.judged(rebuilt, estimator, level, "in_sample")
                out += self.object_records(rebuilt, estimator, level)
                out += self.held_out(estimator, level)
            out += self.single_records(singles, level)
        return out + self.sensitivity()

    def held_out(self, estimator: str, level: Level) -> list[Record]:
        """The same with every row rebuilt by a model of the other folds; nothing where there are fewer bags than folds."""
        if int(self.table.bag_ids.max()) + 1 < FOLDS:
            return []
        rebuilt = reconstruct_held_out(self.vectors, self.table, estimator, level, FOLDS, self.seed)
        return self.judged(rebuilt, estimator, level, "held_out")

    def judged(self, rebuilt: Reconstruction, estimator: str, level: str, split: str) -> list[Record]:
        """R^2, retrieval and probing of one reconstruction."""
        error, total = rebuilt.errors(self.vectors)
        out = [self.r2_record(error, total, estimator, level, split, self.bootstrap)]
        if split == "in_sample" or estimator not in AVERAGES:
            out.append(self.retrieval(rebuilt, estimator, level, split))
        if self.probes is not None and self.rows is not None:
            out += self.probing(rebuilt, self.probes, self.rows, estimator, level, split)
        return out

    def retrieval(self, rebuilt: Reconstruction, estimator: str, level: str, split: str) -> Record:
        """Share of the reconstructions whose nearest real embedding shows the same scene."""
        hits, asked = np.zeros(len(self.table)), np.zeros(len(self.table))
        found = retrieve(self.gallery, rebuilt, self.sample)
        hits[self.sample], asked[self.sample] = found.right, 1.0
        ids = self.table.scene_ids if "pos" in estimator else self.table.multiset_ids
        chance = float(np.bincount(ids)[ids].mean() / len(ids))
        ties = int(found.tied.sum())
        return self.mean_record("retrieval_top1", hits, asked, estimator, level, split, chance=chance, n_ties=ties)

    def probing(
        self, rebuilt: Reconstruction, probes: ProbeSet, rows: BoolArray, estimator: str, level: str, split: str
    ) -> list[Record]:
        """What probes trained on real embeddings read from the reconstructions of scenes that they were not trained on."""
        table = self.table
        concepts = np.stack(
            [rebuilt.recognised(p, table.members(k)[0]).right for k, p in enumerate(probes.concepts)], axis=1
        )
        objects = rebuilt.recognised(probes.objects, table.object_codes).right
        chance = concept_chance(table)
        words = (estimator, level, split)
        return [
            self.mean_record(
                "concept_recognition", concepts.mean(axis=1), rows, *words, chance=float(chance[rows].mean())
            ),
            self.mean_record(
                "joint_probing",
                np.asarray(concepts.all(axis=1)),
                rows,
                *words,
                chance=float(chance.prod(axis=1)[rows].mean()),
            ),
            self.mean_record(
                "object_recognition",
                objects,
                rows,
                *words,
                chance=object_chance(table)[rows].mean(),
                ceiling=ceiling(table, rows),
            ),
        ]

    def object_records(self, rebuilt: Reconstruction, estimator: str, level: str) -> list[Record]:
        """Level II on the object vectors themselves."""
        if level != "level1":
            return []
        out = []
        for held_out in (False, True):
            try:
                error, total, codes = level2_objects(rebuilt.models[0], self.table, held_out, self.seed)
            except TableError:
                continue
            bootstrap = ObjectBootstrap(codes[:, None], self.table.n_objects, seed=self.seed)
            split = "held_out" if held_out else "in_sample"
            if total.sum() > 0:
                out.append(self.r2_record(error, total, estimator, "level2_objects", split, bootstrap))
        return out

    def single_records(self, singles: tuple[Vectors, SceneTable] | None, level: Level) -> list[Record]:
        """Scenes rebuilt from one-object scenes: unscaled, and with one fitted scale.

        Only scenes whose every object has a one-object scene take part, as gallery too; `n_scenes` says how many.
        """
        if singles is None:
            return []
        alone = np.isin(np.arange(self.table.n_objects), singles[1].object_codes[singles[1].present])
        covered = np.asarray(np.where(self.table.present, alone[self.table.object_codes], True).all(axis=1))
        if len(np.unique(self.table.scene_ids[covered])) < 2:
            return []
        if not covered.all():
            return self.among(covered).single_records(singles, level)
        rebuilt = reconstruct_single(self.vectors, self.table, *singles, level)
        out = self.judged(rebuilt, "single", level, "held_out")
        out += self.object_records(rebuilt, "single", level)
        scale = best_scale(self.vectors, rebuilt)
        scaled = Reconstruction(self.table, (rebuilt.models[0].scaled(scale),), rebuilt.owner)
        error, total = scaled.errors(self.vectors)
        extra = {"scale": round(scale, 6)}
        return [*out, self.r2_record(error, total, "single", level, "in_sample", self.bootstrap, extra)]

    def among(self, rows: BoolArray) -> GeometryMaker:
        """The maker of some rows alone."""
        scored = None if self.rows is None else self.rows[rows]
        return GeometryMaker(self.vectors[rows], self.table.take(rows), self.probes, scored, self.seed)

    def sensitivity(self) -> list[Record]:
        """Level I by `ols+pos` on raw vectors (R^2 against zero, not the mean) and on vectors of unit length."""
        error, _ = reconstruct(self.vectors, self.table, "ols+pos", "level1").errors(self.vectors)
        raw = np.einsum("nd,nd->n", self.vectors, self.vectors, dtype=np.float64)
        length = np.sqrt(raw)
        unit = self.vectors / np.where(length > 0, length, 1.0)[:, None].astype(self.vectors.dtype)
        words = ("ols+pos", "level1", "in_sample")
        unit_errors = reconstruct(unit, self.table, "ols+pos", "level1").errors(unit)
        return [
            self.r2_record(error, raw, *words, self.bootstrap, {"vectors": "raw"}),
            self.r2_record(*unit_errors, *words, self.bootstrap, {"vectors": "unit"}),
        ]

    def r2_record(
        self,
        error: Vectors,
        total: Vectors,
        estimator: str,
        target: str,
        split: str,
        bootstrap: ObjectBootstrap,
        extra: Mapping[str, Any] | None = None,
    ) -> Record:
        """1 - sum(error) / sum(total) with its interval."""
        value = 1.0 - error.sum() / total.sum() if total.sum() > 0 else None
        return self.record("r2", value, bootstrap.r2(error, total), estimator, target, split, len(error), extra=extra)

    def mean_record(
        self, metric: str, right: Vectors, rows: Vectors, estimator: str, target: str, split: str, **levels: Any
    ) -> Record:
        """A mean over the rows of a mask with its interval."""
        count = int(np.asarray(rows).sum())
        value = float((right * rows).sum() / count) if count else None
        interval = self.bootstrap.mean(right, rows)
        return self.record(metric, value, interval, estimator, target, split, count, **levels)

    def record(
        self,
        metric: str,
        value: float | None,
        interval: Interval,
        estimator: str,
        target: str,
        split: str,
        n_scenes: int,
        chance: float | None = None,
        ceiling: float | None = None,
        n_ties: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Record:
        """One geometry record."""
        return Record(
            "geometry",
            metric,
            value,
            estimator,
            target,
            split=split,
            ci_low=interval.low,
            ci_high=interval.high,
            chance=chance,
            ceiling=ceiling,
            n_scenes=n_scenes,
            n_objects=self.table.n_objects,
            n_ties=n_ties,
            seed=self.seed,
            extra=extra or {},
        )


def geometry_records(
    embeddings: Embeddings,
    singles: tuple[Vectors, SceneTable] | None,
    probes: ProbeSet | None,
    rows: BoolArray | None,
    seed: int,
) -> list[Record]:
    """Levels I and II of scenes of one number of objects."""
    return GeometryMaker(embeddings.vectors, embeddings.table, probes, rows, seed).records(singles)


def variance_records(embeddings: Embeddings, seed: int) -> list[Record]:
    """Nested variance shares, corrected and not, cumulative, and the test of binding beyond additivity."""
    vectors, table = embeddings.vectors, embeddings.table
    shares = variance_shares(vectors, table)
    bootstrap = ObjectBootstrap.of(table, seed)
    records = _share_records(shares, bootstrap, table, seed) + _noise_records(shares, bootstrap, table, seed)
    draws = NULL_DRAWS if len(table) <= MAX_GALLERY else NULL_DRAWS_LARGE
    if shares.ranks[3] == shares.ranks[2] or len(table) < 3:
        return records  # concepts x slot already say everything: no interaction to test
    observed, null = interaction_null(vectors, table, draws, seed)
    observed, null = observed / shares.total, null / shares.total
    low, high = np.percentile(null, [2.5, 97.5])
    words = {"estimator": "freedman_lane", "target": "interaction", **_words(table, seed)}
    extra = {"null": True, "draws": draws, "observed": observed}
    return [
        *records,
        Record("variance", "p_value", p_value(observed, null), **words),
        Record("variance", "share", float(null.mean()), ci_low=low, ci_high=high, extra=extra, **words),
    ]


def _share_records(shares: VarianceShares, bootstrap: ObjectBootstrap, table: SceneTable, seed: int) -> list[Record]:
    records: list[Record] = []
    running = np.zeros(len(table))
    for step, name in enumerate((*STEPS, "residual")):
        rows = shares.contributions(step)
        low, high = bootstrap.ratio(rows, shares.errors[0])
        shift = shares.correction(step)
        words = _words(table, seed)
        headline = Record(
            "variance", "share", shares.corrected(step), "ols", name, ci_low=low - shift, ci_high=high - shift, **words
        )
        raw = Record(
            "variance",
            "share",
            shares.share(step),
            "ols",
            name,
            ci_low=low,
            ci_high=high,
            extra={"correction": "none"},
            **words,
        )
        running = running + rows
        low, high = bootstrap.ratio(running, shares.errors[0])
        extra = {"correction": "none", "cumulative": True}
        total = float(running.sum() / shares.total)
        whole = Record("variance", "share", total, "ols", name, ci_low=low, ci_high=high, extra=extra, **words)
        records += [headline, raw, whole] if step < len(STEPS) else [headline, raw]
    return records


def _words(table: SceneTable, seed: int) -> dict[str, Any]:
    return {"split": "in_sample", "n_scenes": len(table), "n_objects": table.n_objects, "seed": seed}


def _noise_records(shares: VarianceShares, bootstrap: ObjectBootstrap, table: SceneTable, seed: int) -> list[Record]:
    """What replicates tell apart: noise, and what no pair of objects explains."""
    if shares.noise is None:
        return []
    total, rows = shares.errors[0], shares.noise_contributions
    noise, shift = shares.noise_share, shares.correction(len(STEPS))
    higher = shares.corrected(len(STEPS)) - noise
    low, high = bootstrap.ratio(rows, total)
    lower, upper = bootstrap.ratio(shares.contributions(len(STEPS)) - rows, total)

    def record(metric: str, value: float, target: str, low: float, high: float) -> Record:
        words = _words(table, seed)
        return Record("variance", metric, value, "replicates", target, ci_low=low, ci_high=high, **words)

    return [
        record("share", noise, "noise", low, high),
        record("share", higher, "higher_order", lower - shift, upper - shift),
        record("noise_ceiling", 1.0 - noise, "scenes", 1.0 - high, 1.0 - low),
    ]
