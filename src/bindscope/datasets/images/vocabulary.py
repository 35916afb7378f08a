"""What can be drawn, and how it is said: words of colours, shapes, sizes, materials and places, captions and queries.

The colours keep their distance for colour-blind eyes too, which `smallest_distance` measures.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np

from bindscope.concepts import ABSENT, ConceptSpace
from bindscope.datasets.captions import LEADS, Template, phrases_of, said_place
from bindscope.datasets.items import Items, query_items
from bindscope.errors import InputError, UnknownNameError
from bindscope.scenes import FloatArray, SceneTable

# Red, green, blue in 0..255. The lightness differs wherever a colour-blind eye mixes the hues up.
COLORS: dict[str, tuple[int, int, int]] = {
    "red": (226, 31, 20),
    "blue": (31, 42, 180),
    "green": (15, 148, 93),
    "yellow": (240, 210, 80),
    "purple": (146, 104, 222),
    "cyan": (3, 195, 225),
    "brown": (93, 45, 25),
    "gray": (103, 103, 103),
    "orange": (250, 142, 0),
    "pink": (242, 165, 185),
    "black": (24, 24, 22),
    "white": (252, 252, 252),
}
FLAT_SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond", "ring", "heart")
SOLID_SHAPES = ("cube", "sphere", "cylinder", "cone", "pyramid", "prism")
SIZES = {1: ("large",), 2: ("small", "large"), 3: ("small", "medium", "large")}
SCALES = {"small": 0.6, "medium": 0.8, "large": 1.0}
MATERIALS = ("rubber", "metal")
MAX_OBJECTS = 6
PLACES = {
    1: ("middle",),
    2: ("left", "right"),
    3: ("left", "middle", "right"),
    4: ("top left", "top right", "bottom left", "bottom right"),
    5: ("top left", "top middle", "top right", "bottom left", "bottom right"),
    6: ("top left", "top middle", "top right", "bottom left", "bottom middle", "bottom right"),
}


# Machado, Oliveira and Fernandes 2009, severity 1, on linear sRGB.
VISION: dict[str, FloatArray] = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65


def drawn_space(base: str, owner: str, shapes: tuple[str, ...], sizes: int = 1, materials: int = 1) -> ConceptSpace:
    """Concepts of `CxS`: the first C colours and S shapes, with sizes and materials where there are several.

    >>> drawn_space("2x2", "clevr2d:", FLAT_SHAPES, sizes=2).names
    ('size', 'color', 'shape')
    """
    numbers = base.lower().split("x")
    if len(numbers) != 2 or not all(number.isascii() and number.isdigit() for number in numbers):
        raise InputError(f"{owner} expects CxS, the numbers of colours and shapes, such as {owner}8x3, got {base!r}")
    counts = [int(number) for number in numbers]
    for count, words, kind in zip(counts, (COLORS, shapes), ("colours", "shapes"), strict=True):
        if not 1 <= count <= len(words):
            raise InputError(f"{owner}{base}: the number of {kind} must be in 1..{len(words)}, got {count}")
    concepts = [("color", tuple(COLORS)[: counts[0]]), ("shape", shapes[: counts[1]])]
    if materials > 1:
        concepts.insert(1, ("material", MATERIALS[:materials]))
    if sizes > 1:
        concepts.insert(0, ("size", SIZES[sizes]))
    return ConceptSpace.of(concepts)


def smallest_distance(colors: FloatArray, vision: str = "normal") -> tuple[float, tuple[int, int]]:
    """The smallest CIEDE2000 distance between any two of the colours `[k, 3]`, k >= 2, and which two they are.

    vision: normal, protanopia or deuteranopia.

    >>> round(smallest_distance(np.array([[255.0, 0, 0], [0, 128, 0]]))[0]) > 50
    True
    """
    if vision not in VISION:
        raise UnknownNameError("vision", vision, VISION)
    seen = lab(np.clip(linear(colors) @ VISION[vision].T, 0.0, 1.0))
    pairs = list(combinations(range(len(colors)), 2))
    first, second = (seen[[pair[i] for pair in pairs]] for i in (0, 1))
    distances = ciede2000(first, second)
    nearest = int(np.argmin(distances))
    return float(distances[nearest]), pairs[nearest]


def linear(colors: FloatArray) -> FloatArray:
    """sRGB in 0..255 as linear light in 0..1 (IEC 61966-2-1)."""
    share = np.asarray(colors, dtype=np.float64) / 255.0
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(light: FloatArray) -> FloatArray:
    """CIELAB `[k, 3]` of linear sRGB `[k, 3]`, for D65."""
    ratio = light @ _TO_XYZ.T / _WHITE
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def ciede2000(first: FloatArray, second: FloatArray) -> FloatArray:
    """CIEDE2000 distances `[k]` of CIELAB colours `[k, 3]` (Sharma, Wu and Dalal 2005, all weights 1)."""
    (l1, a1, b1), (l2, a2, b2) = first.T, second.T
    mean_c = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7)))
    c1, c2 = np.hypot((1 + g) * a1, b1), np.hypot((1 + g) * a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, (1 + g) * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    gray = c1 * c2 == 0
    turn = np.where(gray, 0.0, (h2 - h1 + 180) % 360 - 180)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2)
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    mean_h = np.where(gray, h1 + h2, (h1 + turn / 2) % 360)
    t = (
        1
        - 0.17 * np.cos(np.radians(mean_h - 30))
        + 0.24 * np.cos(np.radians(2 * mean_h))
        + 0.32 * np.cos(np.radians(3 * mean_h + 6))
        - 0.20 * np.cos(np.radians(4 * mean_h - 63))
    )
    sl = 1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2)
    sc, sh = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * t
    bend = np.sin(np.radians(60 * np.exp(-(((mean_h - 275) / 25) ** 2)))) * -2
    rt = bend * np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7))
    dl, dc, dh = (l2 - l1) / sl, (c2 - c1) / sc, dh / sh
    return np.asarray(np.sqrt(np.maximum(dl**2 + dc**2 + dh**2 + rt * dc * dh, 0.0)))


QUERY = Template("a {object}")


def scene_captions(table: SceneTable, wording: int = 0, slots: tuple[str, ...] = ()) -> tuple[str, ...]:
    """A caption for every row: "a red cube and a blue sphere", objects in slot order.

    wording: which of the built-in openings ("", "a photo of ", ...). slots: names of the places, to say them too
    ("a red cube on the left and ..."), where a scene has several objects. Raises InputError for a wording that is not built in.
    """
    if not 0 <= wording < len(LEADS):
        raise InputError(f"wording must be in 0..{len(LEADS) - 1}, got {wording}")
    names = object_phrases(table)
    said = [" " + said_place(slot) if slots else "" for slot in slots or ("",) * table.n_slots]
    captions = []
    for codes in table.object_codes.tolist():
        alone = sum(code != ABSENT for code in codes) == 1
        parts = [f"a {names[code]}{'' if alone else said[slot]}" for slot, code in enumerate(codes) if code != ABSENT]
        captions.append(LEADS[wording] + (parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]))
    return tuple(captions)


def object_phrases(table: SceneTable) -> list[str]:
    """Every candidate in words, concepts in their order: "red cube"."""
    pattern = " ".join(f"{{{name}}}" for name in table.space.names)
    values = [concept.values for concept in table.space.concepts]
    return phrases_of(pattern, table.space.names, values, table.candidate_values)


def worded_queries(table: SceneTable) -> tuple[Items, tuple[Items, ...]]:
    """Object queries ("a red cube") and value queries ("red"), for encoders with a text tower."""
    objects, values = query_items(table)
    texts = QUERY.fill_codes(np.arange(table.n_objects)[:, None], object_phrases(table))
    worded = [
        replace(items, texts=tuple(concept.values[i] for i in items.rows.tolist()))
        for concept, items in zip(table.space.concepts, values, strict=True)
    ]
    return replace(objects, texts=texts), tuple(worded)
