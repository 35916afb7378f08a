"""Panels of lines and points as one SVG, drawn by matplotlib: the same bytes for the same numbers.

    from plots import Line, Panel, Reference, write

    panel = Panel(
        "256 objects", "coverage", "object recognition",
        lines=[Line("C = 2", x, y, low, high), Line("C = 3", x, y3)],           # low, high: an interval as a band
        references=[Reference(0.5, "ceiling of a bag"), Reference(0.4, "threshold", "x")],
        y_range=(0, 1),
    )
    write("results/coverage.svg", [panel, other], title="When binding generalises", caption="Bands: 95 %.", columns=2)

`Line(..., joined=False)` draws points (an interval is then a bar), `marks=False` a bare line, `dashed=True` a dashed one; None
or NaN leaves a gap. Lines of one label share colour and mark in all panels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bindscope.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#e69f00", "#56b4e9", "#4d4d4d")  # for colour-blind eyes too
MARKS = "os^D"
SETTINGS = {"svg.hashsalt": "bindscope", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False}
SETTINGS |= {"axes.spines.right": False, "axes.grid": True, "grid.color": "#e4e4e4", "axes.axisbelow": True}
WIDTH, HEIGHT = 4.6, 3.3  # of a panel, inches
Number = float | int | None


@dataclass(frozen=True)
class Line:
    """One series. low and high: its interval."""

    label: str
    x: Sequence[Number]
    y: Sequence[Number]
    low: Sequence[Number] | None = None
    high: Sequence[Number] | None = None
    joined: bool = True
    marks: bool = True
    dashed: bool = False
    colour: int | str | None = None


@dataclass(frozen=True)
class Reference:
    """A dashed straight line with its name: chance, a ceiling, a threshold."""

    value: float
    label: str
    axis: Literal["x", "y"] = "y"


@dataclass(frozen=True)
class Panel:
    """One pair of axes. Ranges that are not given span the numbers and the references."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    references: Sequence[Reference] = ()
    x_log: bool = False
    y_log: bool = False
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None


def write(
    path: str | Path,
    panels: Sequence[Panel],
    title: str = "",
    caption: str = "",
    columns: int = 3,
    own_legends: bool = False,
) -> None:
    """Draw the panels and write one SVG, whole. own_legends: a legend in each panel, else one for all below the title."""
    import matplotlib as mpl

    if not panels:
        raise ValueError("a plot needs at least one panel")
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(SETTINGS), whole_file(target) as partial:
        figure = _figure(panels, title, caption, columns, own_legends)
        figure.savefig(partial, format="svg", metadata={"Date": None, "Creator": None})


def _figure(panels: Sequence[Panel], title: str, caption: str, columns: int, own_legends: bool) -> Any:
    from matplotlib.figure import Figure

    across = min(columns, len(panels))
    down = math.ceil(len(panels) / across)
    figure = Figure(figsize=(WIDTH * across, HEIGHT * down + 0.8), layout="constrained")
    styles = _styles(panels)
    named: dict[str, Any] = {}
    for number, panel in enumerate(panels):
        axes = figure.add_subplot(down, across, number + 1)
        for line in panel.lines:
            drawn = _draw(axes, line, *styles[line.label])
            named.setdefault(line.label, drawn)
            drawn.set_label(line.label)
        _frame(axes, panel)
        if own_legends and panel.lines:
            axes.legend(frameon=False, fontsize=8)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    if named and not own_legends:
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=min(len(named), 5), frameon=False)
    if caption:
        figure.supxlabel(caption, x=0.01, ha="left", fontsize=8, wrap=True)
    return figure


def _styles(panels: Sequence[Panel]) -> dict[str, tuple[str, str]]:
    """Colour and mark of each label, in order of first appearance."""
    labels = dict.fromkeys(line.label for panel in panels for line in panel.lines)
    chosen = {line.label: line.colour for panel in panels for line in panel.lines}
    styles = {}
    for place, label in enumerate(labels):
        colour = chosen[label]
        number = place if colour is None else colour
        styles[label] = (
            number if isinstance(number, str) else PALETTE[number % len(PALETTE)],
            MARKS[place // len(PALETTE) % len(MARKS)],
        )
    return styles


def _draw(axes: Axes, line: Line, colour: str, mark: str) -> Any:
    x, y = _numbers(line.x), _numbers(line.y)
    shape: dict[str, Any] = {"color": colour, "marker": mark if line.marks else "", "markersize": 4}
    shape["linestyle"] = ("--" if line.dashed else "-") if line.joined else ""
    if line.low is None or line.high is None:
        return axes.plot(x, y, **shape)[0]
    low, high = _numbers(line.low), _numbers(line.high)
    if line.joined:
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        return axes.plot(x, y, **shape)[0]
    reach = np.maximum(np.stack([y - low, high - y]), 0.0)
    return axes.errorbar(x, y, yerr=reach, elinewidth=1, **shape)


def _frame(axes: Axes, panel: Panel) -> None:
    for one in panel.references:
        along = axes.axhline if one.axis == "y" else axes.axvline
        along(one.value, color="#666666", linestyle=":", linewidth=1)
        place, frame = (
            ((1.0, one.value), axes.get_yaxis_transform())
            if one.axis == "y"
            else (
                (one.value, 1.0),
                axes.get_xaxis_transform(),
            )
        )
        axes.text(*place, one.label, transform=frame, ha="right", va="bottom", fontsize=8, color="#666666")
    axes.set(title=panel.title, xlabel=panel.x_label, ylabel=panel.y_label)
    if panel.x_log and _shows_positive(panel.lines, "x"):
        axes.set_xscale("log")
    if panel.y_log and _shows_positive(panel.lines, "y"):
        axes.set_yscale("log")
    if panel.x_range:
        axes.set_xlim(panel.x_range)
    if panel.y_range:
        axes.set_ylim(panel.y_range)


def _shows_positive(lines: Sequence[Line], name: str) -> bool:
    return any(value is not None and value > 0 for line in lines for value in getattr(line, name))


def _numbers(values: Sequence[Number]) -> Any:
    return np.array([np.nan if value is None else float(value) for value in values])
