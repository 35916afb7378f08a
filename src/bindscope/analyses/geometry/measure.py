"""Geometry: R^2, retrieval and probing of the additive levels, in sample and held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from bindscope.analyses.context import Context
from bindscope.analyses.geometry.levels import (
    LEVELS,
    Level,
    Reconstruction,
    best_scale,
    everywhere,
    level2_objects,
    reconstruct,
    reconstruct_held_out,
    reconstruct_single,
)
from bindscope.analyses.geometry.retrieval import MAX_GALLERY, SAMPLED_QUERIES, Gallery, retrieve, sampled_rows
from bindscope.analyses.occlusion import bins, occluded
from bindscope.analyses.replicates import noise_ceiling, replicated
from bindscope.design import rank
from bindscope.errors import TableError
from bindscope.recognition import ceiling, concept_chance, object_chance
from bindscope.refits import refitted_r2
from bindscope.scenes import FloatArray, SceneTable
from bindscope.uncertainty import UNKNOWN, Interval, Outcome, Refit, percentile

FITTED = ("avg", "avg+pos", "ols", "ols+pos")
AVERAGES = ("avg", "avg+pos")  # their retrieval is scored in sample only
FOLDS = 5
OPTIMISM = 0.01  # of R^2 in sample, from which the corrected one stands beside it
RECONSTRUCTIONS = 10  # whose nearest neighbours are looked for
Words = Mapping[str, Any]


def measure(context: Context) -> list[Outcome]:
    """All levels and estimators; the noise ceiling and figures by visible share where the table allows them."""
    out = Geometry(context).outcomes()
    if replicated(context.table):
        out += against_noise(context)
    if occluded(context.table):
        out += by_visible_share(context)
    return out


def cost(table: SceneTable, dimensions: int) -> float:
    """Multiplications of the searches for nearest neighbours."""
    queries = len(table) if len(table) <= MAX_GALLERY else SAMPLED_QUERIES
    width = min(dimensions, table.n_slots * table.n_objects)
    return float(RECONSTRUCTIONS) * queries * len(table) * (0.5 * width + 40)


def corrected(rebuilt: Reconstruction, error: FloatArray, total: FloatArray, words: Words) -> list[Outcome]:
    """R^2 in sample corrected for degrees of freedom, 1 - [sum error / (n - rank)] / [sum total / (n - 1)], where the fit has so
    many columns that the plain one is too high by more than OPTIMISM, as on tables in which many objects are rare."""
    n = len(error)
    design = rebuilt.models[0].design(rebuilt.table)
    share = min(design.shape[1] / n, 1.0)
    if not total.sum() > 0 or share * error.sum() / total.sum() <= OPTIMISM:
        return []
    left = n - rank(design)
    if left < 1:
        return []
    extra = {"corrected": "degrees of freedom"}
    return [Outcome.r2("r2", error * ((n - 1) / left), total, n_scenes=n, extra=extra, **words)]


class Geometry:
    """The figures of one table of scenes, all of one number of objects."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.vectors, self.table, self.seed = context.vectors, context.table, context.seed

    @cached_property
    def gallery(self) -> Gallery:
        """The real vectors."""
        return Gallery.of(self.vectors, self.table)

    def outcomes(self) -> list[Outcome]:
        """All levels and estimators, in sample and held out, and the sensitivity to centring and length."""
        out: list[Outcome] = []
        for level in LEVELS:
            for estimator in FITTED:
                rebuilt = reconstruct(self.vectors, self.table, estimator, level)
                out += self.judged(rebuilt, estimator, level, "in_sample")
                out += self.object_levels(rebuilt, estimator, level)
                out += self.held_out(estimator, level)
            out += self.single(level)
        return out + self.sensitivity()

    def held_out(self, estimator: str, level: Level) -> list[Outcome]:
        """The same with every row rebuilt by a model of the other folds; nothing where there are fewer bags than folds."""
        if int(self.table.bag_ids.max()) + 1 < FOLDS:
            return []
        rebuilt = reconstruct_held_out(self.vectors, self.table, estimator, level, FOLDS, self.seed)
        return self.judged(rebuilt, estimator, level, "held_out")

    def judged(self, rebuilt: Reconstruction, estimator: str, level: str, split: str) -> list[Outcome]:
        """R^2, retrieval and probing of one reconstruction."""
        words: dict[str, Any] = {"estimator": estimator, "target": level, "split": split}
        error, total = rebuilt.errors(self.vectors)
        refit = None if estimator == "single" else self.refit(rebuilt)
        out = [Outcome.r2("r2", error, total, n_scenes=len(error), refit=refit, **words)]
        if split == "in_sample" and estimator not in AVERAGES:
            out += corrected(rebuilt, error, total, words)
        if split == "in_sample" or estimator not in AVERAGES:
            out.append(self.retrieval(rebuilt, words))
        return out + self.probing(rebuilt, words)

    def refit(self, rebuilt: Reconstruction) -> Refit | None:
        """R^2 of the design without each value: that of least squares in sample stands for averages and for held-out folds."""
        model = rebuilt.models[0]
        key = (model.level, model.by_slot)
        if key not in self._refits:
            self._refits[key] = refitted_r2(self.vectors, model.design(self.table), self.context.jackknife)
        return self._refits[key]

    @cached_property
    def _refits(self) -> dict[tuple[str, bool], Refit | None]:
        return {}

    def retrieval(self, rebuilt: Reconstruction, words: Words) -> Outcome:
        """Share of the reconstructions whose nearest real embedding shows the same scene."""
        sample = sampled_rows(len(self.table), self.seed)
        hits, asked = np.zeros(len(self.table)), np.zeros(len(self.table))
        found = retrieve(self.gallery, rebuilt, sample)
        hits[sample], asked[sample] = found.right, 1.0
        ids = self.table.scene_ids if "pos" in words["estimator"] else self.table.multiset_ids
        chance = float(np.bincount(ids)[ids].mean() / len(ids))
        return Outcome.ratio("retrieval_top1", hits, asked, chance=chance, ties=int(found.tied.sum()), **words)

    def probing(self, rebuilt: Reconstruction, words: Words) -> list[Outcome]:
        """What probes trained on real embeddings read from the reconstructions of scenes that they were not trained on."""
        table, probes, rows = self.table, self.context.probes, self.context.held_out
        concepts = np.stack(
            [rebuilt.recognised(p, table.members(k)[0]).right for k, p in enumerate(probes.concepts)], axis=1
        )
        objects = rebuilt.recognised(probes.objects, table.object_codes).right
        chance = concept_chance(table)
        figures: list[tuple[str, Any, FloatArray, float | None]] = [
            ("concept_recognition", concepts.mean(axis=1), chance.mean(axis=1), None),
            ("joint_probing", concepts.all(axis=1), chance.prod(axis=1), None),
            ("object_recognition", objects, object_chance(table), ceiling(table, rows)),
        ]
        # the mean over concepts first, then over rows: the order in which chance has always been summed
        levels = (float(chance[rows].mean()), *(float(level[rows].mean()) for _, _, level, _ in figures[1:]))
        return [
            Outcome.ratio(metric, right * rows, rows, chance=level, ceiling=best, **words)
            for (metric, right, _, best), level in zip(figures, levels, strict=True)
        ]

    def object_levels(self, rebuilt: Reconstruction, estimator: str, level: str) -> list[Outcome]:
        """Level II on the object vectors themselves."""
        if level != "level1":
            return []
        out = []
        for split in ("in_sample", "held_out"):
            try:
                error, total, codes = level2_objects(rebuilt.models[0], self.table, split == "held_out", self.seed)
            except TableError:
                continue
            if total.sum() > 0:
                words: dict[str, Any] = {"estimator": estimator, "target": "level2_objects", "split": split}
                out.append(Outcome.r2("r2", error, total, codes=codes[:, None], n_scenes=len(error), **words))
        return out

    def single(self, level: Level) -> list[Outcome]:
        """Scenes rebuilt from one-object scenes: unscaled, and with one fitted scale.

        Only scenes whose every object has a one-object scene take part, as gallery too; `n_scenes` says how many.
        """
        singles = self.context.singles
        if singles is None:
            return []
        alone = np.isin(np.arange(self.table.n_objects), singles[1].object_codes[singles[1].present])
        covered = np.asarray(np.where(self.table.present, alone[self.table.object_codes], True).all(axis=1))
        if len(np.unique(self.table.scene_ids[covered])) < 2:
            return []
        if not covered.all():
            return [self._placed(one, covered) for one in Geometry(self.context.among(covered)).single(level)]
        out = self.rebuilt_single(level, "single", singles)
        shown = np.unique(self.table.object_codes[self.table.present])
        if self.table.n_slots > 1 and everywhere(singles[1], shown):
            out += self.rebuilt_single(level, "single+pos", singles)
        return out

    def rebuilt_single(self, level: Level, estimator: str, singles: tuple[Any, SceneTable]) -> list[Outcome]:
        """The same by one estimator, `single` or `single+pos`."""
        rebuilt = reconstruct_single(self.vectors, self.table, *singles, level, estimator.endswith("+pos"))
        out = self.judged(rebuilt, estimator, level, "held_out")
        out += self.object_levels(rebuilt, estimator, level)
        scale = best_scale(self.vectors, rebuilt)
        scaled = Reconstruction(self.table, (rebuilt.models[0].scaled(scale),), rebuilt.owner)
        words: dict[str, Any] = {
            "estimator": estimator,
            "target": level,
            "split": "in_sample",
            "extra": {"scale": round(scale, 6)},
        }
        return [*out, Outcome.r2("r2", *scaled.errors(self.vectors), n_scenes=len(self.table), **words)]

    def _placed(self, one: Outcome, rows: Any) -> Outcome:
        """The figure of some rows, which says which objects these show."""
        return one if one.codes is not None else replace(one, codes=self.table.object_codes[rows])

    def sensitivity(self) -> list[Outcome]:
        """Level I by `ols+pos` on raw vectors (R^2 against zero, not the mean) and on vectors of unit length."""
        error, _ = reconstruct(self.vectors, self.table, "ols+pos", "level1").errors(self.vectors)
        raw = np.einsum("nd,nd->n", self.vectors, self.vectors, dtype=np.float64)
        length = np.sqrt(raw)
        unit: Any = self.vectors / np.where(length > 0, length, 1.0)[:, None].astype(self.vectors.dtype)
        unit_errors = reconstruct(unit, self.table, "ols+pos", "level1").errors(unit)
        words: dict[str, Any] = {
            "estimator": "ols+pos",
            "target": "level1",
            "split": "in_sample",
            "n_scenes": len(error),
        }
        return [
            Outcome.r2("r2", error, raw, extra={"vectors": "raw"}, **words),
            Outcome.r2("r2", *unit_errors, extra={"vectors": "unit"}, **words),
        ]


