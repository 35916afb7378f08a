"""Recognition by its definition, with its chance level and its ceiling.

A scene is right iff the smallest score of its present candidates is strictly larger than the largest score of the
others (Sec. 3 of arXiv 2605.31503). Candidates are the values of one concept, or all objects that the data set can
show. A tie is wrong and is counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from bindscope.concepts import ABSENT, IntArray
from bindscope.errors import InputError
from bindscope.parallel import over_blocks
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.uncertainty import Outcome

TIE = 1e-9  # relative to the largest score of a scene: closer scores differ by rounding only
_CELLS = 1_000_000
_ROUNDING = 1e-5  # of |vector| |weights|: far above what single precision loses


@dataclass(frozen=True, eq=False)
class Recognised:
    """Outcome per scene: right `[n]`, tied `[n]` (wrong by a tie alone)."""

    right: BoolArray
    tied: BoolArray


def recognise(scores: NDArray[np.floating], members: IntArray) -> Recognised:
    """Judge scores `[n, K]` against the present candidates `members` `[n, m]` (codes 0..K-1, -1 absent).

    A candidate that is present twice counts once. A scene that shows all K candidates has no competitor and is right.

    >>> recognise(np.array([[0.9, 0.8, 0.1], [0.9, 0.1, 0.9]]), np.array([[0, 1], [0, 1]])).right.tolist()
    [True, False]
    """
    gap, scale = _gaps(scores, members)
    tied = np.abs(gap) <= TIE * scale
    return Recognised((gap > 0) & ~tied, tied)


def _gaps(scores: NDArray[np.floating], members: IntArray) -> tuple[FloatArray, FloatArray]:
    """Lowest present minus highest other score of each scene (infinite without others), and its largest score."""
    here = _mask(members, scores.shape[1])
    lowest = np.where(here, scores, np.inf).min(axis=1)
    highest = np.where(here, -np.inf, scores).max(axis=1)
    return np.where(np.isneginf(highest), np.inf, lowest - highest), np.abs(scores).max(axis=1)


def recognise_linear(
    vectors: NDArray[np.floating], weights: NDArray[np.floating], bias: NDArray[np.floating] | None, members: IntArray
) -> Recognised:
    """The same for scores vectors `[n, d]` @ weights `[d, K]` + bias `[K]`, a block of rows at a time. O(n d K).

    Scored in single precision first; where the decision is closer than its rounding, again in double precision.
    """
    step = max(1, _CELLS // max(weights.shape))
    exact = np.asarray(weights, dtype=np.float64)
    offset = np.zeros(exact.shape[1]) if bias is None else np.asarray(bias, dtype=np.float64)
    right, tied = np.zeros(len(vectors), dtype=bool), np.zeros(len(vectors), dtype=bool)

    def judge(some: slice) -> None:
        block, theirs = vectors[some], members[some]
        gap = _single_precision_gaps(block, exact, offset, theirs)
        right[some] = gap > 0
        close = np.flatnonzero(np.isnan(gap))
        if len(close):
            again = recognise(np.asarray(block[close], dtype=np.float64) @ exact + offset, theirs[close])
            right[some.start + close], tied[some.start + close] = again.right, again.tied

    over_blocks(judge, len(vectors), step)
    return Recognised(right, tied)


def _single_precision_gaps(
    block: NDArray[np.floating], weights: FloatArray, bias: FloatArray, members: IntArray
) -> FloatArray:
    """Gaps of each scene `[n]`, NaN where rounding could turn them."""
    single = np.asarray(block, dtype=np.float32)
    gap, _ = _gaps(single @ weights.astype(np.float32) + bias.astype(np.float32), members)
    reach = np.linalg.norm(single, axis=1) * np.linalg.norm(weights, axis=0).max(initial=0.0)
    doubt = _ROUNDING * (reach + np.abs(bias).max(initial=0.0))
    return np.where(np.abs(gap) > doubt, gap, np.nan)


def recognise_by_cosine(vectors: NDArray[np.floating], queries: NDArray[np.floating], members: IntArray) -> Recognised:
    """The same for the cosine of vectors `[n, d]` with queries `[K, d]`. A zero query scores 0."""
    exact = np.asarray(queries, dtype=np.float64)
    if exact.ndim != 2 or exact.shape[1] != vectors.shape[1]:
        raise InputError(f"queries must have shape [candidates, {vectors.shape[1]}], got {list(exact.shape)}")
    length = np.linalg.norm(exact, axis=1, keepdims=True)
    return recognise_linear(vectors, (exact / np.where(length > 0, length, 1.0)).T, None, members)


def distinct_counts(members: IntArray) -> IntArray:
    """Number of distinct present candidates of each scene, `[n]`."""
    ordered = np.sort(members, axis=1)
    new = np.ones_like(ordered, dtype=bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return np.asarray((new & (ordered != ABSENT)).sum(axis=1), dtype=np.int64)


def chance_per_scene(members: IntArray, n_candidates: int) -> FloatArray:
    """1 / binom(K, |P|) for each scene, `[n]`: what random scores reach.

    >>> chance_per_scene(np.array([[0, 1], [2, 2]]), 4).round(4).tolist()
    [0.1667, 0.25]
    """
    present = distinct_counts(members).astype(np.float64)
    log = gammaln(present + 1) + gammaln(n_candidates - present + 1) - gammaln(n_candidates + 1.0)
    return np.asarray(np.exp(log))


def concept_chance(table: SceneTable) -> FloatArray:
    """Chance of each concept for each scene, `[n, C]`; the mean over C is `mean`'s chance, the product is `joint`'s."""
    return np.stack([chance_per_scene(*table.members(k)) for k in range(table.space.n_concepts)], axis=1)


def object_chance(table: SceneTable) -> FloatArray:
    """Chance of object recognition for each scene, `[n]`."""
    return chance_per_scene(*table.members())


def ceiling(table: SceneTable, rows: BoolArray | IntArray | None = None) -> float:
    """The best object recognition that any function of the bag can reach on these rows, in 0..1.

    Over bags, the sum of the largest count of one object set, divided by the number of rows. 1.0 means that the rows
    cannot tell binding from a bag; NaN where there are none. O(n log n). Where scenes of four and more repeat objects,
    one set of a bag can lie inside another, and one ranking of the objects is right for both: their counts add up.
    """
    ids = np.stack([table.bag_ids, table.set_ids], axis=1)
    ids = ids if rows is None else ids[rows]
    if not len(ids):
        return float("nan")
    pairs, first, counts = np.unique(ids, axis=0, return_index=True, return_counts=True)
    if table.n_slots > 3:
        codes = table.object_codes if rows is None else table.object_codes[rows]
        counts = _with_nested_sets(pairs[:, 0], codes[first], counts)
    best = np.zeros(int(pairs[:, 0].max()) + 1)
    np.maximum.at(best, pairs[:, 0], counts)
    return float(best.sum() / len(ids))


def _with_nested_sets(bags: IntArray, members: IntArray, counts: IntArray) -> IntArray:
    """Counts `[g]` of object sets `[g, m]`, each plus the largest total of a chain of sets of its bag inside it."""
    totals, sizes = counts.copy(), distinct_counts(members)
    low = np.full(int(bags.max()) + 1, members.shape[1])
    np.minimum.at(low, bags, sizes)
    inner: dict[int, list[tuple[frozenset[int], int]]] = {}
    mixed = np.isin(bags, bags[sizes > low[bags]])  # bags whose sets differ in size
    for i in sorted(np.flatnonzero(mixed), key=lambda i: int(sizes[i])):
        own = frozenset(members[i].tolist()) - {ABSENT}
        chains = inner.setdefault(int(bags[i]), [])
        totals[i] += max((total for other, total in chains if other < own), default=0)
        chains.append((own, int(totals[i])))
    return totals


def additive_scorer(table: SceneTable) -> tuple[FloatArray, FloatArray]:
    """What a scorer that adds one number per present value reaches on each scene, `[n]` and `[n]`.

    All objects made of present values tie. First with ties wrong, then with ties broken at random.
    """
    among = table.count_in_bag(np.ones(table.n_objects, dtype=bool))
    present = distinct_counts(table.object_codes)
    log = gammaln(present + 1.0) + gammaln(among - present + 1.0) - gammaln(among + 1.0)
    return (among == present).astype(np.float64), np.asarray(np.exp(log))


def ambiguous(table: SceneTable) -> BoolArray:
    """Scenes `[n]` whose bag also belongs to another object set of the table: only they can tell binding from a bag."""
    pairs = np.unique(np.stack([table.bag_ids, table.set_ids], axis=1), axis=0)
    return np.bincount(pairs[:, 0])[table.bag_ids] > 1


def _mask(members: IntArray, n_candidates: int) -> BoolArray:
    here = np.zeros((len(members), n_candidates + 1), dtype=bool)
    here[np.arange(len(members))[:, None], members] = True  # -1 falls into the last, extra column
    return here[:, :n_candidates]


class QueryVectors(Protocol):
    """A model's own queries: objects `[O, d]` in the order of the candidates, values one `[V_k, d]` a concept."""

    @property
    def objects(self) -> NDArray[np.floating]: ...
    @property
    def values(self) -> Sequence[NDArray[np.floating]]: ...


