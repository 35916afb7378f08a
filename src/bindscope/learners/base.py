"""What an approximator is: fit on scenes and their vectors, predict the vectors of other scenes from concepts alone.

A learner sees indices, never words or pixels: g(o_1 .. o_m) from the values of a `SceneTable`. Sec. 5 of arXiv
2605.31503. Whatever a learner chooses (rank, ridge, depth), it chooses on objects inside the table that it is given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar, final

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from bindscope.concepts import ABSENT, ConceptSpace
from bindscope.design import checked_vectors, row_mean, squared_errors
from bindscope.errors import InputError, TableError
from bindscope.scenes import FloatArray, SceneTable
from bindscope.splits import ObjectSplit, additive_rank, spanning_objects, validation_objects

Vectors = NDArray[np.floating]
Predictor = Callable[[SceneTable], Vectors]
FITTED = 0.9  # a learner with a smaller training R^2 did not fit its own training scenes
RANK_TOLERANCE = 1e-12  # of the largest mean square: smaller principal components are rounding
ROUNDING = 1e-10  # of the mean square of the vectors: less variance than this is rounding in single precision


@dataclass(frozen=True, eq=False)
class Solution:
    """What an approximator's own `solve` gives back: a predictor, whether its optimiser arrived, and what it chose."""

    predictor: Predictor
    converged: bool = True
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted approximator; call `predict` on any table of the same space.

    name: as it is asked for by name. train_r2: R^2 on the rows that it was fitted on (1 exact; NaN where these do not
    vary). converged: the optimiser reached its tolerance or ran its whole schedule. notes: plain values that it chose
    or that warn: rank, ridge, factor_norm, validation_r2, ...
    """

    name: str
    predictor: Predictor
    n_slots: int
    space: ConceptSpace
    train_r2: float
    converged: bool
    notes: Mapping[str, Any]

    @property
    def fits_training(self) -> bool:
        """Whether it learnt its own training scenes; one that did not says nothing about the function."""
        return self.converged and self.train_r2 >= FITTED

    def predict(self, table: SceneTable) -> Vectors:
        """Predicted vectors `[n, d]`. Raises InputError where the table has other concepts or slots."""
        if table.space != self.space or table.n_slots != self.n_slots:
            raise InputError(
                f"{self.name} was fitted on scenes of {self.n_slots} slots of {self.space.names}, "
                f"got {table.n_slots} slots of {table.space.names}; predict scenes of the same concepts and slots"
            )
        return self.predictor(table)


class ValueVectors(Protocol):
    """Vectors of single values; see `learners.words`."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Numbers that a value of each concept has."""
        ...

    def __call__(self, table: SceneTable) -> FloatArray:
        """Those of all values of a scene, slot by slot, `[n, m sum widths]`."""
        ...


class Approximator(ABC):
    """A learner of the binding function. To write one's own, give `solve`, and `register` it under a name.

    name: what it is asked for by. `fit` checks its input and measures the fit; it is the same for all learners.
    takes_words: whether it can start from `words`, vectors of values `[n, p]` of a table, in the place of indices.
    """

    name: str = ""
    takes_words: ClassVar[bool] = False
    words: ValueVectors | None = None

    @abstractmethod
    def solve(self, table: SceneTable, vectors: Vectors, seed: int) -> Solution:
        """Learn vectors `[n, d]` (finite) of the rows of a table; the same seed gives the same bytes."""

    @final
    def fit(self, table: SceneTable, vectors: Vectors, seed: int = 0) -> Fitted:
        """Fit all rows of a table. Raises VectorsError or TableError where they do not fit each other.

        The table's own objects are the training objects; its candidates may be more.
        """
        array = checked_vectors(vectors, len(table))
        if not len(table):
            raise TableError(f"{self.name}: there are no training scenes; use a higher coverage")
        found = self.solve(table, array, seed)
        error, total = _errors(array, found.predictor(table))
        r2 = 1.0 - error / total if total > 0 else float("nan")
        return Fitted(self.name, found.predictor, table.n_slots, table.space, r2, found.converged, dict(found.notes))


def _errors(vectors: Vectors, predicted: Vectors) -> tuple[float, float]:
    """Summed squared error and variance; a variance that is rounding counts as zero."""
    mean = row_mean(vectors)
    error, total = float(squared_errors(vectors, predicted).sum()), total_squares(vectors, mean)
    size = float(np.square(vectors, dtype=np.float64).sum())
    return error, total if total > ROUNDING**2 * size else 0.0


def total_squares(vectors: Vectors, mean: Vectors) -> float:
    """Summed squared distance of vectors `[n, d]` from a mean `[d]`, in double precision."""
    return float(squared_errors(vectors, np.broadcast_to(mean, vectors.shape)).sum())


def principal_axes(centred: FloatArray, variance: float) -> tuple[FloatArray, FloatArray]:
    """Leading principal axes `[d, r]` that hold a share of the variance, and their mean squares `[r]`.

    Neither where there is no variance. Works on the smaller side: O(n d min(n, d)).
    """
    n, d = centred.shape
    wide = n < d
    values, axes = linalg.eigh((centred @ centred.T if wide else centred.T @ centred) / n)
    values, axes = values[::-1], axes[:, ::-1]
    good = values > RANK_TOLERANCE * max(float(values[0]), 0.0)
    count = min(int((np.cumsum(values) < variance * values[good].sum()).sum()) + 1, int(good.sum()))
    kept, found = values[:count], axes[:, :count]
    return (centred.T @ found / np.sqrt(n * kept) if wide else found), kept


def training_split(table: SceneTable) -> ObjectSplit:
    """The objects that the rows of a table show, as the training side of a split of its candidates."""
    train = np.zeros(table.n_objects, dtype=bool)
    train[np.unique(table.object_codes[table.object_codes != ABSENT])] = True
    values = table.candidate_values
    full = additive_rank(values)
    identified = len(spanning_objects(values, np.flatnonzero(train), full)) == full
    return ObjectSplit(train, float(train.mean()), identified, float("nan"))


def inner_rows(table: SceneTable, seed: int, share: float = 0.1) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Masks `[n]` of the rows that fit, and of those that judge, while something is chosen inside a training table.

    A share of the training objects (at least one) is held out for validation, connected where that can be; rows that
    show only these judge, and where there are none, rows that show any of them. None where nothing can be spared.
    """
    split = training_split(table)
    if int(split.train.sum()) < 3:
        return None
    held = validation_objects(table, split, share, seed)
    shown = np.where(table.present, held[table.object_codes], False).sum(axis=1)
    fit, judge = shown == 0, shown == table.counts
    judge = judge if judge.any() else shown > 0
    return (fit, judge) if fit.any() and judge.any() else None


T = TypeVar("T")


def chosen(
    tries: Sequence[T],
    table: SceneTable,
    vectors: Vectors,
    seed: int,
    fitted: Callable[[T, SceneTable, Vectors], Predictor],
) -> tuple[T, dict[str, float]] | None:
    """The setting that predicts validation objects best (the first of equals), and its `validation_r2` about the mean of the
    rows that fit, -inf..1. None where no objects can be spared.
    """
    inner = inner_rows(table, seed)
    if inner is None:
        return None
    here, judge = inner
    asked, theirs, known, seen = table.take(judge), vectors[judge], table.take(here), vectors[here]
    left = [float(squared_errors(theirs, fitted(one, known, seen)(asked)).sum()) for one in tries]
    total, best = total_squares(theirs, row_mean(seen)), int(np.argmin(left))
    return tries[best], {"validation_r2": 1.0 - left[best] / total if total > 0 else float("nan")}
