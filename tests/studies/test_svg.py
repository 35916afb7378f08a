from __future__ import annotations

import re
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest
from svg import PALETTE, Axis, Line, Panel, Reference, plot, write

NS = "{http://www.w3.org/2000/svg}"


def drawn(text: str, tag: str) -> list[xml.Element]:
    return list(xml.fromstring(text).iter(NS + tag))


def words(text: str) -> list[str]:
    return [element.text or "" for element in drawn(text, "text")]


def panel(*lines: Line, **options: object) -> Panel:
    return Panel("title", "across", "up", lines, **options)  # type: ignore[arg-type]


def test_numbers_stand_where_their_axis_puts_them() -> None:
    one = Line("a", [0.0, 0.5, 1.0], [0.0, 1.0, 0.25], marks=True)
    circles = drawn(plot([panel(one, x_range=(0, 1), y_range=(0, 1))]), "circle")
    x = [float(c.attrib["cx"]) for c in circles]
    y = [float(c.attrib["cy"]) for c in circles]
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2)
    assert y[0] > y[2] > y[1]
    assert (y[0] - y[2]) / (y[0] - y[1]) == pytest.approx(0.25, abs=0.01)


def test_logarithmic_axis_gives_decades_the_same_room_and_skips_what_it_cannot_show() -> None:
    one = Line("a", [0.0, 1.0, 10.0, 100.0], [1.0, 1.0, 2.0, 3.0])
    x = [float(c.attrib["cx"]) for c in drawn(plot([panel(one, x_log=True)]), "circle")]
    assert len(x) == 3
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2)


def test_gaps_part_the_line_and_its_band() -> None:
    whole = Line("a", [1, 2, 3, 4], [1, 2, 3, 4], [0, 1, 2, 3], [2, 3, 4, 5], marks=False)
    torn = Line("a", [1, 2, 3, 4], [1, None, 3, 4], [0, float("nan"), 2, 3], [2, 3, 4, 5], marks=False)
    assert len(drawn(plot([panel(whole)]), "path")) == 2
    assert len(drawn(plot([panel(torn)]), "path")) == 4


def test_a_point_that_is_not_joined_has_a_bar_and_no_line() -> None:
    one = Line("a", [1, 2], [1, 2], [0, 1], [2, 3], joined=False)
    text = plot([panel(one)])
    assert not drawn(text, "path")
    assert len([e for e in drawn(text, "line") if e.attrib["stroke"] == PALETTE[0]]) == 2


def test_one_label_has_one_colour_in_all_panels_and_one_entry_in_the_legend() -> None:
    a, b = Line("a", [1, 2], [1, 2]), Line("b", [1, 2], [2, 1])
    text = plot([panel(a, b), panel(b)])
    assert words(text).count("a") == words(text).count("b") == 1
    squares = [e.attrib["fill"] for e in drawn(text, "path") if e.attrib["fill"] != "none"]
    assert set(squares) == {PALETTE[1]}


def test_names_are_escaped_and_references_drawn() -> None:
    text = plot([panel(Line("a<b", [1], [1]), references=[Reference(0.5, "chance & more"), Reference(1, "at", "x")])])
    assert {"chance & more", "at"} <= set(words(text))
    assert len([e for e in drawn(text, "line") if "stroke-dasharray" in e.attrib]) == 2


def test_names_of_close_references_do_not_cover_each_other() -> None:
    both = [Reference(0.50, "one"), Reference(0.51, "other")]
    text = plot([panel(Line("a", [1], [1]), references=both, y_range=(0, 1))])
    at = {e.text: float(e.attrib["y"]) for e in drawn(text, "text")}
    assert at["one"] - at["other"] > 11


def test_long_captions_are_broken() -> None:
    text = plot([panel(Line("a", [1], [1]))], caption="word " * 60)
    assert len([w for w in words(text) if w.startswith("word")]) > 2


def test_ticks_are_round_and_inside() -> None:
    assert Axis(0, 1, 0, 100).ticks() == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert Axis(1, 1000, 0, 100, log=True).ticks()[0] == 1
    assert all(2 <= tick <= 40 for tick in Axis(2, 40, 0, 100, log=True).ticks())


@pytest.mark.parametrize("lines", [[], [Line("a", [], [])], [Line("a", [1], [None])], [Line("a", [2, 2], [5, 5])]])
def test_nothing_one_number_and_equal_numbers_are_drawn(lines: list[Line]) -> None:
    xml.fromstring(plot([panel(*lines), panel(*lines, x_log=True, y_log=True)]))


def test_a_plot_without_panels_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one panel"):
        plot([])


def test_same_numbers_same_bytes(tmp_path: Path) -> None:
    made = [panel(Line("a", [1, 2], [0.1, 0.7]))]
    write(tmp_path / "deep" / "one.svg", made, title="t")
    write(tmp_path / "two.svg", made, title="t")
    assert (tmp_path / "deep" / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_panels_with_own_legends_share_no_colours_and_push_their_axes_down() -> None:
    panels = [Panel(name, "x", "y", [Line(f"{name}{i}", [0, 1], [0, i]) for i in range(2)]) for name in "ab"]
    together, apart = plot(panels), plot(panels, own_legends=True)
    assert [together.count(colour) > 0 for colour in PALETTE[:4]] == [True] * 4
    assert [apart.count(colour) > 0 for colour in PALETTE[:4]] == [True, True, False, False]
    assert all(apart.count(f">{name}{i}<") == 1 for name in "ab" for i in range(2))
    legend = [float(y) for y in re.findall(r'y="([0-9.]+)"[^>]*>a[01]<', apart)]
    (clip,) = re.findall(r'id="axes0"><rect x="[0-9.]+" y="([0-9.]+)"', apart)
    assert max(legend) < float(clip)
