"""What encoders that compute with torch share: device, number format, batches, and errors in one line."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bindscope.concepts import IntArray
from bindscope.datasets.items import Items
from bindscope.errors import BindscopeError, InputError, MissingExtraError, StoreError

DTYPES = ("float32", "float16", "bfloat16")


def torch_for(what: str, extra: str) -> Any:
    """The library torch; raises MissingExtraError."""
    try:
        import torch
    except ImportError:
        raise MissingExtraError(what, "torch", extra) from None
    return torch


def usable_device(name: str | None) -> str:
    """The device to compute on (None: the processor); raises InputError where torch has no such device here."""
    import torch

    try:
        device = torch.device(name or "cpu")
        torch.zeros(1, device=device).add(1).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0][:160]
        raise InputError(
            f"cannot compute on device {name!r} ({reason}); expected cpu, cuda, cuda:1, mps, ..."
        ) from error
    return str(device)


def by_length(lengths: Sequence[int], batch_size: int) -> Iterator[IntArray]:
    """Positions in batches, longest first, so that a batch holds texts of nearly one length.

    >>> [batch.tolist() for batch in by_length([3, 9, 3, 8], 2)]
    [[1, 3], [0, 2]]
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


@contextmanager
def inference(label: str) -> Iterator[None]:
    """No gradients; what torch cannot do (memory, a number format, a device) is said in one line as InputError."""
    import torch

    try:
        with torch.inference_mode():
            yield
    except BindscopeError:
        raise
    except torch.OutOfMemoryError as error:
        raise InputError(f"{label}: out of memory on the device; give a smaller --batch-size") from error
    except (RuntimeError, IndexError) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise InputError(
            f"{label}: torch could not run the model ({reason}); try ?dtype=float32, another --device or a smaller "
            "--batch-size"
        ) from error


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
