"""Recognition across the two sides: queries in several wordings, and what read-outs find in the captions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bindscope.analyses.context import Context
from bindscope.analyses.sides import unit
from bindscope.embeddings import Embeddings, Queries
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
from bindscope.results import Record
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.splits import split_scenes
from bindscope.uncertainty import UNKNOWN, ObjectBootstrap, Outcome

PROBE_ROWS = 8_000


def recognition_records(embeddings: Embeddings, seed: int) -> list[Record]:
    """Zero-shot recognition, the wordings of the queries apart (mean over them) and ensembled."""
    told, own = embeddings.captions, embeddings.queries
    if told is None or own is None:
        return []
    every = (own, *told.queries)
    apart = [zero_shot(embeddings.vectors, embeddings.table, queries) for queries in every]
    records = _wording_means(apart, seed)
    if len(every) > 1:
        together = zero_shot(embeddings.vectors, embeddings.table, ensembled(every))
        found = _records(
            recognition_outcomes(together, "zero_shot", "all", {"wordings": "ensembled"}), together.table, seed
        )
        records += found
    return records


def ensembled(every: Sequence[Queries]) -> Queries:
    """Mean of the unit vectors of several wordings of the same queries."""
    objects = np.mean([unit(queries.objects) for queries in every], axis=0)
    n_concepts = len(every[0].values)
    values = tuple(np.mean([unit(queries.values[k]) for queries in every], axis=0) for k in range(n_concepts))
    return Queries(objects, values)


def _records(outcomes: Sequence[Outcome], table: SceneTable, seed: int) -> list[Record]:
    return Context.of_table(table, seed).records("crossmodal", outcomes)


def _wording_means(apart: Sequence[SceneRecognition], seed: int) -> list[Record]:
    table = apart[0].table
    bootstrap = ObjectBootstrap.of(table, seed)
    concepts = np.mean([[o.right for o in one.concepts] for one in apart], axis=0)  # [C, n]
    objects = np.mean([one.objects.right for one in apart], axis=0)
    ties = sum(int(one.objects.tied.sum()) for one in apart)
    concept_level, object_level = concept_chance(table), object_chance(table)
    everywhere = np.ones(len(table), dtype=bool)

    def record(
        metric: str, target: str, right: FloatArray, level: FloatArray, rows: BoolArray, **levels: Any
    ) -> Record:
        low, high = bootstrap.mean(right, rows) if rows.any() else UNKNOWN
        value = float(right[rows].mean()) if rows.any() else None
        chance = float(level[rows].mean()) if rows.any() else None
        words: dict[str, Any] = {"n_scenes": int(rows.sum()), "n_objects": table.n_objects, "seed": seed, **levels}
        words["extra"] = {"wordings": "apart"}  # the headline, in the default wording, stands under recognition
        return Record(
            "crossmodal",
            metric,
            value,
            "zero_shot",
            target,
            split="all",
            ci_low=low,
            ci_high=high,
            chance=chance,
            **words,
        )

    return [
        record("concept_recognition", "mean", concepts.mean(axis=0), concept_level.mean(axis=1), everywhere),
        *(
            record("concept_recognition", name, concepts[k], concept_level[:, k], everywhere)
            for k, name in enumerate(table.space.names)
        ),
        record("object_recognition", "all", objects, object_level, everywhere, ceiling=ceiling(table), n_ties=ties),
        record(
            "object_recognition",
            "unshared",
            objects,
            object_level,
            table.unshared,
            ceiling=ceiling(table, table.unshared),
        ),
    ]


def caption_probe_records(embeddings: Embeddings, seed: int) -> list[Record]:
    """What linear read-outs find in the captions: the second side's own objects."""
    told = embeddings.captions
    if told is None:
        return []
    used = told.vectors if told.vectors.shape[0] * len(told.scenes) <= PROBE_ROWS else told.vectors[:1]
    vectors = np.asarray(used.reshape(-1, used.shape[-1]))
    table = _repeated(told.scenes, len(used))
    try:
        train = split_scenes(table, TRAIN_SHARE, "bag", seed)
    except TableError:
        return []  # one bag only
    probes = fit_probes(vectors, table, train, seed)
    read = probes.recognition(vectors, table, ~train)
    return _records(recognition_outcomes(read, "probe", "held_out", {"side": "captions"}), read.table, seed)


def _repeated(table: SceneTable, times: int) -> SceneTable:
    copies = np.repeat(np.arange(times), len(table))
    values = np.tile(table.values, (times, 1, 1))
    return SceneTable.build(table.space, values, replicate=copies, candidates=table.candidates)
