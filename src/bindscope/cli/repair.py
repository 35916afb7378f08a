"""The command `repair`: heads on the captions' side of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bindscope.cli.options import Json, Seed
from bindscope.cli.printing import print_table, progress_lines
from bindscope.show.tables import figures_table


def repair(
    run: Annotated[Path, typer.Argument(help="Run directory of a model with two sides.")],
    out: Annotated[Path, typer.Option("--out", help="Directory for the heads and results.")],
    heads: Annotated[
        str, typer.Option("--heads", help="Some of linear, low_rank, multiplicative, by commas.")
    ] = "linear,low_rank,multiplicative",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Fit heads on the captions' side of a run, judge them on held-out objects, and write them down."""
    from bindscope.runs.repair import repair_run

    kinds = [word.strip() for word in heads.split(",") if word.strip()]
    with progress_lines(not as_json) as say:
        say(f"fitting {', '.join(kinds)}")
        results = repair_run(run, out, kinds, seed)
    if as_json:
        typer.echo(results.to_json(), nl=False)
        return
    model = results.records[0].model
    print_table(figures_table(f"\nHeads for {model}; closed swaps of held-out objects decide", results))
    typer.echo(str(out))
