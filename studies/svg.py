"""Line and point plots as one self-contained SVG text: no dependency, the same bytes for the same numbers.

    from svg import Line, Panel, Reference, write

    panel = Panel(
        "256 objects", "coverage", "object recognition",
        lines=[Line("C = 2", x, y, low, high), Line("C = 3", x, y3)],           # low, high: an interval as a band
        references=[Reference(0.5, "ceiling of a bag"), Reference(0.03, "chance"), Reference(0.4, "threshold", "x")],
        y_range=(0, 1),                                                         # else from the numbers
    )
    write("results/coverage.svg", [panel, other], title="When binding generalises", caption="Bands: 95 %.", columns=2)

`Line(..., joined=False)` draws points (an interval is then a bar), `marks=False` a bare line, `dashed=True` a dashed one;
None or NaN leaves a gap. Panel(x_log=True, y_log=True) for logarithmic axes. Series of one label share colour and mark in
all panels and stand once in the legend, in order of first appearance; colour is a number of the palette or any
CSS colour. `plot(...)` returns the text that `write` writes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

PALETTE = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#aa4499",
    "#e69f00",
    "#56b4e9",
    "#4d4d4d",
)  # told apart by colour-blind eyes
MARKS = ("circle", "square", "triangle", "diamond")
INK, SOFT, GRID = "#222222", "#666666", "#e4e4e4"
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
LEFT, RIGHT, TOP, BOTTOM, GAP = 62, 16, 34, 48, 14  # room around the axes of a panel
LETTER = 0.56  # mean width of a letter as a share of the size of the font
Number = float | int | None


@dataclass(frozen=True)
class Line:
    """One series. low and high: its interval; None or NaN anywhere leaves a gap."""

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


@dataclass(frozen=True)
class Axis:
    """Numbers to pixels: `low` lies at `start`, `high` at `stop`."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def place(self, value: float) -> float:
        """The pixel of a number."""
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.stop - self.start)

    def ticks(self) -> list[float]:
        """Round numbers inside the range."""
        found = _log_ticks(self.low, self.high) if self.log else _ticks(self.low, self.high)
        return [tick for tick in found if self.low * (1 - 1e-9) - 1e-12 <= tick <= self.high * (1 + 1e-9) + 1e-12]


