"""When does binding begin to generalise? Recognition of held-out objects over coverage, thresholds, training length.

    for name in transition transition_low transition3 transition64 length longer batch; do
        bindscope sweep studies/$name.yaml --out RUNS/$name
    done
    python studies/transition.py --runs RUNS

Writes results/transition.{csv,md,svg} from the tables of the sweeps that are there.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from pages import over_seeds, ranged, table, write_page, write_rows
from plots import Line, Panel, Reference, write

from bindscope.runs.sweep import TABLE, read_table
from bindscope.runs.transition import Transition, transitions

RESULTS = Path(__file__).parents[1] / "results"
FIGURES = {
    "closed": "closed scenes",
    "test": "all held-out scenes",
    "test_paper": "all held-out scenes, by the metric of the paper's training script",
}
KEPT: tuple[str, ...] = (
    "concepts",
    "values",
    "coverage",
    "seed",
    "steps",
    "batch",
    "closed",
    "closed_low",
    "closed_high",
    "closed_n",
    "test",
    "test_paper",
    "test_concepts",
    "train",
    "train_concepts",
    "run",
)
SPACES = ("transition", "transition_low", "transition3", "transition64")
LENGTHS = ("length", "longer")
BATCH = "batch"
STILL = 0.05  # of recognition: twice the steps change no more than this where the answer stands still
Rows = Sequence[dict[str, Any]]


def curve(one: Transition, label: str) -> Line:
    """Mean over seeds with the range of them."""
    places = np.unique(one.coverage)
    values = [one.figure[one.coverage == place] for place in places]
    return Line(
        label,
        [float(place) for place in places],
        [float(v.mean()) for v in values],
        [float(v.min()) for v in values],
        [float(v.max()) for v in values],
        dashed=not one.learnt,
    )


def line_of(one: Transition, **more: Any) -> dict[str, Any]:
    """One row of the table of thresholds."""
    place = one.threshold
    why = "" if place.middle is not None else place.why
    why = why if one.learnt else "training objects not learnt"
    return {
        **more,
        "objects": one.n_objects,
        "models": len(one.figure),
        "threshold": why or ranged(place.middle, *place.interval),
        "from": place.low,
        "to": place.high,
        "slope": place.slope,
        "training objects": one.train,
    }


def threshold_line(found: Sequence[Transition], label: str) -> Line:
    """Thresholds against the number of objects."""
    there = [one for one in found if one.learnt and one.threshold.middle is not None]
    return Line(
        label,
        [one.n_objects for one in there],
        [one.threshold.middle for one in there],
        [one.threshold.interval.low for one in there],
        [one.threshold.interval.high for one in there],
    )


def panels(rows: Rows, lengths: Rows) -> list[Panel]:
    """Curves by C, thresholds against |O|, and the curves of each training length."""
    made = []
    for count, some in by_concepts(rows).items():
        lines = [
            curve(one, f"{one.n_objects:,} objects" + ("" if one.learnt else " (not learnt)"))
            for one in transitions(some)
            if len(np.unique(one.coverage)) > 1
        ]
        made.append(panel(f"C = {count}", lines))
    lines = [threshold_line(transitions(some), f"C = {count}") for count, some in by_concepts(rows).items()]
    made.append(Panel("Threshold", "objects", "coverage", lines, x_log=True, y_range=(0, 1)))
    if lengths:
        lines = [curve(one, f"{one.settings['steps']:,} steps") for one in by_steps(lengths)]
        made.append(panel("256 objects, by training length", lines))
    return made


def panel(title: str, lines: Sequence[Line]) -> Panel:
    """Recognition on closed scenes over coverage."""
    ceiling = Reference(0.25, "bag of concepts") if "C = 3" in title else Reference(0.5, "bag of concepts")
    return Panel(title, "coverage", "objects, closed scenes", lines, [ceiling], x_range=(0, 0.9), y_range=(0, 1))


def length_rows(lengths: Rows) -> list[dict[str, Any]]:
    """Recognition on closed scenes, mean over seeds (their range), by training length and coverage."""
    places = sorted({row["coverage"] for row in lengths})
    lines = []
    for one in by_steps(lengths):
        line: dict[str, Any] = {"steps": one.settings["steps"]}
        for place in places:
            line[f"coverage {place:g}"] = over_seeds(one.figure[one.coverage == place])
        lines.append(line)
    return lines


def length_sentence(lengths: Rows) -> str:
    """For each coverage, the training length from which on twice the steps change nothing that matters."""
    found = by_steps(lengths)
    words = []
    for place in sorted({row["coverage"] for row in lengths}):
        there = [one for one in found if place in one.coverage]
        if len(there) < 2:
            continue
        moves = [abs(mean_at(long, place) - mean_at(short, place)) for short, long in pairwise(there)]
        still = next((i for i in range(len(moves)) if max(moves[i:]) <= STILL), None)
        last = f"{there[-1].settings['steps']:,}"
        since = (
            f"not yet at {last}" if still is None else f"from {there[still].settings['steps']:,} on (seen to {last})"
        )
        words.append(f"coverage {place:g}: {since}")
    return f"Steps from which on more of them change the mean by at most {STILL}: {'; '.join(words)}."


def by_steps(lengths: Rows) -> list[Transition]:
    """One group for each training length, shortest first."""
    return sorted(transitions(lengths), key=lambda one: int(one.settings["steps"]))


def batch_rows(rows: Rows, larger: Rows) -> list[dict[str, Any]]:
    """Recognition on closed scenes with the batch of the recipe and a larger one, at equal steps."""
    lines = []
    places = sorted({row["coverage"] for row in larger})
    for some in filter(None, (rows, larger)):
        line: dict[str, Any] = {"batch": some[0]["batch"]}
        for place in places:
            line[f"coverage {place:g}"] = over_seeds(row["closed"] for row in some if row["coverage"] == place)
        lines.append({**line, "models": sum(row["coverage"] in places for row in some)})
    return lines


def by_concepts(rows: Rows) -> dict[int, Rows]:
    """Rows by number of concepts."""
    return {count: [r for r in rows if r["concepts"] == count] for count in sorted({r["concepts"] for r in rows})}


def trend(rows: Rows) -> str:
    """Thresholds of the smallest and the largest space of each number of concepts, in words, and the paper's."""
    words = []
    for count, some in by_concepts(rows).items():
        found = [one for one in transitions(some) if one.learnt and one.threshold.middle is not None]
        found.sort(key=lambda one: one.n_objects)
        places = [f"{ranged(o.threshold.middle, *o.threshold.interval)} at {o.n_objects:,} objects" for o in found]
        words.append(f"C = {count}: {', '.join(places) if places else 'no curve has a threshold'}")
    return (
        "Thresholds on closed scenes. "
        + ". ".join(words)
        + ". The paper (Sec. 6 of arXiv 2605.31503): between 30 % and 40 % at "
        "125,000 objects, about 30 % from 2,500 objects on. 125,000 objects are out of reach of two cores; "
        "`studies/paper500.yaml` is the sweep for a cluster and `results/cost_paper500.md` its cost."
    )


