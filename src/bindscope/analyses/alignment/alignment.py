"""Are the two binding functions the same? How well one side predicts the other on held-out objects, component by component.

Both sides are decomposed alike. Object vectors u_o by least squares on the scenes (no intercept: for a fixed number of
objects it is part of them), then, by the training objects alone, u_o - mean = concepts (values add) + interaction (what
makes the object more than its concepts: the binding signal). The residual is what is left of a scene's vector.

Maps from side A to side B, fitted on the training objects' components and scored on the held-out objects':
  identity    s a, one scale: are they the same vectors?
  ridge       a (s I + D), |D|^2 penalised: the closest map to the identity that the data ask for
  procrustes  s a R with R orthogonal, the one nearest to the identity where the data leave it open
Concepts are held against the identity alone: any two additive codes are mapped onto each other by a linear map, related or not.
The penalty is chosen by validation objects inside training, with the decomposition made anew without them; procrustes takes
that of ridge.

R^2 = 1 - sum |b - predicted|^2 / sum |b|^2 over held-out objects: 1 the same function, 0 nothing predicted, can be negative.

Null: side B is made anew from its concept vectors and what they leave of its objects, and decomposed, centred, and mapped as
before, penalty included. Of `concepts`, the concept vectors are given to other values of their concept; of `interaction`, what is
left is given to other objects; of `objects`, both. The residual has none: no permutation keeps what scenes share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from bindscope.analyses.alignment.maps import MAPS, PENALTIES, Fitted, choose_penalty, prepare
from bindscope.analyses.sides import TwoSides
from bindscope.concepts import IntArray
from bindscope.design import fit, object_design, svd
from bindscope.errors import TableError
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.splits import TEST, TRAIN, additive_rank, object_folds, spanning_objects
from bindscope.streams import stream

COMPONENTS = ("concepts", "interaction", "objects", "residual")
COVERAGE = 0.8
DRAWS = {"identity": 199, "ridge": 199, "procrustes": 49}
MAX_OBJECTS = 2_000
MAX_RESIDUAL_ROWS = 600
MAX_FOLDS = 6
ROUNDING = 1e-8  # of a vector's mean square: below it a component is nothing


@dataclass(frozen=True, eq=False)
class Alignment:
    """One component under one map. error, total: squared error and size of side B, summed over folds, one number an object
    `[O]` (or a scene `[s]` for the residual, `scenes` saying which rows of side A). null: R^2 under permutation, the same draws
    for all maps of a component."""

    component: str
    estimator: str
    error: FloatArray
    total: FloatArray
    null: FloatArray
    train_r2: float
    scenes: IntArray | None = None

    @property
    def r2(self) -> float:
        """R^2 on held-out objects; NaN where side B has nothing to predict."""
        return float(1.0 - self.error.sum() / self.total.sum()) if self.total.sum() > 0 else float("nan")


def align(sides: TwoSides, seed: int = 0, coverage: float = COVERAGE) -> list[Alignment]:
    """All components under all maps. Raises TableError where no object can be held out.

    O(folds * draws * O^2 d) and a singular value decomposition of at most 2 O x 2 O for each Procrustes draw.
    """
    table = sides.table
    if table.n_objects > MAX_OBJECTS:
        raise TableError(f"alignment takes at most {MAX_OBJECTS:,} objects, the data shows {table.n_objects:,}")
    some, rows = _same_candidates(sides.caption_table, table)
    u_a = _object_vectors(sides.raw_scenes, table)
    u_b = _object_vectors(_mean_captions(sides)[rows], some)
    known = _occurring(table) & _occurring(some)
    a, b = _joint(u_a, u_b)
    splits = [split.train for split in object_folds(table, coverage, seed)][:MAX_FOLDS]
    found = []
    for component in COMPONENTS[:3]:
        folds = _folds(a, table.candidate_values, known, splits, component, seed)
        if any(_nothing(folds, side) for side in (a, b)):
            continue  # a side without this component: there is nothing to align
        found += _aligned(component, folds, b, _Null(b, table.candidate_values, known, component), seed)
    return found + _residual(sides, rows, (u_a, u_b), splits, seed)


def _mean_captions(sides: TwoSides) -> FloatArray:
    return np.asarray(sides.raw_captions.mean(axis=0, dtype=np.float64))


def _same_candidates(captions: SceneTable, table: SceneTable) -> tuple[SceneTable, IntArray]:
    """Captions of scenes that show candidates of side A only, numbered as there, and their rows."""
    inside = np.isin(captions.object_ids, table.candidates) | ~captions.present
    rows = np.flatnonzero(inside.all(axis=1))
    some = captions.take(rows)
    return SceneTable.build(some.space, some.values, some.present, some.replicate, None, table.candidates), rows


def _object_vectors(vectors: NDArray[np.floating], table: SceneTable) -> FloatArray:
    return fit(object_design(table, by_slot=False), vectors).coefficients


def _occurring(table: SceneTable) -> BoolArray:
    seen = np.zeros(table.n_objects, dtype=bool)
    seen[table.object_codes[table.present]] = True
    return seen


def _joint(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both in an orthonormal basis of their joint span: no map changes, and all become cheaper where objects are few."""
    _, values, axes = svd(np.concatenate([a, b]))
    basis = axes[values > 1e-10 * max(values[0], 1e-300)].T
    return a @ basis, b @ basis


