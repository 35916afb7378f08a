"""The verdict's rules, on made-up records."""

from __future__ import annotations

import pytest

from bindscope.experiments.verdict import judged_by, verdict
from bindscope.results import Record, Results


def records(
    concepts: float,
    objects: tuple[float, float, float],
    ceiling: float = 0.5,
    estimator: str = "zero_shot",
    n_objects: int = 100,
) -> list[Record]:
    value, low, high = objects
    split = "all" if estimator == "zero_shot" else "held_out"
    words = {"estimator": estimator, "split": split, "n_objects": n_objects, "n_scenes": 900}
    return [
        Record("recognition", "concept_recognition", concepts, target="mean", **words),
        Record("recognition", "concept_recognition", concepts, target="mean", extra={"scenes": "unshared"}, **words),
        Record("recognition", "object_recognition", 0.7, target="all", ceiling=0.6, **words),
        Record(
            "recognition",
            "object_recognition",
            value,
            target="unshared",
            ci_low=low,
            ci_high=high,
            chance=0.0002,
            ceiling=ceiling,
            **words,
        ),
    ]


@pytest.mark.parametrize(
    ("concepts", "objects", "label"),
    [
        (1.0, (0.95, 0.9, 0.99), "binds"),
        (1.0, (0.89, 0.85, 0.93), "partly"),
        (1.0, (0.95, 0.4, 0.99), "partly"),
        (0.98, (0.01, 0.0, 0.02), "bag of concepts"),
        (0.98, (0.45, 0.40, 0.51), "partly"),
        (0.85, (0.01, 0.0, 0.02), "partly"),
    ],
)
def test_the_label_follows_the_rules(concepts: float, objects: tuple[float, float, float], label: str) -> None:
    assert verdict(Results(records(concepts, objects))).label == label


def test_zero_shot_goes_before_the_probe_and_both_are_told() -> None:
    both = Results([*records(1.0, (0.01, 0.0, 0.02)), *records(1.0, (0.95, 0.93, 0.97), estimator="probe")])
    said = verdict(both)
    assert (said.label, said.estimator) == ("bag of concepts", "zero_shot")
    assert "95.0 %" in said.sentences[1]
    assert judged_by(Results(records(1.0, (0.95, 0.93, 0.97), estimator="probe"))) == "probe"
    assert verdict(Results(records(1.0, (0.95, 0.93, 0.97), estimator="probe"))).label == "binds"


def test_scenes_that_cannot_tell_leave_it_undecided() -> None:
    said = verdict(Results(records(1.0, (1.0, 1.0, 1.0), ceiling=1.0)))
    assert said.label == "undecided"
    assert "cannot tell" in said.sentences[0]


def test_no_recognition_no_verdict() -> None:
    said = verdict(Results([]))
    assert (said.label, said.estimator, said.evidence) == ("undecided", None, ())


def test_few_objects_are_said() -> None:
    assert "Only 9 objects" in verdict(Results(records(1.0, (0.95, 0.9, 0.99), n_objects=9))).caveats[0]
    assert not verdict(Results(records(1.0, (0.95, 0.9, 0.99)))).caveats
