"""Alignment: R^2 of each component under each map on held-out objects, with its null."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bindscope.analyses.alignment.alignment import Alignment, align
from bindscope.analyses.context import Context
from bindscope.errors import TableError
from bindscope.scenes import SceneTable
from bindscope.uncertainty import Interval, Outcome, permutation_p


def measure(context: Context) -> list[Outcome]:
    """All components and maps; nothing without a second side, or where nothing can be held out."""
    if context.sides is None:
        return []
    try:
        found = align(context.sides, context.seed)
    except TableError:
        return []  # one object, or too many of them
    return [*(one for part in found for one in outcomes(part, context.sides.table)), *best_of(found)]


def best_of(found: Sequence[Alignment]) -> list[Outcome]:
    """The p-value of the best map of the interaction, against the best map of each permutation: nobody chose it beforehand."""
    maps = [one for one in found if one.component == "interaction" and len(one.null)]
    if not maps:
        return []
    draws = min(len(one.null) for one in maps)
    null = np.max([one.null[:draws] for one in maps], axis=0)
    observed = max(one.r2 for one in maps)
    return [permutation_p(observed, null, target="interaction", estimator="best", split="test")]


def outcomes(one: Alignment, table: SceneTable) -> list[Outcome]:
    """One component under one map: held-out objects, training objects, the null and its p-value."""
    codes = np.arange(table.n_objects)[:, None] if one.scenes is None else table.object_codes[one.scenes]
    asked = one.total > 0
    words: dict[str, Any] = {
        "estimator": one.estimator,
        "target": one.component,
        "n_objects": len(np.unique(codes[asked])),
        "n_scenes": int(asked.sum()) if one.scenes is not None else len(table),
    }
    test = {**words, "split": "test"}
    out = [
        Outcome.r2("r2", one.error, one.total, codes=codes, **test),
        Outcome.number("r2", one.train_r2, split="train", extra={"objects": "training"}, **words),
    ]
    null = one.null[np.isfinite(one.null)]
    if one.component == "interaction":  # binding itself: the same figure under the name that learners have it by
        level = float(null.mean()) if len(null) else None
        out.append(Outcome.r2("binding_r2", one.error, one.total, codes=codes, chance=level, **test))
    if len(null):
        low, high = np.percentile(null, [2.5, 97.5])
        extra = {"null": True, "draws": len(null)}
        out += [
            Outcome.number("r2", float(null.mean()), Interval(float(low), float(high)), extra=extra, **test),
            permutation_p(one.r2, null, **test),
        ]
    return out
