"""The closed form against scene-by-scene prediction, numerical integration and the chain rule."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, sparse, special, stats

from bindscope.analyses.codelength.evidence import (
    CONSTANT_SCALE,
    TABLE_SCALES,
    VALUE_SCALES,
    Forms,
    Mixture,
    Moments,
    Noise,
    forms,
    log_gammainc,
)
from bindscope.design import concept_design, object_design
from planted import random_scenes


def indicators(n: int = 30, m: int = 2, seed: int = 0) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    table = random_scenes(3, 4, n=n, m=m, seed=seed)
    ones = sparse.csr_matrix(np.ones((n, 1)))
    return sparse.csr_matrix(sparse.hstack([ones, concept_design(table, True)])), object_design(table, True)


def prior_covariance(values: sparse.csr_matrix, table: sparse.csr_matrix, g: float, v: float | None) -> np.ndarray:
    """I + X S X' of all rows, in full."""
    dense = values.toarray()
    scale = np.r_[CONSTANT_SCALE, np.full(dense.shape[1] - 1, 0.0 if v is None else v)]
    return np.eye(len(dense)) + (dense * scale) @ dense.T + g * (table @ table.T).toarray()


@pytest.mark.parametrize("m", [1, 2, 3])
def test_forms_are_those_of_the_full_covariance(m: int) -> None:
    values, table = indicators(m=m)
    outputs = np.random.default_rng(1).normal(size=(30, 4))
    bare, full = forms(Moments.of(values, table, outputs), table.shape[1])
    for t, g in enumerate(TABLE_SCALES):
        for found, places in (
            (bare, [(t, None)]),
            (full, [(t * len(VALUE_SCALES) + k, v) for k, v in enumerate(VALUE_SCALES)]),
        ):
            for place, v in places:
                covariance = prior_covariance(values, table, g, v)
                _, logdet = np.linalg.slogdet(covariance)
                quadratic = np.einsum("nd,nd->d", outputs, np.linalg.solve(covariance, outputs))
                assert found.logdet[place] == pytest.approx(logdet, rel=1e-7, abs=1e-7)
                np.testing.assert_allclose(found.quadratic[place], quadratic, rtol=1e-5, atol=1e-8)


def test_density_is_the_product_of_scene_by_scene_student_predictions() -> None:
    """Sequential normal-inverse-gamma updates in plain numpy; the floor is out of reach."""
    values, table = indicators(n=25)
    design = np.concatenate([values.toarray(), table.toarray()], axis=1)
    outputs = np.random.default_rng(2).normal(size=(25, 2))
    scale, value_scale = TABLE_SCALES[5], VALUE_SCALES[1]
    prior = np.r_[CONSTANT_SCALE, np.full(values.shape[1] - 1, value_scale), np.full(table.shape[1], scale)]
    floor = np.full(2, 1e-9)
    wanted = np.zeros(2)
    for d in range(2):
        covariance, mean, shape, rate = np.diag(prior), np.zeros(len(prior)), 0.5, floor[d]
        for row, y in zip(design, outputs[:, d], strict=True):
            spread = 1.0 + row @ covariance @ row
            wanted[d] += stats.t.logpdf(y, 2 * shape, row @ mean, np.sqrt(rate / shape * spread))
            gain = covariance @ row / spread
            rate += 0.5 * (y - row @ mean) ** 2 / spread
            mean = mean + gain * (y - row @ mean)
            covariance, shape = covariance - np.outer(gain, row @ covariance), shape + 0.5
    _, full = forms(Moments.of(values, table, outputs), table.shape[1], [scale], [value_scale])
    _, density = Noise.unknown(1, floor).learnt(25, full)
    # the prior is cut off at the floor: of its mass there is P(1/2, 1), of the posterior's practically all
    np.testing.assert_allclose(density[0], wanted - np.log(special.gammainc(0.5, 1.0)), rtol=1e-6)


@pytest.mark.parametrize("size", [1e-3, 0.05, 1.0])
def test_variance_stays_above_the_floor(size: float) -> None:
    """The marginal likelihood by numerical integration over variances above the floor, for small and large errors."""
    rng = np.random.default_rng(3)
    outputs, floor = size * rng.normal(size=(6, 1)), np.array([0.01])
    values, table = indicators(n=6)
    covariance = prior_covariance(values, table, 0.0, None)
    quadratic = float((outputs.T @ np.linalg.solve(covariance, outputs))[0, 0])
    _, logdet = np.linalg.slogdet(covariance)

    def weight(log_v: float, rows: int, rate: float) -> float:
        return float(np.exp(-(0.5 + rows / 2) * log_v - rate / np.exp(log_v)))

    ends = (np.log(floor[0]), 40.0)
    above, _ = integrate.quad(weight, *ends, args=(6, floor[0] + quadratic / 2), epsabs=0, limit=400)
    below, _ = integrate.quad(weight, *ends, args=(0, floor[0]), epsabs=0, limit=400)
    wanted = np.log(above / below) - 0.5 * logdet - 3 * np.log(2 * np.pi)
    bare, _ = forms(Moments.of(values, table, outputs), table.shape[1], [0.0], [1.0])
    found = Noise.unknown(1, floor).learnt(6, bare)[1]
    assert found[0, 0] == pytest.approx(wanted, rel=1e-6)


