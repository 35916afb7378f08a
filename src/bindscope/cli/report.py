"""The command `report`: the page of a run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(run: Annotated[Path, typer.Argument(help="Run directory.")]) -> None:
    """Write report.html of a run again, from its records."""
    from bindscope.report import write_report

    typer.echo(str(write_report(run)))
