"""The audit of a table as records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bindscope.analyses.audit.audit import WIDTHS, Audit, audit, scenes_needed
from bindscope.recognition import ambiguous, ceiling, concept_chance, object_chance
from bindscope.results import Record
from bindscope.scenes import SceneTable
from bindscope.uncertainty import ObjectBootstrap


def audit_records(table: SceneTable, seed: int = 0) -> list[Record]:
    """Everything that the table alone decides: cells, ranks, coverage, chance, ceiling, how many scenes can tell."""
    found = audit(table, seed)
    make = _Maker(found, seed)
    return [
        make("n_scenes", len(table), "all"),
        make("n_scenes", len(found.table), "analysed", extra={"objects": found.objects_per_scene}),
        make("n_distinct_scenes", int(found.table.scene_ids.max()) + 1),
        make("n_bags", int(found.table.bag_ids.max()) + 1),
        make("n_objects", table.n_objects),
        *(make("n_values", len(table.known_values(k)), name) for k, name in enumerate(table.space.names)),
        *_cells(make, found),
        *(
            make("design_rank", design.rank, name, extra={"columns": design.columns})
            for name, design in found.designs.items()
        ),
        *_levels(make, found),
        *_coverages(make, found),
        *(
            make("scenes_needed", scenes_needed(width, found.objects_per_scene), extra={"width": width})
            for width in WIDTHS
        ),
    ]


class _Maker:
    def __init__(self, found: Audit, seed: int) -> None:
        self.found, self.seed = found, seed

    def __call__(
        self,
        metric: str,
        value: float | None,
        target: str | None = None,
        *,
        extra: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Record:
        table = self.found.table
        words = {"n_scenes": len(table), "n_objects": table.n_objects, "seed": self.seed, **more}
        return Record("audit", metric, value, target=target, extra=extra or {}, **words)


def _cells(make: _Maker, found: Audit) -> list[Record]:
    records = []
    for target, cells in (("objects", found.object_cells), ("scenes", found.scene_cells)):
        records.append(make("cells_present", cells.present, target))
        records.append(make("cells_missing", cells.total - cells.present, target))
    return records


def _levels(make: _Maker, found: Audit) -> list[Record]:
    table = found.table
    concepts = concept_chance(table)
    wrong, random = found.additive
    unshared = table.unshared
    bootstrap = ObjectBootstrap.of(table, make.seed)
    low, high = bootstrap.mean(ambiguous(table))

    def best(rows: np.ndarray[Any, Any], target: str) -> Record:
        some = bool(rows.any())
        extra = {
            "additive_ties_wrong": float(wrong[rows].mean()) if some else None,
            "additive_ties_random": float(random[rows].mean()) if some else None,
        }
        return make("ceiling", ceiling(table, rows), target, extra=extra, n_scenes=int(rows.sum()))

    return [
        make("unshared_scenes", int(unshared.sum())),
        make("ambiguous_scenes", int(ambiguous(table).sum())),
        make("ambiguous_share", float(ambiguous(table).mean()), ci_low=low, ci_high=high),
        *(make("chance", float(concepts[:, k].mean()), name) for k, name in enumerate(table.space.names)),
        make("chance", float(concepts.mean()), "mean"),
        make("chance", float(concepts.prod(axis=1).mean()), "joint"),
        make("chance", float(object_chance(table).mean()), "objects"),
        make("ceiling", ceiling(table), "all"),
        make("ceiling", ceiling(table, unshared), "unshared", n_scenes=int(unshared.sum())),
        best(np.ones(len(table), dtype=bool), "all"),
        best(unshared, "unshared"),
    ]


def _coverages(make: _Maker, found: Audit) -> list[Record]:
    records = []
    for one in found.coverages:
        words: dict[str, Any] = {"estimator": one.method, "coverage": one.coverage}
        records += [
            make("identified", one.identified, **words),
            make("unseen_share", one.unseen_share, **words),
            make("test_scenes", one.test_scenes, **words),
            make("closed_scenes", one.closed_scenes, **words),
        ]
    return records
