"""Recognition: the model's own queries (zero-shot) and trained read-outs (probe)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bindscope.analyses.context import Context, of_count
from bindscope.analyses.occlusion import bins, occluded
from bindscope.analyses.replicates import replicated, scene_means
from bindscope.binding import Binding, binding_by_cosine, binding_errors, binding_linear, binding_outcomes
from bindscope.embeddings import Embeddings
from bindscope.probes import MAX_TRAIN_ROWS, SPREAD_MAX_ROWS, TRAIN_SHARE, fit_probes, probed
from bindscope.recognition import SceneRecognition, brief_outcomes, recognition_on, recognition_outcomes, zero_shot
from bindscope.scenes import BoolArray
from bindscope.splits import split_scenes
from bindscope.uncertainty import Outcome

SPREAD_SPLITS = 3
MEANS = {"vectors": "replicate mean"}


def measure(context: Context) -> list[Outcome]:
    """Zero-shot (where the model has queries) and probes; by replicate means, visible share and number of objects too.

    Binding itself, on ambiguous scenes, comes last.
    """
    out = own_queries(context.main)
    read = context.probes.recognition(context.vectors, context.table, context.held_out)
    out += recognition_outcomes(read, "probe", "held_out")
    out.append(training(context))
    if len(context.table) <= SPREAD_MAX_ROWS:
        out += spread(context)
    if replicated(context.table):
        out += denoised(context)
    if occluded(context.table):
        out += by_visible_share(context)
    return [*out, *other_counts(context), *binding(context), *controls(context)]


def own_queries(embeddings: Embeddings) -> list[Outcome]:
    """Zero-shot recognition, on raw vectors and on centred ones; nothing without queries."""
    vectors, table, queries = embeddings.vectors, embeddings.table, embeddings.queries
    if queries is None:
        return []
    raw, centred = (zero_shot(vectors, table, queries, centred=centred) for centred in (False, True))
    return [
        *recognition_outcomes(raw, "zero_shot", "all"),
        *recognition_outcomes(centred, "zero_shot", "all", {"vectors": "centred"}),
    ]


def binding(context: Context) -> list[Outcome]:
    """Binding itself, by own queries and by the probes, on ambiguous scenes: a bag of values does not say what they show.

    Where it is known which objects the encoder was trained on, closed scenes of held-out objects stand apart (`split` test).
    """
    vectors, table, queries = context.vectors, context.table, context.main.queries
    objects = context.probes.objects
    probe = binding_linear(vectors, objects.weights, objects.bias, table)
    read = context.probes.recognition(vectors, table)
    out: list[Outcome] = []
    if queries is not None:
        own, shown = binding_by_cosine(vectors, queries.objects, table), zero_shot(vectors, table, queries)
        every = np.ones(len(table), dtype=bool)
        out += _bound(shown, own, every, "ambiguous", {"estimator": "zero_shot", "split": "all"})
        out += _errors(context, shown, own.ambiguous)
        if context.closed is not None:
            out += _bound(shown, own, context.closed, "closed", {"estimator": "zero_shot", "split": "test"})
    return [*out, *_bound(read, probe, context.held_out, "ambiguous", {"estimator": "probe", "split": "held_out"})]


def _bound(
    read: SceneRecognition, found: Binding, rows: BoolArray, target: str, words: dict[str, Any]
) -> list[Outcome]:
    """Preference, the strict rule within the bag, and recognition, all on the same ambiguous scenes."""
    some = rows & found.ambiguous
    recognised = recognition_on(read, some, target, words)
    return [*binding_outcomes(found, read.table, some, target=target, **words), *recognised]


def _errors(context: Context, read: SceneRecognition, rows: BoolArray) -> list[Outcome]:
    """Of the scenes whose objects are not recognised, the share whose best wrong object is made of the scene's own values."""
    queries = context.main.queries
    assert queries is not None
    wrong = rows & ~read.objects.right
    own = binding_errors(context.vectors, queries.objects, context.table, wrong)
    words: dict[str, Any] = {"target": "ambiguous", "estimator": "zero_shot", "split": "all"}
    return [Outcome.mean("binding_error_share", own, wrong, **words)]


