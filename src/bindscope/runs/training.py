"""Train a controlled dual encoder and write its run directory: records of training, validation and test objects."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bindscope
from bindscope.analyses.context import Context
from bindscope.analyses.training.measure import training_outcomes
from bindscope.controlled.config import TrainConfig, symbolic_name
from bindscope.errors import MissingExtraError
from bindscope.results import Results
from bindscope.run_directory import SCHEMA_VERSION, config_hash, locked, now, versions, write_text

if TYPE_CHECKING:
    from bindscope.controlled.train import Trained

Progress = Callable[[dict[str, Any]], None]


def train_run(config: TrainConfig, out: Path, progress: Progress | None = None) -> Results:
    """Train (or resume, or read back) and write results and config.json; the records of the run.

    Headline: object recognition on closed test scenes; the pooled test figure, training objects and concepts beside it.
    """
    try:
        from bindscope.controlled.train import train
    except ImportError as error:
        raise MissingExtraError("bindscope train", "torch", "text") from error
    with locked(out):
        return _trained(config, out, train(config, out, progress))


def _trained(config: TrainConfig, out: Path, trained: Trained | None) -> Results:
    assert trained is not None
    digest = config_hash(config.model_dump(exclude={"threads", "report_to", "device"}))
    table = next(iter(trained.found.values())).table
    records = Context.of_table(table, config.seed).records(
        "training", training_outcomes(trained.found, trained.best_step)
    )
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
