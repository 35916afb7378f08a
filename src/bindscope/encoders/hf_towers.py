"""The towers of transformers' models: tokens and pixels by the model's own processor, and how tokens are pooled."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.concepts import IntArray
from bindscope.encoders.base import Crop, Settings
from bindscope.encoders.hf_clip import can_share, shared_features
from bindscope.encoders.reading import TextReading, read_by_tokenizer, refuse_without_files
from bindscope.encoders.sentence_head import SentenceHead, apply_steps
from bindscope.encoders.towers import ImageTower, TextTower
from bindscope.errors import InputError, StoreError

POOLINGS = ("model", "pooler", "cls", "mean", "last")
MEANING = {
    "features": "the model's own features: pooled and projected into the space that both towers share",
    "pooler": "the model's pooler_output",
    "cls": "hidden state of the first token",
    "mean": "mean of the hidden states of all tokens that are not padding",
    "patches": "mean of the hidden states of the patches, class and register tokens left out",
    "last": "hidden state of the last token that is not padding",
}
# Text towers whose pooler is part of the contrastive model; other text encoders are pooled by the mean.
POOLED_TEXT = ("clip_text_model", "siglip_text_model", "siglip2_text_model", "metaclip_2_text_model")
SETTINGS_SHOWN = (
    "size crop_size resample image_mean image_std do_resize do_center_crop do_rescale rescale_factor do_normalize "
    "do_convert_rgb patch_size max_num_patches do_pad crop_pct"
).split()


@dataclass(frozen=True)
class Network:
    """A loaded model. pooling: one of POOLINGS. has_pooler: whether the checkpoint held the pooler's weights.

    head: what a sentence-transformers directory puts behind the network's texts.
    """

    model: Any
    config: Any
    directory: Path
    name: str
    pooling: str
    device: str
    has_pooler: bool
    head: SentenceHead | None = None

    @property
    def dual(self) -> bool:
        """Whether the model has two towers that end in one space."""
        return hasattr(self.model, "get_text_features") and hasattr(self.model, "get_image_features")

    @property
    def reads_text(self) -> bool:
        """Whether there is a text tower."""
        return self.dual or getattr(self.model, "main_input_name", "") == "input_ids"

    @property
    def reads_images(self) -> bool:
        """Whether there is an image tower."""
        return self.dual or getattr(self.model, "main_input_name", "") == "pixel_values"

    @property
    def fixed_padding(self) -> bool:
        """SigLIP reads its padding: trained on texts of a fixed length, without a mask, pooled at the last place."""
        return str(self.config.model_type).startswith("siglip")

    def part(self, side: str) -> Any:
        """The model of one side ("text" or "vision")."""
        if not self.dual:
            return self.model
        part = getattr(self.model, f"{side}_model", None)
        if part is None:
            raise InputError(f"{self.name}: its {side} tower has no hidden states to pool; leave ?pooling out")
        return part

    def side_config(self, side: str) -> Any:
        """The configuration of one side."""
        return getattr(self.config, f"{side}_config", None) or self.config

    def pooler_of(self, output: Any) -> Any:
        """pooler_output; raises InputError where there is none, or where its weights were drawn at random."""
        pooled = getattr(output, "pooler_output", None)
        if pooled is None or not self.has_pooler:
            reason = "the checkpoint has no weights for it" if pooled is not None else "the model has none"
            raise InputError(f"{self.name}: no pooler_output ({reason}); use ?pooling=cls or ?pooling=mean")
        return pooled.flatten(1)


class HubTexts(TextTower):
    """The text side of a model."""

    def __init__(self, network: Network, settings: Settings) -> None:
        self.network, self.name = network, network.name
        self.prompt, self.batch_size = settings.prompt, settings.batch_size
        self.cut = not network.fixed_padding

    @cached_property
    def pooling(self) -> str:
        """How tokens become a vector: a key of MEANING."""
        if self.network.pooling != "model":
            return self.network.pooling
        if self.network.dual:
            return "features"
        return "pooler" if self.network.config.model_type in POOLED_TEXT else "mean"

    @cached_property
    def tokenizer(self) -> Any:
        """The model's own tokenizer; one without a padding token pads with its end token, which is masked."""
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(self.network.directory, trust_remote_code=False)
        except Exception as error:  # whatever a damaged file makes the library raise
            raise _no_processor(self.name, "tokenizer", "tokenizer.json", error) from error
        refuse_without_files(tokenizer, self.network.directory, self.name)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        if tokenizer.pad_token is None:
            raise InputError(
                f"{self.name}: its tokenizer has no padding, end or unknown token, so texts cannot be batched"
            )
        return tokenizer

    @cached_property
    def limit(self) -> int:
        """Longest text in tokens."""
        places = getattr(self.network.side_config("text"), "max_position_embeddings", None)
        offset = 2 if self.network.config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet") else 0
        own = (self.network.head and self.network.head.max_length) or 8192
        return int(min(self.tokenizer.model_max_length, places - offset if places else 512, own, 8192))

    @cached_property
    def lowered(self) -> bool:
        """Whether texts are lower-cased here: SigLIP was trained on lower case, and not every tokenizer of it does so."""
        return self.network.fixed_padding and self._ids("A Red CUBE") != self._ids("a red cube")

    def tokens(self, texts: list[str]) -> tuple[Any, IntArray]:
        """Arrays of the tokenizer, padded on its own side."""
        found = self.tokenizer(
            self._cased(texts),
            padding="max_length" if self.network.fixed_padding else "longest",
            truncation=True,
            max_length=self.limit,
            return_attention_mask=True,
            return_tensors="np",
        )
        arrays = {key: np.asarray(array) for key, array in found.items()}
        lengths = np.asarray(arrays["attention_mask"].sum(axis=1), dtype=np.int64)
        return arrays, np.maximum(lengths, 1)

    def reading(self, texts: list[str]) -> TextReading:
        """What becomes of texts."""
        return read_by_tokenizer(self.tokenizer, self._cased(texts), self.limit)

    def _cased(self, texts: list[str]) -> list[str]:
        return [text.lower() for text in texts] if self.lowered else texts

    def ids(self, tokens: dict[str, Any]) -> IntArray:
        """The array input_ids."""
        return np.asarray(tokens["input_ids"])

    @cached_property
    def shares(self) -> bool:  # type: ignore[override]
        """Whether the tower is one that can compute shared beginnings once."""
        return self.pooling == "features" and can_share(self.network.model, self.tokenizer.padding_side)

    def run(self, tokens: dict[str, Any], rows: IntArray, length: int | None) -> Any:
        """Vectors of some rows."""
        found = self._run(tokens, rows, length)
        return found if self.network.head is None else apply_steps(self.network.head.steps, found)

    def _run(self, tokens: dict[str, Any], rows: IntArray, length: int | None) -> Any:
        import torch

        left = self.tokenizer.padding_side == "left"
        window = slice(None) if length is None else slice(-length, None) if left else slice(length)
        device = self.network.device
        batch = {key: torch.from_numpy(array[rows, window].copy()).to(device) for key, array in tokens.items()}
        if self.shares:
            return shared_features(self.network.model, batch["input_ids"])
        mask = batch["attention_mask"]
        if "attention_mask" not in self.tokenizer.model_input_names:
            del batch["attention_mask"]
        if self.pooling == "features":
            return features(_call(self.network.model.get_text_features, batch))
        return self._pooled(_call(self.network.part("text"), batch), mask)

    def record(self) -> dict[str, Any]:
        """Tokenizer, padding, pooling."""
        padding = (
            f"to {self.limit} tokens, read by the model" if not self.cut else "to the longest text of a batch, masked"
        )
        return {
            "pooling": MEANING[self.pooling],
            "tokenizer": type(self.tokenizer).__name__,
            "max_length": self.limit,
            "padding": padding,
            "shared_beginnings": "computed once" if self.shares else "computed for each text",
            "padding_side": self.tokenizer.padding_side,
            "attention_mask": "attention_mask" in self.tokenizer.model_input_names,
            "lower_cased": "before the tokenizer" if self.lowered else "as the tokenizer does",
            "prompt": self.prompt,
        }

    def _pooled(self, output: Any, mask: Any) -> Any:
        import torch

        if self.pooling == "pooler":
            return self.network.pooler_of(output)
        states = output.last_hidden_state
        if self.pooling == "mean":
            weights = mask.unsqueeze(-1).to(states.dtype)
            return (states * weights).sum(dim=1) / weights.sum(dim=1)
        places = torch.arange(mask.shape[1], device=mask.device)
        at = mask.argmax(dim=1) if self.pooling == "cls" else (mask * places).argmax(dim=1)
        return states[torch.arange(len(states), device=states.device), at]

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, verbose=False)["input_ids"])


