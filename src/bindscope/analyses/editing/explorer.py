"""The explorer's data: for some scenes, every edit with the nearest real scenes before and after it.

Kept beside the records as explorer.json, small enough to stand in the report: a seeded sample of scenes, all their slots,
and the objects that may stand there instead (those that differ in one value first).
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.analyses.editing.cases import Cases, drawn, object_cases
from bindscope.analyses.editing.object_vectors import ObjectVectors, object_vectors
from bindscope.analyses.editing.ranking import Gallery, nearest
from bindscope.concepts import ABSENT
from bindscope.datasets import Dataset
from bindscope.embeddings import Embeddings
from bindscope.streams import stream

FILE = "explorer.json"
ESTIMATOR = "ols+pos"
NEIGHBOURS = 5
MOST_EDITS = 6_000  # of captions, each with NEIGHBOURS rows
MOST_PICTURES = 500  # of images, each of some 2 kB
MOST_OBJECTS = 100
SIDE = 96  # pixels of a thumbnail
Vectors = np.ndarray[Any, Any]


def explorer(main: Embeddings, rows: Vectors, dataset: Dataset, seed: int) -> dict[str, Any] | None:
    """What explorer.json holds: `main`, scenes of one number of objects, are the rows `rows` of the data set.

    None where no edit can be shown. Object vectors by `ols+pos`, the base and the target scene left out where that can be
    done.
    """
    cases = _chosen(main, seed, dataset.items.images is not None)
    if not len(cases):
        return None
    table = main.table
    fitted = object_vectors(main.vectors, table, ESTIMATOR)
    gallery = Gallery.of(main.vectors, table)
    found, cosines = nearest(gallery, _edited(fitted, cases), NEIGHBOURS)
    bases = np.unique(cases.row)
    before, theirs = nearest(gallery, np.asarray(main.vectors[bases], dtype=np.float64), NEIGHBOURS)
    _, first = np.unique(table.scene_ids, return_index=True)
    wanted = first[cases.target]
    scenes = []
    for i, row in enumerate(bases.tolist()):
        mine = np.flatnonzero(cases.row == row)
        edits = [
            [int(cases.slot[j]), int(cases.new[j]), int(wanted[j]), _flat(found[j], cosines[j])] for j in mine.tolist()
        ]
        scenes.append(
            {
                "row": row,
                "objects": [int(code) for code in table.object_codes[row]],
                "before": _flat(before[i], theirs[i]),
                "edits": edits,
            }
        )
    used = np.unique(np.concatenate([bases, found.ravel(), before.ravel(), wanted]))
    return {
        "estimator": ESTIMATOR,
        "objects": {str(c): table.object_name(c) for c in sorted(_codes(cases, table.object_codes[bases]))},
        "scenes": scenes,
        "shown": {str(row): _shown(dataset, int(rows[row]), main, row) for row in used.tolist()},
    }


def as_json(content: dict[str, Any]) -> str:
    """The text of explorer.json."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True) + "\n"


def _chosen(main: Embeddings, seed: int, pictures: bool) -> Cases:
    """Edits of a few scenes, grouped by scene; fewer where every neighbour is a picture."""
    table = main.table
    objects = min(table.n_objects - 1, 12 if pictures else MOST_OBJECTS)
    budget = MOST_PICTURES // 2 if pictures else MOST_EDITS
    count = max(2, min(60, budget // max(1, table.headline_count * objects)))
    rng = stream(seed, "explored scenes")
    rows = np.sort(rng.permutation(len(table))[:count])
    cases, _ = object_cases(table, rows)
    values = table.candidate_values
    apart = (values[cases.new] != values[cases.old]).sum(axis=1)
    order = np.lexsort((cases.new, apart, cases.slot, cases.row))
    group = cases.row[order] * table.n_slots + cases.slot[order]
    starts = np.r_[0, np.flatnonzero(np.diff(group)) + 1] if len(order) else np.zeros(0, dtype=np.int64)
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    kept = np.sort(order[place < objects])
    return drawn(cases.take(kept), 20_000, seed)


def _edited(fitted: ObjectVectors, cases: Cases) -> Vectors:
    left_out, plain = fitted.weights(cases, leave_out=True), fitted.weights(cases)
    without, within = fitted.edited(cases, left_out), fitted.edited(cases, plain)
    return np.where(left_out.testable[:, None], without, within)


def _codes(cases: Cases, codes: Vectors) -> set[int]:
    return {int(c) for c in np.unique(np.concatenate([cases.new, codes.ravel()])) if c != ABSENT}


def _flat(rows: Vectors, cosines: Vectors) -> list[list[float]]:
    return [[int(row), round(float(cosine), 4)] for row, cosine in zip(rows, cosines, strict=True)]


def _shown(dataset: Dataset, item: int, main: Embeddings, row: int) -> dict[str, str]:
    """A scene as the reader sees it: its caption or a thumbnail, and always its objects in words."""
    out = {"words": main.table.describe(row)}
    if dataset.items.texts is not None:
        out["text"] = dataset.items.texts[item]
    if dataset.items.images is not None:
        picture = thumbnail(dataset.items.images[item])
        if picture is not None:
            out["image"] = picture
    return out


def thumbnail(path: Path) -> str | None:
    """A small JPEG as a data address; None without Pillow, or where the file is no image."""
    try:
        from PIL import Image
    except ImportError:
        return None  # the scene is then shown in words
    try:
        with Image.open(path) as picture:
            small = picture.convert("RGB")
            small.thumbnail((SIDE, SIDE))
            buffer = io.BytesIO()
            small.save(buffer, "JPEG", quality=80)
    except OSError:
        return None
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
