"""Held-out objects as negatives (`queries: all`, as the paper's code has it) against training objects alone.

    bindscope sweep studies/queries.yaml --out RUNS/queries
    python studies/queries.py --runs RUNS

Writes results/queries.{csv,md}. Beside recognition among all objects stands that among test objects alone: a model that has
learnt which objects never occur can still tell those apart.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from pages import over_seeds, table, write_page, write_rows

from bindscope.controlled.evaluate import encode_values, object_queries
from bindscope.controlled.sampling import scenes_of_pool, split_run
from bindscope.controlled.train import load_trained
from bindscope.recognition import chance_per_scene, recognise_by_cosine
from bindscope.runs.sweep import read_table

RESULTS = Path(__file__).parents[1] / "results"
KEPT: tuple[str, ...] = (
    "concepts",
    "values",
    "coverage",
    "queries",
    "seed",
    "steps",
    "train",
    "test",
    "closed",
    "closed_n",
    "test_concepts",
    "among_test",
    "among_test_chance",
    "run",
)
FIGURES = {
    "train": "training objects",
    "test": "held-out objects",
    "closed": "closed scenes",
    "test_concepts": "concepts of held-out scenes",
    "among_test": "held-out objects among themselves",
    "among_test_chance": "chance of that",
}
Rows = list[dict[str, Any]]


def among_test(directory: Path) -> dict[str, float]:
    """Recognition of the run's test scenes with the test objects alone as candidates, and its chance."""
    config, model = load_trained(directory)
    objects = split_run(config)
    scenes = scenes_of_pool(objects, objects.test, config.objects, config.test_scenes, config.seed)
    queries = object_queries(model, config, scenes)[objects.test]
    members = np.searchsorted(objects.test, scenes.object_codes)
    found = recognise_by_cosine(encode_values(model.scene, scenes.values), queries, members)
    chance = chance_per_scene(members, len(objects.test))
    return {"among_test": float(found.right.mean()), "among_test_chance": float(chance.mean())}


def means(rows: Rows) -> Rows:
    """One line for each coverage and choice of queries: mean over seeds, with their range."""
    lines = []
    for coverage, queries in sorted({(row["coverage"], row["queries"]) for row in rows}, reverse=True):
        some = [row for row in rows if (row["coverage"], row["queries"]) == (coverage, queries)]
        line: dict[str, Any] = {"coverage": coverage, "queries": queries, "models": len(some)}
        lines.append({**line, **{words: over_seeds((r.get(n) for r in some), 3) for n, words in FIGURES.items()}})
    return lines


def main() -> None:
    """Make the page and the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="Directory of the sweep.")
    runs = parser.parse_args().runs
    rows = [{**row, **among_test(runs / "queries" / row["run"])} for row in read_table(runs / "queries")]
    write_rows(RESULTS / "queries.csv", [{name: row.get(name) for name in KEPT} for row in rows])
    parts = [
        "Queries of the training objects alone (`train`, the default), or of all objects (`all`). A model that is asked for all "
        "learns also which of them never occur, and recognition among all objects then measures that; *among themselves* has "
        "the test objects alone as candidates. Mean over seeds (their range).",
        table(means(rows)),
    ]
    before = ["bindscope sweep studies/queries.yaml --out RUNS/queries"]
    write_page(RESULTS / "queries.md", "Held-out objects as negatives", parts, before)


if __name__ == "__main__":
    main()
