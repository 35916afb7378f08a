"""The scenes file of CLEVR v1.0 (Johnson et al. 2017): a JSON object with a list `scenes`, objects with attributes.

Of each object size, color, material and shape are read, and pixel_coords or 3d_coords, which say where it stands; of
each scene image_filename and split. Objects are ordered from left to right.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from bindscope.errors import StoreError, TableError

CONCEPTS = ("size", "color", "material", "shape")


def clevr_scenes(path: Path) -> list[dict[str, Any]] | None:
    """The scenes of a JSON file in this layout; None for any other content."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    scenes = content.get("scenes") if isinstance(content, dict) else None
    if not isinstance(scenes, list):
        return None
    return scenes if all(isinstance(s, dict) and isinstance(s.get("objects"), list) for s in scenes) else None


def clevr_cells(path: Path) -> dict[str, list[str | None]]:
    """Columns filename, split (where given) and object{i}_{concept}, slot 1 leftmost; a missing object is None.

    Raises StoreError for another file, TableError for a scene that lacks a word or a place.
    """
    scenes = clevr_scenes(path)
    if scenes is None:
        raise StoreError(
            f"{path}: not the scenes of CLEVR v1.0 (a JSON object with a list `scenes` of `objects`); "
            "a label table is a .csv, .tsv, .jsonl or .parquet file"
        )
    if not scenes:
        raise TableError(f"{path}: the list of scenes is empty; it needs at least one scene")
    cells: dict[str, list[str | None]] = {
        "filename": [_word(f"{path}: scene {i}", scene, "image_filename") for i, scene in enumerate(scenes)]
    }
    if all(isinstance(scene.get("split"), str) for scene in scenes):
        cells["split"] = [scene["split"] for scene in scenes]
    ordered = [_left_to_right(f"{path}: scene {i}", scene) for i, scene in enumerate(scenes)]
    for slot in range(max(map(len, ordered))):
        for concept in CONCEPTS:
            cells[f"object{slot + 1}_{concept}"] = [
                _word(f"{path}: scene {i}", row[slot], concept) if slot < len(row) else None
                for i, row in enumerate(ordered)
            ]
    return cells


def _word(where: str, record: Any, key: str) -> str:
    word = record.get(key) if isinstance(record, dict) else None
    if not isinstance(word, str) or not word.strip():
        raise TableError(f"{where} (from 0): {key} must be a word, got {str(word)[:40]!r}")
    return word


def _left_to_right(where: str, scene: Mapping[str, Any]) -> list[Any]:
    """Objects by the column of their pixels; without those, along the camera's direction to the right, else by x."""
    directions = scene.get("directions")
    right = directions.get("right") if isinstance(directions, dict) else None

    def place(thing: Any) -> float:
        pixels, world = (thing.get(key) if isinstance(thing, dict) else None for key in ("pixel_coords", "3d_coords"))
        if _is_point(pixels):
            return float(pixels[0])
        if _is_point(world):
            return sum(a * b for a, b in zip(world, right, strict=False)) if _is_point(right) else float(world[0])
        raise TableError(
            f"{where} (from 0): an object has neither pixel_coords nor 3d_coords, which say where it stands"
        )

    return sorted(scene["objects"], key=place)


def _is_point(given: Any) -> TypeGuard[list[float]]:
    return (
        isinstance(given, list)
        and len(given) > 1
        and all(isinstance(x, (int, float)) and not isinstance(x, bool) and abs(x) < 1e9 for x in given)
    )
