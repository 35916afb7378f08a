"""What one order of scenes costs, block by block, under each rule.

Every rule is coded as a rule with exceptions: what the rule says, plus a vector for each object in each slot (the
exceptions), plus noise; how large exceptions and noise are is learnt, and exceptions may vanish. `lookup` is the table of
exceptions alone, with no rule. The code of a block is its predictive density given all earlier blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bindscope.analyses.codelength.arrivals import Arrivals
from bindscope.analyses.codelength.evidence import TABLE_SCALES, VALUE_SCALES, Forms, Mixture, Moments, forms
from bindscope.concepts import IntArray
from bindscope.design import concept_design, object_design, row_mean, svd
from bindscope.errors import InputError
from bindscope.learners.base import Approximator
from bindscope.parallel import one_thread
from bindscope.scenes import FloatArray, SceneTable

LOOKUP, ADDITIVE, CONSTANT, SWITCH = "lookup", "additive", "constant", "switch"
EXACT = (LOOKUP, ADDITIVE)
PURE = " alone"  # marks the code of a rule without exceptions
RENEWED = 0.5  # share of the weight of prior scales that a refitted rule spreads evenly
MOST_REFITS = 6
Bits = dict[str, FloatArray]


class Experts(NamedTuple):
    """The prior scales that a code mixes: those with values or without, and which of them."""

    with_values: bool
    part: slice
    size: int

    def of(self, found: tuple[Forms, Forms]) -> Forms:
        """Their forms."""
        return found[self.with_values].pick(self.part)


EXACT_EXPERTS = {
    CONSTANT: Experts(False, slice(0, 1), 1),
    LOOKUP: Experts(False, slice(None), len(TABLE_SCALES)),
    ADDITIVE: Experts(True, slice(None), len(TABLE_SCALES) * len(VALUE_SCALES)),
    ADDITIVE + PURE: Experts(True, slice(0, len(VALUE_SCALES)), len(VALUE_SCALES)),
}
Change = tuple[Forms, Forms]


@dataclass(frozen=True, eq=False)
class Coded:
    """The scenes of a table in one order, whitened on its first block.

    table: rows in the order of coding. scores `[n, D]`: whitened. values `[n, F]`, objects `[n, P]`: indicators by slot,
    objects in the order of arrival (all slots of one before those of the next).
    """

    arrivals: Arrivals
    table: SceneTable
    whitening: Whitening
    scores: FloatArray
    values: sparse.csr_matrix
    objects: sparse.csr_matrix

    @classmethod
    def of(cls, table: SceneTable, vectors: Vectors, order: Arrivals, white: Whitening) -> Coded:
        """Sort the rows of a table and its vectors `[n, d]`."""
        ordered = table.take(order.rows)
        ones = sparse.csr_matrix(np.ones((len(ordered), 1)))
        values = sparse.csr_matrix(sparse.hstack([ones, concept_design(ordered, by_slot=True)]))
        slot = np.arange(table.n_slots) * table.n_objects
        columns = (order.objects[:, None] + slot).ravel()
        objects = sparse.csr_matrix(object_design(ordered, by_slot=True)[:, columns])
        return cls(order, ordered, white, white(vectors[order.rows]), values, objects)

    @property
    def block_rows(self) -> list[int]:
        """Number of scenes of each block."""
        return [int(rows) for rows in np.diff(self.arrivals.starts[self.arrivals.edges])]

    def moments(self, outputs: FloatArray, start: int, stop: int) -> Moments:
        """Sums over the scenes of the objects start..stop of the order; outputs `[n, D]` in the order of coding."""
        rows = slice(self.arrivals.starts[start], self.arrivals.starts[stop])
        return Moments.of(self.values[rows], self.objects[rows], outputs[rows])

    def forms(
        self, moments: Moments, objects: int, table_scales: Sequence[float] = TABLE_SCALES
    ) -> tuple[Forms, Forms]:
        """Forms of moments in which so many objects occur."""
        return forms(moments, objects * self.table.n_slots, table_scales)


def changes(data: Coded, outputs: FloatArray, blocks: range) -> list[Change]:
    """How each of a run of blocks changes the forms of outputs `[n, D]`, given everything before it."""
    edges = data.arrivals.edges
    found = []
    with one_thread():
        moments = data.moments(outputs, 0, int(edges[blocks.start]))
        before = data.forms(moments, int(edges[blocks.start]))
        for k in blocks:
            moments = moments + data.moments(outputs, int(edges[k]), int(edges[k + 1]))
            now = data.forms(moments, int(edges[k + 1]))
            found.append((now[0] - before[0], now[1] - before[1]))
            before = now
    return found


def exact_codes(data: Coded, raw: Sequence[Change]) -> Bits:
    """Bits of each block `[B]` by the rules that are linear in their features, the table and a constant: exact.

    raw: changes by the scores themselves. The first block tells what is known of its objects. Which scales are right is
    learnt from coded blocks alone: in coordinates that were fitted on the first block, its objects look larger than
    those that come later.
    """
    rows, floor = data.block_rows, data.whitening.floor
    out = {}
    for name, experts in EXACT_EXPERTS.items():
        state, bits = Mixture.start(experts.size, floor), []
        for count, change in zip(rows, raw, strict=True):
            state, density = state.coded(count, experts.of(change))
            bits.append(-density / np.log(2))
        out[name] = np.array(bits)
    return out


@dataclass(frozen=True, eq=False)
class RuleCode:
    """Bits of each block `[B]` by a rule that is refitted now and then, and how its fits went."""

    bits: Bits
    fits: int
    fitted: int


def refit_edges(edges: IntArray, most: int = MOST_REFITS) -> list[int]:
    """Positions among the blocks before which a rule is fitted: geometric in the number of objects, the first included.

    >>> import numpy as np
    >>> refit_edges(np.arange(20, 101, 2), 4)
    [0, 5, 12, 23]
    """
    wanted = edges[0] * (edges[-1] / edges[0]) ** (np.arange(most) / most)
    return sorted({int(np.argmin(np.abs(edges[:-1] - one))) for one in wanted})


def rule_codes(data: Coded, raw: Sequence[Change], learner: Approximator, name: str, seed: int) -> RuleCode:
    """Bits of each block by a learner that is refitted on all earlier scenes at some of the blocks (plug-in).

    What it leaves is coded in closed form: an additive part (which so goes on learning between two fits) and exceptions.
    Each component mixes this with the same code without the learner, so a rule that fails costs little. Weights come
    from what was really predicted, never from fitted residuals; the noise of the learner is learnt anew after each fit.
    """
    edges, floor = data.arrivals.edges, data.whitening.floor
    full, alone = EXACT_EXPERTS[ADDITIVE], EXACT_EXPERTS[CONSTANT]
    mixed, single = Mixture.start(2 * full.size, floor), Mixture.start(1, floor)
    bits: list[tuple[float, float]] = []
    places, fitted = refit_edges(edges), 0
    for place, following in zip(places, [*places[1:], len(edges) - 1], strict=True):
        left, good = _residuals(data, learner, int(edges[place]), int(edges[following]), seed)
        fitted += good
        mixed, single = mixed.renewed(RENEWED, full.size), single.renewed(1.0, 1)
        blocks = range(place, following)
        for k, change in zip(blocks, changes(data, left, blocks), strict=True):
            both = full.of(change).beside(full.of(raw[k]))
            mixed, density = mixed.coded(data.block_rows[k], both)
            single, other = single.coded(data.block_rows[k], alone.of(change))
            bits.append((-density / np.log(2), -other / np.log(2)))
    columns = np.array(bits)
    return RuleCode({name: columns[:, 0], name + PURE: columns[:, 1]}, len(places), fitted)


def _residuals(data: Coded, learner: Approximator, known: int, until: int, seed: int) -> tuple[FloatArray, bool]:
    """What a learner leaves of the scores of the scenes of the first `until` objects, fitted on the first `known`."""
    train, end = int(data.arrivals.starts[known]), int(data.arrivals.starts[until])
    scale = data.whitening.deviations  # the learner sees components as large as they are
    fit = learner.fit(data.table.take(np.arange(train)), data.scores[:train] * scale, seed)
    predicted = np.asarray(fit.predict(data.table.take(np.arange(end))), dtype=np.float64)
    return data.scores[:end] - predicted / scale, fit.fits_training


Vectors = NDArray[np.floating]

Precision = Literal["total", "component"]
COMPONENTS = 0.99
FLOOR = 1e-4
_ROUNDING = 1e-10  # components with less than this share of the largest one's variance are rounding


@dataclass(frozen=True, eq=False)
class Whitening:
    """mean `[d]`, axes `[d, D]`, deviations `[D]` (of the scores along the axes), floor `[D]` in whitened units."""

    mean: FloatArray
    axes: FloatArray
    deviations: FloatArray
    floor: FloatArray

    def __call__(self, vectors: Vectors) -> FloatArray:
        """Whitened scores `[n, D]` of vectors `[n, d]`."""
        scores = (np.asarray(vectors, dtype=np.float64) - self.mean) @ self.axes
        return np.asarray(scores / self.deviations)


def whitening(
    vectors: Vectors,
    components: float = COMPONENTS,
    floor: float = FLOOR,
    precision: Precision = "total",
) -> Whitening:
    """Principal components of vectors `[n, d]` up to a share `components` (0..1) of their variance.

    `total`: the floors of all D components together are `floor` times the variance of these, the same for each in the
    units of the vectors (so R^2 counts up to 1 - floor). `component`: `floor` times the variance of each. No components
    where the vectors do not vary. O(n d min(n, d)).
    """
    if not 0.0 < components <= 1.0:
        raise InputError(f"components must be a share of the variance between 0 and 1, got {components}")
    if not 0.0 < floor < 1.0:
        raise InputError(f"the variance floor must be a share of the variance between 0 and 1, got {floor}")
    if precision not in ("total", "component"):
        raise InputError(f"precision must be 'total' or 'component', got {precision!r}")
    mean = row_mean(vectors)
    away = np.asarray(vectors, dtype=np.float64) - mean
    _, lengths, axes = svd(away)
    variances = lengths**2 / len(away)
    size = float(np.square(vectors, dtype=np.float64).mean(axis=0).sum())
    kept = variances[(variances > _ROUNDING * variances.max(initial=0.0)) & (variances > _ROUNDING**1.2 * size)]
    if len(kept):
        explained = np.cumsum(kept) / kept.sum()
        kept = kept[: int(np.searchsorted(explained, components - 1e-12)) + 1]
    share = np.ones(len(kept)) if precision == "component" else kept.mean() / kept if len(kept) else kept
    return Whitening(mean, axes[: len(kept)].T, np.sqrt(kept), floor * share)
