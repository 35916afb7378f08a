"""What an encoder is: items in, one float32 vector each out."""

from __future__ import annotations

import hashlib
import platform
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.datasets.items import Dataset, Items
from bindscope.encoders.reading import TextReading
from bindscope.errors import StoreError, VectorsError

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Settings:
    """What the caller says about an encoder beside its name; None leaves the choice to the encoder."""

    device: str | None = None
    batch_size: int | None = None
    prompt: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Crop:
    """Scaling of a picture and the middle that is cut out of it, in pixels.

    shortest: length that the shorter side is scaled to (None: it is not scaled). window: width and height of the middle.
    """

    shortest: float | None
    window: tuple[int, int]

    def lost(self, width: int, height: int) -> tuple[float, float]:
        """Shares of width and height that the model does not see, in 0..1.

        >>> Crop(224, (224, 224)).lost(448, 224)
        (0.5, 0.0)
        """
        factor = 1.0 if self.shortest is None else self.shortest / min(width, height)
        across, down = self.window
        return max(0.0, 1.0 - across / (width * factor)), max(0.0, 1.0 - down / (height * factor))


class Encoder(ABC):
    """Turns items into vectors. To write one's own, give `encode` and `fidelity`, and set the class attributes.

    name: as the user typed it. modalities: which data sets it can read ("text", "image", "labels"). has_queries:
    whether `encode_queries` gives vectors. captions: which captions it can encode: "any", those of "rows" that it holds,
    or "none". cacheable: False where encoding costs less than reading a cache. notes: what a reader of its vectors must
    know (after `prepare`). reads_inputs: False where vectors come from the value indices of scenes, so that free text or a
    photograph says nothing to it. precomputed: whether its vectors were made elsewhere. opens_files: whether it opens picture
    files by itself, without `read_image`. code: digest of the user's code that made it.
    """

    name: str = ""
    modalities: frozenset[str] = frozenset({"text"})
    has_queries: bool = True
    captions: str = "any"
    cacheable: bool = True
    notes: tuple[str, ...] = ()
    reads_inputs: bool = True
    precomputed: bool = False
    opens_files: bool = False
    code: str = ""

    def prepare(self, dataset: Dataset) -> Encoder:
        """The encoder for one data set, whose concept space it may need; by default itself."""
        return self

    @abstractmethod
    def encode(self, items: Items) -> Vectors:
        """Vectors `[n, d]` of scenes. A row must not depend on the other rows beyond rounding."""

    def encode_queries(self, items: Items) -> Vectors | None:
        """Vectors `[n, d]` of object or value queries in the space of the scenes; None where there are none."""
        return self.encode(items) if self.has_queries else None

    def encode_captions(self, items: Items) -> Vectors | None:
        """Vectors `[n, d]` of captions of whole scenes, by the side that also encodes queries; None where there is none."""
        return self.encode_queries(items)

    def untrained(self, seed: int = 0) -> Encoder | None:
        """The same architecture at random initialisation, as a control; None where the encoder cannot give it."""
        return None

    @abstractmethod
    def fidelity(self) -> dict[str, Any]:
        """All that pins down the vectors, as JSON-able values."""

    def text_reading(self, items: Items) -> TextReading | None:
        """What the model reads of the texts of items; None where only the encoder itself knows."""
        return None

    def crop(self) -> Crop | None:
        """What the model's preprocessing cuts off pictures; None where it cuts nothing, or only the encoder knows."""
        return None

    def remarks(self) -> dict[str, str]:
        """What the user should know of this model beside its vectors, by a word: part of what the model saw."""
        return {}


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes; raises StoreError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error


def score_remark(declared: str) -> str:
    """What to say where a model declares another score function than the cosine, which all figures here are of."""
    return f"the model declares the score function {declared}, and scores here are cosines: lengths of vectors are not used"


def library_versions(*names: str) -> dict[str, str]:
    """Versions of Python and of some installed distributions."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


def checked_vectors(vectors: Any, n_rows: int, label: str, first_row: int = 0) -> Vectors:
    """The vectors as float32 `[n_rows, d]`; raises VectorsError where shape or numbers are wrong.

    Tensors of torch may require gradients, lie on any device and have any number format. first_row: number of the first
    row, for messages.
    """
    try:
        array = np.asarray(_without_torch(vectors))
        numeric = array.dtype.kind in "fiub"
    except (TypeError, ValueError, RuntimeError) as error:
        raise VectorsError(f"{label}: expected an array of numbers, got {type(vectors).__name__} ({error})") from error
    if not numeric:
        raise VectorsError(f"{label}: expected an array of numbers, got dtype {array.dtype}")
    if array.ndim != 2 or len(array) != n_rows or not array.shape[1]:
        raise VectorsError(f"{label}: expected vectors of shape [{n_rows}, d], got {list(array.shape)}")
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(array, dtype=np.float32)
    refuse_non_finite(single, label, first_row)
    return single


def _without_torch(vectors: Any) -> Any:
    """Tensors, alone or in a list, as numpy arrays."""
    if isinstance(vectors, (list, tuple)) and any(hasattr(row, "detach") for row in vectors):
        return [_without_torch(row) for row in vectors]
    if not hasattr(vectors, "detach"):
        return vectors
    plain = vectors.detach().cpu()
    return (plain.float() if plain.is_floating_point() else plain).numpy()


LARGEST = 1e15  # beyond it squares leave single precision


def refuse_non_finite(vectors: Vectors, label: str, first_row: int = 0) -> None:
    """Raise VectorsError that names the first row with NaN, infinite or hugely large numbers."""
    with np.errstate(invalid="ignore", over="ignore"):
        good = np.isfinite(vectors.sum(axis=1, dtype=np.float64))
        large = np.flatnonzero(good & (np.abs(vectors).max(axis=1, initial=0.0) > LARGEST))
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        what = "NaN" if np.isnan(vectors[row]).any() else "infinite numbers"
        raise VectorsError(
            f"{label}: row {row + first_row} holds {what} ({int((~good).sum())} such rows); leave those rows out of "
            "vectors and labels, or mend the encoder"
        )
    if len(large):
        worst = float(np.abs(vectors[large[0]]).max())
        raise VectorsError(
            f"{label}: row {int(large[0]) + first_row} holds a number as large as {worst:.1e}, expected at most "
            f"{LARGEST:.0e}; scale the vectors down"
        )
