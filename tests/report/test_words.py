"""Numbers and words as the report prints them."""

from __future__ import annotations

import math

import pytest

from bindscope.analyses.registry import analyses
from bindscope.results import Record
from bindscope.show.words import MISSING, NBSP, extra_value, figure_text, interval_text, number, percent, variant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.18934, "0.189"),
        (1.0, "1.000"),
        (0.0, "0.000"),
        (-0.24, "−0.240"),
        (0.00995, "0.010"),
        (0.00994, "0.0099"),
        (0.000202, "0.0002"),
        (0.0096, "0.0096"),
        (2.34e-6, "2.3e−06"),
        (-0.0004, "−0.0004"),
        (12.345, "12.3"),
        (12345.6, "12,346"),
        (None, MISSING),
        (math.nan, MISSING),
        (math.inf, MISSING),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.9341, "93.4"), (1.0, "100"), (0.0, "0"), (0.0052, "0.52"), (-0.0004, "−0.04"), (-0.00001, "0.00")],
)
def test_shares_are_per_cent_on_one_line(value: float, text: str) -> None:
    assert percent(value) == f"{text}{NBSP}%"


def test_no_share_is_not_available() -> None:
    assert percent(None) == MISSING


def test_counts_are_whole_and_flags_are_words() -> None:
    assert figure_text("n_scenes", 9900.0) == "9,900"
    assert figure_text("closed_scenes", 12.5) == "12.5"
    assert [figure_text("identified", value) for value in (0.0, 1.0, 0.5)] == ["no", "yes", "0.500"]


def test_interval() -> None:
    assert interval_text(Record("geometry", "r2", 0.5, ci_low=0.4, ci_high=0.6)) == "[0.400, 0.600]"
    assert interval_text(Record("variance", "share", 0.5, ci_low=-0.1, ci_high=0.6)) == f"[−10.0, 60.0{NBSP}%]"
    assert interval_text(Record("geometry", "r2", 0.5)) == ""


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({}, ""),
        ({"vectors": "centred"}, "centred vectors"),
        ({"objects": 3}, "scenes of 3 objects"),
        ({"scenes": "unshared", "vectors": "centred"}, "unshared scenes, centred vectors"),
        ({"spread": "splits", "splits": 3}, "standard deviation over 3 splits"),
        ({"correction": "none", "cumulative": True}, "cumulative, not corrected"),
        ({"scale": 0.64}, "one fitted scale of 0.640"),
        ({"never_seen_key": [1, 2]}, "never seen key: 1, 2"),
    ],
)
def test_what_sets_a_row_apart(extra: dict[str, object], words: str) -> None:
    assert variant(extra) == words


@pytest.mark.parametrize(("value", "text"), [(True, "yes"), (None, "none"), ({"a": 1}, '{"a": 1}'), ("ä", "ä")])
def test_values_of_settings(value: object, text: str) -> None:
    assert extra_value(value) == text


def test_every_analysis_has_a_name() -> None:
    assert all(one.title and one.about for one in analyses().values())
