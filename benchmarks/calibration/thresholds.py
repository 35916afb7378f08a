"""How often intervals of coverage thresholds cover the planted one, and how often a straight line is given a threshold.

Curves at nine coverages with repeats: logistics with independent noise, or of models that shift the whole curve (level and
middle), each at every coverage; and straight lines. Coverage is among the curves that are given a threshold.

    python benchmarks/calibration/thresholds.py --curves 2000
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from bindscope.analyses.complexity.threshold import RECOGNITION, coverage_threshold
from harness import write_table

RESULTS = Path(__file__).resolve().parents[1] / "results" / "calibration"
COVERAGES = np.arange(1, 10) / 10
COLUMNS = ("curve", "repeats", "noise", "models", "curves", "given", "coverage", "width")


@dataclass(frozen=True)
class Curve:
    """slope None: a straight line of the same rise. shift: sd over models of the middle; level: of the whole curve."""

    slope: float | None
    middle: float = 0.5
    low: float = 0.1
    high: float = 0.9
    noise: float = 0.05
    repeats: int = 3
    shift: float = 0.0
    level: float = 0.0

    @property
    def name(self) -> str:
        """As in the table."""
        shape = "line" if self.slope is None else f"logistic, slope {self.slope:g}, middle {self.middle:g}"
        return f"{shape}, {self.low:g} to {self.high:g}"

    @property
    def models(self) -> np.ndarray:
        """Which model each point is of, where models shift the curve."""
        return np.tile(np.arange(self.repeats), len(COVERAGES))

    def drawn(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Coverages and values."""
        x = np.repeat(COVERAGES, self.repeats)
        moved = x - (rng.normal(size=self.repeats) * self.shift)[self.models]
        rise = (x - 0.1) / 0.8 if self.slope is None else 1 / (1 + np.exp(-self.slope * (moved - self.middle)))
        level = (rng.normal(size=self.repeats) * self.level)[self.models]
        return x, self.low + (self.high - self.low) * rise + level + rng.normal(size=len(x)) * self.noise


CURVES = (
    Curve(15.0),
    Curve(25.0),
    Curve(40.0),
    Curve(25.0, middle=0.4, noise=0.02),
    Curve(25.0, middle=0.62, noise=0.1),
    Curve(20.0, low=0.2, high=0.6, repeats=5),
    Curve(25.0, repeats=1, noise=0.03),
    Curve(25.0, noise=0.03, shift=0.04, repeats=5),
    Curve(25.0, noise=0.03, shift=0.04, level=0.05, repeats=3),
    Curve(None),
    Curve(None, noise=0.02),
    Curve(None, low=0.3, high=0.3),
    Curve(None, low=0.2, high=0.5, repeats=5),
    Curve(None, low=0.8, high=0.2),
    Curve(None, repeats=1),
)


def measure(curve: Curve, count: int) -> dict[str, str | int | float]:
    """One row of the table."""
    found = []
    for seed in range(count):
        x, y = curve.drawn(np.random.default_rng([seed, 7]))
        models = curve.models if curve.shift or curve.level else None
        bounds = RECOGNITION if curve.slope is None or curve.noise < 0.05 else None
        found.append(coverage_threshold(x, y, seed, draws=99, bounds=bounds, models=models))
    given = [one for one in found if one.middle is not None]
    ends = np.array([one.interval for one in given]).reshape(-1, 2)
    covered = (ends[:, 0] <= curve.middle) & (curve.middle <= ends[:, 1])
    known = curve.slope is not None and len(given) > 0
    return {
        "curve": curve.name,
        "repeats": curve.repeats,
        "noise": curve.noise,
        "models": f"shift {curve.shift:g}, level {curve.level:g}" if curve.shift or curve.level else "independent",
        "curves": count,
        "given": round(len(given) / count, 4),
        "coverage": round(float(covered.mean()), 4) if known else "",
        "width": round(float(np.diff(ends, axis=1).mean()), 4) if known else "",
    }


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--curves", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=RESULTS / "thresholds.csv")
    told = parser.parse_args()
    rows = []
    for curve in CURVES:
        rows.append(measure(curve, told.curves))
        print(rows[-1], flush=True)
    write_table(told.out, rows, COLUMNS)


if __name__ == "__main__":
    main()
