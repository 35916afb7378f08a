"""Planted worlds are what they say: against their formulas, with controls, for any space and any option."""

from __future__ import annotations

import numpy as np
import pytest

from bindscope.datasets import Dataset, Items, load_dataset
from bindscope.embeddings import Embeddings, embed
from bindscope.encoders import load_encoder
from bindscope.encoders.planted import KINDS, keyed_normal
from bindscope.errors import InputError, UnknownNameError
from bindscope.recognition import recognise_by_cosine
from bindscope.scenes import FloatArray

DATA = "text:5x4?same=true&singles=true"


def world(name: str, data: str | Dataset = DATA, seed: int = 0) -> Embeddings:
    return embed(load_encoder(f"planted:{name}", seed=seed), load_dataset(data) if isinstance(data, str) else data)


def object_vectors(name: str, data: str = DATA) -> FloatArray:
    """u_o `[O, d]` as one-object scenes show them."""
    found = world(name, data)
    alone = found.table.rows_with(1)
    order = np.argsort(found.table.object_codes[alone].max(axis=1))
    return found.vectors[alone][order].astype(np.float64)


def additive_r2(vectors: FloatArray, values: np.ndarray) -> float:
    """R^2 of object vectors on indicators of their values, by numpy."""
    design = np.concatenate([np.eye(column.max() + 1)[column] for column in values.T], axis=1)
    away = vectors - vectors.mean(axis=0)
    missed = away - design @ np.linalg.lstsq(design, away, rcond=None)[0]
    return float(1 - (missed**2).sum() / (away**2).sum())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("slots", ["shared", "own"])
def test_a_scene_is_the_sum_of_its_objects(kind: str, slots: str) -> None:
    found = world(f"{kind}?dim=16&slots={slots}")
    table = found.table
    design = np.zeros((len(table), 2 * table.n_objects))
    for slot in range(2):
        here = np.flatnonzero(table.present[:, slot])
        design[here, table.object_codes[here, slot] + (slot * table.n_objects if slots == "own" else 0)] += 1
    fitted = design @ np.linalg.lstsq(design, found.vectors, rcond=None)[0]
    assert np.abs(fitted - found.vectors).max() < 1e-4
    if slots == "own":  # the control: one vector for both slots does not do
        folded = design[:, : table.n_objects] + design[:, table.n_objects :]
        missed = found.vectors - folded @ np.linalg.lstsq(folded, found.vectors, rcond=None)[0]
        assert (missed**2).sum() > 0.1 * (found.vectors**2).sum()


def test_object_vectors_by_kind() -> None:
    values = load_dataset(DATA).table.candidate_values
    found = {kind: object_vectors(f"{kind}?dim=2000") for kind in KINDS}
    for vectors in found.values():
        assert vectors.var() == pytest.approx(1.0, abs=0.25)
    assert additive_r2(found["bag"], values) == pytest.approx(1.0, abs=1e-6)
    share = (5 - 1 + 4 - 1) / (20 - 1)  # what chance explains: dummies over objects
    assert additive_r2(found["object"], values) == pytest.approx(share, abs=0.05)
    assert additive_r2(found["product"], values) == pytest.approx(share, abs=0.15)
    assert 0.55 < additive_r2(found["mixed"], values) < 0.85


def test_a_product_world_is_the_product_of_its_factors() -> None:
    vectors = object_vectors("product?dim=64").reshape(5, 4, 64)
    crossed = vectors[0, 0] * vectors[1, 1] - vectors[0, 1] * vectors[1, 0]  # v_a w_b: every 2 x 2 minor vanishes
    assert np.abs(crossed).max() < 1e-4
    assert np.abs(object_vectors("mixed?dim=64").reshape(5, 4, 64)[:2, :2].prod(axis=(0, 1))).max() > 0.1


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_the_rank_is_the_rank(rank: int) -> None:
    vectors = object_vectors(f"product?dim=64&rank={rank}")
    assert np.linalg.matrix_rank(vectors, tol=1e-3) == rank


@pytest.mark.parametrize("kind", KINDS)
def test_queries_are_object_vectors_and_their_means(kind: str) -> None:
    found = world(f"{kind}?dim=24")
    assert found.queries is not None
    vectors = object_vectors(f"{kind}?dim=24")
    assert np.allclose(found.queries.objects, vectors, atol=1e-5)
    values = found.table.candidate_values
    for k, queries in enumerate(found.queries.values):
        expected = np.stack([vectors[values[:, k] == v].mean(axis=0) for v in found.table.known_values(k)])
        assert np.allclose(queries, expected, atol=1e-5)


def test_queries_of_slot_own_worlds_are_means_over_slots() -> None:
    found = world("object?dim=16&slots=own")
    assert found.queries is not None
    table = found.table
    pair = {tuple(codes): vector for codes, vector in zip(table.object_codes.tolist(), found.vectors, strict=True)}
    twice = np.stack([pair[o, o] for o in range(table.n_objects)])  # u_{o,1} + u_{o,2}
    assert np.allclose(found.queries.objects, twice / 2, atol=1e-5)


