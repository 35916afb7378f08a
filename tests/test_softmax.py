"""The solver against scipy on the same objective: the optimum is one, whatever the start, and reached to its tolerance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, sparse

from bindscope import softmax
from bindscope.softmax import Problem, ridge_start, solve

TOLERANCE = 1e-5


def problem(n: int = 120, r: int = 6, k: int = 5, m: int = 2, signal: float = 1.0, seed: int = 0) -> Problem:
    """Rows in principal axes, with m of k candidates a row whose directions are planted."""
    rng = np.random.default_rng(seed)
    members = np.stack([rng.permutation(k)[:m] for _ in range(n)])
    directions = rng.normal(size=(k, r))
    rows = signal * directions[members].sum(axis=1) + rng.normal(size=(n, r))
    rows -= rows.mean(axis=0)
    _, axes = np.linalg.eigh(rows.T @ rows)
    rows = rows @ axes
    targets = sparse.csr_matrix((np.full(n * m, 1 / m), (np.repeat(np.arange(n), m), members.ravel())), shape=(n, k))
    return Problem(rows.astype(np.float32), (rows**2).mean(axis=0), targets)


def loss_and_gradient(flat: np.ndarray, given: Problem, penalty: float) -> tuple[float, np.ndarray]:
    """mean CE + penalty / 2 |W|^2 in double precision, bias free but for the solver's own 1e-9."""
    rows = np.concatenate([given.rows.astype(np.float64), np.ones((len(given), 1))], axis=1)
    weights = flat.reshape(rows.shape[1], -1)
    scores = rows @ weights
    scores -= scores.max(axis=1, keepdims=True)
    log = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    targets = given.targets.toarray()
    ridge = np.r_[np.full(rows.shape[1] - 1, penalty), 1e-9][:, None]
    value = -(targets * log).sum() / len(rows) + 0.5 * (ridge * weights**2).sum()
    slope = rows.T @ (np.exp(log) - targets) / len(rows) + ridge * weights
    return float(value), slope.ravel()


def optimum(given: Problem, penalty: float) -> tuple[float, np.ndarray]:
    start = np.zeros((given.rows.shape[1] + 1) * given.targets.shape[1])
    options = {"maxiter": 20_000, "maxfun": 100_000, "ftol": 1e-15, "gtol": 1e-9}
    found = optimize.minimize(loss_and_gradient, start, (given, penalty), "L-BFGS-B", jac=True, options=options)
    return float(found.fun), found.x


@pytest.mark.parametrize("penalty", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_the_optimum_is_that_of_scipy(m: int, penalty: float) -> None:
    given = problem(m=m)
    best, weights = optimum(given, penalty)
    found = solve(given, penalty, ridge_start(given, penalty), TOLERANCE)
    assert found.converged
    value, slope = loss_and_gradient(found.weights.ravel(), given, penalty)
    assert best - 1e-8 <= value <= best + 5 * TOLERANCE
    assert np.abs(slope).max() < 0.02
    rows = np.concatenate([given.rows, np.ones((len(given), 1))], axis=1)
    theirs, ours = rows @ weights.reshape(7, 5), rows @ found.weights
    assert (theirs.argmax(axis=1) == ours.argmax(axis=1)).mean() > 0.97


@pytest.mark.parametrize("shape", [(20, 60, 4), (200, 3, 150), (300, 20, 2), (3, 2, 3), (40, 1, 4)], ids=str)
def test_other_shapes_reach_it_too(shape: tuple[int, int, int]) -> None:
    n, r, k = shape  # n < r, more candidates than rows of each, two candidates, almost nothing
    given = problem(n, r, k, m=1)
    best, _ = optimum(given, 1e-2)
    found = solve(given, 1e-2, ridge_start(given, 1e-2), TOLERANCE)
    value, _ = loss_and_gradient(found.weights.ravel(), given, 1e-2)
    assert found.converged
    assert value <= best + 5 * TOLERANCE


def test_any_start_gives_the_same_weights() -> None:
    given = problem()
    rng = np.random.default_rng(1)
    starts = [np.zeros((7, 5)), ridge_start(given, 1e-2), 3 * rng.normal(size=(7, 5)), 100 * rng.normal(size=(7, 5))]
    losses = [loss_and_gradient(solve(given, 1e-2, s, 1e-6).weights.ravel(), given, 1e-2)[0] for s in starts]
    assert max(losses) - min(losses) < 1e-5


def test_separable_rows_have_an_optimum_only_by_the_penalty() -> None:
    given = problem(signal=30.0, m=1)
    sizes = [
        float((solve(given, p, ridge_start(given, p), TOLERANCE).weights[:-1] ** 2).sum()) for p in (1e-1, 1e-3, 1e-5)
    ]
    assert sizes[0] < sizes[1] < sizes[2]
    value, _ = loss_and_gradient(solve(given, 1e-5, ridge_start(given, 1e-5), TOLERANCE).weights.ravel(), given, 0.0)
    assert value < 0.02


def test_candidates_that_no_row_shows_get_no_direction() -> None:
    given = problem(m=1)
    wider = Problem(
        given.rows, given.spectrum, sparse.hstack([given.targets, sparse.csr_matrix((120, 2))], format="csr")
    )
    found = solve(wider, 1e-2, ridge_start(wider, 1e-2), TOLERANCE)
    best, _ = optimum(wider, 1e-2)
    assert loss_and_gradient(found.weights.ravel(), wider, 1e-2)[0] <= best + 5 * TOLERANCE
    assert (found.weights[-1, 5:] < found.weights[-1, :5].min() - 2).all()  # their bias is far below


def test_targets_that_rows_do_not_tell_give_their_frequencies() -> None:
    rng = np.random.default_rng(2)
    rows = np.zeros((200, 3), dtype=np.float32)
    labels = rng.choice(3, 200, p=[0.6, 0.3, 0.1])
    targets = sparse.csr_matrix((np.ones(200), (np.arange(200), labels)), shape=(200, 3))
    given = Problem(rows, np.full(3, 1e-12), targets)
    found = solve(given, 1e-2, np.zeros((4, 3)), 1e-9)
    chances = np.exp(found.weights[-1]) / np.exp(found.weights[-1]).sum()
    assert np.allclose(chances, np.bincount(labels) / 200, atol=1e-3)


def test_what_did_not_converge_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    given = problem()
    monkeypatch.setattr(softmax, "_MAX_STEPS", 1)
    assert not solve(given, 1e-5, np.zeros((7, 5)), 1e-9).converged
    monkeypatch.setattr(softmax, "_MAX_STEPS", 60)
    assert solve(given, 1e-5, np.zeros((7, 5)), 1e-4).converged


@pytest.mark.parametrize("share", [0.0, 2.0])  # the low-rank correction is always, or never, used
def test_both_preconditioners_lead_to_the_optimum(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    given = problem(n=400, r=30, k=12)
    best, _ = optimum(given, 1e-3)
    monkeypatch.setattr(softmax, "_HEAVY_SHARE", share)
    found = solve(given, 1e-3, ridge_start(given, 1e-3), TOLERANCE)
    assert found.converged
    assert loss_and_gradient(found.weights.ravel(), given, 1e-3)[0] <= best + 5 * TOLERANCE
