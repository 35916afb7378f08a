"""Many training runs from one file: a grid or random settings, finished ones skipped, one table of all models.

    preset: tiny
    fixed: {values: 16, steps: 1500}
    grid: {coverage: [0.2, 0.5, 0.8], seed: [0, 1, 2]}
    points: [{concepts: 2, values: 8}, {concepts: 3, values: 4}]
    random: {count: 50, seed: 0, settings: {width: [32, 64], coverage: {low: 0.1, high: 0.9}}}

All may be given together: each random draw is combined with every one of the points (settings that go together) and every
point of the grid.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bindscope.controlled.config import PRESETS, TECHNICAL, TrainConfig, make_config
from bindscope.errors import InputError, StoreError, UnknownNameError
from bindscope.files import whole_file
from bindscope.parallel import cores, duration, run_jobs
from bindscope.results import Results, read_results
from bindscope.run_directory import locked
from bindscope.streams import MAX_SEED, stream

TABLE = "models"
MAX_MODELS = 100_000
Say = Callable[[str], None]


class Span(BaseModel):
    """A range to draw from, evenly, or evenly in the logarithm."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    low: float
    high: float
    log: bool = False
    whole: bool = False

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is larger than high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"a range in the logarithm needs a low above 0 and has {self.low:g}")
        return self


class RandomPart(BaseModel):
    """How many settings to draw, and from what: a list of choices, or a range."""

    model_config = ConfigDict(extra="forbid")
    count: int = Field(ge=1, le=MAX_MODELS)
    seed: int = Field(0, ge=0, le=MAX_SEED)
    settings: dict[str, list[Any] | Span]


class SweepSpec(BaseModel):
    """A sweep file."""

    model_config = ConfigDict(extra="forbid")
    preset: str = "tiny"
    fixed: dict[str, Any] = Field(default_factory=dict)
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    points: list[dict[str, Any]] = Field(default_factory=list)
    random: RandomPart | None = None


@dataclass(frozen=True)
class Planned:
    """A sweep before it runs: its settings, the directories, which are finished, and what the rest will take."""

    configs: tuple[TrainConfig, ...]
    directories: tuple[Path, ...]
    finished: tuple[bool, ...]
    seconds: float

    @property
    def left(self) -> list[int]:
        """Numbers of the runs that are not finished."""
        return [i for i, done in enumerate(self.finished) if not done]


