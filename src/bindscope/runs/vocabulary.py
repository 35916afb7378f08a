"""A vocabulary as a gate: does a model confuse the values of objects that stand together, in words that matter to you?

Scenes of the vocabulary are texts; captions are the same scenes in other words. Several models are compared on the same
scenes, with paired intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

import bindscope
from bindscope.analyses.crossmodal.measure import CrossMaker
from bindscope.analyses.crossmodal.swaptest import credit
from bindscope.analyses.sides import two_sides
from bindscope.datasets import Dataset, load_dataset
from bindscope.datasets.wording import Captions, caption_set
from bindscope.embeddings import default_cache, embed
from bindscope.encoders import load_encoder
from bindscope.errors import InputError, TableError
from bindscope.results import Record, Results
from bindscope.scenes import FloatArray
from bindscope.uncertainty import ObjectBootstrap, percentile

SCENES = 400
WORST = 8
RECALLS = (1, 5)
Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Judged:
    """One model on the vocabulary: its records, the most confused pairs in words, and its paragraph for a model card."""

    model: str
    results: Results
    worst: tuple[str, ...]
    card: str


@dataclass(frozen=True, eq=False)
class Ranking:
    """Models by swap accuracy, best first. places: 1, 2, ...; models that cannot be told from the one before share a place.
    differences: records of each model minus the next, paired on the same scenes; extra says whether it is a tie."""

    models: tuple[Judged, ...]
    places: tuple[int, ...]
    differences: Results


def gate_vocabulary(
    models: Sequence[str],
    vocabulary: str | Path,
    *,
    scenes: int = SCENES,
    seed: int = 0,
    device: str | None = None,
    batch_size: int | None = None,
    prompt: str | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Ranking:
    """Judge models on a vocabulary (a recipe file as for `text:FILE.yaml`).

    scenes: how many to draw by seed. Raises InputError for a model that reads no text, TableError where no scene has a value
    swap.
    """
    if not models:
        raise InputError("the gate needs at least one model")
    if len(set(models)) < len(models):
        raise InputError(f"{next(m for m in models if list(models).count(m) > 1)} is given twice; give each model once")
    name = str(vocabulary)
    dataset = load_dataset(name if name.startswith("text:") else f"text:{name}")
    captions = caption_set(dataset, scenes, seed)
    shown = np.unique(captions.items.rows[: len(captions.scenes)])
    some = dataset.take(np.searchsorted(dataset.items.rows, shown[shown >= 0]))
    judged, outcomes = [], []
    for model in models:
        if progress is not None:
            progress(f"{model} on {len(some)} scenes and {len(captions.items)} captions")
        encoder = load_encoder(model, device=device, batch_size=batch_size, prompt=prompt)
        store = default_cache() if cache is None else cache
        found = embed(encoder, some, cache=store, batch_size=batch_size, captions=captions)
        if found.captions is None:
            raise InputError(f"{model} encodes no captions; choose a model that reads text")
        sides = two_sides(found)
        assert sides is not None
        if not len(sides.swaps):
            raise TableError(
                f"{name}: no two objects of a scene can exchange a value; give at least two concepts and m: 2"
            )
        maker = CrossMaker(sides, found.captions.anchors, found.captions.orders, None, seed)
        judged.append(_judged(model, dataset, maker, captions))
        outcomes.append(_per_row(maker))
    return _ranked(judged, outcomes, dataset, seed)


def _judged(model: str, dataset: Dataset, maker: CrossMaker, captions: Captions) -> Judged:
    text = maker.outcome.text
    where = maker.asked
    records = [
        maker.swap("swap_accuracy", "text", text, where, "all"),
        *maker.retrieval(RECALLS),
        maker.row_mean("swap_margin", "all", text, where, "all"),
        *(
            maker.swap(
                "swap_accuracy", "text", text[np.array(captions.orders) == order], where, "all", {"order": order}
            )
            for order in sorted(set(captions.orders))
        ),
        *maker.confusions(WORST),
    ]
    words = {"model": model, "modality": "text", "dataset": dataset.name, "version": bindscope.__version__}
    results = Results(records).stamped(**words)
    return Judged(model, results, _worst(results), _card(model, dataset, results))


def _worst(results: Results) -> tuple[str, ...]:
    """The pairs that are confused more often than never, in words."""
    found = []
    for record in results.select(metric="swap_confusion"):
        if not record.value:
            continue
        pair = record.extra.get("values") or record.extra["objects"]
        what = f"{record.target}: " if "values" in record.extra else ""
        found.append(f"{what}{pair[0]} / {pair[1]}: {record.value:.0%} of {record.n_scenes} scenes")
    return tuple(found)


def _card(model: str, dataset: Dataset, results: Results) -> str:
    """A paragraph for a model card."""
    swap = results.one(metric="swap_accuracy")
    first = results.one(metric="swap_confusion_at_1", target="scene_to_caption")
    recall = results.one(metric="retrieval_top1", target="scene_to_caption")
    concepts = " × ".join(f"{c.size} {c.name}" for c in dataset.table.space.concepts)
    example = (dataset.items.texts or ("",))[0]
    lines = [
        f"**Binding.** On {swap.n_scenes:,} scenes of a vocabulary of {concepts} (“{example}”), asked with other words, "
        f"{model} prefers the right description to one with exchanged values in {_shown(swap)} of the cases (a bag of "
        f"concepts: 50 %). With such descriptions in the gallery it finds the right one first in {_shown(recall)} of the "
        f"searches and a swapped one first in {_shown(first)}."
    ]
    worst = _worst(results)
    if worst:
        lines.append(f"Most confused: {'; '.join(worst[:3])}.")
    lines.append(f"(bindscope {bindscope.__version__}, seed {swap.seed}; intervals: 95 %, objects resampled.)")
    return " ".join(lines)


def _shown(record: Record) -> str:
    if record.value is None:
        return "n/a"
    if record.ci_low is None or record.ci_high is None:
        return f"{record.value:.1%}"
    return f"{record.value:.1%} [{record.ci_low:.1%}, {record.ci_high:.1%}]"


@dataclass(frozen=True, eq=False)
class _Rows:
    """Credit and number of swaps of each row, the same rows for every model."""

    top: FloatArray
    below: FloatArray
    bootstrap: ObjectBootstrap

    @property
    def value(self) -> float:
        return float(self.top.sum() / self.below.sum()) if self.below.sum() else float("nan")


def _per_row(maker: CrossMaker) -> _Rows:
    rows, n = maker.sides.swaps.row, len(maker.sides.table)
    right = credit(maker.outcome.text).mean(axis=0) * maker.asked
    top, below = (np.asarray(np.bincount(rows, part, n), dtype=np.float64) for part in (right, maker.asked))
    return _Rows(top, below, maker.bootstrap)


def _ranked(judged: Sequence[Judged], outcomes: Sequence[_Rows], dataset: Dataset, seed: int) -> Ranking:
    order = sorted(range(len(judged)), key=lambda i: (-outcomes[i].value, i))
    places, differences = [1], []
    for position, (i, j) in enumerate(pairwise(order), start=2):
        record = _difference(judged[i].model, judged[j].model, outcomes[i], outcomes[j], seed)
        differences.append(record)
        places.append(places[-1] if record.extra["tie"] else position)
    stamped = Results(differences).stamped(modality="text", dataset=dataset.name, version=bindscope.__version__)
    return Ranking(tuple(judged[i] for i in order), tuple(places[: len(order)]), stamped)


def _difference(left: str, right: str, a: _Rows, b: _Rows, seed: int) -> Record:
    drawn = a.bootstrap.sums(np.stack([a.top - b.top, a.below], axis=1))
    defined = drawn[:, 1] > 0
    low = high = float("nan")
    if defined.mean() >= 0.5:
        low, high = percentile(drawn[defined, 0] / drawn[defined, 1])
    return Record(
        "crossmodal",
        "swap_accuracy",
        a.value - b.value,
        "zero_shot",
        "text",
        left,
        split="all",
        ci_low=low,
        ci_high=high,
        n_scenes=int((a.below > 0).sum()),
        n_objects=a.bootstrap.n_objects,
        seed=seed,
        extra={"minus": right, "tie": not (low > 0 or high < 0)},
    )


def with_models(ranking: Ranking) -> Results:
    """Everything that a ranking found, as one table."""
    every = Results([])
    for one in ranking.models:
        every = every + one.results
    return every + ranking.differences
