"""The figures of pairs: preference, all right, scores of two pictures, recall; overall, same bag, by category, by edit.

Headline rows have target `all` or `same_bag` and an empty `extra`. They speak of the pictures where the model sees them, else
of the text alone; what text alone answers beside pictures has `extra.side = text`. Ties: `pair_preference` and recall give a
tie its share (half, of one negative), all others count it as wrong, as their authors do; the other rules stand in
`extra.ties`. The estimator `bag_of_words` is the same figure by counts of words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from bindscope.analyses.context import Context, Say
from bindscope.analyses.pairs.contests import (
    GROUP_CHANCE,
    PAIR_CHANCE,
    TIE_RULES,
    Contest,
    Ranks,
    Scores,
    TieRule,
    image_contests,
    text_contests,
)
from bindscope.analyses.pairs.edits import Edit, align, same_bag
from bindscope.analyses.pairs.intervals import Clusters, with_interval
from bindscope.analyses.pairs.similarity import Sides, retrieve, score
from bindscope.concepts import IntArray
from bindscope.datasets.outcomes import PublishedOutcomes
from bindscope.datasets.pairs import PairSet
from bindscope.results import Record
from bindscope.scenes import BoolArray, FloatArray
from bindscope.uncertainty import ObjectBootstrap, Outcome

METRIC = {
    "preference": "pair_preference",
    "caption_asks": "pair_preference",
    "all_right": "pair_all_right",
    "text": "text_score",
    "image": "image_score",
    "group": "group_score",
}
RULE: Mapping[str, TieRule] = {"preference": "half", "caption_asks": "half"}  # the others: wrong
RECALLS = (1, 5)
MOST_QUERIES = 2_000
MODEL, BAG, PUBLISHED = "zero_shot", "bag_of_words", "published"


@dataclass(frozen=True, eq=False)
class Judged:
    """One way to score the items: contests by name, and where captions stand among all (None: not asked).

    estimator: `zero_shot`, `bag_of_words` or `published`. beside: what its rows say in `extra`, nothing for headlines. model:
    whose outcomes they are, where not the run's. by_image: whether pictures are asked.
    """

    estimator: str
    contests: Mapping[str, Contest]
    ranks: Ranks | None = None
    asked: IntArray | None = None
    beside: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    by_image: bool = False


class PairContext(Context):
    """Pairs and what a model makes of them. sides: its vectors, None where nothing was run; published: outcomes that others
    give, item by item."""

    def __init__(
        self,
        pairs: PairSet,
        sides: Sides | None,
        seed: int = 0,
        say: Say | None = None,
        published: Sequence[PublishedOutcomes] = (),
    ) -> None:
        self.pairs, self.pair_sides, self.seed, self.published = pairs, sides, seed, published
        self.say = say or (lambda text: None)

    @cached_property
    def clusters(self) -> Clusters:
        """The pictures, or captions, that intervals leave out in turn."""
        return Clusters(self.pairs.cluster)

    @cached_property
    def bootstrap(self) -> ObjectBootstrap:
        """Pictures resampled; figures of pairs bring intervals of their own."""
        return ObjectBootstrap(self.pairs.cluster[:, None], int(self.pairs.cluster.max()) + 1, seed=self.seed)

    @cached_property
    def edits(self) -> tuple[Edit, ...]:
        """What was changed in the first negative of each item."""
        texts, first = self.pairs.texts, self.pairs.negatives[:, 0]
        return tuple(
            align(texts[i], texts[j]) for i, j in zip(self.pairs.caption.tolist(), first.tolist(), strict=True)
        )

    @cached_property
    def same_bag(self) -> BoolArray:
        """Items `[n]` all of whose negatives are reorderings of the caption's words."""
        texts, rows = self.pairs.texts, self.pairs.negatives.tolist()
        return np.array(
            [
                all(same_bag(texts[caption], texts[one]) for one in row if one >= 0)
                for caption, row in zip(self.pairs.caption.tolist(), rows, strict=True)
            ]
        )

    @cached_property
    def scores(self) -> Scores | None:
        """The model's similarities; None where nothing was run."""
        return None if self.pair_sides is None else score(self.pairs, self.pair_sides)

    @cached_property
    def judged(self) -> tuple[Judged, ...]:
        """The model's own figures first, then the baseline's, then what text alone answers beside pictures."""
        alone = self.pair_sides is None and len(self.published) == 1
        return (*self._own, *(_published(one, alone) for one in self.published))

    @cached_property
    def _own(self) -> tuple[Judged, ...]:
        scores = self.scores
        if self.pair_sides is None or scores is None:
            return ()
        bag_sides = Sides.of_words(self.pairs)
        text, bag = text_contests(scores), text_contests(score(self.pairs, bag_sides))
        found = []
        if self.pair_sides.images is not None:
            found.append(
                Judged(MODEL, _held(image_contests(scores)), *self._ranks(self.pair_sides, True), by_image=True)
            )
        beside = {"side": "text"} if found else {}
        if self.pairs.has_wordings:
            found.append(Judged(MODEL, _held(text), *self._ranks(self.pair_sides, False), beside))
            found.append(Judged(BAG, _held(bag), *self._ranks(bag_sides, False), beside))
        return tuple(found)

    def _ranks(self, sides: Sides, by_image: bool) -> tuple[Ranks, IntArray]:
        there = np.flatnonzero((self.pairs.image if by_image else self.pairs.paraphrase) >= 0)
        if len(there) > MOST_QUERIES:
            there = np.sort(self.stream("pair queries").choice(there, MOST_QUERIES, replace=False))
        return retrieve(self.pairs, sides, there, by_image), there

    def records(self, analysis: str, outcomes: Iterable[Outcome]) -> list[Record]:
        """Records of figures, with their intervals over pictures."""
        every = [with_interval(one, self.clusters) for one in outcomes]
        made = super().records(analysis, every)
        return [replace(one, model=str(one.extra["published"])) if "published" in one.extra else one for one in made]


