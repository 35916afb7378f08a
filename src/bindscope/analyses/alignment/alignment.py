"""Are the two binding functions the same? How well one side predicts the other on held-out objects, component by component.

Both sides are decomposed alike. Object vectors u_o by least squares on the scenes (no intercept: for a fixed number of
objects it is part of them), then, by the training objects alone, u_o - mean = concepts (values add) + interaction (what
makes the object more than its concepts: the binding signal). The residual is what is left of a scene's vector.

Maps from side A to side B, fitted on the training objects' components and scored on the held-out objects':
  identity    s a, one scale: are they the same vectors?
  ridge       a (s I + D), |D|^2 penalised: the closest map to the identity that the data ask for
  procrustes  s a R with R orthogonal, the one nearest to the identity where the data leave it open
The penalty is chosen by validation objects inside training, with the decomposition made anew without them.

R^2 = 1 - sum |b - predicted|^2 / sum |b|^2 over held-out objects: 1 the same function, 0 nothing predicted, can be negative.
Null: side B's components permuted among training and among held-out objects (values within their concept for `concepts`,
scenes for `residual`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from bindscope.analyses.alignment.maps import MAPS, Fitted, choose_penalty, prepare
from bindscope.analyses.sides import TwoSides
from bindscope.concepts import IntArray
from bindscope.design import fit, object_design
from bindscope.errors import TableError
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.splits import TEST, TRAIN, additive_rank, object_folds, spanning_objects
from bindscope.streams import stream

COMPONENTS = ("concepts", "interaction", "objects", "residual")
COVERAGE = 0.8
DRAWS = {"identity": 199, "ridge": 199, "procrustes": 19}
MAX_OBJECTS = 2_000
MAX_RESIDUAL_ROWS = 600
MAX_FOLDS = 6
ROUNDING = 1e-8  # of a vector's mean square: below it a component is nothing


@dataclass(frozen=True, eq=False)
class Alignment:
    """One component under one map. error, total: squared error and size of side B, summed over folds, one number an object
    `[O]` (or a scene `[s]` for the residual, `scenes` saying which rows of side A). null: R^2 under permutation."""

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


@dataclass(frozen=True, eq=False)
class _Fold:
    """Components of both sides under one split: rows of a and b `[q, d]`, who trains, who is held out, who each row is."""

    a: FloatArray
    b: FloatArray
    train: IntArray
    test: IntArray
    fitted: Mapping[str, Fitted]
    concepts: FloatArray | None = None  # side B's concept vectors, a row each column of the indicators


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
    nothing = [ROUNDING * float((u**2).sum(axis=1).mean()) for u in (a, b)]
    splits = [split.train for split in object_folds(table, coverage, seed)][:MAX_FOLDS]
    found = []
    for component in COMPONENTS[:3]:
        folds = _object_folds(a, b, table.candidate_values, known, splits, component, seed)
        if not all(_present(folds, side, least) for side, least in zip("ab", nothing, strict=True)):
            continue  # a side without this component: there is nothing to align
        found += _aligned(component, folds, table.n_objects, _permuter(component, table.candidate_values), seed)
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
    _, values, axes = linalg.svd(np.concatenate([a, b]), full_matrices=False)
    basis = axes[values > 1e-10 * max(values[0], 1e-300)].T
    return a @ basis, b @ basis


def _split_components(u: FloatArray, values: IntArray, train: BoolArray, component: str) -> FloatArray:
    """One component of all objects `[O, d]`, with mean and concept vectors fitted on the training objects."""
    centred: FloatArray = u - np.asarray(u[train].mean(axis=0))
    if component == "objects":
        return centred
    design = _indicators(values)
    weights, *_ = np.linalg.lstsq(design[train], centred[train], rcond=1e-9)
    concepts = np.asarray(design @ weights)
    return concepts if component == "concepts" else centred - concepts


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


def _object_folds(
    a: FloatArray,
    b: FloatArray,
    values: IntArray,
    known: BoolArray,
    splits: list[BoolArray],
    component: str,
    seed: int,
) -> list[_Fold]:
    folds = []
    for number, inside in enumerate(splits):
        train = inside & known
        test = _usable(values, train, ~inside & known, component)
        if not test.any() or train.sum() < 3:
            continue
        inner = train.copy()
        spare = np.flatnonzero(train)
        chosen = stream(seed, "alignment validation", number).permutation(spare)[: max(1, len(spare) // 5)]
        inner[chosen] = False
        valid = _usable(values, inner, train & ~inner, component)
        parts = [_split_components(u, values, train, component) for u in (a, b)]
        inside_parts = [_split_components(u, values, inner, component) for u in (a, b)] if valid.any() else None
        rows = np.flatnonzero(train)
        parts = list(_joint(*parts))
        fitted = {}
        for name in MAPS:
            penalty = 1.0
            if inside_parts is not None:
                x, y = inside_parts
                penalty = choose_penalty(name, x[inner], y[inner], x[valid], y[valid])
            fitted[name] = prepare(name, parts[0][rows], parts[0][np.flatnonzero(test)], penalty)
        weights = np.asarray(np.linalg.lstsq(_indicators(values)[train], parts[1][train], rcond=1e-9)[0], np.float64)
        folds.append(_Fold(parts[0], parts[1], rows, np.flatnonzero(test), fitted, weights))
    return folds


def _present(folds: list[_Fold], side: str, least: float) -> bool:
    sizes = [float((getattr(fold, side)[fold.test] ** 2).sum(axis=1).mean()) for fold in folds]
    return bool(sizes) and max(sizes) > least


Permuter = Callable[[_Fold, np.random.Generator], FloatArray]


def _permuter(component: str, values: IntArray) -> Permuter:
    """How side B's components are permuted under the null."""

    def within(fold: _Fold, rng: np.random.Generator) -> FloatArray:
        b = fold.b.copy()
        for rows in (fold.train, fold.test):
            b[rows] = fold.b[rng.permutation(rows)]
        return b

    def relabelled(fold: _Fold, rng: np.random.Generator) -> FloatArray:
        """Side B's concept vectors given to other values of the same concept."""
        assert fold.concepts is not None
        moved = np.stack([rng.permutation(int(column.max()) + 1)[column] for column in values.T], axis=1)
        return np.asarray(_indicators(moved) @ fold.concepts)

    return relabelled if component == "concepts" else within


