"""Columns of words in CSV and parquet files, read strictly: nothing is renamed, guessed or dropped on the way."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.errors import StoreError, TableError
from bindscope.files import whole_file
from bindscope.scenes import FloatArray

Cells = Sequence[str | None]


@dataclass(frozen=True)
class Columns:
    """Wanted columns of a file. header: names of all its columns. lines: line of each row in a text file, else None."""

    path: Path
    header: tuple[str, ...]
    cells: Mapping[str, Cells]
    lines: Sequence[int] | None = None

    @property
    def names(self) -> list[str]:
        """Names of the wanted columns in file order."""
        return list(self.cells)

    def place(self, row: int) -> str:
        """A row in words: data rows count from 1."""
        return f"data row {row + 1}" + ("" if self.lines is None else f" (line {self.lines[row]})")

    def words(self, name: str) -> list[str | None]:
        """Words of a column without blanks around them; None where empty."""
        stripped = {cell: (cell.strip() or None) if cell else None for cell in set(self.cells[name])}
        return [stripped[cell] for cell in self.cells[name]]

    def numbers(self, name: str, expected: str, fits: Callable[[float], bool], empty: bool = False) -> FloatArray:
        """Numbers of a column that fit; NaN where empty, if that is allowed. Raises TableError that names the row."""
        words = self.words(name)
        parsed = {word: _number(word) for word in set(words)}
        wrong = {word for word, x in parsed.items() if (word is None and not empty) or (word and not _fits(x, fits))}
        if wrong:
            row = next(i for i, word in enumerate(words) if word in wrong)
            raise TableError(
                f"{self.path}: {self.place(row)}: {name} must be {expected}, got {words[row] or 'nothing'!r}"
            )
        return np.array([parsed[word] for word in words], dtype=np.float64)


def read_columns(path: Path, wanted: Callable[[str], bool]) -> Columns:
    """The wanted columns of a .csv or .parquet file with at least one row; duplicate columns are refused."""
    readers = {".csv": _read_csv, ".parquet": _read_parquet, ".pq": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise StoreError(f"{path}: a label table is a .csv or .parquet file, got {path.suffix or 'no extension'}")
    try:
        columns = reader(path, wanted)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or str(error).partition(chr(10))[0]}") from error
    if not any(len(cells) for cells in columns.cells.values()) and columns.cells:
        raise TableError(f"{path}: the table has no rows; it needs at least one scene")
    return columns


def write_columns(columns: Mapping[str, Any], path: Path) -> None:
    """Write columns (lists of words, or arrays of numbers) as .csv or .parquet, under a temporary name first."""
    writers = {".csv": _csv_bytes, ".parquet": _parquet_bytes, ".pq": _parquet_bytes}
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise StoreError(f"{path}: a label table is a .csv or .parquet file, got {path.suffix or 'no extension'}")
    content = writer(columns)
    with whole_file(path) as partial:
        partial.write_bytes(content)


def _read_csv(path: Path, wanted: Callable[[str], bool]) -> Columns:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise StoreError(
            f"{path}: line {line} is not UTF-8 text (byte {error.start}); save the file as UTF-8"
        ) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise StoreError(f"{path}: line {line} holds a null byte, so this is not a text file; save it as CSV in UTF-8")
    try:
        header, rows, lines = _csv_rows(path, text)
    except csv.Error as error:
        raise StoreError(f"{path}: not a CSV file ({error})") from error
    _refuse_twice(path, header, wanted)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(header)
    cells = {name: column for name, column in zip(header, columns, strict=True) if wanted(name)}
    return Columns(path, tuple(header), cells, lines)


def _csv_rows(path: Path, text: str) -> tuple[list[str], list[list[str]], list[int]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = [name.strip() for name in next(reader, [])]
    if not header:
        raise TableError(f"{path}: the file is empty; it needs a header with columns object1_<concept>, ...")
    _refuse_other_separator(path, header)
    rows, lines = [], []
    for row in reader:
        if not row:
            continue  # a blank line
        if len(row) != len(header):
            raise TableError(f"{path}: line {reader.line_num} has {len(row)} cells, the header has {len(header)}")
        rows.append(row)
        lines.append(reader.line_num)
    return header, rows, lines


def _refuse_other_separator(path: Path, header: Sequence[str]) -> None:
    """One column whose name holds another separator: without this it would pass as one strange concept."""
    for separator, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(header) == 1 and separator in header[0]:
            raise TableError(f"{path}: the cells are separated by {word}, expected commas; save the file with commas")


def _read_parquet(path: Path, wanted: Callable[[str], bool]) -> Columns:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        try:
            table = pq.ParquetFile(file)
            header = table.schema_arrow.names
            _refuse_twice(path, header, wanted)
            read = table.read(columns=[name for name in header if wanted(name)])
        except pa.ArrowException as error:
            raise StoreError(f"{path}: not a whole parquet file ({str(error).splitlines()[0]})") from error
    cells = {name: _parquet_words(path, name, read.column(name)) for name in header if wanted(name)}
    return Columns(path, tuple(header), cells)


def _parquet_words(path: Path, name: str, column: Any) -> list[str | None]:
    """Cells as text: whole numbers without a point, null and NaN as None."""
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    cells = column.to_pylist()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return list(cells)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return [None if cell is None else str(cell) for cell in cells]
    if pa.types.is_floating(kind):
        return [None if cell is None or cell != cell else _plain(cell) for cell in cells]
    raise TableError(f"{path}: column {name} holds {column.type}; expected text or numbers")


def _plain(number: float) -> str:
    return str(int(number)) if number.is_integer() else repr(number)


def _refuse_twice(path: Path, header: Sequence[str], wanted: Callable[[str], bool]) -> None:
    twice = sorted(name for name, count in Counter(header).items() if count > 1 and wanted(name))
    if twice:
        raise TableError(f"{path}: column {twice[0]} stands twice; column names must differ")


def _csv_bytes(columns: Mapping[str, Any]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(_csv_cells(column) for column in columns.values()), strict=True))
    return text.getvalue().encode()


def _csv_cells(column: Any) -> Iterator[Any]:
    if isinstance(column, np.ndarray):
        return ("" if cell != cell else cell for cell in column.tolist())
    return ("" if cell is None else cell for cell in column)


def _parquet_bytes(columns: Mapping[str, Any]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {name: _parquet_array(column) for name, column in columns.items()}
    sink = io.BytesIO()
    pq.write_table(pa.table(arrays), sink, compression="zstd")
    return sink.getvalue()


def _parquet_array(column: list[str | None] | NDArray[Any]) -> Any:
    import pyarrow as pa

    if isinstance(column, np.ndarray):
        return pa.array(column, mask=np.isnan(column) if column.dtype.kind == "f" else None)
    return pa.array(column, type=pa.string())


def _number(word: str | None) -> float:
    try:
        return float(word) if word else float("nan")
    except ValueError:
        return float("nan")


def _fits(number: float, fits: Callable[[float], bool]) -> bool:
    return bool(np.isfinite(number)) and fits(number)
