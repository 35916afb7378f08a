"""What a run is asked for: one object from the command line, or the Python call, to the encoder."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from bindscope.analyses.registry import default, measurable
from bindscope.datasets import data_kind
from bindscope.encoders import Encoder, load_encoder
from bindscope.errors import InputError, UnknownNameError

ALL = "all"  # stands for every analysis


@dataclass(frozen=True)
class Settings:
    """What a diagnosis is asked for. sample: number of scenes to draw by seed; None takes all.
    controls: whether read-outs of raw input and of an untrained network stand beside the model's."""

    model: str
    data: str
    analyses: tuple[str, ...] = field(default_factory=default)
    seed: int = 0
    sample: int | None = None
    prompt: str | None = None
    device: str | None = None
    batch_size: int | None = None
    controls: bool = True

    @classmethod
    def of(cls, model: str, data: str, analyses: Iterable[str] | None = None, **more: Any) -> Self:
        """The same with the analyses that are run on such data unasked, where none are named."""
        return cls(model, data, default(data_kind(data)) if analyses is None else tuple(analyses), **more)

    def __post_init__(self) -> None:
        known = measurable(data_kind(self.data))
        if ALL in self.analyses:
            object.__setattr__(self, "analyses", known)
        for name in self.analyses:
            if name not in known:
                raise UnknownNameError("analysis", name, (*known, ALL))
        if not self.analyses:
            raise InputError(f"no analysis was asked for; give some of {', '.join(known)}")
        if not 0 <= self.seed < 2**63:
            raise InputError(f"the seed must be 0 or larger and below 2^63, got {self.seed}")
        if self.sample is not None and self.sample < 2:
            raise InputError(f"--sample must be at least 2 scenes, got {self.sample}")
        if self.batch_size is not None and self.batch_size < 1:
            raise InputError(f"--batch-size must be at least 1, got {self.batch_size}")

    def encoder(self) -> Encoder:
        """The encoder that these settings name."""
        return load_encoder(self.model, device=self.device, batch_size=self.batch_size, prompt=self.prompt)

    def options(self) -> dict[str, Any]:
        """The settings that config.json keeps under `options`."""
        return {
            "sample": self.sample,
            "prompt": self.prompt,
            "device": self.device,
            "batch_size": self.batch_size,
        }

    def command(self) -> str:
        """The command line that makes this run again."""
        words = ["bindscope", "diagnose", self.model, "--data", self.data]
        if self.analyses != default(data_kind(self.data)):
            words += ["--analyses", ",".join(self.analyses)]
        for name, value in {"seed": self.seed or None, **self.options()}.items():
            words += [f"--{name.replace('_', '-')}", str(value)] if value is not None else []
        words += [] if self.controls else ["--no-controls"]
        return shlex.join(words)
