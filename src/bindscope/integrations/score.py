"""How well a model binds, by a few hundred captions: a plain function for any loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.concepts import ConceptSpace, IntArray
from bindscope.errors import InputError, VectorsError
from bindscope.finetune.captions import draw_pairs
from bindscope.finetune.phrases import fill
from bindscope.finetune.questions import Choice, Naming, swaps
from bindscope.finetune.vocabulary import Words, load_words
from bindscope.scenes import SceneTable
from bindscope.streams import stream
from bindscope.uncertainty import ObjectBootstrap

Vocabulary = str | Path | Mapping[str, Sequence[str]]
EncodeText = Callable[[list[str]], Any]
FEWEST = 4


@dataclass(frozen=True)
class BindingScore:
    """Figures of one call, all in 0..1.

    preference: share of ambiguous scenes that prefer their own objects to those with values exchanged (a bag of words: its
    chance, 0.5 for two objects), with its 95 % interval. objects: scenes whose objects come before all others, by the
    definition, with the ceiling of any bag. swaps, swaps_own_wording: paraphrase nearer than one value exchanged, said in
    another wording or in the same.
    """

    preference: float
    preference_low: float
    preference_high: float
    chance: float
    objects: float
    objects_ceiling: float
    swaps: float
    swaps_own_wording: float
    n_scenes: int

    def as_dict(self, prefix: str = "binding_") -> dict[str, float]:
        """Figures by name.

        >>> score = BindingScore(0.5, 0.4, 0.6, 0.5, 0.0, 0.5, 0.4, 0.0, 200)
        >>> score.as_dict("dev_")["dev_preference"]
        0.5
        """
        return {prefix + name: float(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, eq=False)
class Probe:
    """The captions of `binding_score`, made once and asked as often as one likes."""

    naming: Naming
    swaps: Choice
    hardest: Choice
    seed: int = 0

    @classmethod
    def of(
        cls, vocabulary: Vocabulary = "text:10x10", scene: str | None = None, scenes: int = 200, seed: int = 0
    ) -> Probe:
        """Captions of a vocabulary: the name of a text data set, a YAML file of one, or a mapping concept -> values.

        scene: own wording of two objects with `{A}` and `{B}` (articles are put in), else that of the data. scenes: how many.
        """
        words = _words(vocabulary, scene)
        rng = stream(seed, "finetune suite", 6)
        pairs, swapped = draw_pairs(words.space, words.objects, scenes, rng)
        closed = swapped[:, 0] >= 0
        if closed.sum() < FEWEST:
            raise InputError(
                "the vocabulary has no two objects that differ in two concepts; give more values a concept"
            )
        both = _whole_bags(pairs[closed], swapped[closed], scenes)
        values = words.space.object_values(_either_order(both, rng))
        table = SceneTable.build(words.space, values, candidates=np.unique(both))
        half = scenes // 2
        return cls(_naming(words, table), _swaps(words, False, half, seed), _swaps(words, True, half, seed), seed)

    def ask(self, encode_text: EncodeText, encode_queries: EncodeText | None = None) -> BindingScore:
        """The figures of a model."""
        encode = _checked(encode_text, encode_queries or encode_text)
        preference, ambiguous = self.naming.preference(encode)
        bounds = ObjectBootstrap.of(self.naming.table, self.seed).mean(preference, ambiguous)
        return BindingScore(
            preference=float(preference[ambiguous].mean()),
            preference_low=bounds.low,
            preference_high=bounds.high,
            chance=0.5,
            objects=float(self.naming.right(encode).mean()),
            objects_ceiling=self.naming.ceiling,
            swaps=float(self.swaps.right(encode).mean()),
            swaps_own_wording=float(self.hardest.right(encode).mean()),
            n_scenes=int(ambiguous.sum()),
        )


def binding_score(
    encode_text: EncodeText,
    encode_queries: EncodeText | None = None,
    vocabulary: Vocabulary = "text:10x10",
    scene: str | None = None,
    scenes: int = 200,
    seed: int = 0,
) -> BindingScore:
    """How well a model binds, on a few hundred captions.

    encode_text: list of texts -> vectors `[n, d]` (arrays, or tensors on any device), of scenes; encode_queries: of queries
    (None: the same). vocabulary: `text:10x10`, `text:FILE.yaml`, `built-in`, or a mapping of concepts to values, at least two.
    scene: own wording with `{A}` and `{B}`.

    >>> import hashlib
    >>> def bag(texts):  # a random vector a word, added up
    ...     axis = lambda word: np.random.default_rng(list(hashlib.sha256(word.encode()).digest())).normal(size=64)
    ...     return np.stack([np.sum([axis(word) for word in text.split()], axis=0) for text in texts])
    >>> score = binding_score(bag, vocabulary={"color": ["red", "blue", "green"], "shape": ["cube", "ball", "cone"]})
    >>> score.preference  # a bag of words is at chance
    0.5
    """
    return Probe.of(vocabulary, scene, scenes, seed).ask(encode_text, encode_queries)


def _words(vocabulary: Vocabulary, scene: str | None) -> Words:
    if isinstance(vocabulary, Mapping):
        space = ConceptSpace.of(list(vocabulary.items()))
        if space.n_concepts < 2:
            raise InputError(f"a vocabulary needs at least two concepts to bind, got {', '.join(space.names)}")
        words = Words("own words", space, np.arange(space.n_objects))
    else:
        name = str(vocabulary)
        words = load_words(
            f"text:{name}" if name.endswith((".yaml", ".yml")) and not name.startswith("text:") else name
        )
    if scene is None:
        return words
    if "{A}" not in scene or "{B}" not in scene:
        raise InputError(f"scene must hold {{A}} and {{B}}, where the two objects stand, got {scene!r}")
    return Words(words.name, words.space, words.objects, words.phrase, (scene,))


def _whole_bags(pairs: IntArray, swapped: IntArray, count: int) -> IntArray:
    """At most `count` pairs `[n, 2]`, each beside the one with a value exchanged, none twice."""
    two = np.stack([np.sort(pairs, axis=1), np.sort(swapped, axis=1)], axis=1)
    ordered = [tuple(sorted(map(tuple, one))) for one in two.tolist()]
    kept = list(dict.fromkeys(ordered))[: max(count // 2, 1)]
    return np.unique(np.array(kept, dtype=np.int64).reshape(-1, 2), axis=0)


def _either_order(pairs: IntArray, rng: np.random.Generator) -> IntArray:
    return np.where(rng.random(len(pairs))[:, None] < 0.5, pairs, pairs[:, ::-1])


def _naming(words: Words, table: SceneTable) -> Naming:
    things = [[words.named(i) for i in pair] for pair in table.object_ids.tolist()]
    frame = words.frames[0] if words.frames else "{A} and {B}"
    queries = tuple(words.named(i).said() for i in table.candidates.tolist())
    return Naming("binding_score", tuple(fill(frame, two) for two in things), queries, table)


def _swaps(words: Words, own: bool, count: int, seed: int) -> Choice:
    found = swaps(words, words.objects, "all", own, seed, count)
    assert found is not None  # one pair with a swap makes eight of them: two orders, two concepts, and back
    return found


def _checked(encode_text: EncodeText, encode_queries: EncodeText) -> Any:
    """Both as one function that gives unit vectors; raises VectorsError where they are not one row a text."""

    def encode(texts: Sequence[str], query: bool = False) -> Any:
        found = (encode_queries if query else encode_text)(list(texts))
        if hasattr(found, "detach"):
            found = found.detach().float().cpu().numpy()
        array = np.asarray(found, dtype=np.float32)
        if array.ndim != 2 or len(array) != len(texts) or not np.isfinite(array).all():
            raise VectorsError(f"expected finite vectors of shape [{len(texts)}, d], got {list(array.shape)}")
        length = np.linalg.norm(array, axis=1, keepdims=True)
        return array / np.where(length > 0, length, 1.0)

    return encode
