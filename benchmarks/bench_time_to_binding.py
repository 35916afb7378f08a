"""Time to binding: held-out recognition over seconds of training, by the tiny recipe and by the paper's on one task.

2 concepts of 16 values at coverage 0.8. The paper's recipe is the tiny one with one token per concept and AdamW at a
constant 3e-5; it is left off at 20 times the time at which tiny reached 0.9. Killed, the program goes on where it stopped;
a finished run is not timed again unless its directory (said on standard error) is removed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from bindscope.controlled.config import TrainConfig, preset
from bindscope.controlled.log import read_log
from bindscope.controlled.train import train
from bindscope.embeddings import default_cache
from harness import RESULTS, Cell, write_result

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "studies"))
from plots import Line, Panel, Reference, write

REACHED = 0.9
TASK: dict[str, Any] = {"concepts": 2, "values": 16, "coverage": 0.8}
PAPER: dict[str, Any] = {"tokens": "concept", "optimizer": "adamw", "learning_rate": 3e-5, "schedule": "constant"}
ENDLESS = 10_000_000  # steps of a run that the clock ends
QUICK: dict[str, Any] = {"steps": 40, "evaluate_every": 20, "checkpoint_every": 20, "test_scenes": 200, "values": 8}
SIDES = {"test": "all held-out objects", "closed": "closed scenes"}


class TimeUp(Exception):
    """The limit of a run is reached; its directory keeps the last checkpoint and the log."""


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few steps of a small task; the figures mean nothing")
    parser.add_argument("--threads", type=int, default=2, help="threads of both runs")
    parser.add_argument(
        "--seconds-factor", type=float, default=20.0, help="limit of the paper's recipe, in times of tiny's"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="directory of the two runs; default: under the cache")
    return parser.parse_args()


def curve(config: TrainConfig, directory: Path, limit: float = float("inf")) -> list[dict[str, Any]]:
    """Lines of the log up to a number of seconds of training; goes on from what is there."""

    def say(line: dict[str, Any]) -> None:
        print(
            f"{directory.name:>14} {line['seconds']:8.1f} s  step {line['step']:>7,}  held out {figure(line, 'test'):.3f}",
            file=sys.stderr,
        )
        if line["seconds"] >= limit:
            raise TimeUp

    log = read_log(directory)
    if not log or log[-1]["seconds"] < limit:
        with suppress(TimeUp):
            train(config, directory, say)
    return [line for line in read_log(directory) if line["seconds"] <= limit] or read_log(directory)[:1]


def figure(line: dict[str, Any], side: str) -> float:
    """Object recognition of one side in a line of the log; NaN where it has no scenes."""
    return float(line[side]["object_recognition"]) if side in line else float("nan")


def reached(log: Sequence[dict[str, Any]], side: str) -> float | None:
    """Seconds at which recognition first stood at 0.9 or above."""
    return next((line["seconds"] for line in log if figure(line, side) >= REACHED), None)


def row(name: str, config: TrainConfig, log: Sequence[dict[str, Any]]) -> dict[str, Cell]:
    """A recipe's row of the table."""
    last = log[-1]
    cells: dict[str, Cell] = {"recipe": name, "steps": last["step"], "seconds": last["seconds"]}
    cells["steps/s"] = last["step"] / last["seconds"]
    for side, words in SIDES.items():
        cells[f"to {REACHED}, {words}"] = reached(log, side)
        cells[f"last, {words}"] = figure(last, side)
    cells["best, all held-out objects"] = max(figure(line, "test") for line in log)
    return cells


def draw(path: Path, logs: dict[str, Sequence[dict[str, Any]]], caption: str) -> None:
    """Recognition over seconds, one panel for each kind of scenes, with chance and the ceiling of a bag."""
    panels = []
    for side, words in SIDES.items():
        known = [line[side] for log in logs.values() for line in log if side in line]
        lines = [
            Line(n, [x["seconds"] for x in log], [figure(x, side) for x in log], marks=len(log) <= 40)
            for n, log in logs.items()
        ]
        references = [Reference(REACHED, f"{REACHED}")]
        if known:
            references += [Reference(known[0]["ceiling"], "ceiling of a bag"), Reference(known[0]["chance"], "chance")]
        title = f"{words[:1].upper()}{words[1:]}"
        panels.append(
            Panel(title, "seconds of training", "object recognition", lines, references, True, y_range=(0, 1))
        )
    write(path, panels, title="Time to binding", caption=caption)


def main() -> None:
    """Run, write the table, and draw."""
    asked = options()
    torch.set_num_threads(asked.threads)
    name = "time_to_binding" + "-quick" * asked.quick
    out = asked.out or default_cache() / "benchmarks" / f"{name}-threads{asked.threads}-seed{asked.seed}"
    task = {**TASK, "seed": asked.seed, "threads": asked.threads, **(QUICK if asked.quick else {})}
    tiny = preset("tiny", **{"evaluate_every": 100, "checkpoint_every": 100, **task})
    paper = preset("tiny", **{"evaluate_every": 250, "checkpoint_every": 250, **task, **PAPER, "steps": ENDLESS})
    print(f"runs in {out}", file=sys.stderr)
    logs: dict[str, Sequence[dict[str, Any]]] = {"tiny": curve(tiny, out / "tiny")}
    first = reached(logs["tiny"], "test")
    limit = asked.seconds_factor * (first or logs["tiny"][-1]["seconds"])
    logs["paper's recipe"] = curve(paper, out / "paper", limit)
    rows = [row("tiny", tiny, logs["tiny"]), row("paper's recipe", paper, logs["paper's recipe"])]
    notes = make_notes(asked, first, limit, reached(logs["paper's recipe"], "test"))
    title = f"Time to binding, 2 x {tiny.values} values at coverage {tiny.coverage}, {asked.threads} threads"
    write_result(name, title, rows, notes)
    draw(RESULTS / f"{name}.svg", logs, " ".join([f"{title}.", *notes[:2]]))


def make_notes(asked: argparse.Namespace, first: float | None, limit: float, slow: float | None) -> list[str]:
    """What the table says, in words."""
    notes = [
        "Seconds of training; evaluations are not counted. Both runs start from the same seed and see the same objects."
    ]
    if first is None:
        notes.append(
            f"Tiny did not reach {REACHED} on held-out objects; the limit is {asked.seconds_factor:g} times its whole run."
        )
    elif slow is None:
        notes.append(
            f"Tiny reached {REACHED} on held-out objects after {first:.1f} s; the paper's recipe did not within {limit:.0f} s, "
            f"{asked.seconds_factor:g} times as long."
        )
    else:
        notes.append(
            f"Tiny reached {REACHED} after {first:.1f} s, the paper's recipe after {slow:.1f} s: {slow / first:.1f} times."
        )
    return [*notes, "Paper's recipe: one token per concept, AdamW at a constant 3e-5; all else as tiny."]


if __name__ == "__main__":
    main()
