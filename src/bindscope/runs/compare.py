"""Differences between runs, paired on the same scenes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

import bindscope
from bindscope.analyses.context import Context, of_count
from bindscope.analyses.crossmodal.swaptest import credit, swap_test
from bindscope.analyses.geometry.levels import reconstruct
from bindscope.binding import Binding, binding_by_cosine, binding_linear, binding_outcomes
from bindscope.concepts import IntArray
from bindscope.embeddings import Embeddings, load_embeddings
from bindscope.errors import InputError
from bindscope.recognition import SceneRecognition, ceiling, concept_chance, object_chance, zero_shot
from bindscope.results import Record, Results
from bindscope.run_directory import read_config
from bindscope.runs.pair_ranking import compare_pairs, on_pairs
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.uncertainty import Outcome, difference

Figure = tuple[str, Outcome]  # the analysis that it belongs to, and what it is


@dataclass(frozen=True, eq=False)
class Comparison:
    """Figures of every run and the paired differences of every two of them, as records.

    A difference is a record with extra {"minus": name of the second run}; `tie` says that its interval for other words holds 0.
    """

    names: tuple[str, ...]
    results: Results
    n_scenes: int
    ranking: tuple[str, ...] = ()  # models best first, in words, where they are ranked


def compare(runs: Sequence[str | Path], seed: int = 0) -> Comparison:
    """Compare two or more runs on the scenes that all of them show.

    Recognition and binding (zero-shot where every run has queries, and probes trained on the same bags), Level I, and the swap
    test where every run has captions. Runs on pairs, and `outcomes:FILE`, are compared on their common items. Raises InputError
    where the runs have other concepts or no scene in common.
    """
    if len(runs) < 2:
        raise InputError(f"compare needs at least two runs, got {len(runs)}")
    if on_pairs(runs):
        found = compare_pairs(runs, seed)
        return Comparison(found.names, found.results, found.n_scenes, found.ranking)
    directories = [Path(run) for run in runs]
    names = _names(directories)
    aligned = _aligned([load_embeddings(directory) for directory in directories], names)
    queries = all(one.queries is not None for one in aligned)
    captions = all(one.captions is not None for one in aligned)
    contexts = [Context(one, seed) for one in aligned]
    figures = [_figures(one, queries) + (_swaps(one) if captions else []) for one in contexts]
    context = contexts[0]
    records = [_own(figure, name, context) for name, own in zip(names, figures, strict=True) for figure in own]
    for (left, a), (right, b) in combinations(list(zip(names, figures, strict=True)), 2):
        records += [_difference(f, g, left, right, context) for f, g in zip(a, b, strict=True)]
    stamped = Results(records).stamped(
        modality=aligned[0].modality, dataset=aligned[0].dataset, version=bindscope.__version__
    )
    return Comparison(tuple(names), stamped, len(aligned[0].table))


def _names(directories: Sequence[Path]) -> list[str]:
    """Models of the runs; the directory, and then a number, is added where two runs have the same name."""
    models = [str(read_config(directory)["model"]) for directory in directories]
    names = [
        f"{model} ({directory.name})" if models.count(model) > 1 else model
        for model, directory in zip(models, directories, strict=True)
    ]
    return [f"{name} #{names[: i + 1].count(name)}" if names.count(name) > 1 else name for i, name in enumerate(names)]


def _aligned(every: Sequence[Embeddings], names: Sequence[str]) -> list[Embeddings]:
    first = every[0].table
    for one, name in zip(every[1:], names[1:], strict=True):
        if one.table.space != first.space:
            raise InputError(f"{name} was run on other concepts than {names[0]}; run both on the same data")
    keys = [_keys(one) for one in every]
    common = set(keys[0]).intersection(*keys[1:])
    if len(common) < 2:
        raise InputError("the runs have fewer than two scenes in common; run them on the same data and seed")
    ordered = [key for key in keys[0] if key in common]
    rows = [np.array([index[key] for key in ordered], dtype=np.int64) for index in keys]
    return [_main_rows(one, some) for one, some in zip(every, rows, strict=True)]


def _keys(embeddings: Embeddings) -> dict[tuple[int, ...], int]:
    table = embeddings.table
    columns = np.concatenate([table.object_ids, table.replicate[:, None]], axis=1)
    return {tuple(row): number for number, row in enumerate(columns.tolist())}


def _main_rows(embeddings: Embeddings, rows: IntArray) -> Embeddings:
    some = replace(embeddings, vectors=embeddings.vectors[rows], table=embeddings.table.take(rows))
    return of_count(some, some.table.headline_count)


def _figures(context: Context, queries: bool) -> list[Figure]:
    vectors, table, own = context.vectors, context.table, context.main.queries
    found: list[Outcome] = []
    if queries and own is not None:
        everywhere = np.ones(len(table), dtype=bool)
        words = {"estimator": "zero_shot", "split": "all"}
        found += _recognition(zero_shot(vectors, table, own), everywhere, words)
        found += _preference(binding_by_cosine(vectors, own.objects, table), table, everywhere, words)
    probes, rows, words = context.probes, context.held_out, {"estimator": "probe", "split": "held_out"}
    found += _recognition(probes.recognition(vectors, table), rows, words)
    found += _preference(
        binding_linear(vectors, probes.objects.weights, probes.objects.bias, table), table, rows, words
    )
    error, total = reconstruct(vectors, table, "ols+pos", "level1").errors(vectors)
    r2 = Outcome.r2("r2", error, total, estimator="ols+pos", target="level1", split="in_sample")
    return [*(("recognition", one) for one in found), ("geometry", r2)]


def _swaps(context: Context) -> list[Figure]:
    """Swap accuracy, row by row; none where no scene has a swap."""
    sides = context.sides
    if sides is None or not len(sides.swaps):
        return []
    rows, n = sides.rows[sides.swaps.row], len(context.table)
    right = credit(swap_test(sides).text).mean(axis=0)
    top, below = (np.bincount(rows, part, n) for part in (right, np.ones(len(rows))))
    words = {"estimator": "zero_shot", "target": "text", "split": "all"}
    return [("crossmodal", Outcome.ratio("swap_accuracy", top, below, **words))]


def _recognition(found: SceneRecognition, rows: BoolArray, words: Mapping[str, Any]) -> list[Outcome]:
    """Concepts (mean) and objects (all, unshared) on the rows of a mask."""
    table = found.table
    concepts = np.mean([one.right for one in found.concepts], axis=0)
    by_concept, by_object = concept_chance(table).mean(axis=1), object_chance(table)

    def of_objects(target: str, some: BoolArray) -> Outcome:
        right = found.objects.right.astype(np.float64)
        best = ceiling(table, some) if some.any() else None
        return Outcome.mean(
            "object_recognition", right, some, target=target, chance=_level(by_object, some), ceiling=best, **words
        )

    level = _level(by_concept, rows)
    return [
        Outcome.mean("concept_recognition", concepts, rows, target="mean", chance=level, **words),
        of_objects("all", rows),
        of_objects("unshared", rows & table.unshared),
    ]


def _preference(found: Binding, table: SceneTable, rows: BoolArray, words: Mapping[str, Any]) -> list[Outcome]:
    """The preference for the own arrangement on ambiguous scenes; nothing where there is none."""
    if not (found.ambiguous & rows).any():
        return []
    return binding_outcomes(found, table, rows, target="ambiguous", **words)[:1]


def _level(chance: FloatArray, rows: BoolArray) -> float | None:
    return float(chance[rows].mean()) if rows.any() else None


def _own(figure: Figure, name: str, context: Context) -> Record:
    analysis, one = figure
    return replace(context.records(analysis, [replace(one, ties=None)])[0], model=name)


def _difference(a: Figure, b: Figure, left: str, right: str, context: Context) -> Record:
    """a - b, with its interval for other words and for these words."""
    analysis, one, other = a[0], a[1], b[1]
    value, ends = context.jackknife.difference(one, other)
    these = difference(one, other, context.bootstrap)[1]
    extra = {"minus": right, "tie": not (ends.low > 0 or ends.high < 0)}
    less = replace(one, value=value, ends=ends, chance=None, ceiling=None, ties=None, extra=extra)
    return replace(context.records(analysis, [less])[0], model=left, words_low=these.low, words_high=these.high)
