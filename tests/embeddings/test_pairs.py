"""Vectors of pairs: both towers of a dual encoder against the model itself, and through the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bindscope.analyses.pairs.similarity import Sides, score
from bindscope.datasets.pairs import PairSet, load_pairs
from bindscope.embeddings.pairs import PairVectors, embed_pairs
from bindscope.encoders import load_encoder
from bindscope.errors import InputError, VectorsError
from encoders import tiny
from paired import swaps, written


def seen_pairs(folder: Path) -> PairSet:
    from PIL import Image

    rows = [
        {**row, "caption": "a red cube", "negative_caption": "a cube red", "caption2": "a cube", "filename": f"{i}.png"}
        for i, row in enumerate(swaps(3))
    ]
    for i in range(3):
        Image.new("RGB", (32, 32), (80 * i, 30, 200 - 60 * i)).save(folder / f"{i}.png")
    return load_pairs(written(folder, rows).removeprefix("pairs:"), "pairs:here")


def test_both_towers_give_what_the_model_itself_gives(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from PIL import Image
    from transformers import AutoProcessor, CLIPModel

    (tmp_path / "clip").mkdir()
    place = tiny.save_clip(tmp_path / "clip")
    pairs = seen_pairs(tmp_path)
    found = embed_pairs(load_encoder(f"hf:{place}"), pairs, cache=tmp_path / "cache")
    assert found.images is not None
    scores = score(pairs, Sides.of_vectors(found.texts, found.images))
    model, processor = CLIPModel.from_pretrained(place).eval(), AutoProcessor.from_pretrained(place)
    texts = ["a red cube", "a cube", "a cube red"]
    images = [Image.open(path) for path in pairs.images]
    with torch.no_grad():
        out = model(**processor(text=texts, images=images, return_tensors="pt", padding=True))
    cosine = (out.logits_per_image / model.logit_scale.exp()).detach().numpy()
    np.testing.assert_allclose(scores.seen, cosine[:, :2], atol=2e-5)
    np.testing.assert_allclose(scores.seen_wrong[:, 0], cosine[:, 2], atol=2e-5)
    again = embed_pairs(load_encoder(f"hf:{place}"), pairs, cache=tmp_path / "cache")
    assert (again.texts == found.texts).all()


def test_vectors_from_a_file_stand_in_the_order_of_the_texts(tmp_path: Path) -> None:
    pairs = load_pairs(written(tmp_path, swaps(5)).removeprefix("pairs:"), "pairs:here")
    vectors = np.random.default_rng(0).normal(size=(len(pairs.texts), 8)).astype(np.float32)
    np.save(tmp_path / "v.npy", vectors)
    found = embed_pairs(load_encoder(f"file:{tmp_path / 'v.npy'}"), pairs)
    assert (found.texts == vectors).all()
    assert pairs.texts[:3] == tuple(swaps(1)[0][key] for key in ("caption", "caption2", "negative_caption"))
    np.save(tmp_path / "v.npy", vectors[:4])
    with pytest.raises(VectorsError, match="holds 4 vectors and pairs:here has 15 rows"):
        embed_pairs(load_encoder(f"file:{tmp_path / 'v.npy'}"), pairs)


def test_sides_of_other_widths_and_models_without_captions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VectorsError, match="pictures have 3 dimensions, captions 4"):
        PairVectors(np.eye(4, dtype=np.float32), np.eye(3, dtype=np.float32), model="m")
    (tmp_path / "vit").mkdir()
    pytest.importorskip("torch")
    with pytest.raises(InputError, match="reads pictures and no captions"):
        embed_pairs(load_encoder(f"hf:{tiny.save_vit(tmp_path / 'vit', pooler=True)}"), seen_pairs(tmp_path))
    rows = [{k: v for k, v in row.items() if k != "filename"} for row in swaps(3)]
    bare = load_pairs(written(tmp_path, rows).removeprefix("pairs:"), "pairs:here")
    with pytest.raises(InputError, match="reads no text, and pairs:here has no pictures here"):
        embed_pairs(load_encoder(f"hf:{tmp_path / 'vit'}"), bare)
