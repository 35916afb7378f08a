"""Arrays in files of other tools (npz, npy, safetensors, parquet), read without unpickling anything.

Which array holds the vectors is never guessed among several: they are listed, and one is chosen by its name.
"""

from __future__ import annotations

import json
import re
import tokenize
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bindscope.datasets.columns import MAX_INFLATED, MAX_RATIO, MAX_TABLE_ROWS
from bindscope.encoders.base import Vectors, refuse_non_finite
from bindscope.errors import InputError, StoreError, UnknownNameError, VectorsError
from bindscope.files import refuse_irregular

NAMES = ("vectors", "embeddings", "vector", "embedding")  # an array of such a name is the one meant
OTHERS = re.compile(
    r"box|label|one_?hot|score|target|mask|coord|prob|logit|index|points", re.IGNORECASE
)  # hold something else
WIDE = 8  # numbered columns that could be vectors although they are not called dim
FORMATS = ".npz, .npy, .safetensors or .parquet"
PARQUET = (".parquet", ".pq")
_DIMENSION = re.compile(r"(?:dim_?)?([0-9]{1,6})")
_FAMILY = re.compile(r"(.*?)([0-9]{1,6})", re.DOTALL)
# What numpy and zipfile raise for files that are cut short, altered or of another kind.
FAULTS = (OSError, EOFError, ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError, SyntaxError,
          tokenize.TokenError, zipfile.BadZipFile, NotImplementedError, RuntimeError)  # fmt: skip
Arrays = Mapping[str, NDArray[Any]]
Words = list[str | None]


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
        return Stored(vectors, {name: _reader(table, name) for name in table.scalars})
    raise StoreError(f"{path}: vectors are read from {FORMATS}, got {suffix or 'no extension'}")


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of a .npz or .safetensors file by name; those of bfloat16 and of 8 bits as float32."""
    found: dict[str, NDArray[Any]] = _guarded(path, lambda: _npz(path) if _is_npz(path) else _safetensors(path))
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


@dataclass(frozen=True, eq=False)
class ParquetFile:
    """The columns of a parquet file: lists of numbers, and scalars that may name the rows; cells are read when asked for."""

    path: Path
    header: tuple[str, ...]
    kinds: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path) -> ParquetFile:
        """Read the schema, and refuse a file that declares more than it can hold."""
        import pyarrow.parquet as pq

        def read() -> ParquetFile:
            with path.open("rb") as file:  # an own handle: pyarrow would take a path for a URI
                found = pq.ParquetFile(file)
                _refuse_parquet_bomb(path, found.metadata)
                schema = found.schema_arrow
                return cls(path, tuple(schema.names), dict(zip(schema.names, schema.types, strict=True)))

        opened: ParquetFile = _guarded(path, read)
        twice = sorted({name for name in opened.header if opened.header.count(name) > 1})
        if twice:
            raise StoreError(f"{path}: column {twice[0]} stands twice; column names must differ")
        return opened

    def column(self, name: str) -> Any:
        """Cells of a column as one arrow array."""
        import pyarrow.parquet as pq

        def read() -> Any:
            with self.path.open("rb") as file:
                return pq.ParquetFile(file).read(columns=[name]).column(name).combine_chunks()

        return _guarded(self.path, read)

    def words(self, name: str) -> Words:
        """Cells of a column as words without blanks around them; None where empty."""
        cells = _guarded(self.path, lambda: self.column(name).to_pylist())
        return [None if cell is None else str(cell).strip() or None for cell in cells]

    @property
    def lists(self) -> list[str]:
        """Names of the columns of lists of numbers."""
        return [name for name in self.header if _is_list(self.kinds[name]) and _is_number(self.kinds[name].value_type)]

    @property
    def scalars(self) -> list[str]:
        """Names of the columns of words and whole numbers."""
        import pyarrow.types as types

        texts = (types.is_string, types.is_large_string, types.is_string_view, types.is_integer, types.is_dictionary)
        return [name for name in self.header if any(fits(self.kinds[name]) for fits in texts)]

    def vectors(self, chosen: str | None) -> NDArray[Any]:
        """The vectors: a column of lists, or one numeric column a dimension, named dim0, dim1, ... or 0, 1, ..."""
        if chosen is not None:
            return self._chosen(chosen)
        named = [name for name in NAMES if name in self.header]
        if len(named) == 1:
            return self._list(named[0])
        dimensions = [name for name in self.header if _DIMENSION.fullmatch(name)]
        candidates = [f"{name} {self._shape(name)}" for name in self.lists]
        candidates += [f"{dimensions[0]}.. [{len(dimensions)} columns]"] if dimensions else []
        candidates += [f"{start}0.. [{len(self._family(start))} columns]" for start in self._families(WIDE)]
        if len(candidates) > 1 and (self.lists or dimensions):
            raise _several(self.path, candidates, self.lists[0] if self.lists else dimensions[0].rstrip("0123456789"))
        if self.lists:
            _refuse_other(self.path, self.lists[0])
            return self._list(self.lists[0])
        if dimensions:
            return self._stacked(dimensions)
        others = self._families()
        hint = f"; if the columns {others[0]}0, {others[0]}1, ... are, add ?array={others[0]}" if others else ""
        raise InputError(
            f"{self.path}: expected a column of lists such as embedding, or numeric columns dim0, dim1, ..., "
            f"got {_listed(self.header)}{hint}"
        )

    def _chosen(self, name: str) -> NDArray[Any]:
        if name in self.header and not _is_number(self.kinds[name]):
            return self._list(name)
        family = self._family(name)
        if not family:
            raise UnknownNameError(f"array in {self.path}:", name, [*self.lists, *self._families()])
        return self._stacked(family)

    def _family(self, start: str) -> list[str]:
        """Numbered columns that begin alike."""
        return [header for header in self.header if (m := _FAMILY.fullmatch(header)) and m[1] == start]

    def _families(self, least: int = 2) -> list[str]:
        """What numbered numeric columns begin with, where there are at least so many of a kind; dimensions apart."""
        starts = [m[1] for name in self.header if _is_number(self.kinds[name]) and (m := _FAMILY.fullmatch(name))]
        known = ("", "dim", "dim_")
        return [start for start in dict.fromkeys(starts) if start not in known and starts.count(start) >= least]

    def _stacked(self, names: Sequence[str]) -> NDArray[Any]:
        """Numbered columns side by side, in the order of their numbers."""
        numbered = sorted((int(m[2]), name) for name in names if (m := _FAMILY.fullmatch(name)))
        if [number for number, _ in numbered] != list(range(numbered[0][0], numbered[0][0] + len(numbered))):
            raise InputError(
                f"{self.path}: the columns of dimensions are not numbered one by one: {_listed([n for _, n in numbered])}"
            )
        for _, name in numbered:
            if not _is_number(self.kinds[name]):
                raise VectorsError(f"{self.path}: column {name} must hold numbers, got {self.kinds[name]}")
        return np.stack([np.asarray(self.column(name).to_numpy(zero_copy_only=False)) for _, name in numbered], axis=1)

    def _list(self, name: str) -> NDArray[Any]:
        kind = self.kinds[name]
        if not _is_list(kind):
            raise InputError(f"{self.path}: column {name} must hold lists of numbers, got {kind}")
        column = self.column(name)
        lengths = np.asarray(column.value_lengths().to_numpy(zero_copy_only=False), dtype=np.float64)
        if np.isnan(lengths).any() or len(np.unique(lengths)) > 1:
            row = int(np.argmax(~(lengths == lengths[0])))
            raise VectorsError(
                f"{self.path}: row {row} of column {name} has another length than row 0; all vectors need the same"
            )
        flat = column.flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat).reshape(len(column), int(lengths[0]) if len(lengths) else 0)

    def _shape(self, name: str) -> str:
        column = self.column(name)
        first = column[0].as_py() if len(column) else None
        return f"[{len(column)}, {len(first) if first is not None else '?'}]"


def _is_list(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_number(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_floating(kind) or types.is_integer(kind))


def _reader(table: ParquetFile, name: str) -> Callable[[], Words]:
    return lambda: table.words(name)


def _refuse_parquet_bomb(path: Path, metadata: Any) -> None:
    """Runs of equal cells take no room in a file: a few bytes can declare more rows or numbers than memory holds."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    numbers = sum(group.column(k).num_values for group in groups for k in range(group.num_columns))
    size = path.stat().st_size
    if metadata.num_rows > MAX_TABLE_ROWS or 4 * numbers > max(MAX_INFLATED, MAX_RATIO * size):
        raise StoreError(
            f"{path}: declares {metadata.num_rows:,} rows and {numbers:,} cells in {size:,} bytes; write it anew"
        )