def _published(one: PublishedOutcomes, alone: bool) -> Judged:
    """Outcomes that others give, as contests won or lost; a half is a tie. alone: they are the run's headlines."""
    made = {name: _given(name, credit) for name, credit in one.credits.items()}
    return Judged(
        PUBLISHED, _held(made), model=one.model, beside={} if alone else {"published": one.model}, by_image=True
    )


def _given(name: str, credit: FloatArray) -> Contest:
    there = ~np.isnan(credit)
    level = {"text": PAIR_CHANCE, "image": PAIR_CHANCE, "group": GROUP_CHANCE}.get(name, 0.5)
    chance, tied = np.where(there, level, np.nan), (credit == 0.5).astype(np.float64)
    sharp: dict[TieRule, FloatArray] = {
        "wrong": np.where(there, (credit == 1).astype(np.float64), np.nan),
        "half": credit,
        "right": np.where(there, (credit > 0).astype(np.float64), np.nan),
    }
    return Contest(sharp, np.where(there, credit - 0.5, np.nan), tied, chance)


def _held(contests: Mapping[str, Contest]) -> dict[str, Contest]:
    """Those contests that some item holds."""
    return {name: one for name, one in contests.items() if one.held.any()}


def measure(context: Context) -> list[Outcome]:
    """All figures of pairs, headlines first."""
    assert isinstance(context, PairContext)
    found = [*counts(context)]
    for one in context.judged:
        found += figures(context, one)
    return found


def counts(context: PairContext) -> Iterator[Outcome]:
    """How many items there are, and how many of what is odd."""
    pairs = context.pairs
    numbers = {"all": len(pairs), "same_bag": int(context.same_bag.sum())}
    pictures = int(pairs.cluster.max()) + 1
    for target, number in numbers.items():
        yield Outcome.number("n_items", float(number), target=target, n_scenes=number, n_objects=pictures)
    for note in pairs.notes:
        extra = {"note": note.what, "rows": list(note.names), "left_out": note.left_out}
        yield Outcome.number("n_odd_items", float(note.count), target=note.kind, extra=extra, n_objects=pictures)


def figures(context: PairContext, judged: Judged) -> list[Outcome]:
    """The figures of one way to score: overall and same bag by all rules of ties, then recall, categories and edits."""
    everything = np.ones(len(context.pairs), dtype=bool)
    subsets = {"all": everything, "same_bag": context.same_bag}
    found = [
        outcome(judged, name, rows, target, rule)
        for name in judged.contests
        for target, rows in subsets.items()
        for rule in _rules(name)
    ]
    found += recalls(context, judged)
    for extra, rows in _groups(context):
        for name in judged.contests:
            if name != "caption_asks":
                found += [
                    outcome(judged, name, rows & some, target, RULE.get(name, "wrong"), extra)
                    for target, some in subsets.items()
                    if target == "all" or ("category" in extra and (rows & some).any())
                ]
    return sorted(found, key=lambda one: bool(one.extra))


def _rules(name: str) -> tuple[TieRule, ...]:
    own = RULE.get(name, "wrong")
    if name == "caption_asks":
        return (own,)
    return (own, *(rule for rule in TIE_RULES if rule != own))


def _groups(context: PairContext) -> Iterator[tuple[dict[str, Any], BoolArray]]:
    """Categories, where there are several, and kinds of edit."""
    categories = np.array(context.pairs.categories)
    if len(set(context.pairs.categories)) > 1:
        yield from (({"category": str(name)}, categories == name) for name in np.unique(categories))
    kinds = np.array([edit.kind for edit in context.edits])
    yield from (({"edit": str(name)}, kinds == name) for name in np.unique(kinds))


def outcome(
    judged: Judged, name: str, rows: BoolArray, target: str, rule: TieRule, extra: Mapping[str, Any] | None = None
) -> Outcome:
    """One figure of a contest over some rows `[n]`."""
    contest = judged.contests[name]
    some = rows & contest.held
    words: dict[str, Any] = {**judged.beside, **(extra or {})}
    if name == "caption_asks":
        words["asks"] = "caption"
    if rule != RULE.get(name, "wrong"):
        words["ties"] = rule
    return Outcome.mean(
        METRIC[name],
        np.where(some, contest.credit[rule], 0.0),
        some,
        target=target,
        estimator=judged.estimator,
        split="all",
        chance=float(contest.chance[some].mean()) if some.any() else None,
        ties=int(contest.tied[some].sum()),
        extra=words,
    )


def recalls(context: PairContext, judged: Judged) -> Iterator[Outcome]:
    """Recall with the negatives in the gallery, and how often an own negative stands first."""
    ranks, asked = judged.ranks, judged.asked
    if ranks is None or asked is None or not len(asked):
        return
    figures: list[tuple[str, FloatArray, float | None]] = [
        ("retrieval_top1" if k == 1 else f"recall_at_{k}", ranks.hits(k), min(k / ranks.gallery, 1.0)) for k in RECALLS
    ]
    figures.append(("swap_confusion_at_1", ranks.wrong_first, None))
    for target, among in (("all", np.ones(len(context.pairs), dtype=bool)), ("same_bag", context.same_bag)):
        for metric, hits, chance in figures:
            top, below = (np.zeros(len(context.pairs)) for _ in range(2))
            top[asked], below[asked] = hits * among[asked], among[asked]
            yield Outcome.ratio(
                metric,
                top,
                below,
                target=target,
                estimator=judged.estimator,
                split="all",
                chance=chance,
                extra=judged.beside,
            )
