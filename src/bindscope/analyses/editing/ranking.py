"""Where the real counterfactual scene ranks among all real scenes, for very many edits at once.

The score of an edit z + p u_new - q u_old + a r_base + b r_target with a real vector g is a sum of five products, and each
factor belongs to few edits: every row, object vector and scene is multiplied with the gallery once, and an edit only adds
up rows of these products. O(n^2 d) for the products and O(edits * n) for the sums, against O(edits * n * d) one by one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from bindscope.analyses.editing.cases import Cases
from bindscope.analyses.editing.object_vectors import ObjectVectors, Weights
from bindscope.analyses.retrieval import TIE, Single, unit
from bindscope.concepts import IntArray
from bindscope.design import Vectors
from bindscope.parallel import one_thread
from bindscope.scenes import BoolArray, FloatArray, SceneTable, row_ids

TWIN = 4e-6  # unit vectors closer than this are one: no score in single precision tells them apart
_COLUMNS = 1_024  # of the gallery at a time: an edit's block of scores stays in the cache
_BLOCK = 4_096
_THREADS = 4


@dataclass(frozen=True, eq=False)
class Gallery:
    """All real vectors at unit length, in row order.

    groups `[n]`: rows with equal numbers cannot be told apart by any score. scenes `[n]`: numbers of what counts as the
    same scene.
    """

    unit: Single
    groups: IntArray
    scenes: IntArray

    @classmethod
    def of(cls, vectors: Vectors, table: SceneTable, any_order: bool = False) -> Gallery:
        """The gallery of a table. any_order: scenes with the same objects in other slots count as the same one."""
        real = unit(vectors)
        return cls(real, twins(real), table.multiset_ids if any_order else table.scene_ids)

    def own(self, scenes: IntArray) -> tuple[IntArray, IntArray]:
        """Pairs (position in `scenes`, row): rows that show a scene, or that no score tells from one that does."""
        of_scene = _members(self.scenes)
        position, row = _expand(scenes, *of_scene)
        position, row = _expand(self.groups[row], *_members(self.groups), position)
        pairs = np.unique(position * len(self.groups) + row)
        return pairs // len(self.groups), pairs % len(self.groups)


@dataclass(frozen=True, eq=False)
class Ranks:
    """Rank of the counterfactual scene `[c]`, 1 is best: one more than the real vectors of other scenes that score at
    least as high. tied `[c]`: rank 1 is missed by ties alone. own `[c]`: real vectors that count as the scene."""

    rank: IntArray
    tied: BoolArray
    own: IntArray

    @property
    def hit(self) -> BoolArray:
        """Top-1 retrieval."""
        return np.asarray(self.rank == 1)


def rank_edits(
    gallery: Gallery, cases: Cases, edits: Sequence[tuple[ObjectVectors, Weights]], target: IntArray | None = None
) -> list[Ranks]:
    """Rank the target scene of each case among all real vectors, for each way to edit, by raw cosine.

    cases: in the order of their rows. target `[c]`: numbers of the wanted scenes in `gallery.scenes` (default: of the
    cases). Ways that share their source vectors share the products with them.
    """
    if not len(cases):
        nothing = np.zeros(0, dtype=np.int64)
        return [Ranks(nothing, nothing > 0, nothing) for _ in edits]
    wanted, back = np.unique(cases.target if target is None else target, return_inverse=True)
    position, row = gallery.own(wanted)
    pairs = _Pairs.of(back, position, row, len(wanted))
    jobs = [_Job.of(gallery, cases, vectors, weights, pairs) for vectors, weights in edits]
    groups = _Groups.of(cases, edits[0][0].table)
    rows = np.asarray(jobs[0].vectors.source[groups.rows], dtype=np.float32)
    workers = min(_THREADS, os.cpu_count() or 1, len(groups.rows))
    parts = np.linspace(0, len(groups.rows), workers + 1).astype(int).tolist()
    with ThreadPoolExecutor(workers) as pool:  # edits of different rows never touch the same counts
        for start in range(0, len(gallery.unit), _COLUMNS):
            columns = np.ascontiguousarray(gallery.unit[start : start + _COLUMNS].T)
            scored, own = rows @ columns, pairs.within(start, columns.shape[1])
            for job in jobs:
                block = _Scores.of(job, groups, scored, columns, own)
                with one_thread():  # the threads are ours: products inside them must not start more
                    list(pool.map(block.count, parts[:-1], parts[1:]))
    counts = np.bincount(back, minlength=len(wanted))
    own_rows = np.bincount(position, minlength=len(wanted))[back]
    assert counts.sum() == len(cases)
    return [Ranks(job.at_least + 1, (job.above == 0) & (job.at_least > 0), own_rows) for job in jobs]


def nearest(gallery: Gallery, vectors: FloatArray, count: int) -> tuple[IntArray, FloatArray]:
    """Rows of the `count` real vectors nearest to each of these `[q, d]`, best first, and their cosines, `[q, count]`."""
    scores = unit(vectors) @ gallery.unit.T
    count = min(count, scores.shape[1])
    best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    theirs = np.take_along_axis(scores, best, axis=1)
    order = np.lexsort((best, -theirs), axis=1)
    return np.take_along_axis(best, order, axis=1), np.take_along_axis(theirs, order, axis=1).astype(np.float64)


def twins(vectors: Single) -> IntArray:
    """Group numbers `[n]` of unit vectors closer than TWIN, found by sorting along a few random directions. O(n log n)."""
    rng = np.random.default_rng(97)
    ids = np.zeros(len(vectors), dtype=np.int64)
    for _ in range(6):
        direction = rng.standard_normal(vectors.shape[1])
        along = np.asarray(vectors, dtype=np.float64) @ (direction / np.linalg.norm(direction))
        order = np.lexsort((along, ids))
        new = np.ones(len(vectors), dtype=bool)
        new[1:] = (np.diff(ids[order]) != 0) | (np.diff(along[order]) > TWIN)
        ids = np.empty(len(vectors), dtype=np.int64)
        ids[order] = np.cumsum(new) - 1
    return row_ids(ids[:, None])


@dataclass(frozen=True, eq=False)
class _Groups:
    """Cases of one row side by side: bounds `[g + 1]`, the row and its scene `[g]`, the objects in its slots `[g, m]`."""

    bounds: IntArray
    rows: IntArray
    base: IntArray
    codes: IntArray

    @classmethod
    def of(cls, cases: Cases, table: SceneTable) -> _Groups:
        starts = np.flatnonzero(np.r_[True, np.diff(cases.row) != 0])
        rows = cases.row[starts]
        return cls(np.r_[starts, len(cases)], rows, cases.base[starts], table.object_codes[rows])


@dataclass(frozen=True, eq=False)
class _Pairs:
    """All pairs of a case and a real vector that is its own, ordered by case."""

    case: IntArray
    row: IntArray

    @classmethod
    def of(cls, back: IntArray, position: IntArray, row: IntArray, wanted: int) -> _Pairs:
        counts = np.bincount(position, minlength=wanted)
        starts = np.cumsum(counts) - counts
        case = np.repeat(np.arange(len(back)), counts[back])
        within = np.arange(len(case)) - np.repeat(np.cumsum(counts[back]) - counts[back], counts[back])
        return cls(case, row[starts[back][case] + within])

    def within(self, start: int, width: int) -> tuple[IntArray, IntArray]:
        inside = (self.row >= start) & (self.row < start + width)
        return self.case[inside], self.row[inside] - start


@dataclass(frozen=True, eq=False)
class _Job:
    """One way to edit all cases, in single precision, with what has been counted so far.

    objects `[p, d]`; rest `[s, d]`: remainders of the scenes that are left out (none: s = 0); base, target `[c]`: scenes
    among them; low, high `[c]`: scores from `low` on tie with the wanted scene's, those above `high` beat it.
    """

    vectors: ObjectVectors
    cases: Cases
    objects: Single
    rest: Single
    base: IntArray
    target: IntArray
    old: IntArray
    new: IntArray
    weights: Mapping[str, Single]
    low: Single
    high: Single
    at_least: IntArray
    above: IntArray

    @classmethod
    def of(cls, gallery: Gallery, cases: Cases, vectors: ObjectVectors, weights: Weights, pairs: _Pairs) -> _Job:
        uses = bool(weights.base.any() or weights.target.any())
        scenes, back = np.unique(np.concatenate([cases.base, cases.target]), return_inverse=True)
        rest = vectors.remainders(scenes) if uses else np.zeros((0, gallery.unit.shape[1]))
        job = cls(
            vectors,
            cases,
            vectors.vectors.astype(np.float32),
            rest.astype(np.float32),
            back[: len(cases)],
            back[len(cases) :],
            vectors.columns(cases.old, cases.slot),
            vectors.columns(cases.new, cases.slot),
            {name: getattr(weights, name).astype(np.float32)[:, None] for name in ("new", "old", "base", "target")},
            *np.zeros((2, len(cases)), dtype=np.float32),
            *np.zeros((2, len(cases)), dtype=np.int64),
        )
        job.set_thresholds(gallery, pairs)
        return job

    def set_thresholds(self, gallery: Gallery, pairs: _Pairs) -> None:
        """Best product of each edited vector with its own rows, less and more by TIE of the edited vector's length."""
        edges = np.searchsorted(pairs.case, np.arange(0, len(self.cases) + _BLOCK, _BLOCK))
        for i, start in enumerate(range(0, len(self.cases), _BLOCK)):
            chunk = slice(start, min(start + _BLOCK, len(self.cases)))
            edited = self.edited(chunk)
            case, row = pairs.case[edges[i] : edges[i + 1]] - start, pairs.row[edges[i] : edges[i + 1]]
            best = np.full(len(edited), -np.inf, dtype=np.float32)
            for low in range(0, len(case), _BLOCK):
                some = slice(low, low + _BLOCK)
                np.maximum.at(best, case[some], np.einsum("cd,cd->c", edited[case[some]], gallery.unit[row[some]]))
            reach = np.float32(TIE) * np.linalg.norm(edited, axis=1)
            self.low[chunk], self.high[chunk] = best - reach, best + reach

    def edited(self, chunk: slice) -> Single:
        """Edited vectors of some cases."""
        out = np.asarray(self.vectors.source[self.cases.row[chunk]], dtype=np.float32)
        out += self.weights["new"][chunk] * self.objects[self.new[chunk]]
        out -= self.weights["old"][chunk] * self.objects[self.old[chunk]]
        if len(self.rest):
            out += self.weights["base"][chunk] * self.rest[self.base[chunk]]
            out += self.weights["target"][chunk] * self.rest[self.target[chunk]]
        return out


