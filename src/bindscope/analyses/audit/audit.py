"""Audit of a scene table: what it can and cannot show about binding, before any model is run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bindscope import recognition
from bindscope.design import concept_design, object_design, rank
from bindscope.scenes import FloatArray, SceneTable
from bindscope.splits import TEST, ObjectMethod, split_objects

COVERAGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
WIDTHS = (0.01, 0.02, 0.05, 0.1)
RANDOM_SPLITS = 20
CONNECTED_SPLITS = 3
_Z = 1.959963984540054  # 97.5 % point of the normal distribution


@dataclass(frozen=True)
class Cells:
    """How many cells of a full design occur, and how many it has."""

    present: int
    total: int


@dataclass(frozen=True)
class CoverageAudit:
    """Object splits of one kind at one coverage, averaged over splits.

    identified: share of the splits whose additive fit is unique, in 0..1. unseen_share: share of held-out objects with a
    value that no training object has, in 0..1. test_scenes, closed_scenes: mean numbers of rows.
    """

    method: ObjectMethod
    coverage: float
    identified: float
    unseen_share: float
    test_scenes: float
    closed_scenes: float


@dataclass(frozen=True)
class DesignRank:
    """Rank and number of columns of a design."""

    rank: int
    columns: int


@dataclass(frozen=True, eq=False)
class Audit:
    """Everything that the table alone decides, on its scenes of `objects_per_scene` objects."""

    table: SceneTable
    objects_per_scene: int
    object_cells: Cells
    scene_cells: Cells
    designs: dict[str, DesignRank]
    coverages: tuple[CoverageAudit, ...]

    @property
    def additive(self) -> tuple[FloatArray, FloatArray]:
        """Outcome of an additive scorer on each scene, ties wrong and ties at random."""
        return recognition.additive_scorer(self.table)


def audit(table: SceneTable, seed: int = 0, coverages: tuple[float, ...] = COVERAGES) -> Audit:
    """Audit the rows of the most frequent number of objects. O(n log n) and one eigenvalue problem per design.

    Raises TableError where the scenes show no object.

    >>> from bindscope import load_dataset
    >>> audit(load_dataset("text:3x3").table).object_cells
    Cells(present=9, total=9)
    """
    count = table.headline_count
    main = table.take(table.rows_with(count))
    splits = [
        _coverage(main, method, share, seed)
        for method in ("connected", "random")
        for share in coverages
        if main.n_objects > 1
    ]
    return Audit(
        main,
        count,
        Cells(table.n_objects, table.space.n_objects),
        Cells(int(main.scene_ids.max()) + 1, table.n_objects**count),
        _designs(main),
        tuple(splits),
    )


def scenes_needed(width: float, objects_per_scene: int) -> int:
    """Scenes for an interval of this full width at a recognition of 1/2, the widest case.

    The weight of a scene of m objects is a product of m Poisson(1) weights, whose variance is 2^m - 1, and the figure a
    ratio of weighted sums: n = (2 z / width)^2 / 4 * (2^m - 1).

    >>> scenes_needed(0.05, 2)
    4610
    """
    variance: int = 2**objects_per_scene - 1
    return math.ceil((2 * _Z / width) ** 2 * 0.25 * variance)


def _designs(table: SceneTable) -> dict[str, DesignRank]:
    makers = {
        "objects": object_design(table, by_slot=False),
        "objects+slot": object_design(table, by_slot=True),
        "concepts": concept_design(table, by_slot=False),
        "concepts+slot": concept_design(table, by_slot=True),
    }
    return {name: DesignRank(rank(design), design.shape[1]) for name, design in makers.items()}


def _coverage(table: SceneTable, method: ObjectMethod, coverage: float, seed: int) -> CoverageAudit:
    times = CONNECTED_SPLITS if method == "connected" else RANDOM_SPLITS
    splits = [split_objects(table, coverage, seed + i, method) for i in range(times)]
    counted = splits[:CONNECTED_SPLITS]
    return CoverageAudit(
        method,
        coverage,
        float(np.mean([split.identified for split in splits])),
        float(np.mean([split.unseen_share for split in splits])),
        float(np.mean([(split.sides(table) == TEST).sum() for split in counted])),
        float(np.mean([split.closed(table).sum() for split in counted])),
    )
