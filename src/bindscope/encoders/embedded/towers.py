"""The two towers: a four-layer convolutional net over pictures, and a two-layer Transformer over words."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from bindscope.encoders.embedded.recipe import COLORS, HELD_OUT, LENGTH, PAD, SHAPES, Recipe, vocabulary_size

N_OBJECTS = len(COLORS) * len(SHAPES) - len(HELD_OUT)  # those of training


class ImageTower(nn.Module):
    """Pictures `[n, 3, s, s]` in -1..1 -> `[n, d]`: patches of 4 x 4, three convolutions, one linear map of all places."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        widths = (3, *recipe.channels)
        shapes = ((4, 4, 0), *[(3, 2, 1)] * (len(recipe.channels) - 2), (3, 1, 1))  # kernel, stride, padding
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, *k) for (a, b), k in zip(pairwise(widths), shapes, strict=True)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(8, b) for b in widths[1:])
        side = recipe.size
        for kernel, stride, padding in shapes:
            side = (side + 2 * padding - kernel) // stride + 1
        self.out = nn.Linear(recipe.channels[-1] * side * side, recipe.dim)

    def forward(self, pictures: Tensor) -> Tensor:
        """Vectors of any length."""
        x = pictures
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = functional.relu(norm(convolution(x)))
        found: Tensor = self.out(x.flatten(1))
        return found


class Block(nn.Module):
    """One pre-norm Transformer layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix, self.back = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """`[n, t, w]` -> the same; `there` `[n, t]`: which words are no padding."""
        n, t, w = x.shape
        parts = self.mix(self.first(x)).view(n, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], attn_mask=there[:, None, None, :])
        x = x + self.back(mixed.transpose(1, 2).reshape(n, t, w))
        out: Tensor = x + self.down(functional.gelu(self.up(self.second(x))))
        return out


class TextTower(nn.Module):
    """Word numbers `[n, t]` -> `[n, d]`: the mean over words behind the last layer."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary_size(), recipe.width, padding_idx=PAD)
        self.places = nn.Parameter(torch.zeros(LENGTH, recipe.width))
        self.blocks = nn.ModuleList(Block(recipe.width, recipe.heads) for _ in range(recipe.layers))
        self.norm = nn.LayerNorm(recipe.width)
        self.out = nn.Linear(recipe.width, recipe.dim)

    def forward(self, numbers: Tensor) -> Tensor:
        """Vectors of any length."""
        there = numbers != PAD
        x = self.words(numbers) + self.places[: numbers.shape[1]]
        for block in self.blocks:
            x = block(x, there)
        weights = there.to(x.dtype)[:, :, None]
        found: Tensor = self.out((self.norm(x) * weights).sum(1) / weights.sum(1).clamp_min(1.0))
        return found


class Towers(nn.Module):
    """Both towers, the temperature of the contrastive loss, and the read-out of objects that only training uses."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.image, self.text = ImageTower(recipe), TextTower(recipe)
        self.sharpness = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.readout = nn.Linear(recipe.dim, N_OBJECTS)

    def pictures(self, pixels: Tensor) -> Tensor:
        """Unit vectors of uint8 pictures `[n, s, s, 3]`."""
        scaled = pixels.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0
        return functional.normalize(self.image(scaled), dim=1)

    def captions(self, numbers: Tensor) -> Tensor:
        """Unit vectors of word numbers."""
        return functional.normalize(self.text(numbers), dim=1)


def fresh_towers(recipe: Recipe) -> Towers:
    """Towers with weights that depend on the recipe's seed alone."""
    towers = Towers(recipe)
    dice = torch.Generator().manual_seed(recipe.seed)
    with torch.no_grad():
        for name, weight in sorted(towers.named_parameters()):
            if weight.ndim < 2:
                continue  # biases stay zero, gains one
            spread = (
                0.3 if name == "text.words.weight" else 0.02 if name == "text.places" else weight[0].numel() ** -0.5
            )
            weight.normal_(0.0, spread, generator=dice)
        for module in towers.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)) and module.bias is not None:
                module.bias.zero_()
        towers.text.words.weight[PAD] = 0.0
    return towers
