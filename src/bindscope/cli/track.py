"""The command track: binding over the checkpoints of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bindscope.cli.options import Json
from bindscope.cli.printing import print_json, print_table, progress_lines
from bindscope.streams import MAX_SEED

if TYPE_CHECKING:
    from rich.table import Table

    from bindscope.runs.track import Tracked


def track(
    directory: Annotated[Path, typer.Argument(help="Directory of checkpoints of one training run, e.g. of a Trainer.")],
    out: Annotated[Path | None, typer.Option("--out", help="Page; default: DIRECTORY/binding.html.")] = None,
    vocabulary: Annotated[
        str, typer.Option("--data", help="Words to ask with: text:AxB, text:FILE.yaml, built-in.")
    ] = "text:10x10",
    base: Annotated[
        str | None, typer.Option("--base", help="Model before training, e.g. st:NAME: the first point.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=MAX_SEED, help="Seed of the captions and intervals.")] = 0,
    as_json: Json = False,
) -> None:
    """Ask every checkpoint of a training run whether it binds; a page with the curve over steps."""
    from bindscope.report import write_page
    from bindscope.run_directory import refuse_unwritable
    from bindscope.runs.track import PAGE, track_checkpoints

    refuse_unwritable(out or directory / PAGE, directory=False)
    with progress_lines(not as_json) as say:
        tracked = track_checkpoints(directory, vocabulary, base, seed, say)
    page = write_page(tracked.run, out or directory / PAGE)
    if as_json:
        print_json(tracked.rows)
        return
    print_table(_tracked_table(tracked))
    typer.echo(str(page))


def _tracked_table(tracked: Tracked) -> Table:
    from bindscope.show.tables import new_table, number_text

    names = ("preference", "objects", "swaps", "swaps_own_wording")
    table = new_table(
        "\nBinding over checkpoints (a bag of words: preference 0.5)",
        "step",
        *(name.replace("_", " ") for name in names),
    )
    for row in tracked.rows:
        table.add_row(str(row["step"]), *(number_text(row[name]) for name in names))
    return table
