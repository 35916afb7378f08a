"""Checkpoints as safetensors with a JSON record: written whole or not at all, and exact on resume."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bindscope.controlled.config import CONFIG_FILE, TrainConfig
from bindscope.controlled.model import DualEncoder
from bindscope.errors import StoreError
from bindscope.files import read_tensors, whole_file, write_tensors

STATE_FILE, MODEL_FILE = "state.safetensors", "model.safetensors"


def save_state(
    directory: Path, model: DualEncoder, optimizers: Sequence[torch.optim.Optimizer], record: Mapping[str, Any]
) -> None:
    """Everything that a resumed run needs: weights, optimiser state, and a record (step, best, log length)."""
    tensors = {f"model.{k}": v.detach().clone() for k, v in model.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                tensors[f"optimizer.{number}.{index}.{name}"] = torch.as_tensor(value).clone()
    write_tensors(directory / STATE_FILE, tensors, record)


def load_state(
    directory: Path, model: DualEncoder, optimizers: Sequence[torch.optim.Optimizer]
) -> dict[str, Any] | None:
    """Put a saved state into model and optimisers and return its record; None where there is none that is whole."""
    file = directory / STATE_FILE
    if not file.exists():
        return None
    try:
        tensors, record = read_tensors(file, "pt", unsigned=True)
        model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
        for number, optimizer in enumerate(optimizers):
            optimizer.load_state_dict(_optimizer_state(optimizer, tensors, f"optimizer.{number}."))
    except (RuntimeError, KeyError, ValueError) as error:
        raise StoreError(
            f"{file} does not fit these settings ({str(error).splitlines()[0]}); train anew in another --out"
        ) from error
    return record


def _optimizer_state(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        if key.startswith(prefix):
            index, name = key.removeprefix(prefix).split(".", 1)
            state.setdefault(int(index), {})[name] = value
    return {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}


def save_model(directory: Path, model: DualEncoder, record: Mapping[str, Any]) -> None:
    """The chosen weights alone."""
    write_tensors(directory / MODEL_FILE, {k: v.detach() for k, v in model.state_dict().items()}, record)


def load_model(directory: Path, model: DualEncoder) -> dict[str, Any]:
    """Put the chosen weights into a model; StoreError where they are missing or damaged."""
    file = directory / MODEL_FILE
    if not file.exists():
        raise StoreError(
            f"{directory} holds no finished training run: {MODEL_FILE} is missing; run `bindscope train` to the end"
        )
    tensors, record = read_tensors(file, "pt", unsigned=True)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise StoreError(f"{file} does not fit {CONFIG_FILE} beside it; train again") from error
    return record


def write_config(directory: Path, config: TrainConfig) -> None:
    """train.json, written first so that a resumed run can compare."""
    with whole_file(directory / CONFIG_FILE) as partial:
        partial.write_text(json.dumps(config.model_dump(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
