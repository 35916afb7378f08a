"""The random row of Table 1 (arXiv 2605.31503): Level I of a random CLIP text tower, over seeds and LayerNorm gains.

    python benchmarks/random_row.py                               # text:10x10, several seeds, and the curve over gains
    python benchmarks/random_row.py --data text:20x20?same=true --seeds 1 --gains 1

Every finished cell is a line of results/random_row.csv; a killed run goes on where it stopped (vectors are cached).
The table, with intervals over seeds, is results/random_row.md.
"""

from __future__ import annotations

import argparse
import csv
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from bindscope.analyses.geometry.levels import reconstruct
from bindscope.analyses.geometry.retrieval import Gallery, retrieve, sampled_rows
from bindscope.datasets import load_dataset
from bindscope.embeddings import Embeddings, default_cache, embed
from bindscope.encoders import load_encoder
from bindscope.files import whole_file
from bindscope.probes import ProbeSet, probed
from bindscope.scenes import BoolArray
from harness import timed

RESULTS = Path(__file__).parents[1] / "results"
ARCHITECTURE = "ViT-B-32"
DATA = "text:10x10?same=true"
GAINS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
PAPER = {"r2 avg": 0.47, "r2 avg+pos": 0.69, "retrieval": 0.42, "probing": 0.82}
ESTIMATORS = ("avg", "avg+pos")
KEYS = ("data", "gain", "seed")
Row = dict[str, str | float]


def measured(data: str, gain: float, seed: int) -> Row:
    """All figures of one random model on one data set."""
    option = "" if gain == 1 else f"&layernorm_gain={gain:g}"
    model = f"openclip:{ARCHITECTURE},?seed={seed}{option}"
    dataset = load_dataset(data)
    made, encoding = timed(
        lambda: embed(load_encoder(model), dataset, cache=default_cache(), progress=sys.stderr.isatty())
    )
    (probes, test), fitting = timed(lambda: probed(made.vectors, made.table, 0))
    figures: Row = {"data": data, "gain": gain, "seed": seed, "scenes": len(made.table)}
    for estimator in ESTIMATORS:
        figures |= level_one(made, estimator, probes, test)
    read = probes.recognition(made.vectors, made.table, test)
    figures["probe objects, real vectors"] = float(read.objects.right.mean())
    print(f"{model} on {data}: encoding {encoding:.0f} s, probes {fitting:.0f} s", file=sys.stderr)
    return figures


def level_one(made: Embeddings, estimator: str, probes: ProbeSet, test: BoolArray) -> Row:
    """R^2, retrieval of the scene by its reconstruction, and what probes of real vectors read in reconstructions."""
    rebuilt = reconstruct(made.vectors, made.table, estimator, "level1")
    error, total = rebuilt.errors(made.vectors)
    found = retrieve(Gallery.of(made.vectors, made.table), rebuilt, sampled_rows(len(made.table), 0))
    pairs = enumerate(probes.concepts)
    concepts = [rebuilt.recognised(probe, made.table.members(k)[0]).right[test] for k, probe in pairs]
    objects = rebuilt.recognised(probes.objects, made.table.object_codes).right[test]
    return {
        f"r2 {estimator}": float(1 - error.sum() / total.sum()),
        f"retrieval {estimator}": float(found.right.mean()),
        f"probing concepts {estimator}": float(np.mean(concepts)),
        f"probing joint {estimator}": float(np.all(concepts, axis=0).mean()),
        f"probing objects {estimator}": float(objects.mean()),
    }


def run_cells(cells: Iterable[tuple[str, float, int]], path: Path) -> None:
    """Measure what the file does not hold yet, line by line."""
    for data, gain, seed in cells:
        done = {tuple(row[key] for key in KEYS) for row in read_rows(path)}
        if (data, f"{gain:g}", str(seed)) in done:
            continue
        row = {**measured(data, gain, seed), "gain": f"{gain:g}"}
        print(
            "  ".join(
                f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
            )
        )
        write_rows([*read_rows(path), {key: shown(value) for key, value in row.items()}], path)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The lines of the file so far."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(rows: Sequence[dict[str, str]], path: Path) -> None:
    """All lines, in order of data, gain and seed."""
    path.parent.mkdir(exist_ok=True)
    ordered = sorted(rows, key=lambda row: (row["data"], float(row["gain"]), int(row["seed"])))
    heads = [head for head in ordered[0] if not head.endswith(" s")]
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, heads, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(ordered)


def shown(value: str | float) -> str:
    """A cell of the file."""
    return f"{value:.5f}" if isinstance(value, float) else str(value)


