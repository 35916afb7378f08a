"""What makes a pretrained model bind, at equal compute?

    PYTHONPATH=studies python -m finetune.study --runs RUNS [--groups coverage words helps] [--pairs pairs:DIR] [--seeds 3]

Each condition is one `bindscope finetune` under RUNS/finetune, which goes on where it was stopped; finished ones are read
back. Writes results/finetune.{csv,md} from all that are finished. `--cost` only counts what is left to do.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pages import over_seeds, table, write_page, write_rows

from bindscope.results import Record, Results, read_results
from bindscope.runs.finetune import finetune_model

RESULTS = Path(__file__).parents[2] / "results"
MODEL = "st:sentence-transformers/all-MiniLM-L6-v2"
STEP_SECONDS = 1.1  # CPU seconds of MiniLM, one thread of a processor that multiplies in bf16


@dataclass(frozen=True)
class Condition:
    """One way to tune. settings: what differs from the defaults."""

    group: str
    name: str
    settings: dict[str, Any] = field(default_factory=dict)


CONDITIONS = (
    *(Condition("coverage", f"coverage {share}", {"coverage": share}) for share in (0.1, 0.2, 0.3, 0.5, 0.65, 0.8)),
    *(Condition("words", f"{n} x {n} words", {"data": f"built-in:{n}x{n}"}) for n in (10, 20, 40, 70, 100)),
    Condition("helps", "the recipe"),
    Condition("helps", "more coverage", {"coverage": 0.8}),
    Condition("helps", "few words", {"data": "built-in:20x20"}),
    Condition("helps", "four wordings", {"wordings": 4, "apart": 0.0, "relations": 0.0}),
    Condition("helps", "no wordings with an order", {"relations": 0.0}),
    Condition("helps", "negatives in other wordings", {"own_wording": 0.0}),
    Condition("helps", "no object queries", {"query_weight": 0.0}),
    Condition("helps", "nothing kept", {"keep_weight": 0.0, "similarity_weight": 0.0}),
    Condition("helps", "last two layers", {"train": "last:2"}),
    Condition("helps", "LoRA of rank 16", {"train": "lora:16", "learning_rate": 1e-3}),
)
FIGURES = {
    "closed objects": ("object_recognition", "naming_closed"),
    "swaps, same wording": ("swap_accuracy", "swaps_closed_own"),
    "unseen words, same wording": ("swap_accuracy", "swaps_unseen_words_own"),
    "roles, relations never seen": ("swap_accuracy", "exchanges_untrained"),
    "natural pairs": ("pair_all_right", "pair_all_right_all"),
    "natural pairs, same words": ("pair_all_right", "pair_all_right_same_bag"),
}


def conditions(groups: Sequence[str], seeds: int) -> Iterator[tuple[Condition, int]]:
    """Every condition of the groups with every seed, seed by seed."""
    for seed in range(seeds):
        for one in CONDITIONS:
            if one.group in groups:
                yield one, seed


def place_of(runs: Path, one: Condition, seed: int, steps: int) -> Path:
    """The directory of one run."""
    return runs / "finetune" / f"{one.group}-{one.name}-{steps}-{seed}".replace(" ", "_").replace(",", "")


def rows_of(one: Condition, seed: int, steps: int, results: Results) -> dict[str, Any]:
    """The figures of a finished run, of the tuned weights alone, with the harm beside them."""
    row: dict[str, Any] = {"group": one.group, "condition": one.name, "seed": seed, "steps": steps}
    for words, (metric, question) in FIGURES.items():
        found = [r for r in results if r.metric == metric and r.extra.get("question") == question and _raw(r)]
        row[words] = found[0].value if found else None
    kept = [r for r in results if r.metric == "similarity_kept" and _raw(r) and "pairs" not in r.extra]
    return {**row, "similarities kept": kept[0].value if kept else None}


def _raw(record: Record) -> bool:
    return record.extra.get("weights") == "raw" and not record.extra.get("change")


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Tune what is not finished, and give a row of each."""
    rows = []
    for one, seed in conditions(arguments.groups, arguments.seeds):
        place = place_of(arguments.runs, one, seed, arguments.steps)
        if not (place / "results.parquet").is_file():
            print(place.name, flush=True)
            settings = {"steps": arguments.steps, "threads": 1, **one.settings}
            finetune_model(arguments.model, place, pairs=arguments.pairs, seed=seed, **settings)
        rows.append(rows_of(one, seed, arguments.steps, read_results(place)))
    return rows


def summary(rows: Sequence[dict[str, Any]], group: str) -> str:
    """One line a condition, figures over seeds."""
    some = [row for row in rows if row["group"] == group]
    names = list(dict.fromkeys(row["condition"] for row in some))
    figures = [*FIGURES, "similarities kept"]
    lines = []
    for name in names:
        own = [row for row in some if row["condition"] == name]
        lines.append(
            {"condition": name, "seeds": len(own), **{f: over_seeds([row[f] for row in own]) for f in figures}}
        )
    return table(lines)


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--groups", nargs="+", default=["coverage", "words", "helps"])
    parser.add_argument("--pairs", default=None)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--cost", action="store_true")
    arguments = parser.parse_args()
    wanted = list(conditions(arguments.groups, arguments.seeds))
    left = [w for w in wanted if not (place_of(arguments.runs, *w, arguments.steps) / "results.parquet").is_file()]
    print(
        f"{len(wanted)} runs, {len(left)} to do, about {len(left) * arguments.steps * STEP_SECONDS / 3600:.1f} CPU hours"
    )
    if arguments.cost:
        return
    rows = run(arguments)
    write_rows(RESULTS / "finetune.csv", rows)
    parts = [f"## {group}\n\n{summary(rows, group)}" for group in arguments.groups]
    lead = (
        "Tuned weights alone, mean over seeds with the range. Closed objects: 14 x 14 words, all objects as candidates."
    )
    write_page(RESULTS / "finetune.md", "What makes a pretrained model bind", [lead, *parts])


if __name__ == "__main__":
    main()