@dataclass(frozen=True, eq=False)
class SceneRecognition:
    """Recognition of each row of a table: concepts (one for each concept) and objects.

    paper: `swaps.paper_metric` of each row and its chance, where that was asked for.
    """

    table: SceneTable
    concepts: tuple[Recognised, ...]
    objects: Recognised
    paper: tuple[FloatArray, FloatArray] | None = None

    @property
    def concept_mean(self) -> FloatArray:
        """Share of the concepts that are right, of each row `[n]`."""
        return np.asarray(np.stack([one.right for one in self.concepts], axis=1).astype(np.float64).mean(axis=1))


def zero_shot(
    vectors: NDArray[Any], table: SceneTable, queries: QueryVectors, centred: bool = False
) -> SceneRecognition:
    """Cosine of each scene `[n, d]` with the model's own queries; `centred` takes the mean off both sides first."""
    shift = vectors.mean(axis=0, dtype=np.float64) if centred else np.zeros(vectors.shape[1])

    def judged(asked: NDArray[Any], members: IntArray) -> Recognised:
        own = asked.mean(axis=0, dtype=np.float64) if centred else np.zeros(vectors.shape[1])
        return recognise_by_cosine(vectors - shift.astype(np.float32), asked - own, members)

    concepts = tuple(judged(q, table.members(k)[0]) for k, q in enumerate(queries.values))
    return SceneRecognition(table, concepts, judged(queries.objects, table.object_codes))


