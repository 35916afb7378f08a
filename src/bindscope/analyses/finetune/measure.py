"""Figures before and after fine-tuning: every question for base, tuned and averaged weights, and what changed, paired."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bindscope.concepts import IntArray
from bindscope.finetune.keep import harm_texts
from bindscope.finetune.questions import Choice, Encode, Naming, Question, Vectors, all_questions, similarity_kept
from bindscope.finetune.train import Tuned
from bindscope.scenes import FloatArray
from bindscope.streams import stream
from bindscope.uncertainty import Interval, ObjectBootstrap, Outcome, percentile

BASE, RAW, AVERAGED = "base", "raw", "averaged"
SHARES = (0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
HARM_TEXTS = 300
Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Asked:
    """What one state of the weights answered. right: per question, per row; vectors: of the texts that harm is measured on."""

    right: Mapping[str, FloatArray]
    vectors: Vectors


def choose_average(tuned: Tuned, seed: int = 0) -> float:
    """The largest share of the tuned weights whose harm on validation texts stays within `max_harm`; the least where none does.

    Harm is 1 - rank correlation of the similarities of own sentences with the base; those sentences are neither kept in
    training nor used for the harm that is reported.
    """
    if tuned.config.average is not None:
        return tuned.config.average
    texts = harm_texts(HARM_TEXTS, seed, choosing=True)
    before = tuned.use(0.0).vectors(texts)
    for share in sorted(SHARES, reverse=True):
        if 1.0 - similarity_kept(before, tuned.use(share).vectors(texts)) <= tuned.config.max_harm:
            return share
    return min(SHARES)


def before_after(
    tuned: Tuned, share: float, seed: int = 0, count: int = 400, say: Say = lambda text: None
) -> list[Outcome]:
    """Figures of every question for the base, the raw tuned weights and the averaged ones, changes, and the curve between."""
    questions = all_questions(tuned.parts, seed, count)
    texts = harm_texts(HARM_TEXTS, seed)
    found: dict[str, Asked] = {}
    for name, part in ((BASE, 0.0), (RAW, 1.0), (AVERAGED, share)):
        say(f"asking the {name} weights")
        found[name] = ask(questions, texts, tuned.use(part).vectors)
    records = [record for question in questions for record in _states(question, found, seed)]
    records = [*headlines(records), *records]
    records += [_kept(found, name, seed) for name in (RAW, AVERAGED)]
    say("the curve between base and tuned weights")
    return [*records, *curve(tuned, questions, texts, found, seed)]


def ask(questions: Sequence[Question], texts: Sequence[str], encode: Encode) -> Asked:
    """All answers of a model."""
    right = {question.name: question.right(encode).astype(np.float64) for question in questions}
    for question in questions:
        if isinstance(question, Naming):
            preference, ambiguous = question.preference(encode)
            right[f"{question.name}/preference"] = np.where(ambiguous, preference, np.nan)
    return Asked(right, encode(texts))


def _states(question: Question, found: Mapping[str, Asked], seed: int) -> list[Outcome]:
    """Figures of one question in every state, and the changes from the base."""
    made: list[Outcome] = []
    for key, metric in _metrics(question):
        rows = {name: asked.right[key] for name, asked in found.items()}
        there = ~np.isnan(rows[BASE])
        bootstrap = _bootstrap(question.objects[there], seed)
        for name, answers in rows.items():
            made.append(_figure(question, metric, name, answers[there], bootstrap, seed))
        for name in (RAW, AVERAGED):
            change = rows[name][there] - rows[BASE][there]
            ends = never_a_point(bootstrap.mean(change), change)
            made.append(
                _record(
                    question, metric, {"weights": name, "change": True}, float(change.mean()), ends, len(change), seed
                )
            )
    return made


def _metrics(question: Question) -> list[tuple[str, str]]:
    if isinstance(question, Choice):
        return [(question.name, "swap_accuracy")]
    return [(question.name, "object_recognition"), (f"{question.name}/preference", "binding_preference")]


def _figure(
    question: Question, metric: str, weights: str, answers: FloatArray, bootstrap: ObjectBootstrap, seed: int
) -> Outcome:
    ends = never_a_point(bootstrap.mean(answers), answers)
    chance, top = question.chance, None
    if isinstance(question, Naming):
        chance = 0.5 if metric == "binding_preference" else chance
        top = question.ceiling if metric == "object_recognition" else None
    return _record(question, metric, {"weights": weights}, float(answers.mean()), ends, len(answers), chance, top)


def _record(
    question: Question,
    metric: str,
    more: Mapping[str, Any],
    value: float,
    ends: Interval,
    rows: int,
    chance: float | None = None,
    ceiling: float | None = None,
) -> Outcome:
    side = str(question.extra.get("side"))
    rest = {key: value for key, value in question.extra.items() if key != "side"}
    return Outcome.number(
        metric,
        value,
        ends,
        target=side,
        estimator="zero_shot",
        split="train" if side == "train" else "test",
        chance=chance,
        ceiling=ceiling,
        n_scenes=rows,
        n_objects=len(np.unique(question.objects)),
        extra={**more, "question": question.name, **rest},
    )


def headlines(records: Sequence[Outcome]) -> list[Outcome]:
    """The figures of the weights that are saved, without extra: objects and binding on closed scenes of held-out objects."""
    wanted = [r for r in records if r.extra["weights"] == AVERAGED and r.extra["question"] == "naming_closed"]
    return [replace(record, extra={}) for record in wanted if "change" not in record.extra]


def _bootstrap(objects: IntArray, seed: int) -> ObjectBootstrap:
    _, codes = np.unique(objects, return_inverse=True)
    codes = codes.reshape(objects.shape)
    return ObjectBootstrap(codes, int(codes.max(initial=0)) + 1, seed=seed)


def never_a_point(ends: Interval, answers: FloatArray) -> Interval:
    """The interval, or where all rows agree Wilson's, which is never a point; `answers` `[n]` in -1..1.

    >>> never_a_point(Interval(1.0, 1.0), np.ones(96))
    Interval(low=0.9615..., high=1.0)
    """
    if not math.isclose(ends.low, ends.high):
        return ends
    reach = 3.8415 / (len(answers) + 3.8415)  # the square of the 97.5 % quantile of the normal distribution
    value = float(answers.mean())
    return Interval(value - reach if value > 0 else value, value + reach if value < 1 else value)


def _kept(found: Mapping[str, Asked], name: str, seed: int) -> Outcome:
    """Rank correlation of the similarities of own sentences with the base, its interval over resampled sentences."""
    before, after = found[BASE].vectors, found[name].vectors
    rng = stream(seed, "finetune suite", 7)
    draws = []
    for _ in range(50):
        some = np.unique(rng.integers(len(before), size=len(before)))
        draws.append(similarity_kept(before[some], after[some]))
    value = similarity_kept(before, after)
    return kept_outcome(value, {"weights": name}, percentile(np.array(draws)), len(before))


def kept_outcome(
    value: float, extra: Mapping[str, Any], ends: Interval | None = None, texts: int = HARM_TEXTS
) -> Outcome:
    """How far the similarities of own sentences are those of the base; 1: no harm."""
    words = {"target": "own_sentences", "split": "test", "ceiling": 1.0, "n_scenes": texts, "counts_objects": False}
    return Outcome.number("similarity_kept", value, ends, extra=extra, **words)


def curve(
    tuned: Tuned, questions: Sequence[Question], texts: Sequence[str], found: Mapping[str, Asked], seed: int
) -> list[Outcome]:
    """Binding and harm along the line from the base (0) to the tuned weights (1)."""
    wanted = [question for question in questions if question.name in ("naming_closed", "swaps_closed_own")]
    made = []
    for share in SHARES:
        asked = ask(wanted, texts, tuned.use(share).vectors)
        for question in wanted:
            answers = asked.right[question.name]
            metric = "object_recognition" if isinstance(question, Naming) else "swap_accuracy"
            ends = never_a_point(_bootstrap(question.objects, seed).mean(answers), answers)
            made.append(_record(question, metric, {"share": share}, float(answers.mean()), ends, len(answers)))
        kept = similarity_kept(found[BASE].vectors, asked.vectors)
        made.append(kept_outcome(kept, {"share": share}))
    return made
