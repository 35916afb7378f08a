"""Arrays in files of other tools (npz, npy, safetensors, parquet), read without unpickling anything."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.encoders.base import Vectors, refuse_non_finite
from bindscope.errors import InputError, StoreError, VectorsError

KEYS = ("vectors", "embeddings")
LISTS = ("vector", "vectors", "embedding", "embeddings")
_DIMENSION = re.compile(r"(?:v|d|x|f|dim|emb|embedding)?_?(\d+)")
Arrays = Mapping[str, NDArray[Any]]


def read_vectors(path: Path) -> Vectors:
    """Vectors `[n, d]` float32 of a file; raises StoreError, InputError or VectorsError in one line."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        array = _guarded(path, lambda: np.load(path, allow_pickle=False))
    elif suffix in (".npz", ".safetensors"):
        array = _one_array(path, read_arrays(path))
    elif suffix in (".parquet", ".pq"):
        array = parquet_vectors(path, read_parquet(path))
    else:
        raise StoreError(
            f"{path}: vectors are read from .npz, .npy, .safetensors or .parquet, got {suffix or 'no extension'}"
        )
    return finite_matrix(path, array)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of a .npz or .safetensors file by name."""
    if path.suffix.lower() == ".npz":
        found: dict[str, NDArray[Any]] = _guarded(path, lambda: _npz(path))
        return found
    from safetensors.numpy import load_file

    return dict(_guarded(path, lambda: load_file(path)))


def read_parquet(path: Path) -> Any:
    """A parquet file as an arrow table."""
    import pyarrow.parquet as pq

    def read() -> Any:
        with path.open("rb") as file:  # an own handle: pyarrow would take a path for a URI
            return pq.ParquetFile(file).read()

    return _guarded(path, read)


def parquet_vectors(path: Path, table: Any) -> NDArray[Any]:
    """The vectors in an arrow table: a column of lists, or one numeric column a dimension."""
    lists = [name for name in LISTS if name in table.column_names]
    if lists:
        return _list_column(path, lists[0], table.column(lists[0]))
    numbered = sorted((int(m[1]), name) for name in table.column_names if (m := _DIMENSION.fullmatch(name)))
    if not numbered:
        raise InputError(
            f"{path}: expected a column of lists {' or '.join(LISTS)}, or numeric columns 0, 1, 2, ..., "
            f"got {_listed(table.column_names)}"
        )
    if [number for number, _ in numbered] != list(range(numbered[0][0], numbered[0][0] + len(numbered))):
        raise InputError(
            f"{path}: the columns of dimensions are not numbered one by one: {_listed([n for _, n in numbered])}"
        )
    columns = [_numeric_column(path, name, table.column(name)) for _, name in numbered]
    return np.stack(columns, axis=1)


def _numeric_column(path: Path, name: str, column: Any) -> NDArray[Any]:
    array = np.asarray(column.to_numpy())
    if array.dtype.kind not in "fiu":
        raise VectorsError(f"{path}: column {name} must hold numbers, got {column.type}")
    return array


def finite_matrix(path: Path, array: NDArray[Any], label: str = "vectors") -> Vectors:
    """A finite matrix `[n, d]` as float32; raises VectorsError."""
    if array.dtype.kind not in "fiu":
        raise VectorsError(f"{path}: {label} must be numbers, got dtype {array.dtype}")
    if array.ndim != 2 or not array.size:
        raise VectorsError(f"{path}: {label} must have shape [n, d], got {list(array.shape)}")
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(array, dtype=np.float32)
    refuse_non_finite(single, f"{path}, {label}")
    return single


def _guarded(path: Path, read: Callable[[], Any]) -> Any:
    """The result of `read`, with what libraries raise for missing, truncated and foreign files as one StoreError."""
    from pyarrow import ArrowException
    from safetensors import SafetensorError

    try:
        return read()
    except FileNotFoundError:
        raise StoreError(f"cannot read {path}: no such file") from None
    except IsADirectoryError:
        raise StoreError(f"cannot read {path}: it is a directory, expected a file") from None
    except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile, ArrowException, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0] or "it ends too early"
        raise StoreError(f"cannot read {path}: {reason}; it may be cut short or of another kind") from error


def _npz(path: Path) -> dict[str, NDArray[Any]]:
    with path.open("rb") as file:  # an own handle: numpy leaves one open where the archive is broken
        loaded = np.load(file, allow_pickle=False)
        if not hasattr(loaded, "files"):
            raise ValueError("not an npz archive")
        return {name: loaded[name] for name in loaded.files}


def _one_array(path: Path, arrays: Arrays) -> NDArray[Any]:
    for key in KEYS:
        if key in arrays:
            return arrays[key]
    flat = [name for name, array in arrays.items() if array.ndim == 2]
    if len(flat) != 1:
        raise InputError(f"{path}: expected an array named vectors or embeddings, got {_listed(sorted(arrays))}")
    return arrays[flat[0]]


def _list_column(path: Path, name: str, column: Any) -> NDArray[Any]:
    import pyarrow as pa

    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise InputError(f"{path}: column {name} must hold lists of numbers, got {kind}")
    lengths = np.asarray(column.combine_chunks().value_lengths().to_numpy(zero_copy_only=False), dtype=np.float64)
    if np.isnan(lengths).any() or len(np.unique(lengths)) > 1:
        row = int(np.argmax(~(lengths == lengths[0])))
        raise VectorsError(
            f"{path}: row {row} of column {name} has another length than row 0; all vectors need the same"
        )
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat).reshape(len(column), int(lengths[0]) if len(lengths) else 0)


def _listed(names: Sequence[str]) -> str:
    return (", ".join(names[:8]) + (", ..." if len(names) > 8 else "")) or "nothing"
