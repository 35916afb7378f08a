"""Checkpoints of one training run, each asked whether it binds: a page with the curve over steps."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import bindscope
from bindscope.datasets.items import Items
from bindscope.encoders import load_encoder
from bindscope.errors import InputError, StoreError
from bindscope.integrations.score import Probe
from bindscope.results import Record, Results
from bindscope.run_directory import SCHEMA_VERSION, now, versions
from bindscope.show.run import KINDS, Run

PAGE = "binding.html"
FIGURES = {
    "preference": "binding_preference",
    "objects": "object_recognition",
    "swaps": "swap_accuracy",
    "swaps_own_wording": "swap_accuracy",
}
NUMBER = re.compile(r"(\d+)\D*$")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Tracked:
    """rows: one a checkpoint, by step; run: the same as records, for a page."""

    rows: list[dict[str, Any]]
    run: Run


def track_checkpoints(
    directory: Path,
    vocabulary: str = "text:10x10",
    base: str | None = None,
    seed: int = 0,
    say: Say = lambda text: None,
) -> Tracked:
    """Ask every checkpoint in a directory (checkpoint-100, step_200, ...; sentence-transformers or transformers).

    base: name of the model before training, step 0. Raises StoreError where the directory holds no checkpoint.
    """
    places = checkpoints(directory)
    probe = Probe.of(vocabulary, seed=seed)
    named = [(0, base)] if base is not None else []
    named += [(step, model_name(place)) for step, place in places]
    rows = []
    for step, name in named:
        say(f"step {step:,}: {name}")
        rows.append({"step": step, "model": name, **probe.ask(*_encoders(name)).as_dict("")})
    results = Results([record for row in rows for record in _records(row, vocabulary, seed)])
    return Tracked(rows, Run(_config(directory, vocabulary), results))


def checkpoints(directory: Path) -> list[tuple[int, Path]]:
    """Directories with a model whose names end in a number, in the order of these."""
    if not directory.is_dir():
        raise StoreError(f"{directory} is no directory; give the one that holds the checkpoints of a training run")
    found = [
        (int(match[1]), place)
        for place in directory.iterdir()
        if (match := NUMBER.search(place.name))
        and any((place / name).is_file() for name in ("modules.json", "config.json"))
    ]
    if not found:
        raise StoreError(
            f"{directory} holds no checkpoint; expected directories such as checkpoint-100 with a saved model"
        )
    return sorted(found)


def model_name(place: Path) -> str:
    """The name of a saved model: `st:` where sentence-transformers saved it, else `hf:`."""
    return f"{'st' if (place / 'modules.json').is_file() else 'hf'}:{place}"


def _encoders(name: str) -> tuple[Callable[[list[str]], Any], Callable[[list[str]], Any]]:
    encoder = load_encoder(name)
    if "text" not in encoder.modalities:
        raise InputError(f"{name} reads no text; checkpoints of a text model are asked")

    def items(texts: list[str], kind: str) -> Items:
        return Items(np.zeros((len(texts), 1, 1), dtype=np.int64), np.arange(len(texts)), kind, tuple(texts))

    return lambda texts: encoder.encode(items(texts, "scene")), lambda texts: encoder.encode_queries(
        items(texts, "object")
    )


def _records(row: dict[str, Any], vocabulary: str, seed: int) -> list[Record]:
    made = []
    for name, metric in FIGURES.items():
        ends = (row["preference_low"], row["preference_high"]) if name == "preference" else (None, None)
        made.append(
            Record(
                "finetune",
                metric,
                row[name],
                "zero_shot",
                "own_wording" if name == "swaps_own_wording" else "all",
                model=row["model"],
                modality="text",
                dataset=vocabulary,
                ci_low=ends[0],
                ci_high=ends[1],
                chance=row["chance"] if metric != "object_recognition" else None,
                ceiling=row["objects_ceiling"] if metric == "object_recognition" else None,
                n_scenes=row["n_scenes"],
                seed=seed,
                extra={"step": row["step"]},
                version=bindscope.__version__,
            )
        )
    return made


def _config(directory: Path, vocabulary: str) -> dict[str, Any]:
    known = {
        "schema_version": SCHEMA_VERSION,
        "bindscope": bindscope.__version__,
        "model": f"checkpoints of {directory.name}",
        "data": vocabulary,
        "command": f"bindscope track {directory}",
        "modality": "text",
        "created": now(),
        "versions": versions(),
    }
    return {name: kind() for name, (kind, _) in KINDS.items()} | known
