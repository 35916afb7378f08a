"""What a model is tuned on: concepts in words, with objects, values, relations and wordings that training never shows."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from bindscope.concepts import ConceptSpace, IntArray
from bindscope.datasets import load_dataset
from bindscope.errors import InputError
from bindscope.finetune.phrases import Thing
from bindscope.finetune.words import adjectives, nouns
from bindscope.scenes import BoolArray, SceneTable
from bindscope.splits import split_objects, validation_objects
from bindscope.streams import stream

BUILT_IN = "built-in"


@dataclass(frozen=True, eq=False)
class Words:
    """Concepts in words. phrase: an object with `{concept}` in braces, None where it is the values joined by blanks.

    objects `[O]`: sorted ids of the objects that occur. frames: wordings of the data set itself, with {A} and {B}.
    """

    name: str
    space: ConceptSpace
    objects: IntArray
    phrase: str | None = None
    frames: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether an object is its attributes before a noun, so that both can stand apart."""
        return self.phrase is None and self.space.n_concepts > 1

    def thing(self, values: IntArray) -> Thing:
        """An object, by its value indices `[C]`, in words."""
        said = [concept.values[i] for concept, i in zip(self.space.concepts, values.tolist(), strict=True)]
        if self.phrase is None:
            return Thing(said[-1], " ".join(said[:-1]))
        lookup = dict(zip(self.space.names, said, strict=True))
        return Thing(re.sub(r"\{([^{}]*)\}", lambda match: lookup[match[1]], self.phrase))

    def named(self, object_id: int) -> Thing:
        """The object of an id in words."""
        return self.thing(self.space.object_values(np.array([object_id]))[0])


def load_words(name: str | None) -> Words:
    """The built-in words (None, `built-in`, or `built-in:AxB` for the first A adjectives and B nouns), or a text data set's.

    Raises InputError for data without words, with one concept, or with scenes of other than two objects.
    """
    if name is None or name.partition(":")[0] == BUILT_IN:
        return _built_in(name or BUILT_IN)
    dataset = load_dataset(name)
    if dataset.modality != "text":
        raise InputError(f"finetune needs text data such as text:20x20 or text:FILE.yaml, got {name}")
    table, wording = dataset.table, dataset.wording
    if table.space.n_concepts < 2:
        raise InputError(f"{name} has one concept; objects of at least two concepts are needed to bind anything")
    plain = " ".join(f"{{{concept}}}" for concept in table.space.names)
    phrase = wording.phrase if wording is not None and wording.phrase not in ("", plain) else None
    patterns = wording.patterns if wording is not None else ()
    frames = [
        re.sub(r"\b[Aa]n? \{object\}", "{object}", pattern) for pattern in patterns if pattern.count("{object}") == 2
    ]
    lettered = tuple(frame.replace("{object}", "{A}", 1).replace("{object}", "{B}", 1) for frame in frames)
    return Words(name, table.space, np.asarray(table.candidates), phrase, lettered)


def _built_in(name: str) -> Words:
    words = [adjectives(), nouns()]
    numbers = name.partition(":")[2].split("x") if ":" in name else [str(len(some)) for some in words]
    counts = [int(number) for number in numbers if number.isascii() and number.isdigit()]
    if (
        len(numbers) != 2
        or len(counts) != 2
        or not all(1 <= n <= len(some) for n, some in zip(counts, words, strict=True))
    ):
        most = "x".join(str(len(some)) for some in words)
        raise InputError(f"built-in words are asked for as built-in or built-in:AxB, at most {most}, got {name!r}")
    cut = [some[:count] for some, count in zip(words, counts, strict=True)]
    space = ConceptSpace.of([("adjective", cut[0]), ("noun", cut[1])])
    return Words(name, space, np.arange(space.n_objects))


@dataclass(frozen=True, eq=False)
class Parts:
    """Which objects of some words train, choose, and test.

    table: one-object scenes of all objects without a held-out value, in order. train, validation, test `[O]`: masks over
    its rows. unseen `[U]`: ids of the objects of which every value is held out. held_out: the held-out values of each
    concept, as indices.
    """

    words: Words
    table: SceneTable
    train: BoolArray
    validation: BoolArray
    unseen: IntArray
    held_out: tuple[tuple[int, ...], ...]
    coverage: float
    identified: bool

    @property
    def test(self) -> BoolArray:
        """Held-out objects `[O]`, of values that training shows."""
        return ~(self.train | self.validation)

    def ids(self, mask: BoolArray) -> IntArray:
        """Ids of the objects of a mask."""
        return np.asarray(self.table.candidates[mask])

    def words_held_out(self) -> tuple[str, ...]:
        """The values that training never shows."""
        concepts = self.words.space.concepts
        return tuple(concepts[k].values[i] for k, some in enumerate(self.held_out) for i in some)


def divide(words: Words, coverage: float = 0.5, held_out_values: float = 0.15, seed: int = 0) -> Parts:
    """Hold out values first, then objects at a coverage (connected, as everywhere), then validation objects of the rest."""
    if not 0.0 <= held_out_values < 1.0:
        raise InputError(f"the share of held-out values must be at least 0 and below 1, got {held_out_values}")
    rng = stream(seed, "finetune words")
    held = tuple(_drawn_values(concept.size, held_out_values, rng) for concept in words.space.concepts)
    values = words.space.object_values(words.objects)
    held_out_value = np.stack([np.isin(values[:, k], some) for k, some in enumerate(held)], axis=1)
    known = ~held_out_value.any(axis=1)
    if known.sum() < 4:
        raise InputError(f"{words.name}: {int(known.sum())} objects are left to train and hold out; give more values")
    table = SceneTable.build(words.space, values[known][:, None, :], candidates=words.objects[known])
    split = split_objects(table, coverage, seed)
    chosen = validation_objects(table, split, seed=seed)
    unseen = words.objects[held_out_value.all(axis=1)]
    return Parts(words, table, split.train & ~chosen, chosen, unseen, held, split.coverage, split.identified)


def _drawn_values(count: int, share: float, rng: np.random.Generator) -> tuple[int, ...]:
    """Held-out values: at least two where any are asked for and four stay, so that two objects can differ in them."""
    number = max(round(share * count), 2) if share and count >= 6 else 0
    return tuple(sorted(rng.choice(count, number, replace=False).tolist()))
