"""Columns of words in table files (CSV, TSV, JSON lines, parquet, CLEVR's scenes), read strictly.

Nothing is renamed, guessed or dropped on the way.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.datasets.clevr import clevr_cells
from bindscope.datasets.spellings import is_blank
from bindscope.errors import StoreError, TableError
from bindscope.files import refuse_irregular, whole_file
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
        """Words of a column without blanks around them; None where nothing is visible."""
        stripped = {cell: None if cell is None or is_blank(cell) else cell.strip() for cell in set(self.cells[name])}
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


TEXTS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".jsonl": "", ".ndjson": ""}  # with the separator of the cells
PARQUET = (".parquet", ".pq")
KINDS = ".csv, .tsv, .jsonl (each also .gz) or .parquet file, or CLEVR's scenes as .json"
SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}
CELL_BYTES = 50_000_000  # the csv module's own limit of 131,072 is below some descriptions
MAX_TABLE_ROWS = 20_000_000
MAX_INFLATED, MAX_RATIO = 2**28, 100  # bytes of a compressed file beyond which its ratio is asked for, and that ratio


def read_columns(path: Path, wanted: Callable[[str], bool]) -> Columns:
    """The wanted columns of a table file with at least one row; duplicate columns are refused.

    Formats: CSV, TSV and JSON lines, plain or gzipped; parquet; the scenes of CLEVR v1.0 as JSON. Raises StoreError or
    TableError.
    """
    kind = _kind(path)
    refuse_irregular(path)
    try:
        if kind in PARQUET:
            columns = _read_parquet(path, wanted)
        elif kind == ".json":
            columns = _read_clevr(path, wanted)
        elif TEXTS[kind]:
            columns = _read_cells(path, wanted, TEXTS[kind])
        else:
            columns = _read_json_lines(path, wanted)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or str(error).partition(chr(10))[0]}") from error
    if not any(len(cells) for cells in columns.cells.values()) and columns.cells:
        raise TableError(f"{path}: the table has no rows; it needs at least one scene")
    return columns


def is_table(path: Path) -> bool:
    """Whether a file has the name of a table that can be read."""
    return format_of(path) in TEXTS or path.suffix.lower() in PARQUET


def format_of(path: Path) -> str:
    """The suffix that names the format, without .gz.

    >>> format_of(Path("Pairs.JSON.gz"))
    '.json'
    """
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix == ".gz" else suffix


def _kind(path: Path) -> str:
    """The suffix that names the format; StoreError for one that cannot be read."""
    suffix, inner = path.suffix.lower(), format_of(path)
    if inner in TEXTS or suffix in (*PARQUET, ".json"):
        return inner
    got = suffix or "no extension"
    if suffix in SPREADSHEETS:
        raise StoreError(
            f"{path}: a label table is a {KINDS}, got the spreadsheet {got}; save its sheet as CSV in UTF-8"
        )
    raise StoreError(f"{path}: a label table is a {KINDS}, got {got}")


def write_columns(columns: Mapping[str, Any], path: Path) -> None:
    """Write columns (lists of words, or arrays of numbers) as .csv or .parquet, under a temporary name first."""
    writers = {".csv": _csv_bytes, ".parquet": _parquet_bytes, ".pq": _parquet_bytes}
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise StoreError(
            f"{path}: a label table is written as .csv or .parquet, got {path.suffix or 'no extension'}; rename it"
        )
    content = writer(columns)
    with whole_file(path) as partial:
        partial.write_bytes(content)


def table_text(path: Path) -> str:
    """The text of a file, unpacked where its name ends in .gz; StoreError where it is damaged or no UTF-8 text."""
    content = _unpacked(path) if path.suffix.lower() == ".gz" else path.read_bytes()
    packed = {
        b"\x1f\x8b": "gzip data: give it a name in .gz",
        b"PK\x03\x04": "a zip archive or spreadsheet: save it as CSV",
    }
    for start, advice in packed.items():
        if content.startswith(start):
            raise StoreError(f"{path}: not UTF-8 text but {advice}")
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
    return text


def _unpacked(path: Path) -> bytes:
    """The content of a gzip file; one that grows beyond all proportion is refused before it fills the memory."""
    limit = max(MAX_INFLATED, MAX_RATIO * path.stat().st_size)
    try:
        with gzip.open(path) as file:
            content = file.read(limit + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise StoreError(f"{path}: not a whole gzip file ({error}); compress it again") from error
    if len(content) > limit:
        raise StoreError(f"{path}: unpacks to more than {MAX_RATIO} times its size; unpack it first if that is meant")
    return content


def _read_cells(path: Path, wanted: Callable[[str], bool], separator: str) -> Columns:
    header, rows, lines = csv_rows(path, separator)
    if not header:
        raise TableError(f"{path}: the file is empty; it needs a header with columns object1_<concept>, ...")
    for row, line in zip(rows, lines, strict=True):
        _refuse_swallowed(path, row, len(header), separator, line)
    refuse_twice(path, header, wanted)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(header)
    cells = {name: column for name, column in zip(header, columns, strict=True) if wanted(name)}
    return Columns(path, tuple(header), cells, lines)


def _read_json_lines(path: Path, wanted: Callable[[str], bool]) -> Columns:
    """One JSON object a line; a column that a line lacks is empty there."""
    rows: list[dict[str, Any]] = []
    lines = []
    for number, line in enumerate(table_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=unique_keys)
        except (ValueError, RecursionError) as error:
            raise StoreError(
                f"{path}: line {number} is not JSON ({str(error)[:80]}); write one object a line"
            ) from error
        if not isinstance(row, dict):
            raise StoreError(f"{path}: line {number} holds a {type(row).__name__}; write one JSON object a line")
        rows.append(row)
        lines.append(number)
    header = list(dict.fromkeys(name for row in rows for name in row))
    cells = {
        name: [_json_word(f"{path}: line {at}: {name}", row.get(name)) for row, at in zip(rows, lines, strict=True)]
        for name in header
        if wanted(name)
    }
    if not rows:
        raise TableError(f"{path}: the table has no rows; it needs at least one scene")
    return Columns(path, tuple(header), cells, lines)


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Hook for JSON objects: ValueError for a key that stands twice, of which the last would win in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(name for name in names if names.count(name) > 1)!r} stands twice")
    return found


def _json_word(place: str, cell: Any) -> str | None:
    if isinstance(cell, float):
        return None if cell != cell else _plain(cell)
    if cell is None or isinstance(cell, (str, int)):
        return None if cell is None else str(cell)
    raise TableError(f"{place} holds a {type(cell).__name__}; expected text or a number")


def _read_clevr(path: Path, wanted: Callable[[str], bool]) -> Columns:
    cells = clevr_cells(path)
    return Columns(path, tuple(cells), {name: column for name, column in cells.items() if wanted(name)})


def csv_rows(path: Path, separator: str) -> tuple[list[str], list[list[str]], list[int]]:
    """Header, rows as wide as it, and the line in which each ends; blank lines are passed over. An empty file has no header.

    Raises StoreError for quotes that are out of place, TableError for another separator or a row of another width.
    """
    csv.field_size_limit(CELL_BYTES)
    reader = csv.reader(io.StringIO(table_text(path), newline=""), strict=True, delimiter=separator)
    rows, lines = [], []
    try:
        header = [name.strip() for name in next(reader, [])]
        _refuse_other_separator(path, header, separator)
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise TableError(f"{path}: line {reader.line_num} has {len(row)} cells, the header has {len(header)}")
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        kind = "TSV" if separator == "\t" else "CSV"
        raise StoreError(f"{path}: not a {kind} file (not a table with {SEPARATORS[separator]}: {error})") from error
    return header, rows, lines


def _refuse_swallowed(path: Path, row: Sequence[str], width: int, separator: str, line: int) -> None:
    """A quote that is never closed makes a single cell of whole lines, and their rows vanish."""
    for cell in row:
        if "\n" in cell and any(part.count(separator) >= max(1, width - 2) for part in cell.splitlines()[1:]):
            raise TableError(
                f"{path}: a cell that ends in line {line} holds whole lines of the table; a quote before it is not closed"
            )


def _refuse_other_separator(path: Path, header: Sequence[str], own: str) -> None:
    """One column whose name holds another separator: without this it would pass as one strange concept."""
    for separator, word in SEPARATORS.items():
        if len(header) == 1 and separator != own and separator in header[0]:
            raise TableError(
                f"{path}: the cells are separated by {word}, expected {SEPARATORS[own]}; "
                f"save the file with {SEPARATORS[own]}"
            )


def _read_parquet(path: Path, wanted: Callable[[str], bool]) -> Columns:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        try:
            table = pq.ParquetFile(file)
            header = table.schema_arrow.names
            refuse_declared(path, table.metadata.num_rows)
            refuse_twice(path, header, wanted)
            read = table.read(columns=[name for name in header if wanted(name)])
            cells = {name: _parquet_words(path, name, read.column(name)) for name in header if wanted(name)}
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise StoreError(f"{path}: not a whole parquet file ({str(error).splitlines()[0]})") from error
    return Columns(path, tuple(header), cells)


def refuse_declared(path: Path, rows: int) -> None:
    """Runs of equal cells take no room in a file: a few bytes can declare more rows than memory holds."""
    if rows > MAX_TABLE_ROWS:
        raise StoreError(
            f"{path}: declares {rows:,} rows in {path.stat().st_size:,} bytes; at most {MAX_TABLE_ROWS:,} are read"
        )


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
        return [None if cell is None or cell != cell else _plain(float(cell)) for cell in cells]
    raise TableError(f"{path}: column {name} holds {column.type}; expected text or numbers")


def _plain(number: float) -> str:
    return str(int(number)) if number.is_integer() else repr(number)


def refuse_twice(path: Path, header: Sequence[str], wanted: Callable[[str], bool]) -> None:
    """Raise TableError for a wanted column that stands twice."""
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
