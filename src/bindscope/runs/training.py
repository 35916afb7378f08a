"""Train a controlled dual encoder and write its run directory: records of training, validation and test objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import bindscope
from bindscope.controlled.config import TrainConfig, symbolic_name
from bindscope.errors import MissingExtraError
from bindscope.recognition import Recognised, ceiling, concept_chance, object_chance
from bindscope.results import Record, Results
from bindscope.run_directory import SCHEMA_VERSION, config_hash, now, versions, write_text
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.uncertainty import UNKNOWN, ObjectBootstrap

Progress = Callable[[dict[str, Any]], None]


def train_run(config: TrainConfig, out: Path, progress: Progress | None = None) -> Results:
    """Train (or resume, or read back) and write results and config.json; the records of the run.

    Headline: object recognition on closed test scenes; the pooled test figure, training objects and concepts beside it.
    """
    import json

    try:
        from bindscope.controlled.train import train
    except ImportError as error:
        raise MissingExtraError("bindscope train", "torch", "text") from error
    trained = train(config, out, progress)
    assert trained is not None
    digest = config_hash(config.model_dump(exclude={"threads", "report_to", "device"}))
    records = training_records(trained.outcomes, config, trained.best_step)
    results = Results(records).stamped(
        model=f"controlled:{out}",
        modality="labels",
        dataset=symbolic_name(config),
        coverage=config.coverage,
        config_hash=digest,
        version=bindscope.__version__,
    )
    results.write(out)
    write_text(
        out / "config.json", json.dumps(_config(config, out, digest, trained.log), indent=1, sort_keys=True) + "\n"
    )
    return results


def training_records(outcomes: Mapping[str, Any], config: TrainConfig, best_step: int) -> list[Record]:
    """Figures of every table: test and training objects as headlines, validation objects and closed concepts as extra."""
    records: list[Record] = []
    for name, split in (("test", "test"), ("train", "train"), ("validation", "test")):
        if name in outcomes:
            extra = {"objects": "validation"} if name == "validation" else {}
            records += _figures(outcomes[name], split, config.seed, extra)
    if "closed" in outcomes:
        one = outcomes["closed"]
        every = np.ones(len(one.table), dtype=bool)
        records.insert(
            0, _record(one.table, one.objects, "object_recognition", "closed", "test", every, config.seed, {})
        )
    else:
        records.insert(
            0, Record("training", "object_recognition", None, "zero_shot", "closed", split="test", n_scenes=0)
        )
    records.append(Record("training", "best_step", best_step, target="all", seed=config.seed))
    return records


def _figures(outcome: Any, split: str, seed: int, extra: Mapping[str, Any]) -> list[Record]:
    table: SceneTable = outcome.table
    every = np.ones(len(table), dtype=bool)
    right = np.mean([c.right for c in outcome.concepts], axis=0)
    low, high = ObjectBootstrap.of(table, seed).mean(right)
    concepts = Record(
        "training",
        "concept_recognition",
        float(right.mean()),
        "zero_shot",
        "mean",
        split=split,
        ci_low=low,
        ci_high=high,
        chance=float(concept_chance(table).mean()),
        n_scenes=len(table),
        n_objects=table.n_objects,
        seed=seed,
        extra=extra,
    )
    return [
        _record(table, outcome.objects, "object_recognition", "all", split, every, seed, extra),
        _record(table, outcome.objects, "object_recognition", "unshared", split, table.unshared, seed, extra),
        concepts,
    ]


def _record(
    table: SceneTable,
    outcome: Recognised,
    metric: str,
    target: str,
    split: str,
    rows: BoolArray,
    seed: int,
    extra: Mapping[str, Any],
) -> Record:
    right: FloatArray = outcome.right.astype(np.float64)
    count = int(rows.sum())
    low, high = ObjectBootstrap.of(table, seed).mean(right, rows) if count else UNKNOWN
    return Record(
        "training",
        metric,
        float(right[rows].mean()) if count else None,
        "zero_shot",
        target,
        split=split,
        ci_low=low,
        ci_high=high,
        chance=float(object_chance(table)[rows].mean()) if count else None,
        ceiling=ceiling(table, rows) if count else None,
        n_scenes=count,
        n_objects=table.n_objects,
        n_ties=int(outcome.tied[rows].sum()),
        seed=seed,
        extra=extra,
    )


def _config(config: TrainConfig, out: Path, digest: str, log: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "bindscope": bindscope.__version__,
        "hash": digest,
        "command": f"bindscope train --config {out / 'train.json'} --out {out}",
        "model": f"controlled:{out}",
        "data": symbolic_name(config),
        "modality": "labels",
        "seed": config.seed,
        "training": config.model_dump(),
        "seconds": log[-1]["seconds"] if log else None,
        "versions": versions(),
        "created": now(),
    }
