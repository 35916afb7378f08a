"""The command `compare`: differences between runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bindscope.cli.options import Json, Seed
from bindscope.cli.printing import print_table, progress_lines
from bindscope.errors import StoreError
from bindscope.run_directory import refuse_unwritable
from bindscope.show.tables import filled_table, interval_text, number_text, signed_text

if TYPE_CHECKING:
    from rich.table import Table

    from bindscope.results import Record
    from bindscope.runs.compare import Comparison


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more run directories; of pairs also outcomes:FILE.")],
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option("--out", help="HTML file to write, e.g. comparison.html.")] = None,
    as_json: Json = False,
    analyses: Annotated[
        str | None,
        typer.Option("--analyses", help="Analyses to compare, all their figures; see `bindscope list`, or `all`."),
    ] = None,
) -> None:
    """Differences between runs with intervals, paired on the same scenes; --out writes them as one HTML page."""
    from bindscope.report import write_comparison
    from bindscope.runs.compare import compare as compare_runs

    if out is not None:  # before the work
        if not out.parent.is_dir():
            raise StoreError(f"cannot write {out}: there is no directory {out.parent}")
        refuse_unwritable(out, directory=False)
    with progress_lines(not as_json) as say:
        found = compare_runs(runs, seed, analyses.split(",") if analyses else None, say)
    page = write_comparison(runs, out, found) if out is not None else None
    if as_json:
        typer.echo(found.results.to_json(), nl=False)
    else:
        _print_comparison(found)
        if page is not None:
            typer.echo(str(page))


def _print_comparison(found: Comparison) -> None:
    from bindscope.runs.compare import asked, finding, pair, shown_first

    own = [r for r in found.own if shown_first(r)]
    differences = [r for r in found.differences if shown_first(r)]
    what = "items" if any(record.analysis == "pairs" for record in own) else "scenes"
    typer.echo(f"\n{found.n_scenes:,} {what} that all runs show; a difference whose interval holds 0 is a tie")
    if found.ranking:
        typer.echo("Ranking, = for ties: " + "; ".join(found.ranking))
    for name in found.names:
        print_table(_figures(name, [r for r in own if r.model == name]))
    for title in dict.fromkeys(pair(r) for r in differences):
        some = [r for r in differences if pair(r) == title]
        columns = {
            "difference, paired": [asked(r) for r in some],
            "value": [signed_text(r.value) for r in some],
            "95 % interval": [interval_text(r) for r in some],
            "": [finding(r, "the first", "the second") for r in some],
        }
        print_table(filled_table(title, columns))
    more = len(found.differences) - len(differences)
    if more:
        typer.echo(f"{more:,} differences more with --json, or on the page with --out")


def _figures(name: str, records: list[Record]) -> Table:
    from bindscope.runs.compare import asked

    columns = {
        "figure": [asked(r) for r in records],
        "value": [number_text(r.value) for r in records],
        "95 % interval": [interval_text(r) for r in records],
        "chance": [number_text(r.chance) for r in records],
        "ceiling": [number_text(r.ceiling) for r in records],
        "scenes": [f"{r.n_scenes:,}" for r in records],
    }
    return filled_table(name, columns)
