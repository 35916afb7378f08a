"""The section on code length says what the intervals support, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from bindscope.analyses.codelength.section import build, sentences
from bindscope.results import Record, Results
from bindscope.show.run import Run
from report.synthetic import config, record


def saved(code: str, value: float, half: float, base: str = "lookup", **more: Any) -> Record:
    return record("codelength", "bits_saved", value, half, estimator=code, target=base, **more)


def to_pay(code: str, value: float | None) -> Record:
    return record("codelength", "objects_to_pay", value, 3.0, estimator=code, target="lookup")


def test_a_rule_that_pays_is_named_with_its_number_of_objects() -> None:
    (said,) = sentences(Results([saved("additive", 1.3, 0.1), to_pay("additive", 34.0)]))
    assert "concepts add up” pays: it saves 1.300 bits a scene [1.200, 1.400]" in said
    assert "after 34 of 100 objects [31, 37]" in said


def test_the_table_is_best_only_where_every_interval_lies_below_zero() -> None:
    (said,) = sentences(
        Results([saved("additive", -1.3, 0.1), saved("mlp:256", -0.3, 0.1), saved("switch", 0.1, 0.01)])
    )
    assert "which describes these scenes in the fewest" in said
    (said,) = sentences(Results([saved("additive", -1.3, 0.1), saved("mlp:256", -0.3, 0.5)]))
    assert "fewest" not in said
    assert said == "No rule saves bits over the table of objects by more than its interval."


def test_beyond_additive_and_failed_fits() -> None:
    found = Results(
        [
            saved("per-object", 2.0, 0.5),
            saved("per-object", 0.7, 0.2, "additive"),
            saved("global", 0.1, 0.2),
            saved("global", 0.0, 0.2, "additive"),
            record("codelength", "fits_training", 0.2, estimator="global"),
        ]
    )
    said = sentences(found)
    assert len(said) == 3
    assert "saves 0.700 bits a scene [0.500, 0.900] beyond the additive rule" in said[1]
    assert "product across objects” did not fit its own training scenes" in said[2]


def test_nothing_to_code_is_said() -> None:
    assert "too few" in sentences(Results([record("codelength", "bits_per_scene", None, estimator="lookup")]))[0]


def a_run(records: list[Record]) -> Run:
    return Run(config(), Results(records))


def test_section_draws_curve_lengths_and_sensitivity() -> None:
    curve = [saved("additive", 10.0 * n, 5.0, extra={"cumulative": True, "objects_seen": n}) for n in (21, 50, 100)]
    length = {"estimator": "additive"}
    records = [
        record("codelength", "bits_per_scene", -50.0, 1.0, estimator="lookup"),
        record("codelength", "bits_per_scene", -52.0, 1.0, **length),
        record("codelength", "bits_per_scene", 900.0, 1.0, extra={"exceptions": "none"}, **length),
        record("codelength", "first_block_objects", 20.0),
        saved("additive", 2.0, 0.5),
        saved("additive", 1.5, 0.5, extra={"floor": 1e-3, "orders": 3}),
        *curve,
    ]
    section = build(a_run(records))
    figures = [
        figure for block in section.blocks for figure in getattr(block, "figures", (block,)) if hasattr(figure, "note")
    ]
    drawn = {figure.name: figure for figure in figures}
    assert set(drawn) == {"codelength_saved", "codelength_bits", "codelength_savings", "codelength_sensitivity"}
    assert list(drawn["codelength_saved"].data[0]["x"]) == [21, 50, 100]
    assert "first 20 objects" in drawn["codelength_saved"].note
    assert "additive" in drawn["codelength_bits"].note
    assert 900.0 not in [x for trace in drawn["codelength_bits"].data for x in trace["x"]]


@pytest.mark.parametrize("value", [None, -3.0])
def test_section_of_little(value: float | None) -> None:
    assert build(a_run([record("codelength", "bits_per_scene", value, estimator="lookup")])).title == "Code length"
