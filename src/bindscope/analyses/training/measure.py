"""Training: recognition of the weights that were kept, on closed, test, training and validation scenes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bindscope.recognition import SceneRecognition, ceiling, concept_chance, object_chance
from bindscope.scenes import BoolArray, FloatArray
from bindscope.uncertainty import Outcome

SPLITS = {"test": "test", "train": "train", "validation": "test"}


def training_outcomes(found: Mapping[str, SceneRecognition], best_step: int) -> list[Outcome]:
    """Closed, test and training scenes as headlines, validation scenes as extra, and the step of the weights.

    found: by name of the table; all of them have the same candidates.
    """
    no_closed = Outcome.number(
        "object_recognition",
        None,
        target="closed",
        estimator="zero_shot",
        split="test",
        n_scenes=0,
        counts_objects=False,
    )
    return [
        _objects(found["closed"], "closed", "test") if "closed" in found else no_closed,
        *(
            one
            for name, split in SPLITS.items()
            if name in found
            for one in _side(found[name], split, {"objects": "validation"} if name == "validation" else {})
        ),
        Outcome.number("best_step", best_step, target="all", counts_objects=False),
    ]


def _side(found: SceneRecognition, split: str, extra: Mapping[str, Any]) -> list[Outcome]:
    """Objects on all scenes and on unshared ones, and the mean over concepts."""
    words: dict[str, Any] = {
        "estimator": "zero_shot",
        "split": split,
        "extra": extra,
        "codes": found.table.object_codes,
    }
    right, chance = found.concept_mean, float(concept_chance(found.table).mean())
    paper = [] if found.paper is None else [_paper(*found.paper, words)]
    return [
        *paper,
        _objects(found, "all", split, extra=extra),
        _objects(found, "unshared", split, found.table.unshared, extra),
        Outcome.mean("concept_recognition", right, target="mean", chance=chance, **words),
    ]


def _paper(right: FloatArray, chance: FloatArray, words: Mapping[str, Any]) -> Outcome:
    """The metric of the paper's training script: few candidates, one swap a scene."""
    return Outcome.mean("paper_metric", right, target="all", chance=float(chance.mean()), **words)


def _objects(
    found: SceneRecognition,
    target: str,
    split: str,
    rows: BoolArray | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Outcome:
    table = found.table
    where = np.ones(len(table), dtype=bool) if rows is None else rows
    return Outcome.mean(
        "object_recognition",
        found.objects.right,
        where,
        target=target,
        estimator="zero_shot",
        split=split,
        codes=table.object_codes,
        chance=float(object_chance(table)[where].mean()) if where.any() else None,
        ceiling=ceiling(table, where),
        ties=int(found.objects.tied[where].sum()),
        extra=dict(extra or {}),
    )
