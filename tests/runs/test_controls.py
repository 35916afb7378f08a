"""Controls of the read-outs: raw input and untrained twins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bindscope.analyses.context import Context
from bindscope.analyses.recognition.measure import controls as measured
from bindscope.datasets import load_dataset
from bindscope.embeddings import embed
from bindscope.encoders import load_encoder
from bindscope.encoders.base import Encoder
from bindscope.results import Results
from bindscope.runs.controls import RAW, UNTRAINED, controls, raw_input
from bindscope.runs.verdict import verdict
from commands import Command


def test_raw_texts_are_counts_of_words_and_pairs() -> None:
    data = load_dataset("text:2x2")
    raw = raw_input(data.items)
    assert raw is not None
    assert raw.shape[0] == len(data.table)
    assert set(np.unique(raw)) <= {0.0, 1.0, 2.0}
    texts = data.items.texts
    assert texts is not None
    words = [len(text.split()) for text in texts]
    assert raw.sum(axis=1).tolist() == [2 * n - 1 for n in words]  # n words and n - 1 pairs


def test_raw_pictures_are_small_pixels(tmp_path: Path) -> None:
    data = load_dataset("clevr2d:2x2?size=32", cache=tmp_path)
    raw = raw_input(data.items)
    assert raw is not None
    assert raw.shape == (len(data.table), 16 * 16 * 3)
    assert 0.0 <= raw.min() < raw.max() <= 1.0


def test_bare_labels_have_no_raw_input() -> None:
    assert raw_input(load_dataset("symbolic:3x3").items) is None
    assert controls(load_encoder("planted:bag?dim=8"), load_dataset("symbolic:3x3")) == {}


def twins(encoder: Encoder, data: str, cache: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dataset = load_dataset(data, cache=cache)
    one, again, other = (encoder.untrained(seed) for seed in (0, 0, 1))
    assert one is not None
    assert again is not None
    assert other is not None
    return tuple(embed(twin, dataset).vectors for twin in (one, again, other))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("embedded:bag", "clevr2d:3x2?size=48"),
        pytest.param("openclip:ViT-S-32-alt,", "text:2x2", marks=pytest.mark.slow),
        pytest.param("st:sentence-transformers/all-MiniLM-L6-v2", "text:2x2", marks=pytest.mark.slow),
    ],
)
def test_twins_are_drawn_by_their_seed(name: str, data: str, tmp_path: Path) -> None:
    encoder = load_encoder(name)
    one, again, other = twins(encoder, data, tmp_path)
    assert (one == again).all()
    assert not np.allclose(one, other)
    assert not np.allclose(one, embed(encoder, load_dataset(data, cache=tmp_path)).vectors)


def test_controls_stand_beside_the_probe_and_in_the_verdict(command: Command, tmp_path: Path) -> None:
    done = command("diagnose", "planted:object?dim=64", "--data", "text:5x5", "--analyses", "recognition", "--out", "r")
    assert done.code == 0, done.err
    from bindscope.results import read_results

    results = read_results(tmp_path / "r")
    control = results.select(lambda r: r.extra.get("vectors") == RAW, metric="binding_preference").records[0]
    assert control.value is not None
    assert control.value > 0.95  # pairs of words say which noun has which adjective
    assert "no more than raw input gives" in " ".join(verdict(results).sentences)
    command(
        "diagnose",
        "planted:object?dim=64",
        "--data",
        "text:5x5",
        "--analyses",
        "recognition",
        "--no-controls",
        "--out",
        "s",
    )
    assert not read_results(tmp_path / "s").select(lambda r: r.extra.get("vectors") == RAW).records


def test_an_untrained_network_is_measured_like_the_model(tmp_path: Path) -> None:
    data = load_dataset("clevr2d:4x3?size=48", cache=tmp_path)
    encoder = load_encoder("embedded:bag")
    found = embed(encoder, data)
    context = Context(replace(found, controls=controls(encoder, data, 0, tmp_path)))
    results = Results(context.records("recognition", measured(context)))
    assert {str(r.extra["vectors"]) for r in results} == {RAW, UNTRAINED}
    assert len(results.select(metric="object_recognition", target="all")) == 2
