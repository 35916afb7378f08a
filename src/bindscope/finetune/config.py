"""What determines a fine-tuned model; the same settings give the same bytes on one machine with one number of threads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bindscope.errors import InputError, StoreError
from bindscope.finetune.captions import Recipe
from bindscope.streams import MAX_SEED

CONFIG_FILE = "finetune.json"
TECHNICAL = ("threads", "checkpoint_every", "asked")  # how a run is carried out, not what it is


class FinetuneConfig(BaseModel):
    """All settings of one run.

    coverage: share of the objects that training captions show; held_out_values: share of the words that none shows; both
    in 0..1. train: `all` weights (token embeddings stay), `last:N` layers, or `lora:RANK`. scale: inverse temperature of both
    losses. keep_weight: of staying at the base's vectors on `keep_batch` kept texts a step; similarity_weight: of staying at
    its similarities between these and `keep_captions` captions. average: share of the tuned weights in what is saved (None:
    the largest whose harm on validation texts stays within max_harm, see `choose_average`). asked: rows of each question
    before and after.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str
    data: str = "built-in"
    coverage: float = Field(0.5, gt=0, lt=1)
    held_out_values: float = Field(0.15, ge=0, lt=1)
    seed: int = Field(0, ge=0, le=MAX_SEED)

    train: str = Field("all", pattern=r"^(all|last:[1-9]\d*|lora:[1-9]\d*)$")
    steps: int = Field(150, ge=1, le=10_000_000)
    batch: int = Field(24, ge=2, le=65_536)
    learning_rate: float = Field(3e-4, gt=0)
    warmup: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    scale: float = Field(20.0, gt=0)

    query_weight: float = Field(1.0, ge=0)
    keep_weight: float = Field(8.0, ge=0)
    keep_batch: int = Field(32, ge=2, le=65_536)
    keep_captions: int = Field(24, ge=0, le=65_536)
    keep_texts: int = Field(3000, ge=2, le=1_000_000)
    keep_digest: str | None = None
    similarity_weight: float = Field(100.0, ge=0)
    average: float | None = Field(None, gt=0, le=1)
    max_harm: float = Field(0.018, ge=0, le=1)

    relations: float = Field(0.5, ge=0, le=1)
    bare: float = Field(0.5, ge=0, le=1)
    apart: float = Field(0.3, ge=0, le=1)
    own_wording: float = Field(0.8, ge=0, le=1)
    replaced: float = Field(0.5, ge=0, le=1)
    places: float = Field(0.4, ge=0, le=1)
    wordings: int | None = Field(None, ge=2)

    precision: Literal["float32", "bf16", "auto"] = "auto"
    threads: int | None = Field(None, ge=1, le=1024)
    evaluate_every: int = Field(50, ge=1)
    checkpoint_every: int = Field(50, ge=1)
    patience: int | None = Field(None, ge=1)
    asked: int = Field(400, ge=8, le=1_000_000)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.checkpoint_every % self.evaluate_every:
            raise ValueError(
                "checkpoint_every must be a multiple of evaluate_every, so that a resumed run logs the same"
            )
        return self

    @property
    def recipe(self) -> Recipe:
        """What training captions are made of."""
        names = ("relations", "bare", "apart", "own_wording", "replaced", "places", "wordings")
        return Recipe(queries=self.query_weight > 0, **{name: getattr(self, name) for name in names})

    def settings(self) -> dict[str, Any]:
        """What decides about the weights."""
        return self.model_dump(exclude=set(TECHNICAL))


def make_config(**values: Any) -> FinetuneConfig:
    """Settings from keyword arguments; raises InputError that names the first wrong one.

    >>> make_config(model="st:x", steps=10).steps
    10
    """
    try:
        return FinetuneConfig(**values)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "settings"
        if problem["type"] == "extra_forbidden":
            known = ", ".join(FinetuneConfig.model_fields)
            raise InputError(f"fine-tuning has no setting {where!r}; known: {known}") from error
        message = problem["msg"].removeprefix("Value error, ")
        raise InputError(
            f"setting {where}: {message[:1].lower() + message[1:]}, got {problem['input']!r}"[:300]
        ) from error


def read_config(directory: Path) -> FinetuneConfig:
    """The settings of a run directory; raises StoreError where they are missing or damaged."""
    file = directory / CONFIG_FILE
    try:
        return make_config(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise StoreError(f"{directory} holds no fine-tuning run: {CONFIG_FILE} is missing") from None
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"cannot read {file}: {error}; fine-tune anew in another --out") from error
