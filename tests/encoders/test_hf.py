"""`hf:`: each family against the library called by hand, text by text and image by image."""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bindscope import cli
from bindscope.embeddings import embed
from bindscope.encoders import hf, load_encoder
from bindscope.encoders.base import Encoder
from bindscope.errors import InputError, MissingExtraError, StoreError, UnknownNameError
from encoders import tiny
from encoders.pictures import image_dataset, image_items, text_items, write_pictures

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
Save = Callable[[Path], Path]

SHAPES = list(itertools.product(["cube", "ball", "cone"], repeat=2))
DUAL: dict[str, Save] = {"clip": tiny.save_clip, "siglip": tiny.save_siglip, "siglip2": tiny.save_siglip2}
VISION: dict[str, Save] = {
    "dinov2": tiny.save_dinov2,
    "dinov3": tiny.save_dinov3,
    "vit": lambda folder: tiny.save_vit(folder, pooler=True),
}
TEXT: dict[str, Save] = {"bert": tiny.save_bert, "gpt2": tiny.save_gpt2}


def by_hand(folder: Path) -> tuple[Any, Any, Any]:
    """Model, tokenizer and image processor as a user of the library would load them."""
    model = transformers.AutoModel.from_pretrained(folder).eval()
    has_text, has_images = (folder / "tokenizer.json").exists(), (folder / "preprocessor_config.json").exists()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder) if has_text else None
    return model, tokenizer, transformers.AutoImageProcessor.from_pretrained(folder) if has_images else None


def one_by_one(call: Callable[..., Any], inputs: list[Any]) -> np.ndarray[Any, Any]:
    with torch.inference_mode():
        found = [call(**each) for each in inputs]
    return np.concatenate([getattr(x, "pooler_output", x).float().numpy() for x in found])


@pytest.mark.parametrize("family", DUAL)
def test_text_towers_give_the_librarys_features(family: str, tmp_path: Path) -> None:
    folder = DUAL[family](tmp_path)
    model, tokenizer, _ = by_hand(folder)
    length = {"clip": 24}.get(family, 64)
    words = {"padding": "max_length", "max_length": length, "truncation": True, "return_tensors": "pt"}
    expected = one_by_one(model.get_text_features, [tokenizer([text], **words) for text in tiny.CAPTIONS])
    encoder = load_encoder(f"hf:{folder}", batch_size=2)
    np.testing.assert_allclose(encoder.encode(text_items(tiny.CAPTIONS)), expected, atol=2e-5)
    queries = encoder.encode_queries(text_items(tiny.CAPTIONS, "object"))
    assert queries is not None
    np.testing.assert_allclose(queries, expected, atol=2e-5)
    assert np.ptp(expected, axis=0).max() > 0.1


@pytest.mark.parametrize("family", DUAL)
def test_image_towers_give_the_librarys_features(family: str, tmp_path: Path) -> None:
    folder = DUAL[family](tmp_path)
    paths = write_pictures(tmp_path, 5)
    model, _, processor = by_hand(folder)
    images = [Image.open(path).convert("RGB") for path in paths]
    expected = one_by_one(model.get_image_features, [processor(images=[i], return_tensors="pt") for i in images])
    found = load_encoder(f"hf:{folder}", batch_size=2).encode(image_items(paths))
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert np.ptp(expected, axis=0).max() > 1e-3


@pytest.mark.parametrize("family", VISION)
@pytest.mark.parametrize("pooling", ["model", "cls", "mean"])
def test_vision_models_are_pooled_as_stated(family: str, pooling: str, tmp_path: Path) -> None:
    folder = VISION[family](tmp_path)
    paths = write_pictures(tmp_path, 3)
    model, _, processor = by_hand(folder)
    images = [Image.open(path).convert("RGB") for path in paths]
    with torch.inference_mode():
        out = model(**processor(images=images, return_tensors="pt"))
    patches = out.last_hidden_state[:, -16:]  # 4 x 4 of 8 pixels
    wanted = {"model": out.pooler_output, "cls": out.last_hidden_state[:, 0], "mean": patches.mean(dim=1)}
    encoder = load_encoder(f"hf:{folder}" + ("" if pooling == "model" else f"?pooling={pooling}"))
    np.testing.assert_allclose(encoder.encode(image_items(paths)), wanted[pooling].numpy(), atol=2e-5)
    assert encoder.modalities == {"image"}
    assert not encoder.has_queries
    assert encoder.fidelity()["image"]["pooling"]


