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
    """Looks rows up in arrays that were made elsewhere; `prepare` reads the queries that a data set needs.

    Captions come from a file with one vector a row: that row's caption.
    """

    modalities = frozenset({"text", "image", "labels"})
    cacheable = False

    def __init__(self, path: Path, queries: Path | None, name: str, captions: Path | None = None) -> None:
        self.path, self.queries, self.name = path, queries, name
        self.vectors = read_vectors(path)
        self.has_queries = queries is not None
        self.told = read_vectors(captions) if captions is not None else None
        self.captions = "none" if captions is None else "rows"
        if self.told is not None and self.told.shape != self.vectors.shape:
            raise VectorsError(
                f"{captions} holds {list(self.told.shape)} caption vectors and {path} {list(self.vectors.shape)}; give one "
                "caption a row, of the same dimensions"
            )
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

    def encode_captions(self, items: Items) -> Vectors | None:
        """Rows of the caption file."""
        return None if self.told is None else self.told[items.rows]

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
    """The encoder of `file:PATH?queries=PATH&captions=PATH`."""
    path, query = split_options(rest)
    if not path:
        raise InputError("file: needs a file of vectors, e.g. file:vectors.npy")
    options = read_options(query, {"queries": Option(None), "captions": Option(None)}, "file:")
    queries, captions = (Path(word) if (word := options[key]) else None for key in ("queries", "captions"))
    return FileEncoder(Path(path), queries, name, captions)