def _aligned(
    component: str,
    folds: list[_Fold],
    size: int,
    permuted: Permuter,
    seed: int,
    scenes: IntArray | None = None,
    draws: Mapping[str, int] = DRAWS,
) -> list[Alignment]:
    if not folds:
        return []
    found = []
    for estimator in MAPS:
        error, total = np.zeros(size), np.zeros(size)
        inside = [0.0, 0.0]
        for fold in folds:
            predicted, fit_r2 = fold.fitted[estimator](fold.b[fold.train])
            theirs = fold.b[fold.test]
            np.add.at(error, fold.test, ((theirs - predicted) ** 2).sum(axis=1))
            np.add.at(total, fold.test, (theirs**2).sum(axis=1))
            inside = [inside[0] + fit_r2[0], inside[1] + fit_r2[1]]
        rng = stream(seed, "alignment null")
        null = np.array([_null_r2(folds, estimator, permuted, rng) for _ in range(draws.get(estimator, 0))])
        train_r2 = 1.0 - inside[0] / inside[1] if inside[1] > 0 else float("nan")
        if total.sum() > 0:
            found.append(Alignment(component, estimator, error, total, null, train_r2, scenes))
    return found


def _null_r2(folds: list[_Fold], estimator: str, permuted: Permuter, rng: np.random.Generator) -> float:
    error = total = 0.0
    for fold in folds:
        b = permuted(fold, rng)
        predicted, _ = fold.fitted[estimator](b[fold.train], score_train=False)
        error += float(((b[fold.test] - predicted) ** 2).sum())
        total += float((b[fold.test] ** 2).sum())
    return 1.0 - error / total if total > 0 else float("nan")


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
    folds = []
    for train in splits:
        side = _sides(table, train)
        inside, held_out = np.flatnonzero(side == TRAIN), np.flatnonzero(side == TEST)
        if len(inside) < 4 or not len(held_out):
            continue
        some = stream(seed, "residual validation").permutation(inside)
        cut = max(1, len(some) // 5)
        inner, valid = some[cut:], some[:cut]
        fitted = {}
        for name in MAPS:
            penalty = choose_penalty(name, a[inner], b[inner], a[valid], b[valid])
            fitted[name] = prepare(name, a[inside], a[held_out], penalty)
        folds.append(_Fold(a, b, inside, held_out, fitted))
    draws = {"identity": 99, "ridge": 99}
    return _aligned("residual", folds, len(pairs), _permuter("residual", table.candidate_values), seed, pairs, draws)


def _sides(table: SceneTable, train: BoolArray) -> IntArray:
    trained = np.where(table.present, train[table.object_codes], False).sum(axis=1)
    return np.where(trained == table.counts, TRAIN, np.where(trained == 0, TEST, -1))
