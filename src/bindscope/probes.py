"""Linear read-outs: one softmax per concept and one over objects, on centred vectors of unit RMS.

Targets are counts / m, the L2 penalty is chosen inside the training rows, and the loss is convex, so the fit has one
optimum, which a preconditioned Newton method finds in some tens of products with the vectors: O(tens * n d K).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from bindscope.concepts import ABSENT, IntArray
from bindscope.design import row_mean
from bindscope.errors import NotConvergedWarning, TableError
from bindscope.parallel import one_thread
from bindscope.recognition import Recognised, SceneRecognition, recognise_linear
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.softmax import Problem, ridge_start, solve
from bindscope.splits import SceneUnit, scene_folds, split_scenes
from bindscope.streams import stream

PENALTIES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
Choice = Literal["recognition", "cross_entropy"]
_TOLERANCE = 5e-4  # nats a row that a further step could gain
_PATH_TOLERANCE = 1e-2
_WORTH = 2e-3  # nats a scene by which a smaller penalty must read held-out rows better, where loss decides
_SURE = 2.0  # standard errors by which it must: with few rows the best of ten penalties is better by luck
_PATH_START = 1e-1  # the last fit is led down from here
_FIRST = 1e-3  # the smallest penalty at which a fit to a part of the rows is a good start for all
TRAIN_SHARE = 0.4  # of the bags
MAX_TRAIN_ROWS = 12_000
MAX_CHOICE_ROWS = 4_000  # on which the penalty is chosen
SPREAD_MAX_ROWS = 20_000  # above, no repeated splits
_PRODUCTS = 60  # with the training rows, in one fit of a probe
FOLDED_ROWS = 600  # up to so many training rows, a penalty that is chosen by loss is judged on each of them once
FOLDS = 5
OBJECTS = "objects"
_ROWS = 8_192
Vectors = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Probe:
    """A softmax read-out: scores = vectors `[n, d]` @ weights `[d, K]` + bias `[K]`.

    penalty: the L2 penalty that was chosen; converged: the optimiser reached its tolerance.
    """

    weights: FloatArray
    bias: FloatArray
    penalty: float
    converged: bool

    def scores(self, vectors: Vectors) -> FloatArray:
        """Scores `[n, K]` in double precision."""
        return np.asarray(np.asarray(vectors, dtype=np.float64) @ self.weights + self.bias)

    def recognised(self, vectors: Vectors, members: IntArray) -> Recognised:
        """Recognition of each scene by the definition."""
        return recognise_linear(vectors, self.weights, self.bias, members)

    def cross_entropy(self, vectors: Vectors, members: IntArray) -> FloatArray:
        """Cross-entropy of each scene against counts / m in nats, `[n]`."""
        out = np.empty(len(vectors))
        for start in range(0, len(vectors), _ROWS):
            scores = self.scores(vectors[start : start + _ROWS])
            scores -= scores.max(axis=1, keepdims=True)
            log_sum = np.log(np.exp(scores).sum(axis=1))
            here = members[start : start + _ROWS]
            own = np.where(here == ABSENT, 0.0, np.take_along_axis(scores, np.maximum(here, 0), axis=1))
            out[start : start + _ROWS] = log_sum - own.sum(axis=1) / (here != ABSENT).sum(axis=1)
        return out


@dataclass(frozen=True, eq=False)
class ProbeSet:
    """Probes of one table, fitted on the same rows: one for each concept, and one over objects."""

    concepts: tuple[Probe, ...]
    objects: Probe
    train: BoolArray

    def concept_outcomes(self, vectors: Vectors, table: SceneTable) -> list[Recognised]:
        """Concept recognition of each scene, concept by concept."""
        return [probe.recognised(vectors, table.members(k)[0]) for k, probe in enumerate(self.concepts)]

    def recognition(self, vectors: Vectors, table: SceneTable, rows: BoolArray | None = None) -> SceneRecognition:
        """What the probes read on the rows of a mask `[n]` (all by default)."""
        if rows is None:
            return SceneRecognition(
                table, tuple(self.concept_outcomes(vectors, table)), self.object_outcome(vectors, table)
            )
        return self.recognition(vectors[rows], table.take(rows))

    def object_outcome(self, vectors: Vectors, table: SceneTable) -> Recognised:
        """Object recognition of each scene."""
        return self.objects.recognised(vectors, table.object_codes)


def fit_probes(
    vectors: Vectors,
    table: SceneTable,
    train: BoolArray,
    seed: int = 0,
    penalties: Sequence[float] = PENALTIES,
    inner_split: SceneUnit = "bag",
    max_rows: int = MAX_TRAIN_ROWS,
    choose_by: Choice = "recognition",
    like: ProbeSet | None = None,
) -> ProbeSet:
    """Fit all probes of a table on the rows of the mask `train` `[n]` (at most `max_rows` of them, drawn by seed).

    vectors `[n, d]`. The penalty of each probe is the one that reads 20 % of the training bags best (`inner_split="row"`:
    rows), by recognition and then by cross-entropy, or by cross-entropy alone: then the largest that no smaller one beats
    by more than two standard errors, in five folds where there are few rows. Then all training rows are fitted.
    `like` takes the penalties of probes that were fitted before.
    """
    rows = training_rows(train, seed, max_rows)
    inside = table.take(rows)
    frame = _Frame.of(vectors[rows])
    inner = _Inner.of(inside, inner_split, seed, choose_by) if like is None else None
    known = None if like is None else (*like.concepts, like.objects)
    targets = (*range(table.space.n_concepts), None)
    grids = [penalties if known is None else (known[i].penalty,) for i in range(len(targets))]
    probes = [
        _chosen(frame, *inside.members(target), inner, grid, choose_by)
        for target, grid in zip(targets, grids, strict=True)
    ]
    used = np.zeros(len(table), dtype=bool)
    used[rows] = True
    return ProbeSet(tuple(probes[:-1]), probes[-1], used)


def work(table: SceneTable, dimensions: int) -> float:
    """Multiplications of all that recognition fits to a table, roughly."""
    rows = min(TRAIN_SHARE * len(table), MAX_TRAIN_ROWS)
    one = 2.0 * rows * dimensions * (table.n_objects + sum(table.space.sizes))
    spread = 6.0 if len(table) <= SPREAD_MAX_ROWS else 0.0
    return one * _PRODUCTS * (1.0 + min(rows, MAX_CHOICE_ROWS) / max(rows, 1.0) + spread)


def probed(vectors: Vectors, table: SceneTable, seed: int, by: SceneUnit = "bag") -> tuple[ProbeSet, BoolArray]:
    """Probes trained on 40 % of the bags, and the mask `[n]` of the rows that may be scored."""
    train = split_scenes(table, TRAIN_SHARE, by, seed)
    return fit_probes(vectors, table, train, seed, inner_split=by), ~train


def fit_probe(
    vectors: Vectors,
    members: IntArray,
    n_candidates: int,
    inner: BoolArray | None = None,
    penalties: Sequence[float] = PENALTIES,
    choose_by: Choice = "recognition",
) -> Probe:
    """Fit one probe on all rows of vectors `[n, d]` against members `[n, m]` (codes, -1 absent).

    inner `[n]`: mask of the rows that fit while the penalty is chosen on the others; None takes the first penalty.
    """
    judged = None if inner is None else _Inner((inner,), np.arange(len(inner)))
    return _chosen(_Frame.of(vectors), members, n_candidates, judged, penalties, choose_by)


def training_rows(train: BoolArray, seed: int, max_rows: int = MAX_TRAIN_ROWS) -> IntArray:
    """Row numbers of the mask, at most `max_rows` of them, drawn without replacement and sorted."""
    rows = np.flatnonzero(train)
    if len(rows) > max_rows:
        rows = np.sort(stream(seed, "probe rows").choice(rows, max_rows, replace=False))
    return rows


def constant_cross_entropy(members: IntArray, n_candidates: int, train: BoolArray) -> FloatArray:
    """Cross-entropy of each scene `[n]` under the constant predictor (mean target of the training rows), in nats.

    Candidates that no training row shows get half a count.
    """
    target = _targets(members[train], n_candidates)
    frequency = np.asarray(target.sum(axis=0)).ravel()
    frequency = np.where(frequency > 0, frequency, 0.5 / max(int((members[train] != ABSENT).sum()), 1))
    log = np.log(frequency / frequency.sum())
    own = np.where(members == ABSENT, 0.0, log[np.maximum(members, 0)])
    return np.asarray(-own.sum(axis=1) / (members != ABSENT).sum(axis=1))


@dataclass(frozen=True, eq=False)
class _Frame:
    """Training vectors, centred, scaled to unit RMS and turned to their principal axes (an isotropic penalty is unchanged)."""

    rotated: NDArray[np.float32]
    spectrum: FloatArray
    back: FloatArray  # [d, r]: rotated = (vectors - mean) @ back
    mean: FloatArray

    @classmethod
    def of(cls, vectors: Vectors) -> _Frame:
        mean = row_mean(vectors)
        away = np.asarray(vectors, dtype=np.float64) - mean
        rms = np.sqrt(np.mean(away**2))
        if rms <= 1e-12 * float(np.abs(mean).max()):  # no variance: the read-out stays constant
            return cls(np.zeros((len(away), 1), dtype=np.float32), np.zeros(1), np.zeros((len(mean), 1)), mean)
        unit = away / rms
        values, axes = _principal_axes(unit)
        return cls((unit @ axes).astype(np.float32), values, axes / rms, mean)

    @property
    def varies(self) -> bool:
        return bool(self.spectrum.max() > 0)

    def problem(self, members: IntArray, n_candidates: int) -> Problem:
        return Problem(self.rotated, self.spectrum, _targets(members, n_candidates))

    def take(self, rows: IntArray) -> _Frame:
        return _Frame(self.rotated[rows], self.spectrum, self.back, self.mean)

    def probe(self, solution: FloatArray, penalty: float, converged: bool) -> Probe:
        weights = self.back @ solution[:-1]
        return Probe(weights, solution[-1] - self.mean @ weights, penalty, converged)


def _principal_axes(unit: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean squares `[r]` and axes `[d, r]` of centred rows `[n, d]`, found on the smaller of the two sides."""
    few = len(unit) < unit.shape[1]
    if few:
        second = unit @ unit.T / len(unit)
    else:
        single = unit.astype(np.float32)
        second = np.asarray(single.T @ single, dtype=np.float64) / len(unit)
    with one_thread(len(second)):
        values, axes = linalg.eigh(second)
    keep = values > 1e-12 * values[-1]
    values, axes = values[keep], axes[:, keep]
    return values, unit.T @ axes / np.sqrt(len(unit) * values) if few else axes


