"""What the intervals of pairs cover: shares of items that hang together within a picture.

Pictures have 1 to 3 items, an item is right with the chance of its picture, which is drawn from a beta distribution (correlation
within a picture 0.3). Coverage of nominal 95 % intervals by `analyses.pairs.intervals`, by percentiles of a bootstrap over
pictures, and the mean width of both.

    python benchmarks/calibration/pairs.py --worlds 2000
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from bindscope.analyses.pairs.intervals import Clusters
from bindscope.uncertainty import Outcome

RESULTS = Path(__file__).resolve().parents[1] / "results" / "calibration"
PICTURES, SHARES = (40, 100, 160, 384, 666), (0.02, 0.08, 0.225, 0.5, 0.9)
SIZES, CHANCES, TOGETHER, DRAWS = (1, 2, 3), (0.89, 0.1, 0.01), 0.3, 300


def cell(pictures: int, share: float, worlds: int) -> dict[str, float | int]:
    """Coverage and width for one number of pictures and one share."""
    rng = np.random.default_rng([pictures, int(1000 * share)])
    hits = np.zeros(2)
    widths = np.zeros(2)
    spread = 1 / TOGETHER - 1
    for _ in range(worlds):
        codes = np.repeat(np.arange(pictures), rng.choice(SIZES, size=pictures, p=CHANCES))
        level = rng.beta(share * spread, (1 - share) * spread, size=pictures)
        right = (rng.random(len(codes)) < level[codes]).astype(np.float64)
        own = Clusters(codes).interval(Outcome.mean("pair_preference", right))[0]
        top, below = np.bincount(codes, right, pictures), np.bincount(codes, minlength=pictures)
        weights = rng.poisson(1.0, size=(DRAWS, pictures))
        drawn = (weights @ top) / np.maximum(weights @ below, 1)
        low, high = np.percentile(drawn, [2.5, 97.5])
        for i, (one, two) in enumerate(((own.low, own.high), (low, high))):
            hits[i] += one <= share <= two
            widths[i] += two - one
    coverage, width = hits / worlds, widths / worlds
    return {
        "pictures": pictures,
        "share": share,
        "worlds": worlds,
        "coverage": round(float(coverage[0]), 3),
        "width": round(float(width[0]), 3),
        "bootstrap coverage": round(float(coverage[1]), 3),
        "bootstrap width": round(float(width[1]), 3),
    }


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=2000)
    asked = parser.parse_args()
    rows = []
    for pictures in PICTURES:
        for share in SHARES:
            rows.append(cell(pictures, share, asked.worlds))
            print(rows[-1], flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    with (RESULTS / "pairs.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
