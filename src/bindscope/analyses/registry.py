"""The analyses by name. An analysis is one folder and one line here; what it is called, what it costs, its metrics' words,
its part of the page and of the terminal follow from its `ANALYSIS`.

An installed package adds its own by an entry point of the group `bindscope.analyses` that names an `Analysis`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Protocol

from bindscope.names import Registry, load_thing
from bindscope.show.words import Metric, learn

if TYPE_CHECKING:
    from rich.table import Table

    from bindscope.analyses.context import Context
    from bindscope.results import Results
    from bindscope.scenes import SceneTable
    from bindscope.show.blocks import Section
    from bindscope.show.run import Run
    from bindscope.uncertainty import Outcome

BUILT_IN = {
    "audit": "bindscope.analyses.audit:ANALYSIS",
    "recognition": "bindscope.analyses.recognition:ANALYSIS",
    "readouts": "bindscope.analyses.readouts:ANALYSIS",
    "geometry": "bindscope.analyses.geometry:ANALYSIS",
    "variance": "bindscope.analyses.variance:ANALYSIS",
    "removal": "bindscope.analyses.removal:ANALYSIS",
    "editing": "bindscope.analyses.editing:ANALYSIS",
    "complexity": "bindscope.analyses.complexity:ANALYSIS",
    "codelength": "bindscope.analyses.codelength:ANALYSIS",
    "crossmodal": "bindscope.analyses.crossmodal:ANALYSIS",
    "alignment": "bindscope.analyses.alignment:ANALYSIS",
    "training": "bindscope.analyses.training:ANALYSIS",
    "finetune": "bindscope.analyses.finetune:ANALYSIS",
    "pairs": "bindscope.analyses.pairs:ANALYSIS",
}


class Measure(Protocol):
    """`measure(context)`: the figures of an analysis."""

    def __call__(self, context: Context, /) -> Iterable[Outcome]: ...


@dataclass(frozen=True)
class Analysis:
    """One question, as one folder answers it. Functions are named as "module:function" and imported when they are used.

    name: the word of the column `analysis`. title, about: its heading and one line. default: whether `diagnose` runs it
    unasked. data: what it is of, `scenes` or
    `pairs`. needs: `captions` where it needs a second side. metrics: words of its own metrics; those that several analyses
    share stand in `show.words`. measure(context): its figures; None where another command makes them. section(run): its part
    of the page; None gives tables and plots of all its metrics. table(results): its table in the terminal; None lists its
    headline figures. findings(results): sentences that the figures carry, said below that table. cost(table, dimensions):
    multiplications it takes, roughly. columns(table): width of its widest least-squares design.
    """

    name: str
    title: str
    about: str
    default: bool = False
    data: str = "scenes"
    needs: tuple[str, ...] = ()
    metrics: Mapping[str, Metric | str] = field(default_factory=dict)
    measure: str | None = None
    section: str | None = None
    table: str | None = None
    findings: str | None = None
    cost: str | None = None
    columns: str | None = None

    def measured(self, context: Context) -> list[Outcome]:
        """The figures of a context."""
        assert self.measure is not None
        make: Measure = load_thing(self.measure)
        return list(make(context))

    def section_of(self, run: Run) -> Section:
        """Its part of the page."""
        from bindscope.show.generic import build

        made: Section = (
            build(run, self.name, self.title, self.about) if self.section is None else load_thing(self.section)(run)
        )
        return made

    def table_of(self, results: Results) -> Table | None:
        """Its table in the terminal; None where there is nothing to show."""
        from bindscope.show.tables import figures_table

        if self.table is not None:
            made: Table | None = load_thing(self.table)(results)
            return made
        found = results.headline(analysis=self.name)
        return figures_table(self.title, found) if len(found) else None

    def sentences(self, results: Results) -> list[str]:
        """What its records say in words; nothing where it has no such sentences."""
        return [] if self.findings is None else list(load_thing(self.findings)(results.select(analysis=self.name)))

    def work(self, table: SceneTable, dimensions: int) -> float | None:
        """Multiplications of its dominant products; None where that is not known."""
        return None if self.cost is None else float(load_thing(self.cost)(table, dimensions))

    def width(self, table: SceneTable) -> int:
        """Columns of its widest least-squares design; 0 where it has none."""
        return 0 if self.columns is None else int(load_thing(self.columns)(table))


REGISTRY: Registry[Analysis] = Registry(
    "analysis", "bindscope.analyses", BUILT_IN, fits=lambda thing: isinstance(thing, Analysis)
)


def analyses() -> Mapping[str, Analysis]:
    """Every analysis by name, those of installed packages last, in the order in which they run."""
    return _found(tuple(sys.path))


@cache
def _found(path: tuple[str, ...]) -> Mapping[str, Analysis]:
    found = dict(REGISTRY.items())
    for one in found.values():
        learn(one.metrics)
    return found


def measurable(data: str | None = "scenes") -> tuple[str, ...]:
    """Names of the analyses that `diagnose` can run on scenes or on pairs (None: on either)."""
    return tuple(name for name, one in analyses().items() if one.measure is not None and data in (None, one.data))


def default(data: str = "scenes") -> tuple[str, ...]:
    """Names of the analyses that `diagnose` runs unasked on such data."""
    return tuple(name for name, one in analyses().items() if one.default and one.data == data)


def two_sided() -> tuple[str, ...]:
    """Names of the analyses that need captions beside the scenes."""
    return tuple(name for name, one in analyses().items() if "captions" in one.needs)


def page_order() -> tuple[str, ...]:
    """Names in reading order: the audit of the data comes last."""
    names = list(analyses())
    return (*(name for name in names if name != "audit"), "audit")


def analysis_names() -> dict[str, str]:
    """Analyses that `diagnose` can run, with a line on each.

    >>> "geometry" in analysis_names()
    True
    """
    package = {name: REGISTRY.package_of(name) for name in measurable(None)}
    return {name: analyses()[name].about + (f" (from {package[name]})" if package[name] else "") for name in package}
