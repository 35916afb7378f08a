"""A process that draws: reads jobs as JSON lines, writes PNG files, answers each job with a JSON line.

It ends when its input ends, so that it never outlives the process that started it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.datasets.images.painters import Painter, painter_of
from bindscope.datasets.images.png import png_bytes
from bindscope.datasets.whole import whole_file
from bindscope.errors import BindscopeError
from bindscope.scenes import FloatArray


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
