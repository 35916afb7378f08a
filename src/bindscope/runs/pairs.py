"""A run on pairs: a model (or published outcomes) and captions with negatives in, a run directory out."""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import bindscope
from bindscope.analyses.pairs.findings import failures, kinds_in_words
from bindscope.analyses.pairs.measure import BAG, RULE, PairContext, measure
from bindscope.analyses.pairs.similarity import Sides
from bindscope.datasets.columns import write_columns
from bindscope.datasets.images.thumbnails import thumbnail
from bindscope.datasets.outcomes import PublishedOutcomes, load_outcomes
from bindscope.datasets.pairs import PairNote, PairSet, load_pairs
from bindscope.embeddings.pairs import embed_pairs
from bindscope.errors import BindscopeWarning, MissingExtraError, StoreError
from bindscope.results import Record, Results
from bindscope.run_directory import SCHEMA_VERSION, config_hash, now, open_run, refuse_unwritable, versions, write_text
from bindscope.runs.settings import Settings
from bindscope.show.run import PAIRS
from bindscope.streams import stream

ITEMS = "items.parquet"
KIND = "pairs"
OUTCOMES = "outcomes:"
THUMBNAIL, EXAMPLES = 96, 4
Progress = Callable[[str], None]


def pair_context(
    settings: Settings, cache: Path | None = None, say: Progress | None = None
) -> tuple[PairContext, Mapping[str, Any]]:
    """The items with what a model makes of them, and what pins its vectors down.

    Raises InputError where the model can answer none of the items.
    """
    tell = say or (lambda text: None)
    pairs, published = _data(settings.data, cache)
    pairs = _sampled(pairs, settings)
    published = tuple(one.on(pairs, pairs)[0] for one in published) if settings.sample is None else ()
    if settings.model.startswith(OUTCOMES):
        if settings.model != settings.data:
            own, given = load_outcomes(settings.model.removeprefix(OUTCOMES), settings.model)
            moved = [one.on(pairs, own) for one in given]
            published = (*(one for one, _ in moved), *published)
            pairs = _noted(pairs, [note for _, notes in moved for note in notes])
        return PairContext(pairs, None, settings.seed, tell, published), {"outcomes": settings.model}
    encoder = settings.encoder()
    tell(f"embedding {len(pairs.texts):,} captions of {len(pairs):,} items with {settings.model}")
    found = embed_pairs(encoder, pairs, cache=cache, batch_size=settings.batch_size, progress=say is not None)
    sides = Sides.of_vectors(found.texts, found.images)
    return PairContext(pairs, sides, settings.seed, tell, published), found.fidelity


def _data(name: str, cache: Path | None) -> tuple[PairSet, tuple[PublishedOutcomes, ...]]:
    prefix, _, rest = name.partition(":")
    if prefix == "outcomes":
        return load_outcomes(rest, name)
    return load_pairs(rest, name, cache), ()


def _sampled(pairs: PairSet, settings: Settings) -> PairSet:
    if settings.sample is None or settings.sample >= len(pairs):
        return pairs
    rng = stream(settings.seed, "scene sample")
    return pairs.take(np.sort(rng.choice(len(pairs), settings.sample, replace=False)))


def _noted(pairs: PairSet, notes: Sequence[PairNote]) -> PairSet:
    return replace(pairs, notes=(*pairs.notes, *notes))


def run_pairs(
    settings: Settings,
    out: Path | None,
    cache: Path | None,
    resume: bool = False,
    progress: Progress | None = None,
) -> tuple[Path, Results, dict[str, Any]]:
    """Judge a model on pairs and write the run directory; gives it with results and config."""
    if out is not None:
        refuse_unwritable(out)
    context, fidelity = pair_context(settings, cache, progress)
    pairs = context.pairs
    digest = config_hash(_identity(settings, pairs))
    with open_run(out or Path("runs") / digest, digest, resume) as writer:
        context.say(f"pairs: {len(pairs):,} items")
        records = writer.finished(KIND)
        if records is None:
            records = context.records(KIND, measure(context))
            writer.keep(KIND, records)
        results = _stamped(records, context, settings, digest)
        context.say("writing the run directory")
        write_columns(item_columns(context), writer.partial / ITEMS)
        told = _told(context)
        write_text(writer.partial / PAIRS, json.dumps(told, ensure_ascii=False, indent=1) + "\n")
        config = _config(settings, context, fidelity, digest)
        return writer.complete(config, results), results, config