def _guarded(path: Path, read: Callable[[], Any]) -> Any:
    """The result of `read`, with what libraries raise for missing, truncated and foreign files as one StoreError."""
    from pyarrow import ArrowException
    from safetensors import SafetensorError

    refuse_irregular(path)
    try:
        return read()
    except FileNotFoundError:
        raise StoreError(f"cannot read {path}: no such file") from None
    except IsADirectoryError:
        raise StoreError(f"cannot read {path}: it is a directory, expected a file") from None
    except (*FAULTS, ArrowException, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0] or "it ends too early"
        raise StoreError(f"cannot read {path}: {reason}; it may be cut short or of another kind") from error


def _npy(path: Path) -> NDArray[Any]:
    def read() -> Any:
        with path.open("rb") as file:
            _refuse_npy_bomb(path, file, path.stat().st_size)
            file.seek(0)
            return np.load(file, allow_pickle=False)

    found: NDArray[Any] = _guarded(path, read)
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
        raise _several(path, [f"{name} {list(arrays[name].shape)}" for name in candidates], candidates[0])
    if not candidates:
        raise InputError(f"{path}: expected an array named vectors or embeddings, got {_listed(sorted(arrays))}")
    _refuse_other(path, candidates[0])
    return arrays[candidates[0]]


def _refuse_other(path: Path, name: str) -> None:
    """Raise InputError where the only array that could hold vectors is called like something else."""
    if OTHERS.search(name):
        raise InputError(
            f"{path}: expected an array named vectors or embeddings, got {name}, which is named like something else; if it "
            f"holds the vectors, add ?array={name}"
        )


def _several(path: Path, candidates: Sequence[str], first: str) -> InputError:
    return InputError(
        f"{path}: expected an array named vectors or embeddings, got several that could hold them: "
        f"{_listed(candidates)}; choose one with ?array={first}"
    )


def _array_columns(arrays: Arrays, rows: int) -> dict[str, Callable[[], Words]]:
    """Arrays of words or whole numbers, one a row."""
    flat = {name: array for name, array in arrays.items() if array.shape == (rows,) and array.dtype.kind in "USiu"}
    return {name: _array_reader(array) for name, array in flat.items()}


def _array_reader(array: NDArray[Any]) -> Callable[[], Words]:
    return lambda: array_words(array)


def array_words(array: NDArray[Any]) -> Words:
    """The cells of an array as words without blanks around them; None where empty."""
    cells: Iterable[Any] = (
        cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell for cell in array.tolist()
    )
    return [str(cell).strip() or None for cell in cells]


def _listed(names: Sequence[str]) -> str:
    return (", ".join(names[:8]) + (", ..." if len(names) > 8 else "")) or "nothing"