@pytest.mark.parametrize("family", TEXT)
@pytest.mark.parametrize("pooling", ["model", "mean", "cls", "last"])
def test_text_models_are_pooled_as_stated(family: str, pooling: str, tmp_path: Path) -> None:
    folder = TEXT[family](tmp_path)
    model, tokenizer, _ = by_hand(folder)
    with torch.inference_mode():
        states = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0] for text in tiny.CAPTIONS]
    means, first, last = (
        torch.stack(x) for x in ([s.mean(0) for s in states], [s[0] for s in states], [s[-1] for s in states])
    )
    wanted = {"model": means, "mean": means, "cls": first, "last": last}[pooling]
    encoder = load_encoder(f"hf:{folder}?pooling={pooling}", batch_size=3)
    np.testing.assert_allclose(encoder.encode(text_items(tiny.CAPTIONS)), wanted.numpy(), atol=2e-5)
    assert encoder.modalities == {"text"}


def test_left_padding_is_masked_as_well(tmp_path: Path) -> None:
    folder = tiny.save_gpt2(tmp_path)
    right = [load_encoder(f"hf:{folder}?pooling={p}").encode(text_items(tiny.CAPTIONS)) for p in ("cls", "last")]
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "padding_side": "left"}))
    mean, first, last = (
        load_encoder(f"hf:{folder}?pooling={p}").encode(text_items(tiny.CAPTIONS[:1])) for p in ("mean", "cls", "last")
    )
    np.testing.assert_allclose(first[0], right[0][0], atol=2e-5)
    np.testing.assert_allclose(last[0], right[1][0], atol=2e-5)
    assert mean.shape == first.shape


@pytest.mark.parametrize("eos", [1, 2])
def test_cutting_the_padding_of_clip_changes_nothing(eos: int, tmp_path: Path) -> None:
    """Causal attention: what follows the end token cannot reach it. (eos 2: old checkpoints, pooled at the largest id.)"""
    folder = tiny.save_clip(tmp_path, eos)
    encoder: Any = load_encoder(f"hf:{folder}")
    cut = encoder.encode(text_items(tiny.CAPTIONS))
    tokens, lengths = encoder.text.tokens(list(tiny.CAPTIONS))
    assert lengths.tolist() == [9, 5, 13, 9, 4]
    assert encoder.text.shares
    encoder.text.shares = False  # the library's own forward, first on cut texts, then on padded ones
    np.testing.assert_allclose(encoder.encode(text_items(tiny.CAPTIONS)), cut, atol=1e-5)
    encoder.text.cut = False
    np.testing.assert_allclose(encoder.encode(text_items(tiny.CAPTIONS)), cut, atol=1e-5)
    shuffled = {**tokens, "input_ids": tokens["input_ids"].copy()}
    shuffled["input_ids"][0, 2:4] = shuffled["input_ids"][0, [3, 2]]  # the control: order before the end does matter
    with torch.inference_mode():
        other = encoder.text.run(shuffled, np.arange(1), 9).numpy()
    assert np.abs(other - cut[:1]).max() > 1e-3


def test_shared_beginnings_of_clip_change_nothing(tmp_path: Path) -> None:
    texts = [f"a {c} {s} and a {d} {t}" for c, d in itertools.product(["red", "blue"], repeat=2) for s, t in SHAPES]
    encoder: Any = load_encoder(f"hf:{tiny.save_clip(tmp_path)}", batch_size=7)
    shared = encoder.encode(text_items(texts))
    encoder.text.shares = False
    np.testing.assert_allclose(encoder.encode(text_items(texts)), shared, atol=1e-5)
    assert len(np.unique(shared.round(4), axis=0)) == len(texts)


def test_siglip_reads_its_padding(tmp_path: Path) -> None:
    """The control of the test above: here the padding is part of the text, so it is kept and said so."""
    encoder: Any = load_encoder(f"hf:{tiny.save_siglip(tmp_path)}")
    whole = encoder.encode(text_items(tiny.CAPTIONS))
    assert encoder.fidelity()["text"]["padding"] == "to 64 tokens, read by the model"
    encoder.text.cut = True
    assert np.abs(encoder.encode(text_items(tiny.CAPTIONS)) - whole).max() > 1e-3


@pytest.mark.parametrize(("lower", "said"), [(False, "before the tokenizer"), (True, "as the tokenizer does")])
def test_siglip_texts_are_lower_cased_once(lower: bool, said: str, tmp_path: Path) -> None:
    encoder = load_encoder(f"hf:{tiny.save_siglip(tmp_path, lower)}")
    found = encoder.encode(text_items(["a Red CUBE", "a red cube"]))
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    assert encoder.fidelity()["text"]["lower_cased"] == said