class HubImages(ImageTower):
    """The image side of a model."""

    def __init__(self, network: Network, settings: Settings) -> None:
        self.network, self.name, self.batch_size = network, network.name, settings.batch_size

    @cached_property
    def pooling(self) -> str:
        """How patches become a vector: the pooler where the checkpoint defines one, else the class token."""
        if self.network.pooling == "mean":
            return "patches"
        if self.network.pooling != "model":
            return self.network.pooling
        if self.network.dual:
            return "features"
        blank = self._output(self.pixels([_blank()]))[0]
        pooled = getattr(blank, "pooler_output", None) is not None and self.network.has_pooler
        return "pooler" if pooled else "cls" if blank.last_hidden_state.ndim == 3 else "patches"

    @cached_property
    def processor(self) -> Any:
        """The model's own image processor."""
        from transformers import AutoImageProcessor

        try:
            return AutoImageProcessor.from_pretrained(self.network.directory, trust_remote_code=False)
        except Exception as error:  # whatever a damaged file makes the library raise
            raise _no_processor(self.name, "image processor", "preprocessor_config.json", error) from error

    def pixels(self, images: list[Any]) -> Any:
        """Tensors of the processor."""
        return self.processor(images=images, return_tensors="pt")

    def run(self, pixels: Any) -> Any:
        """Vectors of prepared images."""
        if self.pooling == "features":
            return features(_call(self.network.model.get_image_features, self._batch(pixels)))
        return self._pooled(*self._output(pixels))

    def _output(self, pixels: Any) -> tuple[Any, Any]:
        """Output of the vision model, and the pixels that it got."""
        import torch

        batch = self._batch(pixels)
        with torch.inference_mode():
            return _call(self.network.part("vision"), batch), batch["pixel_values"]

    def _batch(self, pixels: Any) -> dict[str, Any]:
        dtype = next(self.network.model.parameters()).dtype
        return {
            key: tensor.to(self.network.device, dtype if tensor.is_floating_point() else tensor.dtype)
            for key, tensor in pixels.items()
        }

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Settings of the processor."""
        found = self.processor.to_dict()
        return {key: _plain(found[key]) for key in SETTINGS_SHOWN if found.get(key) is not None}

    def crop(self) -> Crop | None:
        """The middle of the scaled picture, where the processor cuts one out."""
        return crop_of(type(self.processor).__name__, self.settings)

    def record(self) -> dict[str, Any]:
        """Processor settings and pooling."""
        shown = {"class": type(self.processor).__name__, **self.settings}
        return {"pooling": MEANING[self.pooling], "processor": shown}

    def _pooled(self, output: Any, pixels: Any) -> Any:
        if self.pooling == "pooler":
            return self.network.pooler_of(output)
        states = output.last_hidden_state
        if self.pooling == "patches":
            return (
                states.flatten(2).mean(dim=2) if states.ndim == 4 else states[:, self._extra(states, pixels) :].mean(1)
            )
        if states.ndim != 3:
            raise InputError(f"{self.name}: a convolutional network has no {self.pooling} token; use ?pooling=mean")
        return states[:, 0 if self.pooling == "cls" else -1]

    def _extra(self, states: Any, pixels: Any) -> int:
        """Class and register tokens, which stand before the patches."""
        size = getattr(self.network.side_config("vision"), "patch_size", None)
        if not isinstance(size, int) or pixels.ndim != 4:
            return 0
        patches = int(pixels.shape[-2] // size) * int(pixels.shape[-1] // size)
        return max(int(states.shape[1]) - patches, 0)


def crop_of(kind: str, settings: Mapping[str, Any]) -> Crop | None:
    """What a processor of transformers cuts off, by its settings.

    >>> window = {"crop_size": {"height": 8, "width": 8}, "do_center_crop": True}
    >>> crop_of("CLIPImageProcessor", {"size": {"shortest_edge": 9}, **window})
    Crop(shortest=9, window=(8, 8))
    """
    size, share = dict(settings.get("size") or {}), settings.get("crop_pct")
    shortest = size.get("shortest_edge") if settings.get("do_resize", True) else None
    if share and shortest and shortest < 384 and kind.startswith("ConvNext"):
        return Crop(int(shortest / share), (shortest, shortest))
    window = settings.get("crop_size")
    if not settings.get("do_center_crop") or not isinstance(window, Mapping) or "width" not in window:
        return None
    if settings.get("do_resize", True) and shortest is None:
        return None if share is None else Crop(min(size.values()) / share, (window["width"], window["height"]))
    if kind.startswith("Levit") and shortest:
        shortest = int(shortest * 256 / 224)
    return Crop(shortest, (window["width"], window["height"]))


def features(output: Any) -> Any:
    """The tensor of get_text_features and get_image_features, whichever version of the library gives it."""
    return getattr(output, "pooler_output", output)


def _call(function: Any, batch: dict[str, Any]) -> Any:
    """Call with the inputs that the function names; processors may give more."""
    named = inspect.signature(getattr(function, "forward", function)).parameters
    return function(**{key: tensor for key, tensor in batch.items() if key in named})


def _blank() -> Any:
    from PIL import Image

    return Image.new("RGB", (64, 64))


def _plain(value: Any) -> Any:
    """A setting as JSON-able value."""
    return json.loads(json.dumps(value, default=lambda other: dict(other) if hasattr(other, "keys") else str(other)))


def _no_processor(name: str, what: str, file: str, error: Exception) -> StoreError:
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return StoreError(f"{name} has no {what} that can be read ({reason[:200]}); put its {file} into the directory")
