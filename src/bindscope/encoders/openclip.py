"""Models of the library open_clip: `openclip:ARCH,PRETRAINED`; nothing after the comma means random initialisation.

Random text towers are the control of arXiv 2605.31503, Table 1. Its own random model keeps the LayerNorm gains and biases
of a pretrained CLIP and draws the matrices and embeddings anew: `openclip:ARCH,PRETRAINED?redraw=text&seed=1` where a
checkpoint is at hand; `?layernorm_gain=` shows how much those gains matter where there is none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.concepts import IntArray
from bindscope.datasets.options import Option, read_options, split_options
from bindscope.encoders.base import Encoder, Settings, file_digest, library_versions
from bindscope.encoders.checkpoints import Checkpoint, find_checkpoint
from bindscope.encoders.compute import DTYPES, torch_for, usable_device
from bindscope.encoders.prefixes import Layer, PrefixTree, run_layers
from bindscope.encoders.towers import ImageTower, TextTower, TowerEncoder, warn_if_cut
from bindscope.errors import BindscopeWarning, InputError, MissingExtraError, StoreError, UnknownNameError

OPTIONS = {
    "seed": Option(None, int, 0, 2**31 - 1),
    "layernorm_gain": Option(1.0, float, 0.0, 1e3),
    "redraw": Option(None, choices=("text",)),
    "quickgelu": Option("auto", choices=("auto", "true", "false")),
    "dtype": Option("float32", choices=DTYPES),
    "device": Option(None),
}
EXAMPLE = "openclip:ViT-B-32,laion2b_s34b_b79k, or openclip:ViT-B-32, for random initialisation"


@dataclass(frozen=True)
class Recipe:
    """What a name asks for. seed: of random weights. quick_gelu: None leaves it to checkpoint and architecture."""

    name: str
    architecture: str
    pretrained: str
    seed: int = 0
    gain: float = 1.0
    redraw: bool = False
    quick_gelu: bool | None = None
    dtype: str = "float32"
    device: str = "cpu"


def load(rest: str, name: str, settings: Settings) -> Encoder:
    """The encoder of `openclip:ARCH,PRETRAINED` with options `?seed=`, `?layernorm_gain=`, `?redraw=text`, `?dtype=`."""
    recipe = read_recipe(rest, name, settings)
    _library(name)
    if recipe.architecture not in _architectures():
        raise UnknownNameError("open_clip architecture", recipe.architecture, _architectures())
    found = find_checkpoint(recipe.architecture, recipe.pretrained, name) if recipe.pretrained else None
    model = build_model(recipe, found)
    facts = {**_facts(model, recipe, found), "weights_sha256": file_digest(found.path) if found else None}
    text = ClipTexts(model, recipe, settings)
    return TowerEncoder(name, text, ClipImages(model, recipe, settings), facts)


def read_recipe(rest: str, name: str, settings: Settings) -> Recipe:
    """The parts of a name; raises InputError."""
    base, query = split_options(rest)
    options = read_options(query, OPTIONS, "openclip:")
    architecture, comma, pretrained = base.partition(",")
    if not comma or not architecture:
        raise InputError(f"{name!r} is not understood; expected openclip:ARCH,PRETRAINED, e.g. {EXAMPLE}")
    drawn = not pretrained or options["redraw"] is not None
    if options["seed"] is not None and not drawn:
        raise InputError(f"{name}: a seed is for random weights; leave it out, or PRETRAINED, or give ?redraw=text")
    if options["redraw"] and not pretrained:
        raise InputError(f"{name}: ?redraw=text draws the text tower of a checkpoint anew; name a checkpoint")
    if options["layernorm_gain"] != 1.0 and not drawn:
        raise InputError(f"{name}: ?layernorm_gain= is for random weights; leave PRETRAINED empty or the option out")
    quick = {"auto": None, "true": True, "false": False}[options["quickgelu"]]
    seed = settings.seed if options["seed"] is None else options["seed"]
    device = settings.device or options["device"]
    words = (seed, options["layernorm_gain"], bool(options["redraw"]), quick, options["dtype"], device or "cpu")
    return Recipe(name, architecture.replace("/", "-"), pretrained, *words)


def build_model(recipe: Recipe, checkpoint: Checkpoint | None) -> Any:
    """The model in evaluation mode: random by the seed, then the checkpoint, then what the recipe changes."""
    import torch

    device = usable_device(recipe.device)
    model = _drawn(recipe, checkpoint)
    if checkpoint is not None:
        _load_weights(model, checkpoint, recipe)
    if recipe.redraw:
        _redraw_text(model, _drawn(recipe, checkpoint))
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, torch.nn.LayerNorm) and recipe.gain != 1.0:
                layer.weight.mul_(recipe.gain)
    return model.to(device=device, dtype=getattr(torch, recipe.dtype)).eval()


def _drawn(recipe: Recipe, checkpoint: Checkpoint | None) -> Any:
    """The model with weights drawn by open_clip's own initialisation; the caller's random state is left alone."""
    import open_clip
    import torch

    forced = {"force_quick_gelu": True} if _activation(recipe, checkpoint) else {}
    try:
        with torch.random.fork_rng(devices=[]), _quiet():
            torch.manual_seed(recipe.seed)
            return open_clip.create_model(
                recipe.architecture,
                pretrained_text=False,
                force_preprocess_cfg=checkpoint.preprocessing if checkpoint else None,
                **forced,
            )
    except Exception as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise StoreError(
            f"cannot build {recipe.name}: {reason}; an architecture with a text tower or tokenizer of the hub needs that "
            "in the local cache (`hf download` beforehand)"
        ) from error


def _activation(recipe: Recipe, checkpoint: Checkpoint | None) -> bool:
    """Whether to force QuickGELU: what the user says, else what the checkpoint was trained with.

    The architecture's own word (ViT-B-32-quickgelu) stands where neither says anything.
    """
    import open_clip

    own = bool((open_clip.get_model_config(recipe.architecture) or {}).get("quick_gelu", False))
    trained = checkpoint.quick_gelu if checkpoint is not None else None
    asked = recipe.quick_gelu
    if own and (asked is False or trained is False):
        raise InputError(
            f"{recipe.name}: {recipe.architecture} has QuickGELU, against "
            f"{'?quickgelu=false' if asked is False else 'the checkpoint'}; use {recipe.architecture.removesuffix('-quickgelu')}"
        )
    if asked is not None and trained is not None and asked != trained:
        import warnings

        text = f"{recipe.name}: the checkpoint was trained {'with' if trained else 'without'} QuickGELU; vectors will be off"
        warnings.warn(text, BindscopeWarning, stacklevel=5)
    return bool(asked if asked is not None else trained)


def _load_weights(model: Any, checkpoint: Checkpoint, recipe: Recipe) -> None:
    import open_clip

    try:
        with _quiet():
            open_clip.load_checkpoint(model, str(checkpoint.path), strict=True, weights_only=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise StoreError(
            f"cannot load {checkpoint.path} into {recipe.architecture}: {reason}; give the state dict of this architecture"
        ) from error


def _redraw_text(model: Any, other: Any) -> None:
    """Matrices and embeddings of the text tower from another model; gains and biases stay."""
    import torch

    drawn = dict(other.named_parameters())
    with torch.no_grad():
        for key, tensor in model.named_parameters():
            if tensor.ndim >= 2 and not key.startswith("visual."):
                tensor.copy_(drawn[key])


class ClipTexts(TextTower):
    """The text tower. With causal attention nothing after the end token reaches the vector, so it is cut off."""

    def __init__(self, model: Any, recipe: Recipe, settings: Settings) -> None:
        self.model, self.recipe, self.name = model, recipe, recipe.name
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
            with _quiet():
                return open_clip.get_tokenizer(self.recipe.architecture)
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
        full = np.flatnonzero(ends == ids.shape[1])
        warn_if_cut(self.name, sum(self._needs(texts[row]) > ids.shape[1] for row in full), ids.shape[1])
        return ids, np.asarray(ends, dtype=np.int64)

    def _needs(self, text: str) -> int:
        encode = getattr(self.tokenizer, "encode", None)
        return len(encode(text)) + 2 if encode is not None else 0

    def run(self, tokens: Any, rows: IntArray, length: int | None) -> Any:
        """Vectors of some rows."""
        batch = tokens[rows].to(self.recipe.device)
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

    def __init__(self, model: Any, recipe: Recipe, settings: Settings) -> None:
        self.model, self.recipe, self.name, self.batch_size = model, recipe, recipe.name, settings.batch_size

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
        import torch

        return self.model.encode_image(pixels.to(self.recipe.device, getattr(torch, self.recipe.dtype)))

    def record(self) -> dict[str, Any]:
        """Preprocessing and pooling."""
        settings = {key: list(v) if isinstance(v, tuple) else v for key, v in self.model.visual.preprocess_cfg.items()}
        pooling = getattr(self.model.visual, "pool_type", type(self.model.visual).__name__)
        return {"pooling": f"{pooling}, projected", "processor": settings}


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


def _facts(model: Any, recipe: Recipe, checkpoint: Checkpoint | None) -> dict[str, Any]:
    drawn = checkpoint is None or recipe.redraw
    return {
        "architecture": f"{type(model).__name__} {recipe.architecture}",
        "activation": sorted({type(m).__name__ for m in model.modules() if type(m).__name__ in ("QuickGELU", "GELU")}),
        "pretrained": Path(recipe.pretrained).name or None,
        "weights": "text matrices and embeddings redrawn"
        if recipe.redraw
        else "checkpoint"
        if checkpoint
        else "random",
        "seed": recipe.seed if drawn else None,
        "layernorm_gain": recipe.gain,
        "normalised": False,
        "eval_mode": not model.training,
        "dtype": f"torch.{recipe.dtype}",
        "device": recipe.device,
        "versions": library_versions("torch", "open_clip_torch"),
    }


def _architectures() -> list[str]:
    import open_clip

    return list(open_clip.list_models())


@contextmanager
def _quiet() -> Iterator[None]:
    """Without open_clip's lines on the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def _library(name: str) -> None:
    torch_for(name, "openclip")
    try:
        import open_clip  # noqa: F401
    except ImportError:
        raise MissingExtraError(name, "open_clip_torch", "openclip") from None
