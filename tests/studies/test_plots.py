"""Plots of the studies: what is drawn, and the same bytes for the same numbers."""

from __future__ import annotations

import xml.etree.ElementTree as xml
from pathlib import Path

import pytest
from plots import PALETTE, Line, Panel, Reference, write


def panel(*lines: Line, **options: object) -> Panel:
    return Panel("title", "across", "up", lines, **options)  # type: ignore[arg-type]


def drawn(folder: Path, *panels: Panel, **options: object) -> str:
    write(folder / "deep" / "plot.svg", panels, **options)  # type: ignore[arg-type]
    text = (folder / "deep" / "plot.svg").read_text(encoding="utf-8")
    xml.fromstring(text)
    return text


def test_words_are_text_and_a_label_has_one_colour_and_one_entry(tmp_path: Path) -> None:
    a, b = Line("alpha", [1, 2], [1, 2]), Line("beta & co", [1, 2], [2, 1], [1, 0], [3, 2])
    text = drawn(tmp_path, panel(a, b), panel(b, references=[Reference(0.5, "chance")]), title="two", caption="said")
    assert text.count(">alpha<") == text.count(">beta &amp; co<") == 1
    assert all(f">{word}<" in text for word in ("two", "said", "title", "across", "up", "chance"))
    assert PALETTE[0] in text
    assert PALETTE[1] in text
    assert PALETTE[2] not in text


def test_panels_may_have_legends_of_their_own(tmp_path: Path) -> None:
    one = Line("alpha", [1, 2], [1, 2])
    assert drawn(tmp_path, panel(one), panel(one), own_legends=True).count(">alpha<") == 2


def test_a_gap_parts_the_line(tmp_path: Path) -> None:
    whole = drawn(tmp_path, panel(Line("a", [1, 2, 3, 4], [1, 2, 3, 4], marks=False)))
    torn = drawn(tmp_path, panel(Line("a", [1, 2, 3, 4], [1, 2, None, 4], marks=False)))
    assert whole != torn


@pytest.mark.parametrize(
    "lines",
    [[], [Line("a", [], [])], [Line("a", [1], [None])], [Line("a", [2, 2], [5, 5], [4, 4], [6, 6], joined=False)]],
)
def test_nothing_one_number_and_equal_numbers_are_drawn(lines: list[Line], tmp_path: Path) -> None:
    drawn(tmp_path, panel(*lines), panel(*lines, x_log=True, y_log=True))


def test_a_plot_without_panels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one panel"):
        write(tmp_path / "none.svg", [])


def test_same_numbers_same_bytes(tmp_path: Path) -> None:
    made = [panel(Line("a", [1, 2], [0.1, 0.7], [0, 0.5], [0.3, 0.9]), y_range=(0, 1))]
    for name in ("one.svg", "two.svg"):
        write(tmp_path / name, made, title="t")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
