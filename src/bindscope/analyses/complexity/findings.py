"""What the coverage curves say, in words, from records alone; only where the intervals carry it.

Read on closed scenes of held-out objects, at coverages where the additive fit is identified and enough is held out. A
learner that did not fit its own training scenes, or does not recognise their objects, supports no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence

from bindscope.results import Record, Results

FEWEST_OBJECTS, FEWEST_SCENES = 4, 20  # held-out objects and closed scenes that a cell must have
HIGH = 0.9  # of what the probes read from the real training scenes' objects: the learner knows its training scenes
EXACT, TO_ROUNDING = 0.99, 0.9999  # R^2 of exact predictions: with objects to recognise beside it, and without
REACHES = 0.95  # of what probes read from the real held-out vectors, that they must read from exact predictions
NOTHING = 0.1  # share of the interaction: less is as good as nothing


def judgeable(results: Results, coverage: float | None) -> bool:
    """Whether R^2 counts at a coverage: identified on every split, and enough objects held out."""
    identified, held_out, _ = _design(results, coverage)
    return identified >= 1.0 and held_out >= FEWEST_OBJECTS


def readable(results: Results, coverage: float | None) -> bool:
    """Whether recognition counts at a coverage: R^2 does, and there are enough closed scenes."""
    return judgeable(results, coverage) and _design(results, coverage)[2] >= FEWEST_SCENES


def _design(results: Results, coverage: float | None) -> tuple[float, float, float]:
    """Identified, held-out objects and closed scenes, mean over splits; 0 where not recorded."""
    found = [
        results.first(analysis="complexity", metric=metric, coverage=coverage, estimator=None)
        for metric in ("identified", "held_out_objects", "closed_scenes")
    ]
    identified, held_out, closed = (record.value or 0.0 if record is not None else 0.0 for record in found)
    return identified, held_out, closed


def supports(results: Results, learner: str, coverage: float | None) -> bool:
    """Whether a learner fitted its training scenes on every split, and recognises the objects in them."""
    words = {"analysis": "complexity", "estimator": learner, "coverage": coverage, "split": "train"}
    fits = results.first(metric="fits_training", **words)
    objects = results.first(metric="object_recognition", target="unshared", **words)
    return bool(fits and (fits.value or 0.0) >= 1.0 and objects and (objects.value or 0.0) >= HIGH)


def complexity_sentences(results: Results) -> list[str]:
    """The verdict on complexity, one to four sentences; empty where there are no curves."""
    curves = results.headline(analysis="complexity", metric="object_recognition", target="closed", split="test")
    learners = [name for name in dict.fromkeys(r.estimator for r in curves) if name and name != "real"]
    if not learners:
        return []
    every = sorted({r.coverage for r in curves if r.coverage is not None})
    coverages = [c for c in every if judgeable(results, c)]
    if not coverages:
        return ["No coverage leaves enough identified, held-out objects, so the curves support no verdict."]
    closed = [r for r in curves if readable(results, r.coverage)]
    sentences = _exact(results, learners, coverages)
    sentences += (
        _objects(results, closed) if closed else ["No coverage leaves enough closed scenes to judge objects on."]
    )
    return [*sentences, *_binding(results, learners, coverages), *_misfits(results, learners, coverages)]


def _exact(results: Results, learners: Sequence[str], coverages: Sequence[float]) -> list[str]:
    """The simplest learner that predicts held-out vectors exactly, at the coverage from which on it does; else the one whose
    R^2 alone would say so."""
    best: tuple[str, list[Record]] | None = None
    alone: Record | None = None
    for learner in learners:
        found = [results.first(metric="r2", estimator=learner, split="test", coverage=c) for c in coverages]
        close = [r for r in found if r is not None and r.ci_low is not None and r.ci_low >= EXACT]
        good = [r for r in close if _recognised(results, r)]
        if good and (best is None or len(good) > len(best[1])):
            best = (learner, good)
        alone = alone or next((r for r in close if r not in good), None)
    if best is None:
        return [] if alone is None else [_not_exact(results, alone)]
    learner, good = best
    exactly = f"{learner} predicts the vectors of unseen objects exactly (R² {_value(good[-1])})"
    if len(good) == len(coverages):
        return [
            f"{exactly} at every coverage that can be judged, from {coverages[0]:g} on: the function has that form."
        ]
    return [f"{exactly} at coverage {', '.join(f'{r.coverage:g}' for r in good)}."]


def _recognised(results: Results, record: Record) -> bool:
    """Whether objects are recognised through a learner's predictions as well as in the real held-out vectors."""
    own, real = _closed(results, record.estimator, record.coverage), _closed(results, "real", record.coverage)
    if own is None or real is None:
        return (record.ci_low or 0.0) >= TO_ROUNDING
    return own >= REACHES * real


def _closed(results: Results, learner: str | None, coverage: float | None) -> float | None:
    words = {"analysis": "complexity", "metric": "object_recognition", "target": "closed", "split": "test"}
    found = results.first(estimator=learner, coverage=coverage, **words)
    return None if found is None else found.value


def _not_exact(results: Results, record: Record) -> str:
    own, real = _closed(results, record.estimator, record.coverage), _closed(results, "real", record.coverage)
    if own is None or real is None:
        return (
            f"{record.estimator} reaches R² {_value(record)} at coverage {record.coverage:g}; whether objects are "
            "recognised in its predictions cannot be said there."
        )
    return (
        f"{record.estimator} reaches R² {_value(record)} at coverage {record.coverage:g}, but its predictions are not exact: "
        f"objects are recognised in {own:.3f} of the closed scenes, in the real vectors in {real:.3f}."
    )


