"""Arrays in files of other tools (npz, npy, safetensors, parquet), read without unpickling anything.

Which array holds the vectors is never guessed among several: they are listed, and one is chosen by its name.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bindscope.datasets.columns import MAX_INFLATED, MAX_RATIO
from bindscope.encoders.base import Vectors, refuse_non_finite
from bindscope.encoders.parquet import (
    NAMES,
    PARQUET,
    ParquetFile,
    Words,
    guarded,
    listed,
    refuse_other_name,
    several_error,
)
from bindscope.errors import InputError, StoreError, UnknownNameError, VectorsError

FORMATS = ".npz, .npy, .safetensors or .parquet"
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Stored:
    """Vectors `[n, d]` of a file, and what else it says of its rows: columns of words by name, read when asked for."""

    vectors: Vectors
    columns: Mapping[str, Callable[[], Words]] = field(default_factory=dict)


def read_vectors(path: Path, array: str | None = None) -> Vectors:
    """Vectors `[n, d]` float32 of a file; raises StoreError, InputError or VectorsError in one line.

    array: the name of the array or column that holds them; needed where several could.
    """
    return read_stored(path, array).vectors


def read_stored(path: Path, array: str | None = None) -> Stored:
    """The same, with the other columns of the file."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        if array is not None:
            raise InputError(f"{path}: array={array} chooses among several, and .npy holds one array; leave it out")
        return Stored(matrix_with_directions(path, _npy(path)))
    if suffix in (".npz", ".safetensors"):
        arrays = read_arrays(path)
        vectors = matrix_with_directions(path, _chosen_array(path, arrays, array))
        return Stored(vectors, _array_columns(arrays, len(vectors)))
    if suffix in PARQUET:
        table = ParquetFile.open(path)
        vectors = matrix_with_directions(path, table.vectors(array))
        return Stored(vectors, {name: partial(table.words, name) for name in table.scalars})
    raise StoreError(f"{path}: vectors are read from {FORMATS}, got {suffix or 'no extension'}")


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of a .npz or .safetensors file by name; those of bfloat16 and of 8 bits as float32."""
    found: dict[str, NDArray[Any]] = guarded(path, lambda: _npz(path) if _is_npz(path) else _safetensors(path))
    return found


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


def matrix_with_directions(path: Path, array: NDArray[Any], label: str = "vectors") -> Vectors:
    """The same; refuses rows of zeros among others: they have no direction, so that no cosine can be taken."""
    matrix = finite_matrix(path, array, label)
    zeros = np.flatnonzero(~matrix.any(axis=1))
    if 0 < len(zeros) < len(matrix):  # vectors that do not vary at all are refused by whoever needs them
        raise VectorsError(
            f"{path}, {label}: row {zeros[0]} is all zeros ({len(zeros)} such rows), which has no direction; leave those "
            "rows out of vectors and labels, or mend what made them"
        )
    return matrix


def _npy(path: Path) -> NDArray[Any]:
    def read() -> Any:
        with path.open("rb") as file:
            _refuse_npy_bomb(path, file, path.stat().st_size)
            file.seek(0)
            return np.load(file, allow_pickle=False)

    found: NDArray[Any] = guarded(path, read)
    return found


def _is_npz(path: Path) -> bool:
    return path.suffix.lower() == ".npz"


def _npz(path: Path) -> dict[str, NDArray[Any]]:
    with path.open("rb") as file:  # an own handle: numpy leaves one open where the archive is broken
        if file.read(6) == b"\x93NUMPY":
            raise ValueError("not an npz archive")
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            limit = max(MAX_INFLATED, MAX_RATIO * path.stat().st_size)
            if sum(member.file_size for member in members) > limit:
                raise StoreError(f"{path}: unpacks to more than {MAX_RATIO} times its size; save the arrays anew")
            return {m.filename.removesuffix(".npy"): _member(path, archive, m) for m in members if not m.is_dir()}


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """One array of an archive; text that was saved as Python objects is named, since it would have to be unpickled."""
    with archive.open(member) as file:
        _refuse_npy_bomb(path, file, member.file_size)
    with archive.open(member) as file:
        try:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
        except ValueError as error:
            if "allow_pickle" not in str(error):
                raise
            return np.array([f"array {member.filename} holds Python objects"], dtype=object)


def _refuse_npy_bomb(path: Path, file: IO[bytes], size: int) -> None:
    """Raise StoreError where the header of an array declares more bytes than there are."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    declared = dtype.itemsize
    for length in shape:
        declared *= length
    if declared > size and not dtype.hasobject:
        raise StoreError(
            f"cannot read {path}: an array of shape {list(shape)} is declared in {size:,} bytes; it may be cut short or of "
            "another kind"
        )


