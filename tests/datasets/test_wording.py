"""Captions of the second side: which scenes, which words, and that they are kept, planted and read back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bindscope.datasets import Dataset, load_dataset
from bindscope.datasets.items import Items, Wording, query_items
from bindscope.datasets.wording import caption_set
from bindscope.embeddings import embed, load_embeddings, save_embeddings
from bindscope.encoders import load_encoder
from bindscope.errors import InputError, VectorsError
from bindscope.files import read_tensors, write_tensors
from bindscope.scenes import SceneTable
from bindscope.swaps import value_swaps
from planted import designs

SHOP = """concepts:
  color: [red, blue, white]
  garment: [shirt, coat]
scene: "a woman in a {object} and a {object}"
captions: ["she wears a {object} with a {object}"]
"""


def bare(table: SceneTable) -> Dataset:
    objects, values = query_items(table)
    return Dataset("labels:x", "labels", table, Items(table.values, np.arange(len(table)), "scene"), objects, values)


@pytest.mark.parametrize("name", designs())
def test_every_swap_of_an_anchor_has_a_caption(name: str) -> None:
    table = designs()[name]
    captions = caption_set(bare(table))
    rows = table.take(table.rows_with(table.headline_count))
    assert captions.anchors.sum() == len({ids[ids >= 0].tobytes() for ids in rows.object_ids})  # gaps do not count
    anchors = captions.scenes.take(captions.anchors)
    keys = {ids.tobytes() for ids in captions.scenes.object_ids}
    assert len(keys) == len(captions.scenes)
    for values in value_swaps(anchors).values:
        assert table.space.object_ids(values).tobytes() in keys
    for i, text in enumerate(captions.items.texts or ()):
        for object_id in captions.scenes.object_ids[i % len(captions.scenes)]:
            assert object_id < 0 or table.space.object_name(int(object_id)) in text


def test_wordings_name_the_objects_in_both_orders() -> None:
    captions = caption_set(load_dataset("text:2x2"))
    n = len(captions.scenes)
    assert captions.orders == ("same", "reversed", "same", "reversed")
    texts = captions.items.texts or ()
    assert texts[0] == "it shows a red circle next to a red square"
    assert texts[n] == "it shows a red square next to a red circle"
    assert texts[2 * n].startswith("we look at a red circle together with")
    scene_texts = set(load_dataset("text:2x2?replicates=6").items.texts or ())
    assert not scene_texts & set(texts)  # a paraphrase is never the scene's own text


def test_a_recipe_brings_its_own_captions(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(SHOP)
    captions = caption_set(load_dataset(f"text:{file}"))
    assert (captions.items.texts or ())[0] == "she wears a red shirt with a red coat"
    assert captions.n_wordings == 2
    file.write_text(SHOP.replace("with a {object}", "alone"))
    with pytest.raises(InputError, match=r"must hold \{object\} 2 times, got 1"):
        load_dataset(f"text:{file}")


def test_templates_that_the_scenes_do_not_use_are_captions(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(
        'concepts: {c: [x, y], s: [u, v]}\ntemplates: ["a {object}, a {object}", "b {object}, b {object}"]\n'
    )
    captions = caption_set(load_dataset(f"text:{file}?replicates=1"))
    assert (captions.items.texts or ())[0] == "b x u, b x v"


def test_many_scenes_are_drawn_by_seed() -> None:
    dataset = load_dataset("text:6x6")
    first, again, other = (caption_set(dataset, 50, seed) for seed in (1, 1, 2))
    assert first.anchors.sum() == 50
    assert first.digest == again.digest != other.digest


def test_captions_of_a_file_are_those_of_its_rows() -> None:
    dataset = load_dataset("text:3x3")
    captions = caption_set(dataset.take(np.arange(20)), made=False)
    assert captions.n_wordings == 1
    assert (captions.items.rows >= 0).all()
    np.testing.assert_array_equal(dataset.table.values[captions.items.rows], captions.scenes.values)


def test_a_pattern_for_another_number_of_objects_is_replaced() -> None:
    dataset = replace(bare(designs()["m=3"]), wording=Wording(("two {object} {object}",)))
    texts = caption_set(dataset).items.texts or ()
    assert texts[0].startswith("it shows a c0v0 c1v0, a c0v0 c1v1 next to a")


def test_query_wordings_follow_the_default_ones() -> None:
    queries = caption_set(load_dataset("text:2x3")).queries
    assert [one[0].texts[0] for one in queries if one[0].texts] == [
        "a photo of a red circle",
        "there is a red circle",
    ]
    assert len(queries[0]) == 3
    assert queries[0][2].values.shape == (3, 1, 2)


def test_planted_captions_are_sums_of_the_query_side() -> None:
    dataset = load_dataset("text:3x2")
    same = embed(load_encoder("planted:mixed?dim=16"), dataset, captions=caption_set(dataset))
    own = embed(load_encoder("planted:mixed?dim=16&sides=own"), dataset, captions=caption_set(dataset))
    assert same.captions is not None
    assert own.captions is not None
    assert own.queries is not None
    np.testing.assert_allclose(same.captions.vectors[0], same.vectors, atol=1e-6)
    assert np.abs(own.captions.vectors[0] - own.vectors).max() > 0.1
    codes = dataset.table.object_codes
    np.testing.assert_allclose(own.captions.vectors[1], own.queries.objects[codes].sum(axis=1), atol=1e-5)


def test_captions_are_saved_and_older_files_are_read_without(tmp_path: Path) -> None:
    dataset = load_dataset("text:3x2")
    found = embed(load_encoder("planted:object?dim=8"), dataset, captions=caption_set(dataset))
    save_embeddings(found, tmp_path)
    again = load_embeddings(tmp_path).captions
    assert again is not None
    assert found.captions is not None
    np.testing.assert_array_equal(again.vectors, found.captions.vectors)
    np.testing.assert_array_equal(again.scenes.values, found.captions.scenes.values)
    np.testing.assert_array_equal(again.anchors, found.captions.anchors)
    assert again.orders == found.captions.orders
    assert len(again.queries) == len(found.captions.queries) == 2
    arrays, record = read_tensors(tmp_path / "embeddings.safetensors")
    old = {name: array for name, array in arrays.items() if not name.startswith("captions")}
    write_tensors(tmp_path / "embeddings.safetensors", old, {k: v for k, v in record.items() if k != "captions"})
    assert load_embeddings(tmp_path).captions is None


def test_caption_vectors_from_a_file(tmp_path: Path) -> None:
    dataset = load_dataset("text:3x2")
    found = embed(load_encoder("planted:mixed?dim=8&sides=own"), dataset, captions=caption_set(dataset))
    assert found.captions is not None
    np.save(tmp_path / "images.npy", found.vectors)
    np.save(tmp_path / "texts.npy", found.captions.vectors[0])
    encoder = load_encoder(f"file:{tmp_path / 'images.npy'}?captions={tmp_path / 'texts.npy'}")
    assert encoder.captions == "rows"
    labels = bare(dataset.table)
    again = embed(encoder, labels, captions=caption_set(labels, made=False))
    assert again.captions is not None
    np.testing.assert_array_equal(again.captions.vectors[0], found.captions.vectors[0])
    np.save(tmp_path / "short.npy", found.vectors[:4])
    with pytest.raises(VectorsError, match="caption a row"):
        load_encoder(f"file:{tmp_path / 'images.npy'}?captions={tmp_path / 'short.npy'}")
