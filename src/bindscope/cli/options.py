"""Arguments and options that several commands share."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from bindscope.errors import InputError
from bindscope.names import at_home, split_options
from bindscope.streams import MAX_SEED

Out = Annotated[Path | None, typer.Option("--out", help="Run directory; default runs/<hash>.")]
Seed = Annotated[int, typer.Option("--seed", min=0, max=MAX_SEED, help="Seed of splits, samples and intervals.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")]
Device = Annotated[str | None, typer.Option("--device", help="cpu, cuda, mps, …; default: what the encoder chooses.")]
Batch = Annotated[int | None, typer.Option("--batch-size", help="Items an encoder gets at once.")]
Prompt = Annotated[str | None, typer.Option("--prompt", help="Text that the encoder puts before every input.")]
Sample = Annotated[int | None, typer.Option("--sample", help="Analyse this many scenes, drawn by seed.")]
Cache = Annotated[Path | None, typer.Option("--cache", help="Where embeddings are cached; default: the user's cache.")]
KeepSpellings = Annotated[
    bool, typer.Option("--keep-spellings", help="Values that look alike (red, Red) are different ones.")
]
Data = Annotated[str, typer.Option("--data", help="text:10x10, text:FILE.yaml, labels:FILE, …; see `bindscope list`.")]
Setting = Annotated[
    list[str] | None, typer.Option("--set", help="Any setting as NAME=VALUE, e.g. --set steps=500; may be repeated.")
]
Model = Annotated[
    str,
    typer.Argument(
        help="st:NAME, hf:NAME, openclip:ARCH,TAG, file:PATH, module:…, planted:KIND; see `bindscope list`."
    ),
]


def with_home(command: Callable[..., None]) -> Callable[..., None]:
    """The same command with the home directory in place of the `~` of every path it is given."""

    @functools.wraps(command)
    def expanded(**given: Any) -> None:
        command(**{name: _expanded(value) for name, value in given.items()})

    return expanded


def _expanded(value: Any) -> Any:
    if isinstance(value, list):
        return [_expanded(one) for one in value]
    return Path(at_home(str(value))) if isinstance(value, Path) else value


def with_spellings(data: str, keep: bool) -> str:
    """The name of a data set with the option that keeps look-alike values apart, if that is asked for.

    >>> with_spellings("labels:t.csv?missing=None", True)
    'labels:t.csv?missing=None&keep_spellings=true'
    """
    if not keep:
        return data
    return data + ("&" if split_options(data)[1] else "?") + "keep_spellings=true"


def read_settings(pairs: list[str]) -> dict[str, Any]:
    """Settings given as NAME=VALUE, a value as JSON where it is.

    >>> read_settings(["steps=500", "name=x"])
    {'steps': 500, 'name': 'x'}
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise InputError(f"--set expects NAME=VALUE, got {pair!r}")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found
