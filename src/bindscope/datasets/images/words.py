"""What can be drawn: the words of colours, shapes, sizes and materials, and of the places in a picture."""

from __future__ import annotations

from bindscope.concepts import ConceptSpace
from bindscope.errors import InputError

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
