"""What lowers the threshold at equal compute: a multiplicative read-out, more weight decay, or more coverage?

    for name in transition head decay; do bindscope sweep studies/$name.yaml --out RUNS/$name; done
    python studies/helps.py --runs RUNS

Writes results/helps.{csv,md,svg}. Models are paired with those of transition.yaml by concept space, coverage and seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from pages import bootstrap, over_seeds, ranged, table, write_page, write_rows
from plots import Panel, Reference, write
from transition import curve, line_of

from bindscope.analyses.complexity.threshold import Threshold
from bindscope.controlled.config import make_config
from bindscope.controlled.cost import step_flops
from bindscope.runs.sweep import read_table
from bindscope.runs.transition import transitions

RESULTS = Path(__file__).parents[1] / "results"
SPACE = ("concepts", "values")
KEYS = (*SPACE, "coverage", "seed")
KEPT: tuple[str, ...] = (
    *KEYS,
    "head",
    "weight_decay",
    "steps",
    "closed",
    "closed_low",
    "closed_high",
    "test",
    "test_concepts",
    "train",
    "run",
)
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Change:
    """One thing that may help: the sweep, the setting that differs and its value there, and words for it."""

    sweep: str
    setting: str
    value: Any
    words: str

    def of(self, rows: Rows) -> Rows:
        """The rows of the change."""
        return [row for row in rows if row[self.setting] == self.value]


CHANGES = (
    Change("head", "head", "product", "multiplicative read-out"),
    Change("decay", "weight_decay", 0.5, "weight decay 0.5"),
)
PLAIN = "the recipe"


def flops(row: dict[str, Any]) -> float:
    """FLOPs of a whole run."""
    config = make_config({name: row[name] for name in make_config({}).model_dump()})
    return step_flops(config) * config.steps


def paired(plain: Rows, changed: Rows, figure: str) -> list[tuple[float, float, float]]:
    """(coverage, plain, changed) of every pair of models."""
    mine = {tuple(row[k] for k in KEYS): row for row in plain}
    pairs = [(row, mine[key]) for row in changed if (key := tuple(row[k] for k in KEYS)) in mine]
    return [(a["coverage"], b[figure], a[figure]) for a, b in pairs if None not in (a[figure], b[figure])]


def difference(pairs: list[tuple[float, float, float]]) -> str:
    """Mean of changed minus plain, pairs drawn again."""
    return ranged(*bootstrap(lambda d: float(np.mean(d)), [changed - plain for _, plain, changed in pairs]))


def by_coverage(plain: Rows, changed: Rows) -> Rows:
    """Means and differences at each coverage, over seeds."""
    lines = []
    pairs = paired(plain, changed, "closed")
    for place in sorted({coverage for coverage, _, _ in pairs}):
        some = [pair for pair in pairs if pair[0] == place]
        means = [float(np.mean([pair[i] for pair in some])) for i in (1, 2)]
        line = {"coverage": place, "pairs": len(some), PLAIN: means[0], "changed": means[1]}
        lines.append({**line, "difference": difference(some)})
    return lines


def shift(plain: Threshold, changed: Threshold) -> str:
    """Threshold with the change minus without, with the interval of a difference of independent figures."""
    if plain.middle is None or changed.middle is None:
        return "one of the curves has no threshold"
    halves = [(t.interval.high - t.interval.low) / 2 for t in (plain, changed)]
    moved, half = changed.middle - plain.middle, float(np.hypot(halves[0], halves[1]))
    return f"{moved:+.2f} ({moved - half:+.2f} to {moved + half:+.2f}) of coverage"


def more_coverage(plain: Rows) -> str:
    """What the next coverage adds to the recipe, beside the differences that the changes make."""
    means = {
        c: float(np.mean([r["closed"] for r in plain if r["coverage"] == c and r["closed"] is not None]))
        for c in sorted({row["coverage"] for row in plain})
    }
    steps = [f"{a:g} to {b:g}: {means[b] - means[a]:+.2f}" for a, b in pairwise(means)]
    return "More coverage, the recipe on closed scenes: " + "; ".join(steps) + "."


def section(plain: Rows, changed: Rows, change: Change) -> list[str]:
    """One change: thresholds, their shift, and the differences at each coverage."""
    compute = sum(map(flops, changed)) / sum(map(flops, plain))
    one, other = transitions(plain)[0], transitions(changed)[0]
    return [
        f"## {change.words[:1].upper()}{change.words[1:]}; FLOPs over those of the recipe: {compute:.2f}",
        table([line_of(one, setting=PLAIN), line_of(other, setting=change.words)]),
        f"Shift of the threshold: {shift(one.threshold, other.threshold)}. Mean difference on closed scenes over all pairs: "
        f"{difference(paired(plain, changed, 'closed'))}; on all held-out scenes: {difference(paired(plain, changed, 'test'))}.",
        table(by_coverage(plain, changed)),
    ]


def by_setting(plain: Rows, rows: Rows, setting: str, coverage: float) -> Rows:
    """Recognition for every value of a setting at one coverage: means over seeds with their range."""
    here = [row for row in [*plain, *rows] if row["coverage"] == coverage]
    lines = []
    for value in sorted({row[setting] for row in here}):
        some = [row for row in here if row[setting] == value]
        line: dict[str, Any] = {setting.replace("_", " "): value, "models": len(some)}
        for figure, words in (("closed", "closed scenes"), ("test", "held-out objects"), ("train", "training objects")):
            line[words] = over_seeds(row[figure] for row in some)
        lines.append(line)
    return lines


def matching(rows: Rows, others: Rows) -> Rows:
    """Rows of the concept spaces of others."""
    spaces = {tuple(row[n] for n in SPACE) for row in others}
    return [row for row in rows if tuple(row[n] for n in SPACE) in spaces]


def drawn(plain: Rows, changes: Sequence[tuple[Change, Rows]]) -> Panel:
    """The curves of the recipe and of every change."""
    lines = [curve(transitions(plain)[0], PLAIN)]
    lines += [curve(transitions(rows)[0], change.words) for change, rows in changes]
    title = f"C = {plain[0]['concepts']}, {plain[0]['values'] ** plain[0]['concepts']:,} objects"
    ceiling = Reference(0.5, "bag of concepts")
    return Panel(title, "coverage", "objects, closed scenes", lines, [ceiling], x_range=(0, 0.9), y_range=(0, 1))


def main() -> None:
    """Make the page, the rows and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="Directory of the sweeps.")
    runs = parser.parse_args().runs
    found = {change.sweep: read_table(runs / change.sweep) for change in CHANGES}
    plain = matching(read_table(runs / "transition"), found["head"])
    changes = [(change, change.of(found[change.sweep])) for change in CHANGES]
    parts = [part for change, rows in changes for part in section(plain, rows, change)]
    parts += [
        "## Weight decay at coverage 0.5",
        "Mean over seeds (their range).",
        table(by_setting(plain, found["decay"], "weight_decay", 0.5)),
        "## More coverage",
        more_coverage(plain),
        "![what helps](helps.svg)",
    ]
    kept = [*plain, *(row for rows in found.values() for row in rows)]
    write_rows(RESULTS / "helps.csv", [{name: row[name] for name in KEPT} for row in kept])
    before = [f"bindscope sweep studies/{name}.yaml --out RUNS/{name}" for name in ("transition", *found)]
    title = "What lowers the threshold at equal compute"
    write_page(RESULTS / "helps.md", title, parts, before)
    caption = "Mean over seeds, bands: their range."
    write(RESULTS / "helps.svg", [drawn(plain, changes)], title=title, caption=caption)


if __name__ == "__main__":
    main()
