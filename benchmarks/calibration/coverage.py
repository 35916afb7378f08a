"""What the intervals for other words cover, how wide they are, and how often equal models are told apart.

Worlds are drawn anew (worlds.py); the truth of a figure is its mean over them. Beside the coverage of nominal 95 % intervals
stand their mean width over the ideal, 3.92 standard deviations of the figure over worlds, and the share of pairs of worlds whose
difference is called different from zero. A cell that is done is not done again, so the program goes on where it stopped.

    python benchmarks/calibration/coverage.py --worlds 2000 [--only "bag 8x8"]
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from bindscope.uncertainty import Outcome
from calibration.worlds import Cell
from harness import write_table

RESULTS = Path(__file__).resolve().parents[1] / "results" / "calibration"
COLUMNS = ("cell", "figure", "worlds", "scenes", "truth", "coverage", "width", "different", "seconds")
CELLS = (
    Cell("bag", (8, 8)),
    Cell("bag", (8, 8), noise=2.0),
    Cell("bag", (12, 12)),
    Cell("product", (8, 8), noise=1.0),
    Cell("product", (8, 8), dim=32, noise=4.0),
    Cell("product", (12, 12), noise=2.0),
    Cell("mixed", (8, 8), noise=1.0),
    Cell("mixed", (8, 8), noise=4.0),
    Cell("object", (8, 8), noise=1.0),
    Cell("object", (8, 8), noise=4.0),
    Cell("bag", (4, 4, 4), noise=1.0),
    Cell("product", (4, 4, 4), noise=3.0),
    Cell("mixed", (4, 4, 4), noise=2.0),
    Cell("product", (8, 8), m=3, noise=1.0, rows=3_000),
    Cell("mixed", (8, 8), m=3, noise=2.0, rows=3_000),
    Cell("product", (8, 3), noise=1.0),
    Cell("product", (4, 4), noise=1.0),
    Cell("bag", (3, 3), noise=1.0),
    Cell("product", (6, 5), noise=2.0, rows=40),
    Cell("bag", (8, 8), dim=32, noise=2.0, read="read-outs"),
    Cell("mixed", (8, 8), dim=64, noise=1.0, read="read-outs"),
    Cell("product", (8, 8), dim=64, noise=1.0, read="read-outs"),
    Cell("mixed", (4, 4, 4), dim=64, noise=1.0, read="read-outs"),
    Cell("bag", (8, 8), dim=32, noise=1.0, rows=2_000, read="fits"),
    Cell("mixed", (8, 8), dim=32, noise=0.5, rows=2_000, read="fits"),
    Cell("product", (8, 8), dim=32, noise=0.5, rows=2_000, read="fits"),
    Cell("object", (8, 8), dim=32, noise=1.0, rows=2_000, read="fits"),
    Cell("mixed", (4, 4, 4), dim=32, noise=0.5, rows=2_000, read="fits"),
)
SLOW = {"fits": 0.2}  # of the worlds: a figure that is fitted anew without every value costs that much more


def measure(cell: Cell, count: int, seed: int = 0) -> list[dict[str, str | int | float]]:
    """A row for each figure of a cell."""
    start = time.process_time()
    values: dict[str, list[tuple[float, float, float]]] = {}
    apart: dict[str, list[bool]] = {}
    before: dict[str, Outcome] | None = None
    for figures in cell.worlds(count, seed):
        for name, outcome in figures.items():
            if outcome.value is None:
                continue
            values.setdefault(name, []).append((outcome.value, *cell.jackknife.interval(outcome)))
            if before is not None:
                low, high = cell.jackknife.difference(before[name], outcome)[1]
                apart.setdefault(name, []).append(low > 0 or high < 0)
        before = None if before is not None else figures
    seconds = time.process_time() - start
    return [
        {
            "cell": cell.name,
            "figure": name,
            "worlds": len(rows),
            "scenes": len(cell.table),
            **summary(np.array(rows)),
            "different": round(float(np.mean(apart[name])), 4),
            "seconds": round(seconds, 1),
        }
        for name, rows in values.items()
    ]


def summary(rows: np.ndarray) -> dict[str, float]:
    """Truth, coverage and width over the ideal (NaN where the figure never varies) of values with their ends `[worlds, 3]`."""
    value, low, high = rows.T
    truth, ideal = float(value.mean()), 3.92 * float(value.std(ddof=1))
    covered = float(((low <= truth + 1e-12) & (truth - 1e-12 <= high)).mean())
    width = float((high - low).mean()) / ideal if ideal > 1e-9 else float("nan")
    return {"truth": round(truth, 4), "coverage": round(covered, 4), "width": round(width, 3)}


def read(path: Path) -> list[dict[str, str]]:
    """Rows that are there already."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, str]]) -> None:
    """The table as CSV, and as Markdown beside it."""
    write_table(path, rows, COLUMNS, hidden=["seconds"], note=verdict(rows))


def verdict(rows: list[dict[str, str]]) -> str:
    """What the table says of its bars, in a line for each."""
    coverage = np.array([float(row["coverage"]) for row in rows])
    middle = [row for row in rows if 0.01 <= float(row["truth"]) <= 0.99 and row["width"] != "nan"]
    wide = [f"{row['cell']}: {row['figure']} ({row['width']})" for row in middle if float(row["width"]) > 2]
    false = np.array([float(row["different"]) for row in rows])
    return "\n".join(
        (
            f"Coverage: least {coverage.min():.3f}; at least .93 in {(coverage >= 0.93).sum()} of {len(coverage)} figures.",
            "",
            f"Width: at most twice the ideal in {len(middle) - len(wide)} of {len(middle)} figures between .01 and .99. "
            + ("Wider: " + "; ".join(wide) + "." if wide else ""),
            "",
            f"False differences: at most {false.max():.3f}.",
        )
    )


def main() -> None:
    """Measure the cells that are not in the table yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--worlds", type=int, default=2000)
    parser.add_argument("--only", default="", help="cells whose name holds this")
    parser.add_argument("--out", type=Path, default=RESULTS / "coverage.csv")
    told = parser.parse_args()
    for cell in CELLS:
        rows = read(told.out)
        count = round(told.worlds * SLOW.get(cell.read, 1.0))
        done = {row["cell"] for row in rows if int(row["worlds"]) >= count}
        if told.only not in cell.name or cell.name in done:
            continue
        found = [{k: str(v) for k, v in row.items()} for row in measure(cell, count)]
        rows = [row for row in read(told.out) if row["cell"] != cell.name]
        order = {one.name: i for i, one in enumerate(CELLS)}
        write(told.out, sorted(rows + found, key=lambda row: order.get(row["cell"], len(order))))
        for row in found:
            print("  ".join(f"{row[name]:>10}" if name != "cell" else row[name] for name in COLUMNS), flush=True)


if __name__ == "__main__":
    main()
