"""Gates: what they read, when they fail, what they refuse."""

from __future__ import annotations

import pytest

from bindscope.errors import InputError, UnknownNameError
from bindscope.results import Record, Results
from bindscope.runs.gate import judge, parse_conditions

RESULTS = Results(
    [
        Record("audit", "n_scenes", 100),
        Record("recognition", "object_recognition", 0.2, "zero_shot", "all", ci_low=0.1, ci_high=0.3),
        Record("recognition", "object_recognition", 0.05, "zero_shot", "unshared", ci_low=0.01, ci_high=0.1),
        Record("recognition", "object_recognition", 0.95, "probe", "all", split="held_out"),
        Record("recognition", "concept_recognition", 0.98, "zero_shot", "mean"),
        Record("recognition", "concept_recognition", 0.96, "zero_shot", "color"),
        Record("geometry", "object_recognition", 0.5, "ols", "level1"),
        Record("geometry", "r2", 0.9, "ols+pos", "level1", split="in_sample"),
        Record("geometry", "r2", 0.8, "ols+pos", "level1", split="held_out"),
        Record("variance", "p_value", None, "freedman_lane", "interaction"),
    ]
)


@pytest.mark.parametrize(
    ("expression", "failed"),
    [
        ("object_recognition<0.8", True),
        ("object_recognition<0.1", False),
        ("object_recognition<=0.2", True),
        ("object_recognition>=0.2", True),
        ("object_recognition[unshared]<0.1", True),
        ("object_recognition[unshared].ci_high<0.1", False),
        ("object_recognition.ci_low < 1e-1", False),
        ("concept_recognition[color] < 0.97", True),
        ("concept_recognition<0.97", False),
        ("r2<0.85", True),
        ("concept_recognition<0.5, object_recognition<0.8", True),
        ("concept_recognition<0.5 or object_recognition<0.1", False),
    ],
)
def test_conditions(expression: str, failed: bool) -> None:
    assert any(outcome.failed for outcome in judge(RESULTS, expression)) is failed


def test_the_probe_is_read_where_there_is_no_zero_shot() -> None:
    probed = RESULTS.select(estimator="probe")
    assert not judge(probed, "object_recognition<0.9")[0].failed
    assert "0.9500; probe, all" in judge(probed, "object_recognition<0.9")[0].sentence()


@pytest.mark.parametrize(
    "expression", ["", "object_recognition", "object_recognition=0.8", "<0.8", "a b<1", "r2<1.2.3"]
)
def test_what_is_not_understood_is_refused(expression: str) -> None:
    with pytest.raises(InputError, match=r"--fail-if"):
        parse_conditions(expression)


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean object_recognition"):
        judge(RESULTS, "object_recogniton<0.8")
    with pytest.raises(UnknownNameError, match="did you mean unshared"):
        judge(RESULTS, "object_recognition[unshard]<0.8")


def test_a_missing_figure_is_refused() -> None:
    with pytest.raises(InputError, match="not available"):
        judge(RESULTS, "p_value<0.8")


def test_a_slip_of_the_pen_is_refused_before_the_run() -> None:
    known = ("object_recognition", "r2")
    with pytest.raises(UnknownNameError, match="did you mean object_recognition"):
        parse_conditions("r2<0.5,objct_recognition<0.8", known)
    assert [one.metric for one in parse_conditions("r2<0.5,object_recognition<0.8,own_metric<1", known)] == [
        "r2",
        "object_recognition",
        "own_metric",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "warm or cold",
        "a,b",
        "a]b",
        "it's",
        'say "so"',
        "or",
        ",",
        "[x]",
        "a<b",
        " blanks ",
        "c].ci_low<1 or d",
        "größe",
        "'q'",
    ],
)
def test_any_concept_can_be_named_in_quotes(name: str) -> None:
    record = Record("recognition", "concept_recognition", 0.1, "zero_shot", name)
    results = Results([*RESULTS, record])
    quoted = '"' + name.replace('"', '""') + '"'
    single = "'" + name.replace("'", "''") + "'"
    for target in (quoted, single):
        found = judge(results, f"object_recognition<0.1 or concept_recognition[{target}]<0.2,r2<0.85")
        assert [outcome.record.target for outcome in found] == ["all", name, "level1"]
        assert [outcome.failed for outcome in found] == [False, True, True]
    if not set(name) & set("]'\"") and name == name.strip():
        assert judge(results, f"concept_recognition[{name}]<0.2")[0].record == record
