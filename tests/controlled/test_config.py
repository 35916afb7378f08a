"""Settings: presets, limits, one clear line on anything else, and their file."""

from __future__ import annotations

from pathlib import Path

import pytest

from bindscope.controlled.config import PRESETS, TrainConfig, make_config, preset, read_config
from bindscope.controlled.store import write_config
from bindscope.errors import InputError, StoreError, UnknownNameError


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_can_be_changed(name: str) -> None:
    assert preset(name, coverage=0.3).coverage == 0.3
    assert preset(name).model_dump() == TrainConfig(**PRESETS[name]).model_dump()


def test_the_paper_preset_has_the_size_of_the_paper() -> None:
    from bindscope.controlled.model import DualEncoder, sizes

    config = preset("paper")
    assert config.output == 512
    assert 18e6 < sizes(DualEncoder(config)).scene < 22e6
    assert 0.09e6 < sizes(DualEncoder(preset("tiny"))).scene < 0.13e6


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"coverage": 0.0}, "coverage"),
        ({"coverage": 1.0}, "coverage"),
        ({"values": 1}, "values"),
        ({"width": 30}, "multiple of heads"),
        ({"objects": 1, "objects_min": 2}, "objects_min"),
        ({"concepts": 8, "values": 4096}, "more than 2,000,000"),
        ({"concepts": 1, "values": 3}, "fewer than four objects"),
        ({"tokens": "word"}, "tokens"),
        ({"steps": "many"}, "steps"),
    ],
)
def test_what_does_not_fit_is_one_line(changes: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        preset("tiny", **changes)
    assert "\n" not in str(caught.value)


def test_unknown_names_offer_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean coverage"):
        make_config({"covrage": 0.5})
    with pytest.raises(UnknownNameError, match="did you mean tiny"):
        preset("tinny")


def test_settings_survive_their_file(tmp_path: Path) -> None:
    config = preset("small", seed=3)
    write_config(tmp_path, config)
    assert read_config(tmp_path) == config
    (tmp_path / "train.json").write_text("{", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot read"):
        read_config(tmp_path)
    (tmp_path / "train.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(StoreError, match="does not hold settings"):
        read_config(tmp_path)
    with pytest.raises(StoreError, match="no training run"):
        read_config(tmp_path / "elsewhere")
