"""What a run on pairs found, in words: the verdict, and the items that went wrong as sentences with the changed words marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from bindscope.analyses.pairs.edits import Edit, align, places
from bindscope.analyses.pairs.measure import BAG, PairContext
from bindscope.results import Record, Results

SHOWN, EACH = 12, 3  # failures on the page, and of one kind of edit and category
ENOUGH, LITTLE, MUCH, SURE = 50, 0.2, 0.8, 0.5
PRIMARY = ("group_score", "pair_all_right", "pair_preference", "text_score", "image_score")
Spans = list[tuple[str, bool]]  # pieces of text, and whether each is marked


def failures(context: PairContext) -> list[dict[str, Any]]:
    """The worst items, same bag first, at most EACH of a kind: sentences as spans of text, some of them marked."""
    if not context.judged:
        return []
    first = context.judged[0]
    contest = first.contests.get("all_right") or first.contests.get("group") or first.contests["preference"]
    lost = np.flatnonzero(contest.held & (contest.credit["wrong"] < 1))
    order = lost[np.lexsort((contest.margin[lost], ~context.same_bag[lost]))].tolist()
    return [_failure(context, item, first.by_image) for item in _varied(context, order)]


def _varied(context: PairContext, order: Sequence[int]) -> list[int]:
    """The first SHOWN items of different pictures, at first EACH of a kind and category, then whatever comes."""
    taken: Counter[tuple[str, str]] = Counter()
    pictures: set[int] = set()
    found: list[int] = []
    for most in (EACH, SHOWN):
        for item in order:
            group, picture = (
                (context.edits[item].kind, context.pairs.categories[item]),
                int(context.pairs.cluster[item]),
            )
            if taken[group] < most and picture not in pictures and len(found) < SHOWN:
                taken[group] += 1
                pictures.add(picture)
                found.append(item)
    return found


def _failure(context: PairContext, item: int, by_image: bool) -> dict[str, Any]:
    pairs = context.pairs
    worst = _worst_negative(context, item, by_image)
    caption, negative = pairs.texts[pairs.caption[item]], pairs.texts[pairs.negatives[item, worst]]
    edit = context.edits[item] if worst == 0 else align(caption, negative)
    parts = {"caption": marked(caption, edit.removed), "negative": marked(negative, edit.added)}
    other = int(pairs.paraphrase[item])
    said = _sentence(context, item, worst, by_image, parts, pairs.texts[other] if other >= 0 else None)
    return {
        "item": pairs.ids[item],
        "category": pairs.categories[item],
        "edit": edit.kind,
        "same_bag": bool(context.same_bag[item]),
        "spans": said,
        "picture": int(pairs.image[item]) if by_image else -1,
    }


def _worst_negative(context: PairContext, item: int, by_image: bool) -> int:
    scores = context.scores
    if scores is None:
        return 0
    row = scores.seen_wrong[item] if by_image else np.fmax(scores.wrong[item], scores.other_wrong[item])
    return 0 if np.isnan(row).all() else int(np.nanargmax(row))


def _sentence(
    context: PairContext, item: int, worst: int, by_image: bool, parts: dict[str, Spans], other: str | None
) -> Spans:
    """What went wrong with one item, in pieces."""
    caption, negative = ([("“", False), *parts[name], ("”", False)] for name in ("caption", "negative"))
    scores = context.scores
    if scores is None:
        return _joined("It takes ", negative, " for ", caption, ".")
    if by_image:
        near, far = scores.seen_wrong[item, worst], scores.seen[item, 0]
        if near < far:  # lost with the other picture
            return _joined("It does not tell ", caption, " and ", negative, " apart in both pictures.")
        return _joined(
            "For this picture it prefers ", negative, f" ({_number(near)}) to ", caption, f" ({_number(far)})."
        )
    near, asked, own = scores.wrong[item, worst], scores.other_wrong[item, worst], scores.other[item]
    if near >= asked:
        return _joined(
            "To ", caption, " it holds ", negative, f" nearer ({_number(near)}) than “{other}” ({_number(own)})."
        )
    ask = f"Asked with “{other}” it prefers "
    return _joined(ask, negative, f" ({_number(asked)}) to ", caption, f" ({_number(own)}).")


def _joined(*pieces: str | Spans) -> Spans:
    return [span for piece in pieces for span in ([(piece, False)] if isinstance(piece, str) else piece)]


def _number(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def marked(text: str, changed: Sequence[int]) -> Spans:
    """A caption as spans, the changed words marked.

    >>> marked("a red cube", [1])
    [('a ', False), ('red', True), (' cube', False)]
    """
    spans = places(text)
    found: Spans = []
    last = 0
    for begin, end in (spans[i] for i in changed if i < len(spans)):
        found += [(text[last:begin], False), (text[begin:end], True)]
        last = end
    return [span for span in [*found, (text[last:], False)] if span[0]]


def plain_sentence(spans: Spans) -> str:
    """A sentence without marks, changed words in brackets.

    >>> plain_sentence([("a ", False), ("red", True), (" cube", False)])
    'a [red] cube'
    """
    return "".join(f"[{text}]" if bold else str(text) for text, bold in spans)


def headline(results: Results, metric: str, target: str, estimator: str | None = None) -> Record | None:
    """The headline record of the model (or of published outcomes), or of another estimator."""
    if estimator is not None:
        return results.first(analysis="pairs", metric=metric, target=target, estimator=estimator)
    found = [
        record
        for record in results
        if (record.analysis, record.metric, record.target) == ("pairs", metric, target)
        and record.estimator != BAG
        and not set(record.extra) - {"published"}
    ]
    return found[0] if found else None


def primary(results: Results) -> str | None:
    """The metric that names a run's figure first: the strictest that was measured."""
    return next((metric for metric in PRIMARY if headline(results, metric, "all") is not None), None)


