"""The small dual encoders: batches by brute force, training that resumes, and what the shipped ones must reach."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bindscope.concepts import ABSENT
from bindscope.datasets import load_dataset
from bindscope.encoders import load_encoder
from bindscope.encoders.embedded.batches import (
    SPACE,
    Pool,
    bag_consistent,
    batch,
    consistent,
    halved,
    training_objects,
)
from bindscope.encoders.embedded.recipe import HELD_OUT, OTHER, PAD, RECIPES, Recipe, recipe_of, tokens
from bindscope.errors import InputError, StoreError, UnknownNameError
from bindscope.runs.diagnose import diagnose
from bindscope.scenes import SceneTable

TINY = replace(RECIPES["bag"], steps=4, batch=12, replicates=1, channels=(8, 8, 8, 8), width=16, heads=2, dim=8)


def names(objects: list[int]) -> Counter[int]:
    return Counter(i for i in objects if i != ABSENT)


def test_consistency_is_that_of_multisets() -> None:
    rng = np.random.default_rng(0)
    scenes = rng.integers(-1, 8, size=(30, 2))
    scenes[(scenes == ABSENT).all(axis=1)] = 1
    told = rng.integers(-1, 8, size=(25, 2))
    fits, bags = consistent(scenes, told), bag_consistent(scenes, told)
    for i, scene in enumerate(scenes.tolist()):
        for j, caption in enumerate(told.tolist()):
            assert fits[i, j] == (names(caption) <= names(scene))
            for_each = [
                Counter(int(SPACE.object_values(o)[k]) for o in caption if o != ABSENT)
                <= Counter(int(SPACE.object_values(o)[k]) for o in scene if o != ABSENT)
                for k in range(2)
            ]
            assert bags[i, j] == all(for_each)


def test_no_batch_of_the_bag_asks_what_a_bag_cannot_tell() -> None:
    recipe = replace(RECIPES["bag"], replicates=1, batch=64)
    pool = Pool.draw(recipe)
    one = batch(pool, recipe, 3)
    rows = np.random.default_rng([recipe.seed, 7, 3]).choice(len(pool.scenes), 64, replace=False)
    scenes = pool.scenes[rows]
    np.testing.assert_array_equal(one.pixels, pool.pixels[rows])
    assert one.right.sum() == 64
    for i in range(64):
        for j in range(64):
            words = {w for w in one.captions[j].split() if w in SPACE.concepts[0].values + SPACE.concepts[1].values}
            shown = {w for o in scenes[i] if o != ABSENT for w in SPACE.object_name(int(o)).split()}
            if i != j and one.asked[i, j]:
                assert not words <= shown or len(words) < 4  # a value that is asked for twice may be there once
            assert one.asked[i, i]


def test_batches_of_bound_hold_swapped_captions() -> None:
    recipe = replace(RECIPES["bound"], replicates=1, batch=32)
    one = batch(Pool.draw(recipe), recipe, 0)
    assert len(one.captions) > 32
    assert not one.right[:, 32:].any()
    assert len(one.queries) == 3
    for target in (*one.query_right, one.objects):
        np.testing.assert_allclose(target.sum(axis=1), 1.0)


def test_training_shows_no_held_out_object_and_every_value() -> None:
    known = training_objects()
    held_out = {f"{color} {shape}" for color, shape in HELD_OUT}
    shown = {SPACE.object_name(int(i)) for i in known}
    assert len(held_out) >= 8
    assert not shown & held_out
    values = SPACE.object_values(known)
    assert [len(np.unique(column)) for column in values.T] == list(SPACE.sizes)
    recipe = replace(TINY, batch=64)
    pool = Pool.draw(recipe)
    assert set(np.unique(pool.scenes)) <= {ABSENT, *known.tolist()}
    for one in RECIPES.values():
        made = batch(pool, replace(one, batch=64, replicates=1), 1)
        told = " / ".join([*made.captions, *(text for texts in made.queries for text in texts)])
        assert not any(words in told for words in held_out)


def test_closed_swapped_pairs_exist() -> None:
    ids = np.array([SPACE.object_ids([SPACE.concepts[0].index(c), SPACE.concepts[1].index(s)]) for c, s in HELD_OUT])
    pairs = np.array([(a, b) for a in ids for b in ids if a != b])
    from bindscope.swaps import value_swaps

    swaps = value_swaps(SceneTable.build(SPACE, SPACE.object_values(pairs)))
    closed = np.isin(SPACE.object_ids(swaps.values), ids).all(axis=1)
    assert closed.sum() >= 16


def test_smaller_pictures_are_means() -> None:
    pixels = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    small = halved(pixels)
    assert small.shape == (2, 2, 2, 3)
    assert small[0, 0, 0, 0] == np.rint(pixels[0, :2, :2, 0].mean())


def test_words_become_numbers() -> None:
    found = tokens(["red circle", "a RED zebra, b"])
    assert found.shape == (2, 5)
    assert found[0, 2] == PAD
    assert found[1, 2] == OTHER
    assert found[0, 0] == found[1, 1]


def test_recipes_are_read_back_and_refused() -> None:
    assert Recipe.from_json(TINY.to_json()) == TINY
    with pytest.raises(UnknownNameError, match="did you mean bound"):
        recipe_of("bond")
    with pytest.raises(InputError, match="at least one step"):
        recipe_of("bag", steps=0)


def test_training_is_deterministic_and_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from bindscope.encoders.embedded import training

    monkeypatch.setattr(training, "EVERY", 2)
    training.train(TINY, tmp_path / "once")
    training.train(TINY, tmp_path / "twice")
    first = (tmp_path / "once" / "weights.safetensors").read_bytes()
    assert (tmp_path / "twice" / "weights.safetensors").read_bytes() == first

    class Stop(Exception):
        pass

    def stop(step: int, loss: float) -> None:
        if step == 3:
            raise Stop

    with pytest.raises(Stop):
        training.train(TINY, tmp_path / "stopped", progress=stop)
    steps: list[int] = []
    training.train(TINY, tmp_path / "stopped", resume=True, progress=lambda step, loss: steps.append(step))
    assert steps == [3, 4]
    assert (tmp_path / "stopped" / "weights.safetensors").read_bytes() == first
    again: list[int] = []
    other = replace(TINY, seed=2)
    training.train(other, tmp_path / "stopped", resume=True, progress=lambda step, loss: again.append(step))
    assert again == [1, 2, 3, 4]  # another recipe starts anew


def test_a_trained_directory_is_an_encoder_and_bad_ones_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from bindscope.encoders.embedded import training

    training.train(TINY, tmp_path / "tiny")
    encoder = load_encoder(f"embedded:{tmp_path / 'tiny'}")
    dataset = load_dataset("text:2x2")
    assert encoder.encode(dataset.items).shape == (12, 8)
    with pytest.raises(UnknownNameError, match="did you mean bound"):
        load_encoder("embedded:bond")
    with pytest.raises(InputError, match="runs on the CPU only"):
        load_encoder(f"embedded:{tmp_path / 'tiny'}", device="cuda")
    (tmp_path / "tiny" / "weights.safetensors").write_bytes(b"short")
    with pytest.raises(StoreError, match="train it again"):
        load_encoder(f"embedded:{tmp_path / 'tiny'}")


@pytest.mark.parametrize("name", RECIPES)
def test_shipped_files_are_small_and_whole(name: str) -> None:
    pytest.importorskip("torch")
    encoder = load_encoder(f"embedded:{name}")
    fidelity = encoder.fidelity()
    place = Path(__file__).parents[2] / "src" / "bindscope" / "encoders" / "embedded" / name
    assert (place / "weights.safetensors").stat().st_size < 5 * 10**6
    assert Recipe.from_json(fidelity["recipe"]) == RECIPES[name]  # the recipe in the repository made these weights
    assert fidelity["training_objects"]["held_out"] == len(HELD_OUT)
    assert (place / "CARD.md").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "probe_floor"), [("clevr2d:8x3", 0.8), ("clevr2d:8x3?size=48&replicates=2&seed=11", 0.6)]
)  # with jitter the read-out has noise to cope with
def test_the_two_encoders_reach_what_they_are_for(data: str, probe_floor: float, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    found = {}
    for name in RECIPES:
        analyses = ("recognition", "crossmodal")
        found[name] = diagnose(
            f"embedded:{name}", data, tmp_path / name, analyses=analyses, cache=tmp_path / "c"
        ).results
    bag, bound = found["bag"], found["bound"]
    words = {"analysis": "recognition", "target": "mean", "metric": "concept_recognition", "estimator": "zero_shot"}
    assert (bag.one(**words).value or 0) >= 0.9
    assert abs((bag.one(metric="swap_accuracy").value or 0) - 0.5) <= 0.1
    probe = bag.one(analysis="recognition", metric="object_recognition", estimator="probe", target="all")
    assert (probe.value or 0) >= probe_floor
    swap = bound.one(metric="swap_accuracy")
    assert swap.split == "train"
    assert (swap.value or 0) >= 0.9
    closed = bound.select(lambda r: r.extra == {"scenes": "closed"}, metric="swap_accuracy", estimator="zero_shot")
    assert closed.records[0].n_scenes
