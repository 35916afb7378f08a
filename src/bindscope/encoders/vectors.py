"""Vectors made elsewhere: `file:PATH` (npz, npy, safetensors, parquet), with queries and captions in files of their own."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.datasets.items import Dataset, Items
from bindscope.encoders.arrays import read_stored
from bindscope.encoders.base import Encoder, Settings, Vectors
from bindscope.encoders.query_files import StoredQueries, read_queries
from bindscope.encoders.row_matching import row_order
from bindscope.errors import InputError, VectorsError
from bindscope.names import Option, read_options, split_options

OPTIONS = {"queries": Option(None), "captions": Option(None), "array": Option(None), "ids": Option(None)}


class FileEncoder(Encoder):
    """Looks rows up in arrays that were made elsewhere; `prepare` matches the rows and reads the queries of a data set.

    Captions come from a file with one vector a row: that row's caption.
    """

    modalities = frozenset({"text", "image", "labels"})
    cacheable = False
    precomputed = True

    def __init__(
        self,
        path: Path,
        queries: Path | None,
        name: str,
        captions: Path | None = None,
        array: str | None = None,
        ids: str | None = None,
    ) -> None:
        self.path, self.queries, self.name, self.ids = path, queries, name, ids
        self._array = array
        self._stored = read_stored(path, array)
        self._captions = None if captions is None else read_stored(captions)
        self.vectors = self._stored.vectors
        self.caption_vectors = None if self._captions is None else self._captions.vectors
        self.has_queries = queries is not None
        self.captions = "none" if captions is None else "rows"
        if self.caption_vectors is not None and self.caption_vectors.shape != self.vectors.shape:
            raise VectorsError(
                f"{captions} holds {list(self.caption_vectors.shape)} caption vectors and {path} "
                f"{list(self.vectors.shape)}; give one caption a row, of the same dimensions"
            )
        self._asked: StoredQueries | None = None

    def prepare(self, dataset: Dataset) -> Encoder:
        """The same encoder with the rows and queries of this data set, whose rows must be as many as the vectors."""
        rows, notes = row_order(self.path, self._stored, dataset, self.ids)
        self.vectors = self._stored.vectors[rows]
        if self._captions is not None:
            order, more = row_order(self.path, self._captions, dataset, self.ids)
            self.caption_vectors = self._captions.vectors[order]
            notes += [note for note in more if note not in notes]
        if self.queries is not None:
            self._asked, more = read_queries(self.queries, dataset.table, self.vectors.shape[1], self._array)
            notes += more
        self.notes = tuple(notes)
        return self

    def encode(self, items: Items) -> Vectors:
        """Rows of the file."""
        return self.vectors[items.rows]

    def encode_captions(self, items: Items) -> Vectors | None:
        """Rows of the caption file."""
        return None if self.caption_vectors is None else self.caption_vectors[items.rows]

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
    """The encoder of `file:PATH?queries=PATH&captions=PATH&array=NAME&ids=COLUMN`."""
    path, query = split_options(rest, is_path=True)
    if not path:
        raise InputError("file: needs a file of vectors, e.g. file:vectors.npy")
    options = read_options(query, OPTIONS, "file:")
    place = Path(path).expanduser()
    queries, captions = (Path(word).expanduser() if (word := options[key]) else None for key in ("queries", "captions"))
    return FileEncoder(place, queries, name, captions, options["array"], options["ids"])
