"""Binding itself: does a scene prefer its own objects to every other arrangement of its own values?

A(s): all multisets of m candidate objects with the scene's multiset of values in every concept; N = |A(s)|, the scene's own
among them. Only a scene with N > 1 is ambiguous: a bag of its values does not say which objects it shows. With nothing
repeated N = (m!)^(C-1); a missing candidate takes arrangements away, a repeated value makes some of them equal.

- preference: T(A) = sum of the scores of A's objects; a scene counts 1 / (arrangements tied at the top) where its own is at
  the top, else 0. Chance is the mean of 1/N. On a table that holds every arrangement of a bag equally often every function of
  the bag reaches exactly that; elsewhere the ceiling is `preference_ceiling`.
- within the bag: the strict rule of recognition (`recognition.recognise`) among the objects that the scene's values can make;
  chance is 1 / binom.
- errors of object recognition: a binding error where the best wrong object is made of the scene's own values, else one of
  resolution.

All scores are in double precision: in single precision the arrangements of a bag differ by 2e-8 to 8e-7 of |z| max|q|.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations, product
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from bindscope.concepts import ABSENT, IntArray
from bindscope.errors import InputError
from bindscope.parallel import over_blocks
from bindscope.scenes import BoolArray, FloatArray, SceneTable, row_ids
from bindscope.uncertainty import Outcome

TIE = 1e-6  # times m |z| max|q|: closer sums of scores differ by rounding only
MAX_WAYS = 50_000  # arrangements of a scene: more are not listed, and such scenes are not judged
_CELLS = 4_000_000
_GATHER = 32  # a matrix product over all candidates costs less than fetching one in so many of them


@dataclass(frozen=True, eq=False)
class Binding:
    """How each of n scenes stands to the arrangements of its values; zero and False where a scene is not ambiguous.

    arrangements `[n]`: N (0 where there are more than MAX_WAYS ways to write them down). preference `[n]`: 1 / (number tied)
    where the own arrangement is at the top. tied: at the top with others. within, within_tied: the strict rule in the bag,
    and wrong by a tie alone. within_chance: 1 / binom(objects that the values can make, objects shown).
    """

    arrangements: IntArray
    preference: FloatArray
    tied: BoolArray
    within: BoolArray
    within_tied: BoolArray
    within_chance: FloatArray

    @property
    def ambiguous(self) -> BoolArray:
        """Scenes `[n]` that can be judged: another arrangement of their values exists."""
        return self.arrangements > 1

    @property
    def chance(self) -> FloatArray:
        """1 / N of each ambiguous scene `[n]`; zero elsewhere."""
        return np.where(self.ambiguous, 1.0 / np.maximum(self.arrangements, 1), 0.0)


def binding_by_cosine(vectors: NDArray[np.floating], queries: NDArray[np.floating], table: SceneTable) -> Binding:
    """Judge scenes by the cosine of vectors `[n, d]` with the queries `[O, d]` of the table's candidates.

    Time O(n d min(O, m^C) + n W m log W) for W = (m!)^(C-1) ways to arrange a scene; memory is blocked.

    >>> from bindscope.concepts import ConceptSpace
    >>> space = ConceptSpace.of([("color", ["red", "blue"]), ("shape", ["cube", "ball"])])
    >>> table = SceneTable.build(space, [[[0, 0], [1, 1]], [[0, 1], [1, 0]], [[0, 0], [0, 1]]])
    >>> own = np.eye(4)  # an axis for each of the four objects
    >>> found = binding_by_cosine(own[table.object_ids].sum(axis=1), own, table)
    >>> found.arrangements.tolist(), found.preference.tolist()
    ([2, 2, 1], [1.0, 1.0, 0.0])
    """
    exact = np.asarray(queries, dtype=np.float64)
    if exact.ndim != 2 or exact.shape[1] != vectors.shape[1]:
        raise InputError(f"queries must have shape [candidates, {vectors.shape[1]}], got {list(exact.shape)}")
    return binding_linear(vectors, _unit(exact).T, None, table)


def binding_linear(
    vectors: NDArray[np.floating], weights: NDArray[np.floating], bias: NDArray[np.floating] | None, table: SceneTable
) -> Binding:
    """The same for scores vectors `[n, d]` @ weights `[d, O]` + bias `[O]`, such as those of a trained read-out."""
    rows = np.ascontiguousarray(np.asarray(weights, dtype=np.float64).T)
    offset = np.zeros(len(rows)) if bias is None else np.asarray(bias, dtype=np.float64)
    if vectors.shape != (len(table), rows.shape[1]) or {len(rows), len(offset)} != {table.n_objects}:
        raise InputError(
            f"scores need a vector for each of {len(table)} scenes and a column of weights for each of "
            f"{table.n_objects} candidates, got {list(vectors.shape)}, {list(rows.T.shape)} and {list(offset.shape)}"
        )
    n = len(table)
    tied, within, near = np.zeros((3, n), dtype=bool)
    found = Binding(np.zeros(n, dtype=np.int64), np.zeros(n), tied, within, near, np.zeros(n))
    reach = float(np.linalg.norm(rows, axis=1).max(initial=0.0))

    def judge(some: IntArray, bags: _Bags) -> None:
        block = np.asarray(vectors[some], dtype=np.float64)
        scores = _scores(block, rows, offset, bags.codes)
        _judge(found, some, scores, bags, TIE * reach * np.linalg.norm(block, axis=1))

    _each_block(table, judge, rows.shape[1])
    return found


def arrangements(table: SceneTable) -> IntArray:
    """N = |A(s)| of each scene `[n]`, its own among them; 1: not ambiguous; 0: more ways than MAX_WAYS, not counted."""
    out = np.zeros(len(table), dtype=np.int64)

    def count(some: IntArray, bags: _Bags) -> None:
        out[some] = bags.distinct.sum(axis=1)

    _each_block(table, count, 1)
    return out


def preference_ceiling(table: SceneTable, rows: BoolArray) -> float:
    """The best preference that any function of the bag can reach on the rows of a mask `[n]`; NaN where it has none.

    Over bags, the sum of the largest count of one arrangement, divided by the number of rows.
    """
    ids = np.stack([table.bag_ids[rows], table.multiset_ids[rows]], axis=1)
    if not len(ids):
        return float("nan")
    pairs, counts = np.unique(ids, axis=0, return_counts=True)
    best = np.zeros(int(pairs[:, 0].max()) + 1)
    np.maximum.at(best, pairs[:, 0], counts)
    return float(best.sum() / len(ids))


def above_chance(preference: float, chance: float) -> float:
    """pi = (p - chance) / (1 - chance): 0 for a bag, 1 where every scene prefers its own objects; NaN at chance 1.

    >>> above_chance(0.75, 0.5)
    0.5
    """
    return (preference - chance) / (1.0 - chance) if chance < 1.0 else float("nan")


def binding_outcomes(found: Binding, table: SceneTable, rows: BoolArray | None = None, **words: Any) -> list[Outcome]:
    """`binding_preference` and `binding_within_bag` on the ambiguous scenes among the rows of a mask `[n]` (all by default)."""
    some = found.ambiguous if rows is None else found.ambiguous & rows
    best = preference_ceiling(table, some) if some.any() else None
    figures = (
        ("binding_preference", found.preference, found.chance, best, found.tied),
        ("binding_within_bag", found.within.astype(np.float64), found.within_chance, None, found.within_tied),
    )
    return [
        Outcome.mean(
            name,
            values,
            some,
            chance=float(chance[some].mean()) if some.any() else None,
            ceiling=ceiling,
            ties=int(ties[some].sum()),
            within_bags=True,
            **words,
        )
        for name, values, chance, ceiling, ties in figures
    ]


def binding_errors(
    vectors: NDArray[np.floating], queries: NDArray[np.floating], table: SceneTable, wrong: BoolArray
) -> BoolArray:
    """Scenes `[n]` of the mask `wrong` whose best wrong object by cosine is made of the scene's own values.

    The other scenes of the mask are errors of resolution: the objects are too many for the vectors to keep apart. An object
    of the own values that ties with the best counts as the best. O(n d O), a block of scenes at a time.
    """
    exact = _unit(np.asarray(queries, dtype=np.float64)).T
    out = np.zeros(len(table), dtype=bool)
    chosen = np.flatnonzero(wrong)
    values = table.candidate_values

    def judge(block: slice) -> None:
        some = chosen[block]
        z = np.asarray(vectors[some], dtype=np.float64)
        scores = z @ exact
        _leave_out(scores, table.object_codes[some])
        inside = _made_of(table.values[some], values)
        best = np.where(inside, scores, -np.inf).max(axis=1)
        out[some] = best >= scores.max(axis=1) - TIE * np.linalg.norm(z, axis=1)

    over_blocks(judge, len(chosen), max(1, _CELLS // max(exact.shape)))
    return out


def _unit(rows: FloatArray) -> FloatArray:
    """Rows of length 1; a row of zeros stays."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1.0))


