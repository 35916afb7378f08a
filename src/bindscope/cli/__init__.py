"""The command line: parse, one call, print. Each command has a file; COMMANDS lists them in order."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from bindscope import __version__
from bindscope.cli import (
    audit,
    compare,
    complexity,
    demo,
    diagnose,
    embed,
    finetune,
    gate,
    render,
    repair,
    report,
    selfcheck,
    sweep,
    tables,
    track,
    train,
    train_clip,
)
from bindscope.cli import list as list_command
from bindscope.cli.failures import ended
from bindscope.cli.options import with_home

COMMANDS: dict[str, Callable[..., None]] = {
    "diagnose": diagnose.diagnose,
    "demo": demo.demo,
    "embed": embed.embed,
    "complexity": complexity.complexity,
    "audit": audit.audit,
    "render": render.render,
    "report": report.report,
    "compare": compare.compare,
    "tables": tables.tables,
    "train": train.train,
    "sweep": sweep.sweep,
    "finetune": finetune.finetune,
    "track": track.track,
    "gate": gate.gate,
    "repair": repair.repair,
    "train-clip": train_clip.train_clip,
    "list": list_command.list_names,
    "selfcheck": selfcheck.selfcheck,
}

app = typer.Typer(
    name="bindscope",
    help="Tells whether, and how, an embedding model binds concepts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help starts twice as fast
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command_name, command in COMMANDS.items():
    brief = re.split(r"[.;:](?:\s|$)", command.__doc__ or "")[0]
    app.command(name=command_name, short_help=brief)(with_home(command))


@app.callback(invoke_without_command=True)
def _start(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(f"bindscope {__version__}")
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: one clear line and an exit code of its own for whatever goes wrong, never a traceback."""
    words = [*arguments] if arguments is not None else None  # `list` is a module here
    raise SystemExit(ended(lambda: app(args=words, standalone_mode=False)))