def test_clip_keeps_upper_case(tmp_path: Path) -> None:
    found = load_encoder(f"hf:{tiny.save_clip(tmp_path)}").encode(text_items(["a Red CUBE", "a red cube"]))
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_a_pooler_without_weights_is_never_used(tmp_path: Path) -> None:
    folder = tiny.save_vit(tmp_path, pooler=False)
    paths = write_pictures(tmp_path, 2)
    encoder = load_encoder(f"hf:{folder}")
    cls = load_encoder(f"hf:{folder}?pooling=cls").encode(image_items(paths))
    assert (encoder.encode(image_items(paths)) == cls).all()
    assert "first token" in encoder.fidelity()["image"]["pooling"]
    with pytest.raises(InputError, match="no weights for it"):
        load_encoder(f"hf:{folder}?pooling=pooler").encode(image_items(paths))


def test_a_checkpoint_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny.save_bert(tmp_path)
    weights = load_file(folder / "model.safetensors")
    weights.pop(next(key for key in weights if "layer.1" in key))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(StoreError, match="lacks 1 weights of BertModel"):
        load_encoder(f"hf:{folder}")


@pytest.mark.filterwarnings("ignore:.* lose up to .* to the model's centre crop")
def test_image_data_and_text_data_use_their_towers(tmp_path: Path) -> None:
    folder = tiny.save_clip(tmp_path / "model")
    dataset = image_dataset(tmp_path, 12)
    made = embed(load_encoder(f"hf:{folder}"), dataset)
    assert made.queries is not None
    assert made.vectors.shape == (12, 16)
    assert made.queries.objects.shape == (len(dataset.object_queries), 16)
    assert {"image", "text"} <= made.fidelity.keys()
    assert json.dumps(made.fidelity)
    pooled = embed(load_encoder(f"hf:{folder}?pooling=mean"), dataset)
    assert pooled.queries is None  # hidden states of two towers share no space
    assert pooled.vectors.shape == (12, 32)


def test_model_is_in_evaluation_mode_and_in_the_asked_number_format(tmp_path: Path) -> None:
    folder = tiny.save_clip(tmp_path)
    single, half = load_encoder(f"hf:{folder}"), load_encoder(f"hf:{folder}?dtype=bfloat16")
    facts = half.fidelity()
    assert (facts["eval_mode"], facts["dtype"], facts["device"]) == (True, "torch.bfloat16", "cpu")
    assert single.fidelity()["dtype"] == "torch.float32"
    a, b = (encoder.encode(text_items(tiny.CAPTIONS)) for encoder in (single, half))
    assert b.dtype == np.float32
    assert 0 < np.abs(a - b).max() < 0.2
    assert (single.encode(text_items(tiny.CAPTIONS)) == a).all()


def test_prompt_stands_before_every_text(tmp_path: Path) -> None:
    folder = tiny.save_clip(tmp_path)
    prompted = load_encoder(f"hf:{folder}", prompt="a red ").encode(text_items(["cube"]))
    np.testing.assert_allclose(prompted, load_encoder(f"hf:{folder}").encode(text_items(["a red cube"])), atol=1e-6)


def test_long_texts_are_reported(tmp_path: Path) -> None:
    encoder = load_encoder(f"hf:{tiny.save_clip(tmp_path)}")
    reading = encoder.text_reading(text_items(["a red cube " * 9, "a cube " * 11, "a cube"]))  # 29, 24 and 4 tokens
    assert reading is not None
    assert (reading.cut, reading.limit) == ((True, False, False), 24)


def test_wrong_names_and_options_are_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"needs a model, e\.g\. hf:openai"):
        load_encoder("hf:")
    with pytest.raises(StoreError, match=r"there is no directory \./nowhere"):
        load_encoder("hf:./nowhere")
    with pytest.raises(UnknownNameError, match="did you mean pooling"):
        load_encoder("hf:a/b?poling=cls")
    with pytest.raises(InputError, match="must be one of float32"):
        load_encoder("hf:a/b?dtype=int8")
    with pytest.raises(InputError, match="cannot compute on device 'warp'"):
        load_encoder("hf:a/b", device="warp")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match=r"cannot load hf:.*empty.*config\.json"):
        load_encoder(f"hf:{tmp_path / 'empty'}")
    folder = tiny.save_clip(tmp_path / "clip")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(StoreError, match=r"no image processor.*preprocessor_config\.json"):
        load_encoder(f"hf:{folder}").encode(image_items(write_pictures(tmp_path, 1)))
    assert load_encoder(f"hf:{folder}").encode(text_items(["a cube"])).shape == (1, 16)


