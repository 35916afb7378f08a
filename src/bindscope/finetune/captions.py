"""Training captions: an anchor, a paraphrase, and hard negatives that name the same words with another meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bindscope.concepts import ConceptSpace, IntArray
from bindscope.finetune.frames import APART, HELD_OUT, HELD_OUT_SETS, RELATIONS, SETS
from bindscope.finetune.phrases import Thing, fill
from bindscope.finetune.vocabulary import Parts
from bindscope.finetune.words import PLACES
from bindscope.streams import stream

QUERIES = ("{A}", "{A}", "{A}", "there is {A}", "a photo of {A}", "{the A}")
SWAPPED, REPLACED, PLAIN = "swapped", "replaced", "plain"


@dataclass(frozen=True)
class Recipe:
    """What training captions are made of; shares in 0..1.

    relations: share of captions whose wording marks the order of the objects; bare: of those without attributes. apart:
    share of the others in which attributes stand apart from their nouns. own_wording: share of the swapped negatives in the
    wording of their anchor. replaced: share of captions with a negative of another relation. places: share with a place.
    wordings: how many set wordings are used (None: all); queries: whether objects are asked for.
    """

    relations: float = 0.5
    bare: float = 0.5
    apart: float = 0.3
    own_wording: float = 0.8
    replaced: float = 0.5
    places: float = 0.4
    wordings: int | None = None
    queries: bool = True


@dataclass(frozen=True)
class Example:
    """One anchor. objects: the ids that its object queries ask for (shown ones, then swapped ones); none for bare nouns."""

    anchor: str
    positive: str
    negatives: tuple[str, ...]
    shown: tuple[int, ...] = ()
    swapped: tuple[int, ...] = ()


@dataclass(frozen=True)
class Batch:
    """Texts of one step. queries: object id -> its query."""

    examples: tuple[Example, ...]
    queries: dict[int, str]


class Sampler:
    """Batches by step: the same seed and step give the same captions, whatever was drawn before."""

    def __init__(self, parts: Parts, recipe: Recipe, batch_size: int, seed: int) -> None:
        self.parts, self.recipe, self.batch_size, self.seed = parts, recipe, batch_size, seed
        self.ids = parts.ids(parts.train)
        own = parts.words.frames
        sets = [*own, *(frame for frame in SETS if frame not in HELD_OUT_SETS)]
        self.sets = tuple(sets[: recipe.wordings])
        self.relations = tuple(relation for relation in RELATIONS if relation.name not in HELD_OUT)

    def batch(self, step: int) -> Batch:
        """The captions and queries of a step."""
        rng = stream(self.seed, "finetune batch", step)
        pairs = draw_pairs(self.parts.words.space, self.ids, self.batch_size, rng)
        examples = tuple(self._example(pair, swapped, rng) for pair, swapped in zip(*pairs, strict=True))
        asked = sorted({i for example in examples for i in (*example.shown, *example.swapped)})
        queries = {i: fill(_one(QUERIES, rng), [self.parts.words.named(i)]) for i in asked}
        return Batch(examples, queries)

    def captions(self, count: int) -> tuple[str, ...]:
        """Captions of training objects as anchors are worded, apart from those of the steps."""
        rng = stream(self.seed, "finetune batch", 0, 2)
        pairs = draw_pairs(self.parts.words.space, self.ids, count, rng)
        return tuple(self._example(pair, swapped, rng).anchor for pair, swapped in zip(*pairs, strict=True))

    def _example(self, pair: IntArray, swapped: IntArray, rng: np.random.Generator) -> Example:
        """An example of two objects, ids `[2]`; swapped `[2]`: the two with one value exchanged, -1 where there are none."""
        things = [self.parts.words.named(int(i)) for i in pair]
        other = [self.parts.words.named(int(i)) for i in swapped] if swapped[0] >= 0 else None
        asked = (tuple(pair.tolist()), tuple(swapped[swapped >= 0].tolist())) if self.recipe.queries else ((), ())
        place = Place.drawn(self.recipe.places, rng)
        if rng.random() >= self.recipe.relations:
            return self._of_set(things, other, asked, place, rng)
        if self.parts.words.plain and rng.random() < self.recipe.bare and things[0].noun != things[1].noun:
            return self._of_relation([Thing(thing.noun) for thing in things], None, ((), ()), place, rng)
        return self._of_relation(things, other, asked, place, rng)

    def _of_set(
        self,
        things: list[Thing],
        other: list[Thing] | None,
        asked: tuple[tuple[int, ...], tuple[int, ...]],
        place: Place,
        rng: np.random.Generator,
    ) -> Example:
        """Exchanging the objects says the same; exchanging a value does not."""
        frames = APART if self.parts.words.plain and rng.random() < self.recipe.apart else self.sets
        first = _one(frames, rng)
        second = _one([frame for frame in (*self.sets, *APART[:1]) if frame != first] or self.sets, rng)
        if not self.parts.words.plain and second in APART:
            second = first
        anchor = place.put(fill(first, things))
        positive = place.moved(rng).put(fill(second, _either_order(things, rng)))
        negatives = []
        if other is not None:
            own = rng.random() < self.recipe.own_wording
            negatives = [place.put(fill(first if own else second, _either_order(other, rng)))]
        return Example(anchor, positive, tuple(negatives), *asked)

    def _of_relation(
        self,
        things: list[Thing],
        other: list[Thing] | None,
        asked: tuple[tuple[int, ...], tuple[int, ...]],
        place: Place,
        rng: np.random.Generator,
    ) -> Example:
        """Exchanging the roles says something else; the paraphrase keeps them."""
        relation = self.relations[rng.integers(len(self.relations))]
        first, second = (relation.frames[i] for i in rng.choice(len(relation.frames), 2, replace=False))
        anchor, positive = place.put(fill(first, things)), place.moved(rng).put(fill(second, things))
        wording = first if rng.random() < self.recipe.own_wording else second
        negatives = [place.put(fill(wording, things[::-1]))]
        if other is not None:
            negatives.append(place.put(fill(first, other)))
        if rng.random() < self.recipe.replaced:
            others = [one for one in self.relations if one.name != relation.name]
            another = others[int(rng.integers(len(others)))]
            negatives.append(place.put(fill(_one(another.frames, rng), things)))
        return Example(anchor, positive, tuple(negatives), *asked)


@dataclass(frozen=True)
class Place:
    """Where a scene is, said before or behind it (empty: not said), and how the sentence is written."""

    text: str = ""
    before: bool = False
    sentence: bool = False

    @classmethod
    def drawn(cls, share: float, rng: np.random.Generator) -> Place:
        """A place for a share of the captions."""
        text = _one(PLACES, rng) if rng.random() < share else ""
        return cls(text, bool(rng.random() < 0.3), bool(rng.random() < 0.3))

    def moved(self, rng: np.random.Generator) -> Place:
        """The same place, said elsewhere or not."""
        return Place(self.text, bool(rng.random() < 0.3), bool(rng.random() < 0.3))

    def put(self, caption: str) -> str:
        """The caption with the place."""
        said = caption if not self.text else f"{self.text}, {caption}" if self.before else f"{caption} {self.text}"
        return said[:1].upper() + said[1:] + "." if self.sentence else said


def draw_pairs(
    space: ConceptSpace, ids: IntArray, count: int, rng: np.random.Generator, within: IntArray | None = None
) -> tuple[IntArray, IntArray]:
    """Pairs of objects `ids` that differ in every concept, and the same with one value exchanged: ids `[n, 2]` each.

    The exchanged objects are among `within` (None: among `ids`), so that no negative of training shows a held-out object;
    where too few such pairs turn up in many draws, the last ones have no exchanged objects (-1).
    """
    known = np.zeros(space.n_objects, dtype=bool)
    known[ids if within is None else within] = True
    pairs, swaps = np.zeros((0, 2), dtype=np.int64), np.zeros((0, 2), dtype=np.int64)
    drawn = pairs
    for _ in range(60 if len(ids) > 1 else 0):
        drawn = rng.choice(ids, (16 * count, 2))
        values = space.object_values(drawn)
        other = space.object_ids(_exchanged(values, rng.integers(space.n_concepts, size=len(drawn))))
        good = (values[:, 0] != values[:, 1]).all(axis=1) & known[other].all(axis=1)
        pairs, swaps = np.concatenate([pairs, drawn[good]]), np.concatenate([swaps, other[good]])
        if len(pairs) >= count:
            return pairs[:count], swaps[:count]
    apart = drawn[drawn[:, 0] != drawn[:, 1]][: count - len(pairs)]
    return np.concatenate([pairs, apart]), np.concatenate([swaps, np.full_like(apart, -1)])


def _exchanged(values: IntArray, concept: IntArray) -> IntArray:
    """Values `[n, 2, C]` with one concept a row exchanged between the two objects."""
    swapped, rows = values.copy(), np.arange(len(values))
    swapped[rows, :, concept] = values[rows, ::-1, concept]
    return swapped


def _either_order(things: list[Thing], rng: np.random.Generator) -> list[Thing]:
    return things[::-1] if rng.random() < 0.5 else things


def _one(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
