"""`pairs:FILE`: captions, or images with captions, and beside each right one a wrong one in which something was exchanged.

The layouts are listed in `pair_layouts`; files may be CSV, TSV, JSON, JSON lines or parquet, and a directory of such files
is read whole, each file a category. Whatever is odd in a file (missing ids and images, empty captions, a negative that
equals its caption, duplicates) is counted and named in `PairSet.notes`; only rows that cannot be scored are left out.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.concepts import ABSENT, IntArray
from bindscope.datasets.items import Dataset
from bindscope.datasets.pair_layouts import Layout, RawPair, category_of, identity_of, image_places, recognise
from bindscope.datasets.rows import SUFFIXES, Row, Rows, is_rows, read_rows
from bindscope.errors import InputError, StoreError, TableError
from bindscope.files import whole_file
from bindscope.names import Option, read_options, split_options

NAMED = 5  # rows that a note names
PAIR_OPTIONS = {
    "images": Option(None),
    "category": Option(None),
    "right": Option(None, int, 0),
    "text": Option(False, bool),
}


@dataclass(frozen=True)
class PairNote:
    """Something odd in the file: what, how often, the names of the first ones, and whether those rows are left out."""

    kind: str
    what: str
    count: int
    names: tuple[str, ...]
    left_out: bool = False

    @property
    def sentence(self) -> str:
        """The note as a line.

        >>> PairNote("empty", "without a caption", 2, ("7", "9"), True).sentence
        '2 without a caption, left out (7, 9)'
        """
        more = ", ..." if self.count > len(self.names) else ""
        named = f" ({', '.join(self.names)}{more})" if self.names else ""
        return f"{self.count:,} {self.what}{', left out' if self.left_out else ''}{named}"


@dataclass(frozen=True, eq=False)
class PairSet:
    """n items: a right caption, wrong ones, and what asks for them (another wording, an image, or both).

    texts: distinct captions in the order of the file, an item's caption first, then its other wording, then its negatives.
    caption `[n]`, paraphrase `[n]` (-1: none), negatives `[n, K]` (-1 pads): positions in texts.
    images: pictures that are there; image, other_image `[n]`: positions (-1: none); other_image is the picture that the
    first negative describes. cluster `[n]`: items of one picture, or of one caption where none is named, share a number.
    place `[n]`: of the right caption among options, from 0 (-1: no options). right: how the right caption is known.
    """

    name: str
    layout: str
    right: str
    texts: tuple[str, ...]
    caption: IntArray
    paraphrase: IntArray
    negatives: IntArray
    images: tuple[Path, ...]
    image: IntArray
    other_image: IntArray
    cluster: IntArray
    place: IntArray
    ids: tuple[str, ...]
    categories: tuple[str, ...]
    image_names: tuple[str, ...]
    notes: tuple[PairNote, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""

    def __len__(self) -> int:
        return len(self.caption)

    @property
    def has_images(self) -> bool:
        """Whether any item has its picture."""
        return bool((self.image >= 0).any())

    @property
    def has_wordings(self) -> bool:
        """Whether any item has another wording, so that text alone can answer."""
        return bool((self.paraphrase >= 0).any())

    def take(self, rows: IntArray) -> PairSet:
        """Some items, in the order of `rows`; texts and pictures stay."""
        every = ("caption", "paraphrase", "negatives", "image", "other_image", "cluster", "place")
        arrays: dict[str, Any] = {name: getattr(self, name)[rows] for name in every}
        for name in ("ids", "categories", "image_names"):
            arrays[name] = tuple(getattr(self, name)[i] for i in rows.tolist())
        mixed = hashlib.sha256(self.digest.encode() + np.asarray(rows, dtype="<i8").tobytes()).hexdigest()
        return replace(self, **arrays, digest=mixed)


PAIR_WORDS = {
    "?images=DIR": "directory of the pictures (beside the file)",
    "?category=COLUMN": "column that groups items (category, type and subtype, tag, or the file)",
    "?right=0": "place of the right caption among options, from 0, where no column tells it",
    "?text=true": "what text alone answers, without pictures (false)",
}


def load_pairs(rest: str, name: str, cache: Path | None = None) -> PairSet:
    """The pairs of `FILE_OR_DIRECTORY?options`.

    cache: where pictures that lie inside a parquet file are written (None: beside nothing, they count as missing). Raises
    StoreError for a file that cannot be read, TableError for columns that fit no layout.
    """
    place, query = split_options(rest)
    options = read_options(query, PAIR_OPTIONS, "pairs:")
    if not place:
        raise InputError("pairs: needs a file of captions with negatives, e.g. pairs:swap.json (see `bindscope list`)")
    files = _files(Path(place).expanduser())
    parts = [
        _read(file, options, cache, file.name.removesuffix(".gz").rpartition(".")[0] if len(files) > 1 else "")
        for file in files
    ]
    return _joined(name, parts, options)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if is_rows(file))
    if not found:
        raise StoreError(f"{path} holds no file of {', '.join(SUFFIXES)}")
    return found


@dataclass(frozen=True)
class _Part:
    """One file: its layout, the pairs that can be scored with the name and category of each, and what was odd."""

    layout: Layout
    folder: Path
    pairs: list[RawPair]
    names: list[str]
    categories: list[str]
    notes: list[PairNote]


def pairs_of_rows(found: Rows, name: str, options: Mapping[str, Any], kept: list[int]) -> PairSet:
    """The pairs of rows that are read already; `kept` gets the numbers of those that can be scored."""
    part = _part(found, options, None, "", kept)
    return _joined(name, [part], options)


def refuse_as_scenes(rest: str, name: str) -> Dataset:
    """Pairs are no scenes of factors: say what takes them."""
    raise InputError(
        f"{name} holds captions with negatives, not scenes of concepts; `bindscope diagnose`, `gate` and `compare` take it"
    )


def _read(file: Path, options: Mapping[str, Any], cache: Path | None, category: str) -> _Part:
    return _part(read_rows(file), options, cache, category, [])


def _part(found: Rows, options: Mapping[str, Any], cache: Path | None, category: str, rows: list[int]) -> _Part:
    file = found.path
    layout = recognise(found, options["right"])
    group, identity = category_of(found, options["category"]), identity_of(found)
    names = list(found.names) if identity is None or found.keyed else [str(identity(row)) for row in found.rows]
    raw = [_told(layout, row, cache) for row in found.rows]
    notes = [*_missing_ids(found, identity, names)]
    names = [f"{category} {name}" for name in names] if category else names
    unreadable = [i for i, one in enumerate(raw) if one is None]
    empty = [i for i, one in enumerate(raw) if one is not None and (one.caption is None or not any(one.negatives))]
    notes += _note("unreadable", "items in which no right caption can be told", unreadable, names, left_out=True)
    notes += _note("empty", "items without a caption or without a negative", empty, names, left_out=True)
    kept = [(i, one) for i, one in enumerate(raw) if one is not None and i not in {*unreadable, *empty}]
    if not kept:
        raise TableError(f"{file}: none of its {len(found)} rows has both a caption and a negative")
    rows.extend(i for i, _ in kept)
    pairs = [one for _, one in kept]
    labels = [names[i] for i, _ in kept]
    notes += _odd_pairs(pairs, labels)
    groups = [" ".join(part for part in (category, group(found.rows[i])) if part) for i, _ in kept]
    folder = file.parent if options["images"] is None else Path(options["images"]).expanduser()
    return _Part(layout, folder, pairs, labels, groups, notes)


def _told(layout: Layout, row: Row, cache: Path | None) -> RawPair | None:
    """What a row means, with pictures that lie in the file written to the cache."""
    pair = layout.read(row)
    if pair is None:
        return None
    return replace(pair, image=_unpacked(pair.image, cache), other_image=_unpacked(pair.other_image, cache))


def _unpacked(value: Any, cache: Path | None) -> Any:
    """The path of a picture that lies in a cell as bytes; any other cell as it is."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return value
    content, said = value.get("bytes"), value.get("path")
    if not isinstance(content, bytes) or cache is None:
        return said
    place = cache / "pairs" / f"{hashlib.sha256(content).hexdigest()[:32]}{Path(str(said or '')).suffix or '.png'}"
    if not place.exists():
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot write pictures to {place.parent}: {error.strerror or error}") from error
        with whole_file(place) as partial:
            partial.write_bytes(content)
    return str(place.absolute())


