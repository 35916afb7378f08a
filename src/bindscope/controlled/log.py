"""metrics.jsonl: one line an evaluation of a training run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bindscope.controlled.config import TrainConfig
from bindscope.errors import MissingExtraError, StoreError
from bindscope.files import whole_file
from bindscope.results import Record

LOG_FILE = "metrics.jsonl"


def append_log(directory: Path, line: Mapping[str, Any]) -> None:
    """One line of metrics.jsonl, on disk before the next step."""
    with (directory / LOG_FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_log(directory: Path) -> list[dict[str, Any]]:
    """Lines of metrics.jsonl; a last line that is cut short is left out."""
    file = directory / LOG_FILE
    if not file.exists():
        return []
    try:
        texts = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {file}: {error}; train again") from error
    lines: list[dict[str, Any]] = []
    for number, text in enumerate(texts, 1):
        try:
            line = json.loads(text)
        except ValueError:
            break
        if not _is_line(line):
            raise StoreError(
                f"{file}, line {number}: expected a step and numbers by name, got {text[:60]!r}; train again"
            )
        lines.append(line)
    return lines


def _is_line(line: Any) -> bool:
    """Whether a line holds a step and, by name, numbers or numbers of one side."""
    if not isinstance(line, dict) or not isinstance(line.get("step"), int):
        return False
    sides = [value.values() for value in line.values() if isinstance(value, dict)]
    flat = [value for value in line.values() if not isinstance(value, dict)]
    numbers = [*flat, *(value for side in sides for value in side)]
    return all(value is None or isinstance(value, (int, float)) for value in numbers)


def log_records(lines: Iterable[Mapping[str, Any]]) -> list[Record]:
    """The lines as records of the analysis `training`: loss, seconds, and recognition on each table of scenes.

    Their extra has the step, and says where objects are those of validation and scenes are closed.

    >>> log_records([{"step": 10, "loss": 2.5, "train": {"object_recognition": 0.5, "chance": 0.1}}])[1].value
    0.5
    """
    records = []
    for line in lines:
        extra = {"step": line["step"]}
        for name, value in line.items():
            if isinstance(value, Mapping):
                records += _side_records(name, value, extra)
            elif name != "step" and value is not None:
                records.append(Record("training", name, value, split="train", extra=extra))
    return records


def _side_records(side: str, figures: Mapping[str, Any], extra: Mapping[str, Any]) -> list[Record]:
    """Objects and concepts of one table of scenes, as far as the line has them."""
    split = "train" if side == "train" else "test"
    more = {"validation": {"objects": "validation"}, "closed": {"scenes": "closed"}}.get(side, {})
    words: dict[str, Any] = {"split": split, "n_scenes": figures.get("n_scenes"), "extra": {**extra, **more}}
    target = "closed" if side == "closed" else "all"
    levels = {"chance": figures.get("chance"), "ceiling": figures.get("ceiling")}
    found: dict[str, dict[str, Any]] = {
        "object_recognition": {"target": target, **levels},
        "concept_recognition": {"target": "mean", "chance": figures.get("concept_chance")},
        "paper_metric": {"target": target},
    }
    return [
        Record("training", metric, figures[metric], "zero_shot", **known, **words)
        for metric, known in found.items()
        if metric in figures
    ]


def trim_log(directory: Path, step: int) -> None:
    """Keep the lines up to a step, so that a resumed run does not log anything twice."""
    kept = [line for line in read_log(directory) if line["step"] <= step]
    with whole_file(directory / LOG_FILE) as partial:
        partial.write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in kept), encoding="utf-8")


TRACKING_DIR = "tensorboard"
EVENTS = "events.out.tfevents.*"
Report = Callable[[Mapping[str, Any]], None]


def writer_class() -> Any:
    """torch's SummaryWriter; MissingExtraError where tensorboard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("--report-to tensorboard", "tensorboard", "tracking") from error
    return SummaryWriter


@contextmanager
def reporting(config: TrainConfig, directory: Path) -> Iterator[Report]:
    """What each line of metrics goes to while it is open; nothing where the settings ask for no tracking.

    The log is the truth: what it holds so far is written anew, so a resumed run has no step twice, whatever was written
    before a kill, and a run that began without tracking has its beginning. purge_step tells a TensorBoard that is
    looking on to forget what it has read.
    """
    if config.report_to == "none":
        yield lambda line: None
        return
    make, place = writer_class(), directory / TRACKING_DIR
    for old in place.glob(EVENTS):
        old.unlink()
    writer = make(str(place), purge_step=0)

    def report(line: Mapping[str, Any]) -> None:
        for tag, value in scalars(line).items():
            writer.add_scalar(tag, value, line["step"])
        writer.flush()

    try:
        for line in read_log(directory):
            report(line)
        yield report
    finally:
        writer.close()


def scalars(line: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of a line by tag: loss, seconds, and for each side its recognition with chance and ceiling.

    >>> scalars({"step": 10, "loss": 2.5, "test": {"object_recognition": 0.5, "chance": 0.1, "n_scenes": 9}})
    {'loss': 2.5, 'test/object_recognition': 0.5, 'test/chance': 0.1}
    """
    found = {name: float(value) for name, value in line.items() if name != "step" and not isinstance(value, Mapping)}
    for side, figures in line.items():
        if isinstance(figures, Mapping):
            found |= {f"{side}/{name}": float(value) for name, value in figures.items() if name != "n_scenes"}
    return found
