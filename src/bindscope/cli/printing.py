"""How commands print: progress on standard error, tables and JSON on standard output."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table


WIDE = 150  # columns where the output is no terminal


@contextmanager
def progress_lines(talk: bool) -> Iterator[Callable[[str], None]]:
    """Says on standard error what is being done; each line with the time it took once the next begins."""
    if not talk:
        yield lambda text: None
        return
    from time import perf_counter

    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True, highlight=False)
    start, last = perf_counter(), [""]

    def say(text: str) -> None:
        if text != last[0]:
            console.print(f"[dim]{perf_counter() - start:7.1f} s[/dim]  {escape(text)}", soft_wrap=True)
            last[0] = text

    yield say


def print_json(value: Any) -> None:
    """JSON for machines, on standard output."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def print_table(table: Table) -> None:
    """A table on standard output; where that is no terminal, as wide as it needs to be."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, emoji=False, width=max(console.width, WIDE))
    console.print(table)