def _missing_ids(found: Rows, identity: Callable[[Row], Any] | None, names: Sequence[str]) -> Iterable[PairNote]:
    """Gaps in ids that count, ids that stand twice, rows without one."""
    if not found.keyed and identity is None:
        return
    if identity is not None and not found.keyed:
        empty = [i for i, row in enumerate(found.rows) if identity(row) in (None, "")]
        yield from _note("empty_id", "items without an id", empty, [str(i) for i in range(len(names))])
        names = [name for i, name in enumerate(names) if i not in set(empty)]
    twice = [name for name, times in Counter(names).items() if times > 1]
    yield from _note("repeated_id", "ids that stand more than once", list(range(len(twice))), twice)
    numbers = {int(name) for name in names if name.isascii() and name.isdigit() and len(name) < 10}
    if len(numbers) < len(set(names)) or not numbers or max(numbers) - min(numbers) > 2 * len(numbers):
        return  # names, or numbers that do not count the rows
    first = min(numbers) if min(numbers) <= 1 else 0
    gaps = [str(number) for number in range(first, max(numbers)) if number not in numbers]
    yield from _note("missing_id", "ids missing from the count", list(range(len(gaps))), gaps)


def _odd_pairs(pairs: Sequence[RawPair], names: Sequence[str]) -> Iterable[PairNote]:
    """Negatives that equal a right caption, and items that stand twice."""
    plain = [_plain(pair.caption) for pair in pairs]
    equal = [i for i, pair in enumerate(pairs) if plain[i] in map(_plain, pair.negatives)]
    yield from _note("equal", "items whose negative equals the caption up to case", equal, names)
    same = [i for i, p in enumerate(pairs) if p.paraphrase and _plain(p.paraphrase) in map(_plain, p.negatives)]
    yield from _note("equal_wording", "items whose negative equals the other wording up to case", same, names)
    alike = [i for i, p in enumerate(pairs) if p.paraphrase and _plain(p.paraphrase) == plain[i]]
    yield from _note("same_wording", "items whose other wording equals the caption up to case", alike, names)
    seen: set[str] = set()
    again = []
    for i, pair in enumerate(pairs):
        key = repr((pair.caption, pair.paraphrase, pair.negatives, pair.image, pair.other_image))
        if key in seen:
            again.append(i)
        seen.add(key)
    yield from _note("duplicate", "items that stand more than once (each counts as often as it stands)", again, names)
    partly = [i for i, pair in enumerate(pairs) if None in pair.negatives and any(pair.negatives)]
    yield from _note("empty_negative", "items with an empty negative beside others", partly, names)


