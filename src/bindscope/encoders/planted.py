"""Planted worlds: encoders whose binding function is known, so that every analysis can be held against the truth.

z_s = sum_i u_{o_i} (+ noise), with u_o
  bag      sum_k u_{k,c_k}, concepts add
  object   an own random vector
  mixed    bag + object, equal shares
  product  elementwise prod_k v_{k,c_k}, or W (prod_k v_{k,c_k}) with W [d, r] when a rank r is given
each of unit variance per coordinate. Queries: q(o) = u_o (mean over the slots), q(value) = mean of the u_o with it,
q(scene) = sum_i u_{o_i}, with the object vectors of the query side and without noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import ABSENT, ConceptSpace, IntArray
from bindscope.datasets.items import Dataset, Items
from bindscope.encoders.base import Encoder, Settings, Vectors
from bindscope.errors import InputError, UnknownNameError
from bindscope.names import Option, read_options, split_options
from bindscope.scenes import BoolArray
from bindscope.streams import MAX_SEED

KINDS = ("bag", "object", "mixed", "product")
OPTIONS = {
    "dim": Option(512, int, 1, 65536),
    "noise": Option(0.0, float, 0.0, 1e6),
    "slots": Option("shared", choices=("shared", "own")),
    "rank": Option(None, int, 1, 65536),
    "seed": Option(0, int, 0, MAX_SEED),
    "sides": Option("same", choices=("same", "own")),
}
MANY = 4096  # means over objects take at most so many of them
_BLOCK = 256  # keys that share one random stream
_CONCEPT, _OBJECT, _FACTOR, _MIXING, _NOISE = range(5)


@dataclass(frozen=True)
class World:
    """The parameters of a planted world. noise: sd per coordinate relative to the signal's. sides: whether queries have
    own object vectors (`own`) or those of the scenes; concept vectors are always shared."""

    kind: str
    dim: int = 512
    noise: float = 0.0
    slots: str = "shared"
    rank: int | None = None
    seed: int = 0
    sides: str = "same"

    def object_vectors(self, space: ConceptSpace, values: IntArray, slot: int, query: bool = False) -> Vectors:
        """u_{o,slot} `[n, d]` of objects given as value indices `[n, C]`."""
        own = slot if self.slots == "own" else 0
        side = int(query and self.sides == "own")
        if self.kind == "bag":
            return self._bag(values, own)
        if self.kind == "product":
            return self._product(values, own, side)
        unique = keyed_normal((self.seed, _OBJECT, own, side), space.object_ids(values), self.dim)
        if self.kind == "object":
            return unique
        return (self._bag(values, own) + unique) * np.float32(math.sqrt(0.5))

    def _bag(self, values: IntArray, slot: int) -> Vectors:
        parts = [keyed_normal((self.seed, _CONCEPT, slot, k), column, self.dim) for k, column in enumerate(values.T)]
        total: Vectors = np.sum(parts, axis=0)
        return total * np.float32(1 / math.sqrt(len(parts)))

    def _product(self, values: IntArray, slot: int, side: int) -> Vectors:
        width = self.rank or self.dim
        key = (self.seed, _FACTOR, slot, side)
        factors = [keyed_normal((*key, k), column, width) for k, column in enumerate(values.T)]
        product: Vectors = np.prod(factors, axis=0)
        if self.rank is None:
            return product
        mixing = keyed_normal((self.seed, _MIXING, side), np.arange(self.dim), width)
        mapped: Vectors = product @ mixing.T
        return mapped * np.float32(1 / math.sqrt(width))


class PlantedEncoder(Encoder):
    """A planted world as an encoder; `prepare` gives it the space and the candidates of a data set."""

    modalities = frozenset({"text", "image", "labels"})
    cacheable = False
    reads_inputs = False

    def __init__(self, world: World, name: str, dataset: Dataset | None = None) -> None:
        self.world, self.name, self._dataset = world, name, dataset

    def prepare(self, dataset: Dataset) -> Encoder:
        """The same world over the space of this data set."""
        return PlantedEncoder(self.world, self.name, dataset)

    def encode(self, items: Items) -> Vectors:
        """Scenes `[n, d]`: sum of the objects' vectors, with noise that depends on seed and row number alone."""
        total = self._sums(items, query=False)
        if self.world.noise:
            noise = keyed_normal((self.world.seed, _NOISE), items.rows, self.world.dim)
            total += noise * np.float32(self.world.noise * self._signal)
        return total

    def encode_captions(self, items: Items) -> Vectors:
        """Captions `[n, d]`: sum of the query side's object vectors."""
        return self._sums(items, query=True)

    def _sums(self, items: Items, query: bool) -> Vectors:
        total = np.zeros((len(items), self.world.dim), dtype=np.float32)
        for slot in range(items.values.shape[1]):
            shown = np.flatnonzero((items.values[:, slot] != ABSENT).all(axis=1))
            unique, codes = np.unique(self._space.object_ids(items.values[shown, slot]), return_inverse=True)
            vectors = self.world.object_vectors(self._space, self._space.object_values(unique), slot, query)
            total[shown] += vectors[codes]
        return total

    def encode_queries(self, items: Items) -> Vectors:
        """Queries `[n, d]`, without noise: an object's vector, or the mean over the candidates with a value.

        Where more than MANY candidates have a value, MANY evenly spaced ones of them stand for all.
        """
        asked = items.values[:, 0]
        if items.kind == "object":
            return self._query_vectors(asked)
        means = [self._query_vectors(_thinned(self._matching(row))).mean(axis=0) for row in asked]
        return np.stack(means) if means else np.zeros((0, self.world.dim), dtype=np.float32)

    def fidelity(self) -> dict[str, Any]:
        """The world's parameters; they and the rows' values determine the vectors."""
        return {"architecture": f"planted world: {self.world.kind}", "dtype": "float32", **asdict(self.world)}

    @property
    def _known(self) -> Dataset:
        if self._dataset is None:
            raise InputError("a planted world needs a data set's concepts; call encoder.prepare(dataset) first")
        return self._dataset

    @property
    def _space(self) -> ConceptSpace:
        return self._known.table.space

    @cached_property
    def _signal(self) -> float:
        """Sd per coordinate of a full scene of objects drawn evenly from the candidates."""
        values = _thinned(self._known.table.candidate_values)
        variances = [
            float(self.world.object_vectors(self._space, values, slot).var(axis=0, dtype=np.float64).mean())
            for slot in range(self._known.table.n_slots)
        ]
        return math.sqrt(sum(variances))

    def _query_vectors(self, values: IntArray) -> Vectors:
        slots = range(self._known.table.n_slots if self.world.slots == "own" else 1)
        sides = [self.world.object_vectors(self._space, values, slot, query=True) for slot in slots]
        mean: Vectors = np.mean(sides, axis=0, dtype=np.float32)
        return mean

    def _matching(self, row: IntArray) -> IntArray:
        """Value indices `[n, C]` of the candidates that agree with the specified cells of `row` `[C]`."""
        values = self._known.table.candidate_values
        fits: BoolArray = ((row == ABSENT) | (values == row)).all(axis=1)
        return values[fits]


