"""The command `complexity`: coverage curves of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bindscope.cli.options import Json, Seed
from bindscope.cli.printing import progress_lines
from bindscope.cli.summary import print_analyses
from bindscope.errors import InputError


def complexity(
    run: Annotated[Path, typer.Argument(help="Run directory of `diagnose`.")],
    coverage: Annotated[
        str | None, typer.Option("--coverage", help="Shares of the objects that train, e.g. 0.5,0.8 (0.1 to 0.9).")
    ] = None,
    learners: Annotated[
        str | None, typer.Option("--learners", help="e.g. additive,mlp:256; see `bindscope list` (all common ones).")
    ] = None,
    splits: Annotated[int, typer.Option("--splits", help="Repeated splits and seeds.")] = 3,
    tune: Annotated[bool, typer.Option("--tune", help="Choose more settings on validation objects (slower).")] = False,
    codelength: Annotated[
        bool, typer.Option("--codelength/--no-codelength", help="Code lengths too: which rule saves bits.")
    ] = True,
    inputs: Annotated[
        str,
        typer.Option("--inputs", help="What learners start from: indices, or words (the model's vectors of values)."),
    ] = "indices",
    split: Annotated[
        str, typer.Option("--split", help="How objects are held out: connected, or random (the paper's).")
    ] = "connected",
    paper: Annotated[
        bool, typer.Option("--paper", help="The paper's learners and widths (128, 512, 2048) and its random split.")
    ] = False,
    workers: Annotated[int | None, typer.Option("--workers", help="Processes at once; default: the cores.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Can a learner predict the vectors of scenes of unseen objects? A killed grid goes on where it stopped."""
    from bindscope.report import write_report
    from bindscope.runs.grid import COVERAGES, PAPER, Settings, default_learners, run_complexity

    coverages = COVERAGES if coverage is None else tuple(_number(word) for word in _words(coverage))
    names = _named(learners) if learners is not None else default_learners(PAPER) if paper else ()
    method: Any = "random" if paper else split
    settings = Settings(coverages, names, splits, tune, seed, codelength, inputs, method)
    if workers is not None and workers < 1:
        raise InputError(f"--workers must be at least 1, got {workers}")
    with progress_lines(not as_json) as say:
        results = run_complexity(run, settings, say, workers)
        say("writing the report")
        page = write_report(run)
    if as_json:
        typer.echo(results.to_json(), nl=False)
        return
    print_analyses(results)
    typer.echo(str(page))


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _named(text: str) -> tuple[str, ...]:
    names = _words(text)
    if not names:
        raise InputError("--learners names none; give some like additive,mlp:256")
    return tuple(names)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise InputError(f"--coverage must be numbers between 0 and 1 with commas, got {word!r}") from None
