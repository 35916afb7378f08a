"""Training batches: pictures, captions, and which caption is right, wrong or neither for which picture.

Batch number t depends on the recipe and t alone, so training can stop and go on anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import ABSENT, ConceptSpace, IntArray
from bindscope.datasets.captions import LEADS, OTHER
from bindscope.datasets.images.flat import FlatPictures
from bindscope.encoders.embedded.recipe import COLORS, HELD_OUT, SHAPES, Recipe
from bindscope.scenes import BoolArray, FloatArray
from bindscope.streams import stream

SPACE = ConceptSpace.of([("color", COLORS), ("shape", SHAPES)])
JITTERS = (0.0, 0.5, 1.0)


def training_objects() -> IntArray:
    """Ids of the objects that training shows."""
    held_out = {SPACE.concepts[0].index(c) * len(SHAPES) + SPACE.concepts[1].index(s) for c, s in HELD_OUT}
    return np.array([i for i in range(SPACE.n_objects) if i not in held_out])


@dataclass(frozen=True, eq=False)
class Pool:
    """All pictures of training: of scenes `[n, 2]` (object ids, -1 absent) in several drawings."""

    scenes: IntArray
    pixels: NDArray[np.uint8]

    @cached_property
    def swappable(self) -> BoolArray:
        """Whether exchanging the colours gives two other training objects, `[n]`."""
        values = SPACE.object_values(self.scenes)
        both = (self.scenes != ABSENT).all(axis=1) & (values[:, 0] != values[:, 1]).all(axis=1)
        values[:, :, 0] = values[:, ::-1, 0]
        return np.asarray(both & np.isin(SPACE.object_ids(values), training_objects()).all(axis=1))

    @classmethod
    def draw(cls, recipe: Recipe) -> Pool:
        """Ordered pairs of training objects, the same object twice too, and single ones; a drawing in three is plain."""
        known = training_objects()
        pairs = np.stack(np.meshgrid(known, known, indexing="ij"), axis=-1).reshape(-1, 2)
        alone = np.stack([known, np.full(len(known), ABSENT)], axis=1)
        scenes, pixels = [], []
        for copy in range(recipe.replicates):
            jitter = JITTERS[copy % len(JITTERS)]
            some = np.concatenate([pairs, alone] if copy % 2 else [pairs, alone, alone])
            large = copy % 4 == 3  # as those that were drawn larger and made smaller
            painter = FlatPictures(
                SPACE, size=recipe.size * (2 if large else 1), jitter=jitter, seed=recipe.render_seed + copy
            )
            drawn = painter.draw(SPACE.object_values(some), np.full(len(some), copy))
            scenes.append(some)
            pixels.append(halved(drawn) if large else drawn)
        return cls(np.concatenate(scenes), np.concatenate(pixels))


def halved(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures of half the side: means of two by two pixels."""
    n, side, _, depth = pixels.shape
    blocks = pixels.reshape(n, side // 2, 2, side // 2, 2, depth).mean(axis=(2, 4))
    return np.asarray(np.rint(blocks), dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class Batch:
    """pixels `[b, s, s, 3]`; captions: b of their own, then swapped ones.

    right `[b, u]`: each picture's own caption; asked `[b, u]`: what competes; rivals `[b, u]`: wrong captions of the same
    values (none where no batch may hold them). query_right: for each list of queries targets
    `[b, v]`, and objects `[b, O]`, of training: rows sum to 1.
    """

    pixels: NDArray[np.uint8]
    captions: list[str]
    right: BoolArray
    asked: BoolArray
    rivals: BoolArray
    queries: list[list[str]]
    query_right: list[FloatArray]
    objects: FloatArray


def batch(pool: Pool, recipe: Recipe, step: int) -> Batch:
    """Batch number `step`."""
    rng = stream(recipe.seed, "embedded batches", step)
    rows = _drawn(pool, recipe, rng)
    scenes = pool.scenes[rows]
    named = _named(scenes, recipe.partial, rng)
    swapped = _swapped(scenes) if recipe.swaps else np.zeros((0, 2), dtype=np.int64)
    stated = np.concatenate([named, swapped])
    right = consistent(scenes, stated)
    alike = bag_consistent(scenes, stated) & ~right
    asked = np.ones_like(right) if recipe.swaps else ~alike
    own = np.arange(recipe.batch)
    right_own = np.zeros_like(right)
    right_own[own, own] = True
    asked &= ~right | right_own  # another right caption is no competitor
    captions = [said(one, rng) for one in stated]
    queries, query_right = _queries(scenes, recipe, rng)
    objects = _shares(scenes, SPACE.n_objects)[:, training_objects()]
    return Batch(pool.pixels[rows], captions, right_own, asked, alike & asked, queries, query_right, objects)


def _drawn(pool: Pool, recipe: Recipe, rng: np.random.Generator) -> IntArray:
    """Pictures of a batch: a share of them of scenes that have a value swap in training."""
    count = round(recipe.swappable * recipe.batch)
    first = rng.choice(np.flatnonzero(pool.swappable), count, replace=False) if count else np.zeros(0, dtype=np.int64)
    return np.concatenate([first, rng.choice(len(pool.scenes), recipe.batch - count, replace=False)])


def _named(scenes: IntArray, partial: float, rng: np.random.Generator) -> IntArray:
    """What each caption names, `[b, 2]`: both objects in random order, or one of them."""
    named = scenes.copy()
    flip = rng.random(len(named)) < 0.5
    named[flip] = named[flip, ::-1]
    one = rng.random(len(named)) < partial
    named[one, 1] = np.where(named[one, 0] == ABSENT, named[one, 1], ABSENT)
    return named


def _swapped(scenes: IntArray) -> IntArray:
    """Captions with exchanged values, where that makes a difference, in both orders `[q, 2]`.

    Those that would name a held-out object are left out: no tower may learn that such objects are never there.
    """
    both = scenes[(scenes != ABSENT).all(axis=1)]
    values = SPACE.object_values(both)
    differ = (values[:, 0] != values[:, 1]).all(axis=1)
    values = values[differ]
    values[:, :, 0] = values[:, ::-1, 0]
    swapped = SPACE.object_ids(values)
    swapped[1::2] = swapped[1::2, ::-1]
    return swapped[np.isin(swapped, training_objects()).all(axis=1)]


def consistent(scenes: IntArray, stated: IntArray) -> BoolArray:
    """Whether caption j names only what scene i shows, `[b, u]` (counting objects shown twice)."""
    return _within(scenes[:, :, None], stated[:, :, None])


def bag_consistent(scenes: IntArray, stated: IntArray) -> BoolArray:
    """Whether the values that caption j names all occur in scene i: a bag cannot tell them apart, `[b, u]`."""
    return _within(SPACE.object_values(scenes), SPACE.object_values(stated))


def _within(have: IntArray, want: IntArray) -> BoolArray:
    """For each concept, the multiset `want` `[u, 2, C]` lies within `have` `[b, 2, C]`; -1 asks for nothing."""
    fits = np.ones((len(have), len(want)), dtype=bool)
    for k in range(have.shape[2]):
        h, w = have[:, None, :, k], want[None, :, :, k]
        straight = ((w == h) | (w == ABSENT)).all(axis=2)
        crossed = ((w == h[:, :, ::-1]) | (w == ABSENT)).all(axis=2)
        fits &= straight | crossed
    return fits


def said(objects: IntArray, rng: np.random.Generator) -> str:
    """A caption of one or two objects in one of many wordings."""
    names = ["a " + SPACE.object_name(int(i)) for i in objects if i != ABSENT]
    number = int(rng.integers(len(LEADS) + len(OTHER)))
    if number < len(LEADS):
        return LEADS[number] + " and ".join(names)
    lead, joined = OTHER[number - len(LEADS)]
    return lead + joined.join(names)


def _queries(scenes: IntArray, recipe: Recipe, rng: np.random.Generator) -> tuple[list[list[str]], list[FloatArray]]:
    """Questions for values, and for training objects if the recipe asks; targets: what is there, in equal shares."""
    values = SPACE.object_values(scenes)
    lead = LEADS[int(rng.integers(3))]
    texts = [[lead + word for word in concept.values] for concept in SPACE.concepts]
    targets = [_shares(values[:, :, k], concept.size) for k, concept in enumerate(SPACE.concepts)]
    if recipe.queries == "objects":
        known = training_objects()
        texts.append([lead + "a " + SPACE.object_name(int(i)) for i in known])
        targets.append(_shares(scenes, SPACE.n_objects)[:, known])
    return texts, targets


def _shares(codes: IntArray, size: int) -> FloatArray:
    here = np.zeros((len(codes), size + 1))
    here[np.arange(len(codes))[:, None], codes] = 1.0
    here = here[:, :size]
    return np.asarray(here / here.sum(axis=1, keepdims=True))
