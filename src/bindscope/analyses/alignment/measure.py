"""Alignment of the two binding functions as records."""

from __future__ import annotations

from typing import Any

import numpy as np

from bindscope.analyses.alignment.alignment import Alignment, align
from bindscope.analyses.context import Context
from bindscope.analyses.sides import two_sides
from bindscope.embeddings import Embeddings
from bindscope.errors import TableError
from bindscope.results import Record
from bindscope.scenes import SceneTable
from bindscope.uncertainty import ObjectBootstrap, p_value


def alignment_records(embeddings: Embeddings, seed: int) -> list[Record]:
    """R^2 of each component under each map on held-out objects, with its null; none where nothing can be held out."""
    sides = two_sides(embeddings)
    if sides is None:
        return []
    try:
        found = align(sides, seed)
    except TableError:
        return []  # one object, or too many of them
    records: list[Record] = []
    for one in found:
        records += _records(one, sides.table, seed)
    return records


def _records(one: Alignment, table: SceneTable, seed: int) -> list[Record]:
    codes = np.arange(table.n_objects)[:, None] if one.scenes is None else table.object_codes[one.scenes]
    asked = one.total > 0
    bootstrap = ObjectBootstrap(codes, table.n_objects, seed=seed)
    low, high = bootstrap.r2(one.error, one.total)
    words: dict[str, Any] = {
        "estimator": one.estimator,
        "target": one.component,
        "split": "test",
        "n_objects": len(np.unique(codes[asked])),
        "n_scenes": int(asked.sum()) if one.scenes is not None else len(table),
        "seed": seed,
    }
    records = [
        Record("alignment", "r2", one.r2, ci_low=low, ci_high=high, **words),
        Record("alignment", "r2", one.train_r2, **{**words, "split": "train"}, extra={"objects": "training"}),
    ]
    null = one.null[np.isfinite(one.null)]
    if len(null):
        ends = np.percentile(null, [2.5, 97.5])
        extra = {"null": True, "draws": len(null)}
        records += [
            Record("alignment", "r2", float(null.mean()), ci_low=ends[0], ci_high=ends[1], extra=extra, **words),
            Record("alignment", "p_value", p_value(one.r2, null), **words),
        ]
    return records


def measure(context: Context) -> list[Record]:
    """All figures of the alignment."""
    return alignment_records(context.main, context.seed)
