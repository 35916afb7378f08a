"""Encoders with an image tower, a text tower or both: which tower reads what, and how texts go through in batches."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.concepts import IntArray
from bindscope.datasets.items import Dataset, Items
from bindscope.encoders.base import Crop, Encoder, Vectors, checked_vectors
from bindscope.encoders.compute import by_length, inference
from bindscope.encoders.pictures import READING, paths_of, prepared
from bindscope.encoders.reading import TextReading
from bindscope.errors import InputError

TEXT_BATCH, SHARED_BATCH, IMAGE_BATCH = 256, 1024, 32


class TextTower(ABC):
    """Texts to vectors.

    prompt: put before every text. cut: whether padding may be left out of a batch. shares: whether beginnings that
    texts of a batch have in common are computed once.
    """

    name: str
    prompt: str | None = None
    batch_size: int | None = None
    cut = True
    shares = False

    @abstractmethod
    def tokens(self, texts: list[str]) -> tuple[Any, IntArray]:
        """Token arrays of all texts, padded to one length, and the number of tokens `[n]` that each text needs."""

    @abstractmethod
    def run(self, tokens: Any, rows: IntArray, length: int | None) -> Any:
        """Vectors (a torch tensor `[b, d]`) of some rows, cut to a length (None: as they are padded)."""

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """What pins the tower down, for the fidelity record."""

    @abstractmethod
    def reading(self, texts: list[str]) -> TextReading:
        """What becomes of texts, prompt and all."""

    def worded(self, texts: Sequence[str]) -> list[str]:
        """Texts behind the prompt."""
        return [(self.prompt or "") + text for text in texts]

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Vectors `[n, d]`, in batches of texts of nearly one length."""
        tokens, lengths = self.tokens(self.worded(texts))
        out: Vectors | None = None
        with inference(self.name):
            for rows, found in self._batches(tokens, lengths):
                out = np.empty((len(texts), found.shape[1]), dtype=np.float32) if out is None else out
                out[rows] = found
        return np.empty((0, 0), dtype=np.float32) if out is None else out

    @abstractmethod
    def ids(self, tokens: Any) -> IntArray:
        """Token ids `[n, length]` among the arrays of `tokens`."""

    def _rows(self, tokens: Any, lengths: IntArray) -> Iterator[IntArray]:
        """Rows in batches: in order of their tokens where beginnings are shared, else of nearly one length."""
        if not self.shares:
            yield from by_length(lengths.tolist(), self.batch_size or TEXT_BATCH)
            return
        order = np.lexsort(self.ids(tokens).T[::-1])
        step = self.batch_size or SHARED_BATCH
        yield from (order[start : start + step] for start in range(0, len(order), step))

    def _batches(self, tokens: Any, lengths: IntArray) -> Iterator[tuple[IntArray, Vectors]]:
        for rows in self._rows(tokens, lengths):
            length = int(lengths[rows].max()) if self.cut else None
            yield rows, self.run(tokens, rows, length).float().cpu().numpy()


class ImageTower(ABC):
    """Image files to vectors."""

    name: str
    batch_size: int | None = None

    @abstractmethod
    def pixels(self, images: list[Any]) -> Any:
        """What the model reads, from pillow images in RGB; runs in a thread ahead of the model."""

    @abstractmethod
    def run(self, pixels: Any) -> Any:
        """Vectors (a torch tensor `[b, d]`) of prepared images."""

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """What pins the tower down, for the fidelity record."""

    def crop(self) -> Crop | None:
        """What preprocessing cuts off; None where it cuts nothing or does not say."""
        return None

    def encode(self, paths: Sequence[Path]) -> Vectors:
        """Vectors `[n, d]`, in full batches."""
        with inference(self.name):
            batches = prepared(paths, self.batch_size or IMAGE_BATCH, self.pixels)
            parts = [self.run(pixels).float().cpu().numpy() for pixels in batches]
        return np.concatenate(parts) if parts else np.empty((0, 0), dtype=np.float32)


class TowerEncoder(Encoder):
    """Scenes by the tower that fits their modality, queries by the text tower.

    shared: whether both towers end in one space; if not, image data has no queries. remarks: what its loader found. twin: makes
    the same encoder with weights drawn by a seed.
    """

    def __init__(
        self,
        name: str,
        text: TextTower | None,
        image: ImageTower | None,
        facts: dict[str, Any],
        shared: bool = True,
        remarks: Mapping[str, str] | None = None,
        twin: Callable[[int], Encoder] | None = None,
    ) -> None:
        self.name, self.text, self.image, self.facts, self.shared = name, text, image, facts, shared
        self.found, self.twin = remarks or {}, twin
        self.modalities = frozenset(word for word, tower in (("text", text), ("image", image)) if tower is not None)
        self.has_queries = text is not None
        self.modality: str | None = None

    def prepare(self, dataset: Dataset) -> Encoder:
        """The encoder with the queries that it has for such data."""
        ready = copy.copy(self)
        ready.modality = dataset.modality
        ready.has_queries = self.text is not None and (dataset.modality == "text" or self.shared)
        return ready

    def encode(self, items: Items) -> Vectors:
        """Vectors `[n, d]`: of the images where items have some and the model reads them, else of the texts."""
        if self.image is not None and self._reads_pictures(items):
            return checked_vectors(self.image.encode(paths_of(items, self.name)), len(items), self.name)
        return self._of_texts(items)

    def _reads_pictures(self, items: Items) -> bool:
        return self.modality != "text" and (items.images is not None or self.text is None)

    def encode_queries(self, items: Items) -> Vectors | None:
        """Vectors `[n, d]` of the texts of queries."""
        return self._of_texts(items) if self.has_queries else None

    def _of_texts(self, items: Items) -> Vectors:
        if items.texts is None or self.text is None:
            reads, has = ("text", "none") if self.text is not None else ("images", "texts only")
            raise InputError(f"{self.name} reads {reads} and these {items.kind} items have {has}; choose other data")
        return checked_vectors(self.text.encode(items.texts), len(items), self.name)

    def untrained(self, seed: int = 0) -> Encoder | None:
        """The same towers with weights drawn anew."""
        return None if self.twin is None else self.twin(seed)

    def fidelity(self) -> dict[str, Any]:
        """Facts of the model, and of the towers that the data needs."""
        record: dict[str, Any] = {"encoder": self.name, **self.facts}
        if self.image is not None and self.modality != "text":
            record["image"] = {**self.image.record(), "reading": READING}
        if self.text is not None and (self.modality != "image" or self.has_queries):
            record["text"] = self.text.record()
        return record

    def text_reading(self, items: Items) -> TextReading | None:
        """What the text tower reads of items that have no pictures."""
        if self.text is None or items.texts is None or (items.kind == "scene" and self._reads_pictures(items)):
            return None
        return self.text.reading(self.text.worded(items.texts))

    def crop(self) -> Crop | None:
        """What the image tower's preprocessing cuts off."""
        return None if self.image is None else self.image.crop()

    def remarks(self) -> dict[str, str]:
        """What the loader found."""
        return dict(self.found)
