"""The command `diagnose`: a model on data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bindscope.cli.options import (
    Batch,
    Cache,
    Data,
    Device,
    Json,
    KeepSpellings,
    Model,
    Out,
    Prompt,
    Sample,
    Seed,
    with_spellings,
)
from bindscope.cli.printing import print_json, progress_lines
from bindscope.cli.summary import print_run

if TYPE_CHECKING:
    from bindscope.runs.diagnose import Run
    from bindscope.runs.settings import Settings

GATE_FAILED = 1


def diagnose(
    model: Model,
    data: Data,
    analyses: Annotated[
        str | None, typer.Option("--analyses", help="Some of those in `bindscope list`, by commas, or all.")
    ] = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = None,
    batch_size: Batch = None,
    sample: Sample = None,
    prompt: Prompt = None,
    fail_if: Annotated[
        str | None, typer.Option("--fail-if", help='Gate: exit 1 if it holds, e.g. "object_recognition<0.8".')
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a killed run stopped.")] = False,
    controls: Annotated[
        bool, typer.Option("--controls/--no-controls", help="Read raw input and an untrained network too.")
    ] = True,
    cache: Cache = None,
    keep_spellings: KeepSpellings = False,
    as_json: Json = False,
) -> None:
    """Diagnose MODEL on DATA: verdict, tables, one HTML page, one exit code."""
    from bindscope.runs import gate
    from bindscope.runs.settings import Settings

    if fail_if is not None:
        gate.parse_conditions(fail_if, gate.known_metrics())  # before hours of work
    names = [word.strip() for word in analyses.split(",") if word.strip()] if analyses is not None else None
    more = {"seed": seed, "sample": sample, "prompt": prompt, "device": device, "batch_size": batch_size}
    settings = Settings.of(model, with_spellings(data, keep_spellings), names, controls=controls, **more)
    run, page = diagnosed(settings, out, cache, resume, not as_json)
    outcomes = gate.judge(run.results, fail_if) if fail_if is not None else []
    if as_json:
        print_json(_run_json(run, page, [o.sentence() for o in outcomes], any(o.failed for o in outcomes)))
    else:
        print_run(run)
        for outcome in outcomes:
            typer.echo(outcome.sentence())
        typer.echo(str(page))
    if any(outcome.failed for outcome in outcomes):
        raise typer.Exit(GATE_FAILED)


def diagnosed(
    settings: Settings, out: Path | None = None, cache: Path | None = None, resume: bool = False, talk: bool = True
) -> tuple[Run, Path]:
    """The run and its page; with `talk` each step is told on standard error."""
    from bindscope.report import write_report
    from bindscope.runs.diagnose import run_diagnosis

    with progress_lines(talk) as say:
        run = run_diagnosis(settings, out, cache, resume, say if talk else None)
        say("writing the report")
        return run, write_report(run.directory)


def _run_json(run: Run, page: Path, gates: list[str], failed: bool) -> dict[str, Any]:
    from bindscope.runs.verdict import verdict

    said = verdict(run.results)
    return {
        "run": str(run.directory),
        "report": str(page),
        "verdict": {
            "label": said.label,
            "sentences": said.sentences,
            "estimator": said.estimator,
            "caveats": said.caveats,
        },
        "gate": {"failed": failed, "conditions": gates},
        "config": dict(run.config),
        "results": json.loads(run.results.to_json()),
    }
