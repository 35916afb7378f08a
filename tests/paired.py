"""Pairs and encoders whose answers are known: a bag of words, and one that reads the order of words."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.datasets.items import Items
from bindscope.encoders.base import Encoder, Vectors

COLOURS = ("red", "blue", "green", "black", "white", "brown")
THINGS = ("cube", "ball", "cone", "mug", "chair", "lamp")
DIM = 256


def swaps(n: int = 60, pictures: bool = False) -> list[dict[str, Any]]:
    """n items whose negative exchanges two colours; the other wording turns the two things round. One picture for two items
    where `pictures`."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        a, b = rng.permutation(len(COLOURS))[:2]
        x, y = rng.permutation(len(THINGS))[:2]
        said = (COLOURS[a], THINGS[x], COLOURS[b], THINGS[y])
        row = {
            "id": i,
            "caption": f"in scene {i} a {said[0]} {said[1]} and a {said[2]} {said[3]}",
            "caption2": f"scene {i} shows a {said[2]} {said[3]} beside a {said[0]} {said[1]}",
            "negative_caption": f"in scene {i} a {said[2]} {said[1]} and a {said[0]} {said[3]}",
        }
        if pictures:
            row["filename"] = f"{i // 2}.jpg"
        rows.append(row)
    return rows


def written(folder: Path, rows: Sequence[Any], name: str = "pairs.json") -> str:
    """The rows in a file, and its name as data."""
    (folder / name).write_text(json.dumps(list(rows)), encoding="utf-8")
    return f"pairs:{folder / name}"


def word_vector(word: str) -> NDArray[np.float64]:
    return np.random.default_rng(zlib.crc32(word.encode())).normal(size=DIM)


def bag(texts: list[str]) -> NDArray[np.float64]:
    """The sum of a random vector for each word, in the order in which they stand."""
    return np.stack([np.sum([word_vector(word) for word in text.lower().split()], axis=0) for text in texts])


def ordered(texts: list[str]) -> NDArray[np.float64]:
    """The bag with a vector for every colour that stands before its thing: it binds."""
    found = bag(texts)
    for row, text in enumerate(texts):
        said = text.lower().split()
        for one, two in pairwise(said):
            if one in COLOURS and two in THINGS:
                found[row] += 3.0 * word_vector(f"{one} {two}")
    return found


class Seeing:
    """Pictures named by their caption (blanks as _) and texts, both by one of the functions above."""

    def __init__(self, read: Any) -> None:
        self.read = read

    def encode(self, paths: list[Path]) -> NDArray[np.float64]:
        return np.asarray(self.read([Path(path).stem.replace("_", " ") for path in paths]))

    def encode_text(self, texts: list[str]) -> NDArray[np.float64]:
        return np.asarray(self.read(texts))


def seeing_bag() -> Seeing:
    return Seeing(bag)


def seeing_ordered() -> Seeing:
    return Seeing(ordered)


def bag_encoder() -> Any:
    return bag


def ordered_encoder() -> Any:
    return ordered


class Reading(Encoder):
    """A bag that reads texts only."""

    name = "reader"

    def encode(self, items: Items) -> Vectors:
        return bag(list(items.texts or ())).astype(np.float32)

    def fidelity(self) -> dict[str, Any]:
        return {"encoder": self.name}


def reading() -> Encoder:
    return Reading()


def two_by_two(folder: Path, n: int = 20) -> list[dict[str, str]]:
    """Pictures of right and of exchanged captions; the files say in their names what they show."""
    from PIL import Image

    rows = []
    for row in swaps(n):
        names = [f"{row[key].replace(' ', '_')}.png" for key in ("caption", "negative_caption")]
        for name in names:
            Image.new("RGB", (4, 4)).save(folder / name)
        rows.append(
            {
                "image_0": names[0],
                "image_1": names[1],
                "caption_0": row["caption"],
                "caption_1": row["negative_caption"],
            }
        )
    return rows
