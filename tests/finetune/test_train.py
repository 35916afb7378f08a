"""The loop on a tiny model: losses against loops, exact resume, what is trained, averages, and that it learns."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bindscope.errors import InputError, StoreError
from bindscope.finetune.config import FinetuneConfig, make_config, read_config
from bindscope.finetune.losses import caption_loss, keep_loss, query_loss, similarity_loss
from bindscope.finetune.towers import choose_weights, load_tower
from bindscope.finetune.train import average, finetune, prepare_directory
from tiny import save_tiny_encoder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"st:{save_tiny_encoder(tmp_path_factory.mktemp('models'))}"


def small(model: str, **changes: Any) -> FinetuneConfig:
    base: dict[str, Any] = {"data": "text:10x10", "steps": 6, "batch": 6, "evaluate_every": 2, "checkpoint_every": 2}
    base |= {"keep_texts": 30, "keep_batch": 4, "keep_captions": 4, "threads": 1}
    return make_config(model=model, **{**base, **changes})


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(drawn, dim=1)


def test_caption_loss_by_hand() -> None:
    anchors, positives, negatives = unit(3, 5), unit(3, 5, seed=1), unit(4, 5, seed=2)
    losses = []
    for one, other in ((anchors, positives), (positives, anchors)):
        for i in range(3):
            scores = [7.0 * float(one[i] @ text) for text in (*other, *negatives)]
            losses.append(np.log(np.exp(scores).sum()) - scores[i])
    assert float(caption_loss(anchors, positives, negatives, 7.0)) == pytest.approx(np.mean(losses), rel=1e-5)


def test_query_loss_by_hand() -> None:
    scenes, queries = unit(2, 5), unit(4, 5, seed=1)
    shown = torch.tensor([[True, True, False, False], [False, True, False, False]])
    losses = []
    for i, here in enumerate(shown.tolist()):
        scores = [7.0 * float(scenes[i] @ query) for query in queries]
        away = sum(np.exp(s) for s, h in zip(scores, here, strict=True) if not h)
        losses += [np.log(np.exp(s) + away) - s for s, h in zip(scores, here, strict=True) if h]
    assert float(query_loss(scenes, queries, shown, 7.0)) == pytest.approx(np.mean(losses), rel=1e-5)


def test_losses_of_staying() -> None:
    base, moved = unit(6, 4), unit(6, 4, seed=1)
    turned = (
        base @ torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64))[0]
    )
    assert float(keep_loss(base, base)) == pytest.approx(0.0, abs=1e-9)
    assert float(keep_loss(turned, base)) > 0.1
    assert float(similarity_loss(turned, base)) == pytest.approx(0.0, abs=1e-9)  # a turn changes no similarity
    change = ((moved @ moved.T - base @ base.T).numpy() ** 2)[~np.eye(6, dtype=bool)].mean()
    assert float(similarity_loss(moved, base)) == pytest.approx(change, rel=1e-5)


def test_a_killed_run_ends_in_the_same_bytes(tiny: str, tmp_path: Path) -> None:
    whole = finetune(small(tiny), tmp_path / "whole")
    assert finetune(small(tiny), tmp_path / "parts", stop_after=1) is None  # left off before the first checkpoint
    assert finetune(small(tiny), tmp_path / "parts", stop_after=3) is None  # and after the one at 2
    assert not (tmp_path / "parts" / "raw.safetensors").exists()
    parts = finetune(small(tiny), tmp_path / "parts")
    again = finetune(small(tiny), tmp_path / "parts")
    assert whole is not None
    assert parts is not None
    assert again is not None
    raw = [(tmp_path / name / "raw.safetensors").read_bytes() for name in ("whole", "parts")]
    assert raw[0] == raw[1]
    strip = [[{k: v for k, v in line.items() if k != "seconds"} for line in run.log] for run in (whole, parts, again)]
    assert strip[0] == strip[1] == strip[2]
    assert [line["step"] for line in whole.log] == [0, 2, 4, 6]
    for share in (0.0, 0.5, 1.0):
        first, second = (run.use(share).vectors(["a red cube", "it"]) for run in (whole, again))
        assert np.array_equal(first, second)


def test_a_killed_run_with_other_weights_than_all_goes_on(tiny: str, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    for train in ("last:1", "lora:2"):
        config = small(tiny, train=train, steps=4)
        finetune(config, tmp_path / f"{train}-whole")
        finetune(config, tmp_path / f"{train}-parts", stop_after=3)
        parts = finetune(config, tmp_path / f"{train}-parts")
        assert parts is not None
        raw = [(tmp_path / f"{train}-{name}" / "raw.safetensors").read_bytes() for name in ("whole", "parts")]
        assert raw[0] == raw[1]
        moved = [name for name in parts.raw if not torch.equal(parts.raw[name], parts.base[name])]
        assert moved
        assert all("layer.1." in name for name in moved) == (train == "last:1")
        assert not any("embeddings" in name or "lora" in name for name in moved)


def test_a_directory_of_something_else_is_refused(tiny: str, tmp_path: Path) -> None:
    prepare_directory(small(tiny), tmp_path / "run")
    prepare_directory(small(tiny, threads=2), tmp_path / "run")  # how it is carried out does not count
    with pytest.raises(StoreError, match="a fine-tuning run of other settings"):
        prepare_directory(small(tiny, seed=4), tmp_path / "run")
    with pytest.raises(StoreError, match="is no fine-tuning run"):
        prepare_directory(small(tiny), Path(tiny[3:]))
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot make"):
        prepare_directory(small(tiny), tmp_path / "file" / "run")
    with pytest.raises(StoreError, match=r"finetune.json is missing"):
        read_config(tmp_path / "nowhere")
    shutil.copytree(tmp_path / "run", tmp_path / "damaged")
    (tmp_path / "damaged" / "finetune.json").write_text("{", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot read"):
        read_config(tmp_path / "damaged")


def test_patience_stops_early(tiny: str, tmp_path: Path) -> None:
    run = finetune(small(tiny, steps=40, learning_rate=1e-9, patience=1), tmp_path / "run")
    assert run is not None
    assert run.log[-1]["step"] < 40


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"coverage": 1.5}, "setting coverage: input should be less than 1"),
        ({"stepz": 3}, "fine-tuning has no setting 'stepz'"),
        ({"train": "first:2"}, "setting train"),
        ({"checkpoint_every": 3}, "must be a multiple of evaluate_every"),
        ({"average": 0.0}, "setting average"),
    ],
)
def test_settings_that_do_not_fit(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        small("st:x", **changes)


def test_models_that_cannot_be_trained(tiny: str) -> None:
    with pytest.raises(InputError, match="finetune trains st:, hf:, openclip: and embedded:"):
        load_tower("planted:bag?dim=8")
    with pytest.raises(InputError, match="has 2 layers"):
        choose_weights(load_tower(tiny), "last:3")


def test_token_embeddings_stay_and_the_layers_are_found(tiny: str) -> None:
    tower = load_tower(tiny)
    assert len(tower.layers()) == 2
    names = [name for name, _ in choose_weights(tower, "all")]
    assert not any("word_embeddings" in name for name in names)
    assert any("layer.0" in name for name in names)
    assert sum(weight.requires_grad for weight in tower.module.parameters()) == len(names)


def test_vectors_are_those_of_the_library(tiny: str) -> None:
    from sentence_transformers import SentenceTransformer

    texts = ["a red cube and a blue ball", "it", "a photo of a green cone next to the black hat"]
    expected = SentenceTransformer(tiny[3:], device="cpu").encode(texts)
    assert np.allclose(load_tower(tiny).vectors(texts), expected, atol=1e-5)


def test_average_is_exact_at_its_ends() -> None:
    base, raw = torch.tensor([0.1, 0.2]), torch.tensor([0.3, 0.7])
    assert average(base, raw, 0.0) is base
    assert average(base, raw, 1.0) is raw
    assert torch.allclose(average(base, raw, 0.25), torch.tensor([0.15, 0.325]))
    whole = torch.tensor([3, 4])
    assert average(whole, whole, 0.5) is whole


def test_the_embedded_encoder_learns_to_bind(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "concepts:\n  color: [red, blue, green, yellow, purple, orange]\n  shape: [circle, square, triangle, star, heart]\n",
        encoding="utf-8",
    )
    config = small(
        "embedded:bag", data=f"text:{tmp_path / 'own.yaml'}", held_out_values=0.0, steps=100, evaluate_every=100,
        checkpoint_every=100, batch=24, coverage=0.7, learning_rate=3e-3, relations=0.0, apart=0.0, places=0.0, wordings=3,
        precision="float32", keep_weight=1.0, similarity_weight=0.0,
    )  # fmt: skip
    run = finetune(config, tmp_path / "run")
    assert run is not None
    assert run.log[-1]["naming_validation"] > run.log[0]["naming_validation"] + 0.15
    run.use(1.0).save(tmp_path / "saved")
    saved = load_tower(f"embedded:{tmp_path / 'saved'}")
    assert np.array_equal(saved.vectors(["a red circle"]), run.tower.vectors(["a red circle"]))
