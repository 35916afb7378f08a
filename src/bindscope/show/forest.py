"""The one plot that most of the report is made of: rows of figures with intervals, chance and ceiling drawn in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from bindscope.results import Record
from bindscope.show.figures import (
    FAINT,
    GREY,
    INK,
    Figure,
    Key,
    Series,
    axis,
    base_layout,
    error_bars,
    hover,
    label,
    missing_marks,
    span,
)
from bindscope.show.words import interval_text, value_text

Row = tuple[str, Sequence[tuple[Series, Record]]]
MOST_ROWS = 60
LINE = 17  # pixels of a line of a label


@dataclass(frozen=True)
class Style:
    """How a forest is drawn. limits: the range of the axis (fitted where None); step: pixels for each series of a row."""

    axis_title: str = ""
    limits: tuple[float, float] | None = None
    bars: bool = False
    values: bool = False
    percent: bool = False
    step: int = 17
    gap: int = 16
    exact: float | None = None


@dataclass(frozen=True)
class Placed:
    """A record at its height y in the plot, with half the height that belongs to it."""

    series: Series
    record: Record
    heading: str
    y: float
    half: float


def forest(
    name: str, title: str, rows: Sequence[Row], style: Style | None = None, order: Sequence[Series] = ()
) -> Figure:
    """A dot (or bar) with its interval for each record, one row a question, one colour a series.

    order: series that come first, in the legend and in each row; the others follow as they occur.
    """
    style = style or Style()
    drawn = rows[:MOST_ROWS]
    occurring = dict.fromkeys(s for _, entries in drawn for s, _ in entries)
    series = list(dict.fromkeys([*(s for s in order if s in occurring), *occurring]))
    placed, ticks, depth = _place(drawn, series, style)
    low, high = style.limits or span([p.record for p in placed])
    data, keys = _references(placed)
    for one in series:
        mine = [p for p in placed if p.series == one]
        keys.append(_key(one, style, len(data)))
        data.append(_marks(one, [p for p in mine if p.record.value is not None], style))
    if style.values:
        data.append(_value_labels(placed))
    absent = [p.y for p in placed if p.record.value is None]
    if absent:
        data.append(missing_marks(low, absent))
    layout = _layout(drawn, ticks, depth, (low, high), style)
    left_out = (
        f"The first {MOST_ROWS} of {len(rows)} rows are drawn; the table has all." if len(rows) > MOST_ROWS else ""
    )
    return Figure(name, title, _summary(title, drawn), data, layout, _shown(keys), left_out)


def _place(rows: Sequence[Row], series: Sequence[Series], style: Style) -> tuple[list[Placed], list[float], float]:
    """Heights in pixels from the top: one step for each of its records, and a gap after it."""
    placed: list[Placed] = []
    ticks: list[float] = []
    top = style.gap / 2
    for heading, entries in rows:
        ordered = sorted(entries, key=lambda entry: series.index(entry[0]))
        used = max(len(ordered) * style.step, LINE * (label(heading).count("<br>") + 1) - style.gap + 4)
        start = top + (used - len(ordered) * style.step) / 2
        for i, (one, record) in enumerate(ordered):
            placed.append(Placed(one, record, heading, start + (i + 0.5) * style.step, style.step / 2))
        ticks.append(top + used / 2)
        top += used + style.gap
    return placed, ticks, top - style.gap / 2


def _marks(series: Series, placed: Sequence[Placed], style: Style) -> dict[str, Any]:
    records = [p.record for p in placed]
    common = {
        "name": series.name,
        "x": [r.value for r in records],
        "y": [p.y for p in placed],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "hovertext": [hover(p.record, p.heading) for p in placed],
    }
    if style.bars:
        marker = {"color": series.color, "line": {"width": 0}, "cornerradius": 3}
        bars = {"type": "bar", "orientation": "h", "width": style.step * 0.72, "marker": marker}
        return {**common, **bars, **error_bars(records, INK)}
    symbol = series.symbol + ("-open" if series.hollow else "")
    marker = {"color": series.color, "symbol": symbol, "size": 10, "line": {"width": 2, "color": series.color}}
    dots = {"type": "scatter", "mode": "markers", "marker": marker, "cliponaxis": False}
    return {**common, **dots, **error_bars(records, series.color)}


def _value_labels(placed: Sequence[Placed]) -> dict[str, Any]:
    """The figure in print beside its bar, to the right of everything that is drawn there."""
    shown = [p for p in placed if p.record.value is not None]
    ends = [max(e for e in (p.record.value, p.record.ci_high) if e is not None) for p in shown]
    return {
        "type": "scatter",
        "mode": "text",
        "name": "values",
        "x": ends,
        "y": [p.y for p in shown],
        "text": [f"  <b>{value_text(p.record)}</b>" for p in shown],
        "textposition": "middle right",
        "textfont": {"size": 14, "color": INK},
        "hoverinfo": "skip",
        "showlegend": False,
        "cliponaxis": False,
    }


def _references(placed: Sequence[Placed]) -> tuple[list[dict[str, Any]], list[Key]]:
    """Chance as dashed grey lines, the ceiling as solid dark ones, across the points that share them."""
    looks: Mapping[str, dict[str, Any]] = {
        "chance": {"color": GREY, "dash": "2px,3px", "width": 2},
        "ceiling": {"color": INK, "width": 2.5},
    }
    names = {"chance": "chance", "ceiling": "most that a bag of concepts can reach"}
    data: list[dict[str, Any]] = []
    keys: list[Key] = []
    for field, line in looks.items():
        marks = [p for p in placed if getattr(p.record, field) is not None]
        if marks:
            keys.append(Key(names[field], line["color"], "dash" if "dash" in line else "rule", traces=(len(data),)))
            data.append({**_segments(marks, field), "name": names[field], "line": line})
    return data, keys


def _segments(marks: Sequence[Placed], field: str) -> dict[str, Any]:
    x: list[float | None] = []
    y: list[float | None] = []
    texts: list[str] = []
    for (heading, value), group in groupby(marks, key=lambda p: (p.heading, getattr(p.record, field))):
        part = list(group)
        x += [value, value, None]
        y += [min(p.y - p.half for p in part), max(p.y + p.half for p in part), None]
        texts += [hover(part[0].record, heading)] * 3
    trace = {"type": "scatter", "mode": "lines", "x": x, "y": y, "hovertext": texts, "cliponaxis": False}
    return {**trace, "hovertemplate": "%{hovertext}<extra></extra>"}


def _layout(
    rows: Sequence[Row], ticks: Sequence[float], depth: float, limits: tuple[float, float], style: Style
) -> dict[str, Any]:
    texts = [label(heading) for heading, _ in rows]
    bottom = 46 if style.axis_title else 28
    layout = base_layout(int(depth) + bottom + 8)
    layout["margin"]["b"] = bottom
    layout["xaxis"] = axis(style.axis_title, range=list(limits), nticks=6, separatethousands=True)
    if style.percent:
        layout["xaxis"] |= {"tickformat": "~%"}
    if style.limits and style.limits[0] <= 0 and 1 <= style.limits[1] < 1.5:
        layout["xaxis"] |= {"tickvals": [0, 0.25, 0.5, 0.75, 1], "ticktext": ["0", "0.25", "0.5", "0.75", "1"]}
    look: dict[str, Any] = {"tickvals": list(ticks), "ticktext": texts, "showgrid": False, "range": [depth, 0]}
    layout["yaxis"] = axis(**look) | {"tickfont": {"size": 13, "color": INK}, "ticklabelstandoff": 4}
    lines = [float(x) for x in (0, style.exact) if x is not None and limits[0] < x < limits[1]]
    layout["shapes"] = [_vertical(x) for x in lines]
    if style.values:
        layout["margin"]["r"] = 56
    layout["bargap"] = 0
    layout["barmode"] = "overlay"
    return layout


def _vertical(x: float) -> dict[str, Any]:
    line = {"color": FAINT, "width": 1}
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": line, "layer": "below"}


def _key(series: Series, style: Style, trace: int) -> Key:
    return Key(series.name, series.color, "bar" if style.bars else "dot", series.symbol, series.hollow, (trace,))


def _shown(keys: Sequence[Key]) -> tuple[Key, ...]:
    """Series first, then chance and ceiling; a series without a name needs no entry."""
    named = [key for key in keys if key.shape in ("dot", "bar") and key.label]
    return (*named, *(key for key in keys if key.shape in ("dash", "rule")))


def _summary(title: str, rows: Sequence[Row]) -> str:
    parts = []
    for heading, entries in rows[:12]:
        figures = [f"{s.name} {value_text(r)} {interval_text(r)}".strip() for s, r in entries]
        parts.append(f"{heading}: {'; '.join(figures)}")
    more = f" And {len(rows) - 12} more rows." if len(rows) > 12 else ""
    return f"{title}. {'. '.join(parts)}.{more}"
