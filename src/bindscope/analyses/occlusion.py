"""Figures by how much of the objects can be seen, where the table knows it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from bindscope.analyses.geometry.levels import LEVELS, reconstruct, reconstruct_held_out
from bindscope.analyses.recognition.measure import Outcomes, brief_records, probe_outcomes, zero_shot
from bindscope.embeddings import Embeddings
from bindscope.errors import TableError
from bindscope.probes import ProbeSet
from bindscope.results import Record
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.uncertainty import ObjectBootstrap

EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0)  # of the visible share; the last bin holds what is hardly covered
FOLDS = 5
Vectors = np.ndarray[Any, Any]


def least_visible(table: SceneTable) -> FloatArray:
    """Visible share of the most hidden object of each scene, `[n]`; TableError where the table does not know it."""
    if table.visible is None:
        raise TableError("the table has no visible shares; give columns visible1, visible2, ...")
    shown = np.where(table.present, table.visible, np.nan)
    if np.isnan(shown[table.present]).any():
        row = int(np.flatnonzero((np.isnan(shown) & table.present).any(axis=1))[0])
        raise TableError(f"row {row}: an object has no visible share; fill visible{{i}} for every object, or for none")
    return np.asarray(np.nanmin(shown, axis=1))


def occluded(table: SceneTable) -> bool:
    """Whether shares are known for every object, and some object is covered."""
    if table.visible is None or np.isnan(table.visible[table.present]).any():
        return False
    return bool((table.visible[table.present] < EDGES[-2]).any())


@dataclass(frozen=True, eq=False)
class Bin:
    """Scenes whose most hidden object shows a share between low (exclusive, but for 0) and high."""

    low: float
    high: float
    mean: float
    rows: BoolArray

    @property
    def extra(self) -> dict[str, float]:
        """What sets the records of this bin apart; `visible` is the mean share of its scenes."""
        return {"visible": round(self.mean, 4), "visible_low": self.low, "visible_high": self.high}


def bins(table: SceneTable) -> list[Bin]:
    """The bins that hold any scene, from hidden to seen."""
    share = least_visible(table)
    found = []
    for low, high in pairwise(EDGES):
        rows = (share <= high) & ((share > low) | ((low == 0) & (share == 0)))
        if rows.any():
            found.append(Bin(low, high, float(share[rows].mean()), rows))
    return found


def occluded_recognition(embeddings: Embeddings, probes: ProbeSet, rows: BoolArray, seed: int) -> list[Record]:
    """Recognition by visible share: the model's own queries on all rows, the probes on rows that they did not see."""
    table = embeddings.table
    read: list[tuple[str, str, Outcomes, BoolArray]] = []
    everything = np.ones(len(table), dtype=bool)
    if embeddings.queries is not None:
        read.append(("zero_shot", "all", zero_shot(embeddings), everything))
    read.append(("probe", "held_out", probe_outcomes(probes, embeddings.vectors, table, everything), rows))
    return [
        record
        for estimator, split, outcomes, usable in read
        for part in bins(table)
        for record in brief_records(outcomes, estimator, split, usable & part.rows, seed, part.extra, usable)
    ]


def occluded_geometry(embeddings: Embeddings, seed: int) -> list[Record]:
    """R^2 of Level I and Level II (`ols+pos`, fitted on all scenes, or on the other folds) by visible share."""
    vectors, table = embeddings.vectors, embeddings.table
    bootstrap = ObjectBootstrap.of(table, seed)
    records = []
    for level in LEVELS:
        fits = {"in_sample": reconstruct(vectors, table, "ols+pos", level)}
        if int(table.bag_ids.max()) + 1 >= FOLDS:
            fits["held_out"] = reconstruct_held_out(vectors, table, "ols+pos", level, FOLDS, seed)
        for split, rebuilt in fits.items():
            error, total = rebuilt.errors(vectors)
            for part in bins(table):
                top, below = error * part.rows, total * part.rows
                if below.sum() > 0:
                    low, high = bootstrap.r2(top, below)
                    records.append(
                        Record(
                            "geometry",
                            "r2",
                            float(1 - top.sum() / below.sum()),
                            "ols+pos",
                            level,
                            split=split,
                            ci_low=low,
                            ci_high=high,
                            n_scenes=int(part.rows.sum()),
                            n_objects=table.n_objects,
                            seed=seed,
                            extra=part.extra,
                        )
                    )
    return records
