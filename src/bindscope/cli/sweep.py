"""The command `sweep`: many training runs from one file, or what they cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bindscope.cli.options import Json
from bindscope.cli.printing import print_json, print_table
from bindscope.errors import InputError, MissingExtraError, UnknownNameError
from bindscope.show.tables import filled_table, new_table, number_text

if TYPE_CHECKING:
    from rich.table import Table

    from bindscope.controlled.config import TrainConfig


def sweep(
    spec: Annotated[Path, typer.Argument(help="YAML with preset, fixed, grid, points and random settings.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Directory of all runs and of the table models.csv.")
    ] = None,
    engine: Annotated[str, typer.Option("--engine", help="local (processes) or ray.")] = "local",
    workers: Annotated[int | None, typer.Option("--workers", help="Processes at once; default: the cores.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what there is to do and how long it takes.")
    ] = False,
    cost: Annotated[
        bool,
        typer.Option("--cost", help="Only count FLOPs, time a step, and give hours on named GPUs; no --out needed."),
    ] = False,
    utilisation: Annotated[
        float, typer.Option("--utilisation", help="With --cost: share of a GPU's peak that training reaches.")
    ] = 0.35,
    form: Annotated[str, typer.Option("--format", help="With --cost: text, markdown or csv.")] = "text",
    as_json: Json = False,
) -> None:
    """Train many models from one file; finished ones are skipped, one table holds them all."""
    from bindscope.runs.sweep import configs_of, plan, read_spec, run_sweep
    from bindscope.runs.transition import has_curves

    configs = configs_of(read_spec(spec))
    if cost:
        _print_cost(configs, str(spec), utilisation, form, as_json)
        return
    if out is None:
        raise InputError("sweep needs a directory for its runs: --out DIR (or --cost, which trains nothing)")
    if dry_run:
        planned = plan(configs, out, workers)
        typer.echo(f"{len(configs):,} models, {len(planned.left):,} to train, about {planned.seconds:.0f} s")
        return
    rows = run_sweep(configs, out, engine, workers, lambda text: typer.echo(text, err=True))
    if as_json:
        print_json(rows)
        return
    print_table(_models_table(rows, list(type(configs[0]).model_fields)))
    if has_curves(rows):
        _print_thresholds(rows)
    typer.echo(str(out / "models.csv"))


def _models_table(rows: list[dict[str, Any]], fields: list[str]) -> Table:
    """One row a model: the settings that differ, and the headline figures."""
    varied = [name for name in fields if len({str(row[name]) for row in rows}) > 1]
    table = new_table("\nModels", "run", *varied, "closed", "test", "train", "concepts")
    for row in rows:
        figures = [number_text(row[name]) for name in ("closed", "test", "train", "test_concepts")]
        table.add_row(row["run"], *(str(row[name]) for name in varied), *figures)
    return table


def _print_cost(configs: list[TrainConfig], spec: str, utilisation: float, form: str, as_json: bool) -> None:
    try:
        import torch  # noqa: F401 - named here, before any work
    except ImportError as error:
        raise MissingExtraError("bindscope sweep", "torch", "text") from error
    from bindscope.runs.budget import FORMS, budget, notes, pages, render

    if form not in FORMS:
        raise UnknownNameError("format", form, FORMS)
    typer.echo(f"{len(configs):,} models; timing a step of the one of the median cost ...", err=True)
    made = budget(configs, utilisation)
    if as_json:
        print_json(made.as_dict())
    elif form != "text":
        typer.echo(render(made, spec, form), nl=False)
    else:
        for page in pages(made):
            columns = {head: [row[i] for row in page.rows] for i, head in enumerate(page.heads)}
            print_table(filled_table(f"\n{page.title}", columns))
        for note in notes(made, spec):
            typer.echo(note)


def _print_thresholds(rows: list[dict[str, Any]]) -> None:
    """Coverage at which held-out objects on closed scenes begin to be recognised, for each group of models."""
    from bindscope.runs.transition import transitions

    found = transitions(rows)
    table = new_table(
        "\nThreshold of coverage, closed scenes", *found[0].settings, "threshold", "95 % interval", "from", "to"
    )
    for one in found:
        place = one.threshold
        interval = f"{place.interval.low:.2f} .. {place.interval.high:.2f}" if place.middle is not None else place.why
        interval += "" if one.learnt else f"; training objects not learnt ({one.train:.2f})"
        figures = [number_text(place.middle), interval, number_text(place.low), number_text(place.high)]
        table.add_row(*(str(value) for value in one.settings.values()), *figures)
    print_table(table)