_WIDTHS = {"BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}


def _safetensors(path: Path) -> dict[str, NDArray[Any]]:
    from safetensors import safe_open

    found = {}
    with safe_open(path, framework="np") as file:
        kinds = {name: str(file.get_slice(name).get_dtype()) for name in file.keys()}  # noqa: SIM118 - not a mapping
        for name, kind in kinds.items():
            if kind in _WIDTHS:
                found[name] = _narrow(path, name, kind)
                continue
            try:
                found[name] = file.get_tensor(name)
            except (TypeError, ValueError, KeyError, AttributeError) as error:
                raise StoreError(
                    f"{path}: tensor {name} has the type {kind}, which is not read; save it as float32"
                ) from error
    return found


def _narrow(path: Path, name: str, kind: str) -> NDArray[np.float32]:
    """A tensor of bfloat16 or of 8-bit floats as float32. The file's header is known to be sound."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(length))[name]
        first, last = entry["data_offsets"]
        file.seek(8 + length + first)
        raw = np.frombuffer(file.read(last - first), dtype="<u2" if _WIDTHS[kind] == 2 else np.uint8)
    if kind == "BF16":
        wide = (raw.astype(np.uint32) << 16).view(np.float32)
    elif kind == "F8_E5M2":
        wide = (raw.astype(np.uint16) << 8).view(np.float16).astype(np.float32)
    else:
        wide = _E4M3[raw]
    return wide.reshape(entry["shape"])


def _e4m3() -> NDArray[np.float32]:
    """All 256 numbers of the 8-bit type e4m3fn: bias 7, no infinities, NaN at the top (Micikevicius et al. 2022)."""
    codes = np.arange(256)
    exponent, fraction = codes >> 3 & 15, codes & 7
    size = np.where(exponent == 0, fraction / 8 * 2.0**-6, (1 + fraction / 8) * 2.0 ** (exponent - 7))
    size = np.where((exponent == 15) & (fraction == 7), np.nan, size)
    return np.where(codes >> 7, -size, size).astype(np.float32)


_E4M3 = _e4m3()


def _chosen_array(path: Path, arrays: Arrays, chosen: str | None) -> NDArray[Any]:
    if chosen is not None:
        if chosen not in arrays:
            raise UnknownNameError(f"array in {path}:", chosen, arrays or ["none"])
        return arrays[chosen]
    named = [name for name in NAMES if name in arrays]
    if len(named) == 1:
        return arrays[named[0]]
    candidates = [name for name, array in arrays.items() if array.ndim > 1 and array.dtype.kind in "fiu"]
    if len(candidates) > 1:
        raise several_error(path, [f"{name} {list(arrays[name].shape)}" for name in candidates], candidates[0])
    if not candidates:
        raise InputError(f"{path}: expected an array named vectors or embeddings, got {listed(sorted(arrays))}")
    refuse_other_name(path, candidates[0])
    return arrays[candidates[0]]


def _array_columns(arrays: Arrays, rows: int) -> dict[str, Callable[[], Words]]:
    """Arrays of words or whole numbers, one a row."""
    flat = {name: array for name, array in arrays.items() if array.shape == (rows,) and array.dtype.kind in "USiu"}
    return {name: partial(array_words, array) for name, array in flat.items()}


def array_words(array: NDArray[Any]) -> Words:
    """The cells of an array as words without blanks around them; None where empty."""
    cells: Iterable[Any] = (
        cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell for cell in array.tolist()
    )
    return [str(cell).strip() or None for cell in cells]