@dataclass(frozen=True, eq=False)
class _Scores:
    """Products of a job's factors with one block of the gallery, and the sums of them that are the edits' scores."""

    job: _Job
    groups: _Groups
    scored: Single  # [g, w]: the groups' rows
    objects: Single
    rest: Single
    own: tuple[IntArray, IntArray]
    edges: IntArray  # where the own pairs of each group start
    shown: IntArray  # [g, m]: objects of each group's slots, any one where absent
    mix: Single  # [c, m + 2]: weights of the row, of the objects in its slots, and of its scene's remainder

    @classmethod
    def of(cls, job: _Job, groups: _Groups, scored: Single, columns: Single, own: tuple[IntArray, IntArray]) -> _Scores:
        slots = groups.codes.shape[1]
        shown = job.vectors.columns(np.maximum(groups.codes, 0), np.arange(slots)[None, :])
        mix = np.zeros((len(job.cases), slots + 2), dtype=np.float32)
        mix[:, 0] = 1.0
        mix[np.arange(len(mix)), 1 + job.cases.slot] = -job.weights["old"][:, 0]
        mix[:, -1] = job.weights["base"][:, 0]
        edges = np.searchsorted(own[0], groups.bounds)
        return cls(job, groups, scored, job.objects @ columns, job.rest @ columns, own, edges, shown, mix)

    def count(self, first: int, last: int) -> None:
        """Add what the groups first..last find in this block."""
        job, bounds = self.job, self.groups.bounds
        most, width = int(np.diff(bounds[first : last + 1]).max()), self.scored.shape[1]
        stack = np.zeros((self.mix.shape[1], width), dtype=np.float32)
        room, more = np.empty((2, most, width), dtype=np.float32)
        scale_new = not bool((job.weights["new"] == 1.0).all())
        for g in range(first, last):
            low, high = int(bounds[g]), int(bounds[g + 1])
            scores, added = room[: high - low], more[: high - low]
            stack[0] = self.scored[g]
            np.take(self.objects, self.shown[g], axis=0, out=stack[1:-1], mode="clip")
            if len(self.rest):
                stack[-1] = self.rest[job.base[low]]
            np.matmul(self.mix[low:high], stack, out=scores)
            np.take(self.objects, job.new[low:high], axis=0, out=added, mode="clip")
            if scale_new:
                added *= job.weights["new"][low:high]
            scores += added
            if len(self.rest):
                np.take(self.rest, job.target[low:high], axis=0, out=added, mode="clip")
                added *= job.weights["target"][low:high]
                scores += added
            self._tally(scores, low, high, int(self.edges[g]), int(self.edges[g + 1]))

    def _tally(self, scores: Single, low: int, high: int, first: int, last: int) -> None:
        job = self.job
        if first < last:
            scores[self.own[0][first:last] - low, self.own[1][first:last]] = -np.inf
        some = np.flatnonzero(scores.max(axis=1) >= job.low[low:high])  # few edits are passed in any one block
        if len(some):
            rows, theirs = some + low, scores[some]
            job.at_least[rows] += np.count_nonzero(theirs >= job.low[rows, None], axis=1)
            job.above[rows] += np.count_nonzero(theirs > job.high[rows, None], axis=1)


def _members(ids: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Rows ordered by number, and where each number starts and how often it occurs."""
    counts = np.bincount(ids)
    return np.argsort(ids, kind="stable"), np.cumsum(counts) - counts, counts


def _expand(
    numbers: IntArray, order: IntArray, starts: IntArray, counts: IntArray, labels: IntArray | None = None
) -> tuple[IntArray, IntArray]:
    """All rows of each number, beside its label (its position by default)."""
    names = np.arange(len(numbers)) if labels is None else labels
    times = counts[numbers]
    within = np.arange(int(times.sum())) - np.repeat(np.cumsum(times) - times, times)
    return np.repeat(names, times), order[np.repeat(starts[numbers], times) + within]
