"""Heads: gradients, what they can and cannot repair, held-out blocks, files and the sentence-transformers module."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.stats import ortho_group

from bindscope.analyses.crossmodal.heads import (
    FULL,
    HEADS,
    QUICK,
    Head,
    _Problem,
    _start,
    _unpacked,
    fit_head,
    hold_out,
    load_head,
    save_head,
    save_sentence_module,
    training_parts,
)
from bindscope.analyses.crossmodal.repair import sentence_module
from bindscope.analyses.crossmodal.swaptest import credit, swap_test
from bindscope.analyses.sides import TwoSides
from bindscope.errors import InputError, StoreError, TableError, UnknownNameError
from bindscope.files import write_tensors
from bindscope.scenes import SceneTable
from planted import designs, plant, scenes, space_of

FITTED = [kind for kind in HEADS if kind != "none"]


def sides_of(told_map: np.ndarray | None, table: SceneTable, own: bool = False, dim: int = 24) -> TwoSides:
    base = plant("bag", table, dim=dim, seed=1).vectors
    seen = base + plant("object", table, dim=dim, seed=2).vectors
    told = base + plant("object", table, dim=dim, seed=3 if own else 2).vectors
    turned = told if told_map is None else told @ told_map
    return TwoSides.of(seen, table, turned[None], table)


def closed_accuracy(sides: TwoSides, head: Head, closed: np.ndarray) -> float:
    return float(credit(swap_test(sides.with_captions(head(sides.captions))).text)[:, closed].mean())


@pytest.mark.parametrize("kind", FITTED)
def test_gradients_are_those_of_differences(kind: str) -> None:
    sides = sides_of(None, scenes(3, 2), own=True, dim=6)
    rows, captions = training_parts(sides, np.ones(6, dtype=bool))
    problem = _Problem.of(sides, rows[:8], captions[:12], QUICK, 0)
    start = _start(kind, problem.t.shape[1], 2, 0)
    shapes = {name: weight.shape for name, weight in start.items()}
    rng = np.random.default_rng(0)
    flat = 0.3 * rng.normal(size=sum(weight.size for weight in start.values()))

    def loss(x: np.ndarray) -> float:
        return problem.loss(kind, _unpacked(x, shapes))[0]

    def gradient(x: np.ndarray) -> np.ndarray:
        return np.concatenate([part.ravel() for part in problem.loss(kind, _unpacked(x, shapes))[1].values()])

    assert check_grad(loss, gradient, flat, epsilon=1e-3) < 0.02 * np.linalg.norm(gradient(flat)) + 0.02


def test_a_linear_head_repairs_a_turned_side_for_objects_that_it_never_saw() -> None:
    table = scenes(6, 6)
    sides = sides_of(ortho_group.rvs(24, random_state=1), table)
    held_out = hold_out(sides)
    none = fit_head(sides, held_out.train, "none")
    linear = fit_head(sides, held_out.train, "linear", budget=FULL)
    assert held_out.closed.sum() > 20
    assert closed_accuracy(sides, none, held_out.closed) < 0.75
    assert closed_accuracy(sides, linear, held_out.closed) > 0.95
    assert linear.loss[1] < linear.loss[0]


@pytest.mark.parametrize("kind", FITTED)
def test_own_objects_are_learnt_by_heart_and_not_repaired(kind: str) -> None:
    sides = sides_of(None, scenes(6, 6), own=True, dim=128)
    held_out = hold_out(sides)
    head = fit_head(sides, held_out.train, kind)
    assert closed_accuracy(sides, head, held_out.seen) > 0.9
    assert 0.15 < closed_accuracy(sides, head, held_out.closed) < 0.85


@pytest.mark.parametrize("kind", FITTED)
def test_no_head_repairs_a_bag(kind: str) -> None:
    table = scenes(4, 4)
    bag = plant("bag", table, dim=16).vectors
    seen = bag + plant("object", table, dim=16, seed=4).vectors
    sides = TwoSides.of(seen, table, bag[None], table)
    held_out = hold_out(sides)
    head = fit_head(sides, held_out.train, kind)
    margin = swap_test(sides.with_captions(head(sides.captions))).text
    assert np.abs(margin).max() < 1e-4  # right and swapped caption have one vector
    assert closed_accuracy(sides, head, held_out.closed) == pytest.approx(0.5, abs=0.25)


@pytest.mark.parametrize("name", ["pairs", "C=3", "m=3", "incomplete C=3 m=3"])
def test_held_out_objects_are_closed_and_every_value_trains(name: str) -> None:
    table = designs()[name]
    vectors = plant("object", table, dim=8).vectors
    _, first = np.unique(table.scene_ids, return_index=True)
    sides = TwoSides.of(vectors, table, vectors[None, first], table.take(first))
    found = hold_out(sides)
    assert 0 < found.train.sum() < table.n_objects
    known = set(table.candidates[found.train].tolist())
    for w in np.flatnonzero(found.closed):
        before = table.object_ids[sides.swaps.row[w]]
        after = table.space.object_ids(sides.swaps.values[w])
        assert not {i for i in (*before, *after) if i >= 0} & known
    for w in np.flatnonzero(found.seen):
        assert {i for i in table.object_ids[sides.swaps.row[w]].tolist() if i >= 0} <= known
    if name == "pairs":
        assert found.closed.any()
    for column in table.candidate_values.T:
        assert set(column[found.train]) == set(column)


@pytest.mark.parametrize("kind", HEADS)
def test_files_give_the_same_head(kind: str, tmp_path: Path) -> None:
    sides = sides_of(None, scenes(4, 3), own=True)
    head = fit_head(sides, hold_out(sides).train, kind)
    save_head(head, tmp_path / "head.safetensors")
    again = load_head(tmp_path / "head.safetensors")
    np.testing.assert_array_equal(again(sides.captions), head(sides.captions))
    assert (again.kind, again.penalty, again.loss) == (head.kind, head.penalty, head.loss)
    first = (tmp_path / "head.safetensors").read_bytes()
    save_head(fit_head(sides, hold_out(sides).train, kind), tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == first


@pytest.mark.parametrize("kind", HEADS)
def test_the_sentence_transformers_module_is_the_head(kind: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("sentence_transformers")
    sides = sides_of(None, scenes(4, 3), own=True)
    head = fit_head(sides, hold_out(sides).train, kind)
    module = sentence_module(head)
    vectors = np.random.default_rng(0).normal(size=(5, head.dim)).astype(np.float32)
    out = module({"sentence_embedding": torch.from_numpy(vectors)})["sentence_embedding"].numpy()
    np.testing.assert_allclose(out, head(vectors), atol=1e-5)
    save_sentence_module(head, tmp_path / "module")
    loaded = type(module).load(str(tmp_path / "module"))
    again = loaded({"sentence_embedding": torch.from_numpy(vectors)})["sentence_embedding"].numpy()
    np.testing.assert_allclose(again, out, atol=1e-6)
    assert loaded.get_sentence_embedding_dimension() == head.dim


def test_bad_heads_are_refused(tmp_path: Path) -> None:
    sides = sides_of(None, scenes(4, 3))
    with pytest.raises(UnknownNameError, match="did you mean linear"):
        fit_head(sides, np.ones(12, dtype=bool), "liner")
    with pytest.raises(TableError, match="fewer than two scenes show training objects only"):
        fit_head(sides, np.zeros(12, dtype=bool), "linear")
    with pytest.raises(InputError, match="vectors of 24 dimensions, got 5"):
        fit_head(sides, np.ones(12, dtype=bool), "none")(np.ones((2, 5)))
    write_tensors(tmp_path / "other.safetensors", {"m": np.ones((2, 2), dtype=np.float32)}, {"what": "else"})
    with pytest.raises(StoreError, match="is no head of bindscope"):
        load_head(tmp_path / "other.safetensors")
    with pytest.raises(StoreError, match="no such file"):
        load_head(tmp_path / "missing.safetensors")
    one = SceneTable.build(space_of(1, 1), [[[0, 0]], [[0, 0]]])
    with pytest.raises(TableError, match="one object only"):
        hold_out(TwoSides.of(np.ones((2, 3)), one, np.ones((1, 2, 3)), one))
