"""A head as a module of sentence-transformers: `SentenceTransformer(modules=[*model, sentence_module(head)])`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from sentence_transformers.sentence_transformer.modules import Module
from torch.nn import functional

from bindscope.analyses.crossmodal.heads import Head, load_head, save_sentence_module


class HeadModule(Module):  # type: ignore[misc]
    """Applies a head to `sentence_embedding`; the weights stay fixed."""

    config_keys: ClassVar[list[str]] = []

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head
        for name, weight in head.weights.items():
            self.register_buffer(name, torch.from_numpy(weight.astype("float32")))

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Unit vectors behind the head."""
        t = functional.normalize(features["sentence_embedding"], dim=-1)
        features["sentence_embedding"] = functional.normalize(t + self.change(t), dim=-1)
        return features

    def change(self, t: torch.Tensor) -> torch.Tensor:
        """What the head adds."""
        weights: dict[str, torch.Tensor] = dict(self.named_buffers())
        if self.head.kind == "none":
            return torch.zeros_like(t)
        if self.head.kind == "linear":
            return t @ weights["m"].to(t)
        left = t @ weights["p"].to(t)
        if self.head.kind == "multiplicative":
            left = left * (t @ weights["r"].to(t))
        return left @ weights["q"].to(t)

    def get_sentence_embedding_dimension(self) -> int:
        """Dimensions of the vectors."""
        return self.head.dim

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Write the head into a directory."""
        save_sentence_module(self.head, output_path)

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **kwargs: Any) -> HeadModule:
        """Read a head from a directory on disk."""
        return cls(load_head(Path(model_name_or_path) / subfolder / "head.safetensors"))
