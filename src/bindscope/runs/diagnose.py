"""The main job: a model and data in, a run directory with records out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import bindscope
from bindscope.analyses.context import Context, of_count
from bindscope.analyses.editing import explorer
from bindscope.analyses.registry import analyses, two_sided
from bindscope.datasets import Dataset, data_kind, load_dataset
from bindscope.datasets.images.thumbnails import write_samples
from bindscope.datasets.items import other_counts_note
from bindscope.datasets.wording import Captions, caption_set
from bindscope.design import MAX_COLUMNS
from bindscope.embeddings import Embeddings, default_cache, embed, save_embeddings
from bindscope.embeddings.seen import sentences
from bindscope.encoders import Encoder
from bindscope.errors import InputError, StoreError, TableError, VectorsError
from bindscope.parallel import one_thread
from bindscope.results import Record, Results
from bindscope.run_directory import (
    SCHEMA_VERSION,
    RunWriter,
    config_hash,
    locked,
    now,
    open_run,
    refuse_unwritable,
    versions,
    write_text,
)
from bindscope.runs.controls import controls
from bindscope.runs.costs import about, seconds
from bindscope.runs.pairs import run_pairs
from bindscope.runs.settings import Settings
from bindscope.scenes import SceneTable
from bindscope.streams import stream

EXAMPLES = 6
AT_CHANCE, READABLE, SMALL_CHANCE = (
    0.1,
    0.9,
    0.5,
)  # of the way from chance to 1; of the scenes; a chance that can be told
SMALLEST = 1e-15  # below it squares leave single precision
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """A finished run: its directory, its results and its config."""

    directory: Path
    results: Results
    config: Mapping[str, Any]


def diagnose(
    model: str,
    data: str,
    out: str | Path | None = None,
    *,
    analyses: Sequence[str] | None = None,
    seed: int = 0,
    sample: int | None = None,
    prompt: str | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    with_controls: bool = True,
    cache: str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Diagnose a model on data and write a run directory (default `runs/<hash>`).

    model, data: names as in `bindscope list`. Raises InputError (or a class below it) on anything that cannot be used.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     run = diagnose("planted:bag?dim=32", "text:3x3", f"{place}/run", analyses=["recognition"])
    >>> run.results.one(metric="binding_preference", estimator="zero_shot", target="ambiguous").value
    0.5
    """
    more = {"seed": seed, "sample": sample, "prompt": prompt, "device": device, "batch_size": batch_size}
    settings = Settings.of(model, data, analyses, controls=with_controls, **more)
    return run_diagnosis(settings, Path(out) if out else None, Path(cache) if cache else None, resume, progress)


