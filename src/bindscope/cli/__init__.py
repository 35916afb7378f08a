"""The command line: parse, one call, print. Each command has a file; COMMANDS lists them in order."""

from __future__ import annotations

import errno
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any

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
from bindscope.errors import BindscopeError, BindscopeWarning

BAD_INPUT, STOPPED = 2, 130
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
    app.command(name=command_name, short_help=brief)(command)


@app.callback(invoke_without_command=True)
def _start(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(f"bindscope {__version__}")
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: one clear line and exit code 2 on bad input, never a traceback."""
    warnings.filterwarnings("default", category=BindscopeWarning)
    shown = warnings.showwarning
    warnings.showwarning = _one_line(shown)
    try:
        app(
            args=[*arguments] if arguments is not None else None,  # `list` is a module here
            standalone_mode=True,
        )
    except BindscopeError as error:
        _fail(str(error), BAD_INPUT)
    except SystemExit as stop:
        if stop.code != STOPPED:  # the code of Ctrl-C
            raise
        _fail("stopped; what was embedded is cached, --resume goes on with what was analysed", STOPPED)
    except MemoryError:
        _fail("out of memory; analyse fewer scenes with --sample", BAD_INPUT)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM):
            raise
        _fail(
            f"cannot write {error.filename or 'a file'}: {error.strerror}; free space or give another --out", BAD_INPUT
        )
    finally:
        warnings.showwarning = shown


def _fail(message: str, code: int) -> None:
    typer.echo("error: " + " ".join(message.split()), err=True)
    raise SystemExit(code)


def _one_line(otherwise: Callable[..., None]) -> Callable[..., None]:
    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, BindscopeWarning):
            typer.echo(f"note: {message}", err=True)
        else:
            otherwise(message, category, *where, **more)

    return show
