"""Training: how recognition of objects grew, step by step, and the figures of the weights that were kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bindscope.results import Record, Results
from bindscope.show.blocks import COLUMNS, Block, Gallery, Note, Section, every_row, record_table
from bindscope.show.curves import Along, curves
from bindscope.show.figures import BLUE, GREEN, GREY, INK, ORANGE, Figure, Series, with_note
from bindscope.show.forest import Row, Style, forest
from bindscope.show.run import Run
from bindscope.show.words import metric_name, plain, variant

LEAD = (
    "Training objects are those that the scenes of training show. Validation objects are never trained on and choose the "
    "weights that are kept; test objects choose nothing. Closed scenes hold test objects alone, no value twice, and every object "
    "that a swap of values would make is held out too: there, novelty cannot stand in for binding."
)
SIDES = {
    "closed": Series("test objects, closed scenes", ORANGE, "diamond"),
    "test": Series("test objects", BLUE, "circle"),
    "validation": Series("validation objects", GREY, "square", hollow=True),
    "train": Series("training objects", GREEN, "triangle-up"),
}
LOSS = Series("loss", INK, "circle")
STEP = Along("Step of training", lambda record: record.extra.get("step"))
METRICS = ("object_recognition", "concept_recognition", "paper_metric")


def build(run: Run) -> Section:
    """The section: curves where the run has its log, figures with their intervals in any case."""
    every = run.results.select(analysis="training").records
    blocks: list[Block] = [Note(note) for note in _kept(run, every)]
    figures = [*(_curve(run.learning, metric) for metric in METRICS), _loss(run.learning)]
    drawn = tuple(figure for figure in figures if figure is not None)
    blocks += [Gallery(drawn)] if drawn else []
    final = [r for r in every if r.metric != "best_step"]
    rows: list[Row] = [(_question(r), [(Series("", BLUE, "circle"), r)]) for r in final]
    if rows:
        bounded = all(r.metric in METRICS for r in final)
        style = Style("share of scenes recognised", (-0.02, 1.03)) if bounded else Style()
        blocks.append(forest("training_final", "The weights that were kept", rows, style))
    blocks.append(record_table("Headline figures", [r for r in every if not r.extra], COLUMNS))
    return Section("training", "Training", LEAD, (*blocks, every_row(every)))


def _kept(run: Run, every: Sequence[Record]) -> list[str]:
    """Which weights these are, and how long they took."""
    best = next((r.value for r in every if r.metric == "best_step"), None)
    if best is None:
        return []
    words = f"The weights are those of step {best:,.0f}"
    times = run.learning.select(metric="seconds").records
    if times:
        words += f" of {times[-1].extra['step']:,}, after {times[-1].value:,.0f} s of training"
    return [f"{words}."]


def _curve(learning: Results, metric: str) -> Figure | None:
    """One metric on every side over steps; chance and ceiling are those of the closed scenes, or of all test scenes."""
    found = learning.select(metric=metric)
    by_side = {side: [r for r in found if _side(r) == side] for side in SIDES}
    shown = [side for side in SIDES if by_side[side]]
    if not shown:
        return None
    level = next((side for side in ("closed", "test", "train") if side in shown), None)
    families = [
        (SIDES[side], [r if side == level else replace(r, chance=None, ceiling=None) for r in by_side[side]])
        for side in shown
    ]
    title = f"{metric_name(metric)} over training"
    figure = curves(
        f"training_{metric}", title, families, "share of scenes recognised", limits=(-0.02, 1.03), along=STEP
    )
    return with_note(figure, f"Chance and ceiling are those of: {SIDES[level].name}.") if level else figure


def _side(record: Record) -> str:
    if record.extra.get("objects") == "validation":
        return "validation"
    return "closed" if record.extra.get("scenes") == "closed" else str(record.split)


def _loss(learning: Results) -> Figure | None:
    points = learning.select(metric="loss").records
    return curves("training_loss", "Loss", [(LOSS, points)], "contrastive loss (nats)", along=STEP) if points else None


def _question(record: Record) -> str:
    """What a figure is of, in words."""
    which = {"train": "training objects", "test": "test objects"}.get(record.split or "", plain(record.split))
    if record.extra.get("objects") == "validation":
        which = "validation objects"
    rest = {key: value for key, value in record.extra.items() if key != "objects"}
    target = {"all": "", "mean": ""}.get(record.target or "", f"{plain(record.target)} scenes" if record.target else "")
    metric = {"object_recognition": "", "concept_recognition": "concepts of"}.get(
        record.metric, metric_name(record.metric)
    )
    parts = (f"{metric} {which}".strip(), target, variant(rest))
    words = ", ".join(part for part in parts if part)
    return words[:1].upper() + words[1:]
