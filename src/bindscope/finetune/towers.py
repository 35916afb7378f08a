"""Models as something to train: texts in, unit vectors with gradients out, and a directory that their library loads."""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from bindscope.encoders import load_encoder
from bindscope.encoders.compute import by_length
from bindscope.errors import InputError, MissingExtraError

CHUNK = 64


class Tower(ABC):
    """A text side that is trained. module: all its weights. Dropout stays off: modules are kept in evaluation mode."""

    module: Any  # a torch.nn.Module
    name: str

    @abstractmethod
    def embed(self, texts: Sequence[str], query: bool = False) -> Tensor:
        """Unit vectors `[n, d]`, with gradients where torch records them."""

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write the model so that its own library loads it from the directory."""

    @abstractmethod
    def layers(self) -> list[torch.nn.Module]:
        """The Transformer layers of the text side, first to last."""

    @abstractmethod
    def text_parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        """Weights of the text side with their names in `module`, without the token embeddings."""

    def vectors(self, texts: Sequence[str], query: bool = False) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Unit vectors `[n, d]` in single precision, without gradients."""
        with torch.no_grad():
            found = [self.embed(texts[i : i + 512], query) for i in range(0, len(texts), 512)]
        return torch.cat(found).float().cpu().numpy()


class SentenceTower(Tower):
    """A sentence-transformers model. Scenes go in as documents and queries as queries, with the model's own prompts."""

    def __init__(self, encoder: Any, name: str) -> None:
        self.module, self.name, self.asymmetric = encoder.model, name, encoder.asymmetric

    def embed(self, texts: Sequence[str], query: bool = False) -> Tensor:
        """Texts of nearly one length go through together."""
        prompts: dict[str, str] = dict(self.module.prompts or {})
        prompt = prompts.get("query" if query else "document") if self.asymmetric else None
        default = prompts.get(self.module.default_prompt_name or "")
        return _by_length(texts, lambda some: self._forward(some, prompt or default))

    def _forward(self, texts: list[str], prompt: str | None) -> Tensor:
        batch = self.module.preprocess(texts, prompt=prompt)
        where = self.module.device
        on_device = {key: part.to(where) if isinstance(part, Tensor) else part for key, part in batch.items()}
        found: Tensor = self.module(on_device)["sentence_embedding"]
        return found

    def save(self, directory: Path) -> None:
        """As the library saves it, without its own card."""
        self.module.save(str(directory), create_model_card=False, safe_serialization=True)

    def layers(self) -> list[torch.nn.Module]:
        """The longest list of layers in the network."""
        return _longest_list(self.module)

    def text_parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        """All weights but the token embeddings."""
        return _without(self.module, [_token_embedding(self.module)])


class DualTower(Tower):
    """The text tower of a model with two (transformers, open_clip), through the encoder's own tokenizer and pooling."""

    def __init__(self, encoder: Any, name: str) -> None:
        if encoder.text is None:
            raise InputError(f"{name} reads no text; fine-tuning needs a text tower")
        self.encoder, self.tower, self.name = encoder, encoder.text, name
        self.tower.shares = False  # a tree of beginnings is not what is trained
        self.kind = name.partition(":")[0]
        self.module = self.tower.network.model if self.kind == "hf" else self.tower.model

    def embed(self, texts: Sequence[str], query: bool = False) -> Tensor:
        """Texts of nearly one length go through together."""
        tokens, lengths = self.tower.tokens([(self.tower.prompt or "") + text for text in texts])
        order = list(by_length(lengths.tolist(), CHUNK))
        parts = [self.tower.run(tokens, rows, int(lengths[rows].max()) if self.tower.cut else None) for rows in order]
        return _in_order(parts, np.concatenate(order))

    def save(self, directory: Path) -> None:
        """transformers: weights beside the other files of the checkpoint; open_clip: weights and their configuration."""
        directory.mkdir(parents=True, exist_ok=True)
        if self.kind == "hf":
            self.module.save_pretrained(str(directory))
            self.tower.tokenizer.save_pretrained(str(directory))
            for file in sorted(Path(self.tower.network.directory).glob("*preprocessor_config.json")):
                shutil.copyfile(file, directory / file.name)
            return
        import open_clip
        from safetensors.torch import save_file

        weights = {key: tensor.detach().clone().contiguous() for key, tensor in self.module.state_dict().items()}
        save_file(weights, directory / "open_clip_model.safetensors")
        config = {"model_cfg": open_clip.get_model_config(self.tower.architecture), "preprocess_cfg": self._pixels()}
        (directory / "open_clip_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")

    def _pixels(self) -> dict[str, Any]:
        return dict(getattr(self.module.visual, "preprocess_cfg", {}))

    def _part(self) -> tuple[torch.nn.Module, torch.nn.Module | None]:
        """The text side, and its image side, which stays as it is."""
        if self.kind == "hf":
            return self.tower.network.part("text"), getattr(self.module, "vision_model", None)
        return self.tower.tower, getattr(self.module, "visual", None)

    def layers(self) -> list[torch.nn.Module]:
        """The layers of the text tower."""
        text, image = self._part()
        return _longest_list(text, image)

    def text_parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        """The text tower and its projection."""
        text, image = self._part()
        apart = [_token_embedding(text), image, getattr(self.module, "visual_projection", None)]
        return [(n, p) for n, p in _without(self.module, apart) if not n.startswith("logit_")]


