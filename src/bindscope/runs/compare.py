"""Differences between runs, paired on the same scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

import bindscope
from bindscope.analyses.context import of_count
from bindscope.analyses.crossmodal.swaptest import credit, swap_test
from bindscope.analyses.geometry.levels import reconstruct
from bindscope.analyses.sides import two_sides
from bindscope.concepts import IntArray
from bindscope.embeddings import Embeddings, load_embeddings
from bindscope.errors import InputError
from bindscope.probes import probed
from bindscope.recognition import ceiling, concept_chance, object_chance, zero_shot
from bindscope.results import Record, Results
from bindscope.run_directory import read_config
from bindscope.runs.pair_ranking import compare_pairs, on_pairs
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.uncertainty import ObjectBootstrap, percentile


@dataclass(frozen=True, eq=False)
class Figure:
    """One figure of one run as per-row contributions: value = sum(top) / sum(below)."""

    analysis: str
    metric: str
    estimator: str
    target: str
    split: str
    top: FloatArray
    below: FloatArray
    chance: float | None = None
    ceiling: float | None = None

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What the figure measures."""
        return (self.analysis, self.metric, self.estimator, self.target, self.split)

    @property
    def value(self) -> float:
        """The figure itself."""
        return float(self.top.sum() / self.below.sum()) if self.below.sum() > 0 else float("nan")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Figures of every run and the paired differences of every two of them, as records.

    A difference is a record with extra {"minus": name of the second run}; `tie` says that its interval holds 0.
    """

    names: tuple[str, ...]
    results: Results
    n_scenes: int
    ranking: tuple[str, ...] = ()  # models best first, in words, where they are ranked


def compare(runs: Sequence[str | Path], seed: int = 0) -> Comparison:
    """Compare two or more runs on the scenes that all of them show.

    Recognition (zero-shot where every run has queries, and probes trained on the same bags), Level I, and the swap test
    where every run has captions. Runs on pairs, and `outcomes:FILE`, are compared on their common items. Raises InputError
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
    figures = [_figures(one, seed, queries) + (_swaps(one) if captions else []) for one in aligned]
    bootstrap = ObjectBootstrap.of(aligned[0].table, seed)
    records = [_own(f, name, bootstrap, seed) for name, fs in zip(names, figures, strict=True) for f in fs]
    for (left, a), (right, b) in combinations(list(zip(names, figures, strict=True)), 2):
        records += [_difference(f, g, left, right, bootstrap, seed) for f, g in zip(a, b, strict=True)]
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


def _figures(embeddings: Embeddings, seed: int, queries: bool) -> list[Figure]:
    vectors, table = embeddings.vectors, embeddings.table
    figures = []
    everything = np.ones(len(table))
    if queries and embeddings.queries is not None:
        outcomes = zero_shot(vectors, table, embeddings.queries)
        concepts = np.mean([o.right for o in outcomes.concepts], axis=0)
        figures += _recognition("zero_shot", "all", concepts, outcomes.objects.right, everything, table)
    probes, rows = probed(vectors, table, seed)
    outcomes = probes.recognition(vectors, table)
    concepts = np.mean([o.right for o in outcomes.concepts], axis=0)
    held_out = rows.astype(np.float64)
    figures += _recognition("probe", "held_out", concepts, outcomes.objects.right, held_out, table)
    error, total = reconstruct(vectors, table, "ols+pos", "level1").errors(vectors)
    return [*figures, Figure("geometry", "r2", "ols+pos", "level1", "in_sample", total - error, total)]


def _swaps(embeddings: Embeddings) -> list[Figure]:
    """Swap accuracy, row by row; none where no scene has a swap."""
    sides = two_sides(embeddings)
    if sides is None or not len(sides.swaps):
        return []
    rows, n = sides.rows[sides.swaps.row], len(embeddings.table)
    right = credit(swap_test(sides).text).mean(axis=0)
    top, below = (np.asarray(np.bincount(rows, part, n), dtype=np.float64) for part in (right, np.ones(len(rows))))
    return [Figure("crossmodal", "swap_accuracy", "zero_shot", "text", "all", top, below)]


def _recognition(
    estimator: str, split: str, concepts: FloatArray, objects: BoolArray, rows: FloatArray, table: SceneTable
) -> list[Figure]:
    def figure(
        metric: str, target: str, right: FloatArray | BoolArray, where: FloatArray, chance: FloatArray
    ) -> Figure:
        some = where > 0
        level = float(chance[some].mean()) if some.any() else None
        best = ceiling(table, some) if metric == "object_recognition" and some.any() else None
        return Figure("recognition", metric, estimator, target, split, right * where, where, level, best)

    by_concept, by_object = concept_chance(table).mean(axis=1), object_chance(table)
    return [
        figure("concept_recognition", "mean", concepts, rows, by_concept),
        figure("object_recognition", "all", objects, rows, by_object),
        figure("object_recognition", "unshared", objects, rows * table.unshared, by_object),
    ]


def _own(figure: Figure, name: str, bootstrap: ObjectBootstrap, seed: int) -> Record:
    low, high = bootstrap.ratio(figure.top, figure.below)
    analysis, metric, estimator, target, split = figure.key
    return Record(
        analysis,
        metric,
        figure.value,
        estimator,
        target,
        name,
        split=split,
        ci_low=low,
        ci_high=high,
        chance=figure.chance,
        ceiling=figure.ceiling,
        n_scenes=int((figure.below > 0).sum()),
        n_objects=bootstrap.n_objects,
        seed=seed,
    )


def _difference(a: Figure, b: Figure, left: str, right: str, bootstrap: ObjectBootstrap, seed: int) -> Record:
    drawn = bootstrap.sums(np.stack([a.top, a.below, b.top, b.below], axis=1))
    defined = (drawn[:, 1] > 0) & (drawn[:, 3] > 0)
    low = high = float("nan")
    if defined.mean() >= 0.5:
        low, high = percentile(drawn[defined, 0] / drawn[defined, 1] - drawn[defined, 2] / drawn[defined, 3])
    analysis, metric, estimator, target, split = a.key
    return Record(
        analysis,
        metric,
        a.value - b.value,
        estimator,
        target,
        left,
        split=split,
        ci_low=low,
        ci_high=high,
        n_scenes=int(((a.below > 0) & (b.below > 0)).sum()),
        n_objects=bootstrap.n_objects,
        seed=seed,
        extra={"minus": right, "tie": not (low > 0 or high < 0)},
    )