def _taking(values: IntArray, train: BoolArray, component: str) -> FloatArray:
    """The matrix `[O, O]` that takes one component out of object vectors, its mean and concept vectors those of `train`."""
    mean = train / train.sum()
    centre = np.eye(len(train)) - np.tile(mean, (len(train), 1))
    if component == "objects":
        return np.asarray(centre)
    design = _indicators(values)
    concepts = design @ _pseudo_inverse(design * train[:, None]) @ centre
    return np.asarray(concepts if component == "concepts" else centre - concepts)


def _pseudo_inverse(design: FloatArray) -> FloatArray:
    """Of a matrix `[n, p]` of indicators, p small."""
    return np.asarray(linalg.pinvh(design.T @ design, rtol=1e-9) @ design.T)


def _indicators(values: IntArray) -> FloatArray:
    columns = [np.eye(int(column.max()) + 1)[column] for column in values.T]
    return np.concatenate([np.ones((len(values), 1)), *columns], axis=1)


def _usable(values: IntArray, train: BoolArray, test: BoolArray, component: str) -> BoolArray:
    """Held-out objects all of whose values occur in training; none where training leaves no freedom beyond concepts."""
    for column in values.T:
        test = test & np.isin(column, column[train])
    rank = len(spanning_objects(values, np.flatnonzero(train), additive_rank(values)))
    if component != "objects" and (rank < additive_rank(values) or train.sum() <= rank):
        return np.zeros_like(test)
    return test


@dataclass(frozen=True, eq=False)
class _Fold:
    """One split of the objects: who trains, who is held out; the matrices that take the component out of object vectors, with
    the training objects and with those of them that are not for validation; and side A's maps, by name and penalty."""

    train: IntArray
    test: IntArray
    taking: FloatArray
    a: FloatArray
    maps: Mapping[tuple[str, float], Fitted]
    inner: _Fold | None = None

    @classmethod
    def of(cls, a: FloatArray, values: IntArray, train: BoolArray, test: BoolArray, component: str) -> _Fold:
        """Without validation."""
        taking = _taking(values, train, component)
        own, rows, out = taking @ a, np.flatnonzero(train), np.flatnonzero(test)
        kinds = [("identity", PENALTIES[0])]
        kinds += [] if component == "concepts" else [(name, p) for name in ("ridge", "procrustes") for p in PENALTIES]
        maps = {kind: prepare(kind[0], own[rows], own[out], kind[1]) for kind in kinds}
        return cls(rows, out, taking, own, maps)

    def penalty(self, b: FloatArray) -> float:
        """The penalty of ridge that predicts validation objects of side B `[O, d]` best; 1 without validation objects."""
        if self.inner is None:
            return 1.0
        own = self.inner.taking @ b
        theirs = own[self.inner.test]
        errors = [
            float(np.square(theirs - self.inner.maps["ridge", p](own[self.inner.train], False)[0]).sum())
            for p in PENALTIES
        ]
        return PENALTIES[int(np.argmin(errors))]

    def judged(self, names: Sequence[str], b: FloatArray, score_train: bool = False) -> dict[str, _Judged]:
        """Squared errors, squared sizes and (error, size) on training objects of maps onto side B `[O, d]`."""
        own = self.taking @ b
        theirs = own[self.test]
        total = np.square(theirs).sum(axis=1)
        chosen = self.penalty(b) if set(names) - {"identity"} else 1.0
        found = {}
        for name in names:
            key = (name, PENALTIES[0] if name == "identity" else chosen)
            predicted, inside = self.maps[key](own[self.train], score_train)
            found[name] = _Judged(np.square(theirs - predicted).sum(axis=1), total, inside)
        return found


