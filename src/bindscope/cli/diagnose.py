"""Commands that run a model: diagnose, demo, embed."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
from bindscope.errors import InputError

if TYPE_CHECKING:
    from bindscope.runs.diagnose import Run

GATE_FAILED = 1
DEMO_MODEL = "st:sentence-transformers/all-MiniLM-L6-v2"
DEMO_DATA = "text:10x10?singles=true"
DEMO_PAIR = ("embedded:bag", "embedded:bound")
DEMO_IMAGES = "clevr2d:8x3?size=48"
DEMO_TAKEN_APART = {
    "minilm": (DEMO_MODEL, "text:12x12?singles=true"),
    "efficientnet": ("module:bindscope.encoders.efficientnet:lite0_whole", "clevr:8x3?singles=true"),
}
TAKEN_APART = ("audit", "recognition", "geometry", "variance", "removal", "editing")


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
    cache: Cache = None,
    keep_spellings: KeepSpellings = False,
    as_json: Json = False,
) -> None:
    """Diagnose MODEL on DATA: verdict, tables, one HTML page, one exit code."""
    from bindscope.runs import gate

    if fail_if is not None:
        gate.parse_conditions(fail_if, gate.known_metrics())  # before hours of work
    names = [word.strip() for word in analyses.split(",") if word.strip()] if analyses is not None else None
    data = with_spellings(data, keep_spellings)
    run, page = _diagnosed(
        model, data, names, out, seed, device, batch_size, sample, prompt, resume, cache, not as_json
    )
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


def demo(
    out: Annotated[
        Path | None, typer.Option("--out", help="Run directory; default runs/demo, runs/demo-images, ….")
    ] = None,
    images: Annotated[bool, typer.Option("--images", help="Two small image-text encoders, side by side.")] = False,
    interventions: Annotated[
        bool, typer.Option("--interventions", help="Removal and editing on captions and on rendered scenes; long.")
    ] = False,
) -> None:
    """Diagnose a real pretrained sentence encoder on real captions, offline. The last line is the report's path."""
    if images and interventions:
        raise InputError("--images and --interventions are two demos; give one of them")
    if images:
        _demo_images(out or Path("runs/demo-images"))
        return
    if interventions:
        _demo_interventions(out or Path("runs/demo-interventions"))
        return
    place = out or Path("runs/demo")
    run, page = _diagnosed(DEMO_MODEL, DEMO_DATA, None, place, 0, None, None, None, None, False, None, True)
    print_run(run)
    typer.echo(str(page))


def _demo_images(out: Path) -> None:
    """One encoder that does not bind and one that does, trained alike on drawn scenes; and the page that compares them."""
    from bindscope.report import write_comparison

    runs = []
    for model in DEMO_PAIR:
        place = out / model.replace(":", "-")
        run, page = _diagnosed(model, DEMO_IMAGES, None, place, 0, None, None, None, None, False, None, True)
        print_run(run)
        typer.echo(str(page))
        runs.append(run.directory)
    typer.echo(str(write_comparison(runs, out / "comparison.html")))


def _demo_interventions(out: Path) -> None:
    """The paper's tables on a sentence encoder and on a vision network, each with its report."""
    from bindscope.runs.paper_tables import render, tables

    for name, (model, data) in DEMO_TAKEN_APART.items():
        run, page = _diagnosed(model, data, TAKEN_APART, out / name, 0, None, None, None, None, True, None, True)
        print_run(run)
        typer.echo(render(tables(run.directory), "text"), nl=False)
        typer.echo(str(page))


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
    from bindscope.datasets import load_dataset
    from bindscope.embeddings import default_cache, save_embeddings
    from bindscope.embeddings import embed as embed_scenes
    from bindscope.encoders import load_encoder
    from bindscope.errors import StoreError

    if (out / "config.json").exists():
        raise StoreError(f"{out} is a run directory, whose embeddings would be replaced; give another --out")
    dataset = load_dataset(with_spellings(data, keep_spellings), cache=cache)
    encoder = load_encoder(model, device=device, batch_size=batch_size, prompt=prompt)
    found = embed_scenes(encoder, dataset, cache=cache or default_cache(), batch_size=batch_size, progress=True)
    for note in encoder.notes:
        typer.echo(f"note: {note}", err=True)
    save_embeddings(found, out)
    typer.echo(f"{len(found.vectors):,} vectors of {found.vectors.shape[1]} dimensions")
    typer.echo(str(out))


def _diagnosed(
    model: str,
    data: str,
    analyses: Sequence[str] | None,
    out: Path | None,
    seed: int,
    device: str | None,
    batch_size: int | None,
    sample: int | None,
    prompt: str | None,
    resume: bool,
    cache: Path | None,
    talk: bool,
) -> tuple[Run, Path]:
    from bindscope.report import write_report
    from bindscope.runs.diagnose import diagnose as run_diagnosis

    with progress_lines(talk) as say:
        run = run_diagnosis(
            model,
            data,
            out,
            analyses=analyses,
            seed=seed,
            sample=sample,
            prompt=prompt,
            device=device,
            batch_size=batch_size,
            cache=cache,
            resume=resume,
            progress=say if talk else None,
        )
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