def _targets(members: IntArray, n_candidates: int) -> sparse.csr_matrix:
    """Counts / m, `[n, K]`."""
    rows, slots = np.nonzero(members != ABSENT)
    share = 1.0 / (members != ABSENT).sum(axis=1)
    cells = (rows, members[rows, slots])
    return sparse.csr_matrix((share[rows], cells), shape=(len(members), n_candidates))


@dataclass(frozen=True, eq=False)
class _Inner:
    """masks: the rows that fit while the penalty is chosen on the others, one or several times; units `[n]`: rows of one
    unit (bag) are no independent witnesses."""

    masks: tuple[BoolArray, ...]
    units: IntArray

    @classmethod
    def of(cls, table: SceneTable, by: SceneUnit, seed: int, choose_by: Choice) -> _Inner | None:
        units = table.bag_ids if by == "bag" else np.arange(len(table))
        try:
            if choose_by == "cross_entropy" and int(units.max()) + 1 >= FOLDS and len(table) <= FOLDED_ROWS:
                folds = scene_folds(table, FOLDS, by, seed + 1)
                return cls(tuple(folds != fold for fold in range(FOLDS)), units)
            return cls((split_scenes(table, 0.8, by, seed + 1),), units)
        except TableError:
            return None  # a single bag: nothing to choose on


