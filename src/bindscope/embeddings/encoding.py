"""Encode a data set: in shards, through the cache, with every vector checked."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.datasets.items import Dataset, Items
from bindscope.datasets.labels import refuse_names_not_read_back
from bindscope.datasets.wording import Captions
from bindscope.embeddings.artefact import CaptionVectors, Embeddings, Queries, query_tensors
from bindscope.embeddings.seen import Witnesses, look, same_width, sentences
from bindscope.encoders.base import Encoder, Vectors, checked_vectors
from bindscope.encoders.reading import TextReading
from bindscope.errors import BindscopeWarning, InputError, StoreError, VectorsError
from bindscope.files import read_tensors, user_cache, write_tensors
from bindscope.parallel import duration

SHARD_ROWS = 1024  # rows of a cache file: what a killed run can lose
LINE_SECONDS = 30.0  # between two lines of progress in a log
PLAIN_ROWS = 8192  # rows at once where there is no cache

Report = Callable[[int], None]  # is given how many more rows are done
Watch = Callable[[int, Vectors], None]


def embed(
    encoder: Encoder,
    dataset: Dataset,
    *,
    cache: Path | None = None,
    batch_size: int | None = None,
    progress: bool = False,
    captions: Captions | None = None,
) -> Embeddings:
    """Encode all items and queries of a data set, and captions of its scenes where they are given.

    cache: directory that keeps vectors between runs, see `default_cache` (None: none is kept). batch_size: rows given
    to the encoder at once (None: a shard; the encoder cuts it into batches of its own). progress: a bar on stderr.
    Raises InputError where the encoder cannot read the data, TableError where the words of the data could not be
    written down, VectorsError where the encoder gives wrong vectors, StoreError where the cache cannot be written.

    >>> from bindscope import load_dataset, load_encoder
    >>> embed(load_encoder("planted:bag?dim=16"), load_dataset("text:2x2")).vectors.shape
    (12, 16)
    """
    refuse_modality(encoder, dataset)
    if not len(dataset.items):
        raise InputError(f"there is nothing to encode: {dataset.name} has no rows")
    if batch_size is not None and batch_size < 1:
        raise InputError(f"batch size must be at least 1, got {batch_size}")
    refuse_names_not_read_back(dataset.table.space)  # before hours of encoding
    ready = encoder.prepare(dataset)
    record = ready.fidelity()
    witnesses = Witnesses(ready, dataset.items, record)
    code = {"code_sha256": encoder.code} if encoder.code else {}
    fidelity = {**record, **code, "fingerprint": witnesses.fingerprint()}
    identity = {"encoder": fidelity, "data": dataset.digest, "batch_size": batch_size}
    store = Cache.open(cache, identity) if cache is not None and ready.cacheable else None
    if ready.cacheable:
        witnesses.ask_again(ready)
    with progress_bar(progress, encoder.name, len(dataset.items)) as report:
        vectors = encode_rows(ready, dataset.items, store, batch_size, report, watch(witnesses, encoder.name))
    queries = _cached_queries(ready, dataset, store)
    _refuse_other_width(encoder, vectors, queries)
    seen = look(ready, dataset, vectors, queries, captions)
    tell(encoder.name, seen)
    other = None
    if captions is not None:
        other = encode_captions(ready, captions, {**identity, "data": captions.digest}, cache, batch_size, progress)
    names = (encoder.name, dataset.name, dataset.modality)
    seen["unsteady"] = witnesses.gaps
    return Embeddings(vectors, dataset.table, queries, fidelity, *names, captions=other, seen=seen)


def watch(witnesses: Witnesses, name: str) -> Watch:
    """Says with the first block that vectors depend on more than their row, before hours of encoding."""
    told: set[str] = set()

    def compare(start: int, part: Vectors) -> None:
        witnesses.compare(start, part)
        new = {word: gap for word, gap in witnesses.gaps.items() if word not in told}
        told.update(new)
        tell(name, {"unsteady": new})

    return compare


def tell(name: str, seen: Mapping[str, Any]) -> None:
    """Each sentence on what a model saw as a warning of its own."""
    for sentence in sentences(seen):
        warnings.warn(f"{name}: {sentence}", BindscopeWarning, stacklevel=3)


def encode_captions(
    encoder: Encoder,
    captions: Captions,
    identity: Mapping[str, Any],
    cache: Path | None = None,
    batch_size: int | None = None,
    progress: bool = False,
) -> CaptionVectors | None:
    """Vectors of captions and of the further wordings of the queries; None where the encoder has no such side."""
    if encoder.captions == "none" or encoder.encode_captions(captions.items.take(slice(0, 1))) is None:
        return None
    store = None
    if cache is not None and encoder.cacheable:
        store = Cache.open(cache, {**identity, "side": "captions"})
    with progress_bar(progress, f"{encoder.name}, captions", len(captions.items)) as report:
        flat = encode_rows(CaptionSide(encoder), captions.items, store, batch_size, report)
    vectors = flat.reshape(captions.n_wordings, len(captions.scenes), -1)
    queries = tuple(found for items in captions.queries if (found := _query_vectors(encoder, items)) is not None)
    words = (captions.orders, captions.patterns, queries)
    return CaptionVectors(captions.scenes, vectors, captions.anchors, *words)


class CaptionSide(Encoder):
    """The side of an encoder that reads captions, as an encoder of scenes."""

    def __init__(self, encoder: Encoder) -> None:
        self.whole, self.name = encoder, f"{encoder.name}, captions"
        self.cacheable, self.code = encoder.cacheable, encoder.code

    def encode(self, items: Items) -> Vectors:
        vectors = self.whole.encode_captions(items)
        if vectors is None:
            raise VectorsError(f"{self.name}: the encoder gave vectors for some captions and none for others")
        return vectors

    def fidelity(self) -> dict[str, Any]:
        return self.whole.fidelity()

    def text_reading(self, items: Items) -> TextReading | None:
        return self.whole.text_reading(items)


def refuse_modality(encoder: Encoder, dataset: Dataset) -> None:
    """Raise InputError where the encoder cannot read what the data set shows."""
    if dataset.modality not in encoder.modalities:
        raise InputError(
            f"{encoder.name} reads {' or '.join(sorted(encoder.modalities))}, but {dataset.name} is {dataset.modality}"
            "; choose a model and data that fit each other"
        )


def encode_rows(
    encoder: Encoder,
    items: Items,
    store: Cache | None,
    batch_size: int | None,
    report: Report,
    watch: Watch | None = None,
) -> Vectors:
    """Vectors `[n, d]` of all items, shard by shard; shards that the cache holds are not encoded.

    watch: is given the first row and the vectors of each shard.
    """
    size = SHARD_ROWS if store is not None else PLAIN_ROWS
    out = np.empty((0, 0), dtype=np.float32)
    for start in range(0, len(items), size):
        rows = slice(start, min(start + size, len(items)))
        part = _shard(encoder, items.take(rows), start, store, batch_size, report)
        if not start:
            out = np.empty((len(items), part.shape[1]), dtype=np.float32)
        out[rows] = same_width(part, out.shape[1], encoder.name)
        if watch is not None:
            watch(start, part)
    return out


def encode_queries(encoder: Encoder, dataset: Dataset) -> Queries | None:
    """The encoder's own queries for a data set, or None."""
    if not encoder.has_queries:
        return None
    return _query_vectors(encoder, (dataset.object_queries, *dataset.value_queries))


