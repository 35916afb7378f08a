"""`folder:DIR`: images with a label table, in our own layout or in that of others.

labels.csv (or labels.parquet) has a column `filename` (or file, image, path), relative to DIR, and says what each image
shows, either by `object{i}_{concept}` columns as in a bare label table, or in the layout of PUG:SPARE (module `pug`).
scenes.json, which `bindscope render` writes, keeps what a table of words cannot: the order of values, the candidates,
the names of the places.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.concepts import ConceptSpace
from bindscope.datasets.columns import Columns, read_columns, write_columns
from bindscope.datasets.images import pug
from bindscope.datasets.images.captions import worded_queries
from bindscope.datasets.images.thumbnails import pillow
from bindscope.datasets.items import Dataset, Items
from bindscope.datasets.labels import label_columns, labelled_scenes, wanted
from bindscope.errors import BindscopeWarning, InputError, StoreError, TableError
from bindscope.files import whole_file
from bindscope.names import Option, read_options, split_options
from bindscope.scenes import SceneTable

SIDECAR, SCHEMA = "scenes.json", 1
FILE_COLUMNS = ("filename", "file", "image", "path", "file_name", "image_path")
OPTIONS = {
    "labels": Option(None),
    "skip_broken": Option(False, bool),
    "world": Option(None),
}


def load_folder(rest: str, name: str) -> Dataset:
    """The data set of a directory. Raises StoreError or TableError in one line; warns of images without labels."""
    base, query = split_options(rest)
    options = read_options(query, OPTIONS, "folder:")
    folder = Path(base).expanduser()
    columns = read_columns(_labels_file(folder, options["labels"]), _wanted)
    if pug.fits(columns.header):
        columns, slots = pug.objects(columns, options["world"])
    elif options["world"] is not None:
        raise TableError(
            f"{columns.path}: world= selects rows by their column world_name, and there is none; leave it out"
        )
    else:
        slots = ()
    table, slots = _scenes(folder, columns, slots)
    paths = _paths(folder, columns)
    table, paths = _usable(folder, table, paths, options["skip_broken"])
    _warn_unlabelled(folder, columns)
    objects, values = worded_queries(table)
    items = Items(table.values, np.arange(len(table)), "scene", images=tuple(paths))
    return Dataset(name, "image", table, items, objects, values, options, slots=slots)


def _wanted(header: str) -> bool:
    return wanted(header) or header in FILE_COLUMNS or header in pug.COLUMNS


def _labels_file(folder: Path, chosen: str | None) -> Path:
    if not folder.is_dir():
        raise StoreError(f"{folder} is no directory; folder: takes a directory of images with a labels.csv")
    if chosen is not None:
        return folder / chosen
    for name in ("labels.csv", "labels.parquet"):
        if (folder / name).is_file():
            return folder / name
    others = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in (".csv", ".parquet"))
    hint = f"; if it is {others[0]}, add ?labels={others[0]}" if others else ""
    raise StoreError(f"{folder} has no labels.csv, which says what each image shows{hint}")


def _scenes(folder: Path, columns: Columns, slots: tuple[str, ...]) -> tuple[SceneTable, tuple[str, ...]]:
    """The table, with what scenes.json adds to it where there is one."""
    kept = _sidecar(folder)
    if kept is None:
        return labelled_scenes(columns), slots
    space = ConceptSpace.of(kept["concepts"])
    table = labelled_scenes(columns, space)
    return (
        SceneTable.build(space, table.values, table.present, table.replicate, table.visible, kept["candidates"]),
        tuple(kept["slots"]),
    )


def _sidecar(folder: Path) -> dict[str, Any] | None:
    file = folder / SIDECAR
    if not file.is_file():
        return None
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        schema = kept["schema"]
        if schema == SCHEMA:
            return {"concepts": kept["concepts"], "candidates": kept["candidates"], "slots": kept["slots"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{file} is damaged ({type(error).__name__}: {error}); render again, or remove it") from error
    raise StoreError(f"{file} has schema {schema!r}, this version reads {SCHEMA}; render again, or remove it")


def _paths(folder: Path, columns: Columns) -> list[Path]:
    """The image of each row; every row needs its own."""
    column = next((name for name in FILE_COLUMNS if name in columns.names), None)
    if column is None:
        shown = ", ".join(columns.header[:6])
        raise TableError(f"{columns.path}: no column filename, which names the image of each row; its columns: {shown}")
    names = columns.words(column)
    empty = [row for row, word in enumerate(names) if word is None]
    if empty:
        raise TableError(f"{columns.path}: {columns.place(empty[0])} has no {column}; name the image of every row")
    _refuse_twice(columns, names)
    return [_place(folder, str(word)) for word in names]


def _refuse_twice(columns: Columns, names: Sequence[str | None]) -> None:
    same = [os.path.normpath(str(word)) for word in names]
    twice = [word for word, times in Counter(same).items() if times > 1]
    if twice:
        first, second = [row for row, word in enumerate(same) if word == twice[0]][:2]
        raise TableError(
            f"{columns.path}: {len(twice)} images stand in more than one row, e.g. {twice[0]} in "
            f"{columns.place(first)} and {columns.place(second)}; keep one row for each image"
        )


def _place(folder: Path, name: str) -> Path:
    """Relative to the directory, else to its subfolder `images`."""
    place = folder / name.replace("\\", "/")
    inner = folder / "images" / name
    return inner if not place.exists() and inner.exists() else place


def _usable(folder: Path, table: SceneTable, paths: list[Path], skip: bool) -> tuple[SceneTable, list[Path]]:
    """Table and images without those that cannot be read; refused unless they are to be skipped."""
    bad = faults(paths)
    if not bad:
        return table, paths
    names = [f"{_shown(paths[i], folder)} ({fault})" for i, fault in bad.items()]
    what = f"{len(bad)} of {len(paths)} images cannot be read: {listed(names)}"
    if not skip:
        raise StoreError(f"{folder}: {what}; mend them, or leave them out with ?skip_broken=true")
    if len(bad) == len(paths):
        raise StoreError(f"{folder}: no image can be read: {listed(names)}")
    warnings.warn(f"{folder}: {what}; left out", BindscopeWarning, stacklevel=4)
    good = np.array([i for i in range(len(paths)) if i not in bad], dtype=np.int64)
    return table.take(good), [paths[i] for i in good.tolist()]


def _warn_unlabelled(folder: Path, columns: Columns) -> None:
    """Images in the directory that no row of the file (of any world) names."""
    column = next(name for name in FILE_COLUMNS if name in columns.names)
    every = read_columns(columns.path, lambda header: header == column).words(column)
    known = {os.path.realpath(_place(folder, word)) for word in every if word}
    left = [_shown(path, folder) for path in images_below(folder) if os.path.realpath(path) not in known]
    if left:
        warnings.warn(
            f"{folder}: {len(left)} images have no row in {columns.path.name} and are left out: {listed(left)}",
            BindscopeWarning,
            stacklevel=3,
        )


def _shown(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def sidecar_text(table: SceneTable, slots: tuple[str, ...]) -> str:
    """scenes.json of a table."""
    concepts = [[concept.name, list(concept.values)] for concept in table.space.concepts]
    content = {"schema": SCHEMA, "concepts": concepts, "candidates": table.candidates.tolist(), "slots": list(slots)}
    return json.dumps(content, ensure_ascii=False) + "\n"


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
