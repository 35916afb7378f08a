"""What `diagnose` and `demo` print about a run: the verdict, then a small table for each analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from bindscope.analyses.registry import analyses
from bindscope.cli.complexity import print_code_lengths
from bindscope.cli.printing import print_table

if TYPE_CHECKING:
    from rich.table import Table

    from bindscope.results import Results
    from bindscope.runs.diagnose import Run


def print_run(run: Run) -> None:
    """The verdict in words, then the headline figures."""
    from bindscope.runs.verdict import verdict

    said = verdict(run.results)
    typer.echo(f"\n{said.label.upper()}: {run.config['model']} on {run.config['data']}\n")
    for line in (*said.sentences, *said.caveats, *(f"note: {note}" for note in run.config.get("notes", ()))):
        print_paragraph(line)
    for table in tables(run.results):
        print_table(table)
    print_code_lengths(run.results)


def print_paragraph(text: str) -> None:
    """A sentence, broken at words."""
    from rich.console import Console

    from bindscope.show.words import NBSP

    Console(highlight=False, markup=False, emoji=False).print(text.replace(" %", NBSP + "%"))


def tables(results: Results) -> list[Table]:
    """One table an analysis, in the order in which they ran."""
    known = analyses()
    found = dict.fromkeys(record.analysis for record in results)
    every = [known[name].table_of(results) for name in known if name in found]
    return [table for table in every if table is not None]
