"""The examples run, on a tiny model."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tiny import save_tiny_encoder

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_encoder(tmp_path_factory.mktemp("models"))


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_own_loop(tiny: Path) -> None:
    found = load("own_loop").main(str(tiny))
    assert len(found) == 2
    assert all(0 <= value <= 1 for value in found)


@pytest.mark.filterwarnings("ignore")  # those of the other libraries
def test_evaluator_in_the_trainer_of_sentence_transformers(tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    pytest.importorskip("datasets")
    found = load("evaluator").main(str(tiny), str(tmp_path / "out"))
    assert 0 <= found["eval_toys_preference"] <= 1
    from bindscope.runs.track import checkpoints

    assert [step for step, _ in checkpoints(tmp_path / "out")] == [2, 4]


@pytest.mark.filterwarnings("ignore")
def test_callback_in_the_trainer_of_transformers(tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    lines = load("callback").main(str(tiny), str(tmp_path / "out"))
    assert [line["step"] for line in lines] == [2, 4]
    assert all(0 <= line["eval_binding_preference"] <= 1 for line in lines)