@pytest.mark.parametrize("harm", ["cut", "pointer", "pickled", "empty"])
def test_damaged_weights_are_said_in_one_line(harm: str, tmp_path: Path) -> None:
    folder = tiny.save_clip(tmp_path)
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    if harm == "pickled":
        weights.unlink()
        torch.save({"a": Path("x")}, folder / "pytorch_model.bin")
    else:
        pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
        weights.write_bytes({"cut": whole[: len(whole) // 2], "pointer": pointer, "empty": b""}[harm])
    with pytest.raises(StoreError, match="cannot load hf:"):
        load_encoder(f"hf:{folder}")


def test_what_needs_the_hub_says_how_to_fetch_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.HfApi, "model_info", _unreachable)
    with pytest.raises(
        StoreError, match=r"`hf download openai/clip --revision abc` on a machine with network, then hf:PATH"
    ):
        load_encoder("hf:openai/clip@abc")


def test_a_vision_model_refuses_text_and_a_text_model_images(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reads images and these items have none"):
        load_encoder(f"hf:{tiny.save_dinov2(tmp_path / 'v')}").encode(text_items(["a cube"]))
    with pytest.raises(InputError, match="reads text and these scene items have none"):
        load_encoder(f"hf:{tiny.save_bert(tmp_path / 't')}").encode(image_items(write_pictures(tmp_path, 1)))


def test_the_command_line_says_bad_names_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["diagnose", "hf:./nowhere", "--data", "text:2x2"])
    assert stop.value.code == 2
    printed = capsys.readouterr().err
    assert printed.count("error: ") == 1
    assert "there is no directory ./nowhere" in printed
    assert "Traceback" not in printed


def test_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"bindscope\[vision\]"):
        load_encoder("hf:a/b")
    assert issubclass(hf.TowerEncoder, Encoder)


def _unreachable(*arguments: Any, **options: Any) -> None:
    raise OSError("no route")


def sentence_model(folder: Path, pooling: Any, *more: Any, similarity: str | None = None, prompts: Any = None) -> Path:
    """A tiny BERT as a sentence-transformers model; its network lies in the directory itself."""
    library = pytest.importorskip("sentence_transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from sentence_transformers.models import Pooling, Transformer
    base = tiny.save_bert(folder / "base")
    layers = [Transformer(str(base), max_seq_length=6), Pooling(32, pooling), *more]
    model = library.SentenceTransformer(modules=layers, device="cpu", similarity_fn_name=similarity, prompts=prompts)
    model.save_pretrained(str(folder / "model"))
    return folder / "model"


def layer(name: str, *arguments: Any, **more: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import sentence_transformers.models as parts
    return getattr(parts, name)(*arguments, **more)


@pytest.mark.parametrize("pooling", ["cls", "mean", "lasttoken"])
@pytest.mark.parametrize("head", [(), ("Normalize",), ("Dense", "Normalize"), ("Dense",)])
def test_a_sentence_transformers_directory_gives_its_own_vectors(
    tmp_path: Path, pooling: str, head: tuple[str, ...]
) -> None:
    torch.manual_seed(0)
    layers = [layer("Normalize") if kind == "Normalize" else layer("Dense", 32, 8) for kind in head]
    place = sentence_model(tmp_path, pooling, *layers)
    items = text_items([*tiny.CAPTIONS])
    ours, theirs = load_encoder(f"hf:{place}"), load_encoder(f"st:{place}")
    assert np.allclose(ours.encode(items), theirs.encode(items), atol=1e-6)
    assert ours.fidelity()["head"] == list(head)
    one, two = ours.text_reading(items), theirs.text_reading(items)
    assert one is not None
    assert two is not None
    assert (one.keys, one.cut, one.limit) == (two.keys, two.cut, 6)


def test_what_hf_does_not_compute_of_such_a_directory_is_refused_or_said(tmp_path: Path) -> None:
    for number, pooling in enumerate(("weightedmean", "max", ("cls", "mean"))):
        place = sentence_model(tmp_path / str(number), pooling)
        with pytest.raises(InputError, match=rf"Transformer \+ Pooling.* does not compute; use st:{place}, or say"):
            load_encoder(f"hf:{place}")
        assert load_encoder(f"hf:{place}?pooling=mean").fidelity()["head"] == []
    place = sentence_model(tmp_path / "dot", "cls", similarity="dot", prompts={"query": "find: "})
    remarks = load_encoder(f"hf:{place}").remarks()
    assert "declares prompts (query), which hf: does not use" in remarks["prompts"]
    assert "declares the score function dot" in remarks["score_function"]
    (place / "1_Pooling" / "config.json").write_text("{")
    with pytest.raises(StoreError, match=r"cannot read .*1_Pooling.config\.json"):
        load_encoder(f"hf:{place}")


@pytest.mark.parametrize("save", ["clip", "siglip", "bert"])
def test_a_model_without_tokenizer_files_is_refused(tmp_path: Path, save: str) -> None:
    place = getattr(tiny, f"save_{save}")(tmp_path)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (place / file).unlink()
    with pytest.raises(StoreError, match=r"tokenizer"):
        load_encoder(f"hf:{place}").encode(text_items(["a red cube"]))
