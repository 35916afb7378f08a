"""`openclip:`: a small architecture against the library called by hand, with checkpoints on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bindscope.datasets import load_dataset
from bindscope.embeddings import embed
from bindscope.encoders import hub as checkpoints
from bindscope.encoders import load_encoder
from bindscope.encoders.prefixes import PrefixTree
from bindscope.errors import BindscopeWarning, InputError, MissingExtraError, StoreError, UnknownNameError
from encoders.pictures import image_dataset, image_items, text_items, write_pictures
from encoders.tiny import CAPTIONS

torch = pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")

SMALL: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
KINDS = {
    "small": SMALL,
    "small-quickgelu": {**SMALL, "quick_gelu": True},
    "small-own-text": {**SMALL, "custom_text": True},  # the text tower as a module of its own
    "small-both-ways": {**SMALL, "text_cfg": {**SMALL["text_cfg"], "no_causal_mask": True, "pool_type": "last"}},
}


@pytest.fixture(scope="module", autouse=True)
def architectures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("architectures")
    for name, config in KINDS.items():
        (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    yield
    open_clip.factory._MODEL_CONFIG_PATHS.remove(folder)
    for name in KINDS:
        open_clip.factory._MODEL_CONFIGS.pop(name)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Weights with nothing at its neutral value (gains, biases)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = open_clip.create_model("small")
        with torch.no_grad():
            for tensor in model.parameters():
                tensor.add_(torch.randn(tensor.shape) * 0.2)
    path = tmp_path / "weights.pt"
    torch.save(model.state_dict(), path)
    return path


@pytest.fixture
def tags(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tags of the small architecture on disk: one wants QuickGELU, one does not; one has its own pixels."""
    ours = {"file": str(checkpoint), "mean": (0.1, 0.2, 0.3), "std": (0.5, 0.5, 0.5), "resize_mode": "squash"}
    known = {"quick": {**ours, "quick_gelu": True}, "plain": {"file": str(checkpoint)}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "small", known)


def by_hand(path: Path, **options: Any) -> Any:
    model = open_clip.create_model("small", **options)
    open_clip.load_checkpoint(model, str(path))
    return model.eval()


def texts_by_hand(model: Any, architecture: str = "small") -> np.ndarray[Any, Any]:
    with torch.inference_mode():
        ids = open_clip.get_tokenizer(architecture)(list(CAPTIONS))
        return np.asarray(model.encode_text(ids).numpy())


