"""What a sentence-transformers directory puts behind its network: pooling, dense layers, unit length.

`hf:` reads such a directory too, so that it gives the vectors that its authors trained; what goes beyond that is refused
with the name that does compute it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bindscope.encoders.base import score_remark
from bindscope.errors import InputError, StoreError

POOLINGS = {"cls": "cls", "mean": "mean", "lasttoken": "last"}  # their words -> those of hf:
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "SiLU", "Sigmoid")
Step = Callable[[Any], Any]


@dataclass(frozen=True)
class SentenceHead:
    """pooling: of tokens, None: the network's own. steps: what follows it, on tensors `[b, d]`. names: of these steps.

    max_length: longest text in tokens, None: as the network can. notes: remarks on what hf: leaves out.
    """

    pooling: str | None
    steps: tuple[Step, ...]
    names: tuple[str, ...]
    max_length: int | None
    notes: Mapping[str, str]


def sentence_head(directory: Path, name: str, place: str) -> SentenceHead | None:
    """The head that a directory describes, None where it is no sentence-transformers model.

    Raises InputError where it describes more than is computed here, StoreError for files that cannot be read.
    """
    modules = _described(directory / "modules.json", name)
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    if not kinds:
        return None
    base = _described(directory / "sentence_bert_config.json", name)
    pooling = _described(directory / str(modules[1]["path"]) / "config.json", name) if len(modules) > 1 else {}
    mode = _pooling_mode(pooling)
    plain = kinds[0] == "Transformer" and not modules[0].get("path") and not base.get("do_lower_case")
    pooled = len(kinds) == 1 or (kinds[1] == "Pooling" and mode in POOLINGS and pooling.get("include_prompt", True))
    if not plain or not pooled or not set(kinds[2:]) <= {"Dense", "Normalize"}:
        raise InputError(
            f"{name} is a sentence-transformers model of {' + '.join(kinds)}{f' ({mode})' if mode else ''}, which hf: does not "
            f"compute; use st:{place}, or say ?pooling=cls, mean or last for the network alone"
        )
    steps = [
        _step(kind, directory / str(module["path"]), name) for kind, module in zip(kinds[2:], modules[2:], strict=True)
    ]
    longest = base.get("max_seq_length")
    notes = _left_out(_described(directory / "config_sentence_transformers.json", name), place)
    return SentenceHead(
        POOLINGS.get(mode), tuple(steps), tuple(kinds[2:]), longest if isinstance(longest, int) else None, notes
    )


def _pooling_mode(config: Mapping[str, Any]) -> str:
    """The one pooling of a 1_Pooling/config.json, in the words of new files; "" where there are several or none."""
    if "pooling_mode" in config:
        modes = config["pooling_mode"]
        return str(modes if isinstance(modes, str) else modes[0] if len(modes) == 1 else "")
    given = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    word = given[0].removeprefix("pooling_mode_") if len(given) == 1 else ""
    return word.removesuffix("_tokens").removesuffix("_token")


def _step(kind: str, folder: Path, name: str) -> Step:
    from torch.nn.functional import normalize

    return (lambda vectors: normalize(vectors, dim=1)) if kind == "Normalize" else _dense(folder, name)


def _dense(folder: Path, name: str) -> Step:
    """A dense layer and its activation, from the files of the library."""
    import torch

    config = _described(folder / "config.json", name)
    activation = str(config.get("activation_function", "Identity")).rpartition(".")[2]
    tensors = _weights(folder, name)
    if activation not in ACTIVATIONS or "linear.weight" not in tensors:
        raise InputError(f"{name}: the dense layer in {folder} ({activation}) is not one that hf: computes; use st:")
    act: Any = getattr(torch.nn, activation)()
    weight, bias = tensors["linear.weight"], tensors.get("linear.bias")

    def step(vectors: Any) -> Any:
        own = {"device": vectors.device, "dtype": vectors.dtype}
        return act(torch.nn.functional.linear(vectors, weight.to(**own), None if bias is None else bias.to(**own)))

    return step


def _weights(folder: Path, name: str) -> dict[str, Any]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file, old = folder / "model.safetensors", folder / "pytorch_model.bin"
    try:
        if file.is_file():
            return dict(load_file(file))
        return dict(torch.load(old, map_location="cpu", weights_only=True))
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise StoreError(f"{name}: cannot read the weights in {folder} ({reason}); fetch the model again") from error


def _left_out(declared: Mapping[str, Any], place: str) -> dict[str, str]:
    """Remarks on prompts and on a score function that a model declares."""
    notes = {}
    prompts = [name for name, text in (declared.get("prompts") or {}).items() if text]
    if prompts:
        notes["prompts"] = f"the model declares prompts ({', '.join(prompts)}), which hf: does not use; st:{place} does"
    score = declared.get("similarity_fn_name") or "cosine"
    if score != "cosine":
        notes["score_function"] = score_remark(score)
    return notes


def _described(file: Path, name: str) -> Any:
    """The content of a JSON file of a model directory, empty where there is none."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StoreError(f"{name}: cannot read {file} ({error}); fetch the model again") from error


def apply_steps(steps: Sequence[Step], vectors: Any) -> Any:
    """Vectors after all steps."""
    for step in steps:
        vectors = step(vectors)
    return vectors
