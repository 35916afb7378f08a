"""Figures of the audit of a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from bindscope.analyses.audit.audit import WIDTHS, Audit, audit, scenes_needed
from bindscope.analyses.context import Context
from bindscope.recognition import ambiguous, ceiling, concept_chance, object_chance
from bindscope.scenes import BoolArray, SceneTable
from bindscope.uncertainty import Outcome


def measure(context: Context) -> list[Outcome]:
    """The audit of all scenes of a context."""
    return audit_outcomes(context.whole.table, context.seed)


def audit_outcomes(table: SceneTable, seed: int = 0) -> list[Outcome]:
    """Everything that the table alone decides: cells, ranks, coverage, chance, ceiling, how many scenes can tell."""
    found = audit(table, seed)
    main = found.table
    return [
        _number(main, "n_scenes", len(table), "all"),
        _number(main, "n_scenes", len(main), "analysed", extra={"objects": found.objects_per_scene}),
        _number(main, "n_distinct_scenes", int(main.scene_ids.max()) + 1),
        _number(main, "n_bags", int(main.bag_ids.max()) + 1),
        _number(main, "n_objects", table.n_objects),
        *(_number(main, "n_values", len(table.known_values(k)), name) for k, name in enumerate(table.space.names)),
        *_cells(found),
        *(
            _number(main, "design_rank", design.rank, name, extra={"columns": design.columns})
            for name, design in found.designs.items()
        ),
        *_levels(main, *found.additive),
        *_coverages(found),
        *(
            _number(main, "scenes_needed", scenes_needed(width, found.objects_per_scene), extra={"width": width})
            for width in WIDTHS
        ),
    ]


def _number(table: SceneTable, metric: str, value: float | None, target: str | None = None, **more: Any) -> Outcome:
    return Outcome.number(metric, value, target=target, **{"n_scenes": len(table), **more})


def _cells(found: Audit) -> list[Outcome]:
    out = []
    for target, cells in (("objects", found.object_cells), ("scenes", found.scene_cells)):
        out.append(_number(found.table, "cells_present", cells.present, target))
        out.append(_number(found.table, "cells_missing", cells.total - cells.present, target))
    return out


def _levels(table: SceneTable, wrong: Any, random: Any) -> list[Outcome]:
    concepts = concept_chance(table)
    can_tell, unshared = ambiguous(table), table.unshared

    def best(rows: BoolArray, target: str) -> Outcome:
        some = bool(rows.any())
        extra = {
            "additive_ties_wrong": float(wrong[rows].mean()) if some else None,
            "additive_ties_random": float(random[rows].mean()) if some else None,
        }
        return _number(table, "ceiling", ceiling(table, rows), target, extra=extra, n_scenes=int(rows.sum()))

    return [
        _number(table, "unshared_scenes", int(unshared.sum())),
        _number(table, "ambiguous_scenes", int(can_tell.sum())),
        Outcome.mean("ambiguous_share", can_tell, codes=table.object_codes),
        *(_number(table, "chance", float(concepts[:, k].mean()), name) for k, name in enumerate(table.space.names)),
        _number(table, "chance", float(concepts.mean()), "mean"),
        _number(table, "chance", float(concepts.prod(axis=1).mean()), "joint"),
        _number(table, "chance", float(object_chance(table).mean()), "objects"),
        _number(table, "ceiling", ceiling(table), "all"),
        _number(table, "ceiling", ceiling(table, unshared), "unshared", n_scenes=int(unshared.sum())),
        best(np.ones(len(table), dtype=bool), "all"),
        best(unshared, "unshared"),
    ]


def _coverages(found: Audit) -> list[Outcome]:
    figures = ("identified", "unseen_share", "test_scenes", "closed_scenes")
    return [
        _number(found.table, name, getattr(one, name), estimator=one.method, coverage=one.coverage)
        for one in found.coverages
        for name in figures
    ]
