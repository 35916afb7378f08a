"""What the pages of `results/` share: their head, tables in Markdown, rows as CSV, and intervals over seeds or models."""

from __future__ import annotations

import csv
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.files import whole_file

DRAWS = 2000


HIDDEN = {"--runs": "RUNS", "--pairs": "PAIRS", "--out": "OUT"}  # directories that differ from machine to machine


def command() -> str:
    """The command that runs, as a user types it; RUNS stands for the directory of the runs, PAIRS for that of the pairs."""
    words = [HIDDEN.get(before, word) for before, word in zip(["", *sys.argv], sys.argv, strict=False)]
    return shlex.join(["python", *(f"st:{Path(word).name}" if word.startswith("st:/") else word for word in words)])


def commit() -> str:
    """The commit of the sources, with a + where they were changed since."""
    root = Path(__file__).parents[1]
    said = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    )
    changed = subprocess.run(
        ["git", "diff", "--quiet", "HEAD", "--", "src"], cwd=root, capture_output=True, check=False
    )
    return (said.stdout.strip() or "unknown") + ("+" if changed.returncode == 1 else "")


def write_page(path: Path, title: str, parts: Iterable[str], before: Sequence[str] = ()) -> None:
    """A page with the commands (`before`, then this one) and the commit that made it."""
    commands = ", ".join(f"`{one}`" for one in (*before, command()))
    head = [f"# {title}", f"Made by {commands} at commit {commit()}."]
    with whole_file(path) as partial:
        Path(partial).write_text("\n\n".join([*head, *parts]) + "\n", encoding="utf-8")


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows as CSV, floats in four figures."""
    with whole_file(path) as partial, Path(partial).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows([{name: plain(value) for name, value in row.items()} for row in rows])


def plain(value: Any) -> str:
    """A cell of a CSV file: four figures, no mark between thousands."""
    return str(value) if isinstance(value, int) else shown(value)


def shown(value: Any) -> str:
    """A number as it stands in a table; nothing where there is none."""
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *[[shown(row[name]) for name in names] for row in rows]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def ranged(value: float | None, low: float, high: float, digits: int = 2) -> str:
    """A figure with its interval."""
    return "" if value is None else f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def over_seeds(values: Iterable[float | None], digits: int = 2) -> str:
    """The mean of the figures that are there, with their range; nothing where none is."""
    there = [value for value in values if value is not None]
    return ranged(float(np.mean(there)), min(there), max(there), digits) if there else ""


def bootstrap(
    statistic: Callable[..., float], *columns: Sequence[float], seed: int = 0, draws: int = DRAWS
) -> tuple[float, float, float]:
    """A statistic of paired columns with its 95 % percentile interval; models are drawn again."""
    arrays = [np.asarray(column, dtype=np.float64) for column in columns]
    rng = np.random.default_rng([seed, 79])
    count = len(arrays[0])
    drawn = [statistic(*(a[rows] for a in arrays)) for rows in rng.integers(count, size=(draws, count))]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return statistic(*arrays), float(low), float(high)
