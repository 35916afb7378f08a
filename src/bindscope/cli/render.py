"""The command `render`: scenes as pictures in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bindscope.cli.printing import progress_lines


def render(
    data: Annotated[
        str, typer.Argument(help="clevr2d:CxS, clevr:CxS or folder:DIR with options; see `bindscope list`.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Directory for the images, labels.csv and scenes.json.")],
) -> None:
    """Draw the scenes of DATA into a folder that `folder:DIR` reads back."""
    from bindscope.datasets import load_dataset
    from bindscope.datasets.images.folder import write_folder
    from bindscope.run_directory import locked

    with progress_lines(True) as say, locked(out):
        say(f"drawing {data}")
        dataset = load_dataset(data)
        say(f"writing {len(dataset):,} images")
        place = write_folder(dataset, out)
    typer.echo(f"{len(dataset):,} images, {', '.join(dataset.slots) or dataset.table.n_slots} (places of objects)")
    typer.echo(str(place))
