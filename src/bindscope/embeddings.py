"""Embeddings: vectors with the scenes that they show and where they came from; made, kept and read back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.datasets.items import Dataset, Items
from bindscope.encoders.base import Encoder, Vectors, checked_vectors
from bindscope.errors import InputError
from bindscope.scenes import SceneTable

SHARD_ROWS = 1024  # rows encoded at once: what a killed run can lose


@dataclass(frozen=True, eq=False)
class Queries:
    """Query vectors: objects `[O, d]` in the order of the candidates, values one `[V_k, d]` a concept."""

    objects: Vectors
    values: tuple[Vectors, ...]


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Vectors `[n, d]` float32 of the rows of a table, the model's own queries if it has any, and provenance."""

    vectors: Vectors
    table: SceneTable
    queries: Queries | None = None
    fidelity: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    dataset: str = ""
    modality: str = ""


def embed(
    encoder: Encoder,
    dataset: Dataset,
    *,
    cache: Path | None = None,
    batch_size: int | None = None,
    progress: bool = False,
) -> Embeddings:
    """Encode all items and queries of a data set."""
    refuse_modality(encoder, dataset)
    ready = encoder.prepare(dataset)
    step = batch_size or SHARD_ROWS
    parts = [encode_checked(ready, part) for part in _batches(dataset.items, step)]
    queries = encode_queries(ready, dataset)
    return Embeddings(
        np.concatenate(parts), dataset.table, queries, ready.fidelity(), encoder.name, dataset.name, dataset.modality
    )


def refuse_modality(encoder: Encoder, dataset: Dataset) -> None:
    """Raise InputError where the encoder cannot read what the data set shows."""
    if dataset.modality not in encoder.modalities:
        raise InputError(
            f"{encoder.name} reads {' or '.join(sorted(encoder.modalities))}, but {dataset.name} is {dataset.modality}"
            "; choose a model or data that fit each other (`bindscope list` shows them)"
        )


def encode_checked(encoder: Encoder, items: Items) -> Vectors:
    """Vectors `[n, d]` of items, or a VectorsError that says what is wrong with them."""
    return checked_vectors(encoder.encode(items), len(items), encoder.name)


def encode_queries(encoder: Encoder, dataset: Dataset) -> Queries | None:
    """The encoder's queries for a data set, or None."""
    if not encoder.has_queries:
        return None
    found = []
    for items in (dataset.object_queries, *dataset.value_queries):
        vectors = encoder.encode_queries(items)
        if vectors is None:
            return None
        found.append(checked_vectors(vectors, len(items), f"{encoder.name}, {items.kind} queries"))
    return Queries(found[0], tuple(found[1:]))


def _batches(items: Items, step: int) -> Iterator[Items]:
    for start in range(0, len(items), step):
        yield items.take(slice(start, start + step))
