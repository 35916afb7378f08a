"""Figures as plain plotly JSON: one vocabulary of colours, symbols, intervals, chance and ceiling for all of them."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from bindscope.results import Record
from bindscope.show.words import MISSING, hover_text

# Okabe and Ito's colour-blind-safe hues, darkened for a light page; the page swaps them for the lighter ones in dark.
BLUE, ORANGE, GREEN, PINK, VIOLET, SAND = "#0067a5", "#c2570c", "#00795c", "#a8467f", "#5b53b5", "#8a6d00"
INK, GREY, FAINT, RULE = "#1c222b", "#6b7280", "#b4bac4", "#e3e6eb"
DARK = {
    BLUE: "#5bb8f0",
    ORANGE: "#f2a15c",
    GREEN: "#3ecfa5",
    PINK: "#eba0cc",
    VIOLET: "#b3adff",
    SAND: "#e2c64f",
    INK: "#eef1f5",
    GREY: "#a3abb8",
    FAINT: "#5d6674",
    RULE: "#313843",
}
HUES = (BLUE, ORANGE, GREEN, PINK, VIOLET, SAND)
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
Shape = Literal["dot", "bar", "line", "dash", "rule", "box"]


@dataclass(frozen=True)
class Series:
    """How one series looks: colour and symbol always differ together, so that colour alone tells nothing."""

    name: str
    color: str
    symbol: str = "circle"
    hollow: bool = False


@dataclass(frozen=True)
class Key:
    """One entry of a legend, and the traces that it shows or hides."""

    label: str
    color: str
    shape: Shape
    symbol: str = "circle"
    hollow: bool = False
    traces: tuple[int, ...] = ()


@dataclass(frozen=True)
class Figure:
    """A figure: plotly's data and layout, a title, a text for those who cannot see it, and its legend."""

    name: str
    title: str
    summary: str
    data: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any]
    keys: tuple[Key, ...] = ()
    note: str = ""
    kind: str = "figure"

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.layout["height"])

    def to_json(self) -> str:
        """Plotly JSON that stands alone: with its title and plotly's own legend."""
        layout = {**self.layout, "title": {"text": safe(self.title)}, "showlegend": len(self.keys) > 1}
        layout["margin"] = {**layout.get("margin", {}), "t": 60}
        return json.dumps({"data": list(self.data), "layout": layout}, ensure_ascii=False, indent=1) + "\n"


def series_of(names: Iterable[str]) -> dict[str, Series]:
    """A series for each name; hues repeat after six names, the symbols are then hollow."""
    return {
        name: Series(name, HUES[i % len(HUES)], SYMBOLS[i % len(SYMBOLS)], hollow=i >= len(HUES))
        for i, name in enumerate(dict.fromkeys(names))
    }


def safe(text: str) -> str:
    """Text for plotly, which would read tags in labels as markup."""
    return html.escape(text, quote=False)


def label(text: str, width: int = 22) -> str:
    """A label of an axis, wrapped at words and cut where it is far too long."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    cut = [line if len(line) <= width + 6 else line[: width + 4] + "…" for line in lines[:3]]
    if len(lines) > 3:
        cut[-1] += " …"
    return "<br>".join(safe(line) for line in cut)


def hover(record: Record, heading: str = "") -> str:
    """The tooltip of a record."""
    first, *rest = hover_text(record)
    return "<br>".join([f"<b>{safe(heading or first)}</b>", *map(safe, rest)])


def base_layout(height: int, **more: Any) -> dict[str, Any]:
    """What all figures share."""
    return {
        "height": height,
        "margin": {"l": 8, "r": 14, "t": 8, "b": 44},
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hoverlabel": {"align": "left", "font": {"family": FONT, "size": 13}},
        "hovermode": "closest",
        "dragmode": False,
        "showlegend": False,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        **more,
    }


def axis(title: str = "", **more: Any) -> dict[str, Any]:
    """A numeric axis with quiet grid lines."""
    return {
        "title": {"text": safe(title), "font": {"size": 12, "color": GREY}, "standoff": 8},
        "gridcolor": RULE,
        "zeroline": False,
        "linecolor": FAINT,
        "tickfont": {"size": 12, "color": GREY},
        "automargin": True,
        "fixedrange": True,
        **more,
    }


def span(records: Iterable[Record], references: bool = True) -> tuple[float, float]:
    """A range that holds all values and interval ends, a little wider; (0, 1) where there is nothing to show."""
    fields = ("value", "ci_low", "ci_high") + (("chance", "ceiling") if references else ())
    ends = [end for r in records if r.value is not None for f in fields if (end := getattr(r, f)) is not None]
    if not ends:
        return 0.0, 1.0
    low, high = min(ends), max(ends)
    if low >= 0 and high <= 1 and high - low > 0.45:
        low, high = 0.0, 1.0
    pad = 0.04 * (high - low) or 0.05 * abs(high) or 0.05
    return low - pad, high + pad


def error_bars(records: Sequence[Record], color: str, axis_name: str = "x") -> dict[str, Any]:
    """Asymmetric error bars; no bar where a record has no interval."""
    up = [_arm(r.ci_high, r.value, r) for r in records]
    down = [_arm(r.value, r.ci_low, r) for r in records]
    bars = {"type": "data", "symmetric": False, "array": up, "arrayminus": down}
    return {f"error_{axis_name}": {**bars, "color": color, "thickness": 1.8, "width": 4}}


def _arm(high: float | None, low: float | None, record: Record) -> float:
    if high is None or low is None or record.ci_low is None or record.ci_high is None:
        return 0.0
    return max(0.0, high - low)


def with_note(figure: Figure, note: str) -> Figure:
    """The figure with a line below it."""
    return replace(figure, note=note)


def missing_marks(x: float, places: Sequence[float]) -> dict[str, Any]:
    """Grey words where a value is missing."""
    return {
        "type": "scatter",
        "mode": "text",
        "name": MISSING,
        "x": [x] * len(places),
        "y": list(places),
        "text": [MISSING] * len(places),
        "textposition": "middle right",
        "textfont": {"size": 12, "color": GREY},
        "hoverinfo": "skip",
        "showlegend": False,
        "cliponaxis": False,
    }