class EmbeddedTower(Tower):
    """The text tower of a small dual encoder that ships with the package."""

    def __init__(self, encoder: Any, name: str) -> None:
        self.encoder, self.name, self.module = encoder, name, encoder.towers

    def embed(self, texts: Sequence[str], query: bool = False) -> Tensor:
        """Word by word, as the encoder reads them."""
        from bindscope.encoders.embedded.recipe import tokens

        found: Tensor = self.module.captions(torch.from_numpy(tokens(list(texts))))
        return found

    def save(self, directory: Path) -> None:
        """weights.safetensors and recipe.json, for `embedded:DIR`."""
        from safetensors.torch import save_file

        directory.mkdir(parents=True, exist_ok=True)
        save_file(
            {k: v.detach().contiguous() for k, v in self.module.state_dict().items()}, directory / "weights.safetensors"
        )
        recipe = json.dumps(self.encoder.recipe.to_json(), indent=1, sort_keys=True)
        (directory / "recipe.json").write_text(recipe + "\n", encoding="utf-8")

    def layers(self) -> list[torch.nn.Module]:
        """The blocks over words."""
        return _longest_list(self.module.text)

    def text_parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        """The text tower; its words are few and are trained."""
        return [(name, weight) for name, weight in self.module.named_parameters() if name.startswith("text.")]


KINDS: dict[str, Callable[[Any, str], Tower]] = {
    "st": SentenceTower,
    "hf": DualTower,
    "openclip": DualTower,
    "embedded": EmbeddedTower,
}


def load_tower(name: str) -> Tower:
    """The model of a name, ready to be trained: attention in plain products where the library lets one choose.

    Raises InputError for models whose weights cannot be trained.
    """
    kind = name.partition(":")[0]
    if kind not in KINDS:
        raise InputError(f"finetune trains st:, hf:, openclip: and embedded: models, got {name!r}")
    tower = KINDS[kind](load_encoder(name), name)
    tower.module.eval()
    for part in tower.module.modules():
        if hasattr(part, "set_attn_implementation"):
            part.set_attn_implementation("eager")  # twice as fast backwards on a processor in bf16 as the fused one
    return tower


def choose_weights(tower: Tower, train: str) -> list[tuple[str, torch.nn.Parameter]]:
    """Switch off gradients of all weights but those that `train` names (`all`, `last:N`, `lora:RANK`); gives those.

    LoRA adds its weights to the module first. Raises InputError where there are fewer layers, MissingExtraError without
    peft.
    """
    if train.startswith("lora:"):
        _add_lora(tower, int(train[5:]))
    named = tower.text_parameters()
    if train.startswith("lora:"):
        named = [(name, weight) for name, weight in named if "lora_" in name]
    if train.startswith("last:"):
        layers, count = tower.layers(), int(train[5:])
        if count > len(layers):
            raise InputError(
                f"{tower.name} has {len(layers)} layers, so {train} cannot be trained; take at most that many"
            )
        inside = {id(weight) for layer in layers[-count:] for weight in layer.parameters()}
        named = [(name, weight) for name, weight in named if id(weight) in inside]
    for weight in tower.module.parameters():
        weight.requires_grad_(False)
    for _, weight in named:
        weight.requires_grad_(True)
    return named


def _add_lora(tower: Tower, rank: int) -> None:
    """Low-rank updates on all linear maps of the layers, drawn from a fixed seed."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise MissingExtraError("finetune --train lora", "peft", "finetune") from error
    inside = {id(part) for layer in tower.layers() for part in layer.modules()}
    linear = [n for n, part in tower.module.named_modules() if id(part) in inside and isinstance(part, torch.nn.Linear)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rank)
        config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=linear)
        inject_adapter_in_model(config, tower.module)


def merge_lora(tower: Tower) -> None:
    """Add low-rank updates to the weights that they belong to, and take them out of the module."""
    for name, part in list(tower.module.named_modules()):
        if hasattr(part, "merge") and hasattr(part, "base_layer"):
            part.merge()
            parent, _, last = name.rpartition(".")
            setattr(tower.module.get_submodule(parent), last, part.base_layer)


def _by_length(texts: Sequence[str], forward: Any) -> Tensor:
    order = list(by_length([len(text) for text in texts], CHUNK))
    return _in_order([forward([texts[i] for i in rows]) for rows in order], np.concatenate(order))


def _in_order(parts: list[Tensor], rows: np.ndarray[Any, Any]) -> Tensor:
    """Unit vectors of all parts, back in the order of the texts, in single precision."""
    found = torch.cat([part.float() for part in parts])
    return torch.nn.functional.normalize(found[torch.from_numpy(np.argsort(rows))], dim=1)


def _longest_list(module: torch.nn.Module, apart: torch.nn.Module | None = None) -> list[torch.nn.Module]:
    other = set() if apart is None else {id(part) for part in apart.modules()}
    lists = [part for part in module.modules() if isinstance(part, torch.nn.ModuleList) and id(part) not in other]
    return list(lists[int(np.argmax([len(some) for some in lists]))]) if lists else []


def _token_embedding(module: torch.nn.Module) -> torch.nn.Module | None:
    """The embedding of tokens: what the library calls so, else the one with the most rows."""
    for part in module.modules():
        own: Any = getattr(part, "get_input_embeddings", None)
        if own is not None:
            return cast(torch.nn.Module, own())
    tables = [part for part in module.modules() if isinstance(part, torch.nn.Embedding)]
    sizes = [table.num_embeddings for table in tables]
    return tables[int(np.argmax(sizes))] if tables else None


def _without(module: torch.nn.Module, apart: Sequence[torch.nn.Module | None]) -> list[tuple[str, torch.nn.Parameter]]:
    other = {id(weight) for part in apart if part is not None for weight in part.parameters()}
    return [(name, weight) for name, weight in module.named_parameters() if id(weight) not in other]
