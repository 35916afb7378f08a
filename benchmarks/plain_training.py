"""A plain training loop for dual encoders on symbolic scenes, as the baseline that bindscope is compared with.

Written from the description of arXiv 2605.31503: torch's own Transformer encoder (pre-norm), one token per concept between
delimiters, scenes drawn and spelled in Python, queries padded to the length of a scene, AdamW, single precision. The loss
is the one that bindscope trains with.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from bindscope.controlled.config import TrainConfig
from bindscope.controlled.optimisation import contrastive
from bindscope.controlled.sampling import split_run

Object = tuple[int, ...]  # values of an object; an item of one value has a single entry, see `spell`


class PlainEncoder(nn.Module):
    """Words `[B, T]` to vectors `[B, output]`, read at the end token."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.start, self.stop, self.end, self.padding = range(
            config.concepts * config.values, config.concepts * config.values + 4
        )
        length = config.objects * (config.concepts + 2) + 1
        self.embedding = nn.Embedding(config.concepts * config.values + 4, config.width)
        self.positions = nn.Parameter(torch.zeros(length, config.width))
        layer = nn.TransformerEncoderLayer(
            config.width, config.heads, config.feed_forward, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(
            layer, config.layers, nn.LayerNorm(config.width), enable_nested_tensor=False
        )
        self.head = nn.Linear(config.width, config.output)

    def forward(self, words: Tensor) -> Tensor:
        """Vectors of unit length."""
        tokens = self.embedding(words) + self.positions[: words.shape[1]]
        tokens = self.blocks(tokens, src_key_padding_mask=words == self.padding)
        ends = (words == self.end).int().argmax(dim=1)
        return functional.normalize(self.head(tokens[torch.arange(len(words)), ends]), dim=-1)


class PlainLoop:
    """One run of the plain loop; a step draws, spells, scores and updates."""

    def __init__(self, config: TrainConfig) -> None:
        torch.manual_seed(config.seed)
        self.config, self.draw = config, random.Random(config.seed)
        objects = split_run(config)
        self.objects: list[Object] = [tuple(map(int, v)) for v in objects.space.object_values(objects.train)]
        self.scene, self.query = PlainEncoder(config), PlainEncoder(config)
        self.log_scale = nn.Parameter(torch.tensor(10.0).log())
        self.parameters = [*self.scene.parameters(), *self.query.parameters(), self.log_scale]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=config.learning_rate, weight_decay=config.weight_decay)

    def spell(self, objects: Sequence[Sequence[tuple[int, int]]]) -> list[int]:
        """Words of an item, padded to the length of a scene; an object is a list of (concept, value)."""
        encoder, config = self.scene, self.config
        words: list[int] = []
        for one in objects:
            words += [encoder.start, *(concept * config.values + value for concept, value in one), encoder.stop]
        words.append(encoder.end)
        return words + [encoder.padding] * (config.objects * (config.concepts + 2) + 1 - len(words))

    def step(self) -> float:
        """One update; the loss in nats."""
        config = self.config
        scenes = [self.draw.sample(self.objects, config.objects) for _ in range(config.batch)]
        spelled = torch.tensor([self.spell([list(enumerate(o)) for o in scene]) for scene in scenes])
        asked = torch.tensor([self.spell([list(enumerate(o))]) for o in self.objects])
        shown = torch.tensor([[one in scene for one in self.objects] for scene in scenes])
        vectors, scale = self.scene(spelled), self.log_scale.clamp(max=4.6).exp()
        loss = contrastive(scale * vectors @ self.query(asked).T, shown)
        for concept in range(config.concepts):
            values = torch.tensor([self.spell([[(concept, value)]]) for value in range(config.values)])
            there = torch.tensor([[any(o[concept] == v for o in s) for v in range(config.values)] for s in scenes])
            loss = loss + contrastive(scale * vectors @ self.query(values).T, there) / config.concepts
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        return float(loss.detach())


def plain_flops(config: TrainConfig) -> float:
    """FLOPs of the matrix products of a step, forward and backward: every item has the length of a scene."""
    tokens = config.objects * (config.concepts + 2) + 1
    layer = 2.0 * (4 * config.width**2 + 2 * config.width * config.feed_forward) + 4.0 * tokens * config.width
    asked = round(config.coverage * config.n_objects) + config.concepts * config.values
    items = config.batch + asked
    return 3.0 * (
        items * (config.layers * tokens * layer + 2.0 * config.width * config.output)
        + 2.0 * config.batch * asked * config.output
    )
