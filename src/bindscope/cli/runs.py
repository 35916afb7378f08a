"""Commands on finished runs: report, compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bindscope.cli.options import Json, Seed
from bindscope.cli.printing import interval_text, new_table, number_text, print_table

if TYPE_CHECKING:
    from bindscope.experiments.compare import Comparison


def report(run: Annotated[Path, typer.Argument(help="Run directory.")]) -> None:
    """Write report.html of a run again, from its records."""
    from bindscope.report import write_report

    typer.echo(str(write_report(run)))


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more run directories.")],
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Differences between runs with intervals, paired on the same scenes."""
    from bindscope.experiments.compare import compare as compare_runs

    found = compare_runs(runs, seed)
    if as_json:
        typer.echo(found.results.to_json(), nl=False)
    else:
        _print_comparison(found)


def _print_comparison(found: Comparison) -> None:
    typer.echo(f"\n{found.n_scenes:,} scenes that all runs show")
    own = new_table("Figures", "run", "figure", "by", "of", "value", "95 % interval")
    differences = new_table(
        "Differences, paired", "run", "minus", "figure", "by", "of", "difference", "95 % interval", ""
    )
    for record in found.results:
        words = (
            record.metric,
            record.estimator or "",
            record.target or "",
            number_text(record.value),
            interval_text(record),
        )
        if record.extra:
            tie = "tie" if record.extra["tie"] else ""
            differences.add_row(record.model or "", record.extra["minus"], *words, tie)
        else:
            own.add_row(record.model or "", *words)
    print_table(own)
    print_table(differences)
