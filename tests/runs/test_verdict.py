"""The verdict: every cell of the rule on made-up records, and the labels of planted worlds."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

import bindscope
from bindscope.analyses.context import Context
from bindscope.analyses.recognition.measure import measure
from bindscope.datasets import load_dataset
from bindscope.embeddings import embed
from bindscope.encoders import load_encoder
from bindscope.results import Record, Results
from bindscope.runs.verdict import Preference, judged_by, own_label, read_label, verdict


def preference(pi: float, low: float, high: float, scenes: int = 900) -> Preference:
    return Preference(pi, low, high, scenes)


@pytest.mark.parametrize(
    ("found", "concepts", "objects", "label"),
    [
        (preference(0.9, 0.8, 1.0, scenes=49), 1.0, 1.0, "undecided"),
        (None, 1.0, 1.0, "undecided"),
        (preference(0.0, -0.1, 0.2), 0.9, 0.0, "bag of concepts"),
        (preference(0.1, 0.05, 0.2), 0.95, 0.0, "bag of concepts"),
        (preference(0.0, -0.1, 0.2), 0.89, 0.0, "recognises neither"),
        (preference(-0.3, -0.5, -0.1), 1.0, 0.0, "bag of concepts"),
        (preference(0.1, -0.1, 0.21), 1.0, 0.0, "undecided"),
        (preference(0.4, 0.0, 0.8), 1.0, 0.0, "undecided"),
        (preference(0.8, 0.5, 1.0), 1.0, 0.89, "binds, too coarse"),
        (preference(0.8, 0.5, 1.0), 0.2, 0.89, "binds, too coarse"),
        (preference(0.8, 0.5, 1.0), 0.9, 0.9, "binds"),
        (preference(0.8, 0.5, 1.0), 0.89, 0.9, "binds partly"),
        (preference(0.79, 0.6, 1.0), 1.0, 1.0, "binds partly"),
        (preference(0.9, 0.49, 1.0), 1.0, 1.0, "binds partly"),
        (preference(0.3, 0.1, 0.5), 0.5, 0.0, "binds partly"),
    ],
)
def test_every_row_of_the_rule(found: Preference | None, concepts: float, objects: float, label: str) -> None:
    assert own_label(found, concepts, objects) == label


@pytest.mark.parametrize(
    ("found", "label"),
    [
        (preference(0.9, 0.5, 1.0), "readable"),
        (preference(0.9, 0.4, 1.0), "undecided"),
        (preference(0.1, 0.0, 0.2), "not readable"),
        (preference(1.0, 1.0, 1.0, scenes=49), "undecided"),
        (None, "undecided"),
    ],
)
def test_a_read_out_never_binds(found: Preference | None, label: str) -> None:
    assert read_label(found) == label


def records(
    value: float,
    low: float | None,
    high: float | None,
    concepts: float = 1.0,
    objects: float = 0.5,
    estimator: str = "zero_shot",
    target: str = "ambiguous",
    **more: Any,
) -> list[Record]:
    split = "held_out" if estimator == "probe" else "test" if target == "closed" else "all"
    keywords: dict[str, Any] = {"estimator": estimator, "split": split, "n_objects": 100, "n_scenes": 900, **more}
    ends = {"ci_low": low, "ci_high": high, "chance": 0.5, "ceiling": more.pop("ceiling", 0.5)}
    keywords.pop("ceiling", None)
    kind = {"scenes": target}
    return [
        Record("recognition", "object_recognition", objects, target="all", **keywords),
        Record("recognition", "binding_preference", value, target=target, **ends, **keywords),
        Record("recognition", "concept_recognition", concepts, target="mean", extra=kind, **keywords),
        Record("recognition", "object_recognition", objects, target=target, **keywords),
    ]


def test_an_upper_end_of_zero_is_a_number() -> None:
    """An interval [0, 0] of the preference is far below chance; it was once read as if it were not known."""
    assert verdict(Results(records(0.0, 0.0, 0.0, concepts=0.98))).label == "bag of concepts"


def test_without_an_interval_nothing_is_decided() -> None:
    said = verdict(Results(records(1.0, None, None)))
    assert said.label == "undecided"
    assert "No interval" in said.caveats[0]


def test_the_sentences_give_the_three_figures_of_the_same_scenes() -> None:
    both = [*records(0.56, 0.53, 0.58, 0.981, 0.009), *records(0.99, 0.97, 1.0, estimator="probe")]
    said = verdict(Results(both))
    assert (said.label, said.estimator) == ("bag of concepts", "zero_shot")
    first, last = said.sentences
    assert "on 900 ambiguous scenes" in first
    assert "in 56.0 % [53.0 %, 58.0 %] (a bag of concepts: 50.0 %)" in first
    assert "the concepts in 98.1 % and the objects among all others in 0.9 %. It leans" in first
    assert "the vector holds the binding, the queries do not find it" in last
    assert [record.metric for record in said.evidence].count("binding_preference") == 2


def test_undecided_says_how_many_scenes_would_decide() -> None:
    said = verdict(Results(records(0.5, 0.3, 0.7)))
    assert said.label == "undecided"
    assert "About 3,600 scenes would decide" in said.sentences[0]  # 900 (0.4 / 0.2)^2


def test_a_read_out_alone_is_readable_or_not() -> None:
    read = Results(records(1.0, 0.98, 1.0, estimator="probe"))
    assert (verdict(read).label, judged_by(read)) == ("readable", "probe")
    assert "no verdict on binding" in verdict(read).sentences[1]
    assert verdict(Results(records(0.5, 0.46, 0.54, estimator="probe"))).label == "not readable"


def test_only_objects_that_it_never_saw_can_say_that_a_model_binds() -> None:
    seen = records(1.0, 0.99, 1.0, objects=1.0)
    assert verdict(Results(seen)).label == "binds"
    said = verdict(Results([*seen, *records(0.5, 0.47, 0.53, objects=0.0, target="closed")]))
    assert said.label == "bag of concepts"
    assert "Only scenes of objects that it never saw are judged (900 of 900)" in said.sentences[1]
    few = verdict(Results([*seen, *records(1.0, 0.9, 1.0, target="closed", n_scenes=12)]))
    assert few.label == "undecided"
    assert "12 closed scenes of objects that it never saw are too few" in few.sentences[0]
    bag = verdict(Results([*records(0.5, 0.48, 0.52), *records(1.0, 0.9, 1.0, target="closed", n_scenes=12)]))
    assert bag.label == "bag of concepts"  # what fails on objects of its training does not bind


def test_usual_objects_are_a_caveat() -> None:
    assert "usual" in verdict(Results(records(1.0, 0.9, 1.0, ceiling=0.9))).caveats[0]
    assert not verdict(Results(records(1.0, 0.9, 1.0))).caveats


def test_no_recognition_no_verdict() -> None:
    said = verdict(Results([]))
    assert (said.label, said.estimator, said.evidence) == ("undecided", None, ())


def test_a_fine_tuning_run_says_what_it_is() -> None:
    found = verdict(Results([Record("finetune", "object_recognition", 0.9, target="closed", extra={"weights": "raw"})]))
    assert found.label == "undecided"
    assert found.sentences[0] == "This is a fine-tuning run: its figures set the tuned model beside its base."


def test_few_objects_are_said() -> None:
    assert "Only 9 objects" in verdict(Results(records(1.0, 0.9, 1.0, n_objects=9))).caveats[0]


@cache
def label_of(world: str, data: str, seed: int = 0) -> str:
    context = Context(embed(load_encoder(world, seed=seed), load_dataset(data)), seed)
    return bindscope.verdict(Results(context.records("recognition", measure(context)))).label


@pytest.mark.parametrize(
    ("world", "data", "labels"),
    [
        ("planted:bag?dim=64", "symbolic:8x8", {"bag of concepts"}),
        ("planted:bag?dim=32&noise=0.5", "symbolic:8x8", {"bag of concepts", "recognises neither"}),
        ("planted:bag?dim=48", "symbolic:4x4x4?scenes=2000", {"bag of concepts"}),
        ("planted:mixed?dim=128", "symbolic:8x8", {"binds", "binds partly"}),
        ("planted:object?dim=64&noise=3", "symbolic:8x8", {"binds, too coarse"}),
        ("planted:object?dim=128", "symbolic:6x5", {"binds", "binds partly"}),
        ("planted:object?dim=64", "symbolic:4x4?m=1", {"undecided"}),
    ],
)
def test_planted_worlds_get_the_label_of_their_kind(world: str, data: str, labels: set[str]) -> None:
    assert label_of(world, data) in labels
