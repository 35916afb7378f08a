"""Several models on the same pairs: their figures, paired differences, and a ranking in which ties are called ties."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np

import bindscope
from bindscope.analyses.pairs.contests import GROUP_CHANCE, PAIR_CHANCE
from bindscope.analyses.pairs.findings import ENOUGH, PRIMARY, failures, plain_sentence
from bindscope.analyses.pairs.intervals import Clusters
from bindscope.analyses.pairs.measure import BAG, METRIC, MODEL, PUBLISHED, RULE, PairContext, measure
from bindscope.analyses.registry import analyses
from bindscope.datasets.outcomes import keys, load_outcomes
from bindscope.errors import InputError, StoreError
from bindscope.results import Record, Results
from bindscope.run_directory import read_config
from bindscope.runs.pairs import ITEMS, KIND, OUTCOMES, Progress, pair_context
from bindscope.runs.settings import Settings
from bindscope.scenes import BoolArray, FloatArray
from bindscope.show.words import metric_name, plain
from bindscope.uncertainty import Outcome

Key = tuple[Any, ...]
Which = tuple[str, str]  # side (text or image) and contest
CHANCE = {"preference": 0.5, "all_right": 1 / 3, "text": PAIR_CHANCE, "image": PAIR_CHANCE, "group": GROUP_CHANCE}


@dataclass(frozen=True, eq=False)
class Credits:
    """What one model gets for each item: credit `[n]` by side and contest, NaN where it was not asked."""

    model: str
    estimator: str
    keys: tuple[Key, ...]
    same_bag: BoolArray
    clusters: Clusters
    credits: Mapping[Which, FloatArray]

    def on(self, wanted: Sequence[Key]) -> Credits:
        """The same on some items, in their order."""
        place = {key: i for i, key in enumerate(self.keys)}
        rows = np.array([place[key] for key in wanted], dtype=np.int64)
        moved = {which: credit[rows] for which, credit in self.credits.items()}
        same, clusters = self.same_bag[rows], Clusters(self.clusters.codes[rows])
        return replace(self, keys=tuple(wanted), same_bag=same, clusters=clusters, credits=moved)

    def rows(self, which: Which, target: str) -> BoolArray:
        """Items `[n]` that a figure is about."""
        there: BoolArray = ~np.isnan(self.credits[which])
        return there & self.same_bag if target == "same_bag" else there

    def figure(self, which: Which, target: str, rows: BoolArray | None = None) -> Outcome:
        """One figure, over some rows."""
        some = self.rows(which, target) if rows is None else rows
        credit = np.where(some, self.credits[which], 0.0)
        words = {"target": target, "estimator": self.estimator, "split": "all", "chance": CHANCE.get(which[1])}
        return Outcome.mean(METRIC[which[1]], credit, some, **words)


def credits_of(context: PairContext, model: str) -> list[Credits]:
    """The credits of a context: of the model, and of each whose outcomes are published."""
    own: dict[str, dict[Which, FloatArray]] = {}
    for judged in context.judged:
        if judged.estimator != BAG:
            for name, contest in judged.contests.items():
                side = "image" if judged.by_image else "text"
                own.setdefault(judged.model or model, {})[side, name] = contest.credit[RULE.get(name, "wrong")]
    published = {one.model for one in context.published}
    common = (tuple(keys(context.pairs)), context.same_bag, context.clusters)
    return [Credits(name, PUBLISHED if name in published else MODEL, *common, found) for name, found in own.items()]


def load_credits(run: str) -> list[Credits]:
    """The credits of a run directory, or of `outcomes:FILE`."""
    if run.startswith(OUTCOMES):
        pairs, published = load_outcomes(run.removeprefix(OUTCOMES), run)
        return credits_of(PairContext(pairs, None, published=published), run)
    directory = Path(run)
    config = read_config(directory)
    if config.get("kind") != KIND:
        raise InputError(f"{run} is a run on scenes and the others are on pairs; compare runs of one kind")
    return _read_credits(directory, str(config["model"]))


def _read_credits(directory: Path, model: str) -> list[Credits]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        table = parquet.read_table(directory / ITEMS)
        columns = {name: table.column(name).to_pylist() for name in table.column_names}
        found: dict[str, dict[Which, FloatArray]] = {}
        for name, cells in columns.items():
            if name.startswith("credit:"):
                side, contest, *said = name.split(":", 3)[1:]
                found.setdefault(said[0] if said else "", {})[side, contest] = np.array(
                    [np.nan if cell is None else float(cell) for cell in cells]
                )
        seen: dict[Key, int] = {}
        every: list[Key] = []
        for caption, negatives in zip(columns["caption"], columns["negatives"], strict=True):
            key = (caption, *json.loads(negatives))
            every.append((*key, seen.get(key, 0)))
            seen[key] = seen.get(key, 0) + 1
        same = np.array(columns["same_bag"], dtype=bool)
        clusters = Clusters(np.array(columns["cluster"], dtype=np.int64))
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f"cannot read {directory / ITEMS} ({reason}); run `bindscope diagnose` again") from error
    return [
        Credits(said or model, PUBLISHED if said else MODEL, tuple(every), same, clusters, some)
        for said, some in found.items()
    ]


def on_pairs(runs: Sequence[str | Path]) -> bool:
    """Whether any of them is a run on pairs, or published outcomes."""
    return any(str(run).startswith(OUTCOMES) or read_config(Path(run)).get("kind") == KIND for run in runs)


@dataclass(frozen=True, eq=False)
class PairComparison:
    """Names in the order given, records of figures and of paired differences, items in common, and the ranking in words."""

    names: tuple[str, ...]
    results: Results
    n_scenes: int
    ranking: tuple[str, ...]


def compare_pairs(runs: Sequence[str | Path], seed: int = 0) -> PairComparison:
    """Compare runs on pairs, and published outcomes, on the items that all of them have.

    A figure that a model has not (such as pictures for a text model) is missing in its column, and so is the difference.
    """
    analyses()  # whose words name the figures
    every = [one for run in runs for one in load_credits(str(run))]
    if len(every) < 2:
        raise InputError(f"compare needs at least two models, got {len(every)}")
    aligned = _aligned(_named(every))
    own = [_record(one, which, target, seed) for one in aligned for which, target in _asked(one)]
    apart = [
        _difference(a, b, which, target, seed)
        for a, b in combinations(aligned, 2)
        for which, target in _asked(a)
        if which in b.credits
    ]
    results = Results([*own, *apart]).stamped(version=bindscope.__version__)
    return PairComparison(tuple(one.model for one in aligned), results, len(aligned[0].keys), _in_words(aligned, seed))


def _named(every: Sequence[Credits]) -> list[Credits]:
    """Names that differ."""
    names = [one.model for one in every]
    return [
        replace(one, model=f"{one.model} #{names[: i + 1].count(one.model)}") if names.count(one.model) > 1 else one
        for i, one in enumerate(every)
    ]


def _aligned(every: Sequence[Credits]) -> list[Credits]:
    common = set(every[0].keys).intersection(*(one.keys for one in every[1:]))
    if len(common) < 2:
        names = " and ".join(one.model for one in every)
        raise InputError(f"{names} have fewer than two items in common; run them on the same pairs")
    wanted = [key for key in every[0].keys if key in common]
    found = [one.on(wanted) for one in every]
    return [replace(one, clusters=found[0].clusters) for one in found]


def _asked(one: Credits) -> list[tuple[Which, str]]:
    return [
        (which, target)
        for which in one.credits
        if which[1] != "caption_asks"
        for target in ("all", "same_bag")
        if one.rows(which, target).any()
    ]


def _record(one: Credits, which: Which, target: str, seed: int) -> Record:
    figure = one.figure(which, target)
    ends, pictures = one.clusters.interval(figure)
    return Record(
        KIND,
        figure.metric,
        figure.value,
        one.estimator,
        target,
        one.model,
        which[0],
        split="all",
        ci_low=ends.low,
        ci_high=ends.high,
        chance=figure.chance,
        n_scenes=figure.rows,
        n_objects=pictures,
        seed=seed,
    )


def _difference(a: Credits, b: Credits, which: Which, target: str, seed: int) -> Record:
    rows = a.rows(which, target) & b.rows(which, target)
    value, ends = a.clusters.difference(a.figure(which, target, rows), b.figure(which, target, rows))
    tie = not (ends.low > 0 or ends.high < 0)
    return Record(
        KIND,
        METRIC[which[1]],
        value,
        a.estimator,
        target,
        a.model,
        which[0],
        split="all",
        ci_low=ends.low,
        ci_high=ends.high,
        n_scenes=int(rows.sum()),
        seed=seed,
        extra={"minus": b.model, "tie": tie},
    )


@dataclass(frozen=True, eq=False)
class Order:
    """Models by one figure, best first. places: 1, 2, ...; a model that cannot be told from the one before shares its place."""

    which: Which
    target: str
    models: tuple[Credits, ...]
    places: tuple[int, ...]
    differences: tuple[Record, ...]
    seed: int = 0

    @property
    def name(self) -> str:
        """The figure in words."""
        return f"{metric_name(METRIC[self.which[1]]).lower()}, {plain(self.target)}"

    def own(self, one: Credits) -> Record:
        """The figure of one model."""
        return _record(one, self.which, self.target, self.seed)


def order(every: Sequence[Credits], seed: int = 0) -> Order | None:
    """The ranking by the strictest figure that all have, on the same bag where that has 50 items; None without such a figure."""
    shared = [which for which in every[0].credits if all(which in one.credits for one in every)]
    ranked = sorted((w for w in shared if METRIC[w[1]] in PRIMARY and w[1] != "caption_asks"), key=_strictness)
    if not ranked:
        return None
    which = ranked[0]
    same = min(int(one.rows(which, "same_bag").sum()) for one in every)
    target = "same_bag" if same >= ENOUGH else "all"
    models = sorted(every, key=lambda one: -(one.figure(which, target).value or 0.0))
    differences = [_difference(a, b, which, target, seed) for a, b in pairwise(models)]
    places = [1]
    for position, record in enumerate(differences, start=2):
        places.append(places[-1] if record.extra["tie"] else position)
    return Order(which, target, tuple(models), tuple(places), tuple(differences), seed)


def _strictness(which: Which) -> int:
    return PRIMARY.index(METRIC[which[1]])


def _in_words(every: Sequence[Credits], seed: int) -> tuple[str, ...]:
    found = order(every, seed)
    if found is None:
        return ()
    marks = ["=" if found.places.count(place) > 1 else "" for place in found.places]
    values = [one.figure(found.which, found.target).value or 0.0 for one in found.models]
    return tuple(
        f"{place}{mark} {one.model} ({value:.3f})"
        for place, mark, one, value in zip(found.places, marks, found.models, values, strict=True)
    )


@dataclass(frozen=True, eq=False)
class PairGate:
    """One model on the pairs: its records and its worst items in words."""

    model: str
    results: Results
    worst: tuple[str, ...]


def gate_pairs(
    models: Sequence[str], settings: Settings, cache: Path | None = None, progress: Progress | None = None
) -> tuple[list[PairGate], Order | None]:
    """Judge models (and `outcomes:FILE`) on pairs, best first.

    Raises InputError for a model that is given twice or can answer none of the items.
    """
    if not models:
        raise InputError("the gate needs at least one model")
    if len(set(models)) < len(models):
        raise InputError(f"{next(m for m in models if list(models).count(m) > 1)} is given twice; give each model once")
    for model in models[1:]:  # a wrong name or a missing library is found before the first one is asked
        if not model.startswith(OUTCOMES):
            replace(settings, model=model).encoder()
    found: list[PairGate] = []
    credits: list[Credits] = []
    for model in models:
        context, _ = pair_context(replace(settings, model=model), cache, progress)
        records = context.records(KIND, measure(context))
        stamped = Results(records).stamped(model=model, dataset=settings.data, version=bindscope.__version__)
        worst = tuple(plain_sentence(one["spans"]) for one in failures(context))
        found.append(PairGate(model, stamped, worst))
        credits += [replace(one, model=model) for one in credits_of(context, model)[:1]]
    ranking = order(credits, settings.seed)
    if ranking is not None:
        place = {one.model: i for i, one in enumerate(ranking.models)}
        found.sort(key=lambda one: place[one.model])
    return found, ranking
