"""The command `train`: a dual encoder from scratch on symbolic scenes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from bindscope.cli.options import Json, Setting, read_settings
from bindscope.cli.printing import print_table
from bindscope.errors import InputError, StoreError
from bindscope.show.tables import figures_table
from bindscope.streams import MAX_SEED


def train(
    out: Annotated[Path, typer.Option("--out", help="Directory of the training run; going on where it stopped.")],
    preset: Annotated[str, typer.Option("--preset", help="tiny, small or paper.")] = "tiny",
    config: Annotated[Path | None, typer.Option("--config", help="Settings as JSON, e.g. train.json of a run.")] = None,
    concepts: Annotated[int | None, typer.Option("--concepts", help="Number of concepts C.")] = None,
    values: Annotated[int | None, typer.Option("--values", help="Values of each concept V.")] = None,
    coverage: Annotated[
        float | None, typer.Option("--coverage", help="Share of the objects that trains, 0..1.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=MAX_SEED, help="Seed of split, weights and batches.")
    ] = None,
    queries: Annotated[
        str | None,
        typer.Option("--queries", help="Objects that are asked in training: train (default), or all, as in the paper."),
    ] = None,
    report_to: Annotated[
        str | None, typer.Option("--report-to", help="none (default) or tensorboard: curves under OUT/tensorboard.")
    ] = None,
    settings: Setting = None,
    as_json: Json = False,
) -> None:
    """Train a dual encoder from scratch on symbolic scenes; held-out objects are judged with chance and ceiling."""
    from bindscope.controlled.config import PRESETS, make_config
    from bindscope.controlled.config import preset as preset_config
    from bindscope.runs.training import train_run

    given: dict[str, Any] = {"concepts": concepts, "values": values, "coverage": coverage, "seed": seed}
    given |= {"queries": queries, "report_to": report_to}
    changes = {**{k: v for k, v in given.items() if v is not None}, **read_settings(settings or [])}
    if config is not None:
        made = make_config({**_read_json(config), **changes})
    else:
        made = preset_config(preset, **changes) if preset in PRESETS else preset_config(preset)
    say = _Lines(made.steps)
    results = train_run(made, out, None if as_json else say)
    if as_json:
        typer.echo(results.to_json(), nl=False)
    else:
        print_table(figures_table("\nHeld-out objects come from no training scene", results.headline()))
        typer.echo(str(out))


class _Lines:
    """A line on standard error for each evaluation; the first says what the whole run will take."""

    def __init__(self, steps: int) -> None:
        self.steps, self.first = steps, True

    def __call__(self, line: dict[str, Any]) -> None:
        rate = line["seconds"] / max(line["step"], 1)
        if self.first:
            typer.echo(f"{self.steps:,} steps, about {rate * self.steps:.0f} s in all", err=True)
            self.first = False
        figures = "  ".join(
            f"{side} objects {line[side]['object_recognition']:.3f}"
            for side in ("train", "validation", "test")
            if side in line
        )
        typer.echo(f"{line['seconds']:7.1f} s  step {line['step']:>6,}  loss {line['loss']:.3f}  {figures}", err=True)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold an object of settings, got {type(content).__name__}")
    return content
