"""Training: the loss against loops, exact resume, stopping, and that a small model does bind what it was trained on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bindscope.controlled.config import TrainConfig, preset
from bindscope.controlled.evaluate import judge
from bindscope.controlled.optimisation import contrastive, shown, values_shown
from bindscope.controlled.train import Loop, find_device, load_trained, train
from bindscope.errors import InputError, StoreError


def small(**changes: object) -> TrainConfig:
    base = {
        "values": 5,
        "width": 32,
        "heads": 2,
        "feed_forward": 64,
        "output": 32,
        "batch": 64,
        "steps": 60,
        "evaluate_every": 20,
        "checkpoint_every": 20,
        "coverage": 0.7,
        "threads": 1,
    }
    return preset("tiny", **{**base, **changes})


def test_loss_by_hand() -> None:
    scores = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    positive = torch.zeros(4, 6, dtype=torch.bool)
    for row, column in ((0, 0), (0, 1), (1, 2), (2, 0), (2, 3), (3, 3)):
        positive[row, column] = True
    s, p = scores.numpy(), positive.numpy()

    def way(s: np.ndarray, p: np.ndarray) -> float:
        losses = []
        for row, mask in zip(s, p, strict=True):
            if mask.any():
                log = row - np.log(np.exp(row).sum())
                losses.append(-log[mask].mean())
        return float(np.mean(losses))

    assert float(contrastive(scores, positive)) == pytest.approx((way(s, p) + way(s.T, p.T)) / 2, rel=1e-5)


def test_who_is_shown() -> None:
    scenes, asked = torch.tensor([[3, 5], [5, -1]]), torch.tensor([3, 4, 5])
    assert shown(scenes, asked).tolist() == [[True, False, True], [False, False, True]]
    values = torch.tensor([[[0, 1], [2, 1]], [[1, 0], [-1, -1]]])
    assert values_shown(values, 0, 3).tolist() == [[True, False, True], [False, True, False]]


def test_a_resumed_run_gives_the_same_numbers_as_an_unbroken_one(tmp_path: Path) -> None:
    whole = train(small(), tmp_path / "whole")
    assert train(small(), tmp_path / "parts", stop_after=50) is None  # left off after the checkpoint at 40
    assert not (tmp_path / "parts" / "model.safetensors").exists()
    parts = train(small(), tmp_path / "parts")
    assert whole is not None
    assert parts is not None
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, parts.model.state_dict()[name]), name
    strip = [{k: v for k, v in line.items() if k != "seconds"} for line in whole.log]
    assert strip == [{k: v for k, v in line.items() if k != "seconds"} for line in parts.log]
    assert [line["step"] for line in whole.log] == [20, 40, 60]


@pytest.mark.parametrize(
    "changes", [{"optimizer": "adamw"}, {"tokens": "concept"}, {"head": "product"}, {"objects": 3}]
)
def test_every_kind_trains_and_is_read_back(tmp_path: Path, changes: dict[str, object]) -> None:
    config = small(**changes, steps=20)
    trained = train(config, tmp_path / "run")
    assert trained is not None
    again = train(config, tmp_path / "run")  # finished: read back, nothing trained
    assert again is not None
    assert again.log == trained.log
    _, model = load_trained(tmp_path / "run")
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in trained.model.state_dict().items())


def test_it_learns_its_training_objects(tmp_path: Path) -> None:
    trained = train(small(steps=300, evaluate_every=100, checkpoint_every=100), tmp_path / "run")
    assert trained is not None
    first, last = trained.log[0]["loss"], trained.log[-1]["loss"]
    assert last < first - 0.5
    assert trained.found["train"].objects.right.mean() > 0.9
    loop = Loop(small(), tmp_path / "none")  # the control: the same model before any step
    table = loop.suite.tables["train"]
    assert table is not None
    assert judge(loop.model, loop.config, table).objects.right.mean() < 0.1


def test_validation_objects_decide_when_to_stop_and_which_weights_stay(tmp_path: Path) -> None:
    config = small(steps=400, evaluate_every=10, checkpoint_every=10, patience=3, coverage=0.6)
    trained = train(config, tmp_path / "run")
    assert trained is not None
    read = [line["validation"]["object_recognition"] for line in trained.log]
    assert trained.best_step == 10 * (1 + int(np.argmax(read)))
    assert trained.log[-1]["step"] in (400, trained.best_step + 30)


def test_a_directory_of_other_settings_or_files_is_refused(tmp_path: Path) -> None:
    train(small(steps=20), tmp_path / "run")
    with pytest.raises(StoreError, match="other settings"):
        train(small(steps=20, seed=1), tmp_path / "run")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("keep me", encoding="utf-8")
    with pytest.raises(StoreError, match="no training run"):
        train(small(), tmp_path / "full")
    assert (tmp_path / "full" / "letter.txt").read_text(encoding="utf-8") == "keep me"


def test_a_checkpoint_that_is_cut_short_is_named(tmp_path: Path) -> None:
    train(small(), tmp_path / "run", stop_after=50)
    state = tmp_path / "run" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:200])
    with pytest.raises(StoreError, match="cut short"):
        train(small(), tmp_path / "run")


def test_a_log_line_that_is_cut_short_is_dropped(tmp_path: Path) -> None:
    train(small(), tmp_path / "run", stop_after=50)
    log = tmp_path / "run" / "metrics.jsonl"
    log.write_text(log.read_text(encoding="utf-8") + '{"step": 50, "lo', encoding="utf-8")
    assert train(small(), tmp_path / "run") is not None
    assert [json.loads(line)["step"] for line in log.read_text(encoding="utf-8").splitlines()] == [20, 40, 60]


def test_loading_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    train(small(), tmp_path / "run", stop_after=50)
    with pytest.raises(StoreError, match="no finished training run"):
        load_trained(tmp_path / "run")


def test_a_gpu_that_is_not_there_is_one_line_and_auto_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="torch finds no GPU here"):
        find_device(small(device="cuda"))
    assert find_device(small(device="auto")).type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert find_device(small(device="auto")).type == "cuda"
    assert find_device(small()).type == "cpu"