def judgement(results: Results) -> tuple[str, tuple[str, str], tuple[Record, ...], tuple[str, ...]]:
    """Label, two sentences, evidence and caveats, read where the words of right and wrong are the same.

    With p the share of such items in which the right caption is preferred and pi = (p - chance) / (1 - chance): fewer than 50
    items are undecided; pi at most 0.2 at its upper end is a bag; pi not above 0 at its lower end is undecided; pi of at least
    0.8, and 0.5 at its lower end, binds; the rest binds partly.
    """
    read = headline(results, "pair_preference", "same_bag")
    strict = [r for m in PRIMARY if (r := headline(results, m, "all")) is not None]
    every = [r for m in PRIMARY[:3] for t in ("all", "same_bag") if (r := headline(results, m, t)) is not None]
    if read is None or read.value is None or (read.n_scenes or 0) < ENOUGH:
        count = 0 if read is None else read.n_scenes or 0
        first = (
            f"Only {count} items have a negative of the caption's own words, fewer than {ENOUGH}, so these pairs cannot tell "
            "binding from a bag of words."
        )
        return "undecided", (first, _overall(strict)), tuple(every), ()
    label, words = _label(read)
    said = (
        f"{words} where right and wrong have the same words it prefers the right caption in {_percent(read)} "
        f"of {read.n_scenes:,} items (a bag of words: {_share(read.chance or 0.5)})."
    )
    return label, (said, _overall(strict)), tuple(every), ()


def _label(read: Record) -> tuple[str, str]:
    chance = read.chance if read.chance is not None else 0.5
    level, low, high = (_above(x, chance) for x in (read.value, read.ci_low, read.ci_high))
    if high <= LITTLE:
        return "bag of concepts", "This model is a bag of words:"
    if low <= 0:
        return "undecided", "These pairs do not decide:"
    if level >= MUCH and low >= SURE:
        return "binds", "This model binds:"
    return "binds partly", "This model binds only partly:"


def _above(value: float | None, chance: float) -> float:
    return 0.0 if value is None else (value - chance) / (1 - chance)


def _overall(strict: Sequence[Record]) -> str:
    names = {
        "group_score": "both pictures and both captions find each other",
        "pair_all_right": "the two right wordings are nearer to each other than to the negative",
        "pair_preference": "the right caption is preferred",
        "text_score": "both pictures find their caption",
        "image_score": "both captions find their picture",
    }
    if not strict:
        return "No contest was held."
    first = strict[0]
    return f"Over all {first.n_scenes:,} items {names[first.metric]} in {_percent(first)} (chance {_share(first.chance or 0.0)})."


def _percent(record: Record) -> str:
    ends = (
        ""
        if record.ci_low is None or record.ci_high is None
        else f" [{_share(record.ci_low)}, {_share(record.ci_high)}]"
    )
    return f"{_share(record.value or 0.0)}{ends}"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def kinds_in_words(edits: Sequence[Edit]) -> str:
    """How often each kind of edit occurs, most frequent first."""
    count = Counter(edit.kind for edit in edits)
    return ", ".join(f"{number:,} {kind}" for kind, number in count.most_common())
