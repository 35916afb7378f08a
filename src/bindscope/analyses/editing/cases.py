"""Edits of scenes: which object of which scene becomes which other one, and which real scene shows the outcome.

Nothing is dropped in silence: an edit whose object the data set cannot show, or whose outcome no real scene shows, is
counted.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bindscope.concepts import ABSENT, IntArray
from bindscope.scenes import BoolArray, FloatArray, SceneTable, row_ids
from bindscope.streams import stream

MANY_CASES = 400_000


@dataclass(frozen=True, eq=False)
class Cases:
    """c edits, in the order of their rows: object `old` in `slot` of the scene in `row` becomes `new` (codes).

    concept: which concept changes its value, -1 for a whole object. base, target: scene numbers as in `table.scene_ids`.
    shared: another object of the scene has the concept value that is taken out (whole objects: any of its values);
    wanted: the same for the value (or any) that is put in.
    """

    row: IntArray
    slot: IntArray
    old: IntArray
    new: IntArray
    concept: IntArray
    base: IntArray
    target: IntArray
    shared: BoolArray
    wanted: BoolArray

    def __len__(self) -> int:
        return len(self.row)

    def take(self, index: ArrayLike) -> Cases:
        """Some of the cases (indices or mask)."""
        where = np.asarray(index)
        return replace(self, **{f.name: getattr(self, f.name)[where] for f in fields(self)})


@dataclass(frozen=True)
class Untested:
    """Edits that cannot be judged: no_object: the data set cannot show the new object; no_scene: no real scene shows the
    outcome; left_out: not drawn, where there are more edits than are tried."""

    no_object: int = 0
    no_scene: int = 0
    left_out: int = 0


def value_cases(table: SceneTable, rows: IntArray) -> tuple[Cases, Untested]:
    """Every other known value of every concept in every slot of these rows."""
    parts, missing = [], 0
    for slot in range(table.n_slots):
        here = rows[table.present[rows, slot]]
        for k in range(table.space.n_concepts):
            for value in table.known_values(k):
                some = here[table.values[here, slot, k] != value]
                wanted = table.values[some, slot].copy()
                wanted[:, k] = value
                codes, known = _codes(table, table.space.object_ids(wanted))
                missing += int((~known).sum())
                parts.append(_columns(some[known], slot, codes[known], k))
    return _found(table, parts, missing, 0)


def object_cases(table: SceneTable, rows: IntArray, seed: int = 0, most: int = MANY_CASES) -> tuple[Cases, Untested]:
    """Every other object in every slot of these rows; where that is more than `most` edits, a seeded draw for each slot."""
    others = table.n_objects - 1
    present = int(table.present[rows].sum())
    each = others if present * others <= most else max(1, most // max(present, 1))
    rng = stream(seed, "object edits")
    parts = []
    for slot in range(table.n_slots if others else 0):
        here = rows[table.present[rows, slot]]
        old = np.repeat(table.object_codes[here, slot], each)
        new = (old + 1 + _distinct(len(here), others, each, rng).ravel()) % table.n_objects
        parts.append(_columns(np.repeat(here, each), slot, new, ABSENT))
    return _found(table, parts, 0, present * (others - each))


def _distinct(count: int, among: int, each: int, rng: np.random.Generator) -> IntArray:
    """`each` distinct numbers below `among` for each of `count` rows."""
    if each == among:
        return np.tile(np.arange(among, dtype=np.int64), (count, 1))
    start = rng.integers(0, among, size=(count, 1))
    steps = np.sort(rng.permutation(among)[:each])  # one random pattern, turned by a random start for each row
    return np.asarray((start + steps) % among, dtype=np.int64)


def _codes(table: SceneTable, ids: IntArray) -> tuple[IntArray, BoolArray]:
    place = np.minimum(np.searchsorted(table.candidates, ids), table.n_objects - 1)
    return place.astype(np.int64), np.asarray(table.candidates[place] == ids)


def _columns(rows: IntArray, slot: int, new: IntArray, concept: int) -> IntArray:
    same = np.ones(len(rows), dtype=np.int64)
    return np.stack([rows, slot * same, new, concept * same], axis=1)


def _found(table: SceneTable, parts: list[IntArray], no_object: int, left_out: int) -> tuple[Cases, Untested]:
    every = np.concatenate([*parts, np.zeros((0, 4), dtype=np.int64)])
    every = every[np.lexsort(every.T[::-1])]
    row, slot, new, concept = every.T
    codes = table.object_codes[row].copy()
    old = codes[np.arange(len(row)), slot]
    codes[np.arange(len(row)), slot] = new
    target = _scene_of(table, codes)
    there = target != ABSENT
    shared, wanted = _met(table, row, slot, old, concept), _met(table, row, slot, new, concept)
    cases = Cases(row, slot, old, new, concept, table.scene_ids[row], target, shared, wanted)
    return cases.take(there), Untested(no_object, int((~there).sum()), left_out)


def _scene_of(table: SceneTable, codes: IntArray) -> IntArray:
    """Number of the scene that shows these objects in these slots, -1 where none does."""
    _, first = np.unique(table.scene_ids, return_index=True)
    ids = row_ids(np.concatenate([table.object_codes[first], codes]))
    scene = np.full(int(ids.max(initial=0)) + 1, ABSENT, dtype=np.int64)
    scene[ids[: len(first)]] = np.arange(len(first))
    return scene[ids[len(first) :]]


def _met(table: SceneTable, row: IntArray, slot: IntArray, code: IntArray, concept: IntArray) -> BoolArray:
    """Whether another object of the scene has the value of object `code` (for whole objects: any of its values)."""
    out = np.zeros(len(row), dtype=bool)
    for k in range(table.space.n_concepts):
        value = table.candidate_values[code, k]
        asked = (concept == k) | (concept == ABSENT)
        for other in range(table.n_slots):
            out |= asked & (slot != other) & (table.values[row, other, k] == value)
    return out


def target_members(table: SceneTable, cases: Cases, concept: int | None = None) -> IntArray:
    """Candidates that the counterfactual scenes show, `[c, m]`: objects, or values of a concept, as `table.members`."""
    members, _ = table.members(concept)
    out = members[cases.row].copy()
    new = cases.new
    if concept is not None:
        new = np.searchsorted(table.known_values(concept), table.candidate_values[cases.new, concept])
    out[np.arange(len(cases)), cases.slot] = new
    return out


def as_the_paper_edits(table: SceneTable, cases: Cases, seed: int) -> BoolArray:
    """Mask `[c]` of the edits of one value that the paper tries: the first concept's value becomes one other, drawn by seed,
    for each object of the scenes whose objects differ in all other concepts."""
    codes = np.where(table.present, table.object_codes, 0)
    alike = np.zeros(len(table), dtype=bool)
    for k in range(1, table.space.n_concepts):
        shown = np.where(table.present, table.candidate_values[codes, k], -1 - np.arange(table.n_slots))
        alike |= (np.diff(np.sort(shown, axis=1), axis=1) == 0).any(axis=1)
    asked = np.flatnonzero((cases.concept == 0) & ~alike[cases.row])
    shuffled = asked[stream(seed, "edited values").permutation(len(asked))]
    _, first = np.unique(np.stack([cases.row, cases.slot], axis=1)[shuffled], axis=0, return_index=True)
    out = np.zeros(len(cases), dtype=bool)
    out[shuffled[first]] = True
    return out


def drawn(cases: Cases, most: int, seed: int) -> Cases:
    """At most `most` of the cases, drawn by seed, in their order."""
    if len(cases) <= most:
        return cases
    return cases.take(np.sort(stream(seed, "edits").choice(len(cases), most, replace=False)))


def scene_sums(vectors: Any, table: SceneTable, chosen: IntArray) -> tuple[FloatArray, IntArray]:
    """Mean vector `[s, d]` of the rows of each chosen scene, and their number `[s]`."""
    ids = table.scene_ids
    order = np.argsort(ids, kind="stable")
    counts = np.bincount(ids)
    starts = np.cumsum(counts) - counts
    total = np.zeros((len(chosen), vectors.shape[1]))
    for copy in range(int(counts[chosen].max(initial=0))):
        has = counts[chosen] > copy
        total[has] += vectors[order[starts[chosen[has]] + copy]]
    return total / np.maximum(counts[chosen], 1)[:, None], counts[chosen]
