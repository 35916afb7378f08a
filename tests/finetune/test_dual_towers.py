"""Text towers of models with two: same vectors as the encoder, the image side stays, and the saved model is loaded again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bindscope.encoders import load_encoder
from bindscope.errors import InputError
from bindscope.finetune.towers import Tower, choose_weights, load_tower
from encoders.pictures import text_items
from encoders.tiny import CAPTIONS, save_clip, save_dinov2, save_siglip

torch = pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")
SMALL = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="module", autouse=True)
def architecture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("architectures")
    (folder / "tuned-small.json").write_text(json.dumps(SMALL), encoding="utf-8")
    open_clip.add_model_config(folder)
    yield
    open_clip.factory._MODEL_CONFIG_PATHS.remove(folder)
    open_clip.factory._MODEL_CONFIGS.pop("tuned-small")


def one_step(tower: Tower) -> None:
    """Move every trained weight a little."""
    weights = [weight for _, weight in choose_weights(tower, "all")]
    (tower.embed(CAPTIONS) @ torch.ones(16 if "siglip" not in tower.name else 32)).sum().backward()
    with torch.no_grad():
        for weight in weights:
            assert weight.grad is not None
            weight.add_(weight.grad, alpha=0.01)


def check(name: str, saved: str, folder: Path) -> None:
    tower = load_tower(name)
    encoder = load_encoder(name)
    expected = np.asarray(encoder.encode(text_items(CAPTIONS)))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(tower.vectors(CAPTIONS), expected, atol=1e-4)
    assert len(tower.layers()) == 2
    before = {key: tensor.clone() for key, tensor in tower.module.state_dict().items()}
    one_step(tower)
    moved = [key for key, tensor in tower.module.state_dict().items() if not torch.equal(tensor, before[key])]
    assert moved
    assert not any("vis" in key or "token_embedding" in key or "logit" in key for key in moved)
    tower.save(folder)
    again = load_tower(saved)
    assert np.allclose(again.vectors(CAPTIONS), tower.vectors(CAPTIONS), atol=1e-5)
    assert not np.allclose(again.vectors(CAPTIONS), expected, atol=1e-4)


def test_clip_of_transformers(tmp_path: Path) -> None:
    place = save_clip(tmp_path / "clip")
    check(f"hf:{place}", f"hf:{tmp_path / 'out'}", tmp_path / "out")
    assert (tmp_path / "out" / "preprocessor_config.json").is_file()


def test_siglip_of_transformers(tmp_path: Path) -> None:
    place = save_siglip(tmp_path / "siglip")
    check(f"hf:{place}", f"hf:{tmp_path / 'siglip-out'}", tmp_path / "siglip-out")


def test_clip_of_open_clip(tmp_path: Path) -> None:
    out = tmp_path / "out"
    check("openclip:tuned-small,?seed=3", f"openclip:tuned-small,{out / 'open_clip_model.safetensors'}", out)
    config = json.loads((out / "open_clip_config.json").read_text(encoding="utf-8"))
    assert config["model_cfg"]["embed_dim"] == 16


def test_a_model_without_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reads no text"):
        load_tower(f"hf:{save_dinov2(tmp_path / 'dino')}")