def run_diagnosis(
    settings: Settings,
    out: Path | None = None,
    cache: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Run:
    """The same for settings in one object."""
    store = cache or default_cache()
    if out is not None:
        refuse_unwritable(out)
    if data_kind(settings.data) == "pairs":
        return Run(*run_pairs(settings, out, store, resume, progress))
    say = progress or (lambda text: None)
    dataset = _sampled(load_dataset(settings.data, cache=store), settings)
    for note in other_counts_note(dataset.table):
        say(note)
    _refuse_hopeless(dataset.table)
    _refuse_too_wide(dataset.table, settings.analyses)
    encoder = settings.encoder()
    digest = config_hash(_identity(settings, dataset))
    with open_run(out or Path("runs") / digest, digest, resume) as writer:
        embeddings = _embedded(settings, dataset, encoder, store, progress)
        records = analyse(embeddings, settings, writer, say)
        results = Results(records).stamped(
            model=settings.model,
            modality=dataset.modality,
            dataset=settings.data,
            config_hash=digest,
            version=bindscope.__version__,
        )
        say("writing the run directory")
        _save_embeddings(embeddings, writer.partial)
        if "editing" in settings.analyses:
            _save_explorer(embeddings, dataset, settings.seed, writer.partial)
        config = _config(settings, dataset, embeddings, encoder, digest)
        config["notes"] += _query_order_notes(results, embeddings)
        config["samples"] = write_samples(dataset, writer.partial)
        return Run(writer.complete(config, results), results, config)


def _embedded(
    settings: Settings, dataset: Dataset, encoder: Encoder, store: Path, progress: Progress | None
) -> Embeddings:
    """The vectors that the analyses get, with captions and controls where they are asked for."""
    say = progress or (lambda text: None)
    say(f"embedding {len(dataset.items):,} scenes with {settings.model}")
    captions = captions_for(encoder, dataset, settings)
    shown = progress is not None
    embeddings = embed(encoder, dataset, cache=store, batch_size=settings.batch_size, progress=shown, captions=captions)
    _refuse_constant(embeddings, settings)
    _refuse_one_sided(embeddings, settings)
    if not settings.controls or "recognition" not in settings.analyses:
        return embeddings
    say("controls: raw input and an untrained network")
    return replace(embeddings, controls=controls(encoder, dataset, settings.seed, store))


def embed_data(settings: Settings, out: Path, cache: Path | None = None) -> tuple[Embeddings, tuple[str, ...]]:
    """Embed the scenes (and the model's queries) and write them down; also what the encoder has to say of them.

    Raises StoreError where `out` is a run directory.
    """
    refuse_unwritable(out)
    if (out / "config.json").exists():
        raise StoreError(f"{out} is a run directory, whose embeddings would be replaced; give another --out")
    dataset, encoder = load_dataset(settings.data, cache=cache), settings.encoder()
    found = embed(encoder, dataset, cache=cache or default_cache(), batch_size=settings.batch_size, progress=True)
    with locked(out):
        save_embeddings(found, out)
    return found, tuple(encoder.notes)


def audit_data(data: str, seed: int = 0) -> tuple[Results, tuple[str, ...]]:
    """What scenes alone decide, without a model: records of the audit, and notes on what is left out."""
    table = load_dataset(data).table
    _refuse_too_wide(table, ("audit",))
    context = Context.of_table(table, seed)
    records = context.records("audit", analyses()["audit"].measured(context))
    return Results(records).stamped(dataset=data, version=bindscope.__version__), other_counts_note(table)


def captions_for(encoder: Encoder, dataset: Dataset, settings: Settings) -> Captions | None:
    """Captions of the data for encoders that can read them, if an analysis asks for them."""
    if encoder.captions == "none" or not set(two_sided()) & set(settings.analyses):
        return None
    return caption_set(dataset, seed=settings.seed, made=encoder.captions == "any")


def _refuse_one_sided(embeddings: Embeddings, settings: Settings) -> None:
    if embeddings.captions is None and set(settings.analyses) <= set(two_sided()):
        raise InputError(
            f"{settings.model} has no second side for {' and '.join(settings.analyses)}; choose a model that also encodes "
            "captions (file: takes ?captions=PATH)"
        )


def analyse(
    embeddings: Embeddings, settings: Settings, writer: RunWriter | None = None, say: Progress | None = None
) -> list[Record]:
    """Records of the analyses that the settings ask for; with a writer, finished ones are stored and taken from there."""
    context = Context(embeddings, settings.seed, say)
    records: list[Record] = []
    for name, analysis in analyses().items():
        if name not in settings.analyses:
            continue
        done = writer.finished(name) if writer else None
        if done is None:
            cost = about(seconds(analysis.work(context.table, embeddings.vectors.shape[1])))
            context.say(f"{name} of {len(embeddings.table):,} scenes{cost}")
            with one_thread():
                done = context.records(name, analysis.measured(context))
            if writer:
                writer.keep(name, done)
        records += done
    return records


def _save_explorer(embeddings: Embeddings, dataset: Dataset, seed: int, directory: Path) -> None:
    count = embeddings.table.headline_count
    content = explorer.explorer(of_count(embeddings, count), embeddings.table.rows_with(count), dataset, seed)
    if content is not None:
        write_text(directory / explorer.FILE, explorer.as_json(content))


def _sampled(dataset: Dataset, settings: Settings) -> Dataset:
    """Whole bags in random order until there are as many scenes as asked: half a bag cannot tell binding from a bag."""
    if settings.sample is None or settings.sample >= len(dataset.table):
        return dataset
    bags = dataset.table.bag_ids
    sizes = np.bincount(bags)
    order = stream(settings.seed, "scene sample").permutation(len(sizes))
    count = int(np.searchsorted(np.cumsum(sizes[order]), settings.sample)) + 1
    return dataset.take(np.flatnonzero(np.isin(bags, order[:count])))


def _refuse_hopeless(table: SceneTable) -> None:
    if table.n_objects < 2:
        raise TableError(f"the data shows one object only ({table.object_name(0)!r}); binding needs at least two")
    main = table.take(table.rows_with(table.headline_count))
    bags = int(main.bag_ids.max()) + 1
    if bags < 2:
        raise TableError(
            f"the data has {len(main)} scenes of {table.headline_count} objects with one bag of values only; "
            "give scenes with at least two different bags"
        )


def _refuse_too_wide(table: SceneTable, names: Sequence[str]) -> None:
    """Designs that no least-squares fit here can hold are refused before the vectors are made."""
    main = table.take(table.rows_with(table.headline_count))
    for name in names:
        width = analyses()[name].width(main)
        if width > MAX_COLUMNS:
            raise InputError(
                f"{name} of these scenes needs a design of {width:,} columns and a least-squares fit here takes at most "
                f"{MAX_COLUMNS:,}; leave it out with --analyses, or use fewer objects or values"
            )


def _refuse_constant(embeddings: Embeddings, settings: Settings) -> None:
    """Vectors that are all the same answer no question, and single precision cannot see tiny ones."""
    if set(settings.analyses) <= {"audit"}:
        return
    low, high = embeddings.vectors.min(axis=0), embeddings.vectors.max(axis=0)
    if (low == high).all():
        raise VectorsError(
            f"the embeddings do not vary: all {len(embeddings.vectors)} vectors are equal; check the encoder and its input"
        )
    if max(float(high.max()), -float(low.min())) < SMALLEST:
        raise VectorsError(f"no vector holds a number as large as {SMALLEST:.0e}; scale the vectors up")


def _identity(settings: Settings, dataset: Dataset) -> dict[str, Any]:
    """The inputs that name a run; device and batch size change no number that is reported."""
    return {
        "model": settings.model,
        "data": settings.data,
        "digest": dataset.digest,
        "analyses": sorted(settings.analyses),
        "seed": settings.seed,
        "sample": settings.sample,
        "prompt": settings.prompt,
        "controls": settings.controls,
        "version": bindscope.__version__,
        "schema_version": SCHEMA_VERSION,
    }


def _config(
    settings: Settings, dataset: Dataset, embeddings: Embeddings, encoder: Encoder, digest: str
) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "bindscope": bindscope.__version__,
        "hash": digest,
        "command": settings.command(),
        "model": settings.model,
        "data": settings.data,
        "data_digest": dataset.digest,
        "data_options": dict(dataset.options),
        "modality": dataset.modality,
        "analyses": list(settings.analyses),
        "seed": settings.seed,
        "options": {**settings.options(), "controls": settings.controls},
        "versions": versions(),
        "fidelity": dict(embeddings.fidelity),
        "space": [{"name": concept.name, "values": list(concept.values)} for concept in dataset.table.space.concepts],
        "slots": list(dataset.slots),
        "seen": dict(embeddings.seen),
        "notes": [
            *dataset.notes,
            *other_counts_note(dataset.table),
            *encoder.notes,
            *sentences(embeddings.seen),
        ],
        "examples": _examples(dataset),
        "created": now(),
    }


