"""Painters, the PNG files that they write, and a process that draws.

The process reads jobs as JSON lines, writes the pictures, and answers each job with a JSON line.

It ends when its input ends, so that it never outlives the process that started it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import struct
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import IntArray
from bindscope.errors import BindscopeError, InputError
from bindscope.files import whole_file
from bindscope.scenes import FloatArray

PAINTERS = {
    "flat": "bindscope.datasets.images.flat:FlatPictures",
    "solid": "bindscope.datasets.images.rendered:SolidPictures",
}


class Painter(Protocol):
    """Draws scenes; a picture depends on its scene, its replicate and the painter alone."""

    @property
    def chunk(self) -> int:
        """Scenes that a process draws before it reports."""

    @property
    def fragile(self) -> bool:
        """Whether drawing can bring a process down (a graphics driver), so that it must not be this one."""

    def draw(self, values: IntArray, replicate: IntArray | None = None) -> NDArray[np.uint8]:
        """Pictures `[n, size, size, 3]` of scenes `[n, m, C]`."""

    def shares(self, values: IntArray, replicate: IntArray | None = None) -> FloatArray:
        """Visible share of each object `[n, m]`, NaN where absent."""

    def draw_with_shares(
        self, values: IntArray, replicate: IntArray | None = None
    ) -> tuple[NDArray[np.uint8], FloatArray]:
        """Both."""

    def to_json(self) -> dict[str, Any]:
        """All that determines the pictures."""


def painter_of(record: Mapping[str, Any]) -> Painter:
    """The painter that `to_json` described."""
    module, name = PAINTERS[record["kind"]].split(":")
    return cast(Painter, getattr(importlib.import_module(module), name).from_json(record))


def picture_name(row: int) -> str:
    """File name of a row's picture."""
    return f"{row:06d}.png"


def draw_files(painter: Painter, folder: Path, rows: Sequence[int], values: Any, replicate: Any) -> FloatArray:
    """Write the pictures of some rows that are not there yet; gives the visible shares `[n, m]` of all of them."""
    cells, copies = np.asarray(values, dtype=np.int64), np.asarray(replicate, dtype=np.int64)
    missing = [i for i, row in enumerate(rows) if not (folder / picture_name(row)).is_file()]
    if len(missing) == len(rows):
        pixels, shares = painter.draw_with_shares(cells, copies)
    else:
        shares = painter.shares(cells, copies)
        pixels = painter.draw(cells[missing], copies[missing]) if missing else np.empty((0, 1, 1, 3), dtype=np.uint8)
    for i, picture in zip(missing, pixels, strict=True):
        with whole_file(folder / picture_name(rows[i])) as partial:
            partial.write_bytes(png_bytes(picture))
    return shares


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    r"""A picture `[h, w, 3]` as a PNG file; every line is stored as its difference to the line above (filter "up").

    >>> png_bytes(np.zeros((2, 2, 3), dtype=np.uint8))[:8] == b"\x89PNG\r\n\x1a\n"
    True
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise InputError(f"a picture must be uint8 [height, width, 3], got {pixels.dtype} {list(pixels.shape)}")
    height, width = pixels.shape[:2]
    lines = np.empty((height, 1 + 3 * width), dtype=np.uint8)
    lines[:, 0] = 2
    flat = pixels.reshape(height, 3 * width)
    lines[0, 1:] = flat[0]
    lines[1:, 1:] = flat[1:] - flat[:-1]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(lines.tobytes(), 6)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def main() -> None:
    """Serve jobs until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started it
    answers = sys.stdout
    sys.stdout = sys.stderr  # a library that prints must not spoil the answers
    start = json.loads(sys.stdin.readline())
    painter, folder = painter_of(start["painter"]), Path(start["folder"])
    for line in sys.stdin:
        job = json.loads(line)
        try:
            shares = draw_files(painter, folder, job["rows"], job["values"], job["replicate"])
            answer: dict[str, Any] = {"shares": np.where(np.isnan(shares), -1.0, shares).tolist()}
        except BindscopeError as error:
            answer = {"error": str(error), "kind": type(error).__name__}
        try:
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
        except BrokenPipeError:
            os._exit(1)  # nobody is there to read it any more


if __name__ == "__main__":
    main()
