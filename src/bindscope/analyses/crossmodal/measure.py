"""Cross-modal binding: swap test, retrieval, recognition across the sides, confusions, attribution, and heads that repair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bindscope.analyses.context import Context
from bindscope.analyses.crossmodal.figures import TwoSidedFigures
from bindscope.analyses.crossmodal.repair import repaired
from bindscope.analyses.retrieval import unit
from bindscope.embeddings import Queries
from bindscope.errors import TableError
from bindscope.probes import TRAIN_SHARE, fit_probes
from bindscope.recognition import (
    SceneRecognition,
    ceiling,
    concept_chance,
    object_chance,
    recognition_outcomes,
    zero_shot,
)
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.splits import split_scenes
from bindscope.uncertainty import ObjectBootstrap, Outcome

PROBE_ROWS = 8_000


def measure(context: Context) -> list[Outcome]:
    """All figures of two sides, and of heads that repair; none without a second side."""
    if context.sides is None:
        return []
    figures = TwoSidedFigures.of(context, context.trained)
    return [
        *figures.swaps(),
        *figures.retrieval(),
        *across(context),
        *within_captions(context),
        *figures.confusions(),
        *figures.attribution(),
        *repaired(context),
    ]


def across(context: Context) -> list[Outcome]:
    """Zero-shot recognition, the wordings of the queries apart (mean over them) and ensembled; none without queries."""
    captions, own = context.main.captions, context.main.queries
    if captions is None or own is None:
        return []
    every = (own, *captions.queries)
    out = wordings_apart([zero_shot(context.vectors, context.table, queries) for queries in every])
    if len(every) > 1:
        together = zero_shot(context.vectors, context.table, ensembled(every))
        out += recognition_outcomes(together, "zero_shot", "all", {"wordings": "ensembled"})
    return out


def ensembled(every: Sequence[Queries]) -> Queries:
    """Mean of the unit vectors of several wordings of the same queries."""
    objects = np.mean([unit(queries.objects) for queries in every], axis=0)
    n_concepts = len(every[0].values)
    values = tuple(np.mean([unit(queries.values[k]) for queries in every], axis=0) for k in range(n_concepts))
    return Queries(objects, values)


def wordings_apart(every: Sequence[SceneRecognition]) -> list[Outcome]:
    """Mean over the wordings; no headline: that of the default wording stands under recognition."""
    table = every[0].table
    concepts = np.mean([[one.right for one in read.concepts] for read in every], axis=0)  # [C, n]
    objects = np.mean([read.objects.right for read in every], axis=0)
    concept_level, object_level = concept_chance(table), object_chance(table)
    words: dict[str, Any] = {"estimator": "zero_shot", "split": "all", "extra": {"wordings": "apart"}}

    everywhere = np.ones(len(table), dtype=bool)

    def figure(metric: str, target: str, right: FloatArray, level: FloatArray, rows: BoolArray, **more: Any) -> Outcome:
        chance = float(level[rows].mean()) if rows.any() else None
        return Outcome.mean(f"{metric}_recognition", right, rows, target=target, chance=chance, **more, **words)

    def of_objects(target: str, rows: BoolArray, ties: int | None = None) -> Outcome:
        return figure("object", target, objects, object_level, rows, ceiling=ceiling(table, rows), ties=ties)

    return [
        figure("concept", "mean", concepts.mean(axis=0), concept_level.mean(axis=1), everywhere),
        *(
            figure("concept", name, concepts[k], concept_level[:, k], everywhere)
            for k, name in enumerate(table.space.names)
        ),
        of_objects("all", everywhere, sum(int(read.objects.tied.sum()) for read in every)),
        of_objects("unshared", table.unshared),
    ]


def within_captions(context: Context) -> list[Outcome]:
    """What linear read-outs find in the captions: the second side's own objects."""
    captions = context.main.captions
    assert captions is not None
    used = captions.vectors if captions.vectors.shape[0] * len(captions.scenes) <= PROBE_ROWS else captions.vectors[:1]
    vectors = np.asarray(used.reshape(-1, used.shape[-1]))
    table = _repeated(captions.scenes, len(used))
    try:
        train = split_scenes(table, TRAIN_SHARE, "bag", context.seed)
    except TableError:
        return []  # one bag only
    read = fit_probes(vectors, table, train, context.seed).recognition(vectors, table, ~train)
    own = ObjectBootstrap.of(read.table, context.seed)  # captions can show objects that no scene shows
    found = recognition_outcomes(read, "probe", "held_out", {"side": "captions"})
    return [replace(one, ends=one.interval(own), n_objects=own.n_objects) for one in found]


def _repeated(table: SceneTable, times: int) -> SceneTable:
    copies = np.repeat(np.arange(times), len(table))
    values = np.tile(table.values, (times, 1, 1))
    return SceneTable.build(table.space, values, replicate=copies, candidates=table.candidates)
