"""Description length: how many bits the vectors cost when the concepts are known, by rule.

A rule that is right saves bits, since a new object costs nothing that the rule foresees; a table of objects has to store
each new one. Prequential (predictive) code length (Dawid 1984, JRSS A 147; Rissanen 1984, IEEE Trans. Inf. Theory 30): the
sum of -log2 of the densities of what comes next, given what came before, relative to a constant predictor. Objects
arrive one after the other, and a scene when its last object has arrived; mean over random orders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from bindscope.analyses.codelength.arrivals import FIRST_BLOCK, Arrivals, arrivals
from bindscope.analyses.codelength.coding import (
    ADDITIVE,
    COMPONENTS,
    CONSTANT,
    EXACT,
    FLOOR,
    LOOKUP,
    PURE,
    SWITCH,
    Coded,
    Precision,
    Vectors,
    changes,
    exact_codes,
    rule_codes,
    whitening,
)
from bindscope.concepts import ABSENT, IntArray
from bindscope.design import checked_vectors
from bindscope.errors import InputError, TableError
from bindscope.learners.registry import load_approximator
from bindscope.parallel import one_thread
from bindscope.scenes import FloatArray, SceneTable
from bindscope.streams import stream

FAMILIES = (LOOKUP, ADDITIVE, "per-object", "global", "mlp:256", SWITCH)
ORDERS = 20
RULE_ORDERS = 3
MOST_COLUMNS = 1000  # objects x slots of the table: above that some objects stand for all
MOST_ROWS = 20_000
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Choices:
    """What the code length is relative to.

    components: share of the variance of the first block (0..1) that is coded. floor: precision, as a share of the
    variance; precision: of the total, the same in all directions, or of each component. first_block: share of the objects
    that it has (0..1). whiten_on: the first block, or all scenes (which lets coded scenes choose their coordinates).
    """

    components: float = COMPONENTS
    floor: float = FLOOR
    precision: Precision = "total"
    first_block: float = FIRST_BLOCK
    whiten_on: str = "first block"

    def __post_init__(self) -> None:
        if self.whiten_on not in ("first block", "all scenes"):
            raise InputError(f"whiten_on must be 'first block' or 'all scenes', got {self.whiten_on!r}")


@dataclass(frozen=True, eq=False)
class CodeLengths:
    """Code lengths of one table in R orders of its O objects (those that occur).

    families: the codes that were asked for. bits: code -> `[R', O]`, bits of the scenes that arrive with the object at
    that place, 0 in the first block; codes of refitted rules know the first R' orders only. `constant` is the predictor
    that lengths are relative to; NAME + PURE the same rule without exceptions. objects `[R, O]`: object codes by
    arrival. scenes `[R, O]`: coded scenes. dimensions `[R]`: coded components. first `[R]`: objects of the first
    block. fits: rule -> number of fits, and of those that learnt their own training scenes. n_objects: of the table.
    """

    families: tuple[str, ...]
    bits: Mapping[str, FloatArray]
    objects: IntArray
    scenes: IntArray
    dimensions: IntArray
    first: IntArray
    fits: Mapping[str, tuple[int, int]]
    n_objects: int

    def longer(self, code: str, base: str = CONSTANT) -> FloatArray:
        """Bits that one code takes more than another (negative: fewer), in the orders that both know, `[R', O]`."""
        known = min(len(self.bits[code]), len(self.bits[base]))
        return self.bits[code][:known] - self.bits[base][:known]


def codelength(
    vectors: Vectors,
    table: SceneTable,
    seed: int = 0,
    families: Sequence[str] = FAMILIES,
    orders: int = ORDERS,
    rule_orders: int = RULE_ORDERS,
    choices: Choices | None = None,
    progress: Progress | None = None,
) -> CodeLengths:
    """Prequential code length of vectors `[n, d]` given the concepts, under each family.

    families: `lookup` (objects x slot) and `additive` (concepts x slot), which are exact; names of approximators, which
    are refitted on all earlier scenes at up to six points and use the first `rule_orders` orders; `switch` between all
    of these. Scenes of one number of objects. Cost: orders x 40 blocks x 13 factorisations of P^3 / 3, P = objects x slots;
    a second an order for 9,900 scenes of 100 objects, and six fits an order for each approximator.
    Raises TableError where there are too few objects, VectorsError, UnknownNameError.
    """
    array, chosen = checked_vectors(vectors, len(table)), choices or Choices()
    names = _checked_families(families, orders, rule_orders)
    rules = [name for name in names if name not in (*EXACT, SWITCH)]
    learners = [load_approximator(name) for name in rules]
    say = progress or (lambda text: None)
    parts = []
    for order in range(orders):
        say(f"code length, order {order + 1} of {orders}")
        data = _coded(array, table, arrivals(table, seed, order, chosen.first_block), chosen)
        raw = changes(data, data.scores, range(len(data.block_rows)))
        part = _Part(data, exact_codes(data, raw), {})
        for name, learner in zip(rules, learners, strict=True) if order < rule_orders else ():
            code = rule_codes(data, raw, learner, name, seed)
            part = replace(part, bits=part.bits | code.bits, fits={**part.fits, name: (code.fits, code.fitted)})
        parts.append(part)
    return _joined(names, parts, table)


def small_enough(
    vectors: Vectors, table: SceneTable, seed: int = 0, most_columns: int = MOST_COLUMNS, most_rows: int = MOST_ROWS
) -> tuple[Vectors, SceneTable]:
    """Vectors and table of at most so many objects x slots and rows: of random objects the scenes of these alone.

    Both are given back as they are where they are small enough.
    """
    rng = stream(seed, "code sample")
    occurring = np.unique(table.object_codes[table.present])
    rows = np.arange(len(table))
    if len(occurring) * table.n_slots > most_columns:
        kept = rng.permutation(occurring)[: most_columns // table.n_slots]
        rows = np.flatnonzero(np.where(table.present, np.isin(table.object_codes, kept), True).all(axis=1))
    if len(rows) > most_rows:
        rows = np.sort(rng.choice(rows, most_rows, replace=False))
    return (vectors, table) if len(rows) == len(table) else (vectors[rows], table.take(rows))


@dataclass(frozen=True, eq=False)
class _Part:
    """One order: its data, bits of each block by code, fits of its rules."""

    data: Coded
    bits: dict[str, FloatArray]
    fits: dict[str, tuple[int, int]]


def _checked_families(families: Sequence[str], orders: int, rule_orders: int) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(families))
    if not names:
        raise InputError(f"no family was asked for; give some of {', '.join(FAMILIES)}")
    if CONSTANT in names:
        raise InputError("the constant predictor is what code lengths are relative to; leave it out of the families")
    for word, number in (("orders", orders), ("rule_orders", rule_orders)):
        if number < 1:
            raise InputError(f"{word} must be at least 1, got {number}")
    return names


def _coded(vectors: Vectors, table: SceneTable, order: Arrivals, choices: Choices) -> Coded:
    rows = order.rows[: order.starts[order.first]] if choices.whiten_on == "first block" else order.rows
    with one_thread():
        white = whitening(vectors[rows], choices.components, choices.floor, choices.precision)
        if not len(white.floor):
            raise TableError(f"the vectors of {len(rows)} scenes do not vary; there is nothing to code")
        return Coded.of(table, vectors, order, white)


def _joined(names: tuple[str, ...], parts: Sequence[_Part], table: SceneTable) -> CodeLengths:
    """All orders side by side, the switch with them."""
    orders = [part.data.arrivals for part in parts]
    whole = tuple(name for name in names if name != SWITCH)
    rows = {code: [p for p in parts if code in p.bits] for code in parts[0].bits}
    bits = {code: np.stack([p.data.arrivals.spread(p.bits[code]) for p in some]) for code, some in rows.items()}
    if SWITCH in names:
        able = [p for p in parts if all(name in p.bits for name in whole)]
        lengths = [switched({name: p.bits[name] for name in whole or (LOOKUP,)}) for p in able]
        bits[SWITCH] = np.stack([p.data.arrivals.spread(one) for p, one in zip(able, lengths, strict=True)])
    rules = parts[0].fits
    fits = {name: tuple(np.sum([p.fits[name] for p in rows[name]], axis=0).tolist()) for name in rules}
    return CodeLengths(
        names,
        bits,
        np.stack([one.objects for one in orders]),
        np.stack([one.coded for one in orders]),
        np.array([len(part.data.whitening.floor) for part in parts]),
        np.array([one.first for one in orders]),
        fits,
        len(np.unique(table.object_codes[table.object_codes != ABSENT])),
    )


__all__ = ["FAMILIES", "PURE", "Choices", "CodeLengths", "codelength", "small_enough"]


def switched(bits: Mapping[str, FloatArray]) -> FloatArray:
    """Bits of each block by switching between codes, `[B]`.

    Fixed share (Herbster and Warmuth 1998, Machine Learning 32) with a rate that falls: before block t = 1, 2, ... every
    code keeps 1 - 1/(t + 1) of its weight and an equal part of the rest goes to all. The block's length is
    -log2 sum_k w_k 2^-L_k. So it is the mixture over all sequences of codes, at no cost in time, and it loses at most
    about log2 K + (switches + 1) log2(B K) bits to the best of them (compare the switch distribution of van Erven,
    Grünwald and de Rooij 2012, JRSS B 74).
    """
    lengths = np.stack(list(bits.values())) * np.log(2)
    count = len(lengths)
    weights = np.full(count, -np.log(count))
    out = np.empty(lengths.shape[1])
    for t, block in enumerate(lengths.T):
        if t:
            rate = 1.0 / (t + 1)
            weights = np.logaddexp(np.log1p(-rate) + weights, np.log(rate / count))
        joint = weights - block
        total = special.logsumexp(joint)
        weights, out[t] = joint - total, -total / np.log(2)
    return out
