"""A seeded mutator of files, and what every command may do with a mutated one: refuse it in one line, or read the same.

Files that we write carry digests: a mutation of one that is accepted must not change what is read. Files of others may
say something else after a mutation (another letter of a word), and then they are read as that.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ODD = (
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\n",
    b",",
    b'"',
    b"{",
    b"]",
    b"9" * 400,
    b"\xe2\x80\x8b",
    b"nan",
    b"-1",
    b"null",
)


@dataclass(frozen=True)
class Kind:
    """A kind of file. checked: whether it carries digests, so that an accepted change changes nothing. make: writes a good
    one into a folder; words: the command that reads it."""

    name: str
    file: str
    words: tuple[str, ...]
    checked: bool = False


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """One change: a flipped bit, a cut, a lost, doubled or exchanged piece, something odd put in."""
    if not content:
        return b"x"
    first, second = sorted(int(place) for place in rng.integers(0, len(content) + 1, size=2))
    second = min(second, first + 64)
    letter = content[min(first, len(content) - 1)] ^ (1 << int(rng.integers(8)))
    changes: tuple[Callable[[], bytes], ...] = (
        lambda: content[:first] + bytes([letter]) + content[first + 1 :],
        lambda: content[:first],
        lambda: content[:first] + content[second:],
        lambda: content[:second] + content[first:second] * 3 + content[second:],
        lambda: content[:first] + ODD[int(rng.integers(len(ODD)))] + content[first:],
        lambda: content[second:] + content[:first],
        lambda: rng.bytes(min(len(content), 200)),
        lambda: b"",
    )
    return changes[int(rng.integers(len(changes)))]()


def reshaped(content: bytes, rng: np.random.Generator) -> bytes:
    """JSON of another shape: a key lost, or a value of another type somewhere."""
    value = json.loads(content)
    places: list[tuple[object, object]] = []

    def walk(one: object) -> None:
        for key in one if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ():
            places.append((one, key))
            walk(one[key])  # type: ignore[index]

    walk(value)
    if not places:
        return b"[]"
    owner, key = places[int(rng.integers(len(places)))]
    odd = (None, 7, -1.5, "x", [], {}, [[1]], {"a": 1}, True, 1e308)[int(rng.integers(10))]
    if rng.random() < 0.3:
        del owner[key]  # type: ignore[attr-defined]
    else:
        owner[key] = odd  # type: ignore[index]
    return json.dumps(value).encode()


def write(place: Path, content: bytes) -> None:
    """Put a mutated file in the place of a good one."""
    place.write_bytes(content)
