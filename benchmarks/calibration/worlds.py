"""Worlds for calibration: arrays alone, words drawn anew for every world, noise set by the variance that is expected.

Truth is what a figure is on average over redrawn words, on the same table. The planted encoders of the package scale noise to
the signal that was drawn, which takes out of R^2 what other words would do to it; here it stays in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bindscope.binding import binding_by_cosine, binding_outcomes
from bindscope.concepts import ConceptSpace
from bindscope.design import concept_design, fit, object_design
from bindscope.jackknife import Jackknife
from bindscope.refits import refitted_r2
from bindscope.scenes import SceneTable
from bindscope.splits import split_scenes
from bindscope.uncertainty import Outcome

Array = NDArray[np.float64]
Kind = Literal["bag", "product", "object", "mixed"]


@dataclass(frozen=True)
class Cell:
    """A kind of world on a table. noise: sd per coordinate over the expected sd of a scene's signal. rows: at most about so many
    scenes, whole bags drawn at random. read: by which figures."""

    kind: Kind
    sizes: tuple[int, ...]
    m: int = 2
    dim: int = 64
    noise: float = 0.0
    rows: int = 5_000
    read: str = "queries"

    @property
    def name(self) -> str:
        """As in the tables."""
        words = f"{self.kind} {'x'.join(map(str, self.sizes))}, d {self.dim}, noise {self.noise:g}"
        return words + (f", m {self.m}" if self.m != 2 else "") + (f", {self.read}" if self.read != "queries" else "")

    @cached_property
    def table(self) -> SceneTable:
        """All ordered scenes of m different objects, or a sample of their bags."""
        space = ConceptSpace.of([(f"c{k}", [f"v{i}" for i in range(size)]) for k, size in enumerate(self.sizes)])
        ids = np.array(list(permutations(range(space.n_objects), self.m)))
        whole = SceneTable.build(space, space.object_values(ids.ravel()).reshape(*ids.shape, len(self.sizes)))
        if len(whole) <= self.rows:
            return whole
        order = np.random.default_rng(0).permutation(int(whole.bag_ids.max()) + 1)
        kept = order[: np.searchsorted(np.cumsum(np.bincount(whole.bag_ids)[order]), self.rows)]
        return whole.take(np.isin(whole.bag_ids, kept))

    @cached_property
    def jackknife(self) -> Jackknife:
        """Intervals on this table."""
        return Jackknife.of(self.table)

    def worlds(self, count: int, seed: int = 0) -> Iterator[dict[str, Outcome]]:
        """Figures of one world after the other."""
        figures = FIGURES[self.read]
        for number in range(count):
            rng = np.random.default_rng([seed, number])
            objects = object_vectors(self.kind, self.table.candidate_values, self.dim, rng)
            yield figures(self, objects, self.scenes(objects, rng))

    def scenes(self, objects: Array, rng: np.random.Generator) -> Array:
        """Sums of object vectors, with noise."""
        total = objects[self.table.object_codes].sum(axis=1)
        if self.noise:
            total += rng.standard_normal(total.shape) * (self.noise * np.sqrt(self.m))
        return np.asarray(total)

    @cached_property
    def members(self) -> list[NDArray[np.int64]]:
        """Codes of the values of each scene, one array for each concept."""
        return [self.table.members(k)[0] for k in range(len(self.sizes))]

    @cached_property
    def means(self) -> list[Array]:
        """Matrices that take the mean of the objects with each value."""
        values = self.table.candidate_values
        return [np.eye(size)[values[:, k]].T / np.bincount(values[:, k])[:, None] for k, size in enumerate(self.sizes)]


def object_vectors(kind: Kind, values: NDArray[np.int64], dim: int, rng: np.random.Generator) -> Array:
    """u_o `[O, d]`, of unit variance per coordinate in expectation."""
    factors = [rng.standard_normal((int(column.max()) + 1, dim))[column] for column in values.T]
    if kind == "product":
        return np.asarray(np.prod(factors, axis=0))
    bag = np.sum(factors, axis=0) / np.sqrt(len(factors))
    own = rng.standard_normal(bag.shape)
    return np.asarray({"bag": bag, "object": own, "mixed": (bag + own) * np.sqrt(0.5)}[kind])


def strict(scores: Array, members: NDArray[np.int64]) -> Array:
    """The rule of recognition on scores `[n, K]`, 1 where right."""
    rows, scores = np.arange(len(scores))[:, None], scores.copy()
    lowest = scores[rows, members].min(axis=1)
    scores[rows, members] = -np.inf
    return np.asarray(lowest > scores.max(axis=1), dtype=np.float64)


def by_queries(cell: Cell, objects: Array, scenes: Array) -> dict[str, Outcome]:
    """Recognition of concepts (mean) and objects, preference and the rule within the bag, by cosine with the own queries."""
    right = [strict(scenes @ unit(mean @ objects).T, own) for mean, own in zip(cell.means, cell.members, strict=True)]
    found = {
        "concepts": Outcome.mean("concept_recognition", np.mean(right, axis=0)),
        "objects": Outcome.mean("object_recognition", strict(scenes @ unit(objects).T, cell.table.object_codes)),
    }
    preference, within = binding_outcomes(binding_by_cosine(scenes, objects, cell.table), cell.table)
    return found | {"preference": preference, "within the bag": within}


def by_read_out(cell: Cell, objects: Array, scenes: Array) -> dict[str, Outcome]:
    """Recognition by ridge read-outs (least squares of counts), trained on 40 % of the bags and judged on the rest."""
    train = split_scenes(cell.table, 0.4, "bag", 0)
    mean = scenes[train].mean(axis=0)
    away = scenes - mean
    inner = away[train].T @ away[train]
    inverse = np.linalg.inv(inner + 1e-2 * np.trace(inner) / len(inner) * np.eye(len(inner)))
    found = {}
    members = [("concepts", cell.members), ("objects", [cell.table.object_codes])]
    for name, every in members:
        right = [_read(away, train, inverse, own) for own in every]
        found[name] = Outcome.mean("recognition", np.mean(right, axis=0), ~train)
    return found


def _read(away: Array, train: NDArray[np.bool_], inverse: Array, members: NDArray[np.int64]) -> Array:
    counts = np.eye(int(members.max()) + 1)[members].sum(axis=1)
    weights = inverse @ (away[train].T @ (counts[train] - counts[train].mean(axis=0)))
    return strict(away @ weights + counts[train].mean(axis=0), members)


def by_fits(cell: Cell, objects: Array, scenes: Array) -> dict[str, Outcome]:
    """R^2 of Level I (objects) and Level II (concepts) by least squares, in sample."""
    away = scenes - scenes.mean(axis=0)
    total = np.square(away).sum(axis=1)
    found = {}
    for name, design in (("R2, Level I", object_design), ("R2, Level II", concept_design)):
        columns = design(cell.table, False)
        error = np.square(away - fit(columns, away)(columns)).sum(axis=1)
        found[name] = Outcome.r2("r2", error, total, refit=refitted_r2(scenes, columns, cell.jackknife))
    return found


def unit(rows: Array) -> Array:
    """Rows of length 1."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


FIGURES: Mapping[str, Callable[[Cell, Array, Array], dict[str, Outcome]]] = {
    "queries": by_queries,
    "read-outs": by_read_out,
    "fits": by_fits,
}
