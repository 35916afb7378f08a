"""What a sweep costs before anything is trained: FLOPs counted, checked against a timed step, and hours on named GPUs."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bindscope.controlled.config import TrainConfig
from bindscope.controlled.cost import Cost, n_parameters, step_flops, timed
from bindscope.errors import InputError, UnknownNameError

UTILISATION = 0.35  # share of the peak that training reaches; 0.3 to 0.5 is usual for Transformers of this size
GPUS = {  # peak dense TFLOP/s in bf16 (accumulated in float32) and in float32, from NVIDIA's data sheets
    "A100 SXM": (312.0, 19.5),
    "H100 SXM": (989.0, 67.0),
    "L40S": (362.0, 91.6),
    "RTX 4090": (165.2, 82.6),
}
UNITS = ("", "k", "M", "G", "T", "P", "E", "Z")
FORMS = ("text", "markdown", "csv")


@dataclass(frozen=True)
class Group:
    """Models of one concept space. parameters: of one encoder; step_flops: mean over the models."""

    concepts: int
    values: int
    objects: int
    models: int
    parameters: int
    step_flops: float
    steps: int
    flops: float


@dataclass(frozen=True)
class Page:
    """A table as text."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Budget:
    """The cost of a sweep. timed: one step of the model of the median cost on this machine, None where none was timed."""

    groups: tuple[Group, ...]
    timed: Cost | None
    utilisation: float
    stops_early: bool

    @property
    def models(self) -> int:
        """Number of models."""
        return sum(group.models for group in self.groups)

    @property
    def flops(self) -> float:
        """FLOPs of all models, run to their last step."""
        return sum(group.flops for group in self.groups)

    def gpu_hours(self, peak: float) -> float:
        """Hours of one GPU of a peak in TFLOP/s for all models, at the assumed utilisation."""
        return self.flops / (peak * 1e12 * self.utilisation) / 3600

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        hours = {
            name: {
                "bf16_hours": self.gpu_hours(bf16),
                "float32_hours": self.gpu_hours(single),
                "bf16_peak_tflops": bf16,
            }
            for name, (bf16, single) in GPUS.items()
        }
        measured = None if self.timed is None else {**asdict(self.timed), "flops_per_second": self.timed.rate}
        return {
            "models": self.models,
            "flops": self.flops,
            "utilisation": self.utilisation,
            "stops_early": self.stops_early,
            "groups": [asdict(group) for group in self.groups],
            "timed_step": measured,
            "gpus": hours,
        }