def recognition_outcomes(
    found: SceneRecognition, estimator: str, split: str, extra: Mapping[str, Any] | None = None
) -> list[Outcome]:
    """All figures of one read-out: concepts (mean, joint, each, and on unshared scenes) and objects (all, unshared)."""
    more = dict(extra or {})
    everywhere = np.ones(len(found.table), dtype=bool)
    words = {"estimator": estimator, "split": split, "codes": found.table.object_codes}
    return [
        *_concept_outcomes(found, everywhere, {**words, "extra": more}),
        *_concept_outcomes(found, found.table.unshared, {**words, "extra": {**more, "scenes": "unshared"}}),
        _object_outcome(found, "all", everywhere, everywhere, {**words, "extra": more}),
        _object_outcome(found, "unshared", found.table.unshared, found.table.unshared, {**words, "extra": more}),
    ]


def brief_outcomes(
    found: SceneRecognition,
    estimator: str,
    split: str,
    rows: BoolArray,
    extra: Mapping[str, Any],
    among: BoolArray | None = None,
) -> list[Outcome]:
    """Concepts (mean) and objects (all, unshared) on the rows of a mask; nothing where it has none.

    among: the rows that the ceiling is taken over, where a bag is not told which of them are scored.
    """
    if not rows.any():
        return []
    words = {"estimator": estimator, "split": split, "codes": found.table.object_codes, "extra": dict(extra)}
    whole, unshared = rows if among is None else among, found.table.unshared
    objects = [_object_outcome(found, "all", rows, whole, words)]
    if (rows & unshared).any():
        objects.append(_object_outcome(found, "unshared", rows & unshared, whole & unshared, words))
    return [*_concept_outcomes(found, rows, words)[:1], *objects]


def recognition_on(found: SceneRecognition, rows: BoolArray, target: str, words: Mapping[str, Any]) -> list[Outcome]:
    """Concepts (mean, with `target` as the kind of scenes) and objects on the rows of a mask."""
    more = {"codes": found.table.object_codes, **words}
    concepts = _concept_outcomes(found, rows, {**more, "extra": {"scenes": target}})[0]
    return [concepts, _object_outcome(found, target, rows, rows, more)]


def _concept_outcomes(found: SceneRecognition, rows: BoolArray, words: Mapping[str, Any]) -> list[Outcome]:
    names = found.table.space.names
    right = np.stack([one.right for one in found.concepts], axis=1).astype(np.float64)
    tied = np.stack([one.tied for one in found.concepts], axis=1)
    chance = concept_chance(found.table)
    figures: list[tuple[str, FloatArray, FloatArray, BoolArray]] = [
        ("mean", np.asarray(right.mean(axis=1)), chance.mean(axis=1), np.asarray(tied.any(axis=1))),
        ("joint", np.asarray(right.all(axis=1), dtype=np.float64), chance.prod(axis=1), np.asarray(tied.any(axis=1))),
        *((name, right[:, k], chance[:, k], tied[:, k]) for k, name in enumerate(names)),
    ]
    return [
        Outcome.mean(
            "concept_recognition",
            value,
            rows,
            target=target,
            chance=_level(level, rows),
            ties=int(ties[rows].sum()),
            **words,
        )
        for target, value, level, ties in figures
    ]


def _object_outcome(
    found: SceneRecognition, target: str, rows: BoolArray, among: BoolArray, words: Mapping[str, Any]
) -> Outcome:
    return Outcome.mean(
        "object_recognition",
        found.objects.right,
        rows,
        target=target,
        chance=_level(object_chance(found.table), rows),
        ceiling=ceiling(found.table, among),
        ties=int(found.objects.tied[rows].sum()),
        **words,
    )


def _level(chance: FloatArray, rows: BoolArray) -> float | None:
    return float(chance[rows].mean()) if rows.any() else None
