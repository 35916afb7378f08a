"""Whether p-values are even where nothing is there, and how often tests find what was planted.

For each test worlds in which its null holds: the share of p-values up to .05 and the p-value of a Kolmogorov-Smirnov test of
evenness (p-values are made continuous within the steps of their permutations). Beside them the share of worlds with a planted
effect that the test finds at .05.

    python benchmarks/calibration/significance.py --worlds 1000 [--only interaction]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from itertools import permutations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from scipy.stats import kstest

from bindscope.analyses.alignment.alignment import align
from bindscope.analyses.alignment.measure import best_of
from bindscope.analyses.sides import TwoSides
from bindscope.analyses.variance.shares import interaction_test
from bindscope.concepts import ConceptSpace
from bindscope.scenes import SceneTable
from bindscope.uncertainty import p_value
from calibration.worlds import Array, object_vectors
from harness import write_table

RESULTS = Path(__file__).resolve().parents[1] / "results" / "calibration"
COLUMNS = ("test", "worlds", "p <= .05", "evenness", "power")
PValues = Mapping[str, tuple[float, int]]  # of one world: p and its draws, by the name of the test


def table(sizes: tuple[int, ...], keep: float = 1.0, replicates: int = 1) -> SceneTable:
    """Ordered pairs of different objects, a share of them, each shown several times."""
    space = ConceptSpace.of([(f"c{k}", [f"v{i}" for i in range(size)]) for k, size in enumerate(sizes)])
    ids = np.array(list(permutations(range(space.n_objects), 2)))
    ids = np.repeat(ids[np.random.default_rng(0).random(len(ids)) < keep], replicates, axis=0)
    return SceneTable.build(space, space.object_values(ids.ravel()).reshape(len(ids), 2, len(sizes)))


def interaction(scenes: SceneTable, share: float, seed: int, dim: int = 12, draws: int = 99) -> PValues:
    """The pooled F of variance shares: concepts by slot, noise, and an interaction of a given share of the variance."""
    rng = np.random.default_rng([seed, 1])
    bag = [object_vectors("bag", scenes.candidate_values, dim, rng)[scenes.object_codes[:, i]] for i in range(2)]
    own = object_vectors("object", scenes.candidate_values, dim, rng)[scenes.object_codes].sum(axis=1)
    noise = rng.standard_normal((len(scenes), dim))
    vectors = np.sum(bag, axis=0) + noise + np.sqrt(1.5 * share / max(1 - share, 1e-9)) * own
    found = interaction_test(vectors, scenes, draws, seed)
    assert found is not None
    return {"": (p_value(found.statistic, found.null), draws)}


def alignment(scenes: SceneTable, shared: float, seed: int, dim: int = 12) -> PValues:
    """Two sides whose concepts and objects are their own, or share a part."""
    rng = np.random.default_rng([seed, 2])
    values = scenes.candidate_values

    def side(kind: str) -> tuple[Array, Array]:
        first, second = (object_vectors(kind, values, dim, rng) for _ in range(2))  # type: ignore[arg-type]
        return first, np.sqrt(shared) * first + np.sqrt(1 - shared) * second

    bags, own = side("bag"), side("object")
    seen, told = ((bag + one)[scenes.object_codes].sum(axis=1) for bag, one in zip(bags, own, strict=True))
    found = align(TwoSides.of(seen, scenes, told[None], scenes), seed)
    out = {
        f", {one.component} by {one.estimator}": (p_value(one.r2, one.null), len(one.null))
        for one in found
        if len(one.null)
    }
    best = best_of(found)[0]
    assert best.value is not None
    return {**out, ", interaction by the best map": (best.value, 49)}


Test = tuple[
    str, Callable[[float, int], PValues], float, float
]  # name, of (effect, seed), the effect for power, worlds
WHOLE, THINNED, TWICE, SMALL = table((5, 4)), table((5, 4), 0.5), table((4, 3), 1.0, 2), table((4, 3), 0.8)
TESTS: tuple[Test, ...] = (
    ("interaction, 5x4", lambda effect, seed: interaction(WHOLE, effect, seed), 0.03, 1.0),
    ("interaction, 5x4, half of the scenes", lambda effect, seed: interaction(THINNED, effect, seed), 0.03, 1.0),
    ("interaction, 4x3, two replicates", lambda effect, seed: interaction(TWICE, effect, seed), 0.03, 1.0),
    ("interaction, 4x3, 80 % of the scenes", lambda effect, seed: interaction(SMALL, effect, seed), 0.03, 1.0),
    ("interaction, 5x4, share .01", lambda effect, seed: interaction(WHOLE, effect, seed), 0.01, 0.3),
    ("interaction, 5x4, share .1", lambda effect, seed: interaction(WHOLE, effect, seed), 0.1, 0.3),
    ("alignment, 5x4", lambda effect, seed: alignment(WHOLE, effect, seed), 0.5, 0.4),
)


def measure(test: Test, worlds: int) -> list[dict[str, str | int | float]]:
    """A row for each p-value of a test."""
    name, drawn, effect, share = test
    count = max(round(worlds * share), 10)
    null = [drawn(0.0, seed) for seed in range(count)]
    planted = [drawn(effect, 10_000 + seed) for seed in range(max(count // 4, 5))]
    rows: list[dict[str, str | int | float]] = []
    for part in null[0]:
        pairs = [one[part] for one in null if part in one]
        even = [p - np.random.default_rng([seed, 3]).random() / (1 + draws) for seed, (p, draws) in enumerate(pairs)]
        rows.append(
            {
                "test": name + part,
                "worlds": len(pairs),
                "p <= .05": round(float(np.mean([p <= 0.05 for p, _ in pairs])), 4),
                "evenness": round(float(kstest(even, "uniform").pvalue), 4),
                "power": round(float(np.mean([one[part][0] <= 0.05 for one in planted if part in one])), 3),
            }
        )
    return rows


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--worlds", type=int, default=1000)
    parser.add_argument("--only", default="", help="tests whose name holds this")
    parser.add_argument("--out", type=Path, default=RESULTS / "significance.csv")
    told = parser.parse_args()
    rows = []
    for test in TESTS:
        if told.only in test[0]:
            rows += measure(test, told.worlds)
            print(*rows[-1].values(), flush=True)
    write_table(told.out, rows, COLUMNS)


if __name__ == "__main__":
    main()
