"""Sentence encoders: the packaged MiniLM and its hash, prompts, asymmetric models, a tiny model from a directory."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bindscope.datasets import load_dataset
from bindscope.embeddings import embed
from bindscope.encoders import load_encoder, sentence
from bindscope.encoders.base import Settings, file_digest
from bindscope.errors import InputError, MissingExtraError, StoreError

pytest.importorskip("sentence_transformers")
MINILM = "st:sentence-transformers/all-MiniLM-L6-v2"
WORDS = "a and red blue green circle square query passage : hello the".split()
ASKED = {  # what a fidelity record must hold
    "architecture", "activation", "eval_mode", "dtype", "pooling", "normalised", "padding", "prompt", "versions",
}  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two tiny models with random weights: a plain one, and one with prompts for queries and documents."""
    import torch
    from sentence_transformers import SentenceTransformer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer versions keep the modules elsewhere too
        from sentence_transformers.models import Pooling, Transformer
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(
        BertConfig(vocab_size=len(vocabulary), hidden_act="relu", initializer_range=0.5, **shape)
    ).save_pretrained(folder / "bert")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder / "bert")
    places = {}
    for name, prompts in (("plain", None), ("asymmetric", {"query": "query : ", "document": "passage : "})):
        layers = [Transformer(str(folder / "bert"), max_seq_length=32), Pooling(16, "cls")]
        SentenceTransformer(modules=layers, prompts=prompts).save(str(folder / name))
        places[name] = folder / name
    return places


def test_minilm_is_found_without_a_hub_and_binds_nothing() -> None:
    found = embed(load_encoder(MINILM), load_dataset("text:3x3"))
    assert found.vectors.shape == (72, 384)
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1.0, atol=1e-5)
    fidelity = found.fidelity
    assert set(fidelity) >= ASKED | {"fingerprint", "weights_sha256"}
    assert fidelity["weights_sha256"] == sentence.WEIGHTS["sentence-transformers/all-MiniLM-L6-v2"]
    wanted = {"architecture": "BertModel", "activation": "gelu", "pooling": "mean", "dtype": "torch.float32"}
    assert {key: fidelity[key] for key in wanted} == wanted
    assert (fidelity["normalised"], fidelity["eval_mode"], fidelity["prompt"]) == (True, True, None)
    assert set(fidelity["versions"]) == {"python", "torch", "transformers", "sentence-transformers"}


def test_minilm_is_the_library_itself() -> None:
    from sentence_transformers import SentenceTransformer

    encoder = load_encoder(MINILM)
    data = load_dataset("text:2x3")
    place = sentence._packaged("sentence-transformers/all-MiniLM-L6-v2")
    theirs = SentenceTransformer(place, device="cpu").encode(list(data.items.texts or ()))
    assert np.allclose(encoder.encode(data.items), theirs, atol=1e-6)
    assert np.allclose(load_encoder("st:all-MiniLM-L6-v2").encode(data.items), theirs, atol=1e-6)


@pytest.mark.parametrize("tampered", [False, True])
def test_the_weights_of_a_package_are_checked(
    tiny: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tampered: bool
) -> None:
    import shutil

    package = tmp_path / "ships_tiny"
    shutil.copytree(tiny["plain"], package / "model")
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sentence.PACKAGED, "org/tiny", "ships_tiny")
    weights = package / "model" / "model.safetensors"
    monkeypatch.setitem(sentence.WEIGHTS, "org/tiny", file_digest(weights))
    if tampered:
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
        with pytest.raises(
            StoreError, match=r"weights of org/tiny in ships_tiny have sha256 .* expected .*; reinstall"
        ):
            load_encoder("st:org/tiny")
    else:
        assert load_encoder("st:org/tiny").encode(load_dataset("text:2x2").items).shape == (12, 16)


def test_a_package_without_a_model_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ships_nothing").mkdir()
    (tmp_path / "ships_nothing" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sentence.PACKAGED, "org/nothing", "ships_nothing")
    assert sentence._packaged("org/nothing") is None
    assert sentence._packaged("org/unheard-of") is None


