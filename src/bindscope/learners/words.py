"""What a learner may start from besides indices: a model's own vectors of single values.

A learner of indices has to memorise what a pretrained model knows of words: that crimson is nearly red. With `words` each
value is given by the model's vector of it (its query, "red"), centred over the values of its concept and scaled to unit
mean square length, in the place of its index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bindscope.concepts import ABSENT
from bindscope.errors import VectorsError
from bindscope.learners.base import Vectors, principal_axes
from bindscope.scenes import FloatArray, SceneTable

PREFIX = "words:"


@dataclass(frozen=True, eq=False)
class Words:
    """values: one `[V_k + 1, r_k]` a concept, zero for values that the data set does not know; the last row, for an absent
    object, is zero."""

    values: tuple[FloatArray, ...]

    @classmethod
    def of(cls, table: SceneTable, vectors: Sequence[Vectors]) -> Words:
        """From vectors `[known values, d]` of each concept, in the order of `table.known_values(k)`.

        Kept are the coordinates in which the values differ. Raises VectorsError on a wrong number of vectors.
        """
        out = []
        for k, size in enumerate(table.space.sizes):
            known, own = table.known_values(k), np.asarray(vectors[k], dtype=np.float64)
            if own.ndim != 2 or len(own) != len(known):
                name = table.space.names[k]
                raise VectorsError(
                    f"expected one vector for each of {len(known)} values of {name}, got {list(own.shape)}"
                )
            centred = own - own.mean(axis=0)
            axes, squares = principal_axes(centred, 1.0)
            placed = np.zeros((size + 1, axes.shape[1]))
            placed[known] = centred @ axes / np.sqrt(max(float(squares.sum()), 1e-300))
            out.append(placed)
        return cls(tuple(out))

    @property
    def widths(self) -> tuple[int, ...]:
        """Numbers that a value of each concept has."""
        return tuple(own.shape[1] for own in self.values)

    def __call__(self, table: SceneTable) -> FloatArray:
        """Inputs `[n, m sum r_k]`, slot by slot."""
        codes = np.where(table.values == ABSENT, np.array(table.space.sizes), table.values)
        parts = [own[codes[:, slot, k]] for slot in range(table.n_slots) for k, own in enumerate(self.values)]
        return np.concatenate(parts, axis=1)
