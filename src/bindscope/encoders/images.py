"""Image files into pixels: decoded with pillow in threads, ahead of the model that reads them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from bindscope.datasets.items import Items
from bindscope.errors import InputError, MissingExtraError, StoreError

AHEAD = 2  # batches that are prepared while the model works on one
Job = TypeVar("Job")
Done = TypeVar("Done")


def read_image(path: Path) -> Any:
    """A PNG or JPEG file as a pillow image in RGB; raises StoreError that names a missing or broken file."""
    image_module = _pillow()
    try:
        with image_module.open(path) as image:
            return image.convert("RGB")
    except FileNotFoundError:
        raise StoreError(f"cannot read image {path}: no such file") from None
    except (OSError, SyntaxError, ValueError, image_module.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "it is broken or no image"
        raise StoreError(f"cannot read image {path}: {reason}; render or fetch it again") from error


def paths_of(items: Items, label: str) -> tuple[Path, ...]:
    """The image files of items; raises InputError where they have none."""
    if items.images is None:
        raise InputError(f"{label} reads images and these items have none; choose image data")
    return items.images


def prepared(paths: Sequence[Path], batch_size: int, prepare: Callable[[list[Any]], Done]) -> Iterator[Done]:
    """`prepare` of the RGB images of each batch, in order, with the next batches under way in threads."""
    batches = (paths[start : start + batch_size] for start in range(0, len(paths), batch_size))
    return ahead(lambda batch: prepare([read_image(path) for path in batch]), batches)


def ahead(work: Callable[[Job], Done], jobs: Iterable[Job]) -> Iterator[Done]:
    """`work` of each job, in order; a few jobs ahead of the reader run in threads, an error is raised in its turn."""
    pool = ThreadPoolExecutor(min(AHEAD, os.cpu_count() or 1), thread_name_prefix="bindscope-images")
    waiting: deque[Future[Done]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(work, job))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError("reading images", "pillow", "vision") from None
    return Image
