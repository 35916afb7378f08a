"""What lowers the threshold: a multiplicative read-out, or more coverage, at equal compute?

    bindscope sweep studies/transition.yaml --out RUNS/transition     # the plain read-out
    bindscope sweep studies/head.yaml --out RUNS/head                 # the product of projected features, fewer steps
    python studies/head.py --runs RUNS

Writes results/head.{csv,md,svg}. Models are paired by concept space, coverage and seed.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from pages import bootstrap, ranged, table, write_page, write_rows
from svg import Panel, write
from transition import curve, line_of

from bindscope.complexity.threshold import Threshold
from bindscope.controlled.config import make_config
from bindscope.controlled.cost import step_flops
from bindscope.experiments.sweep import read_table
from bindscope.experiments.transition import Transition, transitions

RESULTS = Path(__file__).parents[1] / "results"
SPACE = ("concepts", "values")
KEYS = (*SPACE, "coverage", "seed")
KEPT = (*KEYS, "head", "steps", "closed", "closed_low", "closed_high", "test", "test_concepts", "train", "run")
Rows = list[dict[str, Any]]


def flops(row: dict[str, Any]) -> float:
    """FLOPs of a whole run."""
    config = make_config({name: row[name] for name in make_config({}).model_dump()})
    return step_flops(config) * config.steps


def paired(plain: Rows, product: Rows, figure: str) -> list[tuple[float, float, float]]:
    """(coverage, plain, product) of every pair of models."""
    mine = {tuple(row[k] for k in KEYS): row for row in plain}
    pairs = [(row, mine[key]) for row in product if (key := tuple(row[k] for k in KEYS)) in mine]
    return [(a["coverage"], b[figure], a[figure]) for a, b in pairs if None not in (a[figure], b[figure])]


def difference(pairs: list[tuple[float, float, float]]) -> str:
    """Mean of product minus plain, pairs drawn again."""
    return ranged(*bootstrap(lambda d: float(np.mean(d)), [product - plain for _, plain, product in pairs]))


def by_coverage(plain: Rows, product: Rows) -> list[dict[str, Any]]:
    """Means and differences at each coverage, over seeds."""
    lines = []
    pairs = paired(plain, product, "closed")
    for place in sorted({coverage for coverage, _, _ in pairs}):
        some = [pair for pair in pairs if pair[0] == place]
        means = [float(np.mean([pair[i] for pair in some])) for i in (1, 2)]
        lines.append(
            {
                "coverage": place,
                "pairs": len(some),
                "plain": means[0],
                "product": means[1],
                "difference": difference(some),
            }
        )
    return lines


def shift(plain: Threshold, product: Threshold) -> str:
    """Threshold with the product minus without, with the interval of a difference of independent figures."""
    if plain.middle is None or product.middle is None:
        return "one of the curves has no threshold"
    halves = [(t.interval.high - t.interval.low) / 2 for t in (plain, product)]
    change, half = product.middle - plain.middle, float(np.hypot(*halves))
    return f"{change:+.2f} ({change - half:+.2f} to {change + half:+.2f}) of coverage"


def more_coverage(plain: Rows) -> str:
    """What the next coverage adds to the plain read-out, beside the difference that the product makes."""
    means = {
        c: float(np.mean([r["closed"] for r in plain if r["coverage"] == c and r["closed"] is not None]))
        for c in sorted({row["coverage"] for row in plain})
    }
    steps = [f"{a:g} to {b:g}: {means[b] - means[a]:+.2f}" for a, b in pairwise(means)]
    return "More coverage instead, plain read-out on closed scenes: " + "; ".join(steps) + "."


def section(plain: Rows, product: Rows, one: Transition, other: Transition) -> list[str]:
    """One concept space: thresholds, the shift, and the differences at each coverage."""
    C, V = (plain[0][name] for name in SPACE)
    compute = sum(map(flops, product)) / sum(map(flops, plain))
    lines = [line_of(one, head="linear"), line_of(other, head="product")]
    return [
        f"## C = {C}, V = {V} ({V**C:,} objects); FLOPs of product over plain: {compute:.2f}",
        table(lines),
        f"Shift of the threshold: {shift(one.threshold, other.threshold)}. Mean difference on closed scenes over all pairs: "
        f"{difference(paired(plain, product, 'closed'))}; on all held-out scenes: {difference(paired(plain, product, 'test'))}.",
        table(by_coverage(plain, product)),
        more_coverage(plain),
    ]


def main() -> None:
    """Make the page, the rows and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="Directory of the two sweeps.")
    runs = parser.parse_args().runs
    plain, product = read_table(runs / "transition"), read_table(runs / "head")
    parts, panels, kept = [], [], []
    for space in sorted({tuple(row[name] for name in SPACE) for row in product}):
        mine, theirs = ([row for row in rows if tuple(row[n] for n in SPACE) == space] for rows in (plain, product))
        one, other = transitions(mine)[0], transitions(theirs)[0]
        parts += section(mine, theirs, one, other)
        lines = [curve(one, "linear read-out"), curve(other, "product read-out")]
        panels.append(
            Panel(
                f"C = {space[0]}, {one.n_objects:,} objects",
                "coverage",
                "objects, closed scenes",
                lines,
                y_range=(0, 1),
            )
        )
        kept += [*mine, *theirs]
    write_rows(RESULTS / "head.csv", [{name: row[name] for name in KEPT} for row in kept])
    before = [f"bindscope sweep studies/{name}.yaml --out RUNS/{name}" for name in ("transition", "head")]
    write_page(
        RESULTS / "head.md",
        "What helps: a multiplicative read-out or more coverage",
        [*parts, "![head](head.svg)"],
        before,
    )
    write(
        RESULTS / "head.svg",
        panels,
        title="Plain and multiplicative read-out at equal compute",
        caption="Mean over seeds, bands: their range.",
    )


if __name__ == "__main__":
    main()
