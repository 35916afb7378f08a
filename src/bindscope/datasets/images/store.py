"""Drawn pictures in the cache: a directory for each set, made once by several processes and resumed after a kill.

A set is complete when its table of scenes stands beside its pictures.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.datasets.images.worker import Painter, draw_files, picture_name
from bindscope.datasets.labels import read_labels, write_labels
from bindscope.errors import BindscopeError, StoreError
from bindscope.parallel import cores
from bindscope.scenes import FloatArray, SceneTable

Report = Callable[[int], None]  # is told how many pictures were made
FEW_CHUNKS = 4  # up to so many chunks are drawn here, without another process
LABELS = "scenes.parquet"  # written last: with it, the set is complete


def kept_pictures(name: str, painter: Painter, table: SceneTable, cache: Path) -> tuple[SceneTable, tuple[Path, ...]]:
    """The table with the visible shares, and the picture of each row; drawn where the cache does not hold them."""
    folder = cache / "images" / picture_key(painter, table)
    images = tuple(folder / picture_name(row) for row in range(len(table)))
    kept = _complete(folder, table, images)
    if kept is None:
        _make(folder)
        with _progress(name, len(table)) as report:
            shares = draw_all(painter, table, folder, None, report)
        kept = replace(table, visible=shares)
        write_labels(kept, folder / LABELS)
    return kept, images


def picture_key(painter: Painter, table: SceneTable) -> str:
    """A hash that names the painter and the rows."""
    digest = hashlib.sha256(json.dumps(painter.to_json(), sort_keys=True).encode())
    for array in (table.values, table.replicate):
        digest.update(repr(array.shape).encode() + array.astype("<i8").tobytes())
    return digest.hexdigest()[:32]


def _complete(folder: Path, table: SceneTable, images: tuple[Path, ...]) -> SceneTable | None:
    """The kept table, or None where labels or pictures are missing."""
    if not (folder / LABELS).is_file():
        return None
    present = set(os.listdir(folder))
    if not present.issuperset(image.name for image in images):
        return None
    try:
        kept = read_labels(folder / LABELS, table.space)
    except BindscopeError:
        return None  # cut short or of another version: made again
    return replace(table, visible=kept.visible) if len(kept) == len(table) else None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot make the cache {folder}: {error.strerror or error}; choose another with BINDSCOPE_CACHE"
        ) from error


@contextlib.contextmanager
def _progress(name: str, total: int) -> Iterator[Report]:
    """A bar on stderr where that is a terminal, else nothing."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"{name}: {total:,} pictures", total=total)
        yield lambda done: bar.advance(task, done)


def draw_all(painter: Painter, table: SceneTable, folder: Path, workers: int | None, report: Report) -> FloatArray:
    """Write the missing pictures of a table into a folder; gives the visible shares `[n, m]`.

    workers: number of processes (None: one a core). The result does not depend on it. Raises StoreError.
    """
    chunks = [np.arange(a, min(a + painter.chunk, len(table))) for a in range(0, len(table), painter.chunk)]
    count = min(workers or cores(), len(chunks))
    shares = np.full(table.present.shape, np.nan)
    if workers == 1 or (workers is None and len(chunks) <= FEW_CHUNKS and not painter.fragile):
        for rows in chunks:
            shares[rows] = draw_files(painter, folder, rows.tolist(), table.values[rows], table.replicate[rows])
            report(len(rows))
        return shares
    drawing = _Workers(painter, table, folder, report, shares)
    drawing.work(chunks, count)
    return shares


@dataclass
class _Workers:
    """Processes that draw the chunks of one table, each led by a thread of this process."""

    painter: Painter
    table: SceneTable
    folder: Path
    report: Report
    shares: FloatArray
    errors: list[BaseException] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def work(self, chunks: list[Any], count: int) -> None:
        """Let `count` processes draw all chunks; the first error stops all of them."""
        waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for chunk in chunks:
            waiting.put(chunk)
        threads = [threading.Thread(target=self._serve, args=(waiting,), daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.errors:
            raise self.errors[0]

    def _serve(self, waiting: queue.SimpleQueue[Any]) -> None:
        try:
            with _process() as process:
                _send(process, {"painter": self.painter.to_json(), "folder": str(self.folder)})
                while not self.errors:
                    try:
                        rows = waiting.get_nowait()
                    except queue.Empty:
                        return
                    found = self._ask(process, rows)
                    with self.lock:
                        self.shares[rows] = found
                        self.report(len(rows))
        except (OSError, BindscopeError) as error:
            self.errors.append(error)
        except ValueError as error:
            self.errors.append(
                StoreError(f"a process that draws pictures answered {error}; run the same command again")
            )

    def _ask(self, process: subprocess.Popen[str], rows: Any) -> FloatArray:
        job = {"rows": rows, "values": self.table.values[rows], "replicate": self.table.replicate[rows]}
        _send(process, {name: array.tolist() for name, array in job.items()})
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise StoreError(
                f"a process that draws pictures ended early (code {process.wait()}); run the same command again: what is "
                "drawn is kept"
            )
        answer = json.loads(line)
        if "error" in answer:
            raise StoreError(answer["error"])
        shares = np.array(answer["shares"], dtype=np.float64)
        return np.where(shares < 0, np.nan, shares)


def _send(process: subprocess.Popen[str], content: dict[str, Any]) -> None:
    if process.stdin is not None:
        process.stdin.write(json.dumps(content) + "\n")
        process.stdin.flush()


@contextmanager
def _process() -> Iterator[subprocess.Popen[str]]:
    """A fresh interpreter that draws; it shares nothing with this one, whatever libraries are loaded here."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "LP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "bindscope.datasets.images.worker"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        yield process
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