def test_own_sides_share_concepts_but_not_objects() -> None:
    bag, bag_own = world("bag?dim=64"), world("bag?dim=64&sides=own")
    assert np.array_equal(bag.vectors, bag_own.vectors)
    assert np.array_equal(bag.queries.objects, bag_own.queries.objects)  # concept vectors are shared
    for kind in ("object", "mixed", "product?rank=8"):
        joint = "&" if "?" in kind else "?"
        same, own = world(f"{kind}{joint}dim=256"), world(f"{kind}{joint}dim=256&sides=own")
        assert np.array_equal(same.vectors, own.vectors)
        assert not np.allclose(same.queries.objects, own.queries.objects)
    same, own = world("object?dim=256", "text:5x5"), world("object?dim=256&sides=own", "text:5x5")
    codes = same.table.object_codes
    assert recognise_by_cosine(same.vectors, same.queries.objects, codes).right.mean() == 1.0
    assert recognise_by_cosine(own.vectors, own.queries.objects, codes).right.mean() < 0.05  # binds across nothing


@pytest.mark.parametrize("noise", [0.3, 1.0])
def test_noise_is_relative_to_the_signal_and_new_in_every_row(noise: float) -> None:
    data = "text:5x5?same=true&replicates=2"
    clean, noisy = world("object?dim=128", data), world(f"object?dim=128&noise={noise}", data)
    added = noisy.vectors - clean.vectors
    signal = clean.vectors.astype(np.float64).std(axis=0).mean()
    assert added.std() == pytest.approx(noise * signal, rel=0.05)
    assert abs(added.mean()) < 0.02 * noise * signal * 3
    half = len(added) // 2
    assert abs(np.corrcoef(added[:half].ravel(), added[half:].ravel())[0, 1]) < 0.02
    assert np.array_equal(noisy.queries.objects, clean.queries.objects)  # queries have none


def test_vectors_do_not_depend_on_batches_samples_or_company() -> None:
    data = load_dataset("text:6x6")
    encoder = load_encoder("planted:mixed?dim=32&noise=0.5").prepare(data)
    whole = encoder.encode(data.items)
    rows = np.array([700, 3, 3, 1259])
    assert np.array_equal(encoder.encode(data.items.take(rows)), whole[rows])
    assert np.array_equal(world("mixed?dim=32&noise=0.5", data.take(rows[[1, 0]])).vectors, whole[rows[[1, 0]]])


def test_the_seed_of_the_name_goes_before_that_of_the_caller() -> None:
    named = world("bag?dim=8&seed=5", seed=1).vectors
    assert np.array_equal(named, world("bag?dim=8", seed=5).vectors)
    assert not np.allclose(named, world("bag?dim=8", seed=1).vectors)


def test_keyed_normal_is_normal_and_a_function_of_its_key() -> None:
    keys = np.array([5, 300, 5, 10**6])
    drawn = keyed_normal((1, 2), keys, 4000)
    assert np.array_equal(drawn[0], drawn[2])
    assert np.array_equal(keyed_normal((1, 2), keys[::-1], 4000), drawn[::-1])
    assert np.abs(np.corrcoef(drawn[[0, 1, 3]]) - np.eye(3)).max() < 0.06
    assert abs(drawn.mean()) < 0.05
    assert drawn.std() == pytest.approx(1.0, abs=0.03)
    assert not np.allclose(keyed_normal((1, 3), keys, 8), keyed_normal((1, 2), keys, 8))


def test_a_world_lives_on_any_space() -> None:
    for data in ("text:4x3?m=1", "text:2x3?m=3", "text:1x5", "text:5x1"):
        assert np.isfinite(world("product?dim=8&noise=0.1", data).vectors).all()


def test_many_candidates_are_thinned_for_means() -> None:
    from bindscope.encoders.planted import MANY, _thinned

    assert len(_thinned(np.arange(10 * MANY))) == MANY
    assert np.array_equal(_thinned(np.arange(7)), np.arange(7))


def test_no_queries_asked_no_rows() -> None:
    data = load_dataset("text:2x2")
    none = Items(np.zeros((0, 1, 2), dtype=np.int64), np.zeros(0, dtype=np.int64), "value")
    assert load_encoder("planted:bag?dim=8").prepare(data).encode_queries(none).shape == (0, 8)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bagg", r"unknown planted world 'bagg'; did you mean bag"),
        ("bag?dims=3", r"did you mean dim"),
        ("bag?dim=0", r"planted: option dim must be a whole number in 1\.\.65536, got '0'"),
        ("bag?noise=-1", r"option noise must be"),
        ("bag?slots=mine", r"one of shared, own"),
        ("bag?sides=mine", r"one of same, own"),
        ("object?rank=3", r"only the product world has a rank"),
    ],
)
def test_refusals(name: str, message: str) -> None:
    with pytest.raises((InputError, UnknownNameError), match=message):
        load_encoder(f"planted:{name}")


def test_a_world_without_concepts_is_refused() -> None:
    with pytest.raises(InputError, match=r"call encoder\.prepare\(dataset\) first"):
        load_encoder("planted:bag").encode(load_dataset("text:2x2").items)
