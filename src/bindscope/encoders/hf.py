"""Models of the library transformers: `hf:ORG/NAME[@REVISION]` from the hub, or `hf:PATH` of a directory."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bindscope.encoders.base import Encoder, Settings, file_digest, library_versions
from bindscope.encoders.compute import DTYPES, redrawn, torch_for, usable_device
from bindscope.encoders.hf_towers import POOLINGS, HubImages, HubTexts, Network
from bindscope.encoders.hub import hub_directory
from bindscope.encoders.sentence_head import sentence_head
from bindscope.encoders.towers import TowerEncoder
from bindscope.errors import InputError, MissingExtraError, StoreError
from bindscope.names import Option, read_options, split_options

OPTIONS = {
    "pooling": Option("model", choices=POOLINGS),
    "dtype": Option("float32", choices=DTYPES),
    "device": Option(None),
}
WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")


def load(rest: str, name: str, settings: Settings) -> Encoder:
    """The encoder of `hf:ORG/NAME[@REVISION]` or `hf:PATH`, with options `?pooling=`, `?dtype=`, `?device=`."""
    place, query = split_options(rest)
    options = read_options(query, OPTIONS, "hf:")
    if not place:
        raise InputError("hf: needs a model, e.g. hf:openai/clip-vit-base-patch32, or a directory: hf:PATH")
    _transformers(name)
    device = usable_device(settings.device or options["device"])
    directory = _directory(place, name)
    network = _network(directory, name, options, device)
    shared = options["pooling"] == "model"
    head = sentence_head(directory, name, place) if shared and not network.dual else None
    if head is not None:
        network = replace(network, pooling=head.pooling or network.pooling, head=head)
    facts, notes = _facts(network, directory, options), head.notes if head else None

    def twin(seed: int) -> Encoder:
        drawn = replace(network, model=redrawn(network.model, seed))
        told = {**facts, "weights_sha256": f"drawn by seed {seed}"}
        return TowerEncoder(f"{name} (untrained)", *_towers(drawn, settings), told, shared, notes)

    return TowerEncoder(name, *_towers(network, settings), facts, shared, notes, twin)


def _towers(network: Network, settings: Settings) -> tuple[HubTexts | None, HubImages | None]:
    text = HubTexts(network, settings) if network.reads_text else None
    image = HubImages(network, settings) if network.reads_images else None
    if text is None and image is None:
        wanted = getattr(network.model, "main_input_name", "something else")
        raise InputError(
            f"{network.name}: {type(network.model).__name__} reads neither text nor images alone (its input is "
            f"{wanted}); choose a text, vision or dual encoder"
        )
    return text, image


def _directory(place: str, name: str) -> Path:
    path = Path(place).expanduser()
    if path.is_dir():
        return path
    if place.startswith(("/", ".", "~")) or not re.fullmatch(r"[^/\\]+(/[^/\\]+)?", place):
        raise StoreError(f"{name}: there is no directory {place}")
    repository, _, revision = place.partition("@")
    pinned = f" --revision {revision}" if revision else ""
    hint = f"`hf download {repository}{pinned}` on a machine with network, then hf:PATH of that directory"
    return hub_directory(place, name, hint)


def _network(directory: Path, name: str, options: dict[str, Any], device: str) -> Network:
    """The model in evaluation mode, with weights that are all from the checkpoint."""
    from transformers import AutoConfig, AutoModel

    try:
        with _quiet():
            config = AutoConfig.from_pretrained(directory, trust_remote_code=False)
            model, found = AutoModel.from_pretrained(
                directory,
                config=config,
                trust_remote_code=False,
                output_loading_info=True,
                **_number_format(options["dtype"]),
            )
    except Exception as error:  # what loading raises is up to the library and the file formats below it
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise StoreError(
            f"cannot load {name}: {reason[:250]}; a model directory holds config.json and model.safetensors as "
            "save_pretrained writes them"
        ) from error
    missing = sorted(found["missing_keys"])
    dual = hasattr(model, "get_text_features")
    drawn = [key for key in missing if dual or "pooler" not in key]
    if drawn:
        raise StoreError(
            f"{name}: the checkpoint lacks {len(drawn)} weights of {type(model).__name__} ({drawn[0]}, ...), which would "
            "be random; choose a checkpoint of this architecture"
        )
    if getattr(config, "is_encoder_decoder", False):
        model = model.get_encoder()
    if hasattr(config, "mask_ratio"):
        config.mask_ratio = 0.0  # masked autoencoders hide patches at random, also in evaluation mode
    pooled = not any("pooler" in key for key in missing)
    return Network(model.eval().to(device), config, directory, name, options["pooling"], device, pooled)


def _number_format(dtype: str) -> dict[str, Any]:
    """The argument of from_pretrained that names the number format, whose name changed in transformers 5."""
    import torch
    import transformers

    key = "dtype" if int(transformers.__version__.partition(".")[0]) >= 5 else "torch_dtype"
    return {key: getattr(torch, dtype)}


def _facts(network: Network, directory: Path, options: dict[str, Any]) -> dict[str, Any]:
    parts = [network.config, *(getattr(network.config, key, None) for key in ("text_config", "vision_config"))]
    acts = [
        getattr(part, key, None) for part in parts for key in ("hidden_act", "hidden_activation", "activation_function")
    ]
    return {
        "architecture": type(network.model).__name__,
        "model_type": network.config.model_type,
        "activation": sorted({act for act in acts if isinstance(act, str)}),
        "attention": getattr(network.config, "_attn_implementation", None),
        "normalised": network.head is not None and "Normalize" in network.head.names,
        "head": list(network.head.names) if network.head is not None else [],
        "eval_mode": not network.model.training,
        "dtype": f"torch.{options['dtype']}",
        "device": network.device,
        "revision": directory.name if directory.parent.name == "snapshots" else None,
        "weights_sha256": {path.name: file_digest(path) for path in _weight_files(directory)},
        "versions": library_versions("torch", "transformers", "tokenizers"),
    }


def _weight_files(directory: Path) -> list[Path]:
    for pattern in WEIGHT_FILES:
        found = sorted(directory.glob(pattern))
        if found:
            return found
    return []


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the loader's bars and tables; what matters in them is checked here."""
    from transformers.utils import logging as library_logging

    library_logging.disable_progress_bar()
    logger = library_logging.get_logger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _transformers(name: str) -> None:
    torch_for(name, "vision")
    try:
        import transformers  # noqa: F401
    except ImportError:
        raise MissingExtraError(name, "transformers", "vision") from None
