"""Does the multiplicative form go with generalisation? Held-out fit of small learners over many trained models.

    for name in forms2 forms3; do bindscope sweep studies/$name.yaml --out RUNS/$name; done
    python studies/forms.py --runs RUNS

Fits the learners to every model (kept in its directory, so a killed run goes on) and writes results/forms.{csv,md,svg}:
rank correlations with held-out object recognition, alone and with coverage, |O|, C, length and size held constant.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from pages import bootstrap, ranged, table, write_page, write_rows
from plots import Line, Panel, write
from scipy import stats

from bindscope.parallel import run_jobs
from bindscope.runs.model_forms import FILE, FORMS, form_figures
from bindscope.runs.sweep import read_table

RESULTS = Path(__file__).parents[1] / "results"
SWEEPS = ("forms2", "forms3")
MOST_VALUES = 12
FLOOR = -1.0
CAPTION = "R^2 below -1 (a form that diverged on held-out objects) is drawn at -1."
SETTINGS = ("concepts", "values", "coverage", "width", "layers", "steps", "seed")
HELD = ("concepts", "values", "coverage", "width", "layers", "steps")
SIDES = ("object cosine", "binding cosine", "binding share")
Rows = list[dict[str, Any]]


def job(directory: str) -> dict[str, float | None]:
    """The figures of one model, in a worker."""
    return form_figures(Path(directory))


def collected(runs: Path, fitted: bool = False) -> Rows:
    """One row a model: settings, recognition, figures of the forms; `fitted`: only models whose learners are done."""
    rows = [
        {**row, "directory": str(runs / name / row["run"])}
        for name in SWEEPS
        if (runs / name).is_dir()
        for row in read_table(runs / name)
        if row["values"] <= MOST_VALUES and (not fitted or (runs / name / row["run"] / FILE).is_file())
    ]
    for count, (number, figures) in enumerate(run_jobs(job, [(row["directory"],) for row in rows]), 1):
        rows[number] |= figures
        sys.stderr.write(f"\r{count} of {len(rows)} models ")
    return [row for row in rows if None not in (row["test"], row[f"r2 {FORMS[0]}"])]  # a single scene has no variance


def spearman(x: Any, y: Any) -> float:
    """Rank correlation."""
    return float(stats.spearmanr(x, y).statistic)


def partial(x: Any, y: Any, *held: Any) -> float:
    """Rank correlation of what the ranks of the settings leave of both."""
    design = np.column_stack([np.ones(len(x)), *(stats.rankdata(h) for h in held)])
    left = [r - design @ np.linalg.lstsq(design, r, rcond=None)[0] for r in (stats.rankdata(x), stats.rankdata(y))]
    return float(np.corrcoef(*left)[0, 1])


def correlation(rows: Rows, name: str, figure: str) -> dict[str, Any]:
    """One line of the table: a figure of the form against one of recognition."""
    there = [row for row in rows if row.get(name) is not None and row[figure] is not None]
    x, y = ([row[n] for row in there] for n in (name, figure))
    held = [[row[n] for row in there] for n in HELD]
    return {
        "figure": name,
        "models": len(there),
        "rank correlation": ranged(*bootstrap(spearman, x, y)),
        "settings held constant": ranged(*bootstrap(partial, x, y, *held)),
    }


def scatter(rows: Rows, x: str, title: str, label: str) -> Panel:
    """Recognition of held-out objects against one figure, one point a model, by number of concepts.

    A form that diverged is drawn at FLOOR, as the plot says; the tables hold its R^2.
    """
    lines = []
    for count in (2, 3):
        there = [row for row in rows if row["concepts"] == count and row.get(x) is not None]
        lines.append(
            Line(f"C = {count}", [max(row[x], FLOOR) for row in there], [row["test"] for row in there], joined=False)
        )
    return Panel(title, label, "held-out object recognition", lines, y_range=(0, 1))


def panels(rows: Rows) -> list[Panel]:
    """Fig. 9 of the paper for each learner, the two sides, and the trade-off of concepts and objects."""
    fits = [scatter(rows, f"r2 {name}", name.split("?")[0], "R^2, held-out objects") for name in FORMS]
    return [
        *fits,
        scatter(rows, "beyond", "per-object beyond additive", "R^2 gained"),
        scatter(rows, "binding cosine", "the same rule on both sides", "cosine of the binding parts of f and q"),
        scatter(rows, "test_concepts", "concepts and objects", "held-out concept recognition"),
    ]


def beyond(row: dict[str, Any]) -> float:
    """R^2 that the product within each object adds to the additive form."""
    return float(row["r2 per-object?slots=shared"] - row["r2 additive?slots=shared"])


def fitting(rows: Rows) -> str:
    """Do both sides follow one rule where the form fits? Models halved at the median fit of the per-object form."""
    there = [row for row in rows if row["binding cosine"] is not None]
    name = "r2 per-object?slots=shared"
    middle = float(np.median([row[name] for row in there]))
    words = []
    for label, above in (("below", False), ("above", True)):
        cosines = [row["binding cosine"] for row in there if (row[name] >= middle) == above]
        words.append(f"{label} it {ranged(*bootstrap(lambda x: float(np.mean(x)), cosines))}")
    return (
        "Mean cosine of the binding parts of f and q over held-out objects, models whose per-object fit lies around the "
        f"median R^2 of {middle:.2f}: {', '.join(words)} ({len(there)} models with enough held-out objects)."
    )


def trade_off(rows: Rows) -> str:
    """Rank correlation of concept and object recognition on held-out objects."""
    x, y = ([row[name] for row in rows] for name in ("test_concepts", "test"))
    held = [[row[n] for row in rows] for n in HELD]
    return (
        f"Concept against object recognition on scenes of held-out objects: {ranged(*bootstrap(spearman, x, y))}; "
        f"settings held constant {ranged(*bootstrap(partial, x, y, *held))}. A trade-off would be negative."
    )


def main() -> None:
    """Make the page, the rows and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="Directory of the sweeps.")
    parser.add_argument("--fitted", action="store_true", help="Only models whose learners are done.")
    asked = parser.parse_args()
    rows = collected(asked.runs, asked.fitted)
    for row in rows:
        row["beyond"] = beyond(row)
    names = [*(f"r2 {name}" for name in FORMS), "beyond", *(f"objects {name}" for name in FORMS), *SIDES]
    kept = (*SETTINGS, "closed", "test", "test_concepts", "train", *names)
    write_rows(RESULTS / "forms.csv", [{name: row.get(name) for name in kept} for row in rows])
    parts = [
        f"{len(rows)} models of at most {MOST_VALUES} values. `r2`: R^2 of a learner of that form on scenes of held-out objects, "
        "fitted on scenes of training objects; `objects`: object recognition of its predictions by the model's own queries; "
        "`beyond`: R^2 that the product within each object adds to the additive form. Intervals: models drawn again.",
        "## Against recognition of held-out objects, all scenes",
        table([correlation(rows, name, "test") for name in names]),
        "## Against recognition of held-out objects, closed scenes",
        table([correlation(rows, name, "closed") for name in names]),
        "## The same rule on both sides",
        fitting(rows),
        "## Is there a trade-off?",
        trade_off(rows),
        "![forms](forms.svg)",
    ]
    before = [f"bindscope sweep studies/{name}.yaml --out RUNS/{name}" for name in SWEEPS]
    write_page(RESULTS / "forms.md", "The form of the binding function and generalisation", parts, before)
    write(
        RESULTS / "forms.svg",
        panels(rows),
        title="Form against generalisation, one point a model",
        caption=CAPTION,
        columns=3,
    )


if __name__ == "__main__":
    main()