def test_a_model_in_a_directory_is_read_as_it_was_saved(tiny: dict[str, Path]) -> None:
    encoder = load_encoder(f"st:{tiny['plain']}")
    data = load_dataset("text:3x2")
    vectors = encoder.encode(data.items)
    fidelity = encoder.fidelity()
    assert vectors.shape == (30, 16)
    assert (fidelity["activation"], fidelity["pooling"], fidelity["normalised"]) == ("relu", "cls", False)
    assert (fidelity["asymmetric"], fidelity["max_length"]) == (False, 32)
    assert fidelity["weights_sha256"] == file_digest(tiny["plain"] / "model.safetensors")
    assert np.allclose(encoder.encode_queries(data.items), vectors, atol=1e-6)
    one_by_one = np.concatenate([encoder.encode(data.items.take([i])) for i in range(6)])
    assert np.allclose(one_by_one, vectors[:6], atol=1e-5)  # padding is masked: the company of a row does not matter


def test_asymmetric_models_encode_queries_and_documents_apart(tiny: dict[str, Path]) -> None:
    encoder, plain = load_encoder(f"st:{tiny['asymmetric']}"), load_encoder(f"st:{tiny['plain']}")
    data = load_dataset("text:2x2")
    assert encoder.fidelity()["asymmetric"] is True
    documents, queries = encoder.encode(data.items), encoder.encode_queries(data.items)
    assert not np.allclose(documents, queries)
    for vectors, prompt in ((documents, "passage : "), (queries, "query : ")):
        prompted = load_encoder(f"st:{tiny['plain']}", prompt=prompt).encode(data.items)
        assert np.allclose(vectors, prompted, atol=1e-5)
        assert not np.allclose(vectors, plain.encode(data.items))


def test_a_prompt_of_the_user_goes_before_both(tiny: dict[str, Path]) -> None:
    encoder = load_encoder(f"st:{tiny['asymmetric']}", prompt="hello ")
    data = load_dataset("text:2x2")
    assert encoder.fidelity()["prompt"] == "hello "
    assert np.allclose(encoder.encode(data.items), encoder.encode_queries(data.items), atol=1e-6)
    texts = tuple("hello " + text for text in data.items.texts or ())
    from dataclasses import replace

    by_hand = load_encoder(f"st:{tiny['plain']}").encode(replace(data.items, texts=texts))
    assert np.allclose(encoder.encode(data.items), by_hand, atol=1e-5)


