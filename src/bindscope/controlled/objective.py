"""The loss: symmetric contrastive with several positives, over objects and over the values of each concept.

With scores s_ij = scale * cos(f(scene_i), q(query_j)) and positives P_i (and P_j): mean over scenes, and over queries
that have a scene in the batch, of - mean_{positives} log softmax. Several positives share the softmax, as the target
is uniform over them.
"""

from __future__ import annotations

import torch
from torch import Tensor


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
