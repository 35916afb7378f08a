"""The two sides in one frame: unit vectors of scenes and of captions, and which caption belongs to which scene."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bindscope.analyses.retrieval import Single, unit
from bindscope.concepts import IntArray
from bindscope.embeddings import Embeddings
from bindscope.errors import TableError, VectorsError
from bindscope.scenes import BoolArray, SceneTable
from bindscope.swaps import Swaps, scene_keys, value_swaps


@dataclass(frozen=True, eq=False)
class TwoSides:
    """Side A: scenes `[n, d]` of the rows of `table`. Side B: captions `[T, S, d]` of the rows of `caption_table` in T wordings.

    All of unit length (a zero vector stays zero); raw_scenes, raw_captions: as they were. own `[n]`: the caption of each
    row; every row has one. swaps: the value swaps of the rows whose caption is there, with `partner` `[W]`, the caption of
    the swapped scene. rows `[n]`: their places in the table that was given.
    """

    scenes: Single
    table: SceneTable
    captions: Single
    caption_table: SceneTable
    own: IntArray
    swaps: Swaps
    partner: IntArray
    raw_scenes: NDArray[np.floating]
    raw_captions: NDArray[np.floating]
    rows: IntArray

    @classmethod
    def of(
        cls, scenes: NDArray[np.floating], table: SceneTable, captions: NDArray[np.floating], caption_table: SceneTable
    ) -> TwoSides:
        """Pair rows of scenes with captions; rows without a caption are left out.

        Raises VectorsError where the dimensions differ, TableError where no row has a caption.
        """
        if scenes.shape[-1] != captions.shape[-1]:
            raise VectorsError(
                f"scenes have {scenes.shape[-1]} dimensions and captions {captions.shape[-1]}; both sides need one space"
            )
        radix = table.space.radix
        place = {key: i for i, key in enumerate(scene_keys(caption_table.compact(), radix))}
        own = np.array(
            [place.get(key, -1) for key in scene_keys(_widened(table, caption_table), radix)], dtype=np.int64
        )
        if not (own >= 0).any():
            raise TableError("no scene has a caption; the two sides must show the same scenes")
        rows = np.flatnonzero(own >= 0)
        some = table if len(rows) == len(table) else table.take(rows)
        swaps = value_swaps(some)
        wide = np.pad(
            swaps.values, ((0, 0), (0, max(caption_table.n_slots - some.n_slots, 0)), (0, 0)), constant_values=-1
        )
        partner = np.array(
            [place.get(key, -1) for key in scene_keys(_front(wide)[:, : caption_table.n_slots], radix)], dtype=np.int64
        )
        there = partner >= 0
        kept = Swaps(swaps.row[there], swaps.concept[there], swaps.slots[there], swaps.values[there])
        mine = scenes if len(rows) == len(table) else scenes[rows]
        return cls(
            unit(mine), some, unit(captions), caption_table, own[rows], kept, partner[there], mine, captions, rows
        )

    @property
    def n_wordings(self) -> int:
        """Number of wordings T."""
        return len(self.captions)

    @cached_property
    def ensemble(self) -> Single:
        """Mean of the wordings of each caption, at unit length, `[S, d]`."""
        return unit(self.captions.mean(axis=0))

    @cached_property
    def swapped_rows(self) -> IntArray:
        """For each swap a row that shows the swapped scene (of the same replicate, if there is one), or -1, `[W]`."""
        table = self.table
        keys = scene_keys(table.values, table.space.radix)
        first: dict[bytes, int] = {}
        exact: dict[tuple[bytes, int], int] = {}
        for i, (key, copy) in enumerate(zip(keys, table.replicate.tolist(), strict=True)):
            first.setdefault(key, i)
            exact.setdefault((key, copy), i)
        wanted = scene_keys(self.swaps.values, table.space.radix)
        copies = table.replicate[self.swaps.row].tolist()
        found = [exact.get((key, copy), first.get(key, -1)) for key, copy in zip(wanted, copies, strict=True)]
        return np.array(found, dtype=np.int64)

    def with_captions(self, captions: NDArray[np.floating]) -> TwoSides:
        """The same scenes with other caption vectors (of any length) in the same order, as a head makes them."""
        return replace(self, captions=unit(captions), raw_captions=captions)

    def restricted(self, rows: BoolArray) -> TwoSides:
        """Some rows of side A with their swaps; all captions stay."""
        index = np.flatnonzero(rows)
        number = np.full(len(self.table), -1)
        number[index] = np.arange(len(index))
        keep = np.asarray(rows[self.swaps.row])
        swaps = self.swaps
        fewer = Swaps(number[swaps.row[keep]], swaps.concept[keep], swaps.slots[keep], swaps.values[keep])
        table = self.table.take(index)
        return replace(
            self,
            scenes=self.scenes[index],
            table=table,
            own=self.own[index],
            swaps=fewer,
            partner=self.partner[keep],
            raw_scenes=self.raw_scenes[index],
            rows=self.rows[index],
        )


def _widened(table: SceneTable, other: SceneTable) -> IntArray:
    """Values with present objects first, in as many slots as the other table has (rows of more objects match nothing)."""
    values = table.compact()
    if table.n_slots < other.n_slots:
        return np.pad(values, ((0, 0), (0, other.n_slots - table.n_slots), (0, 0)), constant_values=-1)
    long = np.asarray((values[:, other.n_slots :] >= 0).any(axis=(1, 2)))
    return np.where(long[:, None, None], -1, values[:, : other.n_slots])


def _front(values: IntArray) -> IntArray:
    absent = (values < 0).all(axis=2)
    return np.take_along_axis(values, np.argsort(absent, axis=1, kind="stable")[:, :, None], axis=1)


def two_sides(embeddings: Embeddings) -> TwoSides | None:
    """Scenes and captions in one frame; None where the model has no second side."""
    captions = embeddings.captions
    if captions is None:
        return None
    return TwoSides.of(embeddings.vectors, embeddings.table, captions.vectors, captions.scenes)