def _leave_out(scores: FloatArray, members: IntArray) -> None:
    """Set the scores of present candidates `members` `[b, m]` to minus infinity."""
    for column in members.T:
        here = np.flatnonzero(column != ABSENT)
        scores[here, column[here]] = -np.inf


def _made_of(shown: IntArray, values: IntArray) -> BoolArray:
    """Whether all values of each candidate `[O, C]` occur in each scene `[b, m, C]`; `[b, O]`."""
    inside = np.ones((len(shown), len(values)), dtype=bool)
    for k, column in enumerate(values.T):
        occurs = np.zeros((len(shown), int(column.max(initial=0)) + 2), dtype=bool)
        occurs[np.arange(len(shown))[:, None], shown[:, :, k]] = True  # -1 falls into the last, extra column
        inside &= occurs[:, column]
    return inside


@dataclass(frozen=True, eq=False)
class _Bags:
    """Arrangements of b scenes of m objects: codes `[b, m^C]` of the objects that the values can make (-1: no candidate),
    ways `[W, m]` into them (the scene itself first), distinct `[b, W]`: ways that stand for a new arrangement."""

    codes: IntArray
    ways: IntArray
    distinct: BoolArray
    m: int


@lru_cache(maxsize=16)
def _ways(m: int, concepts: int) -> IntArray:
    """All ways `[W, m]` to give m objects the values of m slots: numbers into the m^C mixed objects, slots as digits."""
    orders = np.array(list(permutations(range(m))), dtype=np.int64)
    out: IntArray = np.arange(m)[None] * m ** (concepts - 1)
    for k in range(1, concepts):
        out = (out[:, None, :] + orders[None] * m ** (concepts - 1 - k)).reshape(-1, m)
    return out


