"""Retrieval: is the real embedding nearest to a reconstruction one of the same scene?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from bindscope.analyses.geometry.levels import AdditiveModel, Reconstruction
from bindscope.analyses.retrieval import TIE, own_minus_others, top1, unit
from bindscope.concepts import IntArray
from bindscope.design import Vectors
from bindscope.parallel import one_thread
from bindscope.recognition import Recognised
from bindscope.scenes import FloatArray, SceneTable
from bindscope.streams import stream

MAX_GALLERY = 20_000  # above this many rows a seeded sample of the queries is scored
SAMPLED_QUERIES = 2_000


def sampled_rows(n_rows: int, seed: int) -> IntArray:
    """Rows to score: all, or 2,000 drawn by seed where there are more than 20,000."""
    if n_rows <= MAX_GALLERY:
        return np.arange(n_rows, dtype=np.int64)
    return np.sort(stream(seed, "retrieval queries").choice(n_rows, SAMPLED_QUERIES, replace=False))


@dataclass(frozen=True, eq=False)
class Gallery:
    """All real embeddings of a table at unit length, rows of one scene (and of one set of objects) side by side.

    unit `[n, d]` single precision; scenes, multisets `[n]`: which scene, and which objects in any order, a row shows.
    """

    unit: NDArray[np.float32]
    scenes: IntArray
    multisets: IntArray

    @classmethod
    def of(cls, vectors: Vectors, table: SceneTable) -> Gallery:
        """Normalise and order the embeddings of a table once; a zero vector stays zero."""
        order = np.lexsort((table.scene_ids, table.multiset_ids))
        return cls(unit(vectors[order]), table.scene_ids[order], table.multiset_ids[order])

    def runs(self, by_slot: bool) -> tuple[IntArray, IntArray]:
        """First row and end of each scene (or multiset) in the ordered rows, by its number.

        Where the embeddings of a set of objects are equal in every order (an encoder of sets), the order cannot be asked
        for: such a scene's rows are those of its multiset, by slot too.
        """
        first, end = _runs(self.multisets)
        if not by_slot:
            return first, end
        blind = self._blind_to_order(first)
        scene_first, scene_end = _runs(self.scenes)
        owner = self.multisets[scene_first]
        wide = blind[owner]
        return np.where(wide, first[owner], scene_first), np.where(wide, end[owner], scene_end)

    def _blind_to_order(self, first: IntArray) -> NDArray[np.bool_]:
        """Which multisets have one embedding in all their rows, up to rounding: 1 - cos at most 2e-6."""
        cosines = np.einsum("nd,nd->n", self.unit, self.unit[first[self.multisets]])
        blind = np.ones(len(first), dtype=bool)
        blind[self.multisets[cosines < 1 - TIE]] = False
        return blind


def _runs(ids: IntArray) -> tuple[IntArray, IntArray]:
    starts = np.r_[0, np.flatnonzero(np.diff(ids)) + 1]
    first, end = (np.zeros(int(ids.max()) + 1, dtype=np.int64) for _ in range(2))
    first[ids[starts]], end[ids[starts]] = starts, np.r_[starts[1:], len(ids)]
    return first, end


def retrieve(gallery: Gallery, rebuilt: Reconstruction, rows: IntArray) -> Recognised:
    """For each of the rows: is the nearest real embedding (raw cosine, all rows are the gallery) one of the same scene?

    The same scene up to the order of objects for models without slots, and where the embedding itself is the same in every
    order. Equal reconstructions are scored once, in the span of the model's components where that is smaller:
    O(distinct * n * min(d, components)).
    """
    gaps = np.zeros(len(rows))
    for number, model in enumerate(rebuilt.models):
        here = np.flatnonzero(rebuilt.owner[rows] == number)
        if len(here):
            gaps[here] = _gaps_of_model(gallery, rebuilt, model, rows[here])
    return top1(gaps)


def _gaps_of_model(gallery: Gallery, rebuilt: Reconstruction, model: AdditiveModel, rows: IntArray) -> FloatArray:
    table = rebuilt.table
    ids = table.scene_ids if model.by_slot else table.multiset_ids
    _, first, back = np.unique(ids[rows], return_index=True, return_inverse=True)
    chosen = rows[first]
    design = model.design(table.take(chosen))
    basis = _span(model, len(chosen))
    if basis is None:
        guesses, real = design @ model.coefficients + model.mean, gallery.unit
    else:
        guesses = design @ (model.coefficients @ basis) + model.mean @ basis
        real = gallery.unit @ basis.astype(np.float32)
    length = np.maximum(np.linalg.norm(guesses, axis=1, keepdims=True), 1e-300)
    first_row, end = gallery.runs(model.by_slot)
    own = ids[chosen]
    return own_minus_others((guesses / length).astype(np.float32), real, first_row[own], end[own])[back]


def _span(model: AdditiveModel, n_queries: int) -> FloatArray | None:
    """Orthonormal basis `[d, r]` of all reconstructions of the model; None where turning the gallery would not pay."""
    rows = np.concatenate([model.mean[None], model.coefficients])
    dimensions = rows.shape[1]
    pays = 0.8 * dimensions * n_queries / (dimensions + n_queries)
    if len(rows) < min(pays, dimensions):
        with one_thread(len(rows)):
            basis, _ = linalg.qr(rows.T, mode="economic")
        return np.asarray(basis)
    with one_thread(min(rows.shape)):
        if len(rows) < dimensions:  # the rank is found on the smaller side
            values, turns = linalg.eigh(rows @ rows.T)
        else:
            values, axes = linalg.eigh(rows.T @ rows)
    keep = values > 1e-14 * values[-1]
    if keep.sum() >= pays:
        return None
    return np.asarray(
        linalg.qr(rows.T @ turns[:, keep], mode="economic")[0] if len(rows) < dimensions else axes[:, keep]
    )
