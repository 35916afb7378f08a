"""Trees from one-hot concept values to the principal components of the vectors: gradient-boosted, and a random forest.

Every tree predicts all components at once. Components hold 99.9 % of the variance, unscaled, so that a split is worth
what it explains.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.design import row_mean
from bindscope.errors import MissingExtraError
from bindscope.learners.additive import additive_features, read
from bindscope.learners.base import Approximator, Predictor, Solution, ValueVectors, Vectors, chosen, principal_axes
from bindscope.names import Option
from bindscope.parallel import usable_threads
from bindscope.scenes import SceneTable

VARIANCE = 0.999


@dataclass(frozen=True)
class Boosting:
    """Settings of xgboost."""

    rounds: int = 100
    depth: int = 6
    rate: float = 0.3
    name: str = "xgboost"

    def tries(self) -> list[Boosting]:
        """What `tune` tries."""
        return [replace(self, depth=depth, rounds=rounds) for depth in (3, 6, 10) for rounds in (100, 300)]

    def fitted(self, inputs: NDArray[np.float32], targets: NDArray[np.float32], seed: int) -> Any:
        """The fitted model; MissingExtraError without xgboost."""
        try:
            import xgboost
        except ImportError:
            raise MissingExtraError("boosted trees", "xgboost", "boost") from None
        model = xgboost.XGBRegressor(
            n_estimators=self.rounds,
            max_depth=self.depth,
            learning_rate=self.rate,
            tree_method="hist",
            multi_strategy="multi_output_tree",
            max_bin=2,
            n_jobs=usable_threads(),
            random_state=seed % 2**31,
        )
        return model.fit(inputs, targets)


@dataclass(frozen=True)
class Bagging:
    """Settings of a random forest. features: share of the features that a split may choose from."""

    trees: int = 50
    leaf: int = 1
    features: float = 0.4
    name: str = "forest"

    def tries(self) -> list[Bagging]:
        """What `tune` tries."""
        return [replace(self, leaf=leaf, features=share) for leaf in (1, 3) for share in (0.2, 0.4, 0.8)]

    def fitted(self, inputs: NDArray[np.float32], targets: NDArray[np.float32], seed: int) -> Any:
        """The fitted model."""
        from sklearn.ensemble import RandomForestRegressor

        model = RandomForestRegressor(
            n_estimators=self.trees,
            min_samples_leaf=self.leaf,
            max_features=self.features,
            n_jobs=usable_threads(),
            random_state=seed % 2**31,
        )
        return model.fit(inputs, targets)


Ensemble = Boosting | Bagging


class Trees(Approximator):
    """Boosted trees or a forest. `tune` chooses among `settings.tries()` on validation objects."""

    takes_words = True

    def __init__(self, settings: Ensemble, tune: bool = False) -> None:
        self.settings, self.tune, self.name = settings, tune, settings.name

    def solve(self, table: SceneTable, vectors: Vectors, seed: int) -> Solution:
        """Fit all rows."""
        settings, judged = self._chosen(table, vectors, seed) if self.tune else (self.settings, {})
        model = _Model(settings, table, vectors, seed, self.words)
        notes = {name: value for name, value in vars(settings).items() if name != "name"}
        return Solution(model.predict, True, {**notes, "components": model.axes.shape[1], **judged})

    def _chosen(self, table: SceneTable, vectors: Vectors, seed: int) -> tuple[Ensemble, dict[str, float]]:
        def fitted(one: Ensemble, table: SceneTable, vectors: Vectors) -> Predictor:
            return _Model(one, table, vectors, seed, self.words).predict

        return chosen(list(self.settings.tries()), table, vectors, seed, fitted) or (self.settings, {})


class _Model:
    """A fitted ensemble on principal components."""

    def __init__(
        self, settings: Ensemble, table: SceneTable, vectors: Vectors, seed: int, words: ValueVectors | None
    ) -> None:
        self.words = words
        self.mean = row_mean(vectors)
        centred = np.asarray(vectors, dtype=np.float64) - self.mean
        self.axes = principal_axes(centred, VARIANCE)[0]
        self.model: Any = None
        if self.axes.shape[1]:
            self.model = settings.fitted(self.inputs(table), (centred @ self.axes).astype(np.float32), seed)

    def inputs(self, table: SceneTable) -> NDArray[np.float32]:
        """One-hot values in slots `[n, m sum V_k]`, or the vectors of the values."""
        one_hot = additive_features(table, "own")[:, 1:].toarray() if self.words is None else self.words(table)
        return one_hot.astype(np.float32)

    def predict(self, table: SceneTable) -> Vectors:
        """Vectors `[n, d]`."""
        if self.model is None:
            return np.tile(self.mean, (len(table), 1))
        scores = np.asarray(self.model.predict(self.inputs(table)), dtype=np.float64).reshape(len(table), -1)
        return np.asarray(scores @ self.axes.T + self.mean)


def load_xgboost(rest: str, tune: bool) -> Approximator:
    """`xgboost?rounds=100&depth=6&rate=0.3`."""
    known = {
        "rounds": Option(100, int, 1, 100_000),
        "depth": Option(6, int, 1, 64),
        "rate": Option(0.3, float, 0.0, 1.0),
    }
    return Trees(Boosting(**read(rest, "xgboost", known)), tune)


def load_forest(rest: str, tune: bool) -> Approximator:
    """`forest?trees=50&leaf=1&features=0.4`."""
    known = {"trees": Option(50, int, 1, 100_000), "leaf": Option(1, int, 1), "features": Option(0.4, float, 0.01, 1.0)}
    return Trees(Bagging(**read(rest, "forest", known)), tune)