def budget(configs: Sequence[TrainConfig], utilisation: float = UTILISATION, measure: bool = True) -> Budget:
    """The cost of all models of a sweep; with `measure` one real step is trained on this machine and forgotten.

    Raises InputError where there is no model, or the utilisation is not in 0..1.
    """
    if not configs:
        raise InputError("a sweep without models costs nothing; give at least one")
    if not 0 < utilisation <= 1:
        raise InputError(f"utilisation is a share of the peak in 0..1, got {utilisation}")
    spaces = sorted({(c.concepts, c.values) for c in configs}, key=lambda s: (s[0], s[1]))
    groups = tuple(_group([c for c in configs if (c.concepts, c.values) == space]) for space in spaces)
    median = sorted(configs, key=step_flops)[len(configs) // 2]
    return Budget(groups, timed(median) if measure else None, utilisation, any(c.patience for c in configs))


def _group(configs: Sequence[TrainConfig]) -> Group:
    first = max(configs, key=lambda c: c.width * c.layers)
    work = [step_flops(config) for config in configs]
    total = sum(flops * config.steps for flops, config in zip(work, configs, strict=True))
    mean, steps = sum(work) / len(work), sum(config.steps for config in configs)
    return Group(first.concepts, first.values, first.n_objects, len(configs), n_parameters(first), mean, steps, total)


def pages(made: Budget) -> list[Page]:
    """The tables of a budget: models by concept space, the timed step, hours by GPU."""
    return [_models_page(made), *([_timed_page(made, made.timed)] if made.timed else []), _gpus_page(made)]


def _models_page(made: Budget) -> Page:
    heads = ("concepts", "values", "objects", "models", "parameters per encoder", "FLOP a step", "steps", "FLOP in all")
    rows = [
        (
            str(g.concepts),
            str(g.values),
            f"{g.objects:,}",
            f"{g.models:,}",
            f"{g.parameters / 1e6:.1f} M",
            _si(g.step_flops),
            f"{g.steps:,}",
            _si(g.flops),
        )
        for g in made.groups
    ]
    steps = sum(g.steps for g in made.groups)
    rows.append(("all", "", "", f"{made.models:,}", "", "", f"{steps:,}", _si(made.flops)))
    return Page("Models by concept space", heads, tuple(rows))


def _timed_page(made: Budget, cost: Cost) -> Page:
    heads = (
        "FLOP counted",
        "threads",
        "seconds",
        "CPU s",
        "FLOP/s",
        "FLOP/s of a thread, by CPU time",
        "thread-hours, all",
    )
    row = (
        _si(cost.step_flops),
        str(cost.threads),
        f"{cost.seconds_per_step:.3g}",
        f"{cost.cpu_seconds_per_step:.3g}",
        _si(cost.rate),
        _si(cost.thread_rate),
        _hours(made.flops / cost.thread_rate / 3600),
    )
    return Page("A timed step on this machine, of the model of the median cost", heads, (row,))


def _gpus_page(made: Budget) -> Page:
    heads = (
        "GPU",
        "arithmetic",
        "peak TFLOP/s",
        f"at {made.utilisation:.0%} of it",
        "GPU-hours, all",
        "GPU-hours a model",
    )
    rows = [
        (
            name,
            arithmetic,
            f"{peak:g}",
            f"{peak * made.utilisation:.3g}",
            _hours(made.gpu_hours(peak)),
            _hours(made.gpu_hours(peak) / made.models),
        )
        for name, peaks in GPUS.items()
        for arithmetic, peak in zip(("bf16", "float32"), peaks, strict=True)
    ]
    return Page("Hours by GPU", heads, tuple(rows))


def notes(made: Budget, spec: str) -> list[str]:
    """What the figures mean, and the command that runs the sweep on a cluster."""
    found = [
        "FLOP: all matrix products of a step, forward and backward (and Muon's). Left out: embedding look-ups, norms, "
        "activations, the loss, AdamW, and evaluations.",
        f"GPU-hours: at {made.utilisation:.0%} of the dense peak on NVIDIA's data sheets (an assumption, --utilisation); what is "
        "timed here is a processor, and a run takes a GPU with device: auto.",
    ]
    if made.stops_early:
        found.append("An upper bound: runs may stop early by their validation objects.")
    command = f"RAY_ADDRESS=HEAD:6379 bindscope sweep {spec} --out DIR --engine ray"
    return [*found, f"On a cluster, with DIR on a file system that all its machines see: `{command}`"]


def render(made: Budget, spec: str, form: str) -> str:
    """The tables and notes as markdown, or the tables as CSV; text is printed by the command itself."""
    if form not in FORMS:
        raise UnknownNameError("format", form, FORMS)
    return _csv(pages(made)) if form == "csv" else _markdown(made, spec)


def _markdown(made: Budget, spec: str) -> str:
    parts = [f"# What {made.models:,} models of `{spec}` cost\n"]
    for page in pages(made):
        head = [f"| {' | '.join(page.heads)} |", "|" + "---|" * len(page.heads)]
        parts.append("\n".join([f"## {page.title}\n", *head, *(f"| {' | '.join(row)} |" for row in page.rows), ""]))
    return "\n".join([*parts, *(f"- {note}" for note in notes(made, spec))]) + "\n"


def _si(value: float) -> str:
    """A number of FLOP in three digits with its unit.

    >>> _si(5.31e8), _si(2.92e12), _si(1.4e20)
    ('531 M', '2.92 T', '140 E')
    """
    power = min(max(int(math.log10(max(value, 1.0)) / 3), 0), len(UNITS) - 1)
    return f"{value / 1000**power:.3g} {UNITS[power]}".rstrip()


def _hours(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.2g}" if value < 0.1 else f"{value:.3g}"


def _csv(made: Sequence[Page]) -> str:
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    for number, page in enumerate(made):
        if number:
            out.writerow([])
        out.writerows([page.heads, *page.rows])
    return text.getvalue()
