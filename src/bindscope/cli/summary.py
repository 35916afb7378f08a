"""What `diagnose` and `demo` print about a run: the verdict, then a small table for each analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from bindscope.analyses.registry import analyses
from bindscope.cli.printing import print_table

if TYPE_CHECKING:
    from bindscope.results import Results
    from bindscope.runs.diagnose import Run


def print_run(run: Run) -> None:
    """The verdict in words, then the headline figures."""
    from bindscope.runs.verdict import verdict

    said = verdict(run.results)
    typer.echo(f"\n{said.label.upper()}: {run.config['model']} on {run.config['data']}\n")
    for line in (*said.sentences, *said.caveats, *(f"note: {note}" for note in run.config.get("notes", ()))):
        print_paragraph(line)
    print_analyses(run.results)


def print_paragraph(text: str) -> None:
    """A sentence, broken at words."""
    from rich.console import Console

    from bindscope.show.words import NBSP

    Console(highlight=False, markup=False, emoji=False).print(text.replace(" %", NBSP + "%"))


def print_analyses(results: Results) -> None:
    """For each analysis its table and its findings, in the order in which they ran."""
    found = {record.analysis for record in results}
    for name, one in analyses().items():
        table = one.table_of(results) if name in found else None
        if table is not None:
            print_table(table)
        for sentence in one.sentences(results) if name in found else ():
            typer.echo(sentence)
