"""The command `embed`: vectors alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bindscope.cli.options import Batch, Cache, Data, Device, KeepSpellings, Model, Prompt, with_spellings


def embed(
    model: Model,
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="Directory for embeddings.safetensors and scenes.parquet.")],
    device: Device = None,
    batch_size: Batch = None,
    prompt: Prompt = None,
    cache: Cache = None,
    keep_spellings: KeepSpellings = False,
) -> None:
    """Only embed the scenes (and the model's queries) and write them down."""
    from bindscope.runs.diagnose import embed_data
    from bindscope.runs.settings import Settings

    named = with_spellings(data, keep_spellings)
    settings = Settings.of(model, named, prompt=prompt, device=device, batch_size=batch_size)
    found, notes = embed_data(settings, out, cache)
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"{len(found.vectors):,} vectors of {found.vectors.shape[1]} dimensions")
    typer.echo(str(out))