def mean_at(one: Transition, coverage: float) -> float:
    """Mean over seeds at one coverage."""
    return float(one.figure[one.coverage == coverage].mean())


def same_space(rows: Rows, others: Rows) -> Rows:
    """Rows of the concept spaces, coverages and seeds of others."""
    wanted = {tuple(row[name] for name in ("concepts", "values", "coverage", "seed")) for row in others}
    return [r for r in rows if tuple(r[name] for name in ("concepts", "values", "coverage", "seed")) in wanted]


def main() -> None:
    """Make the page, the rows and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="Directory of the sweeps.")
    runs = parser.parse_args().runs
    made = [name for name in (*SPACES, *LENGTHS, BATCH) if (runs / name / f"{TABLE}.parquet").is_file()]
    rows = [row for name in SPACES if name in made for row in read_table(runs / name)]
    more = [row for name in LENGTHS if name in made for row in read_table(runs / name)]
    lengths = [*more, *same_space(rows, more)]
    larger = read_table(runs / BATCH) if BATCH in made else []
    write_rows(RESULTS / "transition.csv", [{name: row.get(name) for name in KEPT} for row in [*rows, *more, *larger]])
    parts = [
        f"{len(rows)} models. Recognition by the model's own queries among all objects. A space whose training objects are "
        "recognised in less than 0.9 at the largest coverage was not trained to the end, and has no threshold."
    ]
    parts.append(trend(rows))
    for figure, words in FIGURES.items():
        if not any(row.get(figure) is not None for row in rows):
            continue  # models of an earlier version
        lines = [
            line_of(one, C=count) for count, some in by_concepts(rows).items() for one in transitions(some, figure)
        ]
        parts += [f"## Thresholds, {words}", table(lines)]
    if more:
        parts += [
            "## Training length (C = 2, V = 16)",
            "Closed scenes: mean over seeds (their range).",
            table(length_rows(lengths)),
            length_sentence(lengths),
            table([line_of(one, steps=one.settings["steps"]) for one in by_steps(lengths) if one.threshold.slope]),
        ]
    if larger:
        parts += [
            "## Batch (C = 2, V = 16)",
            "Closed scenes: mean over seeds (their range), at equal steps. A larger batch reads more scenes, and does not "
            "stand for more steps; larger spaces take it since they are not learnt otherwise.",
            table(batch_rows(same_space(rows, larger), larger)),
        ]
    parts += ["![transition](transition.svg)"]
    before = [f"bindscope sweep studies/{name}.yaml --out RUNS/{name}" for name in made]
    write_page(RESULTS / "transition.md", "When binding begins to generalise: the coverage transition", parts, before)
    write(
        RESULTS / "transition.svg",
        panels(rows, lengths),
        title="Held-out objects on closed scenes over coverage",
        caption="Lines: mean over seeds, bands: their range; thresholds with 95 % intervals.",
        own_legends=True,
    )


if __name__ == "__main__":
    main()