def _chosen(
    frame: _Frame,
    members: IntArray,
    n_candidates: int,
    inner: _Inner | None,
    penalties: Sequence[float],
    by: Choice,
) -> Probe:
    if n_candidates < 2 or not frame.varies:
        return frame.probe(np.zeros((frame.rotated.shape[1] + 1, n_candidates)), penalties[0], True)
    chosen, known = penalties[0], dict[float, FloatArray]()
    if inner is not None and len(penalties) > 1:
        chosen, known = _best_penalty(frame, members, n_candidates, inner, penalties, by)
    problem = frame.problem(members, n_candidates)
    weights = _led_down(problem, chosen, known)
    solution = solve(problem, chosen, weights, _TOLERANCE)
    if not solution.converged:
        warnings.warn(f"a probe over {n_candidates} candidates did not converge", NotConvergedWarning, stacklevel=3)
    return frame.probe(solution.weights, chosen, solution.converged)


def _led_down(problem: Problem, penalty: float, known: Mapping[float, FloatArray]) -> FloatArray:
    """A start for a penalty: rough fits at larger ones, each from the last.

    known: fits to a part of the rows. One at a penalty of 1e-3 is a good first; those at smaller ones are so sure of
    rows that they have not seen that the way from there is longer (measured: 1.9 s against 1.3 s, and 2.2 s without).
    """
    first = min((p for p in known if p >= max(_FIRST, penalty)), default=np.inf)
    weights = known.get(first)
    weights = ridge_start(problem, max(_PATH_START, penalty)) if weights is None else weights
    for larger in sorted((p for p in PENALTIES if _PATH_START >= p > penalty and p < first), reverse=True):
        weights = solve(problem, larger, weights, _PATH_TOLERANCE).weights
    return weights