def test_a_prompt_changes_the_cache_key(tiny: dict[str, Path], tmp_path: Path) -> None:
    data = load_dataset("text:2x2")
    for prompt in (None, "hello ", None):
        embed(load_encoder(f"st:{tiny['plain']}", prompt=prompt), data, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_batch_size_does_not_matter(tiny: dict[str, Path]) -> None:
    data = load_dataset("text:3x2")
    whole = load_encoder(f"st:{tiny['plain']}").encode(data.items)
    assert np.allclose(load_encoder(f"st:{tiny['plain']}", batch_size=7).encode(data.items), whole, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("st:", r"st: needs a model"),
        ("st:sentence-transformers/all-minilm-l6-v2", r"did you mean st:sentence-transformers/all-MiniLM-L6-v2\?"),
        ("st:org/none", r"cannot load st:org/none .*fetch it beforehand with `hf download org/none`"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name.endswith("v2"):
        monkeypatch.setattr(sentence, "_packaged", lambda model: None)
    with pytest.raises((InputError, StoreError), match=message) as caught:
        load_encoder(name)
    assert "\n" not in str(caught.value)


def test_a_directory_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"must hold a sentence-transformers model"):
        load_encoder(f"st:{tmp_path}")


def test_a_cut_weights_file_is_said(tiny: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    shutil.copytree(tiny["plain"], tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-500])
    with pytest.raises(StoreError, match=r"cannot load st:.*cut") as caught:
        load_encoder(f"st:{tmp_path / 'cut'}")
    assert "\n" not in str(caught.value)


def test_a_device_that_is_not_there(tiny: dict[str, Path]) -> None:
    for device in ("warp", "cuda:77"):
        with pytest.raises(InputError, match=rf"cannot compute on device '{device}' .*expected cpu, cuda"):
            load_encoder(f"st:{tiny['plain']}", device=device)


def test_it_reads_text_only(tiny: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("object1_a\nx\ny\n")
    data = load_dataset(f"labels:{tmp_path}/t.csv")
    encoder = load_encoder(f"st:{tiny['plain']}")
    with pytest.raises(InputError, match=r"reads text, but .* is labels"):
        embed(encoder, data)
    with pytest.raises(InputError, match=r"reads text and these items have none"):
        encoder.encode(data.items)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"needs sentence-transformers; .*bindscope\[text\]"):
        load_encoder("st:org/none")


def test_nan_of_a_model_is_named(tiny: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    encoder: Any = load_encoder(f"st:{tiny['plain']}")
    broken = np.full((12, 16), np.nan, dtype=np.float32)
    monkeypatch.setattr(encoder.model, "encode_document", lambda *_, **__: broken)
    with pytest.raises(InputError, match=r"row 0 holds NaN \(12 such rows\)"):
        encoder.encode(load_dataset("text:2x2").items)
    assert isinstance(encoder.settings, Settings)


def test_scenes_and_queries_take_their_own_route(tmp_path: Path, tiny: dict[str, Path]) -> None:
    """A Router has other weights for documents than for queries; its prompts and lengths are per route too."""
    from sentence_transformers import SentenceTransformer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from sentence_transformers.models import Pooling, Router, Transformer
    bert = str(tiny["plain"].parent / "bert")
    routes = {
        "query": [Transformer(bert, max_seq_length=8), Pooling(16, "mean")],
        "document": [Transformer(bert, max_seq_length=5), Pooling(16, "cls")],
    }
    SentenceTransformer(modules=[Router(routes, default_route="document")]).save_pretrained(str(tmp_path / "router"))
    encoder: Any = load_encoder(f"st:{tmp_path / 'router'}")
    items = load_dataset("text:2x2").items
    texts = list(items.texts or ())
    assert np.array_equal(encoder.encode(items), encoder.model.encode_document(texts))
    assert np.array_equal(encoder.encode_queries(items), encoder.model.encode_query(texts))
    assert not np.allclose(encoder.encode(items), encoder.encode_queries(items))
    reading = encoder.text_reading(items)
    assert (reading.limit, reading.cut[0]) == (5, True)
    assert encoder.text_reading(load_dataset("text:2x2").object_queries).limit == 8


def test_prompts_count_as_tokens(tiny: dict[str, Path]) -> None:
    plain, asymmetric = (load_encoder(f"st:{tiny[name]}") for name in ("plain", "asymmetric"))
    items = load_dataset("text:2x2").items
    one, two, own = (
        encoder.text_reading(items)
        for encoder in (plain, asymmetric, load_encoder(f"st:{tiny['plain']}", prompt="passage : "))
    )
    assert one is not None
    assert two is not None
    assert own is not None
    assert len(two.keys[0]) == len(one.keys[0]) + 2  # type: ignore[arg-type]
    assert own.keys == two.keys


def test_a_declared_score_function_and_missing_tokenizers(tiny: dict[str, Path], tmp_path: Path) -> None:
    import json
    import shutil

    assert load_encoder(f"st:{tiny['plain']}").remarks() == {}
    shutil.copytree(tiny["plain"], tmp_path / "dot")
    file = tmp_path / "dot" / "config_sentence_transformers.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "similarity_fn_name": "dot"}))
    assert "declares the score function dot" in load_encoder(f"st:{tmp_path / 'dot'}").remarks()["score_function"]
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "dot" / name).unlink()
    with pytest.raises(StoreError, match=r"has no tokenizer files|cannot load st:"):
        load_encoder(f"st:{tmp_path / 'dot'}")