def _stamped(records: Sequence[Record], context: PairContext, settings: Settings, digest: str) -> Results:
    shown = any(one.by_image for one in context.judged)
    words = {"modality": "image" if shown else "text", "dataset": settings.data, "config_hash": digest}
    return Results(records).stamped(model=settings.model, version=bindscope.__version__, **words)


def item_columns(context: PairContext) -> dict[str, Any]:
    """One row an item: what it is, its edit, and the credit that each figure of the model gives it."""
    pairs = context.pairs
    columns: dict[str, Any] = {
        "item": list(pairs.ids),
        "category": [word or None for word in pairs.categories],
        "image": [word or None for word in pairs.image_names],
        "caption": [pairs.texts[i] for i in pairs.caption.tolist()],
        "other_wording": [pairs.texts[i] if i >= 0 else None for i in pairs.paraphrase.tolist()],
        "negatives": [
            json.dumps([pairs.texts[i] for i in row if i >= 0], ensure_ascii=False) for row in pairs.negatives.tolist()
        ],
        "edit": [edit.kind for edit in context.edits],
        "same_bag": context.same_bag.astype(np.int64),
        "cluster": pairs.cluster,
    }
    for judged in context.judged:
        if judged.estimator == BAG:
            continue
        for name, contest in judged.contests.items():
            side = "image" if judged.by_image else "text"
            model = f":{judged.model}" if judged.model else ""
            columns[f"credit:{side}:{name}{model}"] = contest.credit[RULE.get(name, "wrong")]
    return columns


def _told(context: PairContext) -> dict[str, Any]:
    pairs = context.pairs
    return {
        "layout": pairs.layout,
        "right": pairs.right,
        "kinds": kinds_in_words(context.edits),
        "notes": [note.sentence for note in pairs.notes],
        "failures": [{**one, "thumbnail": _thumbnail(pairs, one["picture"])} for one in failures(context)],
    }


def _thumbnail(pairs: PairSet, picture: int) -> str:
    if picture < 0:
        return ""
    try:
        small = thumbnail(pairs.images[picture], THUMBNAIL, "jpeg")
    except (MissingExtraError, StoreError) as error:
        warnings.warn(f"no thumbnail of {pairs.images[picture].name}: {error}", BindscopeWarning, stacklevel=2)
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(small).decode("ascii")


def _identity(settings: Settings, pairs: PairSet) -> dict[str, Any]:
    return {
        "model": settings.model,
        "data": settings.data,
        "digest": pairs.digest,
        "analyses": [KIND],
        "seed": settings.seed,
        "sample": settings.sample,
        "prompt": settings.prompt,
        "version": bindscope.__version__,
        "schema_version": SCHEMA_VERSION,
    }


def _config(settings: Settings, context: PairContext, fidelity: Mapping[str, Any], digest: str) -> dict[str, Any]:
    pairs = context.pairs
    rows = np.unique(np.linspace(0, len(pairs) - 1, EXAMPLES).astype(int)).tolist()
    return {
        "schema_version": SCHEMA_VERSION,
        "bindscope": bindscope.__version__,
        "kind": KIND,
        "hash": digest,
        "command": settings.command(),
        "model": settings.model,
        "data": settings.data,
        "data_digest": pairs.digest,
        "data_options": dict(pairs.options),
        "modality": "image" if any(one.by_image for one in context.judged) else "text",
        "analyses": [KIND],
        "seed": settings.seed,
        "options": settings.options(),
        "versions": versions(),
        "fidelity": dict(fidelity),
        "space": [],
        "slots": [],
        "layout": pairs.layout,
        "right": pairs.right,
        "notes": [note.sentence for note in pairs.notes],
        "examples": [pairs.texts[pairs.caption[row]] for row in rows],
        "created": now(),
    }
