"""Level I (scenes from objects) and Level II (scenes, or objects, from concepts), by five estimators.

z_s - mu ~ sum_i u_{o_i}  and  z_s - mu ~ sum_i sum_k u_{k, c_ik}. Estimators of the component vectors:

- `avg`: mean of centred embeddings over the scenes that show the object (or value); `avg+pos`: per slot;
- `single`: from one-object scenes, centred by their own mean; `single+pos`: by the slot in which the object stands alone;
- `ols`, `ols+pos`: joint least squares without and with slots, the only ones right on incomplete designs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from bindscope.concepts import ABSENT, IntArray
from bindscope.design import (
    Sums,
    Vectors,
    concept_design,
    cross_products,
    gram,
    object_design,
    parse_estimator,
    row_mean,
    solve,
)
from bindscope.errors import InputError, TableError
from bindscope.parallel import over_blocks
from bindscope.probes import Probe
from bindscope.recognition import Recognised, recognise
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.splits import object_folds, scene_folds

ESTIMATORS = ("avg", "avg+pos", "single", "single+pos", "ols", "ols+pos")
Level = Literal["level1", "level2"]
LEVELS: tuple[Level, ...] = ("level1", "level2")
_ROWS = 16_384
_BLOCK = 1_024  # rows of errors at once: they stay in the cache of the processor


@dataclass(frozen=True, eq=False)
class AdditiveModel:
    """Prediction mean `[d]` + design `[n, p]` @ coefficients `[p, d]`.

    level: level1 has one column an object, level2 one a concept value; by_slot: columns are repeated per slot.
    """

    level: Level
    by_slot: bool
    mean: FloatArray
    coefficients: FloatArray

    def design(self, table: SceneTable) -> sparse.csr_matrix:
        """Counts of the model's components in each scene, `[n, p]`."""
        return _design(table, self.level, self.by_slot)

    def __call__(self, table: SceneTable) -> FloatArray:
        """Reconstructed embeddings `[n, d]`, the mean included."""
        return np.asarray(self.design(table) @ self.coefficients) + self.mean

    def scaled(self, factor: float) -> AdditiveModel:
        """The model with all components multiplied by one number."""
        return AdditiveModel(self.level, self.by_slot, self.mean, self.coefficients * factor)


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Reconstructed embeddings of a table, row by row by the model that did not see the row (or by one for all).

    models; owner `[n]`: the model of each row. Kept as coefficients, so scores and errors need no [n, d] array.
    """

    table: SceneTable
    models: tuple[AdditiveModel, ...]
    owner: IntArray

    def rows_of(self, model: int) -> IntArray:
        """Rows that a model reconstructs."""
        return np.flatnonzero(self.owner == model)

    def errors(self, vectors: Vectors) -> tuple[FloatArray, FloatArray]:
        """Squared error and squared distance to the fitted mean of each row, `[n]` and `[n]`; R^2 = 1 - ratio of sums."""
        error, total = np.zeros(len(self.table)), np.zeros(len(self.table))
        for rows, model, design in self._parts():

            def measure(
                block: slice, rows: IntArray = rows, model: AdditiveModel = model, design: sparse.csr_matrix = design
            ) -> None:
                some = rows[block]
                residual = np.asarray(vectors[some], dtype=np.float64) - model.mean
                total[some] = np.einsum("nd,nd->n", residual, residual)
                residual -= design[block] @ model.coefficients
                error[some] = np.einsum("nd,nd->n", residual, residual)

            over_blocks(measure, len(rows), _BLOCK)
        return error, total

    def recognised(self, probe: Probe, members: IntArray) -> Recognised:
        """What a probe reads from the reconstructions."""
        right, tied = np.zeros(len(self.table), dtype=bool), np.zeros(len(self.table), dtype=bool)
        for rows, model, design in self._parts():
            weights, bias = model.coefficients @ probe.weights, probe.bias + model.mean @ probe.weights
            for start in range(0, len(rows), _ROWS):
                some = rows[start : start + _ROWS]
                outcome = recognise(design[start : start + _ROWS] @ weights + bias, members[some])
                right[some], tied[some] = outcome.right, outcome.tied
        return Recognised(right, tied)

    def _parts(self) -> list[tuple[IntArray, AdditiveModel, sparse.csr_matrix]]:
        parts = [(self.rows_of(i), model) for i, model in enumerate(self.models)]
        return [(rows, model, model.design(self.table.take(rows))) for rows, model in parts if len(rows)]


def fit_additive(vectors: Vectors, table: SceneTable, estimator: str, level: Level) -> AdditiveModel:
    """Fit `avg`, `avg+pos`, `ols` or `ols+pos` at a level on all rows of one table. O(n m d + p^3 + p^2 d)."""
    kind, by_slot = parse_estimator(estimator)
    sums = Sums.of(vectors, _design(table, level, by_slot), kind)
    return AdditiveModel(level, by_slot, sums.mean, sums.fitted().coefficients)


def fit_single(
    vectors: Vectors,
    table: SceneTable,
    level: Level,
    mean: FloatArray,
    needed: IntArray | None = None,
    by_slot: bool = False,
) -> AdditiveModel:
    """Component vectors from one-object scenes, centred by their own mean; `mean` `[d]` is that of the scenes to rebuild.

    needed: codes of the objects that these scenes show (None: all candidates). by_slot: vectors of objects in slots, from the
    scenes in which they stand there. Raises TableError where one of them has no one-object scene.
    """
    if (table.counts != 1).any():
        raise TableError("the estimator `single` is fitted on scenes of one object only")
    wanted = np.arange(table.n_objects) if needed is None else needed
    missing = np.setdiff1d(wanted, table.object_codes[table.present])
    if len(missing):
        raise TableError(
            f"{len(missing)} objects have no one-object scene, e.g. {table.object_name(int(missing[0]))!r}"
        )
    return AdditiveModel(level, by_slot, mean, Sums.of(vectors, _design(table, level, by_slot)).fitted().coefficients)


def reconstruct(vectors: Vectors, table: SceneTable, estimator: str, level: Level) -> Reconstruction:
    """In sample: one model fitted on all rows."""
    model = fit_additive(vectors, table, estimator, level)
    return Reconstruction(table, (model,), np.zeros(len(table), dtype=np.int64))


def reconstruct_held_out(
    vectors: Vectors, table: SceneTable, estimator: str, level: Level, folds: int = 5, seed: int = 0
) -> Reconstruction:
    """Every row rebuilt by a model fitted on the other folds; whole bags stay in one fold."""
    kind, by_slot = parse_estimator(estimator)
    owner = scene_folds(table, folds, "bag", seed)
    design = _design(table, level, by_slot)
    parts = [Sums.of(vectors[owner == f], design[owner == f], kind) for f in range(folds)]
    whole = Sums.joined(parts)
    rests = [whole.without(part) for part in parts]
    models = (AdditiveModel(level, by_slot, rest.mean, rest.fitted().coefficients) for rest in rests)
    return Reconstruction(table, tuple(models), owner)


def everywhere(singles: SceneTable, needed: IntArray) -> bool:
    """Whether each of these objects stands alone in every slot of some one-object scene."""
    return all(bool(np.isin(needed, column).all()) for column in singles.object_codes.T)


def reconstruct_single(
    vectors: Vectors,
    table: SceneTable,
    single_vectors: Vectors,
    singles: SceneTable,
    level: Level,
    by_slot: bool = False,
) -> Reconstruction:
    """Scenes of several objects rebuilt from one-object scenes; each of their objects needs one (by_slot: in each slot)."""
    mean = row_mean(vectors)
    model = fit_single(single_vectors, singles, level, mean, np.unique(table.object_codes[table.present]), by_slot)
    return Reconstruction(table, (model,), np.zeros(len(table), dtype=np.int64))


def best_scale(vectors: Vectors, rebuilt: Reconstruction) -> float:
    """The one factor on all components that minimises the squared error, <x, y> / <y, y>; 0 where y vanishes."""
    product, square = 0.0, 0.0
    model, design = rebuilt.models[0], rebuilt.models[0].design(rebuilt.table)
    for start in range(0, len(vectors), _ROWS):
        guess = design[start : start + _ROWS] @ model.coefficients
        product += float(((np.asarray(vectors[start : start + _ROWS], dtype=np.float64) - model.mean) * guess).sum())
        square += float((guess**2).sum())
    return product / square if square > 0 else 0.0


def level2_objects(
    model: AdditiveModel, table: SceneTable, held_out: bool, seed: int = 0
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Object vectors from concept vectors: squared error and squared total of each object vector, and its object code.

    Least squares of u_o (per slot where the model has slots) on concept values; held out: each object by the values of
    other objects, on rotated connected splits. R^2 = 1 - ratio of sums.
    """
    if model.level != "level1":
        raise InputError("level2_objects needs a level1 model, whose components are object vectors")
    objects = SceneTable.build(table.space, table.candidate_values[:, None, :], candidates=table.candidates)
    design = concept_design(objects, by_slot=False)
    blocks = np.split(model.coefficients, table.n_slots if model.by_slot else 1)
    seen = _seen_objects(table, model.by_slot)
    parts = [
        _object_errors(block, objects.take(shown), design[shown], held_out, seed)
        for block, shown in ((b[s], s) for b, s in zip(blocks, seen, strict=True))
        if len(shown) > 1
    ]
    if not parts:
        raise TableError("fewer than two objects can be compared; nothing to predict from concepts")
    codes = np.concatenate([s for s in seen if len(s) > 1])
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), codes


