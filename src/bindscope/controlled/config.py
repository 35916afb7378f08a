"""What determines a training run, with the presets that are known to work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bindscope.concepts import ConceptSpace
from bindscope.errors import InputError, StoreError, UnknownNameError
from bindscope.streams import MAX_SEED

CONFIG_FILE = "train.json"
MAX_OBJECTS = 2_000_000
MAX_STEPS = 1_000_000_000
MAX_WEIGHTS = 2_000_000_000  # of one encoder: 8 GiB, and twice that for the optimiser
TECHNICAL = ("device", "threads", "report_to", "checkpoint_every")  # how a run is carried out, not what it is


class TrainConfig(BaseModel):
    """All settings of one run; the same settings give the same numbers on one machine.

    concepts C, values V (of every concept) span V^C objects. objects: scenes show so many, or with objects_min a drawn
    number between the two. coverage: share of the objects that is trained on, in 0..1; validation: objects kept out to
    decide when to stop, as a share of the training objects. Widths are those of one encoder.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    concepts: int = Field(2, ge=1, le=8)
    values: int = Field(16, ge=2, le=4096)
    objects: int = Field(2, ge=1, le=16)
    objects_min: int | None = Field(None, ge=1, le=16)
    coverage: float = Field(0.8, gt=0, lt=1)
    split: Literal["connected", "random"] = "connected"
    validation: float = Field(0.1, ge=0, lt=1)
    seed: int = Field(0, ge=0, le=MAX_SEED)

    tokens: Literal["object", "concept"] = "object"
    head: Literal["linear", "product"] = "linear"
    width: int = Field(64, ge=4, le=16_384)
    layers: int = Field(2, ge=1, le=128)
    heads: int = Field(4, ge=1, le=256)
    feed_forward: int = Field(256, ge=4, le=65_536)
    output: int = Field(64, ge=2, le=16_384)

    optimizer: Literal["muon", "adamw"] = "muon"
    learning_rate: float = Field(1e-3, gt=0)
    muon_learning_rate: float = Field(0.02, gt=0)
    weight_decay: float = Field(0.1, ge=0)
    warmup: int = Field(100, ge=0, le=MAX_STEPS)
    steps: int = Field(3000, ge=1, le=MAX_STEPS)
    batch: int = Field(128, ge=2, le=65_536)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"

    queries: Literal["train", "all"] = "train"
    sampled_queries: int | None = Field(None, ge=2)
    concept_queries: bool = True
    hard_negatives: bool = True

    precision: Literal["float32", "bf16", "auto"] = "float32"
    compile: bool = False
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    threads: int | None = Field(None, ge=1, le=1024)

    evaluate_every: int = Field(250, ge=1, le=MAX_STEPS)
    checkpoint_every: int = Field(250, ge=1, le=MAX_STEPS)
    patience: int | None = Field(None, ge=1, le=MAX_STEPS)
    test_scenes: int = Field(2000, ge=2, le=1_000_000)
    report_to: Literal["none", "tensorboard"] = "none"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")
        if self.objects_min is not None and self.objects_min > self.objects:
            raise ValueError(f"objects_min {self.objects_min} is larger than objects {self.objects}")
        if self.values**self.concepts > MAX_OBJECTS:
            raise ValueError(f"{self.values}^{self.concepts} objects are more than {MAX_OBJECTS:,}; take fewer values")
        weights = self.layers * self.width * (4 * self.width + 2 * self.feed_forward)
        if weights > MAX_WEIGHTS:
            raise ValueError(
                f"layers, width and feed_forward give {weights:,} weights; at most {MAX_WEIGHTS:,} are trained"
            )
        if self.values**self.concepts < 4:
            raise ValueError("fewer than four objects cannot be split into training and held-out ones")
        return self

    @property
    def n_objects(self) -> int:
        """Number of objects V^C."""
        return int(self.values**self.concepts)

    @property
    def space(self) -> ConceptSpace:
        """The concepts, with values named by concept and number."""
        names = [f"concept{k + 1}" for k in range(self.concepts)]
        letters = "abcdefgh"
        return ConceptSpace.of([(n, [f"{letters[k]}{v}" for v in range(self.values)]) for k, n in enumerate(names)])


def symbolic_name(config: TrainConfig) -> str:
    """The data set that a trained encoder can be diagnosed on.

    >>> symbolic_name(preset("tiny", values=8, objects=3))
    'symbolic:8x8?m=3'
    """
    sizes = "x".join([str(config.values)] * config.concepts)
    return f"symbolic:{sizes}" + (f"?m={config.objects}" if config.objects != 2 else "")


TINY: dict[str, Any] = {}
SMALL: dict[str, Any] = {"width": 128, "layers": 3, "feed_forward": 512, "output": 128, "batch": 256, "steps": 6000}
PAPER: dict[str, Any] = {
    "tokens": "concept",
    "width": 512,
    "layers": 6,
    "heads": 8,
    "feed_forward": 2048,
    "output": 512,
    "optimizer": "adamw",
    "learning_rate": 3e-4,
    "batch": 512,
    "steps": 100_000,
    "warmup": 2000,
    "sampled_queries": 4096,
    "evaluate_every": 2000,
    "checkpoint_every": 2000,
    "patience": 10,
}
PRESETS: dict[str, dict[str, Any]] = {"tiny": TINY, "small": SMALL, "paper": PAPER}


def preset(name: str, **changes: Any) -> TrainConfig:
    """The settings of a preset with some changed; UnknownNameError or InputError in one line where they do not fit.

    >>> preset("tiny", coverage=0.5).n_objects
    256
    """
    if name not in PRESETS:
        raise UnknownNameError("preset", name, PRESETS)
    return make_config({**PRESETS[name], **changes})


def make_config(settings: dict[str, Any]) -> TrainConfig:
    """Settings checked; the first complaint is an InputError of one line, an unknown name offers the nearest."""
    try:
        return TrainConfig(**settings)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            raise UnknownNameError("setting of a training run", where, TrainConfig.model_fields) from None
        message = problem["msg"].removeprefix("Value error, ")
        got = "" if not where else f", got {problem['input']!r}"
        raise InputError(f"training: {where + ': ' if where else ''}{message[:1].lower() + message[1:]}{got}") from None


def read_config(directory: Path) -> TrainConfig:
    """The settings of a run directory; StoreError where they are missing or damaged."""
    file = directory / CONFIG_FILE
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(
            f"{directory} is no training run: it has no {CONFIG_FILE}; make one with `bindscope train`"
        ) from None
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {file}: {error}; train again") from error
    if not isinstance(content, dict):
        raise StoreError(f"{file} does not hold settings; train again")
    return make_config({k: v for k, v in content.items() if k in TrainConfig.model_fields})
