"""Figures as plotly understands them, with intervals, chance and ceiling at the right places."""

from __future__ import annotations

from collections.abc import Iterator

import plotly.graph_objects as go
import pytest

from bindscope.analyses.recognition.section import story
from bindscope.report.page import css_color, named, opening_figure, script_json
from bindscope.report.sections import build_sections
from bindscope.results import Record, Results
from bindscope.show import generic
from bindscope.show.curves import curves, stack
from bindscope.show.figures import DARK, Figure, Series, label, series_of, span
from bindscope.show.forest import MOST_ROWS, Style, forest
from bindscope.show.run import Run
from report.synthetic import config, every_record, geometry_records, record

ONE = Series("one", "#0067a5")
TWO = Series("two", "#c2570c", "diamond")


def run_of(records: list[Record]) -> Run:
    return Run(config(), Results(records))


def all_figures() -> list[Figure]:
    run = run_of(every_record())
    return named(build_sections(run), opening_figure(run))[2]


def colors(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from colors(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from colors(inner)
    elif isinstance(value, str) and value.startswith("#"):
        yield value


@pytest.mark.parametrize("figure", all_figures(), ids=lambda figure: figure.name)
def test_plotly_accepts_every_figure(figure: Figure) -> None:
    made = go.Figure({"data": list(figure.data), "layout": dict(figure.layout)})
    assert len(made.data) == len(figure.data) > 0
    assert figure.summary.startswith(figure.title)


@pytest.mark.parametrize("figure", all_figures(), ids=lambda figure: figure.name)
def test_every_colour_has_a_partner_for_dark_pages(figure: Figure) -> None:
    assert set(colors([*figure.data, figure.layout])) <= set(DARK)
    assert all(css_color(key.color).startswith("var(") for key in figure.keys)


@pytest.mark.parametrize("figure", all_figures(), ids=lambda figure: figure.name)
def test_legends_name_each_series_once_and_know_their_traces(figure: Figure) -> None:
    labels = [key.label for key in figure.keys]
    assert len(set(labels)) == len(labels)
    assert all(labels)
    traces = [trace for key in figure.keys for trace in key.traces]
    assert len(set(traces)) == len(traces)
    assert all(0 <= trace < len(figure.data) for trace in traces)


def test_story_draws_figures_intervals_chance_and_ceiling() -> None:
    figure = story(run_of(every_record()))
    assert figure is not None
    bars = {trace["name"]: trace for trace in figure.data if trace["type"] == "bar"}
    zero_shot = next(trace for name, trace in bars.items() if name.startswith("zero-shot"))
    probe = next(trace for name, trace in bars.items() if name.startswith("probe"))
    assert zero_shot["x"] == [0.981, 0.562, 0.012]
    assert probe["x"] == [0.9997, 0.996, 0.941]
    assert zero_shot["error_x"]["array"] == pytest.approx([0.0002, 0.019, 0.0107])
    lines = {trace["name"]: set(trace["x"]) - {None} for trace in figure.data if trace.get("mode") == "lines"}
    assert lines == {"chance": {0.0222, 0.5, 0.000202}, "most that a bag of concepts can reach": {0.5}}
    assert [tick.replace("<br>", " ") for tick in figure.layout["yaxis"]["ticktext"]] == [
        "Concepts",
        "Binding: its own objects first",
        "Objects, among all objects",
    ]


def test_the_first_picture_is_the_geometry_where_there_is_no_recognition() -> None:
    figure = opening_figure(run_of(geometry_records()))
    assert figure is not None
    assert figure.title.startswith("R²")
    assert opening_figure(run_of([])) is None


def test_forest_places_rows_from_top_to_bottom_and_keeps_the_order() -> None:
    low, high = record("geometry", "r2", 0.2, 0.1), record("geometry", "r2", 0.4, 0.1)
    figure = forest("f", "F", [("a", [(TWO, high), (ONE, low)]), ("b", [(ONE, high)])], order=[ONE, TWO])
    first, second = figure.data
    assert (first["name"], second["name"]) == ("one", "two")
    assert first["y"][0] < second["y"][0] < first["y"][1]
    top, bottom = sorted(figure.layout["yaxis"]["range"])
    assert top <= min(first["y"]) <= max(first["y"]) <= bottom


def test_forest_says_what_is_missing_and_what_is_left_out() -> None:
    rows = [(f"row {i}", [(ONE, record("geometry", "r2", None))]) for i in range(MOST_ROWS + 3)]
    figure = forest("f", "F", rows, Style())
    assert len(figure.layout["yaxis"]["ticktext"]) == MOST_ROWS
    assert figure.note == f"The first {MOST_ROWS} of {MOST_ROWS + 3} rows are drawn; the table has all."
    words = next(trace for trace in figure.data if trace.get("mode") == "text")
    assert set(words["text"]) == {"not available"}
    assert len(words["y"]) == MOST_ROWS


def test_range_holds_every_interval() -> None:
    records = [record("geometry", "r2", -0.24, 0.05), record("geometry", "r2", 0.9, 0.2)]
    low, high = span(records)
    assert low < -0.29
    assert high > 1.1
    assert span([record("geometry", "r2", None)]) == (0.0, 1.0)
    flat = span([record("geometry", "r2", 0.0)])
    assert flat[0] < 0 < flat[1]


def test_curves_sort_by_coverage_and_mark_points_grey() -> None:
    points = [record("complexity", "r2", value, 0.01, coverage=c, chance=0.1) for c, value in ((0.9, 3.0), (0.1, 1.0))]
    figure = curves("c", "C", [(ONE, points)], "R²", grey=lambda r: r.coverage == 0.1)
    line = figure.data[0]
    assert line["x"] == [0.1, 0.9]
    assert line["y"] == [1.0, 3.0]
    assert line["marker"]["symbol"] == ["x-thin-open", "circle"]
    assert figure.data[1]["x"] == [0.1, 0.9, None]


def test_stack_draws_no_negative_share_but_names_it() -> None:
    parts = [("concepts", record("variance", "share", 0.98)), ("slot", record("variance", "share", -0.013))]
    figure = stack("s", "S", parts)
    assert [trace["x"] for trace in figure.data] == [[0.98], [0.0]]
    assert "−1.3" in figure.keys[1].label


def test_series_differ_by_more_than_colour() -> None:
    looks = series_of(f"learner {i}" for i in range(12))
    assert len({(s.color, s.symbol, s.hollow) for s in looks.values()}) == 12
    assert len({s.symbol for s in list(looks.values())[:6]}) == 6


def test_labels_wrap_escape_and_end() -> None:
    assert label("short") == "short"
    assert label("a <b>bold</b> word") == "a &lt;b&gt;bold&lt;/b&gt; word"
    long = label("word " * 40)
    assert long.count("<br>") == 2
    assert long.endswith("…")
    assert len(label("x" * 300)) < 40


def test_figure_names_are_file_names_of_their_own() -> None:
    records = [record("removal", metric, 0.5) for metric in ("a/b", "A b", "../x", "ä")]
    names = [figure.name for figure in named([generic.build(run_of(records), "removal", "Removal", "")], None)[2]]
    assert len(set(names)) == len(names) == 4
    assert all(name.replace("-", "").replace("_", "").isalnum() for name in names)


def test_script_json_cannot_end_a_script() -> None:
    text = script_json({"a": "</script><!-- & \u2028"})
    assert not set("<>&\u2028") & set(text)
    with pytest.raises(ValueError, match="Out of range"):
        script_json(float("nan"))
