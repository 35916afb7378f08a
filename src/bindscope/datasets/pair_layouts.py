"""Layouts of hard-negative pairs: which columns a file may have, and what each row means.

Names of columns are compared in lower case, with `_` for blanks, hyphens and before a final number (`Caption2` is
`caption_2`). The examples are ours.

triplets: caption, caption2 (or positive), negative_caption; or anchor, positive, negative.
    a red cube and a blue ball | a blue ball beside a red cube | a blue cube and a red ball
choice: image, caption, negative_caption (or several: negatives, hard_text_1, ...).
    7.jpg | a red cube and a blue ball | a blue cube and a red ball
options: image, caption_options, label (the place of the right one from 0, or its text).
    7.jpg | ["a mug on a desk", "a mug under a desk"] | 0
two by two: image_0, image_1, caption_0, caption_1 (or counted from 1); or image, negative_image, caption, negative_caption.
    7.jpg | 8.jpg | a red cube and a blue ball | a blue cube and a red ball
lists: [image, caption, image, caption], [image, right, wrong, ...], [image, {"POS": [...], "NEG": [...]}].
    ["7.jpg", "a cat on a mat", "8.jpg", "a mat on a cat"]

A choice or a two by two may have another wording (caption2) too. A column category, type and subtype, or tag groups rows.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bindscope.datasets.rows import Row, Rows
from bindscope.errors import InputError, TableError

CAPTION = ("caption", "true_caption", "correct_caption", "right_caption", "positive_caption", "pos_caption")
OTHER = ("caption_2", "positive", "positive_caption", "positive_caption_2", "paraphrase", "other_wording")
ANCHOR = ("anchor", "query")
NEGATIVE = (
    ("negative_caption", "negative", "false_caption", "wrong_caption", "incorrect_caption", "hard_negative")
    + ("neg_caption", "foil", "negatives", "negative_captions", "hard_negatives")
)  # fmt: skip
NUMBERED = re.compile(r"(negative_caption|negative|false_caption|hard_negative|hard_text|negative_text)_\d+")
IMAGE = (
    ("filename", "image", "image_path", "file_name", "image_file", "image_filename", "img", "img_path", "file", "path")
    + ("image_id", "image_url", "url")
)  # fmt: skip
SECOND_IMAGE = ("negative_image",)
OPTIONS = ("caption_options", "captions", "options", "choices", "candidates", "texts", "sentences")
LABEL = (
    ("label", "answer", "correct", "correct_index", "correct_option", "answer_index", "label_index", "right", "target")
    + ("gt",)
)  # fmt: skip
IDENTITY = ("id", "image_id", "index", "idx", "uid", "key")
CATEGORY = ("category", "type", "tag", "collapsed_tag", "relation_name", "subset", "task")
LAYOUTS = (
    "triplets (caption, caption2 or positive, negative_caption), choice (image, caption, negative_caption), "
    "options (image, caption_options, label), two by two (image_0, image_1, caption_0, caption_1)"
)
SHOWN = 8  # columns named in a message


@dataclass(frozen=True)
class RawPair:
    """One row: captions as they stand there (None where empty), images as they are named, the place of the right option."""

    caption: str | None
    paraphrase: str | None
    negatives: tuple[str | None, ...]
    image: Any = None
    other_image: Any = None
    place: int = -1


@dataclass(frozen=True)
class Layout:
    """A layout that fits a file. right: how the right caption is known, in words. read: what a row means."""

    name: str
    right: str
    read: Callable[[Row], RawPair | None]
    image: str | None = None


def normal(column: str) -> str:
    """The spelling in which names of columns are compared.

    >>> normal("Caption2"), normal("Image ID"), normal("negativeCaption")
    ('caption_2', 'image_id', 'negative_caption')
    """
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(column).strip())
    name = re.sub(r"[\s\-.]+", "_", name).lower()
    return re.sub(r"(?<=[a-z])(?=\d+$)", "_", name)


def recognise(found: Rows, place: int | None = None) -> Layout:
    """The layout of a file; TableError that names its columns and the known layouts where none fits.

    place: place of the right caption among the options, from 0, where no column tells it.
    """
    columns = {normal(name): name for name in found.columns}
    for layout in (_two_by_two, _captions, _asked, _options, _lists):
        made = layout(columns, found, place)
        if made is not None:
            return made
    if {"caption", "negative_caption"} <= set(columns):
        raise TableError(
            f"{found.path}: captions with a negative but neither an image nor another wording (caption2), so nothing says "
            "which is right; add a column image or caption2"
        )
    shown = ", ".join(list(found.columns)[:SHOWN]) or "none"
    raise TableError(f"{found.path}: its columns ({shown}) fit no layout of pairs; known: {LAYOUTS}")


def category_of(found: Rows, chosen: str | None = None) -> Callable[[Row], str]:
    """What group a row belongs to: a chosen column, else `type` with `subtype`, or the first of CATEGORY; "" for none."""
    columns = {normal(name): name for name in found.columns}
    if chosen is not None:
        if normal(chosen) not in columns:
            raise InputError(
                f"{found.path} has no column {chosen!r} for the categories; its columns: {', '.join(columns)}"
            )
        names = [columns[normal(chosen)]]
    else:
        first = next((columns[name] for name in CATEGORY if name in columns), None)
        names = [] if first is None else [first]
        names += [columns["subtype"]] if first is not None and normal(first) == "type" and "subtype" in columns else []
    return lambda row: " ".join(word.strip() for name in names if (word := _text(row.get(name))))


def identity_of(found: Rows) -> Callable[[Row], Any] | None:
    """The column that names rows, if there is one."""
    columns = {normal(name): name for name in found.columns}
    name = columns.get("id") or next((columns[one] for one in IDENTITY[2:] if one in columns), None)
    return None if name is None else lambda row: row.get(name)


def _text(value: Any) -> str | None:
    """A cell as text, as it stands; None where it is blank or holds no text."""
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if value is None or isinstance(value, (dict, list, tuple, bytes)) or value != value:
        return None
    text = str(value)
    return text if text.strip() else None


def _texts(value: Any) -> tuple[str | None, ...]:
    """A cell that holds one text or several, as a list or as the text of a list."""
    if isinstance(value, str) and value.lstrip().startswith("[") and value.rstrip().endswith("]"):
        value = _parsed(value)
    if isinstance(value, (list, tuple)):
        return tuple(_text(one) for one in value)
    return (_text(value),)


def _parsed(text: str) -> Any:
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return text


def _first(columns: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((columns[name] for name in names if name in columns), None)


def _two_by_two(columns: Mapping[str, str], found: Rows, place: int | None) -> Layout | None:
    for low in (0, 1):
        names = [f"{part}_{low + i}" for part in ("image", "caption") for i in range(2)]
        if set(names) <= set(columns):
            one, two, right, wrong = (columns[name] for name in names)
            break
    else:
        second = _first(columns, SECOND_IMAGE)
        chosen = (_first(columns, IMAGE), second, _first(columns, CAPTION), _first(columns, NEGATIVE))
        if second is None or None in chosen:
            return None
        one, two, right, wrong = (str(name) for name in chosen)
    read = lambda row: RawPair(_text(row.get(right)), None, (_text(row.get(wrong)),), row.get(one), row.get(two))  # noqa: E731
    return Layout("two by two", f"{right} belongs to {one}, {wrong} to {two}", read, one)


def _captions(columns: Mapping[str, str], found: Rows, place: int | None) -> Layout | None:
    """Caption and negatives, with an image, with another wording, or with both."""
    right, wrong = _first(columns, CAPTION), _negatives(columns)
    if right is None or not wrong:
        return None
    image = _first(columns, IMAGE)
    other = next((columns[name] for name in OTHER if name in columns and columns[name] != right), None)
    if image is None and other is None:
        return None

    def read(row: Row) -> RawPair:
        negatives = tuple(text for name in wrong for text in _texts(row.get(name)))
        said = None if other is None else _text(row.get(other))
        return RawPair(_text(row.get(right)), said, negatives, None if image is None else row.get(image))

    return Layout("choice" if other is None else "triplets", f"column {right}", read, image)


def _negatives(columns: Mapping[str, str]) -> list[str]:
    numbered = [name for key, name in columns.items() if NUMBERED.fullmatch(key)]
    single = _first(columns, NEGATIVE)
    return ([single] if single is not None else []) + numbered


def _asked(columns: Mapping[str, str], found: Rows, place: int | None) -> Layout | None:
    """Anchor, positive, negative: the anchor asks, the positive is right."""
    anchor, wrong = _first(columns, ANCHOR), _negatives(columns)
    if anchor is None or "positive" not in columns or not wrong:
        return None
    right, image = columns["positive"], _first(columns, IMAGE)

    def read(row: Row) -> RawPair:
        negatives = tuple(text for name in wrong for text in _texts(row.get(name)))
        return RawPair(_text(row.get(right)), _text(row.get(anchor)), negatives, row.get(image) if image else None)

    return Layout("triplets", f"column {right}, asked by {anchor}", read, image)


def _options(columns: Mapping[str, str], found: Rows, place: int | None) -> Layout | None:
    several, image, label = _first(columns, OPTIONS), _first(columns, IMAGE), _first(columns, LABEL)
    if several is None or image is None:
        return None
    if label is None and place is None and normal(several) != "caption_options":
        raise TableError(
            f"{found.path}: nothing says which of {several} is right; add a column label (its place from 0, or its text) or "
            "?right=0"
        )
    start = _label_start(found, several, label) if label is not None else 0
    where = 0 if place is None else place

    def read(row: Row) -> RawPair | None:
        options = _texts(row.get(several))
        right = where if label is None else _place(row.get(label), options, start)
        if right is None or not 0 <= right < len(options):
            return None
        rest = options[:right] + options[right + 1 :]
        return RawPair(options[right], None, rest, row.get(image), place=right)

    if label is not None:
        said = f"column {label}, counted from {start}"
    else:
        said = f"place {where} of {several}" + (", as the layout of What'sUp has it" if place is None else "")
    return Layout("options", said, read, image)


def _label_start(found: Rows, several: str, label: str) -> int:
    """0 or 1: numbers are places from 1 where none is 0 and one is as large as there are options."""
    numbers = [(n, len(_texts(row.get(several)))) for row in found.rows if (n := _whole(row.get(label))) is not None]
    return int(bool(numbers) and all(n > 0 for n, _ in numbers) and any(n == size for n, size in numbers))


def _whole(value: Any) -> int | None:
    try:
        number = float(value)
        return int(number) if number == int(number) else None
    except (TypeError, ValueError, OverflowError):
        return None


def _place(value: Any, options: Sequence[str | None], start: int) -> int | None:
    number = _whole(value)
    if number is not None:
        return number - start
    said = _text(value)
    return options.index(said) if said in options and said is not None else None


def _lists(columns: Mapping[str, str], found: Rows, place: int | None) -> Layout | None:
    """Rows that are lists: pairs of image and caption, an image with the right caption first, POS and NEG."""
    if not {"0", "1"} <= set(columns) or not all(name.isdigit() for name in columns):
        return None
    width = len(columns)
    if width == 2 and any(isinstance(row.get("1"), dict) for row in found.rows):
        return Layout("choice", "the first of POS", _positive_negative, "0")
    if width == 4 and _looks_like_image(found, "0") and _looks_like_image(found, "2"):
        return Layout(
            "two by two",
            "the caption beside the image",
            lambda row: RawPair(_text(row.get("1")), None, (_text(row.get("3")),), row.get("0"), row.get("2")),
            "0",
        )
    if width >= 3:

        def read(row: Row) -> RawPair:
            return RawPair(
                _text(row.get("1")), None, tuple(_text(row.get(str(i))) for i in range(2, len(row))), row.get("0")
            )

        return Layout("choice", "the first caption of the list, as What'sUp has it", read, "0")
    return None


def _looks_like_image(found: Rows, column: str) -> bool:
    """Whether most cells have no blank or end like a picture, so that they are no captions."""
    cells = [_text(row.get(column)) or "" for row in found.rows[:50]]
    good = [" " not in cell or bool(re.search(r"\.(jpe?g|png|gif|webp|bmp)$", cell.lower())) for cell in cells]
    return sum(good) > len(good) / 2


def _positive_negative(row: Row) -> RawPair | None:
    told = row.get("1")
    if not isinstance(told, dict):
        return None
    parts = {normal(key): value for key, value in told.items()}
    right, wrong = _texts(parts.get("pos")), _texts(parts.get("neg"))
    return RawPair(right[0] if right else None, None, wrong, row.get("0"))


def image_places(value: Any, folder: Path) -> list[Path]:
    """Where a picture may lie: the name itself, with a usual ending, and as COCO writes a number."""
    name = (_text(value) or "").strip()
    if not name or name.startswith("<"):  # the printed form of an object that was lost when the table was written
        return []
    bare = name.replace("\\", "/").split("?")[0] if "://" in name else name.replace("\\", "/")
    names = [bare] if "://" not in bare else [bare.rsplit("/", 1)[-1]]
    stem = names[0]
    if not re.search(r"\.[A-Za-z]{3,4}$", stem):
        names += [f"{stem}{ending}" for ending in (".jpg", ".png", ".jpeg")]
        names += [f"{int(stem):012d}.jpg"] if stem.isdigit() and len(stem) < 12 else []
    places = [folder / one for one in names]
    return places + [folder / Path(one).name for one in names if "/" in one]
