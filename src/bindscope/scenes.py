"""Scenes as tables of value indices: who stands where, which rows show the same scene, the same objects, the same bag.

A row is one observation (one caption, one image). The same scene may occur in several rows (`replicate`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bindscope.concepts import ABSENT, ConceptSpace, IntArray
from bindscope.errors import TableError

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
_BAG_CELLS = 8_000_000


@dataclass(frozen=True, eq=False)
class SceneTable:
    """A table of n scenes with up to m objects in slots; make it with `SceneTable.build`.

    values [n, m, C]: value indices, -1 where no object stands. present [n, m]. replicate [n].
    visible [n, m]: visible share of each object in 0..1, or None. candidates [O]: sorted ids of all objects that the
    data set can show; they stay the same when rows are taken out.
    """

    space: ConceptSpace
    values: IntArray
    present: BoolArray
    replicate: IntArray
    candidates: IntArray
    visible: FloatArray | None = None

    @classmethod
    def build(
        cls,
        space: ConceptSpace,
        values: ArrayLike,
        present: ArrayLike | None = None,
        replicate: ArrayLike | None = None,
        visible: ArrayLike | None = None,
        candidates: ArrayLike | None = None,
    ) -> SceneTable:
        """Check the arrays and make a table.

        >>> space = ConceptSpace.of([("color", ["red", "blue"]), ("shape", ["cube", "ball"])])
        >>> table = SceneTable.build(space, [[[0, 0], [1, 1]], [[0, 1], [1, 0]]])
        >>> table.object_ids.tolist(), bool(table.bag_ids[0] == table.bag_ids[1])
        ([[0, 3], [1, 2]], True)
        """
        array = _checked_values(space, values)
        shown = (array != ABSENT).any(axis=2) if present is None else _checked_present(array, present)
        array = np.where(shown[:, :, None], array, ABSENT)
        _refuse_bad_cells(space, array, shown)
        ids = space.object_ids(array)
        seen = np.unique(ids[shown])
        known = seen if candidates is None else np.unique(np.asarray(candidates, dtype=np.int64))
        strange = known[(known < 0) | (known >= space.n_objects)]
        if len(strange):
            raise TableError(f"candidates must be object ids 0..{space.n_objects - 1}, got {strange[0]}")
        if not np.isin(seen, known).all():
            raise TableError("the table shows objects that are not among its candidates; leave candidates out")
        copies = _occurrence(row_ids(ids)) if replicate is None else np.asarray(replicate, dtype=np.int64)
        if copies.shape != (len(array),):
            raise TableError(f"replicate must have shape ({len(array)},), got {copies.shape}")
        share = None if visible is None else np.asarray(visible, dtype=np.float64)
        if share is not None and share.shape != shown.shape:
            raise TableError(f"visible must have shape {shown.shape}, got {share.shape}")
        return cls(space, array, shown, copies, known, share)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_slots(self) -> int:
        """Number of slots m."""
        return int(self.values.shape[1])

    @property
    def n_objects(self) -> int:
        """Number of candidate objects O."""
        return len(self.candidates)

    @cached_property
    def object_ids(self) -> IntArray:
        """Object ids `[n, m]`, -1 where absent."""
        return self.space.object_ids(self.values)

    @cached_property
    def object_codes(self) -> IntArray:
        """Positions of the objects among the candidates, 0..O-1, `[n, m]`; -1 where absent."""
        codes = np.searchsorted(self.candidates, self.object_ids)
        return np.where(self.present, codes, ABSENT).astype(np.int64)

    @cached_property
    def candidate_values(self) -> IntArray:
        """Value indices of the candidates, `[O, C]`."""
        return self.space.object_values(self.candidates)

    @cached_property
    def counts(self) -> IntArray:
        """Number of objects in each scene, `[n]`."""
        return np.asarray(self.present.sum(axis=1), dtype=np.int64)

    @cached_property
    def scene_ids(self) -> IntArray:
        """Rows with equal numbers show the same objects in the same slots, `[n]`."""
        return row_ids(self.object_ids)

    @cached_property
    def multiset_ids(self) -> IntArray:
        """Rows with equal numbers show the same objects in any order, `[n]`."""
        return row_ids(np.sort(self.object_ids, axis=1))

    @cached_property
    def set_ids(self) -> IntArray:
        """Rows with equal numbers show the same distinct objects, `[n]`."""
        ids = np.sort(self.object_ids, axis=1)
        again = np.zeros_like(ids, dtype=bool)
        again[:, 1:] = ids[:, 1:] == ids[:, :-1]
        return row_ids(np.sort(np.where(again, ABSENT, ids), axis=1))

    @cached_property
    def bag_ids(self) -> IntArray:
        """Rows with equal numbers have the same bag: the same multiset of values for every concept, `[n]`."""
        return row_ids(np.sort(self.values, axis=1).reshape(len(self), self.n_slots * self.space.n_concepts))

    @cached_property
    def unshared(self) -> BoolArray:
        """True where no value occurs twice within the scene, `[n]`."""
        ordered = np.sort(self.values, axis=1)
        twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != ABSENT)
        return np.asarray(~twice.any(axis=(1, 2)))

    def take(self, rows: ArrayLike) -> SceneTable:
        """The table of some rows (indices or mask), with the same space and candidates."""
        index = np.asarray(rows) if np.size(rows) else np.zeros(0, dtype=np.int64)
        share = None if self.visible is None else self.visible[index]
        return replace(
            self,
            values=self.values[index],
            present=self.present[index],
            replicate=self.replicate[index],
            visible=share,
        )

    def rows_with(self, count: int) -> IntArray:
        """Row numbers of the scenes of `count` objects."""
        return np.flatnonzero(self.counts == count)

    @cached_property
    def headline_count(self) -> int:
        """The number of objects that most rows have (the larger one on a tie)."""
        if not len(self):
            raise TableError("the table is empty; it needs at least one scene")
        counts, rows = np.unique(self.counts, return_counts=True)
        return int(counts[np.flatnonzero(rows == rows.max())[-1]])

    def members(self, concept: int | None = None) -> tuple[IntArray, int]:
        """Candidates that each scene shows: codes `[n, m]` (-1 absent) and the number of candidates.

        `concept=None` means objects, else the values of that concept that any candidate has.
        """
        if concept is None:
            return self.object_codes, self.n_objects
        known = self.known_values(concept)
        codes = np.searchsorted(known, self.values[:, :, concept])
        return np.where(self.present, codes, ABSENT).astype(np.int64), len(known)

    def known_values(self, concept: int) -> IntArray:
        """Value indices of a concept that at least one candidate has, sorted."""
        return np.unique(self.candidate_values[:, concept])

    def compact(self) -> IntArray:
        """Values `[n, m, C]` with the present objects moved to the front."""
        order = np.argsort(~self.present, axis=1, kind="stable")
        return np.take_along_axis(self.values, order[:, :, None], axis=1)

    def bag_objects(self) -> IntArray:
        """Ids of all objects made of values of the scene, one of each concept, `[n, m^C]`; -1 where objects are absent.

        The scene's own objects are among them; the others are its value-swapped objects.
        """
        values, concepts = self.compact(), self.space.n_concepts
        if self.n_slots**concepts > 100_000:
            raise TableError(f"{self.n_slots} slots with {concepts} concepts give too many value swaps to list")
        mixed = [
            np.stack([values[:, slot, k] for k, slot in enumerate(slots)], axis=1)
            for slots in product(range(self.n_slots), repeat=concepts)
        ]
        return np.stack([self.space.object_ids(one) for one in mixed], axis=1)

    def count_in_bag(self, among: BoolArray) -> IntArray:
        """How many candidates of the mask `among` `[O]` are made of values of the scene, one of each concept, `[n]`.

        O(n m^C) or O(n C O), whichever is less, a block of rows at a time.
        """
        if self.n_slots**self.space.n_concepts <= self.n_objects:
            return self._count_listed(among)
        objects = self.candidate_values[among]
        out = np.empty(len(self), dtype=np.int64)
        step = max(1, _BAG_CELLS // max(len(objects), 1))
        for start in range(0, len(self), step):
            values = self.values[start : start + step]
            inside = np.ones((len(values), len(objects)), dtype=bool)
            for k, size in enumerate(self.space.sizes):
                shown = np.zeros((len(values), size + 1), dtype=bool)
                shown[np.arange(len(values))[:, None], values[:, :, k]] = True  # -1 falls into the last, extra column
                inside &= shown[:, objects[:, k]]
            out[start : start + step] = inside.sum(axis=1)
        return out

    def _count_listed(self, among: BoolArray) -> IntArray:
        ids = self.bag_objects()
        place = np.minimum(np.searchsorted(self.candidates, ids), self.n_objects - 1)
        counted = (ids != ABSENT) & (self.candidates[place] == ids) & among[place]
        ordered = np.sort(np.where(counted, place, ABSENT), axis=1)
        new = ordered != ABSENT
        new[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
        return np.asarray(new.sum(axis=1), dtype=np.int64)

    def object_name(self, code: int) -> str:
        """Words of the candidate at a position."""
        return self.space.object_name(int(self.candidates[code]))

    def describe(self, row: int) -> str:
        """The scene in words, objects in slot order."""
        ids = self.object_ids[row]
        return " + ".join(self.space.object_name(int(i)) for i in ids if i != ABSENT)


def row_ids(matrix: IntArray) -> IntArray:
    """Number the distinct rows of an integer matrix `[n, q]`: equal rows, equal number. O(n q log n)."""
    ids = np.zeros(len(matrix), dtype=np.int64)
    for column in matrix.T:
        _, codes = np.unique(column, return_inverse=True)
        _, ids = np.unique(ids * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)
    return ids.astype(np.int64)


def concatenate(tables: Sequence[SceneTable]) -> SceneTable:
    """Stack tables of one space; missing slots are filled as absent."""
    if not tables or any(table.space != tables[0].space for table in tables):
        raise TableError("only tables of one concept space can be stacked, at least one; use the same concepts in all")
    slots = max(table.n_slots for table in tables)

    def widen(array: NDArray[np.generic], fill: float) -> NDArray[np.generic]:
        width = [(0, 0), (0, slots - array.shape[1])] + [(0, 0)] * (array.ndim - 2)
        return np.pad(array, width, constant_values=fill)

    shares = [table.visible for table in tables]
    return SceneTable.build(
        tables[0].space,
        np.concatenate([widen(table.values, ABSENT) for table in tables]),
        np.concatenate([widen(table.present, False) for table in tables]),
        np.concatenate([table.replicate for table in tables]),
        None if any(s is None for s in shares) else np.concatenate([widen(s, np.nan) for s in shares if s is not None]),
        np.unique(np.concatenate([table.candidates for table in tables])),
    )


def _occurrence(ids: IntArray) -> IntArray:
    """How often each number occurred before, in row order."""
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    starts = np.r_[0, np.flatnonzero(np.diff(ordered)) + 1] if len(ids) else np.zeros(0, dtype=np.int64)
    first = np.repeat(starts, np.diff(np.r_[starts, len(ids)]))
    copies = np.empty(len(ids), dtype=np.int64)
    copies[order] = np.arange(len(ids)) - first
    return copies


def _checked_values(space: ConceptSpace, values: ArrayLike) -> IntArray:
    try:
        array = np.asarray(values)
    except ValueError:
        raise TableError("values must be one array; fill scenes of fewer objects with -1") from None
    if array.ndim != 3 or array.shape[2] != space.n_concepts:
        raise TableError(f"values must have shape [scenes, slots, {space.n_concepts}], got {list(array.shape)}")
    if not array.size:
        raise TableError("the table is empty; it needs at least one scene with at least one slot")
    if not np.issubdtype(array.dtype, np.integer):
        raise TableError(f"values must be integer indices, got {array.dtype}")
    return array.astype(np.int64)


def _checked_present(array: IntArray, present: ArrayLike) -> BoolArray:
    shown = np.asarray(present, dtype=bool)
    if shown.shape != array.shape[:2]:
        raise TableError(f"present must have shape {list(array.shape[:2])}, got {list(shown.shape)}")
    return shown


def _refuse_bad_cells(space: ConceptSpace, array: IntArray, shown: BoolArray) -> None:
    wrong = shown[:, :, None] & ((array < 0) | (array >= np.array(space.sizes)))
    if wrong.any():
        row, slot, k = (int(i) for i in np.argwhere(wrong)[0])
        raise TableError(
            f"row {row}, object {slot + 1}, {space.names[k]}: value index {array[row, slot, k]} is outside "
            f"0..{space.sizes[k] - 1}"
        )
    empty = ~shown.any(axis=1)
    if empty.any():
        raise TableError(f"row {int(np.flatnonzero(empty)[0])} shows no object; every scene needs at least one")
