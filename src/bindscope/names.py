"""Options behind a name: `text:10x10?same=true&m=2`. One parser for data sets and encoders."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bindscope.errors import InputError, UnknownNameError

TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")


@dataclass(frozen=True)
class Option:
    """One option: its default, whose type it takes unless `kind` says otherwise, and its limits (inclusive)."""

    default: Any
    kind: type = str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


def split_options(name: str) -> tuple[str, str]:
    """Part before and after the first question mark.

    >>> split_options("text:10x10?same=true")
    ('text:10x10', 'same=true')
    """
    base, _, rest = name.partition("?")
    return base, rest


def read_options(text: str, known: Mapping[str, Option], owner: str) -> dict[str, Any]:
    """Values of all known options: those given in `text` as `key=value&key=value`, else the defaults.

    Raises UnknownNameError for an unknown key and InputError for a value that does not fit.

    >>> read_options("same=YES&m=3", {"same": Option(False, bool), "m": Option(2, int, 1, 3)}, "text:")
    {'same': True, 'm': 3}
    """
    values = {key: option.default for key, option in known.items()}
    given: set[str] = set()
    for piece in text.split("&") if text else []:
        key, equals, word = piece.partition("=")
        if not key or not equals:
            raise InputError(f"{owner} options look like ?key=value&key=value, got {piece!r}")
        if key not in known:
            raise UnknownNameError(f"option of {owner}", key, known)
        if key in given:
            raise InputError(f"{owner} option {key} is given twice; give it once")
        given.add(key)
        values[key] = _read_value(word, known[key], f"{owner} option {key}")
    return values


def _read_value(word: str, option: Option, label: str) -> Any:
    if option.kind is bool:
        return read_flag(word, label)
    if option.kind in (int, float):
        return _read_number(word, option, label)
    if option.choices and word not in option.choices:
        raise InputError(f"{label} must be one of {', '.join(option.choices)}, got {word!r}")
    if not word:
        raise InputError(f"{label} needs a value, got nothing after '='")
    return word


def read_flag(word: str, label: str) -> bool:
    """True or False from true/false, yes/no, 1/0 in any case; anything else is refused."""
    lower = word.strip().lower()
    if lower not in TRUE + FALSE:
        raise InputError(f"{label} must be true or false (yes/no, 1/0), got {word!r}")
    return lower in TRUE


def _read_number(word: str, option: Option, label: str) -> int | float:
    expected = "a whole number" if option.kind is int else "a number"
    if option.low is not None:
        expected += f" of at least {option.low:g}" if option.high is None else f" in {option.low:g}..{option.high:g}"
    try:
        number: int | float = option.kind(word)
    except ValueError:
        raise InputError(f"{label} must be {expected}, got {word!r}") from None
    low = -math.inf if option.low is None else option.low
    high = math.inf if option.high is None else option.high
    if not math.isfinite(number) or not low <= number <= high:
        raise InputError(f"{label} must be {expected}, got {word!r}")
    return number
