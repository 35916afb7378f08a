"""Models of the library open_clip: `openclip:ARCH,PRETRAINED`; nothing after the comma means random initialisation.

Random text towers are the control of arXiv 2605.31503, Table 1. Its own random model keeps the LayerNorm gains and biases
of a pretrained CLIP and draws the matrices and embeddings anew: `openclip:ARCH,PRETRAINED?redraw=text&seed=1` where a
checkpoint is at hand; `?layernorm_gain=` shows how much those gains matter where there is none.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bindscope.encoders.base import Encoder, Settings, file_digest, library_versions
from bindscope.encoders.compute import DTYPES, redrawn, torch_for, usable_device
from bindscope.encoders.hub import Checkpoint, find_checkpoint
from bindscope.encoders.openclip_towers import ClipImages, ClipTexts, quiet
from bindscope.encoders.towers import TowerEncoder
from bindscope.errors import BindscopeWarning, InputError, MissingExtraError, StoreError, UnknownNameError
from bindscope.names import Option, read_options, split_options

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
    remarks = _remarks(recipe, found)

    def encoder(name: str, model: Any, facts: dict[str, Any], twin: Callable[[int], Encoder] | None) -> TowerEncoder:
        places = (name, recipe.architecture, recipe.device)
        towers = ClipTexts(model, *places, settings), ClipImages(model, *places, settings)
        return TowerEncoder(name, *towers, facts, remarks=remarks, twin=twin)

    def twin(seed: int) -> Encoder:
        told = {**facts, "weights_sha256": f"drawn by seed {seed}"}
        return encoder(f"{name} (untrained)", redrawn(model, seed), told, None)

    return encoder(name, model, facts, twin)


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
        with torch.random.fork_rng(devices=[]), quiet():
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
        text = f"{recipe.name}: the checkpoint was trained {'with' if trained else 'without'} QuickGELU; vectors will be off"
        warnings.warn(text, BindscopeWarning, stacklevel=5)
    return bool(asked if asked is not None else trained)


def _remarks(recipe: Recipe, checkpoint: Checkpoint | None) -> dict[str, str]:
    """A remark where nobody says which activation a checkpoint was trained with: its weights fit both."""
    import open_clip

    own = bool((open_clip.get_model_config(recipe.architecture) or {}).get("quick_gelu", False))
    if checkpoint is None or own or recipe.quick_gelu is not None or checkpoint.quick_gelu is not None:
        return {}
    name = Path(recipe.pretrained).name
    text = f"the activation that {name} was trained with is not known, and GELU is taken; say ?quickgelu=true or =false"
    return {"activation": text}


def _load_weights(model: Any, checkpoint: Checkpoint, recipe: Recipe) -> None:
    import open_clip

    try:
        with quiet():
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


def _library(name: str) -> None:
    torch_for(name, "openclip")
    try:
        import open_clip  # noqa: F401
    except ImportError:
        raise MissingExtraError(name, "open_clip_torch", "openclip") from None
