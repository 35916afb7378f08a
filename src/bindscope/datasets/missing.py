"""Objects that are not there: words that the user says mean so (`?missing=None`), and words that look like it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from bindscope.datasets.columns import Columns
from bindscope.datasets.spellings import is_filler, text_form
from bindscope.errors import TableError

Words = Mapping[tuple[int, str], Sequence[str | None]]  # of (slot, concept), one a row
Object = tuple[str | None, ...]  # a word of each concept
Counts = Mapping[tuple[int, Object], int]  # rows that show an object in a slot
SHOWN = 3


def without_missing(columns: Columns, concepts: Sequence[str], words: Words, missing: Sequence[str]) -> Words:
    """The words, with all cells of an object emptied where each of them is empty or one of the words for "missing".

    Raises TableError for such a word that fits no object.
    """
    if not missing:
        return words
    forms = {text_form(word): word for word in missing}
    unused, kept = set(missing), dict(words)
    for slot in sorted({slot for slot, _ in words}):
        cells = [words[slot, name] for name in concepts]
        hidden = {word for column in cells for word in set(column) if word is None or text_form(word) in forms}
        gone = [all(word in hidden for word in row) for row in zip(*cells, strict=True)]
        for name, column in zip(concepts, cells, strict=True):
            unused -= {forms[text_form(word)] for word, out in zip(column, gone, strict=True) if out and word}
            kept[slot, name] = [None if out else word for word, out in zip(column, gone, strict=True)]
    if unused:
        raise TableError(
            f"{columns.path}: missing={min(unused)} fits no object: the word must stand in all concepts of an object; "
            "leave it out, or spell it as the file does"
        )
    return kept


def filler_note(columns: Columns, concepts: Sequence[str], words: Words) -> str | None:
    """A sentence on words such as None that stand in all concepts of an object and nowhere else; None without any.

    A word that also stands beside other words is a value: NA for Namibia stays one.
    """
    values = [
        {word for (_, name), cells in words.items() if name == c for word in set(cells) if word} for c in concepts
    ]
    same = set.intersection(*({text_form(word) for word in found} for found in values))
    if not same and not all(any(map(is_filler, found)) for found in values):
        return None
    objects = _counted(concepts, words)
    suspects = _suspects(objects, len(concepts))
    if not suspects:
        return None
    rows = len(next(iter(words.values())))
    shown = [
        f"{' '.join(map(str, row))!r} as object {slot} in {objects[slot, row]:,} of {rows:,} rows"
        for slot, row in suspects[:SHOWN]
    ]
    more = f" (and {len(suspects) - SHOWN} more)" if len(suspects) > SHOWN else ""
    missing = ",".join(dict.fromkeys(str(word) for _, row in suspects for word in row))
    return (
        f"{columns.path}: {'; '.join(shown)}{more} looks like a missing object: leave the cells empty, or add "
        f"?missing={missing}"
    )


def _counted(concepts: Sequence[str], words: Words) -> Counts:
    counts: Counter[tuple[int, Object]] = Counter()
    for slot in sorted({slot for slot, _ in words}):
        rows = Counter(zip(*(words[slot, name] for name in concepts), strict=True))
        counts.update({(slot, row): count for row, count in rows.items()})
    return counts


def _suspects(objects: Counts, n_concepts: int) -> list[tuple[int, Object]]:
    fillers = _apart(objects, lambda row: all(is_filler(word or "x") for word in row), any)
    if n_concepts == 1:  # a single concept has nothing beside it: only words, and only behind the first object
        words = {row for _, row in fillers if any(character.isalpha() for character in str(row[0]))}
        return [key for key in fillers if key[1] in words and (1, key[1]) not in objects]
    alike = _apart(objects, lambda row: len({text_form(word or "") for word in row}) == 1, all)
    few = 2 * sum(objects[key] for key in alike) < sum(objects.values())
    if len({row for _, row in alike}) == 1 and few:
        fillers += [key for key in alike if key not in fillers]
    return fillers


def _apart(
    objects: Counts, fits: Callable[[Object], bool], how_many: Callable[[Iterable[bool]], bool]
) -> list[tuple[int, Object]]:
    """Whole objects that fit and whose words (any or all of them) stand in no object that does not fit."""
    fitting = [key for key in objects if None not in key[1] and fits(key[1])]
    others = [row for _, row in objects if None not in row and not fits(row)]
    elsewhere = [set(column) for column in zip(*others, strict=True)] if others else None
    if elsewhere is None:
        return []  # nothing but such objects: they are the data
    return [key for key in fitting if how_many(w not in e for w, e in zip(key[1], elsewhere, strict=True))]
