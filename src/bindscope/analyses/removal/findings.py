"""What came out of a targeted removal, in sentences: success is no gain over a constant predictor, beside the gain before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bindscope.results import Record, Results
from bindscope.show.words import number, p_text, percent

OBJECTS = "objects"
NOTHING = 0.01  # nats: a gain below it is none
WELL = 0.9  # recognition
REFERENCE = {"reference": "independent objects"}
GAIN = "cross_entropy_gain"


def findings(every: Results) -> list[str]:
    """What came out."""
    if nothing_more(every):
        return [*_unreadable(every), *_nothing_more(every), *_recognised(every), *_control(every)]
    return [*_unreadable(every), *_what_is_left(every), *_recognised(every), *_limits(every), *_control(every)]


def nothing_more(every: Results) -> bool:
    """Whether the object component is the concept component: no interaction beyond noise, nothing left of the objects."""
    corrected = found(every, "share", "interaction", {"correction": "degrees of freedom"})
    objects = found(every, GAIN, "concepts", {"concept": OBJECTS})
    if corrected is None or objects is None:
        return False
    whole = _value(every, "share", "interaction", {})
    noise = 0.0 if whole is None else whole - (corrected.value or 0.0)
    rest = max(2e-3, 0.5 * noise)  # few rows of few numbers: the correction itself is uncertain
    return abs(corrected.value or 0.0) < rest and (objects.value or 0.0) <= NOTHING


def found(
    every: Results, metric: str, target: str, extra: Mapping[str, Any], split: str | None = None
) -> Record | None:
    """The row with exactly this extra."""
    some = every.select(lambda r: r.extra == extra, metric=metric, target=target, estimator="subtract")
    rows = [r for r in some if split is None or r.split == split]
    return rows[0] if rows else None


def _value(every: Results, metric: str, target: str, extra: Mapping[str, Any]) -> float | None:
    record = found(every, metric, target, extra)
    return None if record is None else record.value


def _unreadable(every: Results) -> list[str]:
    """Nothing can be said of what no read-out finds in the first place."""
    before = {"concepts": _value(every, GAIN, "none", {}), "objects": _value(every, GAIN, "none", {"concept": OBJECTS})}
    lost = [(name, gain) for name, gain in before.items() if gain is not None and gain <= NOTHING]
    if not lost:
        return []
    what = " and the ".join(f"{name} (gain {_nats(gain)})" for name, gain in lost)
    return [
        f"Before anything is taken out, the read-outs do not find the {what}: there may be too few scenes to train them, "
        "or the held-out scenes show what no training scene did. A removal can then show nothing about them."
    ]


def _nothing_more(every: Results) -> list[str]:
    share = every.first(metric="share", target="interaction", estimator="subtract")
    of = f" ({percent(share.value)} of the variance)" if share is not None and share.value is not None else ""
    return [
        "There is nothing more to remove: the object component is the concept component. What objects have beyond "
        f"their concepts{of} cannot be told from rounding and noise, and once the concepts are taken out, nothing tells "
        "the objects either."
    ]


def _what_is_left(every: Results) -> list[str]:
    concepts = _value(every, GAIN, "concepts", {})
    objects = _value(every, GAIN, "concepts", {"concept": OBJECTS})
    if concepts is None or objects is None:
        return []
    corrected = _value(every, "share", "interaction", {"correction": "degrees of freedom"})
    hidden = "are hidden" if concepts <= NOTHING else "can still be read"
    kept = "can still be read" if objects > NOTHING else "are gone too"
    more = "" if corrected is None else f" The interaction holds {percent(corrected)} of the variance."
    return [
        f"Without their component the concepts {hidden} (gain {_nats(concepts)}{_before(every, {})}) and the objects "
        f"{kept} (gain {_nats(objects)}{_before(every, {'concept': OBJECTS})}).{more}"
    ]


def _before(every: Results, extra: Mapping[str, Any]) -> str:
    gain = _value(every, GAIN, "none", extra)
    return "" if gain is None else f", before: {_nats(gain)}"


def _recognised(every: Results) -> list[str]:
    """Recognition before and after, with what chance alone gives."""
    after = found(every, "concept_recognition", "concepts", {})
    before = _value(every, "concept_recognition", "none", {})
    objects = _value(every, "object_recognition", "concepts", {})
    all_objects = _value(every, "object_recognition", "none", {})
    if after is None or after.value is None or before is None or objects is None or all_objects is None:
        return []
    chance = "" if after.chance is None else f", chance {number(after.chance)}"
    return [
        f"Without the concepts' component, held-out scenes have their concepts recognised in {number(after.value)} "
        f"(before: {number(before)}{chance}) and their objects in {number(objects)} (before: {number(all_objects)})."
    ]


def _limits(every: Results) -> list[str]:
    """What this table lets any linear read-out find, where that is little and there was something to find."""
    if (_value(every, GAIN, "none", {"concept": OBJECTS}) or 0.0) <= NOTHING:
        return []
    trained = _value(every, "object_recognition", "concepts", REFERENCE)
    exact = _value(every, "object_recognition", "concepts", {**REFERENCE, "readout": "own direction"})
    if trained is None or exact is None or trained >= WELL:
        return []
    if exact < WELL:
        why = (
            f"Nor could it with any number of scenes (scored along their own directions, {number(exact)}): what objects have "
            "beyond their concepts adds up to the same, or in the wrong order, for many of these scenes"
        )
    else:
        why = f"There are too few scenes to train it: scored along their own directions, {number(exact)} of them are right"
    return [
        "Read object recognition after this removal beside what these scenes allow: in a world whose objects are all "
        f"independent, a trained linear read-out recognises {number(trained)} of them. {why}."
    ]


def _control(every: Results) -> list[str]:
    p = every.first(metric="p_value", target="concepts", estimator="subtract")
    if p is None or p.value is None:
        return []
    return [
        "The component of permuted values is a control: how often it hides the concepts as well as the true one does, "
        f"{p_text(p)}."
    ]


def _nats(value: float) -> str:
    """Three decimals: below them is the solver's tolerance."""
    text = f"{value:.3f} nats"
    return text.removeprefix("-") if float(f"{value:.3f}") == 0 else text.replace("-", "−")
