"""Vectors in parquet files, and what the readers of all formats share: the names of arrays, and errors in one line."""

from __future__ import annotations

import re
import tokenize
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.datasets.columns import MAX_INFLATED, MAX_RATIO, MAX_TABLE_ROWS
from bindscope.errors import InputError, StoreError, UnknownNameError, VectorsError
from bindscope.files import refuse_irregular

NAMES = ("vectors", "embeddings", "vector", "embedding")  # an array of such a name is the one meant
OTHERS = re.compile(
    r"box|label|one_?hot|score|target|mask|coord|prob|logit|index|points", re.IGNORECASE
)  # hold something else
WIDE = 8  # numbered columns that could be vectors although they are not called dim
PARQUET = (".parquet", ".pq")
_DIMENSION = re.compile(r"(?:dim_?)?([0-9]{1,6})")
_FAMILY = re.compile(r"(.*?)([0-9]{1,6})", re.DOTALL)
# What numpy and zipfile raise for files that are cut short, altered or of another kind.
FAULTS = (OSError, EOFError, ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError, SyntaxError,
          tokenize.TokenError, zipfile.BadZipFile, NotImplementedError, RuntimeError)  # fmt: skip
Words = list[str | None]


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

        opened: ParquetFile = guarded(path, read)
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

        return guarded(self.path, read)

    def words(self, name: str) -> Words:
        """Cells of a column as words without blanks around them; None where empty."""
        cells = guarded(self.path, lambda: self.column(name).to_pylist())
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
            raise several_error(
                self.path, candidates, self.lists[0] if self.lists else dimensions[0].rstrip("0123456789")
            )
        if self.lists:
            refuse_other_name(self.path, self.lists[0])
            return self._list(self.lists[0])
        if dimensions:
            return self._stacked(dimensions)
        others = self._families()
        hint = f"; if the columns {others[0]}0, {others[0]}1, ... are, add ?array={others[0]}" if others else ""
        raise InputError(
            f"{self.path}: expected a column of lists such as embedding, or numeric columns dim0, dim1, ..., "
            f"got {listed(self.header)}{hint}"
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
                f"{self.path}: the columns of dimensions are not numbered one by one: {listed([n for _, n in numbered])}"
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


def _refuse_parquet_bomb(path: Path, metadata: Any) -> None:
    """Runs of equal cells take no room in a file: a few bytes can declare more rows or numbers than memory holds."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    numbers = sum(group.column(k).num_values for group in groups for k in range(group.num_columns))
    size = path.stat().st_size
    if metadata.num_rows > MAX_TABLE_ROWS or 4 * numbers > max(MAX_INFLATED, MAX_RATIO * size):
        raise StoreError(
            f"{path}: declares {metadata.num_rows:,} rows and {numbers:,} cells in {size:,} bytes; write it anew"
        )


def guarded(path: Path, read: Callable[[], Any]) -> Any:
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


def several_error(path: Path, candidates: Sequence[str], first: str) -> InputError:
    """The error of several arrays that could hold the vectors."""
    return InputError(
        f"{path}: expected an array named vectors or embeddings, got several that could hold them: "
        f"{listed(candidates)}; choose one with ?array={first}"
    )


def refuse_other_name(path: Path, name: str) -> None:
    """Raise InputError where the only array that could hold vectors is called like something else."""
    if OTHERS.search(name):
        raise InputError(
            f"{path}: expected an array named vectors or embeddings, got {name}, which is named like something else; if it "
            f"holds the vectors, add ?array={name}"
        )


def listed(names: Sequence[str]) -> str:
    """The first few names."""
    return (", ".join(names[:8]) + (", ..." if len(names) > 8 else "")) or "nothing"
