"""Differences between runs, paired on the same scenes.

Every analysis can be compared: it is measured again on the scenes that all runs show, and figures with the same key are
paired row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

import bindscope
from bindscope.analyses.context import Context, rows_of
from bindscope.analyses.recognition.section import question
from bindscope.analyses.registry import analyses as known_analyses
from bindscope.analyses.registry import default, measurable, two_sided
from bindscope.embeddings import Embeddings, load_embeddings
from bindscope.errors import InputError, UnknownNameError
from bindscope.parallel import one_thread
from bindscope.results import Record, Results
from bindscope.run_directory import read_config
from bindscope.runs.pair_ranking import compare_pairs, on_pairs
from bindscope.show.words import metric_name, plain
from bindscope.uncertainty import Outcome

ALL = "all"  # stands for every analysis that all runs hold
ALWAYS = ("recognition", "geometry")  # measured whatever the runs hold
OF_CAPTIONS = "crossmodal"  # the same, where every run has captions
OF_DATA = "audit"  # nothing of a model in it: the runs are compared on the same scenes
FIRST: tuple[Mapping[str, Any], ...] = (  # what is shown first of the analyses that are measured unasked
    {"analysis": "recognition", "metric": "concept_recognition", "target": "mean"},
    {"analysis": "recognition", "metric": "object_recognition", "target": "all"},
    {"analysis": "recognition", "metric": "object_recognition", "target": "unshared"},
    {"analysis": "recognition", "metric": "binding_preference", "target": "ambiguous"},
    {"analysis": "geometry", "metric": "r2", "target": "level1", "estimator": "ols+pos", "split": "in_sample"},
    {"analysis": "variance", "metric": "share", "target": "interaction"},
    {"analysis": "crossmodal", "metric": "swap_accuracy", "target": "text"},
    {"analysis": "alignment", "metric": "r2", "target": "interaction", "estimator": "ridge"},
)
Say = Callable[[str], None]
Figures = dict[str, dict[Any, Outcome]]  # by analysis, then by key


@dataclass(frozen=True, eq=False)
class Comparison:
    """Figures of every run and the paired differences of every two of them, as records.

    A difference is a record with extra {"minus": name of the second run}; `tie` says that its interval for other words
    holds 0.
    """

    names: tuple[str, ...]
    results: Results
    n_scenes: int
    ranking: tuple[str, ...] = ()  # models best first, in words, where they are ranked

    @property
    def own(self) -> list[Record]:
        """The figures of each run."""
        return [record for record in self.results if "tie" not in record.extra]

    @property
    def differences(self) -> list[Record]:
        """The paired differences."""
        return [record for record in self.results if "tie" in record.extra]


def compare(
    runs: Sequence[str | Path], seed: int = 0, analyses: Sequence[str] | None = None, say: Say | None = None
) -> Comparison:
    """Compare two or more runs on the scenes that all of them show.

    analyses: which to compare, all their figures; by default the headline figures of recognition and geometry, of the other
    default analyses that every run holds, and of the captions where every run has them. Only figures that every run has are
    compared (zero-shot ones need queries in all). Runs on pairs, and `outcomes:FILE`, are compared on their common items.
    Raises InputError where the runs have other concepts or no scene in common, UnknownNameError for an unknown analysis.

    >>> import tempfile
    >>> from bindscope import diagnose
    >>> with tempfile.TemporaryDirectory() as place:
    ...     kinds = ("planted:object?dim=32", "planted:bag?dim=32")
    ...     runs = [diagnose(kind, "text:4x4", f"{place}/{kind[8:11]}", analyses=["recognition"]).directory for kind in kinds]
    ...     found = compare(runs).results.select(metric="binding_preference", estimator="zero_shot", target="ambiguous")
    >>> [round(record.value, 1) for record in found]
    [1.0, 0.5, 0.5]
    """
    if len(runs) < 2:
        raise InputError(f"compare needs at least two runs, got {len(runs)}")
    if on_pairs(runs):
        found = compare_pairs(runs, seed)
        return Comparison(found.names, found.results, found.n_scenes, found.ranking)
    directories = [Path(run) for run in runs]
    names = _names(directories)
    aligned = _aligned([load_embeddings(directory) for directory in directories], names)
    chosen = _chosen(analyses, directories, aligned, names)
    contexts = [Context(one, seed, say) for one in aligned]
    figures = _common([_measured(context, chosen, analyses is None) for context in contexts])
    records: list[Record] = []
    for name, context, own in zip(names, contexts, figures, strict=True):
        records += _of_model(name, [r for a, found in own.items() for r in context.records(a, found.values())])
    for (left, a), (right, b) in combinations(list(zip(names, figures, strict=True)), 2):
        pairs = ((name, list(found.values()), list(b[name].values())) for name, found in a.items())
        records += _of_model(left, [r for pair in pairs for r in contexts[0].differences(*pair, minus=right)])
    stamped = Results(records).stamped(
        modality=aligned[0].modality, dataset=aligned[0].dataset, version=bindscope.__version__
    )
    return Comparison(tuple(names), stamped, len(contexts[0].table))


def shown_first(record: Record) -> bool:
    """Whether a figure or difference is one of the few that are shown first; of named analyses, every headline is."""
    if set(record.extra) - {"minus", "tie"}:
        return False
    mine = [wanted for wanted in FIRST if wanted["analysis"] == record.analysis]
    return not mine or any(all(getattr(record, k) == v for k, v in wanted.items()) for wanted in mine)


def asked(record: Record) -> str:
    """What a figure measures, in a few words."""
    what = (
        question(record) if record.analysis == "recognition" else f"{metric_name(record.metric)} {plain(record.target)}"
    )
    return f"{what}, {plain(record.estimator)}".rstrip(", ")


def pair(record: Record) -> str:
    """Whose difference it is."""
    return f"{record.model} minus {record.extra['minus']}"


def finding(record: Record, first: str | None = None, second: str | None = None) -> str:
    """A tie, or who is higher: the two by the names that are given, or by those of their runs."""
    if record.value is None or record.ci_low is None:
        return "not available"
    if record.extra.get("tie"):
        return "a tie"
    return f"{(first or record.model) if record.value > 0 else (second or record.extra['minus'])} is higher"


def _chosen(
    asked_for: Sequence[str] | None, directories: Sequence[Path], aligned: Sequence[Embeddings], names: Sequence[str]
) -> list[str]:
    """Names of the analyses to measure."""
    known = measurable()
    held = [set(read_config(directory).get("analyses", ())) for directory in directories]
    by_all = set(known).intersection(*held)
    without = [name for one, name in zip(aligned, names, strict=True) if one.captions is None]
    if asked_for is None:
        wanted = {*ALWAYS, *((by_all & set(default())) - {OF_DATA}), *([] if without else [OF_CAPTIONS])}
        return [name for name in known if name in wanted]
    for name in asked_for:
        if name not in (*known, ALL):
            raise UnknownNameError("analysis", name, (*known, ALL))
        if name in two_sided() and without:
            raise InputError(
                f"{name} needs captions and {without[0]} has none; make the run again with --analyses {name}"
            )
    return [name for name in known if name in asked_for or (ALL in asked_for and name in by_all)]


def _measured(context: Context, chosen: Sequence[str], headlines: bool) -> Figures:
    """The figures of some analyses; `headlines`: those with an empty extra alone."""
    found: Figures = {}
    for name in chosen:
        context.say(f"{name} of {len(context.table):,} scenes with {context.main.model}")
        with one_thread():
            every = known_analyses()[name].measured(context)
        found[name] = {one.key: one for one in every if not (headlines and one.extra)}
    return found


def _common(figures: Sequence[Figures]) -> list[Figures]:
    """The figures that every run has."""
    return [
        {
            name: {key: one for key, one in found.items() if all(key in other[name] for other in figures)}
            for name, found in own.items()
        }
        for own in figures
    ]


def _of_model(name: str, records: Sequence[Record]) -> list[Record]:
    return [replace(record, model=name) for record in records]


def _names(directories: Sequence[Path]) -> list[str]:
    """Models of the runs; the directory, and then a number, is added where two runs have the same name."""
    models = [str(read_config(directory)["model"]) for directory in directories]
    names = [
        f"{model} ({directory.name})" if models.count(model) > 1 else model
        for model, directory in zip(models, directories, strict=True)
    ]
    return [f"{name} #{names[: i + 1].count(name)}" if names.count(name) > 1 else name for i, name in enumerate(names)]


def _aligned(every: Sequence[Embeddings], names: Sequence[str]) -> list[Embeddings]:
    """The rows of the scenes that all runs show, in one order."""
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
    return [rows_of(one, some) for one, some in zip(every, rows, strict=True)]


def _keys(embeddings: Embeddings) -> dict[tuple[int, ...], int]:
    table = embeddings.table
    columns = np.concatenate([table.object_ids, table.replicate[:, None]], axis=1)
    return {tuple(row): number for number, row in enumerate(columns.tolist())}