def controls(context: Context) -> list[Outcome]:
    """What the same read-outs find without the model: in its raw input, in an untrained network."""
    table, out = context.table, list[Outcome]()
    for name, vectors in context.main.controls.items():
        probes, rows = probed(vectors, table, context.seed)
        read, objects = probes.recognition(vectors, table), probes.objects
        words: dict[str, Any] = {"estimator": "probe", "split": "held_out", "extra": {"vectors": name}}
        out += brief_outcomes(read, "probe", "held_out", rows, {"vectors": name})
        found = binding_linear(vectors, objects.weights, objects.bias, table)
        out += binding_outcomes(found, table, rows, target="ambiguous", **words)
    return out


def training(context: Context) -> Outcome:
    """What the probes were trained on: `value` rows of `n_scenes` training scenes (fewer where the limit bites)."""
    every = (*context.probes.concepts, context.probes.objects)
    extra = {
        "limit": MAX_TRAIN_ROWS,
        "penalties": [probe.penalty for probe in every],
        "converged": all(probe.converged for probe in every),
    }
    used, scenes = int(context.probes.train.sum()), int((~context.held_out).sum())
    words: dict[str, Any] = {
        "target": "all",
        "estimator": "probe",
        "split": "train",
        "n_scenes": scenes,
        "extra": extra,
    }
    return Outcome.number("training_rows", used, counts_objects=False, **words)


def spread(context: Context) -> list[Outcome]:
    """Standard deviation of the probe's figures over repeated splits and fits, at the penalties already chosen."""
    vectors, table, seed = context.vectors, context.table, context.seed
    figures = []
    for again in range(SPREAD_SPLITS):
        train = split_scenes(table, TRAIN_SHARE, "bag", seed + 101 + again)
        read = fit_probes(vectors, table, train, seed, like=context.probes).recognition(vectors, table, ~train)
        concepts = float(np.mean([one.right.mean() for one in read.concepts]))
        figures.append((concepts, float(read.objects.right.mean())))
    names: Sequence[tuple[str, str]] = (("concept_recognition", "mean"), ("object_recognition", "all"))
    extra = {"spread": "splits", "splits": SPREAD_SPLITS}
    words: dict[str, Any] = {"estimator": "probe", "split": "held_out", "n_scenes": len(table), "extra": extra}
    return [
        Outcome.number(metric, value, target=target, counts_objects=False, **words)
        for (metric, target), value in zip(names, np.std(figures, axis=0, ddof=1), strict=True)
    ]


def denoised(context: Context) -> list[Outcome]:
    """Recognition of each scene's mean over its replicates: what noise costs is the difference to the headline."""
    means, _ = scene_means(context.vectors, context.table)
    return [
        one
        for read, estimator, split, rows in _readings(context, replace(context.main, vectors=means.astype(np.float32)))
        for one in brief_outcomes(read, estimator, split, rows, MEANS)
    ]


def by_visible_share(context: Context) -> list[Outcome]:
    """Recognition by the visible share of the most hidden object: own queries on all rows, the probes on held-out ones."""
    return [
        one
        for read, estimator, split, rows in _readings(context, context.main)
        for part in bins(context.table)
        for one in brief_outcomes(read, estimator, split, rows & part.rows, part.extra, rows)
    ]


def other_counts(context: Context) -> list[Outcome]:
    """Zero-shot recognition of the scenes of every number of objects that is not the headline."""
    whole = context.whole
    counts = [int(count) for count in np.unique(whole.table.counts) if count != context.table.headline_count]
    out: list[Outcome] = []
    for count in counts if whole.queries is not None else []:
        some = of_count(whole, count)
        assert some.queries is not None
        read = zero_shot(some.vectors, some.table, some.queries)
        out += recognition_outcomes(read, "zero_shot", "all", {"objects": some.table.headline_count})
    return out


def _readings(context: Context, embeddings: Embeddings) -> list[tuple[SceneRecognition, str, str, BoolArray]]:
    """What own queries and probes read of vectors, and the rows that each may be judged on."""
    vectors, table, queries = embeddings.vectors, embeddings.table, embeddings.queries
    out = []
    if queries is not None:
        out.append((zero_shot(vectors, table, queries), "zero_shot", "all", np.ones(len(table), dtype=bool)))
    return [*out, (context.probes.recognition(vectors, table), "probe", "held_out", context.held_out)]