def _each_block(table: SceneTable, work: Any, width: int) -> None:
    """Call work(rows, their bags) for blocks of scenes of one number of objects, few enough to hold W m, m^C d cells each."""
    concepts = table.space.n_concepts
    for m in np.unique(table.counts).tolist():
        if factorial(m) ** (concepts - 1) > MAX_WAYS:
            continue
        ways, rows = _ways(m, concepts), table.rows_with(m)
        cells = max(ways.size, m**concepts * width if _GATHER * m**concepts < table.n_objects else table.n_objects)
        step = max(1, _CELLS // cells)
        blocks = [rows[start : start + step] for start in range(0, len(rows), step)]

        def one(block: slice, blocks: list[IntArray] = blocks, m: int = m, ways: IntArray = ways) -> None:
            for some in blocks[block]:
                work(some, _bags(table.take(some), m, ways))

        over_blocks(one, len(blocks), 1)


def _bags(table: SceneTable, m: int, ways: IntArray) -> _Bags:
    values = table.compact()[:, :m]
    mixed = product(range(m), repeat=table.space.n_concepts)
    ids = [
        table.space.object_ids(np.stack([values[:, slot, k] for k, slot in enumerate(slots)], axis=1))
        for slots in mixed
    ]
    known = np.stack(ids, axis=1)
    place = np.minimum(np.searchsorted(table.candidates, known), table.n_objects - 1)
    codes = np.where(table.candidates[place] == known, place, ABSENT)
    return _Bags(codes, ways, _distinct(np.sort(codes[:, ways], axis=2)), m)


def _distinct(made: IntArray) -> BoolArray:
    """The first of each arrangement among `[b, W, m]` sorted codes that holds candidates alone; `[b, W]`."""
    ids = row_ids(made.reshape(-1, made.shape[2])).reshape(made.shape[:2])
    order = np.argsort(ids, axis=1, kind="stable")
    ordered = np.take_along_axis(ids, order, axis=1)
    first = np.ones_like(ordered, dtype=bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    out = np.empty_like(first)
    np.put_along_axis(out, order, first, axis=1)
    return np.asarray(out & (made[:, :, 0] != ABSENT))


def _scores(block: FloatArray, rows: FloatArray, offset: FloatArray, codes: IntArray) -> FloatArray:
    """Scores `[b, q]` of each scene for its own list of candidates `codes` `[b, q]` (of -1: of the last candidate)."""
    if _GATHER * codes.shape[1] < len(rows):
        return np.asarray(np.matmul(rows[codes], block[:, :, None])[:, :, 0] + offset[codes])
    return np.take_along_axis(block @ rows.T + offset, codes % len(rows), axis=1)


def _judge(found: Binding, some: IntArray, scores: FloatArray, bags: _Bags, near: FloatArray) -> None:
    """Write what scores `[b, m^C]` say of the scenes `some` into `found`; near `[b]`: rounding of one score."""
    sums = np.where(bags.distinct, scores[:, bags.ways].sum(axis=2), -np.inf)
    close = near * bags.m
    level = (sums >= (sums.max(axis=1) - close)[:, None]).sum(axis=1)
    many = bags.distinct.sum(axis=1)
    judged = many > 1
    top = (sums[:, 0] >= sums.max(axis=1) - close) & judged
    found.arrangements[some] = many
    found.preference[some] = top / level
    found.tied[some] = top & (level > 1)
    _judge_within(found, some, scores, bags, near, judged)


def _judge_within(
    found: Binding, some: IntArray, scores: FloatArray, bags: _Bags, near: FloatArray, judged: BoolArray
) -> None:
    own = bags.codes[:, bags.ways[0]]
    here = (bags.codes[:, :, None] == own[:, None, :]).any(axis=2)
    other = (bags.codes != ABSENT) & ~here
    gap = np.where(here, scores, np.inf).min(axis=1) - np.where(other, scores, -np.inf).max(axis=1)
    found.within[some] = judged & (gap > near)
    found.within_tied[some] = judged & (np.abs(gap) <= near)
    present, among = _distinct_codes(own), _distinct_codes(bags.codes)
    log = gammaln(present + 1.0) + gammaln(among - present + 1.0) - gammaln(among + 1.0)
    found.within_chance[some] = np.where(judged, np.exp(log), 0.0)


def _distinct_codes(codes: IntArray) -> IntArray:
    """Number of different candidates in each row `[b, q]` of codes, -1 left out."""
    ordered = np.sort(codes, axis=1)
    new = ordered != ABSENT
    new[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
    return np.asarray(new.sum(axis=1), dtype=np.int64)
