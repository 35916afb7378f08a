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
from bindscope.analyses.context import Context
from bindscope.analyses.crossmodal.figures import TwoSidedFigures
from bindscope.binding import binding_by_cosine, binding_outcomes
from bindscope.datasets import Dataset, load_dataset
from bindscope.datasets.wording import Captions, caption_set
from bindscope.embeddings import default_cache, embed
from bindscope.encoders import load_encoder
from bindscope.errors import InputError, TableError
from bindscope.results import Record, Results
from bindscope.run_directory import write_text
from bindscope.uncertainty import Outcome

SCENES = 400
WORST = 8
LEAST_SCENES = 20  # of a pair that is listed among the worst; fewer say too little
SURE = 0.2  # of the way from a bag to always right: where the lower end must lie, unless --fail-if says otherwise
RECALLS = (1, 5)
Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Judged:
    """One model on the vocabulary: its records, the most confused pairs in words, and its paragraph for a model card.

    swap: its swap accuracy, which ranks the models.
    """

    model: str
    results: Results
    worst: tuple[str, ...]
    card: str
    swap: Outcome


@dataclass(frozen=True, eq=False)
class Ranking:
    """Models by swap accuracy, best first. places: 1, 2, ...; models that cannot be told from the one before share a place.
    differences: records of each model minus the next, paired on the same scenes; extra says whether it is a tie."""

    models: tuple[Judged, ...]
    places: tuple[int, ...]
    differences: Results

    @property
    def results(self) -> Results:
        """Everything that was found, as one table."""
        return Results([record for one in self.models for record in one.results]) + self.differences

    def write(self, out: Path) -> None:
        """Write the results and card.md, a paragraph a model, into a directory."""
        out.mkdir(parents=True, exist_ok=True)
        self.results.write(out)
        write_text(out / "card.md", "\n\n".join(one.card for one in self.models) + "\n")


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

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as place:
    ...     words = Path(place) / "shop.yaml"
    ...     _ = words.write_text("concepts: {color: [red, blue, green], garment: [shirt, hat, scarf]}")
    ...     ranking = gate_vocabulary(["planted:bag?dim=32", "planted:mixed?dim=32"], words)
    >>> [one.model for one in ranking.models]
    ['planted:mixed?dim=32', 'planted:bag?dim=32']
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
    judged, context = [], None
    for model in models[1:]:  # a wrong name or a missing library is found before the first one is asked
        load_encoder(model, device=device, batch_size=batch_size, prompt=prompt)
    for model in models:
        if progress is not None:
            progress(f"{model} on {len(some)} scenes and {len(captions.items)} captions")
        encoder = load_encoder(model, device=device, batch_size=batch_size, prompt=prompt)
        store = default_cache() if cache is None else cache
        context = Context(embed(encoder, some, cache=store, batch_size=batch_size, captions=captions), seed)
        judged.append(_judged(model, dataset, context, captions))
    assert context is not None
    return _ranked(judged, context, dataset)


def _judged(model: str, dataset: Dataset, context: Context, captions: Captions) -> Judged:
    if context.sides is None:
        raise InputError(f"{model} encodes no captions; choose a model that reads text")
    if not len(context.sides.swaps):
        raise TableError(
            f"{dataset.name}: no two objects of a scene can exchange a value; give at least two concepts and m: 2"
        )
    figures = TwoSidedFigures.of(context)
    swap = figures.accuracy(figures.margins.text, figures.asked, "all")
    found = [
        swap,
        *figures.retrieval(RECALLS),
        figures.mean("swap_margin", "all", figures.margins.text, figures.asked, "all"),
        *figures.by_order(figures.asked, "all"),
        *figures.confusions(WORST, LEAST_SCENES),
    ]
    words = {"model": model, "modality": "text", "dataset": dataset.name, "version": bindscope.__version__}
    records = [*context.records("recognition", _binding(context)), *context.records("crossmodal", found)]
    results = Results(records).stamped(**words)
    return Judged(model, results, _worst(results), _card(model, dataset, results), swap)


def _binding(context: Context) -> list[Outcome]:
    """Binding itself, by the model's own queries, on ambiguous scenes."""
    queries = context.main.queries
    if queries is None:
        return []
    found = binding_by_cosine(context.vectors, queries.objects, context.table)
    return binding_outcomes(found, context.table, target="ambiguous", estimator="zero_shot", split="all")


def default_condition(results: Results) -> str:
    """What fails a model that nobody gave a condition for: binding that is not sure, by the lower end of its interval.

    The end must lie a fifth of the way from a bag of concepts (chance) to always right: up to there a model is a bag to the
    verdict. Raises TableError where no scene is ambiguous.
    """
    found = results.first(metric="binding_preference", target="ambiguous")
    if found is None or found.value is None or found.chance is None:
        raise TableError(
            "no scene of the vocabulary is ambiguous, so binding cannot be judged; give a condition, --fail-if"
        )
    return f"binding_preference.ci_low<{found.chance + SURE * (1.0 - found.chance):.4g}"


def warning(results: Results) -> str:
    """One line where binding cannot be told from that of a bag; empty where it can."""
    found = results.first(metric="binding_preference", target="ambiguous")
    if (
        found is None
        or found.value is None
        or found.chance is None
        or found.ci_low is None
        or found.ci_low > found.chance
    ):
        return ""
    return (
        f"it prefers the scene's own objects in {_shown(found)} of {found.n_scenes:,} ambiguous scenes, which cannot be told "
        f"from a bag of concepts ({found.chance:.0%})"
    )


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
    lines.append(f"(bindscope {bindscope.__version__}, seed {swap.seed}; intervals: 95 %, for other words.)")
    return " ".join(lines)


def _shown(record: Record) -> str:
    if record.value is None:
        return "n/a"
    if record.ci_low is None or record.ci_high is None:
        return f"{record.value:.1%}"
    return f"{record.value:.1%} [{record.ci_low:.1%}, {record.ci_high:.1%}]"


def _ranked(judged: Sequence[Judged], context: Context, dataset: Dataset) -> Ranking:
    order = sorted(range(len(judged)), key=lambda i: (-(judged[i].swap.value or 0.0), i))
    ordered = tuple(judged[i] for i in order)
    places, differences = [1], Results([])
    for position, (one, following) in enumerate(pairwise(ordered), start=2):
        found = context.differences("crossmodal", [one.swap], [following.swap], minus=following.model)
        places.append(places[-1] if found[0].extra["tie"] else position)
        differences = differences + Results(found).stamped(model=one.model)
    stamped = differences.stamped(modality="text", dataset=dataset.name, version=bindscope.__version__)
    return Ranking(ordered, tuple(places[: len(order)]), stamped)
