"""Small pictures on disk, and items that show them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from bindscope.concepts import Concept, ConceptSpace
from bindscope.datasets.items import Dataset, Items, query_items
from bindscope.scenes import SceneTable

SPACE = ConceptSpace((Concept("colour", ("red", "blue", "green")), Concept("shape", ("cube", "ball", "cone"))))


def write_pictures(folder: Path, count: int, size: tuple[int, int] = (48, 40), seed: int = 0) -> tuple[Path, ...]:
    """Blurred noise as PNG and JPEG by turns."""
    rng = np.random.default_rng(seed)
    paths = []
    for i in range(count):
        small = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        path = folder / f"{i:03d}.{'png' if i % 2 == 0 else 'jpg'}"
        Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(path)
        paths.append(path)
    return tuple(paths)


def image_items(paths: Sequence[Path]) -> Items:
    """Scene items that show files; what their scenes are does not matter to an encoder."""
    return Items(np.zeros((len(paths), 2, 2), dtype=np.int64), np.arange(len(paths)), "scene", images=tuple(paths))


def text_items(texts: Sequence[str], kind: str = "scene") -> Items:
    """Items that show texts."""
    return Items(np.zeros((len(texts), 2, 2), dtype=np.int64), np.arange(len(texts)), kind, texts=tuple(texts))


def image_dataset(folder: Path, count: int = 20) -> Dataset:
    """A picture for each of some two-object scenes, with worded queries."""
    ids = np.random.default_rng(1).permutation(81)[:count]
    values = np.stack([SPACE.object_values(ids // 9), SPACE.object_values(ids % 9)], axis=1)
    table = SceneTable.build(SPACE, values)
    objects, by_concept = query_items(table)
    worded = [_worded(items) for items in (objects, *by_concept)]
    items = Items(table.values, np.arange(count), "scene", images=write_pictures(folder, count))
    return Dataset("pictures", "image", table, items, worded[0], tuple(worded[1:]))


def _worded(items: Items) -> Items:
    words = [concept.values for concept in SPACE.concepts]
    texts = [" ".join(words[k][i] for k, i in enumerate(row) if i >= 0) for row in items.values[:, 0].tolist()]
    return Items(items.values, items.rows, items.kind, texts=tuple(f"a {text}" for text in texts))