def _plain(text: str | None) -> str | None:
    return None if text is None else text.casefold().strip()


def _note(
    kind: str, what: str, rows: Sequence[int], names: Sequence[str], left_out: bool = False
) -> Iterable[PairNote]:
    if rows:
        yield PairNote(kind, what, len(rows), tuple(names[i] for i in rows[:NAMED]), left_out)


def _joined(name: str, parts: Sequence[_Part], options: Mapping[str, Any]) -> PairSet:
    """All files as one set."""
    pairs = [pair for part in parts for pair in part.pairs]
    folders = [part.folder for part in parts for _ in part.pairs]
    labels = [label for part in parts for label in part.names]
    texts = _Positions()
    width = max(len(pair.negatives) for pair in pairs)
    negatives = np.full((len(pairs), width), ABSENT, dtype=np.int64)
    caption, paraphrase = np.full((2, len(pairs)), ABSENT, dtype=np.int64)
    for i, pair in enumerate(pairs):
        caption[i] = texts.of(str(pair.caption))
        paraphrase[i] = ABSENT if pair.paraphrase is None else texts.of(pair.paraphrase)
        said = [text for text in pair.negatives if text is not None]
        negatives[i, : len(said)] = [texts.of(text) for text in said]
    paths, image, other_image, missing = _pictures(pairs, folders, options)
    notes = [*(note for part in parts for note in part.notes), *_image_notes(missing, labels, options)]
    named = [_image_name(pair.image) for pair in pairs]
    made = PairSet(
        name,
        _one_of(part.layout.name for part in parts),
        _one_of(part.layout.right for part in parts),
        tuple(texts.order),
        caption,
        paraphrase,
        negatives[:, : max(int((negatives >= 0).sum(axis=1).max()), 1)],
        tuple(paths),
        image,
        other_image,
        _clusters(named, caption),
        np.array([pair.place for pair in pairs], dtype=np.int64),
        tuple(labels),
        tuple(category for part in parts for category in part.categories),
        tuple(name or "" for name in named),
        tuple(_merged(notes)),
        dict(options),
    )
    return replace(made, digest=_digest(made))


