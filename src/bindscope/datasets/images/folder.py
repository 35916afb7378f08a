"""`folder:DIR`: images with a label table, in our own layout or in that of others.

The table (labels.csv, or another of the formats of module `columns`) has a column `filename` (or file, image, path),
relative to DIR, and says what each image shows, by `object{i}_{concept}` columns or in the layout of PUG:SPARE (module
`pug`). The scenes file of CLEVR v1.0 is read too (module `clevr`). scenes.json, which `bindscope render` writes, keeps
what a table of words cannot: the order of values, the candidates, the names of the places.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.concepts import ConceptSpace, IntArray
from bindscope.datasets.clevr import clevr_scenes
from bindscope.datasets.columns import Columns, is_table, read_columns, write_columns
from bindscope.datasets.images.thumbnails import pillow
from bindscope.datasets.images.vocabulary import worded_queries
from bindscope.datasets.items import Dataset, Items
from bindscope.datasets.labels import OPTIONS as LABEL_OPTIONS
from bindscope.datasets.labels import (
    Labelled,
    Reading,
    label_column,
    label_columns,
    labelled_scenes,
    row_names,
)
from bindscope.errors import InputError, StoreError, TableError
from bindscope.files import whole_file
from bindscope.names import Option, read_options, split_options
from bindscope.scenes import SceneTable

LABELS, SIDECAR, SCHEMA = "labels.csv", "scenes.json", 1
SIDECAR_KEYS = {"schema", "concepts", "candidates", "slots"}
_OWN = re.compile(rb'\{"schema": [0-9]+(?:,|\}|\Z)')  # how the file that `render` writes begins
FILE_COLUMNS = ("filename", "file", "image", "path", "file_name", "image_path")
FOLDER_COLUMNS = ("world_name", "split")  # pictures may lie in a folder of that name
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"})
MAX_PIXELS = 2**27  # of one picture; more are an error or an attack
SHOWN = 5  # names in a message
OPTIONS = {
    "labels": Option(None),
    "skip_broken": Option(False, bool),
    "outside": Option(False, bool),
    **LABEL_OPTIONS,
}
DEFAULTS = ("labels", "skip_broken", "world")  # options that are recorded in any case


def load_folder(rest: str, name: str) -> Dataset:
    """The data set of a directory. Raises StoreError or TableError in one line; notes images without labels."""
    base, query = split_options(rest, is_path=True)
    options = read_options(query, OPTIONS, "folder:")
    folder = Path(base).expanduser()
    columns = read_columns(_labels_file(folder, options["labels"]), _wanted)
    kept, notes = _sidecar(folder, columns.path)
    space = None if kept is None else ConceptSpace.of(kept["concepts"])
    found = labelled_scenes(columns, space, Reading.of(options))
    table, slots = found.table, found.slots
    if space is not None and kept is not None:
        table = SceneTable.build(space, table.values, table.present, table.replicate, table.visible, kept["candidates"])
        slots = tuple(kept["slots"])
    paths = _paths(folder, found, options["outside"])
    good, broken = _usable(folder, paths, options["skip_broken"])
    table, paths = table.take(good), [paths[i] for i in good.tolist()]
    notes += [*found.notes, *broken, *_unlabelled(folder, columns)]
    objects, values = worded_queries(table)
    return Dataset(
        name,
        "image",
        table,
        Items(table.values, np.arange(len(table)), "scene", images=tuple(paths)),
        objects,
        values,
        {key: value for key, value in options.items() if value or key in DEFAULTS},
        slots=slots,
        notes=tuple(notes),
        row_names=row_names(found.columns, found.rows[good]),
    )


def _wanted(header: str) -> bool:
    return label_column(header) or header in FILE_COLUMNS or header in FOLDER_COLUMNS


def _labels_file(folder: Path, chosen: str | None) -> Path:
    if not folder.is_dir():
        raise StoreError(f"{folder} is no directory; folder: takes a directory of images with a labels.csv")
    if chosen is not None:
        return folder / chosen
    files = sorted(file for file in folder.iterdir() if file.is_file())
    own = [file for file in files if is_table(file) and file.name.partition(".")[0] == "labels"]
    if len(own) > 1:
        names = ", ".join(file.name for file in own)
        raise StoreError(f"{folder} has several label tables ({names}); choose one with ?labels={own[0].name}")
    if own:
        return own[0]
    scenes = folder / SIDECAR
    if scenes.is_file() and clevr_scenes(scenes):
        return scenes
    others = [file.name for file in files if is_table(file)]
    others += [f"scenes/{file.name}" for file in sorted((folder / "scenes").glob("*.json"))]
    hint = f"; if it is {others[0]}, add ?labels={others[0]}" if others else ""
    raise StoreError(f"{folder} has no labels.csv, which says what each image shows{hint}")


def _sidecar(folder: Path, labels: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """What scenes.json adds to the table where it is one of ours, and a note where it is somebody else's."""
    file = folder / SIDECAR
    if not file.is_file() or file == labels:
        return None, []
    try:
        content = file.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read {file}: {error.strerror or error}") from error
    kept = _parsed(content)
    if not _is_own(content, kept):
        return None, [f"{file} was not written by bindscope and is left alone"]
    if not isinstance(kept, dict):
        raise StoreError(f"{file} is damaged: it is cut short; render again, or remove it")
    if kept["schema"] != SCHEMA:
        raise StoreError(
            f"{file} has schema {kept['schema']!r}, this version reads {SCHEMA}; render again, or remove it"
        )
    fault = _sidecar_fault(kept)
    if fault:
        raise StoreError(f"{file} is damaged ({fault}); render again, or remove it")
    return kept, []


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _is_own(content: bytes, parsed: Any) -> bool:
    """Whether a scenes.json is one that `render` wrote, whole or cut short."""
    if parsed is None:
        return _OWN.match(content) is not None
    if not isinstance(parsed, dict) or not isinstance(parsed.get("schema"), int):
        return False
    return set(parsed) >= SIDECAR_KEYS or set(parsed) <= SIDECAR_KEYS


