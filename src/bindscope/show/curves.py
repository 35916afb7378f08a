"""Curves over coverage, and the stacked bar of shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bindscope.results import Record
from bindscope.show.figures import (
    FAINT,
    GREY,
    HUES,
    INK,
    Figure,
    Key,
    Series,
    axis,
    base_layout,
    error_bars,
    hover,
    safe,
    span,
)
from bindscope.show.words import number, plain, value_text

Curve = tuple[Series, Sequence[Record]]
Mark = Callable[[Record], bool]


@dataclass(frozen=True)
class Along:
    """The horizontal axis of curves: its title, and where a record stands on it."""

    title: str
    of: Callable[[Record], float | None]


COVERAGE = Along("Coverage: share of the objects that are trained on", lambda record: record.coverage)
DASHES = ("solid", "7px,4px", "2px,3px", "9px,3px,2px,3px")


def curves(
    name: str,
    title: str,
    families: Sequence[Curve],
    y_title: str,
    grey: Mark | None = None,
    percent: bool = False,
    limits: tuple[float, float] | None = None,
    along: Along | None = None,
) -> Figure:
    """Values over coverage with intervals; points for which `grey` holds are grey crosses.

    limits: range of the values (fitted where None). along: what stands there instead of coverage.
    """
    place = along or COVERAGE
    data: list[dict[str, Any]] = []
    keys: list[Key] = []
    for i, (series, records) in enumerate(families):
        points = sorted((r for r in records if r.value is not None), key=lambda r: place.of(r) or 0.0)
        keys.append(Key(series.name, series.color, "line", series.symbol, series.hollow, (len(data),)))
        data.append(_curve(series, points, grey, DASHES[i % len(DASHES)], place, limits is not None))
    for field, text in (("chance", "chance"), ("ceiling", "most that a bag of concepts can reach")):
        line = _reference(families, field, place)
        if line is not None:
            keys.append(Key(text, line["line"]["color"], "dash" if field == "chance" else "rule", traces=(len(data),)))
            data.append({**line, "name": text})
    everything = [r for _, records in families for r in records]
    layout = base_layout(300)
    layout["xaxis"] = axis(place.title, nticks=10)
    layout["yaxis"] = axis(y_title, range=list(limits or span(everything)), separatethousands=True)
    if percent:
        layout["yaxis"] |= {"tickformat": "~%"}
    return Figure(name, title, _summary(title, families, place), data, layout, tuple(keys))


def _curve(
    series: Series, points: Sequence[Record], grey: Mark | None, dash: str, place: Along, clip: bool
) -> dict[str, Any]:
    pale = [grey is not None and grey(r) for r in points]
    symbols = ["x-thin-open" if p else series.symbol + ("-open" if series.hollow else "") for p in pale]
    colors = [GREY if p else series.color for p in pale]
    marker = {"color": colors, "symbol": symbols, "size": 9, "line": {"width": 2, "color": colors}}
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": series.name,
        "x": [place.of(r) for r in points],
        "y": [r.value for r in points],
        "marker": marker,
        "line": {"color": series.color, "width": 2, "dash": dash},
        "hovertemplate": "%{hovertext}<extra></extra>",
        "hovertext": [hover(r, series.name) for r in points],
        "cliponaxis": clip,
        **error_bars(points, series.color, "y"),
    }


def _reference(families: Sequence[Curve], field: str, place: Along) -> dict[str, Any] | None:
    """Every different course of chance (or ceiling) over coverage, as one trace."""
    courses: list[list[tuple[float, float]]] = []
    for _, records in families:
        known = [(x, getattr(r, field)) for r in records if (x := place.of(r)) is not None]
        course = sorted((x, round(y, 9)) for x, y in known if y is not None)
        if course and course not in courses:
            courses.append(course)
    if not courses:
        return None
    gap: list[tuple[float | None, float | None]] = [(None, None)]
    points = [point for course in courses for point in [*course, *gap]]
    look = {"color": GREY, "dash": "2px,3px"} if field == "chance" else {"color": INK}
    places, heights = [x for x, _ in points], [y for _, y in points]
    return {"type": "scatter", "mode": "lines", "x": places, "y": heights, "line": {**look, "width": 2}}


def stack(name: str, title: str, parts: Sequence[tuple[str, Record]]) -> Figure:
    """One bar of shares. Negative shares (possible after correction) have no width; the tooltip has the figure."""
    data: list[dict[str, Any]] = []
    keys: list[Key] = []
    for i, (heading, record) in enumerate(parts):
        color = HUES[i] if i < len(HUES) else (GREY, FAINT)[i % 2]
        width = max(0.0, record.value or 0.0)
        keys.append(Key(f"{heading} {value_text(record)}", color, "box", traces=(i,)))
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": heading,
                "x": [width],
                "y": ["variance"],
                "marker": {"color": color, "line": {"width": 0}},
                "hovertemplate": "%{hovertext}<extra></extra>",
                "hovertext": [hover(record, heading)],
            }
        )
    layout = base_layout(104, barmode="stack", bargap=0.1)
    end = max(1.0, sum(trace["x"][0] for trace in data))
    layout["xaxis"] = axis(tickformat="~%", nticks=6, range=[0, end])
    layout["yaxis"] = axis(visible=False)
    layout["margin"] |= {"b": 28, "r": 24}
    return Figure(name, title, f"{title}. " + "; ".join(key.label for key in keys) + ".", data, layout, tuple(keys))


def simple_bar(name: str, title: str, parts: Sequence[tuple[str, float, str]]) -> Figure:
    """Counts as one stacked bar: label, count, colour."""
    total = sum(count for _, count, _ in parts) or 1.0
    data: list[dict[str, Any]] = []
    keys: list[Key] = []
    for i, (heading, count, color) in enumerate(parts):
        text = f"{heading}: {count:,.0f} of {total:,.0f}"
        keys.append(Key(text, color, "box", traces=(i,)))
        bar = {"type": "bar", "orientation": "h", "name": heading, "x": [count / total], "y": ["cells"]}
        look = {"marker": {"color": color}, "hovertemplate": safe(text) + "<extra></extra>"}
        data.append({**bar, **look})
    layout = base_layout(84, barmode="stack", bargap=0.1)
    layout["xaxis"] = axis(tickformat="~%", nticks=6, range=[0, 1])
    layout["yaxis"] = axis(visible=False)
    layout["margin"] |= {"b": 28, "r": 24}
    return Figure(name, title, f"{title}. " + "; ".join(key.label for key in keys) + ".", data, layout, tuple(keys))


def _summary(title: str, families: Sequence[Curve], place: Along) -> str:
    parts = []
    for series, records in families:
        points = [f"{value_text(r)} at {number(x)}" for r in records if (x := place.of(r)) is not None]
        parts.append(f"{plain(series.name)}: {', '.join(points)}")
    return f"{title}, over {place.title.split(':')[0].lower()}. {'. '.join(parts)}."