def _object_errors(
    vectors: FloatArray, objects: SceneTable, design: sparse.csr_matrix, held_out: bool, seed: int
) -> tuple[FloatArray, FloatArray]:
    if not held_out:
        everyone = np.ones(len(objects), dtype=bool)
        return _errors_of_fit(vectors, design, everyone, everyone)
    own = SceneTable.build(objects.space, objects.values)
    error, total, times = (np.zeros(len(objects)) for _ in range(3))
    for split in object_folds(own, 0.8 if len(own) > 4 else 0.5, seed):
        if not split.identified:
            continue
        missed, spread = _errors_of_fit(vectors, design, split.train, ~split.train)
        error[~split.train] += missed
        total[~split.train] += spread
        times[~split.train] += 1
    once = np.maximum(times, 1)
    return error / once, total / once


def _errors_of_fit(
    vectors: FloatArray, design: sparse.csr_matrix, train: BoolArray, test: BoolArray
) -> tuple[FloatArray, FloatArray]:
    mean = vectors[train].mean(axis=0)
    fitted = solve(gram(design[train]), cross_products(design[train], vectors[train] - mean))
    centred = vectors[test] - mean
    residual = centred - fitted(design[test])
    return (residual**2).sum(axis=1), (centred**2).sum(axis=1)


def _seen_objects(table: SceneTable, by_slot: bool) -> list[IntArray]:
    """Object codes that occur, per slot or overall."""
    slots = [table.object_codes[:, i] for i in range(table.n_slots)] if by_slot else [table.object_codes.ravel()]
    return [np.unique(codes[codes != ABSENT]) for codes in slots]


def _design(table: SceneTable, level: Level, by_slot: bool) -> sparse.csr_matrix:
    makers: dict[str, Callable[[SceneTable, bool], sparse.csr_matrix]] = {
        "level1": object_design,
        "level2": concept_design,
    }
    if level not in makers:
        raise InputError(f"unknown level {level!r}; expected level1 or level2")
    return makers[level](table, by_slot)
