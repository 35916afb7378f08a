"""Training of the small dual encoders: deterministic, resumable, on one core."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bindscope.encoders.embedded.batches import Batch, Pool, batch
from bindscope.encoders.embedded.recipe import Recipe, tokens
from bindscope.encoders.embedded.towers import Towers, fresh_towers
from bindscope.errors import StoreError
from bindscope.files import read_tensors, whole_file, write_tensors

READOUT_SHARPNESS = 5.0
EVERY = 50  # steps between checkpoints
WEIGHTS, STATE = "weights.safetensors", "state.safetensors"
Progress = Callable[[int, float], None]  # steps done, loss


def train(recipe: Recipe, directory: Path, resume: bool = False, progress: Progress | None = None) -> Towers:
    """Train to the end and write `weights.safetensors` and `recipe.json`; a killed run goes on with `resume`.

    The same recipe gives the same weights on the same machine and library versions.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make {directory}: {error.strerror or error}") from error
    with _one_thread():
        towers = fresh_towers(recipe)
        optimiser = torch.optim.AdamW(_groups(towers, recipe), lr=recipe.learning_rate, betas=(0.9, 0.98))
        done = _restore(directory, recipe, towers, optimiser) if resume else 0
        pool = Pool.draw(recipe) if done < recipe.steps else None
        for step in range(done, recipe.steps):
            assert pool is not None
            loss = _step(towers, optimiser, batch(pool, recipe, step), recipe, step)
            if progress is not None:
                progress(step + 1, loss)
            if (step + 1) % EVERY == 0 and step + 1 < recipe.steps:
                _keep(directory, recipe, towers, optimiser, step + 1)
    save_weights(towers, recipe, directory)
    (directory / STATE).unlink(missing_ok=True)
    return towers.eval()


def loss_of(towers: Towers, one: Batch, recipe: Recipe) -> Tensor:
    """Symmetric contrastive loss over captions, and cross-entropy over queries."""
    groups = [one.captions, *one.queries]
    ends = np.cumsum([len(group) for group in groups])[:-1].tolist()
    seen = towers.pictures(torch.from_numpy(one.pixels))
    captions = towers.captions(torch.from_numpy(tokens([text for group in groups for text in group])))
    sharpness = towers.sharpness.exp().clamp(max=100.0)
    parts = torch.tensor_split(sharpness * seen @ captions.T, ends, dim=1)
    asked, right = torch.from_numpy(one.asked), torch.from_numpy(one.right)
    scores = parts[0].masked_fill(~asked, -math.inf)
    own = torch.arange(len(seen))
    to_text = functional.cross_entropy(scores, own)
    square = scores[:, : len(seen)]
    to_image = functional.cross_entropy(square.T.masked_fill(~asked[:, : len(seen)].T, -math.inf), own)
    assert bool(right[own, own].all())
    questions = [
        -(torch.from_numpy(target).to(part) * functional.log_softmax(part, dim=1)).sum(1).mean()
        for part, target in zip(parts[1:], one.query_right, strict=True)
    ]
    loss = (to_text + to_image) / 2 + recipe.query_weight * torch.stack(questions).mean()
    rivals = torch.from_numpy(one.rivals)
    if bool(rivals.any()):
        some = rivals.any(dim=1)
        pair = scores.masked_fill(~(rivals | right), -math.inf)
        loss = loss + functional.cross_entropy(pair[some], own[some])
    if recipe.readout:
        named = functional.log_softmax(READOUT_SHARPNESS * towers.readout(seen), dim=1)
        loss = loss - recipe.readout * (torch.from_numpy(one.objects).to(named) * named).sum(1).mean()
    return loss


def save_weights(towers: Towers, recipe: Recipe, directory: Path) -> None:
    """Weights (half the bytes of single precision are not worth the rounding) and the recipe beside them."""
    write_tensors(directory / WEIGHTS, dict(towers.state_dict()), {})
    with whole_file(directory / "recipe.json") as partial:
        partial.write_text(json.dumps(recipe.to_json(), indent=1) + "\n", encoding="utf-8")


def _groups(towers: Towers, recipe: Recipe) -> list[dict[str, Any]]:
    """Matrices decay, gains, biases and the temperature do not."""
    flat = [weight for weight in towers.parameters() if weight.ndim < 2]
    deep = [weight for weight in towers.parameters() if weight.ndim >= 2]
    return [{"params": deep, "weight_decay": recipe.weight_decay}, {"params": flat, "weight_decay": 0.0}]


def _step(towers: Towers, optimiser: torch.optim.Optimizer, one: Batch, recipe: Recipe, step: int) -> float:
    warm = min(1.0, (step + 1) / 100)
    rate = recipe.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / recipe.steps)))
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad()
    loss = loss_of(towers, one, recipe)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(towers.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())


def _keep(directory: Path, recipe: Recipe, towers: Towers, optimiser: torch.optim.Optimizer, step: int) -> None:
    arrays = {f"weight.{name}": weight.detach().clone() for name, weight in towers.state_dict().items()}
    for number, state in optimiser.state_dict()["state"].items():
        arrays |= {f"adam.{number}.{key}": value.clone() for key, value in state.items()}
    write_tensors(directory / STATE, arrays, {"step": step, "recipe": recipe.to_json()})


def _restore(directory: Path, recipe: Recipe, towers: Towers, optimiser: torch.optim.Optimizer) -> int:
    """Steps already done; 0 where there is nothing of this recipe, or only a damaged file."""
    try:
        arrays, record = read_tensors(directory / STATE, "pt")
    except StoreError:
        return 0
    if record.get("recipe") != json.loads(json.dumps(recipe.to_json())):
        return 0
    towers.load_state_dict({name[7:]: value for name, value in arrays.items() if name.startswith("weight.")})
    kept = optimiser.state_dict()
    kept["state"] = {}
    for name, value in arrays.items():
        if name.startswith("adam."):
            _, number, key = name.split(".")
            kept["state"].setdefault(int(number), {})[key] = value
    optimiser.load_state_dict(kept)
    return int(record["step"])


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One thread, so that sums are added in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
