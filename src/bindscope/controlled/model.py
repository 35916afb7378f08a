"""Scene encoder f and query encoder q: pre-norm Transformers over tokens of concepts or of objects.

tokens=object: one token an object, the sum of its concept embeddings; a scene is a set. tokens=concept: start of
object, C concept tokens, end of object, and so on, with learnt positions. The vector is read at an end token.
A value alone is asked with the same words: the other concepts are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from bindscope.controlled.config import TrainConfig

INIT = 0.02


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, heads: int, feed_forward: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, feed_forward), nn.Linear(feed_forward, width)

    def forward(self, x: Tensor, mask: Tensor | None, first: int = 0) -> Tensor:
        """Tokens `[B, T, w]`; mask `[B, 1, 1, T]` is True where a token may be seen, None where all may.

        first: only tokens from this one on are moved and given back `[B, T - first, w]`; they see all.
        """
        batch, length, width = x.shape
        normed = self.norm1(x)
        if first:
            q = functional.linear(normed[:, first:], self.qkv.weight[:width], self.qkv.bias[:width])
            kv = functional.linear(normed, self.qkv.weight[width:], self.qkv.bias[width:])
            x = x[:, first:]
        else:
            q, kv = self.qkv(normed).split([width, 2 * width], dim=2)
        q = q.reshape(batch, length - first, self.heads, -1)
        k, v = kv.reshape(batch, length, 2, self.heads, -1).unbind(2)
        seen = functional.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask
        )
        x = x + self.out(seen.transpose(1, 2).reshape(batch, length - first, width))
        moved: Tensor = x + self.down(functional.gelu(self.up(self.norm2(x))))
        return moved


class Tower(nn.Module):
    """Values `[B, m, C]` (-1: no object, or a concept that is not asked) to vectors `[B, output]`."""

    offsets: Tensor

    def __init__(self, config: TrainConfig, slots: int) -> None:
        super().__init__()
        self.config, self.slots = config, slots
        self.register_buffer("offsets", torch.arange(config.concepts) * config.values, persistent=False)
        words = config.concepts * config.values
        self.embedding = nn.Embedding(words + 4, config.width)  # start, stop, end, padding
        self.start, self.stop, self.end, self.padding = range(words, words + 4)
        self.length = slots * (config.concepts + 2) + 1 if config.tokens == "concept" else slots + 1
        self.positions = nn.Parameter(torch.zeros(self.length, config.width)) if config.tokens == "concept" else None
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.feed_forward) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.head = make_head(config)

    def forward(self, values: Tensor) -> Tensor:
        """Vectors of unit length `[B, output]`."""
        tokens, seen = self.concept_tokens(values) if self.positions is not None else self.object_tokens(values)
        mask = None if bool(seen.all()) else seen[:, None, None, :]
        for block in self.blocks[:-1]:
            tokens = block(tokens, mask)
        tokens = self.blocks[-1](tokens, mask, tokens.shape[1] - 1)  # only the end token is read
        return functional.normalize(self.head(self.norm(tokens[:, -1])), dim=-1)

    def object_tokens(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """One token an object and the end token `[B, m + 1, w]`, and which of them are there."""
        here = values >= 0
        words = torch.where(here, values + self.offsets, self.padding)
        summed = (self.embedding(words) * here[..., None]).sum(dim=2)
        end = self.embedding.weight[self.end].expand(len(values), 1, -1)
        seen = torch.cat([here.any(dim=2), here.new_ones(len(values), 1)], dim=1)
        return torch.cat([summed, end], dim=1), seen

    def concept_tokens(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """start, C concepts, stop for each object, then the end token: `[B, m (C + 2) + 1, w]`."""
        assert self.positions is not None
        batch, slots, _ = values.shape
        here = values >= 0
        there = here.any(dim=2, keepdim=True)
        words = torch.where(here, values + self.offsets, self.padding)
        starts = torch.full_like(there, self.start, dtype=torch.long)
        words = torch.cat([starts, words, starts * 0 + self.stop], dim=2).reshape(batch, -1)
        seen = torch.cat([there, here, there], dim=2).reshape(batch, -1)
        words = torch.cat([words, words.new_full((batch, 1), self.end)], dim=1)
        seen = torch.cat([seen, seen.new_ones(batch, 1)], dim=1)
        places = torch.cat([self.positions[: slots * (values.shape[2] + 2)], self.positions[-1:]])
        return self.embedding(words) + places, seen


class ProductHead(nn.Module):
    """A multiplicative read-out: linear(x) + mix(prod_k project_k(x)), with one factor a concept."""

    def __init__(self, width: int, output: int, factors: int) -> None:
        super().__init__()
        self.plain = nn.Linear(width, output)
        self.factors = nn.Linear(width, factors * width)
        self.mix = nn.Linear(width, output)
        self.count = factors

    def forward(self, x: Tensor) -> Tensor:
        """Vectors `[B, output]` of tokens `[B, w]`."""
        product = self.factors(x).view(len(x), self.count, -1).prod(dim=1)
        mixed: Tensor = self.plain(x) + self.mix(product)
        return mixed


def make_head(config: TrainConfig) -> nn.Module:
    """The read-out that the settings name."""
    if config.head == "product":
        return ProductHead(config.width, config.output, max(config.concepts, 2))
    return nn.Linear(config.width, config.output)


class DualEncoder(nn.Module):
    """Scene encoder, query encoder and the learnt temperature of their cosine."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.scene = Tower(config, config.objects)
        self.query = Tower(config, 1)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    @property
    def scale(self) -> Tensor:
        """1 / temperature, at most 100."""
        return self.log_scale.clamp(max=math.log(100.0)).exp()


@dataclass(frozen=True)
class Sizes:
    """Numbers of parameters of one encoder and of both."""

    scene: int
    total: int


def build_model(config: TrainConfig) -> DualEncoder:
    """A model with all initialisation in one place: normal 0.02, residual outputs smaller by sqrt(2 layers), biases 0."""
    model = DualEncoder(config)
    generator = torch.Generator().manual_seed(config.seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif "norm" not in name and parameter.ndim > 1:
                deviation = INIT if "embedding" in name or "positions" in name else parameter.shape[1] ** -0.5
                if name.endswith(("out.weight", "down.weight")):
                    deviation /= math.sqrt(2 * config.layers)
                parameter.normal_(0.0, deviation, generator=generator)
    return model


def sizes(model: DualEncoder) -> Sizes:
    """How many parameters a model has."""
    scene = sum(p.numel() for p in model.scene.parameters())
    return Sizes(scene, sum(p.numel() for p in model.parameters()))
