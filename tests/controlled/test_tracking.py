"""Curves for TensorBoard: every line of the log once, also after a kill; a missing library is named before any work."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bindscope import cli
from bindscope.controlled.config import TrainConfig, preset
from bindscope.controlled.log import TRACKING_DIR, read_log
from bindscope.controlled.train import train
from bindscope.errors import MissingExtraError
from commands import exit_code

SIZE = {"values": 5, "width": 16, "heads": 2, "feed_forward": 32, "output": 16, "batch": 16, "coverage": 0.6}
SIZE |= {"steps": 40, "evaluate_every": 10, "checkpoint_every": 20, "threads": 1}


def tracked(**changes: object) -> TrainConfig:
    return preset("tiny", **{**SIZE, "report_to": "tensorboard", **changes})


class FakeWriter:
    """What torch's writer is asked to do, kept; one event file as the real one makes."""

    made: list[FakeWriter] = []  # noqa: RUF012 - emptied by the fixture

    def __init__(self, place: str, purge_step: int | None = None) -> None:
        self.purge_step, self.scalars, self.open = purge_step, list[tuple[str, float, int]](), True
        Path(place).mkdir(exist_ok=True)
        self.file = Path(place) / f"events.out.tfevents.{len(self.made)}"
        self.file.touch()
        self.made.append(self)

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.scalars.append((tag, value, step))

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.open = False


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> list[FakeWriter]:
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = FakeWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    FakeWriter.made = []
    return FakeWriter.made


def steps_of(writer: FakeWriter, tag: str) -> list[int]:
    return [step for name, _, step in writer.scalars if name == tag]


def test_every_evaluation_is_written_with_chance_and_ceiling(writers: list[FakeWriter], tmp_path: Path) -> None:
    trained = train(tracked(), tmp_path / "run")
    assert trained is not None
    (writer,) = writers
    assert not writer.open
    written = {(tag, step): value for tag, value, step in writer.scalars}
    assert len(written) == len(writer.scalars)
    for line in trained.log:
        assert written["loss", line["step"]] == line["loss"]
        for side in ("train", "validation", "test"):
            for name in ("object_recognition", "concept_recognition", "chance", "ceiling"):
                assert written[f"{side}/{name}", line["step"]] == line[side][name]


def test_a_resumed_run_has_no_step_twice(writers: list[FakeWriter], tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train(tracked(), run, stop_after=35) is None  # lines at 10, 20, 30; the checkpoint is at 20
    assert steps_of(writers[0], "loss") == [10, 20, 30]
    train(tracked(), run)
    assert steps_of(writers[1], "loss") == [10, 20, 30, 40]
    assert writers[1].purge_step == 0
    assert list((run / TRACKING_DIR).iterdir()) == [writers[1].file]
    train(tracked(), run)  # finished: nothing to write
    assert len(writers) == 2


def test_a_run_that_began_without_has_its_beginning(writers: list[FakeWriter], tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(tracked(report_to="none"), run, stop_after=20)
    assert not (run / TRACKING_DIR).exists()
    assert not writers
    train(tracked(), run)
    assert steps_of(writers[0], "test/object_recognition") == [10, 20, 30, 40]


def test_tracking_changes_no_number(writers: list[FakeWriter], tmp_path: Path) -> None:
    one, other = train(tracked(), tmp_path / "a"), train(tracked(report_to="none"), tmp_path / "b")
    assert one is not None
    assert other is not None
    assert [line["loss"] for line in one.log] == [line["loss"] for line in other.log]


def test_a_missing_library_is_named_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"needs tensorboard; .*bindscope\[tracking\]"):
        train(tracked(), tmp_path / "run")
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "--report-to", "tensorboard", "--out", str(tmp_path / "run")])
    assert stop.value.code == 2
    assert "bindscope[tracking]" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_real_library_reads_back_what_was_written(tmp_path: Path) -> None:
    events: Any = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = tmp_path / "run"
    train(tracked(), run, stop_after=35)
    train(tracked(), run)
    read = events.EventAccumulator(str(run / TRACKING_DIR))
    read.Reload()
    for tag in ("loss", "test/object_recognition", "train/ceiling"):
        assert [event.step for event in read.Scalars(tag)] == [10, 20, 30, 40], tag
    losses = [line["loss"] for line in read_log(run)]
    assert [event.value for event in read.Scalars("loss")] == pytest.approx(losses)


def test_settings_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--values", "4", "--queries", "all", "--out", str(tmp_path / "run")]
    for name in ("steps", "evaluate_every", "checkpoint_every"):
        words += ["--set", f"{name}=2"]
    assert exit_code(words) == 0
    assert '"queries": "all"' in (tmp_path / "run" / "train.json").read_text(encoding="utf-8")
    capsys.readouterr()
    for option, value, words_of in (("--queries", "some", "'train' or 'all'"), ("--report-to", "x", "'tensorboard'")):
        assert exit_code(["train", option, value, "--out", str(tmp_path / "no")]) == 2
        assert words_of in capsys.readouterr().err
