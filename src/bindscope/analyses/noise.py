"""What replicates of a scene allow: the noise ceiling, and R^2 and recognition beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bindscope.analyses.geometry.levels import LEVELS, reconstruct_held_out
from bindscope.analyses.recognition.measure import brief_records, probe_outcomes, zero_shot
from bindscope.embeddings import Embeddings
from bindscope.probes import ProbeSet
from bindscope.results import Record
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.uncertainty import UNKNOWN, ObjectBootstrap, percentile

FOLDS = 5
MEANS = {"vectors": "replicate mean"}
Vectors = np.ndarray[Any, Any]


def replicated(table: SceneTable) -> bool:
    """Whether any scene is shown by more than one row."""
    return len(table) > int(table.scene_ids.max()) + 1


def scene_means(vectors: Vectors, table: SceneTable) -> tuple[Vectors, FloatArray]:
    """For every row the mean over the rows of its scene `[n, d]`, and the number of those rows `[n]`."""
    ids = table.scene_ids
    order = np.argsort(ids, kind="stable")
    starts = np.r_[0, np.flatnonzero(np.diff(ids[order])) + 1]
    sizes = np.diff(np.r_[starts, len(ids)])
    sums = np.add.reduceat(np.asarray(vectors, dtype=np.float64)[order], starts, axis=0)
    return (sums / sizes[:, None])[ids], sizes[ids].astype(np.float64)


def noise_ceiling(vectors: Vectors, table: SceneTable) -> tuple[FloatArray, FloatArray]:
    """Per-row contributions `[n]` to the noise and to the whole variance; the ceiling is 1 - ratio of their sums.

    A row of a scene with r >= 2 rows gives |z - mean of its scene|^2 r / (r - 1), an unbiased estimate of its noise; the
    others give nothing to either.
    """
    means, sizes = scene_means(vectors, table)
    several = sizes > 1
    away = ((vectors - means) ** 2).sum(axis=1, dtype=np.float64)
    centre = np.asarray(vectors, dtype=np.float64).mean(axis=0)
    total = ((np.asarray(vectors, dtype=np.float64) - centre) ** 2).sum(axis=1)
    unbiased = np.divide(sizes, sizes - 1, out=np.zeros_like(sizes), where=several)
    return away * unbiased, total * several


def ceiling_records(embeddings: Embeddings, seed: int) -> list[Record]:
    """The noise ceiling, and which part of it Level I and Level II reach on held-out bags (`ols+pos`).

    The part is R^2 / ceiling, bootstrapped as one ratio of ratios.
    """
    vectors, table = embeddings.vectors, embeddings.table
    bootstrap = ObjectBootstrap.of(table, seed)
    noise, spread = noise_ceiling(vectors, table)
    if spread.sum() <= 0:
        return []
    low, high = bootstrap.r2(noise, spread)
    words: dict[str, Any] = {"n_scenes": len(table), "n_objects": table.n_objects, "seed": seed}
    value = float(1 - noise.sum() / spread.sum())
    records = [
        Record(
            "geometry", "noise_ceiling", value, "replicates", "scenes", split="all", ci_low=low, ci_high=high, **words
        )
    ]
    if int(table.bag_ids.max()) + 1 < FOLDS or value <= 0:
        return records
    for level in LEVELS:
        error, total = reconstruct_held_out(vectors, table, "ols+pos", level, FOLDS, seed).errors(vectors)
        drawn = bootstrap.sums(np.stack([error, total, noise, spread], axis=1))
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = (1 - drawn[:, 0] / drawn[:, 1]) / (1 - drawn[:, 2] / drawn[:, 3])
        parts = parts[np.isfinite(parts)]
        low, high = percentile(parts) if len(parts) else UNKNOWN
        share = float((1 - error.sum() / total.sum()) / value)
        ends: dict[str, Any] = {"ci_low": low, "ci_high": high, "extra": {"of": "noise_ceiling"}}
        records.append(Record("geometry", "r2", share, "ols+pos", level, split="held_out", **ends, **words))
    return records


def denoised_records(embeddings: Embeddings, probes: ProbeSet, rows: BoolArray, seed: int) -> list[Record]:
    """Recognition of each scene's mean over its replicates: what noise costs is the difference to the headline."""
    means, _ = scene_means(embeddings.vectors, embeddings.table)
    calm = replace(embeddings, vectors=means.astype(np.float32))
    everything = np.ones(len(calm.table), dtype=bool)
    records: list[Record] = []
    if calm.queries is not None:
        records += brief_records(zero_shot(calm), "zero_shot", "all", everything, seed, MEANS)
    probed = probe_outcomes(probes, calm.vectors, calm.table, everything)
    return records + brief_records(probed, "probe", "held_out", rows, seed, MEANS)