def write(path: str | Path, panels: Sequence[Panel], **options: object) -> None:
    """The plot as a file; options are those of `plot`."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(plot(panels, **options), encoding="utf-8", newline="\n")  # type: ignore[arg-type]


def plot(
    panels: Sequence[Panel],
    title: str = "",
    caption: str = "",
    columns: int = 2,
    size: tuple[int, int] = (420, 300),
    own_legends: bool = False,
) -> str:
    """Panels side by side, `columns` in a row, each of `size` pixels; the legend of all of them under the title.

    own_legends: each panel has a legend, colours and marks of its own, for panels that share no series.

    >>> plot([Panel("", "x", "y", [Line("a", [0, 1], [0, 1])])]).startswith("<svg xmlns=")
    True
    """
    if not panels:
        raise ValueError("a plot needs at least one panel")
    styles = [_styles([panel]) for panel in panels] if own_legends else [_styles(panels)] * len(panels)
    columns = min(columns, len(panels))
    width = columns * size[0] + 2 * GAP
    head: list[str] = []
    top = GAP + 8.0
    for text in _wrapped(title, width - 2 * GAP, 17):
        top += 16
        head.append(_text(GAP + 4, top, text, 17, INK, weight=600))
        top += 6
    legend, room, top = list[str](), 0.0, top + 4
    if own_legends:
        room = max(_legend([one], own, LEFT - 6, size[0], 0)[1] for one, own in zip(panels, styles, strict=True))
    else:
        legend, top = _legend(panels, styles[0], GAP, width - GAP, top)
    high = size[1] + room
    places = [(GAP + (i % columns) * size[0], top + (i // columns) * high) for i in range(len(panels))]
    body = []
    for number, (panel, own, (left, up)) in enumerate(zip(panels, styles, places, strict=True)):
        legend += _legend([panel], own, left + LEFT - 6, left + size[0], up + TOP - 12)[0] if own_legends else []
        body.append(_panel(panel, own, left, up, size, room, number))
    top += math.ceil(len(panels) / columns) * high + 4
    foot: list[str] = []
    for text in _wrapped(caption, width - 2 * GAP, 12):
        top += 15
        foot.append(_text(GAP + 4, top, text, 12, SOFT))
    height = round(top + GAP)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'role="img" font-family="{FONT}">',
            f"<title>{escape(title or panels[0].title or panels[0].y_label)}</title>",
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            *head,
            *legend,
            *body,
            *foot,
            "</svg>\n",
        ]
    )


@dataclass(frozen=True)
class _Style:
    colour: str
    mark: str


def _styles(panels: Sequence[Panel]) -> dict[str, _Style]:
    """One colour and one mark for each label, in order of first appearance."""
    found: dict[str, _Style] = {}
    for line in (line for panel in panels for line in panel.lines):
        if line.label not in found:
            number = len(found)
            wish = number if line.colour is None else line.colour
            colour = wish if isinstance(wish, str) else PALETTE[wish % len(PALETTE)]
            found[line.label] = _Style(colour, MARKS[number % len(MARKS)])
    return found


def _legend(
    panels: Sequence[Panel], styles: dict[str, _Style], start: float, stop: float, top: float
) -> tuple[list[str], float]:
    """Samples with labels in rows from start to stop, and where they end. One series alone needs none."""
    first = {line.label: line for panel in reversed(panels) for line in reversed(panel.lines)}
    if len(first) < 2:
        return [], top
    parts, left, top = [], start + 4.0, top + 12
    for label, style in styles.items():
        line, room = first[label], 40 + len(label) * 12.5 * LETTER + 14
        if left + room > stop and left > start + 4:
            left, top = start + 4.0, top + 20
        if line.joined:
            parts.append(_path([(left, top), (left + 26, top)], style.colour, line.dashed))
        if line.marks or not line.joined:
            parts.append(_mark(left + 13, top, style))
        parts.append(_text(left + 33, top + 4.3, label, 12.5, INK))
        left += room
    return parts, top + 12


def _panel(
    panel: Panel,
    styles: dict[str, _Style],
    left: float,
    top: float,
    size: tuple[int, int],
    room: float,
    number: int,
) -> str:
    """Axes, references, bands, lines and marks of one panel, clipped to its axes, which begin `room` below the title."""
    x0, x1 = left + LEFT, left + size[0] - RIGHT
    y0, y1 = top + size[1] + room - BOTTOM, top + TOP + room
    x = Axis(*_range(panel, "x"), x0, x1, panel.x_log)
    y = Axis(*_range(panel, "y"), y0, y1, panel.y_log)
    bands = [_band(line, styles[line.label], x, y) for line in panel.lines]
    curves = [_curve(line, styles[line.label], x, y) for line in panel.lines]
    clip = f"axes{number}"
    return "\n".join(
        [
            f'<clipPath id="{clip}"><rect x="{x0 - 5:g}" y="{y1 - 5:g}" width="{x1 - x0 + 10:g}" '
            f'height="{y0 - y1 + 10:g}"/></clipPath>',
            _text((x0 + x1) / 2, top + 20, panel.title, 13.5, INK, anchor="middle", weight=600),
            *_axes(panel, x, y),
            f'<g clip-path="url(#{clip})">',
            *bands,
            *(_reference_line(one, x, y) for one in panel.references),
            *curves,
            "</g>",
            *_reference_labels(panel, x, y),
        ]
    )


def _axes(panel: Panel, x: Axis, y: Axis) -> list[str]:
    parts = []
    for tick in y.ticks():
        at = y.place(tick)
        parts.append(_rule(x.start, at, x.stop, at, GRID))
        parts.append(_text(x.start - 7, at + 4, _shown(tick), 11.5, SOFT, anchor="end"))
    for tick in x.ticks():
        at = x.place(tick)
        parts.append(_rule(at, y.start, at, y.start + 4, SOFT))
        parts.append(_text(at, y.start + 17, _shown(tick), 11.5, SOFT, anchor="middle"))
    middle = (y.start + y.stop) / 2
    parts.append(_rule(x.start, y.start, x.stop, y.start, SOFT))
    parts.append(_text((x.start + x.stop) / 2, y.start + 36, panel.x_label, 12.5, INK, anchor="middle"))
    parts.append(_text(x.start - 44, middle, panel.y_label, 12.5, INK, anchor="middle", turned=True))
    return parts


def _band(line: Line, style: _Style, x: Axis, y: Axis) -> str:
    """The interval: an area along a line, a bar at each point that is not joined."""
    if line.low is None or line.high is None:
        return ""
    if not line.joined:
        bars = [
            _rule(x.place(a), y.place(low), x.place(a), y.place(high), style.colour, 1.4, 0.55)
            for a, low, high in _known(zip(line.x, line.low, line.high, strict=True))
            if _can(x, a) and _can(y, low)
        ]
        return "\n".join(bars)
    areas = []
    for run in _runs(zip(line.x, line.low, line.high, strict=True), x, y):
        edge = [(x.place(a), y.place(high)) for a, _, high in run] + [
            (x.place(a), y.place(low)) for a, low, _ in reversed(run)
        ]
        areas.append(f'<path d="{_points(edge)}Z" fill="{style.colour}" fill-opacity="0.15"/>')
    return "\n".join(areas)


def _curve(line: Line, style: _Style, x: Axis, y: Axis) -> str:
    parts = []
    if line.joined:
        runs = _runs(zip(line.x, line.y, strict=True), x, y)
        parts += [_path([(x.place(a), y.place(b)) for a, b in run], style.colour, line.dashed) for run in runs]
    if line.marks or not line.joined:
        solid = 1.0 if line.joined or len(line.x) < 60 else 0.6
        drawn = [(a, b) for a, b in _known(zip(line.x, line.y, strict=True)) if _can(x, a) and _can(y, b)]
        parts += [_mark(x.place(a), y.place(b), style, solid) for a, b in drawn]
    return "\n".join(parts)


def _reference_line(one: Reference, x: Axis, y: Axis) -> str:
    if one.axis == "x":
        at = x.place(one.value)
        return _rule(at, y.start, at, y.stop, SOFT, 1.2, dash="5 4")
    at = y.place(one.value)
    return _rule(x.start, at, x.stop, at, SOFT, 1.2, dash="5 4")


def _reference_labels(panel: Panel, x: Axis, y: Axis) -> list[str]:
    """Names on a white edge: at the right end above a level line (below the lower of two close ones), beside an upright one."""
    parts, above = [], -math.inf
    for one in sorted(panel.references, key=lambda r: y.place(r.value) if r.axis == "y" else 0.0):
        if one.axis == "x":
            room = len(one.label) * 11 * LETTER + 6
            fits = x.place(one.value) + room < x.stop
            at, anchor = (x.place(one.value) + 5, "start") if fits else (x.place(one.value) - 5, "end")
            parts.append(_text(at, y.stop + 10, one.label, 11, SOFT, anchor=anchor, edged=True))
        else:
            at = y.place(one.value)
            shift = 12 if at - above < 12 and at + 14 < y.start else -4
            parts.append(_text(x.stop - 2, at + shift, one.label, 11, SOFT, anchor="end", edged=True))
            above = at
    return parts


def _range(panel: Panel, axis: Literal["x", "y"]) -> tuple[float, float]:
    """The range that is given, or what the numbers and the references span, with some room."""
    given, log = (panel.x_range, panel.x_log) if axis == "x" else (panel.y_range, panel.y_log)
    if given is not None:
        return given
    numbers = [float(r.value) for r in panel.references if r.axis == axis]
    for line in panel.lines:
        for part in (line.x,) if axis == "x" else (line.y, line.low or (), line.high or ()):
            numbers += [float(v) for v in part if v is not None and math.isfinite(v) and (v > 0 or not log)]
    if not numbers:
        return (0.1, 1.0) if log else (0.0, 1.0)
    low, high = min(numbers), max(numbers)
    if log:
        room = (high / low) ** 0.04 if high > low else 2.0
        return low / room, high * room
    room = (high - low) * 0.04 if high > low else abs(low) * 0.1 or 1.0
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((f * power for f in (1, 2, 2.5, 5, 10)), key=lambda s: abs(math.log(s / rough)))
    return [round(n * step, 12) for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if math.log10(high / low) > 3.3 else (1, 3) if math.log10(high / low) > 1.7 else (1, 2, 5)
    return [factor * 10.0**decade for decade in decades for factor in factors]


def _known(rows: Iterable[tuple[Number, ...]]) -> list[tuple[float, ...]]:
    """Rows in which every number is there."""
    full = [(row, tuple(float(v) for v in row if v is not None and math.isfinite(v))) for row in rows]
    return [numbers for row, numbers in full if len(numbers) == len(row)]


def _runs(rows: Iterable[tuple[Number, ...]], x: Axis, y: Axis) -> list[list[tuple[float, ...]]]:
    """Stretches of rows without a gap; what a logarithmic axis cannot show is a gap."""
    found: list[list[tuple[float, ...]]] = [[]]
    for row in rows:
        numbers = tuple(float(v) for v in row if v is not None and math.isfinite(v))
        if len(numbers) == len(row) and _can(x, numbers[0]) and all(_can(y, v) for v in numbers[1:]):
            found[-1].append(numbers)
        elif found[-1]:
            found.append([])
    return [run for run in found if run]


def _can(axis: Axis, value: float) -> bool:
    return value > 0 or not axis.log


def _mark(x: float, y: float, style: _Style, solid: float = 1.0) -> str:
    fill = f'fill="{style.colour}" stroke="#ffffff" stroke-width="0.8"' + (f' opacity="{solid}"' if solid < 1 else "")
    if style.mark == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.7" {fill}/>'
    corners = {
        "square": [(-3.4, -3.4), (3.4, -3.4), (3.4, 3.4), (-3.4, 3.4)],
        "triangle": [(0.0, -4.6), (4.2, 3.2), (-4.2, 3.2)],
        "diamond": [(0.0, -4.8), (4.4, 0.0), (0.0, 4.8), (-4.4, 0.0)],
    }[style.mark]
    return f'<path d="{_points([(x + dx, y + dy) for dx, dy in corners])}Z" {fill}/>'


def _path(points: Sequence[tuple[float, float]], colour: str, dashed: bool) -> str:
    dash = ' stroke-dasharray="7 4"' if dashed else ""
    return f'<path d="{_points(points)}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"{dash}/>'


def _points(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _rule(
    x0: float, y0: float, x1: float, y1: float, colour: str, width: float = 1.0, opacity: float = 1.0, dash: str = ""
) -> str:
    more = (f' stroke-opacity="{opacity:g}"' if opacity < 1 else "") + (f' stroke-dasharray="{dash}"' if dash else "")
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}" stroke-width="{width:g}"{more}/>'


def _text(
    x: float,
    y: float,
    text: str,
    size: float,
    colour: str,
    anchor: str = "start",
    weight: int = 400,
    turned: bool = False,
    edged: bool = False,
) -> str:
    if not text:
        return ""
    more = f' text-anchor="{anchor}"' if anchor != "start" else ""
    more += f' font-weight="{weight}"' if weight != 400 else ""
    more += f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    more += ' stroke="#ffffff" stroke-width="3" paint-order="stroke" stroke-linejoin="round"' if edged else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{colour}"{more}>{escape(text)}</text>'


def _wrapped(text: str, width: float, size: float) -> list[str]:
    """Words in lines that fit a width; a line break in the text begins a new one."""
    letters = int(width / (size * LETTER * 0.92))
    lines: list[str] = []
    for paragraph in text.split("\n") if text else []:
        line = ""
        for word in paragraph.split():
            if line and len(line) + 1 + len(word) > letters:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}".strip()
        lines.append(line)
    return lines


def _shown(value: float) -> str:
    if value and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.0e}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"
