"""Column names of label tables: which ones are read, and which look like them and are refused with the one meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from bindscope.datasets.columns import Columns
from bindscope.datasets.spellings import alike, normal_form, shown_word, text_form
from bindscope.errors import TableError

OBJECT = re.compile(r"object([0-9]{1,4})_(.+)", re.DOTALL)
VISIBLE = re.compile(r"visible([0-9]{1,4})")
IGNORED = "_idx"  # columns of others that number the values
RESERVED = frozenset({"mean", "joint", "objects", "all", "unshared", "closed"})  # targets of results beside concepts
_SEPARATORS = r"[\s_.\-:/|]*"
_NEAR_OBJECT = re.compile(rf"object{_SEPARATORS}([0-9]+){_SEPARATORS}(.+)", re.DOTALL)
_SHORT_OBJECT = re.compile(rf"(?:objects|objs?|o){_SEPARATORS}([0-9]+){_SEPARATORS}(.+)", re.DOTALL)
_NUMBER_LAST = re.compile(rf"(?:object{_SEPARATORS})?(.+?){_SEPARATORS}(?:object{_SEPARATORS})?([0-9]+)", re.DOTALL)
_NEAR_VISIBLE = re.compile(rf"visible{_SEPARATORS}([0-9]+)")


def wanted(header: str) -> bool:
    """Whether a column says something about scenes."""
    if header.endswith(IGNORED):
        return False
    return header == "replicate" or bool(OBJECT.fullmatch(header) or VISIBLE.fullmatch(header))


def slots_and_concepts(columns: Columns, keep_spellings: bool) -> tuple[list[int], list[str]]:
    """Numbers of the objects, 1 to m, and the concepts that all of them have, in the order of the first object.

    Raises TableError where columns are missing, misnumbered or misspelt.
    """
    found = {header: match for header in columns.names if (match := OBJECT.fullmatch(header))}
    _refuse_near_misses(columns, found)
    if not found:
        shown = ", ".join(columns.header[:6]) or "none"
        raise TableError(f"{columns.path}: no columns object1_<concept>, object2_<concept>, ...; its columns: {shown}")
    slots = _slots(columns, found)
    concepts: dict[int, list[str]] = {slot: [] for slot in slots}
    for match in found.values():
        concepts[int(match[1])].append(match[2])
    _refuse_unequal(columns, concepts, keep_spellings)
    return slots, concepts[1]


def refuse_reserved(names: Iterable[str], where: str) -> None:
    """Raise TableError for a concept whose name the results use for something else."""
    for name in names:
        if normal_form(name) in RESERVED:
            raise TableError(
                f"{where}: a concept cannot be called {name!r}, which results use beside the names of concepts "
                f"({', '.join(sorted(RESERVED))}); rename it, e.g. {name}_value"
            )


def _slots(columns: Columns, found: Mapping[str, re.Match[str]]) -> list[int]:
    for header, match in found.items():
        if match[1].startswith("0"):
            raise TableError(f"{columns.path}: column {header}: objects count from 1, without leading zeros")
    slots = sorted({int(match[1]) for match in found.values()})
    for number, slot in enumerate(slots, 1):
        if slot != number:
            raise TableError(
                f"{columns.path}: columns of object {slot} but none of object {number}; number them 1, 2, ..."
            )
    return slots


def _refuse_unequal(columns: Columns, concepts: Mapping[int, Sequence[str]], keep_spellings: bool) -> None:
    """All objects need the same concepts, and no two concepts may differ by their spelling alone."""
    every = list(dict.fromkeys(name for names in concepts.values() for name in names))
    for group in [] if keep_spellings else alike(every):
        shown = " and ".join(shown_word(name, group) for name in group[:3])
        raise TableError(
            f"{columns.path}: the concepts {shown} of its columns differ in spelling only; name the columns alike "
            f"(column object{_lacking(concepts, group)} is missing)"
            if _lacking(concepts, group)
            else f"{columns.path}: the concepts {shown} of its columns differ in spelling only; rename or drop one, or "
            "keep them apart with ?keep_spellings=true"
        )
    for slot, names in concepts.items():
        for name in every:
            if name not in names:
                raise TableError(
                    f"{columns.path}: column object{slot}_{name} is missing; all objects need the same concepts "
                    f"({', '.join(every)})"
                )


def _lacking(concepts: Mapping[int, Sequence[str]], group: Sequence[str]) -> str:
    """The first column of a group that some object lacks, without its `object`; empty where all have all."""
    return next((f"{slot}_{name}" for slot, names in concepts.items() for name in group if name not in names), "")


def _refuse_near_misses(columns: Columns, found: Mapping[str, re.Match[str]]) -> None:
    numbers = {match[1] for match in found.values()}
    concepts = {normal_form(match[2]) for match in found.values()}
    for header in columns.header:
        meant = None if header in found or header.endswith(IGNORED) else _meant(header, numbers, concepts)
        if meant is not None:
            raise TableError(
                f"{columns.path}: column {shown_word(header, [header])} looks like {meant} and would not be read; "
                "rename it, or drop it"
            )
    for header in found:
        if text_form(header).endswith(IGNORED):
            raise TableError(
                f"{columns.path}: column {header} looks like {header[:-4]}_idx, which is not read; rename it, or drop it"
            )


def _meant(header: str, numbers: set[str], concepts: set[str]) -> str | None:
    """The column that a name looks like, if it is not read as it stands."""
    if wanted(header):
        return None
    text = text_form(header)
    if re.sub(_SEPARATORS, "", text) in ("replicate", "replicates"):
        return "replicate"
    if match := _NEAR_VISIBLE.fullmatch(text):
        return f"visible{match[1]}"
    if match := _NEAR_OBJECT.fullmatch(text):
        return f"object{match[1].lstrip('0') or '0'}_{match[2]}"
    for pattern, number, concept in ((_SHORT_OBJECT, 1, 2), (_NUMBER_LAST, 2, 1)):
        match = pattern.fullmatch(text)
        if match and numbers and normal_form(match[concept]) in concepts and match[number] not in numbers:
            return f"object{match[number]}_{match[concept]}"
        if match and pattern is _SHORT_OBJECT and normal_form(match[concept]) in concepts:
            return f"object{match[number]}_{match[concept]}"
    return None
