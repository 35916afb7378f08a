"""metrics.jsonl: one line an evaluation of a training run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bindscope.datasets.whole import whole_file

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
    lines = []
    for text in file.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines


def trim_log(directory: Path, step: int) -> None:
    """Keep the lines up to a step, so that a resumed run does not log anything twice."""
    kept = [line for line in read_log(directory) if line["step"] <= step]
    with whole_file(directory / LOG_FILE) as partial:
        partial.write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in kept), encoding="utf-8")
