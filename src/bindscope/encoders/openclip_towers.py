"""The towers of open_clip's models: its own tokenizers and transforms, and causal text towers without the padding."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np

from bindscope.concepts import IntArray
from bindscope.encoders.base import Crop, Settings
from bindscope.encoders.prefixes import Layer, PrefixTree, run_layers
from bindscope.encoders.reading import TextReading, read_by_tokenizer
from bindscope.encoders.towers import ImageTower, TextTower
from bindscope.errors import StoreError


class ClipTexts(TextTower):
    """The text tower. With causal attention nothing after the end token reaches the vector, so it is cut off."""

    def __init__(self, model: Any, name: str, architecture: str, device: str, settings: Settings) -> None:
        self.model, self.name, self.architecture, self.device = model, name, architecture, device
        self.prompt, self.batch_size = settings.prompt, settings.batch_size
        own = hasattr(model, "token_embedding")
        self.tower = model if own else model.text
        self.pool = getattr(self.tower, "text_pool_type" if own else "pool_type", None)
        self.end = getattr(self.tower, "text_eos_id" if own else "eos_id", None)
        causal = getattr(self.tower, "attn_mask", None) is not None
        self.cut = causal and self.pool in ("argmax", "eos") and getattr(self.tower, "cls_emb", None) is None
        self.shares = self.cut and all(map(_is_plain, self.tower.transformer.resblocks))

    @cached_property
    def tokenizer(self) -> Any:
        """open_clip's tokenizer of the architecture."""
        import open_clip

        try:
            with quiet():
                return open_clip.get_tokenizer(self.architecture)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0][:160]
            raise StoreError(
                f"{self.name}: its tokenizer is not in the local cache ({reason}); fetch it beforehand with `hf download`"
            ) from error

    def tokens(self, texts: list[str]) -> tuple[Any, IntArray]:
        """Token ids `[n, context]`, and the place after the end token."""
        ids = self.tokenizer(texts)
        if not self.cut:
            return ids, np.full(len(texts), ids.shape[1], dtype=np.int64)
        ends = self._ends(ids).numpy() + 1
        return ids, np.asarray(ends, dtype=np.int64)

    def reading(self, texts: list[str]) -> TextReading:
        """What becomes of texts."""
        limit = int(self.tokenizer.context_length)
        inner = getattr(self.tokenizer, "tokenizer", None)
        if inner is not None:  # one of the library transformers
            return read_by_tokenizer(inner, [self.tokenizer.clean_fn(text) for text in texts], limit)
        keys = tuple(row.tobytes() for row in self.tokenizer(texts).numpy()) if texts else ()
        return TextReading(keys, tuple(len(self.tokenizer.encode(text)) + 2 > limit for text in texts), limit)

    def run(self, tokens: Any, rows: IntArray, length: int | None) -> Any:
        """Vectors of some rows."""
        batch = tokens[rows].to(self.device)
        if length is None:
            return self.model.encode_text(batch)
        return self._run_tree(batch[:, :length]) if self.shares else self._run_cut(batch[:, :length])

    def ids(self, tokens: Any) -> IntArray:
        """The tokens themselves."""
        return np.asarray(tokens.numpy())

    def _run_cut(self, ids: Any) -> Any:
        import torch

        tower, length = self.tower, ids.shape[1]
        dtype = tower.transformer.get_cast_dtype()
        states = tower.token_embedding(ids).to(dtype) + tower.positional_embedding[:length].to(dtype)
        states = tower.ln_final(tower.transformer(states, attn_mask=tower.attn_mask[:length, :length]))
        return self._projected(states[torch.arange(len(ids), device=ids.device), self._ends(ids)])

    def _run_tree(self, ids: Any) -> Any:
        import torch

        tower, rows = self.tower, ids.cpu().numpy()
        tree = PrefixTree.of(rows, self._ends(ids).cpu().numpy() + 1)
        dtype = tower.transformer.get_cast_dtype()
        tokens, places, leaves = (torch.from_numpy(x).to(ids.device) for x in (tree.tokens, tree.places, tree.leaves))
        states = tower.token_embedding(tokens).to(dtype) + tower.positional_embedding[places].to(dtype)
        states = run_layers(states, tree, [_layer(block) for block in tower.transformer.resblocks])
        return self._projected(tower.ln_final(states[leaves]))

    def _ends(self, ids: Any) -> Any:
        return ids.argmax(dim=1) if self.pool == "argmax" else (ids == self.end).int().argmax(dim=1)

    def _projected(self, pooled: Any) -> Any:
        import torch

        projection = self.tower.text_projection
        if projection is None:
            return pooled
        return projection(pooled) if isinstance(projection, torch.nn.Linear) else pooled @ projection

    def record(self) -> dict[str, Any]:
        """Tokenizer, padding, pooling."""
        return {
            "pooling": f"{self.pool or 'own'} token, projected",
            "tokenizer": type(self.tokenizer).__name__,
            "max_length": getattr(self.tokenizer, "context_length", None),
            "padding": "cut off after the end token (causal attention)" if self.cut else "to the full length",
            "shared_beginnings": "computed once" if self.shares else "computed for each text",
            "prompt": self.prompt,
        }


class ClipImages(ImageTower):
    """The image tower, behind open_clip's own evaluation transform."""

    def __init__(self, model: Any, name: str, architecture: str, device: str, settings: Settings) -> None:
        self.model, self.name, self.architecture, self.device = model, name, architecture, device
        self.batch_size = settings.batch_size

    @cached_property
    def transform(self) -> Any:
        """From a pillow image to pixels `[3, height, width]`."""
        from open_clip.transform import PreprocessCfg, image_transform_v2

        return image_transform_v2(PreprocessCfg(**self.model.visual.preprocess_cfg), is_train=False)

    def pixels(self, images: list[Any]) -> Any:
        """Pixels `[b, 3, height, width]`."""
        import torch

        return torch.stack([self.transform(image) for image in images])

    def run(self, pixels: Any) -> Any:
        """Vectors of prepared images."""
        return self.model.encode_image(pixels.to(self.device, next(self.model.parameters()).dtype))

    def crop(self) -> Crop | None:
        """The middle of the scaled picture, where the transform scales the shorter side."""
        settings = self.model.visual.preprocess_cfg
        size = settings["size"]
        height, width = (size, size) if isinstance(size, int) else size
        return Crop(min(height, width), (width, height)) if settings.get("resize_mode") == "shortest" else None

    def record(self) -> dict[str, Any]:
        """Preprocessing and pooling."""
        settings = {key: list(v) if isinstance(v, tuple) else v for key, v in self.model.visual.preprocess_cfg.items()}
        pooling = getattr(self.model.visual, "pool_type", type(self.model.visual).__name__)
        return {"pooling": f"{pooling}, projected", "processor": settings}


@contextmanager
def quiet() -> Iterator[None]:
    """Without open_clip's lines on the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def _is_plain(block: Any) -> bool:
    """Whether a block is open_clip's usual one, which `_layer` knows."""
    return type(block).__name__ == "ResidualAttentionBlock" and not hasattr(block, "ln_1_kv")


def _layer(block: Any) -> Layer:
    from torch.nn.functional import linear

    attention = block.attn

    def project(states: Any) -> tuple[Any, Any, Any]:
        all_three = linear(block.ln_1(states), attention.in_proj_weight, attention.in_proj_bias)
        query, key, value = all_three.chunk(3, dim=-1)
        return query, key, value

    return Layer(
        project,
        attention.num_heads,
        lambda mixed: block.ls_1(attention.out_proj(mixed)),
        lambda states: block.ls_2(block.mlp(block.ln_2(states))),
    )