def test_chain_rule_total_does_not_depend_on_blocks_or_their_order() -> None:
    values, table = indicators(n=40)
    outputs = np.random.default_rng(4).normal(size=(40, 3)) * [1.0, 0.1, 1e-3]
    floor = np.array([1e-4, 1e-4, 1e-2])
    orders = (
        [range(40)],
        [range(10), range(10, 40)],
        [range(25, 40), range(3), range(3, 25)],
        [[i] for i in range(40)],
    )
    totals = [coded_in_blocks(values, table, outputs, floor, blocks) for blocks in orders]
    np.testing.assert_allclose(totals, totals[0], rtol=1e-9)


def coded_in_blocks(values, table, outputs, floor, blocks) -> float:  # type: ignore[no-untyped-def]
    state, total = Mixture.start(len(TABLE_SCALES) * len(VALUE_SCALES), floor), 0.0
    moments = Moments.of(values[:0], table[:0], outputs[:0])
    _, before = forms(moments, table.shape[1])
    for block in blocks:
        rows = list(block)
        moments = moments + Moments.of(values[rows], table[rows], outputs[rows])
        _, now = forms(moments, table.shape[1])
        state, density = state.coded(len(rows), now - before)
        total, before = total + density, now
    return total


def test_mixture_is_the_sum_over_experts_with_equal_prior_weights() -> None:
    rng = np.random.default_rng(5)
    floor = np.full(3, 1e-4)
    changes = [Forms(rng.normal(size=4), rng.uniform(1, 9, size=(4, 3))) for _ in range(3)]
    state, total = Mixture.start(4, floor), 0.0
    noise, densities = Noise.unknown(4, floor), np.zeros((4, 3))
    for change in changes:
        state, density = state.coded(7, change)
        total += density
        noise, own = noise.learnt(7, change)
        densities += own
    assert total == pytest.approx(float(np.log(np.exp(densities).mean(axis=0)).sum()))


def test_renewed_forgets_the_noise_of_the_first_experts_alone_and_spreads_weight() -> None:
    floor = np.full(2, 1e-3)
    state, _ = Mixture.start(4, floor).coded(9, Forms(np.arange(4.0), np.arange(1.0, 9.0).reshape(4, 2)))
    again = state.renewed(0.5, 2)
    np.testing.assert_allclose(np.exp(again.log_weights), 0.5 * np.exp(state.log_weights) + 0.125)
    assert again.noise.shape[:, 0].tolist() == [0.5, 0.5, 5.0, 5.0]
    np.testing.assert_allclose(np.exp(state.renewed(1.0, 4).log_weights), 0.25)


@pytest.mark.parametrize(("shape", "x"), [(0.5, 1e-3), (3.0, 2.0), (50.0, 1.0), (2000.0, 500.0), (2000.0, 1900.0)])
def test_log_gammainc_against_integration(shape: float, x: float) -> None:
    def log_weight(t: float) -> float:
        return (shape - 1) * np.log(t) - t

    peak = log_weight(min(x, max(shape - 1, 1e-9))) if shape > 1 else 0.0
    width = 60 * x / max(np.sqrt(shape), 1.0)
    points = [max(x - width, 0.0), x]
    area, _ = integrate.quad(lambda t: np.exp(log_weight(t) - peak) if t > 0 else 0.0, *points, epsabs=0, limit=2000)
    wanted = np.log(area) + peak - special.gammaln(shape)
    assert log_gammainc(np.array([[shape]]), np.array([[x]]))[0, 0] == pytest.approx(wanted, rel=1e-6, abs=1e-7)


def test_log_gammainc_has_no_step_where_the_series_takes_over() -> None:
    x = np.linspace(1450.0, 1600.0, 400)[None]  # P(3000, x) falls below 1e-250 in between
    found = log_gammainc(np.array([[3000.0]]), x)[0]
    assert found[0] < np.log(1e-250) < found[-1]
    assert np.abs(np.diff(found, 3)).max() < 1e-4
