"""A folder of images with labels that `folder:` reads back to the same table."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from bindscope.datasets.columns import write_columns
from bindscope.datasets.images.folder import SIDECAR, sidecar_text
from bindscope.datasets.items import Dataset
from bindscope.datasets.labels import label_columns
from bindscope.datasets.whole import whole_file
from bindscope.errors import InputError, StoreError

LABELS = "labels.csv"


def write_folder(dataset: Dataset, directory: str | Path) -> Path:
    """Write images, labels.csv and scenes.json; the directory appears whole or not at all.

    An older folder of this kind is replaced. Raises InputError for data without images, StoreError where the place is
    taken by something else or cannot be written.
    """
    if dataset.items.images is None:
        raise InputError(f"{dataset.name} has no images to write; render takes clevr2d:, clevr: or folder: data")
    place = Path(directory)
    _refuse_foreign(place)
    partial = place.with_name(f".{place.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        _fill(dataset, partial)
        _replace(partial, place)
    except OSError as error:
        raise StoreError(f"cannot write {place}: {error.strerror or error}; give another --out") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return place


def _refuse_foreign(place: Path) -> None:
    if place.exists() and (not place.is_dir() or (any(place.iterdir()) and not (place / SIDECAR).is_file())):
        raise StoreError(f"{place} exists and is no folder of rendered images; give another --out or empty it")


def _fill(dataset: Dataset, folder: Path) -> None:
    width = max(6, len(str(len(dataset))))
    names = [f"{row:0{width}d}{image.suffix.lower()}" for row, image in enumerate(dataset.items.images or ())]
    for name, image in zip(names, dataset.items.images or (), strict=True):
        shutil.copyfile(image, folder / name)
    columns: dict[str, Any] = {"filename": names, **label_columns(dataset.table)}
    write_columns(columns, folder / LABELS)
    with whole_file(folder / SIDECAR) as file:
        file.write_text(sidecar_text(dataset.table, dataset.slots), encoding="utf-8")


def _replace(new: Path, place: Path) -> None:
    if place.exists():
        old = place.with_name(f".{place.name}.old-{os.getpid()}")
        os.replace(place, old)
        os.replace(new, place)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(new, place)
