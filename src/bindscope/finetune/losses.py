"""What fine-tuning minimises: captions against hard negatives, scenes against objects, and staying where the base is."""

from __future__ import annotations

import torch
from torch import Tensor


def caption_loss(anchors: Tensor, positives: Tensor, negatives: Tensor, scale: float) -> Tensor:
    """Mean cross-entropy of finding the paraphrase among all texts of the batch, captions and paraphrases as anchors.

    anchors, positives `[n, d]` and hard negatives `[h, d]` of unit length.
    Every negative is a candidate for every anchor.
    """
    target = torch.arange(len(anchors), device=anchors.device)
    total = torch.zeros((), device=anchors.device)
    for one, other in ((anchors, positives), (positives, anchors)):
        scores = scale * one @ torch.cat([other, negatives]).T
        total = total + torch.nn.functional.cross_entropy(scores.float(), target)
    return total / 2


def query_loss(scenes: Tensor, queries: Tensor, shown: Tensor, scale: float) -> Tensor:
    """Mean over scenes and their objects of the cross-entropy of an object against all objects that the scene lacks.

    scenes `[n, d]`, queries `[q, d]`, shown `[n, q]` bool. An object of the scene is no competitor of another one.
    """
    scores = (scale * scenes @ queries.T).float()
    others = torch.logsumexp(scores.masked_fill(shown, -torch.inf), dim=1, keepdim=True)
    each = torch.nn.functional.softplus(others - scores)
    return each[shown].mean()


def keep_loss(vectors: Tensor, base: Tensor) -> Tensor:
    """Mean of 1 - cosine with the vectors of the base, both of unit length `[n, d]`; 0 where nothing moved."""
    return (1 - (vectors * base).sum(dim=1)).mean()


def similarity_loss(vectors: Tensor, base: Tensor) -> Tensor:
    """Mean square of what changed in the cosine similarities of different texts, vectors `[n, d]` of unit length."""
    change = (vectors @ vectors.T - base @ base.T).float()
    apart = ~torch.eye(len(change), dtype=torch.bool, device=change.device)
    return change[apart].square().mean()