def test_checkpoint_file_gives_the_librarys_vectors(checkpoint: Path, tmp_path: Path) -> None:
    model = by_hand(checkpoint)
    encoder = load_encoder(f"openclip:small,{checkpoint}", batch_size=2)
    np.testing.assert_allclose(encoder.encode(text_items(CAPTIONS)), texts_by_hand(model), atol=1e-5)
    paths = write_pictures(tmp_path, 5)
    transform = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(**model.visual.preprocess_cfg), False
    )
    with torch.inference_mode():
        pixels = torch.stack([transform(Image.open(path).convert("RGB")) for path in paths])
        expected = model.encode_image(pixels).numpy()
    np.testing.assert_allclose(encoder.encode(image_items(paths)), expected, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 1e-3


@pytest.mark.parametrize("kind", ["small", "small-own-text"])
def test_cutting_the_padding_changes_nothing(kind: str) -> None:
    encoder: Any = load_encoder(f"openclip:{kind},?seed=3", batch_size=2)
    cut = encoder.encode(text_items(CAPTIONS))
    _, lengths = encoder.text.tokens(list(CAPTIONS))
    assert lengths.tolist() == [9, 5, 13, 9, 4]
    assert encoder.text.cut
    np.testing.assert_allclose(cut, texts_by_hand(encoder.text.model), atol=1e-5)
    encoder.text.shares = False
    np.testing.assert_allclose(encoder.encode(text_items(CAPTIONS)), cut, atol=1e-5)
    one_less = encoder.text.run(encoder.text.tokens(list(CAPTIONS))[0], np.arange(1), 8).detach().numpy()
    assert np.abs(one_less - cut[:1]).max() > 1e-2  # the control: the end token itself does matter


def test_shared_beginnings_change_nothing_on_all_scenes_of_a_design() -> None:
    dataset = load_dataset("text:4x4?same=true")
    encoder: Any = load_encoder("openclip:small,?seed=3", batch_size=100)
    shared = encoder.encode(dataset.items)
    encoder.text.shares = False
    np.testing.assert_allclose(shared, encoder.encode(dataset.items), atol=1e-5)
    assert len(np.unique(shared.round(4), axis=0)) == len(dataset)  # all captions told apart
    ids, lengths = encoder.text.tokens(list(dataset.items.texts))
    tree = PrefixTree.of(ids.numpy(), lengths)
    beginnings = {tuple(row[:t]) for row, n in zip(ids.tolist(), lengths, strict=True) for t in range(1, n + 1)}
    assert len(tree) == len(beginnings) < lengths.sum() / 3


def test_a_tower_that_reads_both_ways_keeps_its_padding() -> None:
    encoder: Any = load_encoder("openclip:small-both-ways,")
    assert not encoder.text.cut
    expected = texts_by_hand(encoder.text.model, "small-both-ways")
    np.testing.assert_allclose(encoder.encode(text_items(CAPTIONS)), expected, atol=1e-6)
    assert encoder.fidelity()["text"]["padding"] == "to the full length"


def test_random_initialisation_follows_its_seed_and_nothing_else() -> None:
    items = text_items(CAPTIONS)
    first = load_encoder("openclip:small,?seed=1").encode(items)
    state = torch.random.get_rng_state()
    again = load_encoder("openclip:small,?seed=1").encode(items)
    assert (first == again).all()
    assert (torch.random.get_rng_state() == state).all()
    assert np.abs(load_encoder("openclip:small,?seed=2").encode(items) - first).max() > 0.1
    assert (load_encoder("openclip:small,").encode(items) == load_encoder("openclip:small,?seed=0").encode(items)).all()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        expected = texts_by_hand(open_clip.create_model("small").eval())
    np.testing.assert_allclose(first, expected, atol=1e-5)


def test_layernorm_gain_multiplies_the_gains_only() -> None:
    plain: Any = load_encoder("openclip:small,?seed=1")
    doubled: Any = load_encoder("openclip:small,?seed=1&layernorm_gain=2")
    other = dict(doubled.text.model.named_parameters())
    gains = {f"{name}.weight" for name, m in plain.text.model.named_modules() if isinstance(m, torch.nn.LayerNorm)}
    assert len(gains) == 2 + 4 + 1 + 4  # around two transformers of two layers each
    for name, tensor in plain.text.model.named_parameters():
        assert torch.equal(other[name], tensor * (2 if name in gains else 1)), name
    assert doubled.fidelity()["layernorm_gain"] == 2.0


def test_redrawn_text_tower_keeps_gains_biases_and_the_image_tower(checkpoint: Path) -> None:
    kept = dict(by_hand(checkpoint).named_parameters())
    fresh: Any = load_encoder("openclip:small,?seed=5")
    encoder: Any = load_encoder(f"openclip:small,{checkpoint}?redraw=text&seed=5")
    drawn = dict(fresh.text.model.named_parameters())
    for name, tensor in encoder.text.model.named_parameters():
        source = drawn if tensor.ndim >= 2 and not name.startswith("visual.") else kept
        assert torch.equal(tensor, source[name]), name
    assert (encoder.fidelity()["weights"], encoder.fidelity()["seed"]) == ("text matrices and embeddings redrawn", 5)


@pytest.mark.usefixtures("tags")
@pytest.mark.parametrize(("tag", "quick"), [("quick", True), ("plain", False)])
def test_activation_is_the_one_of_the_checkpoint(tag: str, quick: bool, checkpoint: Path) -> None:
    """The architecture's name alone would give GELU for both."""
    encoder = load_encoder(f"openclip:small,{tag}")
    found = encoder.encode(text_items(CAPTIONS))
    np.testing.assert_allclose(found, texts_by_hand(by_hand(checkpoint, force_quick_gelu=quick)), atol=1e-5)
    assert np.abs(found - texts_by_hand(by_hand(checkpoint, force_quick_gelu=not quick))).max() > 1e-3
    assert encoder.fidelity()["activation"] == ["QuickGELU" if quick else "GELU"]


@pytest.mark.usefixtures("tags")
def test_a_mismatch_of_activations_is_said_or_refused(checkpoint: Path) -> None:
    with pytest.warns(BindscopeWarning, match="was trained with QuickGELU; vectors will be off"):
        wrong = load_encoder("openclip:small,quick?quickgelu=false")
    assert wrong.fidelity()["activation"] == ["GELU"]
    assert load_encoder(f"openclip:small,{checkpoint}?quickgelu=true").fidelity()["activation"] == ["QuickGELU"]
    assert load_encoder(f"openclip:small-quickgelu,{checkpoint}").fidelity()["activation"] == ["QuickGELU"]
    with pytest.raises(InputError, match=r"small-quickgelu has QuickGELU, against \?quickgelu=false; use small"):
        load_encoder(f"openclip:small-quickgelu,{checkpoint}?quickgelu=false")


@pytest.mark.usefixtures("tags")
def test_images_are_prepared_as_the_checkpoint_wants() -> None:
    settings = load_encoder("openclip:small,quick").fidelity()["image"]["processor"]
    assert (settings["mean"], settings["resize_mode"], settings["size"]) == ([0.1, 0.2, 0.3], "squash", [32, 32])
    assert load_encoder("openclip:small,plain").fidelity()["image"]["processor"]["resize_mode"] == "shortest"


def test_a_downloaded_file_is_known_by_its_name(checkpoint: Path) -> None:
    """The file that OpenAI's address ends in wants QuickGELU, though ViT-B-32 alone has GELU."""
    known = checkpoint.rename(checkpoint.with_name("ViT-B-32.pt"))
    assert checkpoints.find_checkpoint("ViT-B-32", str(known), "x").quick_gelu is True
    laion = known.rename(known.with_name("vit_b_32-laion2b_e16-af8dbd0c.pth"))
    assert checkpoints.find_checkpoint("ViT-B-32", str(laion), "x").quick_gelu is False
    other = laion.rename(laion.with_name("mine.pt"))
    assert checkpoints.find_checkpoint("ViT-B-32", str(other), "x").quick_gelu is None


@pytest.mark.filterwarnings("ignore:.* lose up to .* to the model's centre crop")
def test_embed_on_images_asks_with_the_text_tower(checkpoint: Path, tmp_path: Path) -> None:
    made = embed(load_encoder(f"openclip:small,{checkpoint}?quickgelu=false"), image_dataset(tmp_path, 9))
    assert made.queries is not None
    assert made.vectors.shape == (9, 16)
    assert made.queries.values[0].shape[1] == 16
    assert json.dumps(made.fidelity)
    assert made.fidelity["weights_sha256"]


def test_wrong_names_and_options_are_said_in_one_line(checkpoint: Path) -> None:
    with pytest.raises(InputError, match=r"expected openclip:ARCH,PRETRAINED.*random initialisation"):
        load_encoder("openclip:ViT-B-32")
    with pytest.raises(UnknownNameError, match="did you mean ViT-B-32"):
        load_encoder("openclip:ViT-B32,")
    with pytest.raises(UnknownNameError, match=r"unknown checkpoint of ViT-B-32 'laion2b'.*laion2b_e16"):
        load_encoder("openclip:ViT-B-32,laion2b")
    with pytest.raises(InputError, match="knows no checkpoint of small"):
        load_encoder("openclip:small,openai")
    with pytest.raises(StoreError, match=r"no checkpoint file nowhere/x\.pt"):
        load_encoder("openclip:small,nowhere/x.pt")
    with pytest.raises(InputError, match="a seed is for random weights"):
        load_encoder(f"openclip:small,{checkpoint}?seed=1")
    with pytest.raises(InputError, match="name a checkpoint"):
        load_encoder("openclip:small,?redraw=text")
    with pytest.raises(InputError, match="layernorm_gain= is for random weights"):
        load_encoder(f"openclip:small,{checkpoint}?layernorm_gain=2")
    with pytest.raises(StoreError, match=r"cannot load .*into ViT-S-32.*state dict of this architecture"):
        load_encoder(f"openclip:ViT-S-32,{checkpoint}")
    with pytest.raises(InputError, match="cannot compute on device 'warp'"):
        load_encoder("openclip:small,?device=warp")


def test_long_texts_are_reported() -> None:
    encoder = load_encoder("openclip:small,")
    reading = encoder.text_reading(text_items(["a red cube " * 9, "a cube " * 9, "a cube"]))  # 29, 20 and 4 tokens
    assert reading is not None
    assert (reading.cut, reading.limit) == ((True, False, False), 20)


def test_an_activation_that_nobody_states_is_said(checkpoint: Path) -> None:
    said = load_encoder(f"openclip:small,{checkpoint}").remarks()["activation"]
    assert said.startswith(
        "the activation that weights.pt was trained with is not known, and GELU is taken; say ?quickgelu="
    )
    for name in (f"small,{checkpoint}?quickgelu=true", f"small-quickgelu,{checkpoint}", "small,"):
        assert load_encoder(f"openclip:{name}").remarks() == {}


def test_what_needs_the_hub_says_how_to_fetch_it(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.HfApi, "model_info", _unreachable)
    with pytest.raises(
        StoreError, match=r"`hf download laion/CLIP-ViT-B-32.*on a machine with network, then openclip:ViT-B-32,PATH"
    ):
        load_encoder("openclip:ViT-B-32,laion2b_s34b_b79k")
    monkeypatch.setattr(checkpoints.urllib.request, "urlopen", _unreachable)
    monkeypatch.setattr(checkpoints, "KEPT", Path("nowhere"))
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "small", {"far": {"url": "https://example.org/a.pt"}})
    with pytest.raises(
        StoreError, match=r"download https://example\.org/a\.pt on a machine with network, then openclip:small"
    ):
        load_encoder("openclip:small,far")


def test_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "open_clip", None)
    with pytest.raises(MissingExtraError, match=r"bindscope\[openclip\]"):
        load_encoder("openclip:ViT-B-32,")


def _unreachable(*arguments: Any, **options: Any) -> None:
    raise OSError("no route")