def against_noise(context: Context) -> list[Outcome]:
    """The noise ceiling, and which part of it Level I and Level II reach on held-out bags (`ols+pos`).

    The part is R^2 / ceiling, bootstrapped as one ratio of ratios.
    """
    vectors, table = context.vectors, context.table
    noise, spread = noise_ceiling(vectors, table)
    if spread.sum() <= 0:
        return []
    scenes = {"estimator": "replicates", "target": "scenes", "split": "all"}
    best = Outcome.r2("noise_ceiling", noise, spread, n_scenes=len(table), **scenes)
    assert best.value is not None
    out = [best]
    if int(table.bag_ids.max()) + 1 < FOLDS or best.value <= 0:
        return out
    for level in LEVELS:
        error, total = reconstruct_held_out(vectors, table, "ols+pos", level, FOLDS, context.seed).errors(vectors)
        share = float((1 - error.sum() / total.sum()) / best.value)
        ends = _ratio_of_ratios(context, np.stack([error, total, noise, spread], axis=1))
        words: dict[str, Any] = {"estimator": "ols+pos", "target": level, "split": "held_out", "n_scenes": len(table)}
        out.append(Outcome.number("r2", share, ends, extra={"of": "noise_ceiling"}, **words))
    return out


def _ratio_of_ratios(context: Context, columns: FloatArray) -> Interval:
    drawn = context.bootstrap.sums(columns)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = (1 - drawn[:, 0] / drawn[:, 1]) / (1 - drawn[:, 2] / drawn[:, 3])
    parts = parts[np.isfinite(parts)]
    return percentile(parts) if len(parts) else UNKNOWN


def by_visible_share(context: Context) -> list[Outcome]:
    """R^2 of Level I and Level II (`ols+pos`, fitted on all scenes, or on the other folds) by visible share."""
    vectors, table = context.vectors, context.table
    out = []
    for level in LEVELS:
        fits = {"in_sample": reconstruct(vectors, table, "ols+pos", level)}
        if int(table.bag_ids.max()) + 1 >= FOLDS:
            fits["held_out"] = reconstruct_held_out(vectors, table, "ols+pos", level, FOLDS, context.seed)
        for split, rebuilt in fits.items():
            error, total = rebuilt.errors(vectors)
            for part in bins(table):
                words: dict[str, Any] = {
                    "estimator": "ols+pos",
                    "target": level,
                    "split": split,
                    "n_scenes": int(part.rows.sum()),
                }
                one = Outcome.r2("r2", error * part.rows, total * part.rows, extra=part.extra, **words)
                out += [one] if one.value is not None else []
    return out
