"""Whether the images that a label table names are there and whole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bindscope.datasets.thumbnails import pillow

SHOWN = 5
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"})


def faults(paths: Sequence[Path]) -> dict[int, str]:
    """What is wrong with each image that cannot be used, by position. O(pixels); PNG files by their checksums."""
    image = pillow("reading images")
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        found = list(pool.map(lambda path: _fault(image, path), paths))
    return {i: fault for i, fault in enumerate(found) if fault}


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(names[:SHOWN])
    return shown + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def images_below(folder: Path) -> list[Path]:
    """All image files in a folder and its subfolders, by their suffix, in order; hidden ones are left out."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        names = (name for name in sorted(files) if not name.startswith("."))
        found += [Path(place) / name for name in names if Path(name).suffix.lower() in SUFFIXES]
    return found


def _fault(image: Any, path: Path) -> str:
    """Empty for a whole image."""
    if not path.is_file():
        return "missing"
    try:
        with image.open(path) as opened:
            if opened.format == "PNG":
                opened.verify()
            else:
                opened.draft("RGB", (64, 64))  # a JPEG is then decoded at low resolution, yet to its end
                opened.load()
    except Exception as error:  # noqa: BLE001 - decoders raise anything on damaged bytes; the reason is passed on
        reason = str(error).partition("\n")[0].replace(str(path), "the file") or type(error).__name__
        return f"broken: {reason}"
    return ""
