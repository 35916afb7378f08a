"""Tables of records in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from bindscope.results import Record, Results
from bindscope.show.words import bound, metric_name, plain, variant

if TYPE_CHECKING:
    from rich.table import Table


def new_table(title: str, *columns: str) -> Table:
    """An empty table of the one look that all commands share."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=0)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def no_table(results: Results) -> None:
    """Of an analysis whose figures stand elsewhere."""


def figures_table(title: str, results: Results) -> Table:
    """Records as a table, one row each, with interval, chance and ceiling; columns that stay empty are left out."""
    return filled_table(title, {name: [make(r) for r in results] for name, make in COLUMNS.items()})


def filled_table(title: str, columns: Mapping[str, Sequence[str]]) -> Table:
    """A table from its columns, without the empty ones; columns of numbers stand to the right."""
    used = {name: cells for name, cells in columns.items() if any(cells)}
    table = new_table(title)
    for name, cells in used.items():
        numbers = all(not cell or cell[0] in "-−+.0123456789" for cell in cells)
        table.add_column(name, overflow="fold", justify="right" if numbers else "left")
    for row in zip(*used.values(), strict=True):
        table.add_row(*row)
    return table


def number_text(value: float | None) -> str:
    """A number in three decimals, whole numbers from 2 on as such, two digits of tiny ones."""
    if value is None:
        return ""
    if value == int(value) and abs(value) >= 2:
        return f"{int(value):,}"
    if not 1e-8 < abs(value) < 0.0005:  # below is rounding
        return f"{value:.3f}"
    return f"{value:.1e}" if abs(value) < 1e-5 else f"{value:.2g}"


def signed_text(value: float | None) -> str:
    """The same with its sign, for differences."""
    return ("+" if value is not None and value > 0 else "") + number_text(value)


def interval_text(record: Record) -> str:
    """The interval of a record, empty where it has none."""
    if record.ci_low is None or record.ci_high is None:
        return ""
    return f"{record.ci_low:.3f}…{record.ci_high:.3f}" + (" (few scenes)" if record.few_scenes else "")


def _figure(record: Record) -> str:
    parts = (metric_name(record.metric), plain(record.target), variant(record.extra))
    return ", ".join(part for part in parts if part)


COLUMNS: dict[str, Callable[[Record], str]] = {
    "figure": _figure,
    "by": lambda r: plain(r.estimator),
    "split": lambda r: plain(r.split),
    "value": lambda r: bound(r) + number_text(r.value),
    "95 % interval": interval_text,
    "chance": lambda r: number_text(r.chance),
    "ceiling": lambda r: number_text(r.ceiling),
    "scenes": lambda r: f"{r.n_scenes:,}" if r.n_scenes is not None else "",
}
