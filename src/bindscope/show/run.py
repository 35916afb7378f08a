"""A run directory as the report reads it: config.json, results.parquet, and where they are explorer.json and metrics.jsonl."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bindscope.controlled.log import log_records, read_log
from bindscope.errors import StoreError
from bindscope.results import Results, read_results
from bindscope.run_directory import read_config
from bindscope.uncertainty import FEW_OBJECTS

KINDS: Mapping[str, tuple[type, str]] = {
    "model": (str, "text"),
    "data": (str, "text"),
    "command": (str, "text"),
    "modality": (str, "text"),
    "hash": (str, "text"),
    "bindscope": (str, "text"),
    "created": (str, "text"),
    "options": (dict, "an object"),
    "versions": (dict, "an object"),
    "fidelity": (dict, "an object"),
    "space": (list, "a list"),
    "examples": (list, "a list"),
    "notes": (list, "a list"),
}
REQUIRED = ("model", "data")
EXPLORER = "explorer.json"
PAIRS = "pairs.json"  # what a run on pairs says of its items: failures, notes, how the right caption is known


@dataclass(frozen=True)
class Run:
    """What one run recorded. `config` holds every key of KINDS, empty where the file has none."""

    config: Mapping[str, Any]
    results: Results
    samples: bytes = b""  # a contact sheet (JPEG) of pictures that the run saw
    explorer: Mapping[str, Any] | None = None
    learning: Results = field(default_factory=lambda: Results([]))  # every evaluation of a training run
    pairs: Mapping[str, Any] | None = None

    @property
    def model(self) -> str:
        """The name that the user typed."""
        return str(self.config["model"])

    @property
    def data(self) -> str:
        """The data set that the user typed."""
        return str(self.config["data"])

    @property
    def concepts(self) -> Sequence[tuple[str, tuple[str, ...]]]:
        """Names and values of the concepts."""
        return [(str(c.get("name", "")), tuple(map(str, c.get("values", ())))) for c in self.config["space"]]

    @property
    def n_objects(self) -> int | None:
        """Number of objects: what the audit says, else the most that any record counts."""
        return self._counted("n_objects")

    @property
    def n_scenes(self) -> int | None:
        """Number of scenes: what the audit says, else the most that any record counts."""
        return self._counted("n_scenes")

    def _counted(self, name: str) -> int | None:
        audited = self.results.first(analysis="audit", metric=name)
        if audited is not None and audited.value is not None:
            return int(audited.value)
        return max((n for r in self.results if (n := getattr(r, name)) is not None), default=None)

    @property
    def few_objects(self) -> bool:
        """Whether there are so few objects that the intervals are wide."""
        return self.n_objects is not None and self.n_objects < FEW_OBJECTS


def read_run(directory: Path) -> Run:
    """Read a run directory. StoreError where a file is missing, damaged or of another schema version."""
    config = read_config(directory)
    for name, (kind, words) in KINDS.items():
        if config.get(name) is None and name not in REQUIRED:
            config[name] = kind()
        if not isinstance(config.get(name), kind):
            raise _damaged(directory, f"{name!r} must be {words}, got {config.get(name)!r:.60}")
    if not all(isinstance(c, dict) and isinstance(c.get("values", []), list) for c in config["space"]):
        raise _damaged(directory, "'space' must list concepts, each with a name and values")
    samples, explorer = _samples(directory, config), _explorer(directory)
    learning = Results(log_records(read_log(directory)))
    return Run(config, read_results(directory), samples, explorer, learning, _pairs(directory))


def _samples(directory: Path, config: Mapping[str, Any]) -> bytes:
    """The contact sheet that config.json names; nothing where there is none or its file is gone."""
    named = config.get("samples")
    if not isinstance(named, dict):
        return b""
    file = directory / Path(str(named.get("file", ""))).name
    return file.read_bytes() if file.is_file() else b""


def _explorer(directory: Path) -> Mapping[str, Any] | None:
    """Content of explorer.json, None where the run has none."""
    content = _beside(directory / EXPLORER)
    if content is not None and not {"objects", "scenes", "shown"} <= set(content):
        raise StoreError(f"{directory / EXPLORER} is no explorer file; make the run again with `bindscope diagnose`")
    return content


def _pairs(directory: Path) -> Mapping[str, Any] | None:
    """Content of pairs.json, None where the run has none."""
    content = _beside(directory / PAIRS)
    if content is not None and not isinstance(content.get("failures"), list):
        raise StoreError(f"{directory / PAIRS} says nothing of pairs; make the run again with `bindscope diagnose`")
    return content


def _beside(file: Path) -> Mapping[str, Any] | None:
    """Content of a JSON file of the run, None where the run has none; an empty mapping where it is of another shape."""
    if not file.exists():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {file}: {error}; make the run again with `bindscope diagnose`") from error
    return content if isinstance(content, dict) else {}


def _damaged(directory: Path, what: str) -> StoreError:
    file = directory / "config.json"
    return StoreError(f"{file}: {what}; it was damaged or edited, make the run again with `bindscope diagnose`")
