"""The command that sets runs beside the paper: tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def tables(
    runs: Annotated[list[Path], typer.Argument(help="Run directories; several give several rows a figure.")],
    form: Annotated[str, typer.Option("--format", help="text, csv, markdown or latex.")] = "text",
) -> None:
    """The paper's Tables 1 to 3 with the runs' figures and intervals beside the paper's."""
    from bindscope.runs.paper_tables import render, side_by_side

    typer.echo(render(side_by_side(runs), form), nl=False)
