"""What is asked of a model before, during and after fine-tuning. All texts are made here; answers are per row.

Two kinds of question: `Choice` (is the paraphrase nearer than every text that says something else?) and `Naming` (do a
scene's own objects come before all others?). Each is asked of training objects, of closed scenes of held-out objects (what
exchanging values makes is held out too), and of words that training never showed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bindscope.binding import binding_by_cosine
from bindscope.concepts import IntArray
from bindscope.errors import InputError
from bindscope.finetune.captions import draw_pairs
from bindscope.finetune.frames import HELD_OUT, HELD_OUT_SETS, RELATIONS, SETS
from bindscope.finetune.keep import harm_texts
from bindscope.finetune.phrases import Thing, fill
from bindscope.finetune.vocabulary import Parts, Words
from bindscope.recognition import ceiling, object_chance, recognise_by_cosine
from bindscope.scenes import BoolArray, FloatArray, SceneTable
from bindscope.streams import stream

Vectors = NDArray[np.float32]
GRID = 14  # the first so many values of each concept, among those that train
TIE = 1e-6  # cosines of single precision that are closer differ by rounding only
FEWEST = 8  # fewer rows are not asked


class Encode(Protocol):
    """Texts to unit vectors `[n, d]`; query: whether they are queries rather than scenes."""

    def __call__(self, texts: Sequence[str], query: bool = False) -> Vectors:
        """Vectors of the texts."""


@dataclass(frozen=True, eq=False)
class Choice:
    """n rows of an anchor, its paraphrase, and texts that say something else.

    objects `[n, q]`: ids of the objects that each row names, the first `m` of them those of its scene. extra: what the
    question is, for records.
    """

    name: str
    anchors: tuple[str, ...]
    positives: tuple[str, ...]
    negatives: tuple[tuple[str, ...], ...]
    objects: IntArray
    extra: dict[str, Any] = field(default_factory=dict)
    m: int = 2

    @property
    def scenes(self) -> IntArray:
        """Ids `[n, m]` of the objects of each scene."""
        return self.objects[:, : self.m]

    def right(self, encode: Encode) -> BoolArray:
        """Rows `[n]` whose paraphrase is strictly nearer to the anchor, by cosine, than each negative."""
        anchors = encode(self.anchors).astype(np.float64)
        near = (anchors * encode(self.positives)).sum(axis=1)
        far = [(anchors * encode(texts)).sum(axis=1) for texts in self.negatives]
        return np.asarray(near > np.max(far, axis=0) + TIE)

    @property
    def chance(self) -> float:
        """What random vectors reach."""
        return 1.0 / (1 + len(self.negatives))


@dataclass(frozen=True, eq=False)
class Naming:
    """Scenes in words, and queries for all candidates of their table."""

    name: str
    scenes: tuple[str, ...]
    queries: tuple[str, ...]
    table: SceneTable
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def objects(self) -> IntArray:
        """Ids `[n, m]`."""
        return self.table.object_ids

    def right(self, encode: Encode) -> BoolArray:
        """Scenes `[n]` whose own objects all come before every other candidate, strictly."""
        members, _ = self.table.members()
        return recognise_by_cosine(encode(self.scenes), encode(self.queries, query=True), members).right

    def preference(self, encode: Encode) -> tuple[FloatArray, BoolArray]:
        """Binding preference `[n]`, and which scenes are ambiguous."""
        found = binding_by_cosine(encode(self.scenes), encode(self.queries, query=True), self.table)
        return found.preference, found.ambiguous

    @property
    def chance(self) -> float:
        """Mean over scenes of 1 / binom(candidates, objects shown)."""
        return float(object_chance(self.table).mean())

    @property
    def ceiling(self) -> float:
        """What any function of the bag can reach."""
        return ceiling(self.table)


Question = Choice | Naming


def all_questions(parts: Parts, seed: int = 0, count: int = 400) -> list[Question]:
    """Every question that the words allow, `count` rows each at most."""
    test, train = parts.ids(parts.test), parts.ids(parts.train)
    found: list[Question | None] = [
        *(
            grid_naming(parts, mask, side, seed, 2 * count)
            for mask, side in ((parts.train, "train"), (parts.test, "closed"))
        )
    ]
    for ids, side in ((train, "train"), (test, "closed"), (parts.unseen, "unseen_words")):
        found += [swaps(parts.words, ids, side, own, seed, count) for own in (False, True)]
    found += [swaps(parts.words, test, "closed", own, seed, count, HELD_OUT_SETS) for own in (False, True)]
    for names, which in ((False, "trained"), (True, "untrained")):
        found += [exchanges(parts, test, "closed", names, which, bare, seed, count) for bare in (False, True)]
    found += [three_objects(parts, test, "closed", seed, count)]
    return [question for question in found if question is not None]


def grid_naming(parts: Parts, mask: BoolArray, side: str, seed: int, count: int) -> Naming | None:
    """Object recognition on closed scenes of a block of the first 14 values a concept, all its objects as candidates."""
    table = _grid(parts)
    rng = stream(seed, "finetune suite", 1)
    ids = np.intersect1d(parts.ids(mask), table.candidates)
    pairs, _ = _distinct_pairs(parts.words, ids, count, rng)
    if len(pairs) < FEWEST:
        return None
    scenes = _scenes(table, pairs)
    things = [[parts.words.named(i) for i in pair] for pair in pairs.tolist()]
    frames = parts.words.frames[:1] or ("{A} and {B}",)
    texts = tuple(fill(frames[0], two) for two in things)
    return Naming(f"naming_{side}", texts, _queries(parts, table), scenes, {"side": side})


def _grid(parts: Parts) -> SceneTable:
    """One-object scenes of the block."""
    values = parts.table.values[:, 0]
    inside = np.ones(len(values), dtype=bool)
    for k, held in enumerate(parts.held_out):
        known = [i for i in range(parts.words.space.concepts[k].size) if i not in held]
        inside &= np.isin(values[:, k], known[:GRID])
    return SceneTable.build(parts.words.space, values[inside][:, None], candidates=parts.table.candidates[inside])


def _scenes(table: SceneTable, pairs: IntArray) -> SceneTable:
    return SceneTable.build(table.space, table.space.object_values(pairs), candidates=table.candidates)


def _queries(parts: Parts, table: SceneTable) -> tuple[str, ...]:
    return tuple(parts.words.named(i).said() for i in table.candidates.tolist())


def _distinct_pairs(
    words: Words,
    ids: IntArray,
    count: int,
    rng: np.random.Generator,
    within: IntArray | None = None,
    among: IntArray | None = None,
) -> tuple[IntArray, IntArray]:
    """Different pairs of `ids` with exchanged objects `within`, at most `count`; one of each pair is `among` where given."""
    if len(ids) < 2:
        none = np.zeros((0, 2), dtype=np.int64)
        return none, none
    pairs, swapped = draw_pairs(words.space, ids, 2 * count if among is None else 20 * count, rng, within)
    _, first = np.unique(np.concatenate([pairs, swapped], axis=1), axis=0, return_index=True)
    keep = np.sort(first)
    wanted = swapped[keep, 0] >= 0
    if among is not None:
        wanted &= np.isin(pairs[keep], among).any(axis=1)
    keep = keep[wanted][:count]
    return pairs[keep], swapped[keep]


def swaps(
    words: Words,
    ids: IntArray,
    side: str,
    own: bool,
    seed: int,
    count: int,
    frames: Sequence[str] | None = None,
    within: IntArray | None = None,
    among: IntArray | None = None,
) -> Choice | None:
    """The paraphrase in another wording, objects in either order, against one value exchanged.

    own: the exchanged one is said in the anchor's own wording (the hardest), else in the paraphrase's. frames: for both
    (None: those of training).
    """
    rng = stream(seed, "finetune suite", 2, int(own), len(side))
    pairs, swapped = _distinct_pairs(words, ids, count, rng, within, among)
    if len(pairs) < FEWEST:
        return None
    known = tuple(frames) if frames is not None else (*words.frames, *_trained_sets())
    rows = [_swap_row(words, pair, other, known, own, rng) for pair, other in zip(pairs, swapped, strict=True)]
    anchors, positives, negatives = zip(*rows, strict=True)
    wording = "trained" if frames is None else "unseen"
    extra = {"side": side, "own_wording": own, "wording": wording}
    name = f"swaps_{side}{'_own' if own else ''}{'' if frames is None else '_unseen_wording'}"
    return Choice(name, anchors, positives, (negatives,), np.concatenate([pairs, swapped], axis=1), extra)


def _trained_sets() -> tuple[str, ...]:
    return tuple(frame for frame in SETS if frame not in HELD_OUT_SETS)


def _swap_row(
    words: Words, pair: IntArray, other: IntArray, frames: Sequence[str], own: bool, rng: np.random.Generator
) -> tuple[str, str, str]:
    two, wrong = ([words.named(int(i)) for i in some] for some in (pair, other))
    first, second = (frames[i] for i in rng.choice(len(frames), 2, replace=False))
    turn, turned = rng.random(2) < 0.5
    anchor, positive = fill(first, two), fill(second, two[::-1] if turn else two)
    return anchor, positive, fill(first if own else second, wrong[::-1] if turned else wrong)


def exchanges(
    parts: Parts, ids: IntArray, side: str, held_out: bool, which: str, bare: bool, seed: int, count: int
) -> Choice | None:
    """A relation said otherwise against its roles exchanged in the anchor's wording. held_out: relations not trained."""
    if bare and not parts.words.plain:
        return None
    rng = stream(seed, "finetune suite", 3, int(bare), int(held_out))
    pairs, _ = _distinct_pairs(parts.words, ids, count, rng)
    if len(pairs) < FEWEST:
        return None
    relations = [one for one in RELATIONS if (one.name in HELD_OUT) == held_out]
    rows = []
    for pair in pairs.tolist():
        two = [parts.words.named(i) for i in pair]
        two = [Thing(one.noun) for one in two] if bare else two
        frames = relations[int(rng.integers(len(relations)))].frames
        first, second = (frames[i] for i in rng.choice(len(frames), 2, replace=False))
        rows.append((fill(first, two), fill(second, two), fill(first, two[::-1])))
    anchors, positives, negatives = zip(*rows, strict=True)
    extra = {"side": side, "relations": which, "bare": bare}
    return Choice(f"exchanges_{which}{'_bare' if bare else ''}", anchors, positives, (negatives,), pairs, extra)


