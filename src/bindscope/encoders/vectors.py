"""Vectors made elsewhere: `file:PATH` (npz, npy, safetensors, parquet), rows in the order of the label table."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.concepts import ABSENT
from bindscope.datasets.items import Dataset, Items
from bindscope.datasets.options import Option, read_options, split_options
from bindscope.encoders.base import Encoder, Settings, Vectors, checked_vectors
from bindscope.errors import InputError, StoreError, VectorsError

KEYS = ("vectors", "embeddings")
SUFFIXES = (".npz", ".npy", ".safetensors", ".parquet")


class FileEncoder(Encoder):
    """Looks rows up in arrays that were made elsewhere.

    Queries come from a file with the array `objects` (all objects of the space by id, or the candidates in order) and one
    array for each concept's name (values in order).
    """

    modalities = frozenset({"text", "image", "labels"})
    cacheable = False

    def __init__(self, path: Path, queries: Path | None, name: str) -> None:
        self.path, self.name = path, name
        self.vectors = _single(path, read_arrays(path))
        self.asked = read_arrays(queries) if queries is not None else None
        self.has_queries = queries is not None
        self.dataset: Dataset | None = None

    def prepare(self, dataset: Dataset) -> Encoder:
        """Remember the data set, whose rows must be as many as the vectors."""
        self.dataset = dataset
        rows = dataset.items.rows
        if len(rows) == 0 or int(rows.max()) >= len(self.vectors) or not self._fits(dataset):
            raise VectorsError(
                f"{self.path} holds {len(self.vectors)} vectors and {dataset.name} has {len(dataset.items)} rows; "
                "give one vector a row, in the same order"
            )
        return self

    def _fits(self, dataset: Dataset) -> bool:
        contiguous = bool((dataset.items.rows == np.arange(len(dataset.items))).all())
        return not contiguous or len(dataset.items) == len(self.vectors)

    def encode(self, items: Items) -> Vectors:
        """Rows of the file."""
        return checked_vectors(self.vectors[items.rows], len(items), str(self.path), int(items.rows[0]))

    def encode_queries(self, items: Items) -> Vectors | None:
        """Rows of the query file."""
        if self.asked is None or self.dataset is None:
            return None
        table = self.dataset.table
        if items.kind == "object":
            array = self._array("objects")
            ids = table.space.object_ids(items.values[:, 0])
            rows = ids if len(array) == table.space.n_objects else np.searchsorted(table.candidates, ids)
        else:
            k = int(np.flatnonzero(items.values[0, 0] != ABSENT)[0])
            array, rows = self._array(table.space.names[k]), items.values[:, 0, k]
        if int(rows.max()) >= len(array):
            raise VectorsError(
                f"the queries of {self.name} hold {len(array)} rows and {int(rows.max()) + 1} are needed"
            )
        return checked_vectors(array[rows], len(items), f"queries of {self.name}")

    def _array(self, key: str) -> np.ndarray[Any, Any]:
        assert self.asked is not None
        if key not in self.asked:
            raise InputError(f"the queries of {self.name} have no array {key!r}; they have {', '.join(self.asked)}")
        return self.asked[key]

    def fidelity(self) -> dict[str, Any]:
        """Hash of the vectors; nothing else is known of precomputed ones."""
        digest = hashlib.sha256(np.ascontiguousarray(self.vectors).tobytes()).hexdigest()
        return {"encoder": self.name, "architecture": "precomputed vectors", "vectors_sha256": digest}


def load(rest: str, name: str, settings: Settings) -> Encoder:
    """The encoder of `file:PATH?queries=PATH`."""
    path, query = split_options(rest)
    options = read_options(query, {"queries": Option(None)}, "file:")
    return FileEncoder(Path(path), Path(options["queries"]) if options["queries"] else None, name)


def read_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """All arrays of a file by name; StoreError where it is missing, damaged or of another kind."""
    if path.suffix not in SUFFIXES:
        raise StoreError(f"{path} is of an unknown kind; expected {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise StoreError(f"there is no file {path}")
    try:
        return _read(path)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise StoreError(f"cannot read {path}: {reason}; the file is damaged or of another kind") from error


def _read(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    if path.suffix == ".npy":
        return {"vectors": np.load(path, allow_pickle=False)}
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        return dict(load_file(path))
    return _parquet(path)


def _parquet(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """A list column named vectors, embeddings, vector or embedding, or all numeric columns side by side."""
    import pandas as pd

    frame = pd.read_parquet(path)
    for key in (*KEYS, "vector", "embedding"):
        if key in frame:
            return {"vectors": np.stack(frame[key].to_list())}
    return {"vectors": frame.select_dtypes("number").to_numpy(dtype=np.float32)}


def _single(path: Path, arrays: dict[str, np.ndarray[Any, Any]]) -> Vectors:
    named = [arrays[key] for key in KEYS if key in arrays]
    flat = [array for array in arrays.values() if array.ndim == 2]
    found = named or flat
    if len(found) != 1 and not named:
        raise VectorsError(
            f"{path} must hold one array `vectors` [rows, dimensions]; it holds {', '.join(arrays) or 'none'}"
        )
    return checked_vectors(found[0], len(found[0]), str(path))