def _thinned(rows: IntArray) -> IntArray:
    """At most MAX_CHOICE_ROWS of the rows, evenly spaced."""
    if len(rows) <= MAX_CHOICE_ROWS:
        return rows
    return rows[np.linspace(0, len(rows) - 1, MAX_CHOICE_ROWS).astype(np.int64)]


def _best_penalty(
    frame: _Frame, members: IntArray, n_candidates: int, inner: _Inner, penalties: Sequence[float], by: Choice
) -> tuple[float, dict[float, FloatArray]]:
    """Walk from the largest penalty down, each fit starting from the last, until held-out rows are read worse.

    Also the weights found on the way, by penalty.
    """
    ordered = sorted(penalties, reverse=True)
    parts = [_Part.of(frame, members, n_candidates, mask, inner.units, by) for mask in inner.masks]
    starts, known = [ridge_start(part.problem, ordered[0]) for part in parts], dict[float, FloatArray]()
    best, figures = ordered[0], None
    for penalty in ordered:
        starts = [
            solve(part.problem, penalty, start, _PATH_TOLERANCE).weights
            for part, start in zip(parts, starts, strict=True)
        ]
        known[penalty] = starts[0]
        new = _Judged.of(parts, starts, by)
        change = 1 if figures is None else new.better_than(figures)
        if change < 0:
            break
        if change > 0:
            best, figures = penalty, new
    return best, known


@dataclass(frozen=True, eq=False)
class _Part:
    """Rows that fit, as a problem, and rows that judge `[q]`: vectors, members and units."""

    problem: Problem
    vectors: NDArray[np.float32]
    members: IntArray
    units: IntArray

    @classmethod
    def of(
        cls, frame: _Frame, members: IntArray, n_candidates: int, mask: BoolArray, units: IntArray, by: Choice
    ) -> _Part:
        train, test = _thinned(np.flatnonzero(mask)), np.flatnonzero(~mask)
        if by == "cross_entropy":  # what no row has shown has any loss
            new = ~np.isin(members[test], members[train]) & (members[test] != ABSENT)
            test = test if new.any(axis=1).all() else test[~new.any(axis=1)]
        test = _thinned(test)
        problem = frame.take(train).problem(members[train], n_candidates)
        return cls(problem, frame.rotated[test], members[test], units[test])


@dataclass(frozen=True, eq=False)
class _Judged:
    """What held-out rows say of a penalty: share recognised (None where loss alone decides), loss `[q]`, units `[q]`."""

    right: float | None
    loss: FloatArray
    units: IntArray

    @classmethod
    def of(cls, parts: Sequence[_Part], weights: Sequence[FloatArray], by: Choice) -> _Judged:
        probes = [Probe(w[:-1], w[-1], float("nan"), True) for w in weights]
        pairs = list(zip(probes, parts, strict=True))
        loss = np.concatenate([probe.cross_entropy(part.vectors, part.members) for probe, part in pairs])
        right = [probe.recognised(part.vectors, part.members).right for probe, part in pairs if by == "recognition"]
        share = float(np.concatenate(right).mean()) if right else None
        return cls(share, loss, np.concatenate([part.units for part in parts]))

    def better_than(self, other: _Judged) -> int:
        """1 better, -1 worse, 0 neither; by loss only what luck does not give counts: a larger penalty is the safer one."""
        if self.right is not None and other.right is not None:
            ours, theirs = (self.right, -float(self.loss.mean())), (other.right, -float(other.loss.mean()))
            return -1 if ours < theirs else 1
        gain = other.loss - self.loss
        luck = _SURE * _standard_error(gain, self.units)
        if gain.mean() > max(_WORTH, luck):
            return 1
        return -1 if gain.mean() < -max(_PATH_TOLERANCE, luck) else 0  # rough fits differ by as much as their tolerance


def _standard_error(values: FloatArray, units: IntArray) -> float:
    """Of the mean of values `[q]` that come in units `[q]`; infinite for a single unit."""
    _, codes = np.unique(units, return_inverse=True)
    sums = np.bincount(codes, values - values.mean())
    return float(np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1)) / len(values)) if len(sums) > 1 else np.inf