def three_objects(parts: Parts, ids: IntArray, side: str, seed: int, count: int) -> Choice | None:
    """Three objects, where two were trained: another order and wording against one value exchanged in the own wording."""
    rng = stream(seed, "finetune suite", 4)
    pairs, swapped = _distinct_pairs(parts.words, ids, count, rng)
    if len(pairs) < FEWEST:
        return None
    rows, third = [], rng.choice(ids, len(pairs))
    for pair, other, more in zip(pairs, swapped, third, strict=True):
        three = [parts.words.named(int(i)) for i in (*pair, more)]
        wrong = [parts.words.named(int(i)) for i in (*other, more)]
        order = rng.permutation(3)
        positive = fill("there is {A}, {B} and {C}", [three[i] for i in order])
        rows.append((fill("{A}, {B} and {C}", three), positive, fill("{A}, {B} and {C}", wrong)))
    anchors, positives, negatives = zip(*rows, strict=True)
    objects = np.concatenate([pairs, third[:, None]], axis=1)
    return Choice("three_objects", anchors, positives, (negatives,), objects, {"side": side, "objects": 3}, m=3)


def similarity_kept(before: Vectors, after: Vectors) -> float:
    """Spearman correlation of all pairwise cosine similarities of the same texts, before and after, `[n, d]`; 1: no harm."""
    upper = np.triu_indices(len(before), 1)
    first, second = (rankdata((vectors @ vectors.T)[upper]) for vectors in (before, after))
    return float(np.corrcoef(first, second)[0, 1])


