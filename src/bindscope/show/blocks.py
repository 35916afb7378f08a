"""What a section is made of: tables, notes and figures, ready for the template."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bindscope.results import Record
from bindscope.show.figures import Figure
from bindscope.show.words import (
    MISSING,
    extra_value,
    figure_text,
    interval_text,
    metric_name,
    number,
    plain,
    value_text,
    variant,
)


@dataclass(frozen=True)
class Cell:
    """One cell. exact: the unrounded number, for those who copy from the page."""

    text: str
    exact: str = ""
    numeric: bool = False
    heading: bool = False

    @property
    def missing(self) -> bool:
        """Whether the figure is not there."""
        return self.text == MISSING


@dataclass(frozen=True)
class Table:
    """A table with its caption; `folded` ones are opened by the reader."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    folded: bool = False
    kind: str = "table"


@dataclass(frozen=True)
class Note:
    """A paragraph. tone: plain or warning."""

    text: str
    tone: str = "plain"
    kind: str = "note"


@dataclass(frozen=True)
class Gallery:
    """Figures that may stand side by side."""

    figures: tuple[Figure, ...]
    kind: str = "gallery"


@dataclass(frozen=True)
class Picture:
    """An image that the page holds itself. source: a data URI; alt: what it shows, for those who do not see it."""

    source: str
    alt: str
    caption: str
    kind: str = "picture"


@dataclass(frozen=True)
class Explorer:
    """Scenes, edits and their neighbours, for the reader to choose from; the data go into the page as they are."""

    content: Mapping[str, Any]
    kind: str = "explorer"


@dataclass(frozen=True)
class Failure:
    """One item that went wrong. spans: a sentence in pieces, some marked; thumbnail: a data URI, or nothing."""

    name: str
    about: str
    spans: tuple[tuple[str, bool], ...]
    thumbnail: str = ""


@dataclass(frozen=True)
class Failures:
    """Items that went wrong, each as a sentence with the changed words marked."""

    caption: str
    items: tuple[Failure, ...]
    kind: str = "failures"


Block = Table | Note | Gallery | Explorer | Figure | Picture | Failures


@dataclass(frozen=True)
class Section:
    """A section of the page."""

    anchor: str
    title: str
    lead: str
    blocks: tuple[Block, ...]


def heading(text: str) -> Cell:
    """The first cell of a row."""
    return Cell(text, heading=True)


def numeric(text: str, value: float | None) -> Cell:
    """A cell with a number."""
    return Cell(text, "" if value is None else repr(value), numeric=True)


def count(value: int | None) -> Cell:
    """A cell with a whole number; empty where it does not apply."""
    return numeric("" if value is None else f"{value:,}", value)


def value_cell(record: Record) -> Cell:
    """The value of a record."""
    return numeric(value_text(record), record.value)


def interval_cell(record: Record) -> Cell:
    """The interval of a record."""
    ends = "" if record.ci_low is None else f"{record.ci_low!r} {record.ci_high!r}"
    return Cell(interval_text(record), ends, numeric=True)


def reference_cell(record: Record, field: str) -> Cell:
    """Chance or ceiling of a record; empty where it does not apply."""
    value = getattr(record, field)
    return numeric("" if value is None else figure_text(record.metric, value), value)


Column = tuple[str, Callable[[Record], Cell]]
COLUMNS: tuple[Column, ...] = (
    ("metric", lambda r: heading(metric_name(r.metric))),
    ("estimator", lambda r: Cell(plain(r.estimator))),
    ("target", lambda r: Cell(plain(r.target))),
    ("split", lambda r: Cell(plain(r.split))),
    ("coverage", lambda r: numeric("" if r.coverage is None else number(r.coverage), r.coverage)),
    ("value", value_cell),
    ("95 % interval", interval_cell),
    ("chance", lambda r: reference_cell(r, "chance")),
    ("ceiling", lambda r: reference_cell(r, "ceiling")),
    ("ties", lambda r: count(r.n_ties)),
    ("scenes", lambda r: count(r.n_scenes)),
    ("objects", lambda r: count(r.n_objects)),
    ("seed", lambda r: count(r.seed)),
    ("details", lambda r: Cell(variant(r.extra), "; ".join(f"{k}: {v!r}" for k, v in r.extra.items()))),
)
ALWAYS = ("metric", "value")


def record_table(caption: str, records: Iterable[Record], columns: Sequence[Column], folded: bool = False) -> Table:
    """A table of records; columns that are empty in every row are left out."""
    rows = [[(name, make(record)) for name, make in columns] for record in records]
    used = [name for i, (name, _) in enumerate(columns) if name in ALWAYS or any(row[i][1].text for row in rows)]
    cells = tuple(tuple(cell for name, cell in row if name in used) for row in rows)
    return Table(caption, tuple(used), cells, folded)


def every_row(records: Sequence[Record]) -> Table:
    """Everything that was recorded, so that nothing is lost."""
    rows = "the one recorded row" if len(records) == 1 else f"all {len(records):,} recorded rows"
    return record_table(f"Everything in numbers: {rows}", records, COLUMNS, folded=True)


def mapping_table(caption: str, head: tuple[str, str], entries: dict[str, Any]) -> Table:
    """Names and values; nested ones are flattened with dots."""
    pairs = list(_flat(entries, ""))
    return Table(caption, head, tuple((heading(name), Cell(extra_value(value))) for name, value in pairs))


def _flat(entries: dict[str, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    for name, value in entries.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
