"""Picture files as encoders get them: 8 bit RGB, upright, on white; what that changed, and batches read ahead.

A viewer turns a picture as its EXIF tag says, shows 16 bit as well as 8, and puts transparency over white. So does
`read_image`, whatever the model; `picture_facts` says of which files that made a difference.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bindscope.datasets.items import Items
from bindscope.errors import InputError, MissingExtraError, StoreError
from bindscope.scenes import FloatArray

AHEAD = 2  # batches that are prepared while the model works on one
READING = "EXIF turn applied, more than 8 bit scaled to 8, transparency over white, first frame of several"
BYTE, WORD = 255, 65535
ORIENTATION = 0x0112  # tag of EXIF; 1 is upright
Job = TypeVar("Job")
Done = TypeVar("Done")


@dataclass(frozen=True)
class PictureFacts:
    """One file: width and height as a viewer shows it, and what reading it as 8 bit RGB changed.

    depth: how more than 8 bit were brought to 8 ("" where there are 8): "16 bit", "float 0..1" or "numbers 0..255".
    """

    width: int
    height: int
    turned: bool = False
    depth: str = ""
    transparent: bool = False
    animated: bool = False


def read_image(path: Path) -> Any:
    """A picture file as a pillow image in RGB, as a viewer shows it; raises StoreError for a missing or broken one."""
    with _opened(path) as image:
        return as_rgb(image, path)


def picture_facts(path: Path) -> PictureFacts:
    """What reading a file changes; its pixels are decoded only where they are needed for that."""
    with _opened(path) as image:
        from PIL import ImageOps

        depth = _depth(image, path)  # first: what decodes the pixels forgets the layout of the file
        turned = image.getexif().get(ORIENTATION, 1) in range(2, 9)
        width, height = ImageOps.exif_transpose(image).size if turned else image.size
        several = getattr(image, "n_frames", 1) > 1 and image.format != "MPO"  # phones keep a preview as second frame
        return PictureFacts(width, height, turned, depth, _is_transparent(image), several)


def as_rgb(image: Any, path: Path) -> Any:
    """A pillow image of any mode as upright 8 bit RGB over white; raises StoreError where its numbers have no scale."""
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(image)
    if _is_deep(upright):
        numbers, scale = _scaled(upright, path)
        upright = Image.fromarray(np.rint(numbers * (BYTE / scale)).astype(np.uint8))
    if _has_alpha(upright):
        layers = upright.convert("RGBA")
        white = Image.new("RGBA", layers.size, (BYTE, BYTE, BYTE, BYTE))
        upright = Image.alpha_composite(white, layers)
    return upright.convert("RGB")


def _is_deep(image: Any) -> bool:
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def _scaled(image: Any, path: Path) -> tuple[FloatArray, float]:
    """Numbers of a picture of one deep channel, and which of them is white.

    Files of 32 bit do not say: white is 1 for floats up to 1, 255 up to 255, else 65535.
    """
    whole = image if image.mode == "F" else image.convert("I")
    numbers = np.asarray(whole, dtype=np.float64)
    top = float(numbers.max(initial=0.0))
    scale = WORD if image.mode.startswith("I;") or image.format == "PNG" or top > BYTE else BYTE
    if image.mode == "F" and top <= 1.0:
        scale = 1
    if not np.isfinite(numbers).all() or numbers.min(initial=0.0) < 0 or top > scale:
        raise StoreError(
            f"cannot read image {path}: its pixels are numbers from {numbers.min():g} to {top:g}, expected 0..1, 0..255 or "
            "0..65535; save it with 8 or 16 bit"
        )
    return numbers, float(scale)


def _depth(image: Any, path: Path) -> str:
    if _is_deep(image):
        return {1.0: "float 0..1", 255.0: "numbers 0..255"}.get(_scaled(image, path)[1], "16 bit")
    # pillow reads colours of 16 bit as 8; the layout of the file's rows still tells
    return "16 bit" if any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())) else ""


def _has_alpha(image: Any) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def _is_transparent(image: Any) -> bool:
    """Whether some pixel is not opaque."""
    return _has_alpha(image) and image.convert("RGBA").getchannel("A").getextrema()[0] < BYTE


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError("reading images", "pillow", "vision") from None
    try:
        with Image.open(path) as image:
            yield image
    except FileNotFoundError:
        raise StoreError(f"cannot read image {path}: no such file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
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