class _Judged(NamedTuple):
    error: FloatArray
    total: FloatArray
    inside: tuple[float, float]


def _folds(
    a: FloatArray, values: IntArray, known: BoolArray, splits: list[BoolArray], component: str, seed: int
) -> list[_Fold]:
    """Splits that hold out an object all of whose values are known to training."""
    folds = []
    for number, inside in enumerate(splits):
        train = inside & known
        test = _usable(values, train, ~inside & known, component)
        if not test.any() or train.sum() < 3:
            continue
        spare = np.flatnonzero(train)
        chosen = stream(seed, "alignment validation", number).permutation(spare)[: max(1, len(spare) // 5)]
        inner = train.copy()
        inner[chosen] = False
        valid = _usable(values, inner, train & ~inner, component)
        within = _Fold.of(a, values, inner, valid, component) if valid.any() and component != "concepts" else None
        folds.append(replace(_Fold.of(a, values, train, test, component), inner=within))
    return folds


def _nothing(folds: list[_Fold], side: FloatArray) -> bool:
    """Whether the held-out objects of a side have no such component."""
    least = ROUNDING * float(np.square(side).sum(axis=1).mean())
    return not folds or max(float(np.square((f.taking @ side)[f.test]).sum(axis=1).mean()) for f in folds) <= least


class _Null:
    """Side B under the null of a component: what its concepts leave given to other objects, or concepts to other values.

    What is left is permuted in an orthonormal basis `[O, O - p]` of what concepts cannot explain: residuals of objects sum to 0
    over every value, so they cannot be permuted themselves, while their coordinates are alike under the null.
    """

    def __init__(self, b: FloatArray, values: IntArray, known: BoolArray, component: str) -> None:
        design = _indicators(values)
        self.values, self.component = values, component
        self.weights = _pseudo_inverse(design * known[:, None]) @ b
        self.concepts, self.left = design @ self.weights, (b - design @ self.weights) * known[:, None]
        self.basis = np.zeros((len(b), 0))
        if component != "concepts":
            rows = np.flatnonzero(known)
            spread, axes = linalg.eigh(np.eye(len(rows)) - design[rows] @ _pseudo_inverse(design[rows]))
            self.basis = np.zeros((len(b), int((spread > 0.5).sum())))
            self.basis[rows] = axes[:, spread > 0.5]

    def drawn(self, rng: np.random.Generator) -> FloatArray:
        """Object vectors `[O, d]`."""
        concepts, left = self.concepts, self.left
        if self.component != "interaction":
            moved = [rng.permutation(int(column.max()) + 1)[column] for column in self.values.T]
            concepts = _indicators(np.stack(moved, axis=1)) @ self.weights
        if self.component != "concepts":
            left = self.basis @ rng.permutation(self.basis.T @ left)
        return np.asarray(concepts + left)


def _aligned(component: str, folds: list[_Fold], b: FloatArray, null: _Null, seed: int) -> list[Alignment]:
    names = MAPS[:1] if component == "concepts" else MAPS
    judged = [fold.judged(names, b, score_train=True) for fold in folds]
    drawn = _null_r2(component, names, folds, null, stream(seed, "alignment null"))
    found = []
    for name in names:
        error, total = np.zeros(len(b)), np.zeros(len(b))
        for fold, each in zip(folds, judged, strict=True):
            np.add.at(error, fold.test, each[name].error)
            np.add.at(total, fold.test, each[name].total)
        missed, size = np.sum([each[name].inside for each in judged], axis=0)
        train_r2 = float(1.0 - missed / size) if size > 0 else float("nan")
        if total.sum() > 0:
            found.append(Alignment(component, name, error, total, drawn[name], train_r2))
    return found


def _null_r2(
    component: str, names: Sequence[str], folds: list[_Fold], null: _Null, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """R^2 of each map under the null, the same draws for all; procrustes, which takes long, for the interaction alone."""
    draws = {name: DRAWS[name] for name in names if name != "procrustes" or component == "interaction"}
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(max(draws.values())):
        asked = [name for name, count in draws.items() if number < count]
        b = null.drawn(rng)
        judged = [fold.judged(asked, b) for fold in folds]
        for name in asked:
            error = float(sum(each[name].error.sum() for each in judged))
            total = float(sum(each[name].total.sum() for each in judged))
            found[name].append(1.0 - error / total if total > 0 else float("nan"))
    return {name: np.array(values) for name, values in found.items()}


def _residual(
    sides: TwoSides,
    rows: IntArray,
    objects: tuple[FloatArray, FloatArray],
    splits: list[BoolArray],
    seed: int,
) -> list[Alignment]:
    """What is left of the scenes: order of the objects, what they do to each other, and (on average over rows) noise."""
    place = np.full(len(sides.caption_table), -1)
    place[rows] = np.arange(len(rows))
    pairs = np.flatnonzero(place[sides.own] >= 0)
    _, first = np.unique(sides.own[pairs], return_index=True)
    pairs = np.sort(pairs[first])
    if len(pairs) > MAX_RESIDUAL_ROWS:
        pairs = np.sort(stream(seed, "residual rows").choice(pairs, MAX_RESIDUAL_ROWS, replace=False))
    table = sides.table.take(pairs)
    a = sides.raw_scenes[pairs] - object_design(table, by_slot=False) @ objects[0]
    captions = _mean_captions(sides)[sides.own[pairs]]
    b = captions - object_design(table, by_slot=False) @ objects[1]
    if (a**2).sum() < ROUNDING * (sides.raw_scenes[pairs] ** 2).sum() or (b**2).sum() < ROUNDING * (captions**2).sum():
        return []  # a side whose scenes are sums of objects leaves nothing
    return _residual_maps(a, b, [_sides(table, train) for train in splits], pairs, seed)


def _residual_maps(
    a: FloatArray, b: FloatArray, sides: Sequence[IntArray], pairs: IntArray, seed: int
) -> list[Alignment]:
    """Maps fitted on scenes of training objects and judged on scenes of held-out objects."""
    error, total = ({name: np.zeros(len(a)) for name in MAPS} for _ in range(2))
    within = {name: np.zeros(2) for name in MAPS}
    for side in sides:
        inside, held_out = np.flatnonzero(side == TRAIN), np.flatnonzero(side == TEST)
        if len(inside) < 4 or not len(held_out):
            continue
        some = stream(seed, "residual validation").permutation(inside)
        cut = max(1, len(some) // 5)
        inner, valid = some[cut:], some[:cut]
        for name in MAPS:
            penalty = choose_penalty(name, a[inner], b[inner], a[valid], b[valid])
            predicted, one = prepare(name, a[inside], a[held_out], penalty)(b[inside])
            error[name][held_out] += np.square(b[held_out] - predicted).sum(axis=1)
            total[name][held_out] += np.square(b[held_out]).sum(axis=1)
            within[name] += one
    none = np.zeros(0)
    return [
        Alignment("residual", name, error[name], total[name], none, float(1 - within[name][0] / within[name][1]), pairs)
        for name in MAPS
        if total[name].sum() > 0 and within[name][1] > 0
    ]


def _sides(table: SceneTable, train: BoolArray) -> IntArray:
    trained = np.where(table.present, train[table.object_codes], False).sum(axis=1)
    return np.where(trained == table.counts, TRAIN, np.where(trained == 0, TEST, -1))
