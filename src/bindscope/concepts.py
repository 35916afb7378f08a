"""Concepts, their values, and the objects that they span.

A concept k has V_k values; an object is one value of each concept, and its id is a mixed-radix number whose last
concept runs fastest. Sec. 3 of arXiv 2605.31503.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bindscope.errors import TableError, UnknownNameError

IntArray = NDArray[np.int64]
ABSENT = -1  # stands for "no object here" in values and object ids


@dataclass(frozen=True)
class Concept:
    """A concept such as colour, with the words of its values.

    >>> Concept("color", ("red", "blue")).size
    2
    """

    name: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        given: object = self.values
        if isinstance(given, str):
            raise TableError(f"concept {self.name!r}: values must be a list of words, got the text {given!r}")
        object.__setattr__(self, "values", tuple(self.values))
        if not self.name or not isinstance(self.name, str):
            raise TableError(f"a concept needs a name, got {self.name!r}")
        if not self.values:
            raise TableError(f"concept {self.name!r} has no values; give at least one")
        bad = [value for value in self.values if not isinstance(value, str) or not value.strip()]
        if bad:
            raise TableError(f"concept {self.name!r}: values must be non-empty text, got {bad[0]!r}; quote it if it is")
        twice = sorted(value for value, times in Counter(self.values).items() if times > 1)
        if twice:
            raise TableError(f"concept {self.name!r}: value {twice[0]!r} stands twice; values must differ")

    @property
    def size(self) -> int:
        """Number of values V_k."""
        return len(self.values)

    def index(self, value: str) -> int:
        """Position of a value; raises UnknownNameError with the nearest words."""
        try:
            return self.values.index(value)
        except ValueError:
            raise UnknownNameError(f"value of {self.name}", str(value), self.values) from None


@dataclass(frozen=True)
class ConceptSpace:
    """All concepts together: the product C_1 x ... x C_C.

    >>> space = ConceptSpace((Concept("color", ("red", "blue")), Concept("shape", ("cube", "ball", "cone"))))
    >>> space.n_objects
    6
    >>> int(space.object_ids([1, 0])), space.object_name(3)
    (3, 'blue cube')
    """

    concepts: tuple[Concept, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "concepts", tuple(self.concepts))
        if not self.concepts:
            raise TableError("a concept space needs at least one concept")
        names = [concept.name for concept in self.concepts]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise TableError(f"concept {twice[0]!r} is defined twice; concept names must differ")
        if np.prod([float(size) for size in self.sizes]) > 2.0**62:
            raise TableError(f"more than 2^62 objects with {self.sizes} values; use fewer concepts or values")

    @classmethod
    def of(cls, concepts: Iterable[tuple[str, Sequence[str]]]) -> ConceptSpace:
        """Build from (name, values) pairs."""
        return cls(tuple(Concept(name, tuple(values)) for name, values in concepts))

    @property
    def names(self) -> tuple[str, ...]:
        """Concept names in order."""
        return tuple(concept.name for concept in self.concepts)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of values V_k in order."""
        return tuple(concept.size for concept in self.concepts)

    @property
    def n_concepts(self) -> int:
        """Number of concepts C."""
        return len(self.concepts)

    @property
    def n_objects(self) -> int:
        """Number of objects of the full product, prod V_k."""
        return int(np.prod([int(size) for size in self.sizes], dtype=object))

    @cached_property
    def radix(self) -> IntArray:
        """Place value of each concept in an object id, `[C]`."""
        ones = [1, *self.sizes[::-1][:-1]]
        return np.cumprod(np.array(ones, dtype=np.int64))[::-1].copy()

    def object_ids(self, values: ArrayLike) -> IntArray:
        """Ids `[...]` of objects given as value indices `[..., C]`; an absent object (any -1) has id -1."""
        array = np.asarray(values, dtype=np.int64)
        ids: IntArray = np.asarray(array @ self.radix, dtype=np.int64)
        return np.where((array == ABSENT).any(axis=-1), ABSENT, ids)

    def object_values(self, ids: ArrayLike) -> IntArray:
        """Value indices `[..., C]` of object ids `[...]`; -1 stays -1."""
        array = np.asarray(ids, dtype=np.int64)
        values = array[..., None] // self.radix % np.array(self.sizes, dtype=np.int64)
        return np.where(array[..., None] == ABSENT, ABSENT, values)

    def object_name(self, object_id: int) -> str:
        """The object's value words in concept order, joined by blanks."""
        indices = self.object_values(int(object_id))
        return " ".join(c.values[int(i)] for c, i in zip(self.concepts, indices, strict=True))