def keyed_normal(stream: tuple[int, ...], keys: IntArray, dim: int) -> Vectors:
    """Standard normal rows `[n, dim]`, each a function of stream and key alone, whatever keys stand beside it."""
    rows = np.empty((len(keys), dim), dtype=np.float32)
    for block, where in _blocks(keys):
        drawn = np.random.default_rng([*stream, block]).standard_normal((_BLOCK, dim), dtype=np.float32)
        rows[where] = drawn[keys[where] % _BLOCK]
    return rows


def load(rest: str, name: str, settings: Settings) -> PlantedEncoder:
    """The encoder of `planted:KIND?options`; the settings' seed holds where the name gives none."""
    kind, query = split_options(rest)
    if kind not in KINDS:
        raise UnknownNameError("planted world", kind, KINDS)
    options = read_options(query, {**OPTIONS, "seed": replace(OPTIONS["seed"], default=settings.seed)}, "planted:")
    if options["rank"] is not None and kind != "product":
        raise InputError(f"planted:{kind}: only the product world has a rank; leave rank out or use planted:product")
    return PlantedEncoder(World(kind, **options), name)


def _blocks(keys: IntArray) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each block of keys with the positions of its keys."""
    if not len(keys):
        return  # a slot that no row of a batch fills
    blocks = keys // _BLOCK
    order = np.argsort(blocks, kind="stable")
    names, starts = np.unique(blocks[order], return_index=True)
    yield from zip(names.tolist(), np.split(order, starts[1:]), strict=True)


def _thinned(values: IntArray) -> IntArray:
    if len(values) <= MANY:
        return values
    return values[np.linspace(0, len(values) - 1, MANY).astype(np.int64)]
