"""The command that sets a run beside the paper: tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def tables(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    form: Annotated[str, typer.Option("--format", help="text, csv, markdown or latex.")] = "text",
) -> None:
    """The paper's Tables 1 to 3 with this run's figures and intervals beside the paper's."""
    from bindscope.runs.paper_tables import render
    from bindscope.runs.paper_tables import tables as run_tables

    typer.echo(render(run_tables(run), form), nl=False)
