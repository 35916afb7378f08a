"""Vectors of the captions and pictures of hard-negative pairs, through the same cache as those of scenes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.concepts import ConceptSpace
from bindscope.datasets.items import Dataset, Items, query_items
from bindscope.datasets.pairs import PairSet
from bindscope.embeddings.encoding import Cache, CaptionSide, encode_rows, progress_bar, tell, watch
from bindscope.embeddings.seen import Witnesses, look_at_items
from bindscope.encoders.base import Encoder, Vectors
from bindscope.errors import InputError, VectorsError
from bindscope.scenes import SceneTable


@dataclass(frozen=True, eq=False)
class PairVectors:
    """Vectors `[T, d]` of the texts of a PairSet and `[I, d]` of its pictures, None where the model sees none of them."""

    texts: Vectors
    images: Vectors | None = None
    fidelity: dict[str, Any] = field(default_factory=dict)
    model: str = ""

    def __post_init__(self) -> None:
        if self.images is not None and self.images.shape[1] != self.texts.shape[1]:
            raise VectorsError(
                f"{self.model}: pictures have {self.images.shape[1]} dimensions, captions {self.texts.shape[1]}; they must "
                "share a space"
            )
        low, high = self.texts.min(axis=0), self.texts.max(axis=0)
        if (low == high).all() and len(self.texts) > 1:
            raise VectorsError(
                f"{self.model}: the vectors of all {len(self.texts)} captions are equal; check the encoder"
            )
        for name, array in (("captions", self.texts), ("pictures", self.images)):
            if array is not None and not np.abs(array).max(axis=1).all():
                row = int(np.flatnonzero(np.abs(array).max(axis=1) == 0)[0])
                raise VectorsError(
                    f"{self.model}: the vector of number {row} of the {name} is zero, so it has no cosine"
                )


def embed_pairs(
    encoder: Encoder,
    pairs: PairSet,
    *,
    cache: Path | None = None,
    batch_size: int | None = None,
    progress: bool = False,
) -> PairVectors:
    """Encode all captions, and all pictures where the model sees them.

    Captions go through the encoder's caption side where pictures are compared with them, else through the side of scenes
    (documents of an asymmetric model). Raises InputError where the model can answer none of the items.
    """
    seen = "image" in encoder.modalities and pairs.has_images
    _refuse_speechless(encoder, pairs, seen)
    texts = Items(_nothing(len(pairs.texts)), np.arange(len(pairs.texts)), "caption" if seen else "scene", pairs.texts)
    images = None
    if seen:
        shown = Items(_nothing(len(pairs.images)), np.arange(len(pairs.images)), "scene", images=pairs.images)
        ready = encoder.prepare(_stand_in(pairs, "image", shown))
        if ready.captions == "none" or ready.encode_captions(texts.take(slice(0, 1))) is None:
            raise InputError(f"{encoder.name} reads pictures and no captions; choose a model with both sides")
        images = _encoded(ready, _stand_in(pairs, "image", shown), cache, batch_size, progress)
        side: Encoder = CaptionSide(ready)
    else:
        side = encoder.prepare(_stand_in(pairs, "text", texts))
    vectors = _encoded(side, _stand_in(pairs, "text", texts), cache, batch_size, progress)
    return PairVectors(vectors, images, side.fidelity(), encoder.name)


def _refuse_speechless(encoder: Encoder, pairs: PairSet, seen: bool) -> None:
    if not encoder.reads_inputs:
        raise InputError(
            f"{encoder.name} makes vectors of concept values and cannot read captions; choose a model that reads text, e.g. st:"
        )
    if not seen and "text" not in encoder.modalities:
        raise InputError(f"{encoder.name} reads no text, and {pairs.name} has no pictures here; choose another model")
    if not seen and not pairs.has_wordings:
        blind = f"needs pictures, which {encoder.name} does not see,"
        why = blind if pairs.has_images else "has no pictures here (give ?images=DIR)"
        raise InputError(f"{pairs.name} {why} and no other wordings (caption2), so nothing asks for the right caption")


def _encoded(encoder: Encoder, data: Dataset, cache: Path | None, batch_size: int | None, progress: bool) -> Vectors:
    store, watching = None, None
    side = "captions" if data.modality == "text" else "pictures"
    if encoder.cacheable and len(data.items):
        record = encoder.fidelity()
        witnesses = Witnesses(encoder, data.items, record)
        witnesses.ask_again(encoder)
        watching = watch(witnesses, encoder.name)
        code = {"code_sha256": encoder.code} if encoder.code else {}
        fidelity = {**record, **code, "fingerprint": witnesses.fingerprint()}
        identity = {"encoder": fidelity, "pairs": data.digest, "side": side, "batch_size": batch_size}
        store = Cache.open(cache, identity) if cache is not None else None
    with progress_bar(progress, encoder.name, len(data.items)) as report:
        vectors = encode_rows(encoder, data.items, store, batch_size, report, watching)
    tell(encoder.name, look_at_items(encoder, data.items, side))
    return vectors


def _nothing(n: int) -> Any:
    """Value indices of items that no concept describes."""
    return np.zeros((n, 1, 1), dtype=np.int64)


def _stand_in(pairs: PairSet, modality: str, items: Items) -> Dataset:
    """What encoders are prepared with: the items, over a concept space that says nothing about them."""
    table = SceneTable.build(ConceptSpace.of([("caption", ["right", "wrong"])]), [[[0]], [[1]]])
    objects, values = query_items(table)
    return Dataset(pairs.name, modality, table, items, objects, values, digest=f"{pairs.digest}, {modality}")