def interval(values: Sequence[float]) -> str:
    """Mean and 95 % interval over seeds (Student's t), or the single value."""
    if len(values) < 2:
        return f"{values[0]:.3f}"
    half = float(stats.t.ppf(0.975, len(values) - 1)) * float(np.std(values, ddof=1)) / len(values) ** 0.5
    mean = float(np.mean(values))
    return f"{mean:.3f} ({mean - half:.3f} to {mean + half:.3f})"


def table(rows: Sequence[dict[str, str]], columns: Sequence[str]) -> list[str]:
    """A Markdown table: one line for each data set and gain."""
    groups = list(dict.fromkeys((row["data"], row["gain"]) for row in rows))
    heads = ["data", "LayerNorm gain", "seeds", *columns]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for group in groups:
        own = [row for row in rows if (row["data"], row["gain"]) == group]
        cells = [interval([float(row[column]) for row in own]) for column in columns]
        lines.append("| " + " | ".join([f"`{group[0]}`", group[1], str(len(own)), *cells]) + " |")
    return lines


def commands(rows: Sequence[dict[str, str]]) -> list[str]:
    """The commands that make these lines, one for each data set: earlier calls count, whatever the last one was."""
    found = []
    for data in dict.fromkeys(row["data"] for row in rows):
        seeds: dict[str, int] = {}
        for row in rows:
            if row["data"] == data:
                seeds[row["gain"]] = seeds.get(row["gain"], 0) + 1
        others = [count for gain, count in seeds.items() if gain != "1"]
        words = ["python", "benchmarks/random_row.py", "--data", data, "--seeds", str(seeds.get("1", 0))]
        words += ["--gains", ",".join(seeds), *(("--gain-seeds", str(max(others))) if others else ())]
        found.append(shlex.join(words))
    return found


def report(rows: Sequence[dict[str, str]]) -> str:
    """The whole page."""
    first = [f"{metric} {estimator}" for metric in ("r2", "retrieval") for estimator in ESTIMATORS]
    probing = [f"probing {what} {estimator}" for what in ("concepts", "joint", "objects") for estimator in ESTIMATORS]
    chosen: Callable[[dict[str, str]], bool] = lambda row: row["gain"] == "1"  # noqa: E731
    plain = [row for row in rows if chosen(row)]
    curve = [row for row in rows if row["data"] == DATA]
    return "\n".join(
        [
            f"# Random row: open_clip's {ARCHITECTURE}, text tower at random initialisation",
            "",
            f"Made by {', '.join(f'`{one}`' for one in commands(rows))}; one line a model in `random_row.csv`.",
            "Mean over seeds with its 95 % interval (Student's t over seeds); Level I in sample.",
            "",
            "## As initialised (LayerNorm gain 1, bias 0)",
            "",
            *table(plain, first),
            "",
            "Probes are trained on 40 % of the bags of real vectors and read the reconstructions of the other scenes:",
            "",
            *table(plain, [*probing, "probe objects, real vectors"]),
            "",
            "## Sensitivity to the LayerNorm gain",
            "",
            *table(curve, [*first, "probing objects avg", "probe objects, real vectors"]),
            "",
            "## The paper's row, and what cannot be had here",
            "",
            f"Paper: R^2 {PAPER['r2 avg']} (avg) / {PAPER['r2 avg+pos']} (avg+pos), retrieval {PAPER['retrieval']}, "
            f"probing {PAPER['probing']}.",
            "Its model is another one: a *pretrained* CLIP whose text matrices and embeddings are drawn anew, while",
            "LayerNorm gains and biases stay pretrained. Those gains cannot be had without the checkpoint, which no package",
            "ships, so that row is not reproduced here. Where a checkpoint is at hand,",
            "`openclip:ViT-B-32-quickgelu,openai?redraw=text&seed=1` makes such a model. The curve shows how far one common",
            "gain moves the figures: the random row is a statement about the gains as much as about randomness.",
            "",
        ]
    )


def main() -> None:
    """Run the cells and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default=DATA)
    parser.add_argument("--seeds", type=int, default=5, help="seeds at gain 1")
    parser.add_argument("--gains", default=",".join(f"{gain:g}" for gain in GAINS))
    parser.add_argument("--gain-seeds", type=int, default=2, help="seeds at every other gain")
    chosen = parser.parse_args()
    gains = [float(word) for word in chosen.gains.split(",")]
    ordered = sorted(gains, key=lambda gain: gain != 1)
    cells = [(chosen.data, g, s) for g in ordered for s in range(chosen.seeds if g == 1 else chosen.gain_seeds)]
    path = RESULTS / "random_row.csv"
    run_cells(cells, path)
    page = report(read_rows(path))
    with whole_file(path.with_suffix(".md")) as partial:
        partial.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