class _Positions:
    """Numbers things in the order in which they come."""

    def __init__(self) -> None:
        self.order: dict[Any, int] = {}

    def of(self, thing: Any) -> int:
        return self.order.setdefault(thing, len(self.order))


def _pictures(
    pairs: Sequence[RawPair], folders: Sequence[Path], options: Mapping[str, Any]
) -> tuple[list[Path], IntArray, IntArray, list[int]]:
    """Pictures that are there, their positions for both columns, and the items that name one that is not."""
    paths = _Positions()
    columns = np.full((2, len(pairs)), ABSENT, dtype=np.int64)
    if options["text"]:
        return [], columns[0], columns[1], []
    if options["images"] is not None and not Path(options["images"]).expanduser().is_dir():
        raise StoreError(f"{options['images']} is no directory; ?images= takes the directory of the pictures")
    missing: list[int] = []
    known: dict[tuple[str, Path], Path | None] = {}
    for i, (pair, folder) in enumerate(zip(pairs, folders, strict=True)):
        for k, value in enumerate((pair.image, pair.other_image)):
            key = (str(value), folder)
            if key not in known:
                known[key] = next((place for place in image_places(value, folder) if place.is_file()), None)
            found = known[key]
            if found is not None:
                columns[k, i] = paths.of(found)
        if (pair.image is not None and columns[0, i] < 0) or (pair.other_image is not None and columns[1, i] < 0):
            missing.append(i)
    return list(paths.order), columns[0], columns[1], missing


def _image_notes(missing: Sequence[int], names: Sequence[str], options: Mapping[str, Any]) -> Iterable[PairNote]:
    where = "in the directory of ?images=" if options["images"] is not None else "beside the file (give ?images=DIR)"
    yield from _note("missing_image", f"items whose picture is not {where}", missing, names)


def _image_name(value: Any) -> str | None:
    return None if value in (None, "") or str(value).startswith("<") else str(value)


def _clusters(images: Sequence[str | None], caption: IntArray) -> IntArray:
    """Items of one picture, or of one caption where none is named, have one number `[n]`."""
    numbers = _Positions()
    keys = [("image", one) if one else ("caption", int(text)) for one, text in zip(images, caption, strict=True)]
    return np.array([numbers.of(key) for key in keys], dtype=np.int64)


def _one_of(words: Iterable[str]) -> str:
    return " / ".join(dict.fromkeys(words))


def _merged(notes: Iterable[PairNote]) -> list[PairNote]:
    """Notes of several files that say the same, as one."""
    found: dict[tuple[str, str], PairNote] = {}
    for note in notes:
        old = found.get((note.kind, note.what))
        if old is not None:
            note = replace(note, count=old.count + note.count, names=(*old.names, *note.names)[:NAMED])
        found[note.kind, note.what] = note
    return list(found.values())


def _digest(pairs: PairSet) -> str:
    """sha256 over texts, structure and the bytes of the pictures."""
    digest = hashlib.sha256(json.dumps([pairs.layout, pairs.texts, pairs.categories], ensure_ascii=False).encode())
    for array in (pairs.caption, pairs.paraphrase, pairs.negatives, pairs.image, pairs.other_image, pairs.cluster):
        digest.update(json.dumps(array.shape).encode() + np.ascontiguousarray(array, dtype="<i8").tobytes())
    for path in pairs.images:
        try:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            raise StoreError(f"cannot read image {path}: {error.strerror or error}") from error
    return digest.hexdigest()
