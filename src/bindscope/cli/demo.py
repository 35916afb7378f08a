"""The command `demo`: models that come with the package or its extras, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bindscope.cli.diagnose import diagnosed
from bindscope.cli.summary import print_run
from bindscope.errors import InputError

DEMO_MODEL = "st:sentence-transformers/all-MiniLM-L6-v2"
DEMO_DATA = "text:10x10?singles=true"
DEMO_PAIR = ("embedded:bag", "embedded:bound")
DEMO_IMAGES = "clevr2d:8x3?size=48"
DEMO_TAKEN_APART = {
    "minilm": (DEMO_MODEL, "text:12x12?singles=true"),
    "efficientnet": ("module:bindscope.encoders.efficientnet:lite0_whole", "clevr:8x3?singles=true"),
}
TAKEN_APART = ("audit", "recognition", "geometry", "variance", "removal", "editing")


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
    _shown(DEMO_MODEL, DEMO_DATA, out or Path("runs/demo"))


def _shown(
    model: str, data: str, out: Path, analyses: tuple[str, ...] | None = None, resume: bool = False, paper: bool = False
) -> Path:
    """One run, printed with the path of its page; with `paper` the paper's tables beside it. Its directory."""
    from bindscope.runs.paper_tables import render, tables
    from bindscope.runs.settings import Settings

    run, page = diagnosed(Settings.of(model, data, analyses), out, resume=resume)
    print_run(run)
    if paper:
        typer.echo(render(tables(run.directory), "text"), nl=False)
    typer.echo(str(page))
    return run.directory


def _demo_images(out: Path) -> None:
    """One encoder that does not bind and one that does, trained alike on drawn scenes; and the page that compares them."""
    from bindscope.report import write_comparison

    runs = [_shown(model, DEMO_IMAGES, out / model.replace(":", "-")) for model in DEMO_PAIR]
    typer.echo(str(write_comparison(runs, out / "comparison.html")))


def _demo_interventions(out: Path) -> None:
    """The paper's tables on a sentence encoder and on a vision network, each with its report."""
    for name, (model, data) in DEMO_TAKEN_APART.items():
        _shown(model, data, out / name, TAKEN_APART, resume=True, paper=True)
