"""Rows of a file as mappings, whatever it is written in: CSV, TSV, JSON or JSON lines (plain or gzipped), or parquet.

A JSON file may be a list of objects, an object of objects (its keys become names), an object of columns, or a list of
lists (columns "0", "1", ...). Nothing is guessed beyond that: a file that is none of these is refused in one line.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bindscope.datasets.columns import (
    PARQUET,
    TEXTS,
    csv_rows,
    format_of,
    refuse_declared,
    refuse_twice,
    table_text,
    unique_keys,
)
from bindscope.errors import StoreError, TableError

SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", *PARQUET)  # all but parquet also with .gz
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Rows:
    """Rows of a file. names: what each row is called there (its key, or its number from 0). keyed: names are keys."""

    path: Path
    rows: tuple[Row, ...]
    names: tuple[str, ...]
    keyed: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def columns(self) -> list[str]:
        """Names of the columns of most rows, in the order in which they first occur."""
        count = Counter(key for row in self.rows for key in row)
        return [key for key, times in count.items() if 2 * times >= len(self.rows)]


def read_rows(path: str | Path) -> Rows:
    r"""The rows of a file by its suffix; raises StoreError or TableError where it is missing, damaged or empty.

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "pairs.jsonl"
    >>> _ = file.write_text('{"caption": "a red cube"}\n{"caption": "a blue ball"}\n')
    >>> [row["caption"] for row in read_rows(file).rows]
    ['a red cube', 'a blue ball']
    """
    file = Path(path).expanduser()
    if not is_rows(file):
        raise StoreError(
            f"{file}: expected a file of {', '.join(SUFFIXES)}, got {file.suffix.lower() or 'no extension'}"
        )
    if not file.is_file():
        raise StoreError(f"cannot read {file}: {'it is no file' if file.exists() else 'there is no such file'}")
    try:
        found = _read_parquet(file) if format_of(file) in PARQUET else _read_text(file, format_of(file))
    except OSError as error:
        raise StoreError(f"cannot read {file}: {error.strerror or error}") from error
    if not len(found):
        raise TableError(f"{file} has no rows; it needs at least one")
    return found


def is_rows(file: Path) -> bool:
    """Whether a file has the name of one that can be read."""
    suffix = format_of(file)
    return suffix in SUFFIXES and not (suffix in PARQUET and file.suffix.lower() == ".gz")


def _read_text(file: Path, suffix: str) -> Rows:
    if suffix in (".csv", ".tsv"):
        header, rows, _ = csv_rows(file, TEXTS[suffix])
        refuse_twice(file, header, bool)
        return _numbered(file, [dict(zip(header, row, strict=True)) for row in rows])
    text = table_text(file)
    if suffix == ".json":
        try:
            return _json_rows(file, json.loads(text, object_pairs_hook=unique_keys))
        except RecursionError:
            raise StoreError(f"{file}: nested too deeply to be a table") from None
        except ValueError as error:
            if "Extra data" not in str(error):
                raise StoreError(f"{file} is not JSON ({error}); mend or export it again") from error
    return _numbered(file, _json_lines(file, text))


def _numbered(file: Path, rows: Sequence[Row]) -> Rows:
    return Rows(file, tuple(rows), tuple(map(str, range(len(rows)))))


def _json_lines(file: Path, text: str) -> list[Row]:
    rows: list[Row] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, object_pairs_hook=unique_keys)
        except (ValueError, RecursionError) as error:
            raise StoreError(f"{file}: line {number} is not JSON ({error}); each line holds one object") from error
        rows.append(_row(file, value, f"line {number}"))
    return rows


def _json_rows(file: Path, value: Any) -> Rows:
    if isinstance(value, list):
        return _numbered(file, [_row(file, one, f"entry {number}") for number, one in enumerate(value)])
    if isinstance(value, dict) and value:
        inner = list(value.values())
        if _transposed(value):
            return _of_columns(value, file)
        if all(isinstance(one, dict) for one in inner) or all(key.isdigit() for key in value):
            rows = tuple(_row(file, one, f"entry {key!r}") for key, one in value.items())
            return Rows(file, rows, tuple(map(str, value)), keyed=True)
        tables = [one for one in inner if isinstance(one, list) and one and isinstance(one[0], dict)]
        if len(tables) == 1:
            return _json_rows(file, tables[0])
    raise TableError(f"{file} is no table: expected a JSON list of objects, or an object of objects")


def _transposed(value: Mapping[str, Any]) -> bool:
    """Whether an object holds columns: lists of plain cells, or objects from row name to plain cell, of one length."""
    parts = list(value.values())
    if not all(isinstance(one, (list, dict)) for one in parts) or len({len(one) for one in parts}) != 1:
        return False
    if all(isinstance(one, list) for one in parts):
        return not all(key.isdigit() for key in value) and not any(
            isinstance(cell, dict) for one in parts for cell in one
        )
    if not all(isinstance(one, dict) for one in parts):
        return False
    return len({tuple(one) for one in parts}) == 1 and all(key.isdigit() for key in parts[0])


def _of_columns(value: Mapping[str, Any], file: Path) -> Rows:
    first = next(iter(value.values()))
    names = tuple(first) if isinstance(first, dict) else tuple(map(str, range(len(first))))
    cells = {key: list(one.values()) if isinstance(one, dict) else one for key, one in value.items()}
    rows = tuple({key: column[i] for key, column in cells.items()} for i in range(len(names)))
    return Rows(file, rows, names, keyed=isinstance(first, dict))


def _row(file: Path, value: Any, place: str) -> Row:
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return {str(number): cell for number, cell in enumerate(value)}
    raise TableError(f"{file}: {place} is {type(value).__name__}, expected an object or a list of cells")


def _read_parquet(file: Path) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        with file.open("rb") as handle:
            table = parquet.ParquetFile(handle)
            refuse_declared(file, table.metadata.num_rows)
            rows = table.read().to_pylist()
    except pa.ArrowException as error:
        raise StoreError(f"{file}: not a whole parquet file ({str(error).splitlines()[0]})") from error
    return _numbered(file, rows)