def _binding(results: Results, learners: Sequence[str], coverages: Sequence[float]) -> list[str]:
    """How much of the interaction, the part of binding, is predicted for objects that were never seen."""
    words = {"analysis": "complexity", "metric": "binding_r2", "split": "test"}
    found = [
        r for n in learners for c in coverages if (r := results.first(estimator=n, coverage=c, **words)) is not None
    ]
    known = [r for r in found if r.value is not None and r.ci_low is not None and _fits(results, r)]
    if found and all(r.value is None for r in found):
        return ["Objects have nothing beyond their concepts here, so there is no binding to predict."]
    if not known:
        return []
    best = max(known, key=lambda r: r.value or 0.0)
    if _predicts(best):
        level = "" if best.chance is None else f", concepts alone {best.chance:.2f}"
        return [
            f"Of what objects have beyond their concepts, {best.estimator} predicts {_value(best)} at coverage "
            f"{best.coverage:g} for objects that it never saw (1 is all of it{level}): the binding part follows a rule"
            + (" as well." if (best.ci_low or 0.0) > HIGH else ", in part.")
        ]
    if all((r.ci_high or 0.0) <= max(NOTHING, r.chance or 0.0) for r in known):
        return [
            f"No learner predicts what unseen objects have beyond their concepts (at best {_value(best)} of it, by "
            f"{best.estimator}): the binding part is memorised as far as these learners can tell."
        ]
    return [f"Whether the binding part can be predicted is undecided: {best.estimator} reaches {_value(best)} of it."]


def _fits(results: Results, record: Record) -> bool:
    found = results.first(metric="fits_training", estimator=record.estimator, coverage=record.coverage)
    return found is not None and (found.value or 0.0) >= 1.0


def _predicts(record: Record) -> bool:
    """More of the interaction than nothing, and than an additive fit that shrinks."""
    return record.ci_low is not None and record.ci_low > max(NOTHING, record.chance or 0.0)


def _objects(results: Results, curves: Sequence[Record]) -> list[str]:
    own = [r for r in curves if r.estimator != "real" and r.value is not None and r.ci_low is not None]
    counted = [r for r in own if supports(results, r.estimator or "", r.coverage)]
    real = [r for r in curves if r.estimator == "real" and _above(r)]
    if not any(r.ceiling is not None and r.ceiling < 1.0 for r in own):
        return ["These scenes cannot tell binding from a bag of concepts, so the curves say nothing about binding."]
    winners = [r for r in own if _above(r)]
    if winners:
        best = max(winners, key=lambda r: r.value or 0.0)
        return [
            f"Objects that were never seen are recognised in closed scenes from predicted vectors, beyond what a bag of "
            f"concepts can: {best.estimator} reaches {_value(best)} at coverage {best.coverage:g} (ceiling "
            f"{best.ceiling:.2f}): a small learner finds the rule."
        ]
    places = {r.coverage for r in real}
    counted = [r for r in counted if r.coverage in places]
    if not real:
        return [
            "The probes do not read the objects from the real held-out vectors beyond the ceiling either, so recognition "
            "says nothing about complexity here; read R²."
        ]
    if not counted:
        return [
            "No learner both fitted its training scenes and recognises the objects in them, so recognition in unseen scenes "
            "supports no verdict."
        ]
    if all(not _open(r) for r in counted):
        best = max(counted, key=lambda r: r.value or 0.0)
        yard = max(real, key=lambda r: r.coverage or 0.0)
        most = max(own, key=lambda r: r.value or 0.0)
        return [
            f"No learner generalises objects beyond the bag-of-concepts ceiling: the best that knows its training objects, "
            f"{best.estimator}, reaches {_value(best)} at coverage {best.coverage:g} on closed scenes (ceiling "
            f"{best.ceiling:.2f}) and none {'more' if most is best else 'more than ' + _value(most)} anywhere, while the same "
            f"probes read the real held-out vectors at {_value(yard)}: what they learn is not exact enough to tell unseen "
            f"objects apart."
        ]
    unsure = max((r for r in counted if _open(r)), key=lambda r: r.ci_high or 0.0)
    return [
        f"Undecided: {unsure.estimator} reaches {_value(unsure)} at coverage {unsure.coverage:g} on closed scenes, and the "
        f"interval holds the bag-of-concepts ceiling of {unsure.ceiling:.2f}."
    ]


def _misfits(results: Results, learners: Sequence[str], coverages: Sequence[float]) -> list[str]:
    """Learners that did not fit their training scenes at some coverage."""
    bad: dict[str, list[float]] = {}
    for learner in learners:
        for coverage in coverages:
            fits = results.first(metric="fits_training", estimator=learner, coverage=coverage)
            if fits is not None and (fits.value or 0.0) < 1.0:
                bad.setdefault(learner, []).append(coverage)
    if not bad:
        return []
    parts = [
        f"{learner} ({'all coverages' if len(places) == len(coverages) else ', '.join(f'{c:g}' for c in places)})"
        for learner, places in bad.items()
    ]
    return [f"Did not fit their own training scenes and support no verdict: {'; '.join(parts)}."]


def _above(record: Record) -> bool:
    return record.ci_low is not None and record.ceiling is not None and record.ci_low > record.ceiling


def _open(record: Record) -> bool:
    return record.ci_high is None or record.ceiling is None or record.ci_high > record.ceiling


def _value(record: Record) -> str:
    if record.value is None or record.ci_low is None or record.ci_high is None:
        return "n/a" if record.value is None else f"{record.value:.3f}"
    return f"{record.value:.3f} [{record.ci_low:.3f}, {record.ci_high:.3f}]"
