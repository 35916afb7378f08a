"""The coverage transition of a sweep: thresholds of recognition over coverage, one for each group of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bindscope.analyses.complexity.threshold import FEWEST, RECOGNITION, Threshold, coverage_threshold
from bindscope.controlled.config import TECHNICAL, TrainConfig

REPEATED = ("coverage", "seed", *TECHNICAL)  # what does not part the models into groups
LEARNT = 0.9  # of the training objects, at the largest coverage


@dataclass(frozen=True, eq=False)
class Transition:
    """One group of models: `settings` are those that differ between groups. figures `[n]` at coverages `[n]`.

    train: mean recognition of training objects at the largest coverage (at small ones, many objects that nobody trained
    stand among the candidates).
    """

    settings: Mapping[str, Any]
    n_objects: int
    coverage: np.ndarray[Any, np.dtype[np.float64]]
    figure: np.ndarray[Any, np.dtype[np.float64]]
    threshold: Threshold
    train: float | None

    @property
    def learnt(self) -> bool:
        """Whether the models know their training objects where most train: else the curve says only that they do not."""
        return self.train is None or self.train >= LEARNT


def transitions(rows: Sequence[Mapping[str, Any]], figure: str = "closed", seed: int = 0) -> list[Transition]:
    """Threshold of a column of a sweep's table for all models that differ in coverage and seed alone.

    figure: `closed` (the headline), `test`, or `test_paper` (test objects by the metric of the paper's training script).
    Groups with fewer than FEWEST coverages have a threshold of None, and `why`. Models without the figure (no closed scene)
    are left out. Order: as the groups first appear.
    """
    groups: dict[str, list[Mapping[str, Any]]] = {}
    fixed = [name for name in TrainConfig.model_fields if name not in REPEATED]
    for row in rows:
        groups.setdefault(repr([row[name] for name in fixed]), []).append(row)
    varied = [name for name in fixed if len({repr(row[name]) for row in rows}) > 1]
    return [_transition(group, varied, figure, seed) for group in groups.values()]


def _transition(group: Sequence[Mapping[str, Any]], varied: Sequence[str], figure: str, seed: int) -> Transition:
    there = [row for row in group if row.get(figure) is not None]
    coverage = np.array([row["coverage"] for row in there], dtype=np.float64)
    values = np.array([row[figure] for row in there], dtype=np.float64)
    settings = {name: group[0][name] for name in varied}
    count = int(group[0]["values"] ** group[0]["concepts"])
    most = max(row["coverage"] for row in group)
    train = [row["train"] for row in group if row["coverage"] == most and row.get("train") is not None]
    known = float(np.mean(train)) if train else None
    models = [row.get("seed", number) for number, row in enumerate(there)]
    threshold = coverage_threshold(coverage, values, seed, bounds=RECOGNITION, models=models)
    return Transition(settings, count, coverage, values, threshold, known)


def has_curves(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a sweep varies coverage enough for a threshold."""
    return len({row["coverage"] for row in rows}) >= FEWEST
