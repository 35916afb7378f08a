"""Worlds whose truth is known, made with numpy alone, and the small tables that they live on.

Scenes are sums of object vectors (u_{o,i} in slot i) plus noise; the kind says how an object vector comes from its
concepts. `bag`: concept vectors add. `object`: a random vector per object. `mixed`: both. `product`: W prod_k v_k.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import ABSENT, ConceptSpace
from bindscope.scenes import SceneTable, concatenate

Array = NDArray[np.float64]
Kind = Literal["bag", "object", "mixed", "product"]
KINDS: tuple[Kind, ...] = ("bag", "object", "mixed", "product")


@dataclass(frozen=True)
class World:
    """vectors [n, d] = clean [n, d] + noise; objects [m, O, d]: u_{o,i} by slot (the same in all slots if shared)."""

    kind: Kind
    table: SceneTable
    vectors: Array
    clean: Array
    objects: Array

    @property
    def queries(self) -> Array:
        """A query vector for every object: its vector, mean over slots, `[O, d]`."""
        return np.asarray(self.objects.mean(axis=0))

    def concept_queries(self, concept: int) -> Array:
        """A query vector for every known value: the mean of the objects that have it, `[V, d]`."""
        own = self.table.candidate_values[:, concept]
        return np.stack([self.queries[own == value].mean(axis=0) for value in self.table.known_values(concept)])


def plant(
    kind: Kind,
    table: SceneTable,
    dim: int = 32,
    noise: float = 0.0,
    slots: Literal["shared", "own"] = "shared",
    rank: int | None = None,
    seed: int = 0,
) -> World:
    """Vectors of a world for a table. `noise`: sd per coordinate relative to the signal's."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    own = table.n_slots if slots == "own" else 1
    objects = np.stack([_object_vectors(kind, table, dim, rank, rng) for _ in range(own)])
    objects = np.broadcast_to(objects, (table.n_slots, *objects.shape[1:]))
    clean = np.zeros((len(table), dim))
    for slot in range(table.n_slots):
        here = table.present[:, slot]
        clean[here] += objects[slot][table.object_codes[here, slot]]
    spread = noise * clean.std()
    return World(kind, table, clean + spread * rng.normal(size=clean.shape), clean, objects)


def _object_vectors(kind: Kind, table: SceneTable, dim: int, rank: int | None, rng: np.random.Generator) -> Array:
    values = table.candidate_values
    factors = [rng.normal(size=(size, dim if rank is None else rank)) for size in table.space.sizes]
    bag = sum(rng.normal(size=(size, dim))[values[:, k]] for k, size in enumerate(table.space.sizes))
    single = rng.normal(size=(len(values), dim))
    joint = np.prod([factor[values[:, k]] for k, factor in enumerate(factors)], axis=0)
    joint = joint if rank is None else joint @ rng.normal(size=(rank, dim))
    return np.asarray({"bag": bag, "object": single, "mixed": bag + single, "product": joint}[kind])


def space_of(*sizes: int) -> ConceptSpace:
    """A space of concepts c0, c1, … with values named after their numbers."""
    return ConceptSpace.of([(f"c{k}", [f"c{k}v{i}" for i in range(size)]) for k, size in enumerate(sizes)])


def scenes(*sizes: int, m: int = 2, same: bool = False, replicates: int = 1) -> SceneTable:
    """All ordered scenes of m objects of the full product; without `same`, of m different objects."""
    space = space_of(*sizes)
    tuples = [t for t in product(range(space.n_objects), repeat=m) if same or len(set(t)) == m]
    return SceneTable.build(space, space.object_values(np.repeat(tuples, replicates, axis=0)))


def incomplete(table: SceneTable, share: float, seed: int = 0) -> SceneTable:
    """A random share of the objects, the scenes of these alone, and of them again a share; rows in random order."""
    rng = np.random.default_rng([seed, 1])
    kept = rng.permutation(table.n_objects)[: max(2, round(share * table.n_objects))]
    inside = np.flatnonzero(np.where(table.present, np.isin(table.object_codes, kept), True).all(axis=1))
    rows = rng.permutation(inside)[: max(1, round(share * len(inside)))]
    return SceneTable.build(table.space, table.values[rows], table.present[rows])


def mixed_counts(*sizes: int, seed: int = 0) -> SceneTable:
    """Scenes of one, two and three objects in one table, with gaps in any slot; rows in random order."""
    rng = np.random.default_rng([seed, 2])
    pairs = scenes(*sizes)
    singles = scenes(*sizes, m=1)
    threes = random_scenes(*sizes, n=len(pairs) // 2, m=3, seed=seed)
    table = concatenate([singles, pairs, threes])
    rows = rng.permutation(len(table))
    values = np.array([table.values[r][rng.permutation(3)] for r in rows])
    return SceneTable.build(table.space, values)


def random_scenes(*sizes: int, n: int, m: int, absent: float = 0.0, seed: int = 0) -> SceneTable:
    """n rows of m objects drawn independently, each slot empty with probability `absent` (never all of a scene)."""
    rng = np.random.default_rng([seed, 3])
    space = space_of(*sizes)
    ids = rng.integers(0, space.n_objects, size=(n, m))
    gone = rng.random((n, m)) < absent
    gone[np.arange(n), rng.integers(0, m, n)] = False
    return SceneTable.build(space, space.object_values(np.where(gone, ABSENT, ids)))


def designs() -> dict[str, SceneTable]:
    """One small table of each sort that an analysis must stand."""
    return {
        "pairs": scenes(4, 3),
        "pairs+same": scenes(3, 3, same=True),
        "replicates": scenes(3, 2, replicates=3),
        "C=3": scenes(2, 3, 2),
        "C=1": scenes(5),
        "m=1": scenes(4, 3, m=1),
        "m=3": scenes(2, 3, m=3),
        "incomplete": incomplete(scenes(5, 4), 0.6),
        "incomplete C=3 m=3": random_scenes(3, 3, 2, n=120, m=3, seed=4),
        "mixed m": mixed_counts(3, 2),
        "one-sided value": scenes(1, 5),
    }
