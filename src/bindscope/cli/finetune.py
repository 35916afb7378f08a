"""The command finetune: a model that binds, judged before and after."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bindscope.cli.options import Json, Setting, read_settings
from bindscope.cli.printing import print_table, progress_lines
from bindscope.streams import MAX_SEED

if TYPE_CHECKING:
    from rich.table import Table

    from bindscope.results import Results

OPTIONS = ("coverage", "held_out_values", "steps", "seed", "train", "average", "patience")


def finetune(
    model: Annotated[
        str, typer.Argument(help="st:NAME, hf:NAME, openclip:ARCH,TAG or embedded:NAME; its text side is trained.")
    ],
    out: Annotated[
        Path,
        typer.Option("--out", help="Directory that the model's own library then loads; going on where it stopped."),
    ],
    data: Annotated[str, typer.Option("--data", help="built-in words, or text:AxB, text:FILE.yaml.")] = "built-in",
    coverage: Annotated[
        float | None, typer.Option("--coverage", help="Share of the objects that trains, 0..1 (0.5).")
    ] = None,
    held_out_values: Annotated[
        float | None,
        typer.Option("--held-out-values", help="Share of the words that training never shows, 0..1 (0.15)."),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Texts to hold on to, one a line; default: built-in ones.")
    ] = None,
    pairs: Annotated[
        str | None, typer.Option("--pairs", help="Natural pairs to judge with, before and after: pairs:FILE.")
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Steps of training.")] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=MAX_SEED, help="Seed of splits, captions and intervals.")
    ] = None,
    train: Annotated[str | None, typer.Option("--train", help="all (default), last:N layers, or lora:RANK.")] = None,
    average: Annotated[
        float | None,
        typer.Option("--average", help="Share of the tuned weights in what is saved; default: chosen on validation."),
    ] = None,
    patience: Annotated[
        int | None, typer.Option("--patience", help="Stop after so many evaluations without better validation objects.")
    ] = None,
    settings: Setting = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what is trained, held out, and what it takes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Fine-tune a model until it binds; judged before and after on objects, words and wordings that it never saw."""
    from bindscope.finetune.config import make_config
    from bindscope.report import write_report
    from bindscope.runs.finetune import announcement, finetune_model

    given = (coverage, held_out_values, steps, seed, train, average, patience)
    chosen: dict[str, Any] = {key: value for key, value in zip(OPTIONS, given, strict=True) if value is not None}
    chosen |= read_settings(settings or [])
    config = make_config(model=model, data=data, **chosen)
    for line in announcement(config):
        typer.echo(line, err=True)
    if dry_run:
        return
    with progress_lines(not as_json) as say:
        made = finetune_model(model, out, data, keep, pairs, None if as_json else _Lines(config.steps), say, **chosen)
        shutil.copyfile(write_report(made.run), out / "report.html")
    if as_json:
        typer.echo(made.results.to_json(), nl=False)
        return
    print_table(_table(made.results, made.share))
    typer.echo(str(out))


class _Lines:
    """Lines on standard error: what the whole run will take, then one for each evaluation."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __call__(self, line: dict[str, Any]) -> None:
        if "step_seconds" in line:
            left = line["step_seconds"] * (self.steps - line["step"])
            typer.echo(f"{line['step_seconds']:.2f} CPU s a step, about {left:.0f} CPU s to go", err=True)
            return
        loss = f"  loss {line['loss']:.3f}" if "loss" in line else ""
        typer.echo(
            f"step {line['step']:>5,}{loss}  validation binding {line['binding']:.3f}  "
            f"similarities kept {line['similarity']:.3f}",
            err=True,
        )


def _table(results: Results, share: float) -> Table:
    """Questions by rows, states of the weights by columns; what changed surely is marked."""
    from bindscope.finetune.card import QUESTIONS, STATES, is_change
    from bindscope.show.tables import new_table, number_text

    table = new_table(
        f"\nBefore and after (saved: {share:g} x tuned + {1 - share:g} x base; * changed)", "", "base", "saved", "tuned"
    )
    for name, words in QUESTIONS.items():
        some = [r for r in results if r.extra.get("question") == name and r.metric != "binding_preference"]
        figures = {r.extra["weights"]: r for r in some if "weights" in r.extra and not r.extra.get("change")}
        surely = {r.extra["weights"] for r in some if r.extra.get("change") and is_change(r)}
        if set(STATES) <= set(figures):
            table.add_row(words, *(number_text(figures[s].value) + ("*" if s in surely else "") for s in STATES))
    for pairs, words in (
        (None, "similarities of other sentences kept"),
        (True, "similarities of natural captions kept"),
    ):
        kept = [r for r in results if r.metric == "similarity_kept" and r.extra.get("pairs") == pairs]
        by_state = {r.extra["weights"]: r.value for r in kept if "weights" in r.extra}
        if by_state:
            table.add_row(words, "1", *(number_text(by_state[s]) for s in STATES[1:]))
    return table
