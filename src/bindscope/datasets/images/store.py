"""Drawn pictures in the cache: a directory for each set, made once, gone on with after a kill, whole when it says so."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bindscope.datasets.images.crew import Report, draw_all
from bindscope.datasets.images.painters import Painter
from bindscope.datasets.images.worker import picture_name
from bindscope.datasets.labels import read_labels, write_labels
from bindscope.errors import BindscopeError, StoreError
from bindscope.scenes import SceneTable

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
