"""Record: one flat row per number, and its files (parquet, CSV, JSON).

The words of the columns are a public contract; section "Artefacts" of the documentation lists them. Absent is null.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bindscope.errors import InputError, StoreError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

FEW_SCENES = 50  # an interval of fewer scenes is marked
_WORD = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Record:
    """One number with its interval, chance and ceiling.

    value, ci_low, ci_high, words_low, words_high, chance, ceiling: in the metric's own unit; None where it does not apply.
    ci: 95 % interval for other words (`jackknife`), words: for these words (`uncertainty`: objects resampled). An empty
    `extra` marks the headline row of its question.
    """

    analysis: str
    metric: str
    value: float | None
    estimator: str | None = None
    target: str | None = None
    model: str | None = None
    modality: str | None = None
    dataset: str | None = None
    split: str | None = None
    coverage: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    chance: float | None = None
    ceiling: float | None = None
    n_scenes: int | None = None
    n_objects: int | None = None
    n_ties: int | None = None
    seed: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    config_hash: str | None = None
    version: str | None = None
    words_low: float | None = None
    words_high: float | None = None

    def __post_init__(self) -> None:
        if not _WORD.fullmatch(self.analysis):
            raise InputError(
                f"the analysis of a record is a word of small letters like 'geometry', got {self.analysis!r}"
            )
        for name in FLOATS:
            number = getattr(self, name)
            if number is not None:
                object.__setattr__(self, name, float(number) if math.isfinite(number) else None)
        for name in INTEGERS:
            number = getattr(self, name)
            object.__setattr__(self, name, None if number is None else int(number))
        object.__setattr__(self, "extra", _plain(dict(self.extra)))

    @property
    def few_scenes(self) -> bool:
        """Whether so few scenes stand behind an interval that it may cover less than it says."""
        return self.ci_low is not None and self.n_scenes is not None and self.n_scenes < FEW_SCENES

    def row(self) -> dict[str, Any]:
        """The record as a flat row in column order, `extra` as JSON text."""
        cells = asdict(self)
        cells["extra"] = json.dumps(cells["extra"], sort_keys=True, ensure_ascii=False)
        return {name: cells[name] for name in COLUMNS}


FLOATS = ("value", "ci_low", "ci_high", "words_low", "words_high", "chance", "ceiling", "coverage")
INTEGERS = ("n_scenes", "n_objects", "n_ties", "seed")
COLUMNS = (
    "analysis",
    "metric",
    "estimator",
    "target",
    "model",
    "modality",
    "dataset",
    "split",
    "coverage",
    "value",
    "ci_low",
    "ci_high",
    "chance",
    "ceiling",
    "n_scenes",
    "n_objects",
    "n_ties",
    "seed",
    "extra",
    "config_hash",
    "version",
    "words_low",
    "words_high",
)


def _plain(value: Any) -> Any:
    """The value as JSON knows it: numbers of numpy become Python's, NaN and infinity null, tuples lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _refuse_unknown_columns(names: Iterable[str]) -> None:
    unknown = set(names) - set(COLUMNS)
    if unknown:
        raise InputError(f"no such column: {sorted(unknown)[0]!r}; columns: {', '.join(COLUMNS)}")


class Results:
    """An ordered, immutable collection of records.

    >>> results = Results([Record("geometry", "r2", v, estimator=e) for e, v in (("ols", 0.9), ("avg", 0.8))])
    >>> results.one(estimator="ols").value
    0.9
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = tuple(records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __add__(self, other: Results) -> Results:
        return Results([*self.records, *other.records])

    def select(self, where: Callable[[Record], bool] | None = None, **columns: Any) -> Results:
        """Records whose columns equal the given values (a tuple or set means any of them) and that pass `where`."""
        _refuse_unknown_columns(columns)

        def matches(record: Record) -> bool:
            for name, wanted in columns.items():
                value = getattr(record, name)
                if not (value in wanted if isinstance(wanted, (tuple, set, frozenset)) else value == wanted):
                    return False
            return where is None or where(record)

        return Results(record for record in self.records if matches(record))

    def headline(self, **columns: Any) -> Results:
        """The same, among records with an empty `extra`."""
        return self.select(lambda record: not record.extra, **columns)

    def one(self, **columns: Any) -> Record:
        """The only headline record with these columns; InputError where there is none or more than one."""
        found = self.headline(**columns)
        if len(found) != 1:
            raise InputError(f"expected one headline record with {columns}, found {len(found)}")
        return found.records[0]

    def first(self, **columns: Any) -> Record | None:
        """The first headline record with these columns, or None."""
        found = self.headline(**columns)
        return found.records[0] if len(found) else None

    def stamped(self, **columns: Any) -> Results:
        """A copy with these columns set on every record that leaves them null."""
        _refuse_unknown_columns(columns)
        return Results(
            replace(r, **{name: value for name, value in columns.items() if getattr(r, name) is None})
            for r in self.records
        )

    def to_frame(self) -> pd.DataFrame:
        """A pandas table in column order."""
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame

    def to_arrow(self) -> pa.Table:
        """A pyarrow table with fixed types, so that files of one seed agree byte for byte."""
        import pyarrow as pa

        kinds = {name: pa.float64() for name in FLOATS} | {name: pa.int64() for name in INTEGERS}
        schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
        return pa.Table.from_pylist([record.row() for record in self.records], schema=schema)

    def to_json(self) -> str:
        """A JSON list of rows; `extra` is an object here."""
        rows = [{**record.row(), "extra": dict(record.extra)} for record in self.records]
        return json.dumps(rows, indent=1, ensure_ascii=False, sort_keys=False) + "\n"

    def write(self, directory: Path) -> None:
        """Write results.parquet, results.csv and results.json into an existing directory."""
        import pyarrow.csv as csv
        import pyarrow.parquet as parquet

        table = self.to_arrow()
        try:
            parquet.write_table(table, directory / "results.parquet", write_page_checksum=True)
            csv.write_csv(table, directory / "results.csv")
            (directory / "results.json").write_text(self.to_json(), encoding="utf-8")
        except OSError as error:
            raise StoreError(f"cannot write results to {directory}: {error.strerror or error}") from error


def read_results(path: Path | str) -> Results:
    """Read results.parquet of a run directory, or the parquet file itself. StoreError where it is missing or broken.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from bindscope import Record, Results
    >>> with tempfile.TemporaryDirectory() as place:
    ...     Results([Record("geometry", "r2", 0.9)]).write(Path(place))
    ...     read_results(place).one(metric="r2").value
    0.9
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    path = Path(path)
    file = path / "results.parquet" if path.is_dir() else path
    if not file.is_file():
        raise StoreError(f"no results at {file}; expected a run directory made by `bindscope diagnose`")
    try:
        rows = parquet.read_table(file, page_checksum_verification=True).to_pylist()
        return Results(Record(**{**row, "extra": json.loads(row.get("extra") or "{}")}) for row in rows)
    except (pa.ArrowException, OSError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f"cannot read {file}: {reason}; the file is damaged or not a bindscope result") from error