def _sidecar_fault(kept: dict[str, Any]) -> str:
    """What is wrong with the shape of our own sidecar; empty where it is whole."""
    if not set(kept) >= SIDECAR_KEYS:
        return f"no {min(SIDECAR_KEYS - set(kept))}"
    pairs, slots, candidates = kept["concepts"], kept["slots"], kept["candidates"]
    if not isinstance(pairs, list) or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
        return "concepts are not pairs of a name and values"
    if not all(isinstance(n, str) and isinstance(v, list) and all(isinstance(w, str) for w in v) for n, v in pairs):
        return "concepts are not words"
    if not isinstance(slots, list) or not all(isinstance(slot, str) for slot in slots):
        return "slots are not words"
    whole = isinstance(candidates, list) and all(isinstance(i, int) and abs(i) < 2**62 for i in candidates)
    return "" if whole else "candidates are not whole numbers"


def _paths(folder: Path, found: Labelled, outside: bool) -> list[Path]:
    """The image of each row; every row needs its own."""
    columns = found.columns
    column = _file_column(columns)
    names = columns.words(column)
    empty = [row for row, word in enumerate(names) if word is None]
    if empty:
        raise TableError(f"{columns.path}: {columns.place(empty[0])} has no {column}; name the image of every row")
    paths = [_place(folder, str(word), inner) for word, inner in zip(names, _inner_folders(columns), strict=True)]
    if not outside:
        _refuse_outside(folder, columns, paths)
    _refuse_twice(folder, columns, paths)
    return paths


def _file_column(columns: Columns) -> str:
    column = next((name for name in FILE_COLUMNS if name in columns.names), None)
    if column is None:
        shown = ", ".join(columns.header[:6])
        raise TableError(f"{columns.path}: no column filename, which names the image of each row; its columns: {shown}")
    return column


def _inner_folders(columns: Columns) -> list[str | None]:
    """The folder in which each row's picture may lie: that of its world or split."""
    column = next((name for name in FOLDER_COLUMNS if name in columns.names), None)
    return [None] * len(columns.cells[columns.names[0]]) if column is None else columns.words(column)


def _place(folder: Path, name: str, inner: str | None) -> Path:
    """Where a picture lies: in the folder of its world or split, else in the directory, or below their `images`."""
    slashed = name.replace("\\", "/")
    tries = [f"{inner}/{slashed}"] if inner else []
    tries += [name, slashed]
    places = [base / one for one in tries for base in (folder, folder / "images")]
    return next((place for place in places if os.path.lexists(place)), folder / slashed)


