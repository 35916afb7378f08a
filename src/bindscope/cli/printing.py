"""How commands print: progress on standard error, tables and JSON on standard output."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from bindscope.results import Record, Results


@contextmanager
def progress_lines(talk: bool) -> Iterator[Callable[[str], None]]:
    """Says on standard error what is being done; each line with the time it took once the next begins."""
    if not talk:
        yield lambda text: None
        return
    from time import perf_counter

    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    start, last = perf_counter(), [""]

    def say(text: str) -> None:
        if text != last[0]:
            console.print(f"[dim]{perf_counter() - start:7.1f} s[/dim]  {text}", soft_wrap=True)
            last[0] = text

    yield say


def print_json(value: Any) -> None:
    """JSON for machines, on standard output."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def new_table(title: str, *columns: str) -> Table:
    """An empty table of the one look that all commands share."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def print_table(table: Table) -> None:
    """A table on standard output, at least 110 columns wide where that is no terminal."""
    from rich.console import Console

    console = Console(highlight=False)
    console.print(table, width=max(console.width, 110) if not console.is_terminal else None)


def figures_table(title: str, results: Results) -> Table:
    """Records as a table, one row each, with interval, chance and ceiling."""
    table = new_table(title, "figure", "by", "of", "split", "value", "95 % interval", "chance", "ceiling", "scenes")
    for record in results:
        table.add_row(
            record.metric,
            record.estimator or "",
            record.target or "",
            record.split or "",
            number_text(record.value),
            interval_text(record),
            number_text(record.chance),
            number_text(record.ceiling),
            f"{record.n_scenes:,}" if record.n_scenes is not None else "",
        )
    return table


def number_text(value: float | None) -> str:
    """A number in three decimals; whole numbers from 2 on as such, tiny ones in powers of ten."""
    if value is None:
        return ""
    if value == int(value) and abs(value) >= 2:
        return f"{int(value):,}"
    return f"{value:.1e}" if 0 < abs(value) < 0.0005 else f"{value:.3f}"


def interval_text(record: Record) -> str:
    """The interval of a record, empty where it has none."""
    if record.ci_low is None or record.ci_high is None:
        return ""
    return f"{record.ci_low:.3f} … {record.ci_high:.3f}"
