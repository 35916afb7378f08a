"""Scale: all analyses of text:20x20 (160,400 rows x 512, planted vectors), and how each part grows with the rows.

Each size runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

import numpy as np

from bindscope.analyses.geometry.levels import fit_additive
from bindscope.datasets import load_dataset
from bindscope.embeddings import embed
from bindscope.encoders import load_encoder
from bindscope.recognition import zero_shot
from bindscope.runs.diagnose import analyse
from bindscope.runs.settings import Settings
from bindscope.uncertainty import ObjectBootstrap
from harness import Cell, arguments, timed, write_result

MODEL, DATA = "planted:mixed?dim=512&noise=0.3", "text:20x20?same=true&singles=true"
SIZES = (10_000, 40_000, 160_400)
SECONDS, GIBIBYTES = 120.0, 4.0


def measure(rows: int) -> dict[str, Cell]:
    """One size: seconds of the parts that must be linear, of each analysis, and the peak memory of the process."""
    dataset = load_dataset(DATA)
    if rows < len(dataset.table):
        chosen = np.random.default_rng(0).choice(len(dataset.table), rows, replace=False)
        dataset = dataset.take(np.sort(chosen))
    embeddings, making = timed(lambda: embed(load_encoder(MODEL), dataset))
    vectors, table, queries = embeddings.vectors, embeddings.table, embeddings.queries
    assert queries is not None
    _, fit = timed(lambda: fit_additive(vectors, table, "ols+pos", "level1"), 3)
    outcome, recognition = timed(lambda: zero_shot(vectors, table, queries))
    _, interval = timed(lambda: ObjectBootstrap.of(table).mean(outcome.objects.right))
    found: dict[str, Cell] = {
        "rows": len(table),
        "encode s": making,
        "fit s": fit,
        "recognition s": recognition,
        "interval s": interval,
    }
    settings = Settings(MODEL, DATA)
    started = last = time.perf_counter()
    processor = time.process_time()
    running: list[str] = []

    def step(text: str) -> None:
        nonlocal last
        now = time.perf_counter()
        if running:
            found[f"{running[-1]} s"] = now - last
        running.append(f"all {text.split()[0]}")
        last = now

    analyse(embeddings, settings, say=step)
    step("done")
    found["all analyses s"] = time.perf_counter() - started
    found["all analyses CPU s"] = time.process_time() - processor
    found["peak GiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return found


def main() -> None:
    """Run every size and compare the largest with what must be reached."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(int(sys.argv[2]))))
        return
    quick = arguments(__doc__).quick
    rows = [one(size) for size in (SIZES[:2] if quick else SIZES)]
    largest = rows[-1]
    reached = float(largest["all analyses s"] or 0) < SECONDS and float(largest["peak GiB"] or 0) < GIBIBYTES
    notes = [f"`all ...`: the analyses as `bindscope diagnose` runs them; {MODEL} on {DATA}"]
    notes.append(
        "QUICK RUN: without the largest size"
        if quick
        else f"to reach: all analyses under {SECONDS:.0f} s and {GIBIBYTES:.0f} GiB: {'reached' if reached else 'NOT REACHED'}"
    )
    write_result("scale" + "-quick" * quick, "Rows against seconds and memory, 512 dimensions", rows, notes)


def one(size: int) -> dict[str, Cell]:
    """The measures of one size, from a process of its own."""
    run = subprocess.run([sys.executable, __file__, "--one", str(size)], check=True, capture_output=True, text=True)
    measured: dict[str, Cell] = json.loads(run.stdout.splitlines()[-1])
    return measured


if __name__ == "__main__":
    main()
