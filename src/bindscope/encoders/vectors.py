"""Vectors made elsewhere: `file:PATH` (npz, npy, safetensors, parquet), rows in the order of the label table."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.datasets.items import Dataset, Items
from bindscope.datasets.options import Option, read_options, split_options
from bindscope.encoders.arrays import read_vectors
from bindscope.encoders.base import Encoder, Settings, Vectors
from bindscope.encoders.queries import StoredQueries, read_queries
from bindscope.errors import InputError, VectorsError


class FileEncoder(Encoder):
    """Looks rows up in arrays that were made elsewhere; `prepare` reads the queries that a data set needs."""

    modalities = frozenset({"text", "image", "labels"})
    cacheable = False

    def __init__(self, path: Path, queries: Path | None, name: str) -> None:
        self.path, self.queries, self.name = path, queries, name
        self.vectors = read_vectors(path)
        self.has_queries = queries is not None
        self._asked: StoredQueries | None = None

    def prepare(self, dataset: Dataset) -> Encoder:
        """The same encoder with the queries of this data set, whose rows must be as many as the vectors."""
        if dataset.total != len(self.vectors):
            raise VectorsError(
                f"{self.path} holds {len(self.vectors)} vectors and {dataset.name} has {dataset.total} rows; "
                "give one vector a row, in the same order"
            )
        if self.queries is not None:
            self._asked = read_queries(self.queries, dataset.table, self.vectors.shape[1])
        return self

    def encode(self, items: Items) -> Vectors:
        """Rows of the file."""
        return self.vectors[items.rows]

    def encode_queries(self, items: Items) -> Vectors | None:
        """Rows of the query file."""
        return None if self._asked is None else self._asked.pick(items)

    def fidelity(self) -> dict[str, Any]:
        """Hashes of vectors and queries; nothing else is known of precomputed ones."""
        found = {
            "encoder": self.name,
            "architecture": "precomputed vectors",
            "dtype": str(self.vectors.dtype),
            "vectors_sha256": hashlib.sha256(self.vectors.tobytes()).hexdigest(),
        }
        if self._asked is not None:
            digest = hashlib.sha256()
            for array in (self._asked.objects, *self._asked.values):
                digest.update(np.ascontiguousarray(array).tobytes())
            found["queries_sha256"] = digest.hexdigest()
        return found


def load(rest: str, name: str, settings: Settings) -> Encoder:
    """The encoder of `file:PATH?queries=PATH`."""
    path, query = split_options(rest)
    options = read_options(query, {"queries": Option(None)}, "file:")
    if not path:
        raise InputError("file: needs a file of vectors, e.g. file:vectors.npy")
    return FileEncoder(Path(path), Path(options["queries"]) if options["queries"] else None, name)
