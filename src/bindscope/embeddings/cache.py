"""A cache of vectors in shards, so that a killed run goes on where it stopped and a second run encodes nothing.

A directory `<cache>/<key>` holds `rows-<first row>.safetensors` and `queries.safetensors`; the key is the sha256 of
what determines the vectors. Files are written under a temporary name; a checksum tells one that is cut short.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.datasets.places import user_cache
from bindscope.embeddings.tensors import read_tensors, write_tensors
from bindscope.errors import BindscopeWarning, StoreError


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