def _query_vectors(encoder: Encoder, every: Sequence[Items]) -> Queries | None:
    found = []
    for items in every:
        vectors = encoder.encode_queries(items)
        if vectors is None:
            return None
        found.append(checked_vectors(vectors, len(items), f"{encoder.name}, {items.kind} queries"))
    return Queries(found[0], tuple(found[1:]))


def _shard(
    encoder: Encoder, items: Items, start: int, store: Cache | None, batch_size: int | None, report: Report
) -> Vectors:
    kept = store.read(shard_name(start), len(items)) if store is not None else None
    if kept is not None:
        report(len(items))
        return np.asarray(kept["vectors"], dtype=np.float32)
    parts: list[Vectors] = []
    for batch in _batches(items, batch_size or len(items)):
        parts.append(_encode_checked(encoder, batch, start + sum(map(len, parts))))
        report(len(batch))
    vectors = np.concatenate(parts) if len(parts) > 1 else parts[0]
    if store is not None:
        store.write(shard_name(start), {"vectors": vectors})
    return vectors


def _encode_checked(encoder: Encoder, items: Items, first_row: int) -> Vectors:
    return checked_vectors(encoder.encode(items), len(items), encoder.name, first_row)


def _cached_queries(encoder: Encoder, dataset: Dataset, store: Cache | None) -> Queries | None:
    name = "queries.safetensors"
    kept = store.read(name) if store is not None and encoder.has_queries else None
    if kept:
        values = tuple(kept[f"queries.values.{k}"] for k in range(len(dataset.value_queries)))
        return Queries(kept["queries.objects"], values)
    queries = encode_queries(encoder, dataset)
    if store is not None and queries is not None:
        store.write(name, query_tensors(queries))
    return queries


