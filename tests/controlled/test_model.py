"""Towers: what they may and may not see."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from bindscope.controlled.config import TrainConfig, preset
from bindscope.controlled.model import build_model
from bindscope.controlled.optimisation import Muon, make_optimizers, orthogonal, rate_factor

SIZE = {"values": 5, "width": 16, "heads": 2, "feed_forward": 32, "output": 12, "layers": 2}


def small(**changes: object) -> TrainConfig:
    return preset("tiny", **{**SIZE, **changes})


@pytest.mark.parametrize("tokens", ["object", "concept"])
@pytest.mark.parametrize("head", ["linear", "product"])
@pytest.mark.parametrize("concepts", [1, 2, 3])
def test_vectors_have_unit_length_and_change_with_the_scene(tokens: str, head: str, concepts: int) -> None:
    model = build_model(small(tokens=tokens, head=head, concepts=concepts))
    values = torch.randint(0, 5, (7, 2, concepts), generator=torch.Generator().manual_seed(0))
    vectors = model.scene(values)
    assert vectors.shape == (7, 12)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(7), atol=1e-5)
    other = values.clone()
    other[:, 0, 0] = (other[:, 0, 0] + 1) % 5
    assert (vectors - model.scene(other)).norm(dim=1).min() > 1e-4


def test_object_tokens_make_a_scene_a_set_and_concept_tokens_do_not() -> None:
    values = torch.tensor([[[0, 1], [2, 3]]])
    sets, sequences = build_model(small()), build_model(small(tokens="concept"))
    with torch.no_grad():
        assert sequences.scene.positions is not None
        sequences.scene.positions.normal_(generator=torch.Generator().manual_seed(1))
    assert torch.allclose(sets.scene(values), sets.scene(values.flip(1)), atol=1e-6)
    assert not torch.allclose(sequences.scene(values), sequences.scene(values.flip(1)), atol=1e-3)


@pytest.mark.parametrize("tokens", ["object", "concept"])
def test_absent_objects_and_concepts_are_not_seen(tokens: str) -> None:
    model = build_model(small(tokens=tokens, objects=3))
    pair = torch.tensor([[[0, 1], [2, 3], [-1, -1]], [[0, 1], [2, 3], [4, 4]]])
    together, alone = model.scene(pair), model.scene(pair[:1])
    assert torch.allclose(together[0], alone[0], atol=1e-6)  # its neighbour in the batch changes nothing
    assert not torch.allclose(together[0], together[1], atol=1e-3)
    value = torch.tensor([[[2, -1]]])
    assert torch.isfinite(model.query(value)).all()
    assert not torch.allclose(model.query(value), model.query(torch.tensor([[[-1, 2]]])), atol=1e-3)


def test_the_same_seed_gives_the_same_weights() -> None:
    one, two, other = (build_model(small(seed=seed)).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 24, 8), (1, 8, 32)])
def test_orthogonal_keeps_directions_and_levels_singular_values(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = torch.stack(orthogonal(list(matrices), steps=12))
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    inside = left.transpose(1, 2) @ found @ right.transpose(1, 2)
    levels = inside.diagonal(dim1=1, dim2=2)
    assert ((levels > 0.65) & (levels < 1.25)).all()
    assert (inside - torch.diag_embed(levels)).abs().max() < 1e-3
    assert values.max() / values.min() > 2  # the control: they were not level before


def test_orthogonal_by_gram_matrices_is_newton_schulz_on_the_matrices_themselves() -> None:
    generator = torch.Generator().manual_seed(0)
    matrices = [torch.randn(shape, generator=generator) for shape in ((64, 192), (64, 64), (256, 64), (16, 8))]
    for matrix, found in zip(matrices, orthogonal(matrices), strict=True):
        x = matrix.double().T if matrix.shape[0] > matrix.shape[1] else matrix.double()
        x = x / x.norm()
        for _ in range(5):
            square = x @ x.T
            x = 3.4445 * x - 4.7750 * square @ x + 2.0315 * square @ square @ x
        expected = x.T if matrix.shape[0] > matrix.shape[1] else x
        assert found.shape == matrix.shape
        assert (found - expected).abs().max() < 1e-4


@pytest.mark.parametrize("tokens", ["object", "concept"])
def test_the_last_block_moves_the_end_token_as_if_it_moved_all(tokens: str) -> None:
    tower = build_model(small(tokens=tokens)).scene
    block, x = tower.blocks[-1], torch.randn(5, 7, tower.config.width, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(5, 1, 1, 7, dtype=torch.bool)
    mask[:, :, :, 2] = False
    for seen in (None, mask):
        assert torch.allclose(block(x, seen, 6), block(x, seen)[:, 6:], atol=1e-5)
    assert not torch.allclose(block(x, None, 6), block(x, mask, 6), atol=1e-4)


def test_muon_agrees_with_the_one_of_torch_up_to_its_rounding() -> None:
    start = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    gradients = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(1))
    mine, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    optimizers = [
        (mine, Muon([mine], lr=0.02, weight_decay=0.1)),
        (theirs, torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, momentum=0.95, nesterov=True)),
    ]
    for gradient in gradients:
        for parameter, optimizer in optimizers:
            parameter.grad = gradient.clone()
            optimizer.step()
    moved = (theirs - start).norm()
    assert (mine - theirs).norm() < 0.05 * moved  # torch iterates in bf16


def test_only_hidden_matrices_go_to_muon() -> None:
    model = build_model(small())
    adam, muon = make_optimizers(model, small())
    hidden = {id(p) for group in muon.param_groups for p in group["params"]}
    names = {n for n, p in model.named_parameters() if id(p) in hidden}
    assert names
    assert all(".blocks." in n and n.endswith("weight") and "norm" not in n for n in names)
    everything = hidden | {id(p) for group in adam.param_groups for p in group["params"]}
    assert everything == {id(p) for p in model.parameters()}
    assert len(make_optimizers(model, small(optimizer="adamw"))) == 1


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_rates_warm_up_and_decay(schedule: str) -> None:
    config = small(schedule=schedule, steps=1000, warmup=100)
    rates = [rate_factor(config, step) for step in range(1000)]
    assert rates[:100] == pytest.approx([(i + 1) / 100 for i in range(100)])
    assert all(a >= b for a, b in pairwise(rates[100:]))
    assert rates[-1] == pytest.approx(1.0 if schedule == "constant" else 0.02, abs=0.005)
