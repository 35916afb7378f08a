"""The verdict's rules, on made-up records."""

from __future__ import annotations

import pytest

from bindscope.results import Record, Results
from bindscope.runs.verdict import judged_by, verdict


def records(
    concepts: float,
    objects: tuple[float, float, float],
    ceiling: float = 0.5,
    estimator: str = "zero_shot",
    n_objects: int = 100,
    everywhere: float = 0.7,
) -> list[Record]:
    value, low, high = objects
    split = "all" if estimator == "zero_shot" else "held_out"
    words = {"estimator": estimator, "split": split, "n_objects": n_objects, "n_scenes": 900}
    return [
        Record("recognition", "concept_recognition", concepts, target="mean", **words),
        Record("recognition", "concept_recognition", concepts, target="mean", extra={"scenes": "unshared"}, **words),
        Record(
            "recognition", "object_recognition", everywhere, target="all", ceiling=0.6, **{**words, "n_scenes": 1000}
        ),
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


def test_the_sentences_tell_the_story_with_all_scenes_first() -> None:
    both = [
        *records(0.981, (0.009, 0.004, 0.016), everywhere=0.189),
        *records(1.0, (0.967, 0.951, 0.979), estimator="probe", everywhere=0.973),
    ]
    first, second = verdict(Results(both)).sentences
    assert "concepts in 98.1 % of the scenes but the objects in 18.9 %" in first
    assert "0.9 % [0.4 %, 1.6 %] where no value occurs twice (a bag of concepts reaches at most 50 %" in first
    assert "objects in 97.3 % of held-out scenes (96.7 % [95.1 %, 97.9 %] where no value occurs twice)" in second


def test_a_probe_whose_interval_holds_the_ceiling_says_nothing() -> None:
    both = [*records(1.0, (0.01, 0.0, 0.02)), *records(1.0, (0.5, 0.2, 0.8), estimator="probe")]
    assert "stays open" in verdict(Results(both)).sentences[1]
    none = [*records(1.0, (0.01, 0.0, 0.02)), *records(1.0, (0.2, 0.1, 0.3), estimator="probe")]
    assert "hardly says" in verdict(Results(none)).sentences[1]


def test_the_same_scenes_are_not_told_twice() -> None:
    found = [r for r in records(1.0, (0.01, 0.0, 0.02)) if r.target != "all"]
    assert "where no value" not in verdict(Results(found)).sentences[0]


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