def _query_order_notes(results: Results, embeddings: Embeddings) -> list[str]:
    """A warning where queries out of a file find nothing that a read-out finds: their order may be another one."""
    if embeddings.fidelity.get("architecture") != "precomputed vectors":
        return []
    found = results.headline(analysis="recognition", metric=("concept_recognition", "object_recognition"))
    lost = []
    for own in found.select(lambda r: r.target not in ("mean", "joint"), estimator="zero_shot"):
        read = found.first(metric=own.metric, target=own.target, estimator="probe")
        if read is not None and _lost(own, read):
            name = own.target if own.metric == "concept_recognition" else f"objects, {own.target}"
            lost.append(f"{name} ({own.value:.2f} against {read.value:.2f})")
    if not lost:
        return []
    return [
        f"the model's own queries are at chance where a read-out of the same vectors is not: {', '.join(lost)}; the queries "
        "may be in another order than that of the values"
    ]


def _lost(own: Record, read: Record) -> bool:
    """Whether queries are at chance beside a read-out that is nearly always right."""
    if own.value is None or own.chance is None or read.value is None or own.chance > SMALL_CHANCE:
        return False
    return read.value >= READABLE and own.value <= own.chance + AT_CHANCE * (1 - own.chance)


def _examples(dataset: Dataset) -> list[str]:
    rows = np.unique(np.linspace(0, len(dataset.table) - 1, EXAMPLES).astype(int))
    return [dataset.describe(int(row)) for row in rows]


def _save_embeddings(embeddings: Embeddings, directory: Path) -> None:
    try:
        save_embeddings(embeddings, directory)
    except OSError as error:
        raise StoreError(f"cannot write embeddings to {directory}: {error.strerror or error}") from error
