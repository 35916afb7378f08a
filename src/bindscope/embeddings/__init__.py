"""Embeddings: vectors with the scenes that they show and where they came from; made, kept and read back."""

from __future__ import annotations

from bindscope.embeddings.artefact import CaptionVectors, Embeddings, Queries, load_embeddings, save_embeddings
from bindscope.embeddings.encoding import embed
from bindscope.files import default_cache

__all__ = [
    "CaptionVectors",
    "Embeddings",
    "Queries",
    "default_cache",
    "embed",
    "load_embeddings",
    "save_embeddings",
]
