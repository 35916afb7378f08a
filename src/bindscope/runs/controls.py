"""What a trained read-out finds without the model: in the raw input, and in the same network before any training.

A read-out of many weights reads a lot from any vector that keeps its input. Both controls stand beside every figure of the
probes as chance and ceiling do: what the model does not add to them is not the model's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bindscope.datasets import Dataset
from bindscope.datasets.items import Items
from bindscope.embeddings import embed
from bindscope.encoders.base import Encoder, Vectors

MAX_ROWS = 20_000  # of a table: above, the controls would cost more than the answer
MAX_WORDS = 2_000  # words and pairs of words that are counted
SIDE = 16  # pixels
RAW, UNTRAINED = "raw input", "untrained network"


def controls(encoder: Encoder, dataset: Dataset, seed: int = 0, cache: Path | None = None) -> dict[str, Vectors]:
    """Vectors `[n, d]` of each control by name; empty for tables of more than 20,000 rows.

    `raw input`: 16 x 16 pixels, or counts of words and of pairs of neighbouring words; none for bare labels. `untrained
    network`: the encoder's architecture at random initialisation, where the encoder can give it.
    """
    if len(dataset.table) > MAX_ROWS:
        return {}
    found: dict[str, Vectors] = {}
    raw = raw_input(dataset.items)
    if raw is not None:
        found[RAW] = raw
    twin = encoder.untrained(seed)
    if twin is not None:
        found[UNTRAINED] = embed(twin, dataset, cache=cache).vectors
    return found


def raw_input(items: Items) -> Vectors | None:
    """What goes into the model, as plain numbers `[n, d]`; None where there is neither text nor image."""
    if items.images is not None:
        return _pixels(items.images)
    if items.texts is not None:
        return _word_counts(items.texts)
    return None


def _word_counts(texts: tuple[str, ...]) -> Vectors:
    from sklearn.feature_extraction.text import CountVectorizer

    counted = CountVectorizer(ngram_range=(1, 2), max_features=MAX_WORDS, token_pattern=r"(?u)\S+")
    try:
        return np.asarray(counted.fit_transform(texts).toarray(), dtype=np.float32)
    except ValueError:  # no text has a word
        return np.zeros((len(texts), 1), dtype=np.float32)


def _pixels(images: tuple[Path, ...]) -> Vectors | None:
    try:
        from PIL import Image
    except ImportError:
        return None
    rows = []
    for path in images:
        with Image.open(path) as image:
            small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
        rows.append(np.asarray(small, dtype=np.float32).reshape(-1) / 255.0)
    return np.stack(rows)
