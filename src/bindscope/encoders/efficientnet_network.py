"""The network of EfficientNet-Lite0; it imports torch, so it is itself imported where it is used."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import pad

# Blocks: repeats, kernel, stride of the first, expansion, channels out.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class SameConv(nn.Conv2d):
    """Convolution padded as TensorFlow's SAME: an odd row or column of padding goes to the end."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        down, right = (self._padding_of(size, i) for i, size in enumerate(x.shape[-2:]))
        return super().forward(pad(x, (right // 2, right - right // 2, down // 2, down - down // 2)))

    def _padding_of(self, size: int, axis: int) -> int:
        stride, kernel = self.stride[axis], self.kernel_size[axis]
        return int(max((-(-size // stride) - 1) * stride + kernel - size, 0))


def layer(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Convolution and normalisation over the batch."""
    conv, padding = (SameConv, 0) if stride > 1 else (nn.Conv2d, kernel // 2)  # for stride 1 both pad alike
    filters = conv(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    return [filters, nn.BatchNorm2d(outputs, eps=1e-3)]


class Block(nn.Module):
    """Expand, filter each channel, project; added to the input where shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        act = nn.ReLU6(inplace=True)
        self.expand = nn.Sequential(*layer(inputs, wide), act) if expansion > 1 else nn.Identity()
        self.depthwise = nn.Sequential(*layer(wide, wide, kernel, stride, groups=wide), act)
        self.project = nn.Sequential(*layer(wide, outputs))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        new: torch.Tensor = self.project(self.depthwise(self.expand(x)))
        return x + new if self.adds else new


class Network(nn.Module):
    """Stem, blocks, head, mean over positions, classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*layer(3, 32, 3, 2), nn.ReLU6(inplace=True))
        blocks, width = [], 32
        for repeats, kernel, stride, expansion, outputs in STAGES:
            for i in range(repeats):
                blocks.append(Block(width, outputs, kernel, stride if i == 0 else 1, expansion))
                width = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(*layer(width, 1280), nn.ReLU6(inplace=True))
        self.classifier = nn.Linear(1280, 1000)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = self.head(self.blocks(self.stem(x))).mean(dim=(2, 3))
        return pooled

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.classifier(self.features(x))
        return scores
