"""Options behind a name: what is read, and what is refused by name."""

from __future__ import annotations

import pytest

from bindscope.errors import InputError, UnknownNameError
from bindscope.names import Option, read_flag, read_options, split_options

KNOWN = {
    "same": Option(False, bool),
    "m": Option(2, int, 1, 3),
    "noise": Option(0.5, float, 0.0),
    "slots": Option("shared", choices=("shared", "own")),
    "path": Option(None),
}


def read(text: str) -> dict[str, object]:
    return read_options(text, KNOWN, "text:")


def test_defaults_and_given() -> None:
    assert read("") == {"same": False, "m": 2, "noise": 0.5, "slots": "shared", "path": None}
    assert read("m=3&path=a?b=c")["path"] == "a?b=c"  # only the first = and ? separate
    assert read("noise=1e-3&slots=own&same=1") == {"same": True, "m": 2, "noise": 1e-3, "slots": "own", "path": None}
    assert split_options("text:3x3") == ("text:3x3", "")
    assert split_options("a?b?c") == ("a", "b?c")


@pytest.mark.parametrize("word", ["True", "true", "YES", "1"])
def test_true_in_words(word: str) -> None:
    assert read(f"same={word}")["same"] is True


@pytest.mark.parametrize("word", ["False", "false", "no", "NO", "0"])
def test_the_word_false_is_false(word: str) -> None:
    assert read(f"same={word}")["same"] is False
    assert read_flag(word, "x") is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("same=maybe", r"text: option same must be true or false .*'maybe'"),
        ("m=4", r"option m must be a whole number in 1\.\.3, got '4'"),
        ("m=2.0", "whole number"),
        ("noise=-1", "a number of at least 0"),
        ("noise=nan", "a number of at least 0"),
        ("noise=inf", "a number of at least 0"),
        ("slots=mine", "one of shared, own, got 'mine'"),
        ("path=", "needs a value"),
        ("m", r"look like \?key=value"),
        ("m=1&", r"look like \?key=value"),
        ("=1", r"look like \?key=value"),
        ("m=1&m=2", "option m is given twice"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(text)


def test_an_unknown_key_gets_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown option of text: 'smae'; did you mean same"):
        read("smae=true")
