"""Heads as files: safetensors with a loader, and a module for sentence-transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.crossmodal.heads import HEADS, Head
from bindscope.embeddings.tensors import read_tensors, write_tensors
from bindscope.errors import StoreError


def save_head(head: Head, path: str | Path) -> None:
    """Write a head as one safetensors file; raises StoreError."""
    record = {"head": head.kind, "dim": head.dim, "penalty": head.penalty, "loss": list(head.loss)}
    weights = {name: np.asarray(weight, dtype=np.float32) for name, weight in head.weights.items()}
    write_tensors(Path(path), {**weights, "dim": np.array([head.dim], dtype=np.int64)}, record)


def load_head(path: str | Path) -> Head:
    """Read what `save_head` wrote; raises StoreError where it is missing, damaged or no head."""
    arrays, record = read_tensors(Path(path))
    if record.get("head") not in HEADS:
        raise StoreError(f"{path} is no head of bindscope; make one with `bindscope repair`")
    weights = {name: array for name, array in arrays.items() if name != "dim"}
    low, high = record["loss"]
    return Head(record["head"], weights, int(record["dim"]), float(record["penalty"]), (low, high))


def save_sentence_module(head: Head, directory: str | Path) -> None:
    """Write the directory that `HeadModule.load` reads: head.safetensors and config.json. Needs no torch."""
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config: dict[str, Any] = {"head": head.kind, "dim": head.dim}
        (folder / "config.json").write_text(json.dumps(config) + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {folder}: {error.strerror or error}") from error
    save_head(head, folder / "head.safetensors")