def _refuse_outside(folder: Path, columns: Columns, paths: Sequence[Path]) -> None:
    """Pictures elsewhere on the machine would end up on contact sheets, which are shared."""
    home = os.path.realpath(folder)
    for row, path in enumerate(paths):
        if os.path.commonpath([home, os.path.realpath(path)]) != home:
            raise StoreError(
                f"{columns.path}: {columns.place(row)}: the image {_shown(path, folder)!r} leaves {folder}; "
                "copy it there, or allow such paths with ?outside=true"
            )


def _refuse_twice(folder: Path, columns: Columns, paths: Sequence[Path]) -> None:
    same = [os.path.normpath(path) for path in paths]
    twice = [path for path, times in Counter(same).items() if times > 1]
    if twice:
        first, second = [row for row, word in enumerate(same) if word == twice[0]][:2]
        raise TableError(
            f"{columns.path}: {len(twice)} images stand in more than one row, e.g. {_shown(Path(twice[0]), folder)} in "
            f"{columns.place(first)} and {columns.place(second)}; keep one row for each image"
        )


def _usable(folder: Path, paths: list[Path], skip: bool) -> tuple[IntArray, list[str]]:
    """Rows whose image can be read, and a note on the others; those are refused unless they are to be skipped."""
    bad = faults(paths)
    if not bad:
        return np.arange(len(paths), dtype=np.int64), []
    names = [f"{_shown(paths[i], folder)} ({fault})" for i, fault in bad.items()]
    what = f"{len(bad)} of {len(paths)} images cannot be read: {listed(names)}"
    if not skip:
        raise StoreError(f"{folder}: {what}; mend them, or leave them out with ?skip_broken=true")
    if len(bad) == len(paths):
        raise StoreError(f"{folder}: no image can be read: {listed(names)}")
    good = np.array([i for i in range(len(paths)) if i not in bad], dtype=np.int64)
    return good, [f"{folder}: {what}; left out"]


def _unlabelled(folder: Path, columns: Columns) -> list[str]:
    """A note on images in the directory that no row of the file (of any world) names."""
    known = {
        os.path.realpath(_place(folder, word, inner))
        for word, inner in zip(columns.words(_file_column(columns)), _inner_folders(columns), strict=True)
        if word
    }
    left = [_shown(path, folder) for path in images_below(folder) if os.path.realpath(path) not in known]
    if not left:
        return []
    return [f"{folder}: {len(left)} images have no row in {columns.path.name} and are left out: {listed(left)}"]


def _shown(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


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
    """Empty for a whole image: its checksums are right and all its pixels can be decoded."""
    if not os.path.isfile(path):
        return "missing"
    try:
        with image.open(path) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                return f"declares {opened.width} x {opened.height} pixels in {path.stat().st_size} bytes"
            checked = opened.format == "PNG"
            if checked:
                opened.verify()
            else:
                opened.draft("RGB", (64, 64))  # a JPEG is then decoded at low resolution, yet to its end
                opened.load()
        if checked:  # the checksums say nothing of what is packed in them
            with image.open(path) as opened:
                opened.load()
    except Exception as error:  # noqa: BLE001 - decoders raise anything on damaged bytes; the reason is passed on
        reason = str(error).partition("\n")[0].replace(str(path), "the file") or type(error).__name__
        return f"broken: {reason}"
    return ""


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


def sidecar_text(table: SceneTable, slots: tuple[str, ...]) -> str:
    """scenes.json of a table."""
    concepts = [[concept.name, list(concept.values)] for concept in table.space.concepts]
    content = {"schema": SCHEMA, "concepts": concepts, "candidates": table.candidates.tolist(), "slots": list(slots)}
    return json.dumps(content, ensure_ascii=False) + "\n"


def _refuse_foreign(place: Path) -> None:
    if place.exists() and (not place.is_dir() or (any(place.iterdir()) and not _was_rendered(place))):
        raise StoreError(f"{place} exists and is no folder of rendered images; give another --out or empty it")


def _was_rendered(place: Path) -> bool:
    file = place / SIDECAR
    if not file.is_file():
        return False
    content = file.read_bytes()
    return _is_own(content, _parsed(content))


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
