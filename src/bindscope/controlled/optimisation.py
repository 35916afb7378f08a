"""Optimisers: Muon for the hidden matrices with AdamW for the rest, or AdamW for all; warm-up and decay."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from bindscope.controlled.config import TrainConfig
from bindscope.controlled.model import DualEncoder

FLOOR = 0.02  # share of the peak rate that a decaying schedule ends at


class Muon(torch.optim.Optimizer):
    """Momentum whose update of each matrix is replaced by its nearest semi-orthogonal matrix (up to the iteration's error).

    The update is scaled by sqrt(max(1, rows / columns)). Method: K. Jordan et al., Muon (2024).
    """

    def __init__(self, params: Iterable[Tensor], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(list(params), {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update with Nesterov momentum and decoupled weight decay."""
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            moved = [self._momentum(parameter, group["momentum"]) for parameter in parameters]
            for parameter, update in zip(parameters, orthogonal(moved), strict=True):
                rows, columns = parameter.shape
                step = -group["lr"] * math.sqrt(max(1.0, rows / columns))
                parameter.mul_(1.0 - group["lr"] * group["weight_decay"]).add_(update, alpha=step)

    def _momentum(self, parameter: Tensor, momentum: float) -> Tensor:
        assert parameter.grad is not None
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer: Tensor = state["momentum_buffer"]
        buffer.lerp_(parameter.grad, 1.0 - momentum)
        return parameter.grad.lerp(buffer, momentum)


def orthogonal(matrices: Sequence[Tensor], steps: int = 5) -> list[Tensor]:
    """Matrices `[r, c]` with singular values moved close to 1 (0.7 to 1.2), directions kept.

    Newton-Schulz steps of the quintic 3.4445 x - 4.7750 x^3 + 2.0315 x^5 on the singular values, in single precision
    (processors without bf16 emulate it, some five times slower). A step multiplies by p(X X^T), and these commute: the
    product is built from the Gram matrices, of the smaller side, of all matrices of one such size at once.
    """
    wide = [matrix.T if matrix.shape[0] > matrix.shape[1] else matrix for matrix in matrices]
    wide = [matrix / (matrix.norm() + 1e-7) for matrix in wide]
    sizes: dict[int, list[int]] = {}
    for number, matrix in enumerate(wide):
        sizes.setdefault(matrix.shape[0], []).append(number)
    for numbers in sizes.values():
        factors = _factors(torch.stack([wide[i] @ wide[i].T for i in numbers]), steps)
        for i, factor in zip(numbers, factors, strict=True):
            wide[i] = factor @ wide[i]
    return [w.T if m.shape[0] > m.shape[1] else w for w, m in zip(wide, matrices, strict=True)]


def _factors(grams: Tensor, steps: int) -> Tensor:
    """Products of p(G) over the steps, `[b, s, s]` from Gram matrices; G becomes p(G)^2 G at each."""
    product: Tensor | None = None
    for step in range(steps):
        factor = torch.baddbmm(grams, grams, grams, beta=-4.7750, alpha=2.0315)
        factor.diagonal(dim1=1, dim2=2).add_(3.4445)
        product = factor if product is None else factor @ product
        if step + 1 < steps:
            grams = factor @ (factor @ grams)
    assert product is not None
    return product


def make_optimizers(model: DualEncoder, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Muon (where asked for) on two-dimensional weights inside the blocks; AdamW without decay on norms and biases."""
    hidden = [p for n, p in model.named_parameters() if ".blocks." in n and p.ndim == 2]
    chosen = {id(p) for p in hidden} if config.optimizer == "muon" else set()
    rest = [p for p in model.parameters() if id(p) not in chosen]
    groups = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
    ]
    found: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)
    ]
    if chosen:
        found.append(Muon(hidden, lr=config.muon_learning_rate, weight_decay=config.weight_decay))
    for optimizer in found:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return found


def set_rates(optimizers: Iterable[torch.optim.Optimizer], config: TrainConfig, step: int) -> None:
    """The learning rates of a step: a function of the step alone."""
    factor = rate_factor(config, step)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor


def rate_factor(config: TrainConfig, step: int) -> float:
    """Share of the peak rate at a step (from 0): linear warm-up, then cosine, linear or constant."""
    warmup = min(config.warmup, max(config.steps // 10, 1))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(config.steps - warmup, 1)
    if config.schedule == "constant":
        return 1.0
    left = 1.0 - done if config.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return FLOOR + (1 - FLOOR) * left


def contrastive(scores: Tensor, positive: Tensor) -> Tensor:
    """Both directions, averaged; scores and positive `[B, Q]`, positive boolean."""
    target = positive.float()
    return (one_way(scores, target) + one_way(scores.T, target.T)) / 2


def one_way(scores: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of rows against a uniform target over their positives; rows without any are left out."""
    count = target.sum(dim=1)
    log = torch.log_softmax(scores.float(), dim=1)
    rows = -(log * target).sum(dim=1) / count.clamp(min=1)
    used = count > 0
    return (rows * used).sum() / used.sum().clamp(min=1)


def shown(scenes: Tensor, asked: Tensor) -> Tensor:
    """Which asked objects `[Q]` each scene `[B, m]` shows, `[B, Q]`."""
    return (scenes[:, :, None] == asked[None, None, :]).any(dim=1)


def values_shown(values: Tensor, concept: int, size: int) -> Tensor:
    """Which values of a concept each scene `[B, m, C]` shows, `[B, V]`."""
    asked = torch.arange(size, device=values.device)
    return (values[:, :, concept, None] == asked[None, None, :]).any(dim=1)