@dataclass(frozen=True, eq=False)
class Watch:
    """The few questions of each evaluation during training, on validation objects."""

    questions: tuple[Question, ...]
    texts: tuple[str, ...]
    before: Vectors

    @classmethod
    def of(cls, parts: Parts, encode: Encode, seed: int = 0, count: int = 100) -> Watch:
        """Closed pairs of validation objects, and the base's vectors of texts.

        Where such pairs are few, exchanged objects may be training objects, and then one of the two; never test objects.
        """
        ids = parts.ids(parts.validation)
        known = np.union1d(ids, parts.ids(parts.train))
        texts = harm_texts(150, choosing=True)
        for some, within in ((ids, ids), (ids, known), (known, known)):
            asked = (parts.words, some, "validation")
            found = [swaps(*asked, own, seed, count, within=within, among=ids) for own in (False, True)]
            named = _validation_naming(parts, some, within, ids, seed, count)
            if (questions := tuple(one for one in (*found, named) if one is not None)) and named is not None:
                return cls(questions, texts, encode(texts))
        raise InputError(
            f"{len(ids)} validation objects make no two scenes that differ by a swap; give more values or a higher coverage"
        )

    def figures(self, encode: Encode) -> dict[str, float]:
        """Share right of each question, `binding` (their mean), and `similarity`, the rank correlation with the base."""
        found = {question.name: float(question.right(encode).mean()) for question in self.questions}
        similarity = similarity_kept(self.before, encode(self.texts))
        return {**found, "binding": float(np.mean(list(found.values()))), "similarity": similarity}


def _validation_naming(
    parts: Parts, some: IntArray, within: IntArray, among: IntArray, seed: int, count: int
) -> Naming | None:
    pairs, swapped = _distinct_pairs(parts.words, some, count, stream(seed, "finetune suite", 5), within, among)
    if len(pairs) < FEWEST:
        return None
    known = np.unique(np.concatenate([pairs, swapped]))
    table = SceneTable.build(parts.words.space, parts.words.space.object_values(pairs), candidates=known)
    texts = tuple(fill("{A} and {B}", [parts.words.named(i) for i in pair]) for pair in pairs.tolist())
    return Naming("naming_validation", texts, _queries(parts, table), table, {"side": "validation"})