def read_spec(path: str | Path) -> SweepSpec:
    """A sweep file; InputError or StoreError in one line where it cannot be used."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())[:150]}") from error
    if not isinstance(content, dict):
        raise InputError(
            f"{path}: expected a mapping with preset, fixed, grid, points or random, got {type(content).__name__}"
        )
    return make_spec(content, str(path))


def make_spec(content: dict[str, Any], label: str = "sweep") -> SweepSpec:
    """A checked sweep."""
    try:
        spec = SweepSpec(**content)
    except ValidationError as error:
        every = error.errors()
        kinds = ("list_type", "model_type")  # of a range the complaint that it is no list says nothing, and the reverse
        problem = next((one for one in every if one["type"] not in kinds), every[0])
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            raise InputError(f"{label}: {UnknownNameError('key', where, SweepSpec.model_fields)}") from None
        said = problem["msg"].removeprefix("Value error, ")
        raise InputError(f"{label}: {where}: {said.lower()}, got {problem['input']!r}"[:300]) from None
    if spec.preset not in PRESETS:
        raise UnknownNameError("preset", spec.preset, PRESETS)
    empty = [name for name, values in spec.grid.items() if not values]
    if empty:
        raise InputError(f"{label}: grid.{empty[0]} has no values; give at least one")
    count = (
        math.prod(map(len, spec.grid.values())) * max(len(spec.points), 1) * (spec.random.count if spec.random else 1)
    )
    if count > MAX_MODELS:
        raise InputError(
            f"{label}: these are {count:,} models and a sweep takes at most {MAX_MODELS:,}; give fewer values"
        )
    twice = set(spec.grid) & {name for point in spec.points for name in point}
    if twice:
        raise InputError(f"{label}: {min(twice)} stands in grid and in points; leave it out of one of them")
    return spec


def configs_of(spec: SweepSpec) -> list[TrainConfig]:
    """All settings of a sweep, in order, each once."""
    points = [dict(zip(spec.grid, values, strict=True)) for values in itertools.product(*spec.grid.values())]
    draws = _draws(spec.random) if spec.random else [{}]
    base = {**PRESETS[spec.preset], **spec.fixed}
    made = [
        make_config({**base, **draw, **together, **point})
        for draw in draws
        for together in spec.points or [{}]
        for point in points
    ]
    return list({config.model_dump_json(): config for config in made}.values())


def _draws(part: RandomPart) -> list[dict[str, Any]]:
    rng = stream(part.seed, "random settings")
    return [{name: _draw(choice, rng) for name, choice in part.settings.items()} for _ in range(part.count)]


def _draw(choice: list[Any] | Span, rng: np.random.Generator) -> Any:
    if isinstance(choice, list):
        if not choice:
            raise InputError("random: a setting has no choices; give at least one")
        return choice[int(rng.integers(len(choice)))]
    low, high = (np.log(choice.low), np.log(choice.high)) if choice.log else (choice.low, choice.high)
    value = float(rng.uniform(low, high))
    value = float(np.exp(value)) if choice.log else value
    return round(value) if choice.whole else round(value, 6)


def run_name(config: TrainConfig) -> str:
    """Directory name of a run: the digest of what determines its numbers."""
    text = json.dumps(config.model_dump(exclude=set(TECHNICAL)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def plan(configs: Sequence[TrainConfig], out: Path, workers: int | None = None) -> Planned:
    """What is left to do, and how long it will take: steps of the smallest and largest run are timed and the rest scaled."""
    directories = tuple(out / run_name(config) for config in configs)
    finished = tuple(is_finished(directory) for directory in directories)
    left = [config for config, done in zip(configs, finished, strict=True) if not done]
    seconds = estimate(left) / min(workers or max(1, cores() // threads_of(left)), max(len(left), 1))
    return Planned(tuple(configs), directories, finished, seconds)


def threads_of(configs: Sequence[TrainConfig]) -> int:
    """Threads of one run of a sweep: the largest that its settings ask for, one where they ask for none."""
    return max((config.threads or 1 for config in configs), default=1)


def is_finished(directory: Path) -> bool:
    """Whether a run has its results."""
    return (directory / "results.parquet").is_file() and (directory / "config.json").is_file()


def estimate(configs: Sequence[TrainConfig]) -> float:
    """Seconds of all runs, one after the other with the threads of one: a + b FLOPs a step, from timed steps of two runs."""
    import torch

    from bindscope.controlled.cost import step_flops, timed

    if not configs:
        return 0.0
    ordered = sorted(configs, key=step_flops)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads_of(configs))
    try:
        low, high = timed(ordered[0]), timed(ordered[-1])
    finally:
        torch.set_num_threads(threads)
    slope = (high.seconds_per_step - low.seconds_per_step) / max(high.step_flops - low.step_flops, 1.0)
    slope = max(slope, 0.0)
    return sum((low.seconds_per_step + slope * (step_flops(c) - low.step_flops)) * c.steps for c in configs)


def run_sweep(
    configs: Sequence[TrainConfig], out: Path, engine: str = "local", workers: int | None = None, say: Say | None = None
) -> list[dict[str, Any]]:
    """Train what is not finished and return one row a model; the table is written after every model."""
    with locked(out):
        return _swept(configs, out, engine, workers, say or (lambda text: None))


def _swept(
    configs: Sequence[TrainConfig], out: Path, engine: str, workers: int | None, tell: Say
) -> list[dict[str, Any]]:
    planned = plan(configs, out, workers)
    left = planned.left
    tell(f"{len(configs):,} models, {len(left):,} to train, about {duration(planned.seconds)}")
    jobs = [(configs[i].model_dump_json(), str(planned.directories[i])) for i in left]
    for count, (number, _) in enumerate(run_jobs(train_job, jobs, engine, workers, threads_of(configs)), 1):
        tell(f"{count} of {len(left)}: {planned.directories[left[number]].name}")
        write_table(out, rows_of(configs, planned.directories))
    rows = rows_of(configs, planned.directories)
    write_table(out, rows)
    return rows


def train_job(config: str, directory: str) -> str:
    """One run in a worker, on one thread unless its settings say otherwise."""
    from bindscope.runs.training import train_run

    made = TrainConfig.model_validate_json(config)
    train_run(made if made.threads else made.model_copy(update={"threads": 1}), Path(directory))
    return directory


def rows_of(configs: Sequence[TrainConfig], directories: Sequence[Path]) -> list[dict[str, Any]]:
    """One row for each finished model: its settings and its headline figures."""
    return [
        {"run": directory.name, **config.model_dump(), **figures(read_results(directory))}
        for config, directory in zip(configs, directories, strict=True)
        if is_finished(directory)
    ]


FIGURES = {
    "closed": ("object_recognition", "closed", "test"),
    "test": ("object_recognition", "all", "test"),
    "test_unshared": ("object_recognition", "unshared", "test"),
    "train": ("object_recognition", "all", "train"),
    "test_concepts": ("concept_recognition", "mean", "test"),
    "train_concepts": ("concept_recognition", "mean", "train"),
    "test_paper": ("paper_metric", "all", "test"),
    "train_paper": ("paper_metric", "all", "train"),
}


def figures(results: Results) -> dict[str, float | int | None]:
    """Figures of one run by the names of the table, each with its interval and number of scenes."""
    found: dict[str, float | int | None] = {}
    for name, (metric, target, split) in FIGURES.items():
        record = results.first(analysis="training", metric=metric, target=target, split=split)
        for suffix, field in (("", "value"), ("_low", "ci_low"), ("_high", "ci_high"), ("_n", "n_scenes")):
            found[name + suffix] = None if record is None else getattr(record, field)
    return found


def write_table(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    """models.csv and models.parquet of a sweep, each whole or not at all."""
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.parquet as parquet

    if not rows:
        return
    table = pa.Table.from_pylist(list(rows))
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / f"{TABLE}.parquet") as partial:
        parquet.write_table(table, partial, write_page_checksum=True)
    with whole_file(out / f"{TABLE}.csv") as partial:
        csv.write_csv(table, partial)


def read_table(out: Path) -> list[dict[str, Any]]:
    """Rows of a sweep's table."""
    import pyarrow.parquet as parquet

    file = out / f"{TABLE}.parquet"
    if not file.is_file():
        raise StoreError(f"{out} holds no table of models; run `bindscope sweep` first")
    rows: list[dict[str, Any]] = parquet.read_table(file, page_checksum_verification=True).to_pylist()
    return rows