def _refuse_other_width(encoder: Encoder, vectors: Vectors, queries: Queries | None) -> None:
    for array in () if queries is None else (queries.objects, *queries.values):
        if array.shape[1] != vectors.shape[1]:
            raise VectorsError(
                f"{encoder.name}: queries have {array.shape[1]} dimensions, scenes {vectors.shape[1]}; "
                "they must share a space"
            )


def _batches(items: Items, step: int) -> Iterator[Items]:
    for start in range(0, len(items), step):
        yield items.take(slice(start, start + step))


@contextlib.contextmanager
def progress_bar(shown: bool, label: str, total: int) -> Iterator[Report]:
    """A bar on stderr that says the count, and the rough cost once the first batch is done."""
    if not shown:
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not console.is_terminal:  # a log file: lines instead of a bar
        yield _lines(console.print, label, total)
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(f"{label}: {total:,} items", total=total)
        began = time.monotonic()

        def report(done: int) -> None:
            if not bar.tasks[task].completed and done < total:
                seconds = (time.monotonic() - began) / done * total
                bar.update(task, description=f"{label}: {total:,} items, about {duration(seconds)}")
            bar.advance(task, done)

        yield report


def _lines(say: Callable[..., None], label: str, total: int) -> Report:
    """Says the count and the rough cost once the first batch is done, then how far it is twice a minute."""
    began = told = time.monotonic()
    done = 0

    def report(more: int) -> None:
        nonlocal told, done
        now, done = time.monotonic(), done + more
        if done < total and (done == more or now - told > LINE_SECONDS):
            left = (now - began) / done * (total - done)
            say(f"{label}: {done:,} of {total:,} items, about {duration(left)} to go", soft_wrap=True, highlight=False)
            told = now

    return report


@dataclass
class Cache:
    """Shards of one encoder on one data set; `optional`: warn once where nothing can be written, instead of failing."""

    directory: Path
    optional: bool = False
    broken: bool = False

    @classmethod
    def open(cls, root: Path, identity: Mapping[str, Any]) -> Cache:
        """The cache of one identity under a root; the user's own directory is optional, any other was asked for."""
        text = json.dumps(identity, sort_keys=True, ensure_ascii=False)
        directory = root / hashlib.sha256(text.encode()).hexdigest()
        cache = cls(directory, optional=root == user_cache() / "bindscope")
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            cache._give_up(StoreError(f"cannot make the cache {directory}: {error.strerror or error}"))
        return cache

    def read(self, name: str, rows: int | None = None) -> dict[str, NDArray[np.float32]] | None:
        """The tensors of a file, or None where it is missing or damaged (then with a warning).

        rows: the number of rows that `vectors` must have.
        """
        path = self.directory / name
        if self.broken or not path.exists():
            return None
        try:
            arrays, _ = read_tensors(path)
            if rows is not None and ("vectors" not in arrays or len(arrays["vectors"]) != rows):
                raise StoreError(f"{path} does not hold {rows} rows")
        except StoreError as error:
            warnings.warn(f"cache file passed over and encoded again: {error}", BindscopeWarning, stacklevel=2)
            return None
        return arrays

    def write(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep tensors under a name; raises StoreError where the cache was asked for and cannot be written."""
        if self.broken:
            return
        try:
            write_tensors(self.directory / name, arrays, {})
        except StoreError as error:
            self._give_up(error)

    def _give_up(self, error: StoreError) -> None:
        if not self.optional:
            raise StoreError(f"{error}; choose another cache with BINDSCOPE_CACHE") from error
        warnings.warn(f"{error}; going on without a cache", BindscopeWarning, stacklevel=3)
        self.broken = True


def shard_name(first_row: int) -> str:
    """File name of the shard that starts at a row."""
    return f"rows-{first_row:09d}.safetensors"
