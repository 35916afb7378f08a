"""Small pictures: thumbnails, contact sheets, and the sheet of samples that a run keeps for its page."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.datasets.items import Dataset
from bindscope.errors import BindscopeWarning, InputError, MissingExtraError, StoreError
from bindscope.files import whole_file

FILE = "samples.jpg"
COUNT, COLUMNS, SIZE = 18, 6, 128
FORMATS = {"png": "PNG", "jpeg": "JPEG", "jpg": "JPEG"}


def thumbnail(path: str | Path, size: int = 96, kind: str = "png") -> bytes:
    """A picture scaled to fit into a square of `size` pixels, never enlarged; kind: png or jpeg.

    Raises StoreError for a file that cannot be read as an image, InputError for another kind or a size below 1.
    """
    return _encoded(_scaled(Path(path), size), kind)


def contact_sheet(paths: Sequence[str | Path], columns: int = 6, size: int = 96, kind: str = "png") -> bytes:
    """Several pictures in rows of `columns`, each in a square of at most `size` pixels with a thin white gap."""
    if not paths or columns < 1:
        raise InputError(
            f"a contact sheet needs pictures and at least one column, got {len(paths)} and {columns}; give some"
        )
    image = pillow("contact sheets")
    gap, rows = 2, -(-len(paths) // columns)
    across = min(columns, len(paths))
    pictures = [_scaled(Path(path), size) for path in paths]
    size = max(max(picture.size) for picture in pictures)
    sheet = image.new("RGB", (across * (size + gap) - gap, rows * (size + gap) - gap), "white")
    for i, small in enumerate(pictures):
        corner = (i % columns * (size + gap), i // columns * (size + gap))
        sheet.paste(small, (corner[0] + (size - small.width) // 2, corner[1] + (size - small.height) // 2))
    return _encoded(sheet, kind)


def pillow(purpose: str) -> Any:
    """The module PIL.Image; MissingExtraError where it is not installed."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError(purpose, "Pillow", "vision") from None
    return Image


def _scaled(path: Path, size: int) -> Any:
    if size < 1:
        raise InputError(f"the size of a thumbnail must be at least 1 pixel, got {size}")
    image = pillow("thumbnails")
    try:
        with image.open(path) as opened:
            picture = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise StoreError(
            f"cannot read the image {path}: {str(error) or type(error).__name__}; mend the file"
        ) from error
    picture.thumbnail((size, size))
    return picture


def _encoded(picture: Any, kind: str) -> bytes:
    if kind not in FORMATS:
        raise InputError(f"thumbnails are png or jpeg, got {kind!r}")
    sink = io.BytesIO()
    picture.save(sink, FORMATS[kind], **({"quality": 82} if FORMATS[kind] == "JPEG" else {"optimize": True}))
    return sink.getvalue()


def write_samples(dataset: Dataset, directory: Path) -> dict[str, Any] | None:
    """Write the contact sheet of evenly spaced rows; gives its file name, columns and captions.

    None for data without images, and (with a warning) where no library is there to read them.
    """
    if dataset.items.images is None:
        return None
    rows = np.unique(np.linspace(0, len(dataset) - 1, COUNT).astype(int)).tolist()
    try:
        sheet = contact_sheet([dataset.items.images[row] for row in rows], COLUMNS, SIZE, "jpeg")
    except MissingExtraError as error:
        warnings.warn(f"no samples of the pictures in the report: {error}", BindscopeWarning, stacklevel=2)
        return None
    with whole_file(directory / FILE) as partial:
        partial.write_bytes(sheet)
    return {"file": FILE, "columns": COLUMNS, "captions": [dataset.describe(row) for row in rows]}
