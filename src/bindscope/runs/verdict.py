"""The verdict in words, from records alone.

Read on unshared scenes, where a bag of concepts can be right at most as often as the ceiling says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from bindscope.analyses.pairs.findings import judgement
from bindscope.results import Record, Results
from bindscope.uncertainty import FEW_OBJECTS

Label = Literal["binds", "bag of concepts", "partly", "undecided"]
HIGH = 0.9


@dataclass(frozen=True)
class Verdict:
    """Label, two sentences, the records that they rest on, and what limits them."""

    label: Label
    sentences: tuple[str, str]
    evidence: tuple[Record, ...]
    estimator: str | None
    caveats: tuple[str, ...]


def verdict(results: Results) -> Verdict:
    """Judge a run: zero-shot where the model has queries, else the held-out probe.

    *binds*: objects >= 0.9 and the lower end of the interval above the ceiling. *bag of concepts*: concepts >= 0.9 and
    the upper end of objects at or below the ceiling. Else *partly*; *undecided* where the scenes cannot tell.
    """
    estimator = judged_by(results)
    if estimator is None and results.first(analysis="pairs") is not None:
        label, sentences, evidence, notes = judgement(results)
        return Verdict(cast(Label, label), sentences, evidence, "pairs", notes)
    objects = _objects(results, estimator)
    concepts = _concepts(results, estimator)
    if estimator is None or objects is None or concepts is None:
        return Verdict("undecided", _unjudged(results), (), None, ())
    probe = results.first(analysis="recognition", metric="object_recognition", estimator="probe", target="unshared")
    caveats = _caveats(objects)
    if objects.value is None or objects.ceiling is None or objects.ceiling >= 1.0:
        words = (
            "These scenes cannot tell binding from a bag of concepts: no bag of values belongs to two different scenes.",
            "Add scenes in which two objects exchange a value.",
        )
        return Verdict("undecided", words, (concepts, objects), estimator, caveats)
    label = _label(concepts, objects)
    overall = _everywhere(results, estimator, concepts, objects)
    held_out = _everywhere(results, "probe", concepts, probe or objects)
    sentences = (
        _first(label, concepts, objects, estimator, overall),
        _second(label, probe, estimator, held_out[1]),
    )
    beside = probe if estimator != "probe" else None
    evidence = tuple(record for record in (concepts, objects, beside) if record is not None)
    return Verdict(label, sentences, evidence, estimator, caveats)


def _unjudged(results: Results) -> tuple[str, str]:
    trained = results.first(analysis="training", metric="object_recognition")
    if trained is None:
        return "This run holds no recognition figures, so there is no verdict.", "Run the analysis `recognition`."
    return (
        "This is a training run: its figures are of scenes of training and of held-out objects apart.",
        f"For a verdict on all scenes: `bindscope diagnose {trained.model} --data '{trained.dataset}'`.",
    )


def judged_by(results: Results) -> str | None:
    """The estimator that the verdict and the gate read: zero_shot where there is one, else probe."""
    for estimator in ("zero_shot", "probe"):
        if len(results.headline(analysis="recognition", metric="object_recognition", estimator=estimator)):
            return estimator
    return None


def _label(concepts: Record, objects: Record) -> Label:
    value, ceiling = objects.value or 0.0, objects.ceiling or 1.0
    low = objects.ci_low if objects.ci_low is not None else -1.0
    high = objects.ci_high if objects.ci_high is not None else 2.0
    if value >= HIGH and low > ceiling:
        return "binds"
    if (concepts.value or 0.0) >= HIGH and high <= ceiling:
        return "bag of concepts"
    return "partly"


def _first(label: Label, concepts: Record, objects: Record, estimator: str, overall: tuple[Record, Record]) -> str:
    how = "by its own queries" if estimator == "zero_shot" else "by linear probes"
    reach = f"a bag of concepts reaches at most {_round(objects.ceiling)}, chance is {_small(objects.chance)}"
    everywhere_concepts, everywhere_objects = overall
    if everywhere_objects is objects:  # every scene is an unshared one
        figures = (
            f"{how} it recognises the concepts in {_percent(concepts)} and the objects in {_percent(objects)} of the "
            f"scenes ({reach})."
        )
    else:
        link = "and" if label == "binds" else "but"
        figures = (
            f"{how} it recognises the concepts in {_share(everywhere_concepts.value or 0.0)} of the scenes {link} the "
            f"objects in {_share(everywhere_objects.value or 0.0)}, and in {_percent(objects)} where no value occurs "
            f"twice ({reach})."
        )
    heads = {
        "binds": "This model binds: ",
        "bag of concepts": "This model is a bag of concepts: ",
        "partly": "This model binds only partly: ",
    }
    if label == "partly" and (concepts.value or 0.0) < HIGH and (objects.ci_high or 1.0) <= (objects.ceiling or 0.0):
        return "This model does not even recognise the concepts reliably, and does not bind them: " + figures
    return heads[label] + figures


def _second(label: Label, probe: Record | None, estimator: str, overall: Record) -> str:
    if estimator == "probe":
        if label == "binds":
            return "The vectors say which value belongs to which object, to a read-out trained on such scenes."
        return "The model has no queries of its own here, so this is what a trained linear read-out finds."
    if probe is None or probe.value is None:
        return "No probe was trained, so it stays open whether the vectors hold the objects."
    where = f" ({_percent(probe)} where no value occurs twice)" if overall is not probe else ""
    if label != "binds" and (probe.ci_low or 0.0) > (probe.ceiling or 1.0):
        return (
            f"Yet linear probes read the objects in {_share(overall.value or 0.0)} of held-out scenes{where}: the vector "
            "holds the binding, the queries do not find it."
        )
    if label == "binds":
        return f"Linear probes read the objects in {_share(overall.value or 0.0)} of held-out scenes{where}."
    known = probe.ci_high is not None and probe.ci_high > (probe.ceiling or 1.0)
    rest = (
        "the interval holds what a bag of concepts reaches, so whether the vector holds the binding stays open."
        if known
        else "the vector itself hardly says what belongs to what."
    )
    return f"Linear probes read the objects in {_share(overall.value or 0.0)} of held-out scenes{where}: {rest}"


def _percent(record: Record) -> str:
    if record.value is None:
        return "n/a"
    if record.ci_low is None or record.ci_high is None:
        return f"{_share(record.value)}"
    return f"{_share(record.value)} [{_share(record.ci_low)}, {_share(record.ci_high)}]"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _round(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.0f} %"


def _small(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.2g} %"


def _objects(results: Results, estimator: str | None) -> Record | None:
    return results.first(analysis="recognition", metric="object_recognition", estimator=estimator, target="unshared")


def _concepts(results: Results, estimator: str | None) -> Record | None:
    found = results.select(
        lambda record: record.extra == {"scenes": "unshared"},
        analysis="recognition",
        metric="concept_recognition",
        estimator=estimator,
        target="mean",
    )
    return found.records[0] if len(found) else None


def _everywhere(results: Results, estimator: str, concepts: Record, objects: Record) -> tuple[Record, Record]:
    """Concepts and objects on all scenes; those given where they are the same scenes, or nothing else is known."""
    words = {"analysis": "recognition", "estimator": estimator}
    wide = results.first(metric="concept_recognition", target="mean", **words)
    every = results.first(metric="object_recognition", target="all", **words)
    if wide is None or every is None or every.value is None or every.n_scenes == objects.n_scenes:
        return concepts, objects
    return wide, every


def _caveats(objects: Record) -> tuple[str, ...]:
    notes = []
    if objects.n_objects is not None and objects.n_objects < FEW_OBJECTS:
        notes.append(
            f"Only {objects.n_objects} objects: below about {FEW_OBJECTS} the intervals are narrower than they should be."
        )
    if objects.ci_low is None:
        notes.append("No interval could be given, so the verdict rests on the figure alone and stays cautious.")
    return tuple(notes)
