"""Figures before and after fine-tuning: every question for base, tuned and averaged weights, and what changed, paired."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bindscope.analyses.context import Context
from bindscope.finetune.keep import harm_texts
from bindscope.finetune.questions import Choice, Encode, Naming, Question, Vectors, all_questions, similarity_kept
from bindscope.finetune.train import Tuned
from bindscope.results import Record
from bindscope.scenes import FloatArray, SceneTable
from bindscope.streams import stream
from bindscope.uncertainty import Interval, Outcome, percentile

BASE, RAW, AVERAGED = "base", "raw", "averaged"
SHARES = (0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8, 1.0)
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
) -> list[Record]:
    """Records of every question for the base, the raw tuned weights and the averaged ones, changes, and the curve between.

    Intervals are those of each question's own scenes: `ci` for other words, `words` for these.
    """
    questions = all_questions(tuned.parts, seed, count)
    texts = harm_texts(HARM_TEXTS, seed)
    found: dict[str, Asked] = {}
    for name, part in ((BASE, 0.0), (RAW, 1.0), (AVERAGED, share)):
        say(f"asking the {name} weights")
        found[name] = ask(questions, texts, tuned.use(part).vectors)
    records = [one for question in questions for one in _states(question, found, tuned, seed)]
    kept = [_kept(found, name, seed) for name in (RAW, AVERAGED)]
    say("the curve between base and tuned weights")
    records += Context.of_table(tuned.parts.table, seed).records("finetune", kept)
    return [*headlines(records), *records, *curve(tuned, questions, texts, found, seed)]


def ask(questions: Sequence[Question], texts: Sequence[str], encode: Encode) -> Asked:
    """All answers of a model."""
    right = {question.name: question.right(encode).astype(np.float64) for question in questions}
    for question in questions:
        if isinstance(question, Naming):
            preference, ambiguous = question.preference(encode)
            right[f"{question.name}/preference"] = np.where(ambiguous, preference, np.nan)
    return Asked(right, encode(texts))


def _states(question: Question, found: Mapping[str, Asked], tuned: Tuned, seed: int) -> list[Record]:
    """Records of one question in every state, and the changes from the base."""
    context = _context(question, tuned, seed)
    made: list[Record] = []
    for key, metric in _metrics(question):
        figures = {name: figure(question, metric, asked.right[key], {"weights": name}) for name, asked in found.items()}
        made += context.records("finetune", figures.values())
        for name in (RAW, AVERAGED):
            value, ends = context.jackknife.difference(figures[name], figures[BASE])
            extra = {**figures[name].extra, "change": True}
            bare = replace(figures[name], value=value, ends=ends, chance=None, ceiling=None, extra=extra)
            made += context.records("finetune", [bare])
    return made


def _context(question: Question, tuned: Tuned, seed: int) -> Context:
    """The context of a question's own scenes."""
    if isinstance(question, Naming):
        return Context.of_table(question.table, seed)
    space = tuned.parts.words.space
    return Context.of_table(SceneTable.build(space, space.object_values(question.scenes)), seed)


def _metrics(question: Question) -> list[tuple[str, str]]:
    if isinstance(question, Choice):
        return [(question.name, "swap_accuracy")]
    return [(question.name, "object_recognition"), (f"{question.name}/preference", "binding_preference")]


def figure(question: Question, metric: str, answers: FloatArray, more: Mapping[str, Any]) -> Outcome:
    """One figure of a question from its answers `[n]`; NaN where a scene cannot be judged."""
    there = ~np.isnan(answers)
    side = str(question.extra.get("side"))
    binding = metric == "binding_preference"
    rest = {key: value for key, value in question.extra.items() if key != "side"}
    named = isinstance(question, Naming) and not binding
    return Outcome.mean(
        metric,
        np.where(there, answers, 0.0),
        there,
        target=side,
        estimator="zero_shot",
        split="train" if side == "train" else "test",
        chance=0.5 if binding else question.chance,
        ceiling=question.ceiling if named and isinstance(question, Naming) else None,
        within_bags=binding,
        extra={**more, "question": question.name, **rest},
    )


def headlines(records: Sequence[Record]) -> list[Record]:
    """The figures of the weights that are saved, without extra: objects and binding on closed scenes of held-out objects."""
    wanted = {"weights": AVERAGED, "question": "naming_closed"}
    return [replace(record, extra={}) for record in records if dict(record.extra) == wanted]


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
) -> list[Record]:
    """Binding and harm along the line from the base (0) to the tuned weights (1)."""
    wanted = [question for question in questions if question.name in ("naming_closed", "swaps_closed_own")]
    contexts = {question.name: _context(question, tuned, seed) for question in wanted}
    whole = Context.of_table(tuned.parts.table, seed)
    made: list[Record] = []
    for share in SHARES:
        asked = ask(wanted, texts, tuned.use(share).vectors)
        for question in wanted:
            metric = "object_recognition" if isinstance(question, Naming) else "swap_accuracy"
            one = figure(question, metric, asked.right[question.name], {"share": share})
            made += contexts[question.name].records("finetune", [one])
        kept = similarity_kept(found[BASE].vectors, asked.vectors)
        made += whole.records("finetune", [kept_outcome(kept, {"share": share})])
    return made
