"""Audit of the data: what the table alone can and cannot show, whatever the model."""

from __future__ import annotations

from bindscope.results import Record, Results
from bindscope.show.blocks import COLUMNS as ALL_COLUMNS
from bindscope.show.blocks import Block, Cell, Gallery, Note, Section, Table, every_row, heading, record_table
from bindscope.show.curves import curves, simple_bar
from bindscope.show.figures import BLUE, FAINT, Figure, Series, series_of, with_note
from bindscope.show.forest import Row, Style, forest
from bindscope.show.run import Run
from bindscope.show.words import metric_name, number, plain

LEAD = (
    "What these scenes can show, before any model is asked: whether they tell binding from a bag of concepts at all, "
    "what chance and a bag reach, and which coverages leave enough to test on."
)
COVERAGE = {
    "unseen_share": ("Held-out objects with a value that training never shows", "share of held-out objects", True),
    "closed_scenes": ("Closed scenes: all value swaps held out too", "scenes", False),
    "test_scenes": ("Scenes that show held-out objects only", "scenes", False),
}
GREY_NOTE = "Grey crosses: the additive fit is not identified on every split there."
LEFT_OUT = ("coverage", "seed", "ties", "scenes", "objects", "estimator", "split")
TABLE = tuple(column for column in ALL_COLUMNS if column[0] not in LEFT_OUT)


def build(run: Run) -> Section:
    """The section."""
    every = run.results.select(analysis="audit")
    flat = [r for r in every if r.coverage is None]
    blocks: list[Block] = [*_concepts(run), *_examples(run), *_galleries(every)]
    if flat:
        blocks.append(record_table("The table in numbers", flat, TABLE))
    return Section("audit", "Audit of the data", LEAD, (*blocks, every_row(every.records)))


def _concepts(run: Run) -> list[Block]:
    if not run.concepts:
        return []
    rows = [(heading(name), Cell(str(len(values))), Cell(", ".join(values))) for name, values in run.concepts]
    return [Table("Concepts and their values", ("concept", "number", "values"), tuple(rows))]


def _examples(run: Run) -> list[Block]:
    examples = [str(example) for example in run.config["examples"]]
    quoted = "; ".join(f"“{example}”" for example in examples[:6])
    return [Note(f"Scenes such as {quoted}.")] if examples else []


def _galleries(every: Results) -> list[Block]:
    levels = [*_cells(every), *_levels(every)]
    coverage = [figure for metric in COVERAGE for figure in _by_coverage(every, metric)]
    return [Gallery(tuple(group)) for group in (levels, coverage) if group]


def _cells(every: Results) -> list[Figure]:
    figures = []
    for present in every.headline(metric="cells_present"):
        missing = every.first(metric="cells_missing", target=present.target)
        if present.value is None or missing is None or missing.value is None:
            continue
        parts = [("present", present.value, BLUE), ("missing", missing.value, FAINT)]
        title = f"Possible {plain(present.target) or 'cells'} that the data shows"
        figures.append(simple_bar(f"audit_cells_{present.target or 'all'}", title, parts))
    return figures


def _levels(every: Results) -> list[Figure]:
    rows = [_level(r) for metric in ("chance", "ceiling") for r in every.headline(metric=metric)]
    if not rows:
        return []
    style = Style("share of scenes recognised", (-0.02, 1.03))
    return [forest("audit_levels", "What chance and a bag of concepts reach", rows, style)]


def _level(record: Record) -> Row:
    names = {"mean": "concepts", "joint": "all concepts", "all": "objects", "unshared": "objects, unshared"}
    target = names.get(record.target or "", plain(record.target))
    one = Series("", BLUE, "circle" if record.metric == "chance" else "diamond")
    return f"{metric_name(record.metric)}: {target}".rstrip(": "), [(one, record)]


def _by_coverage(every: Results, metric: str) -> list[Figure]:
    records = [r for r in every.headline(metric=metric) if r.coverage is not None]
    if not records:
        return []
    title, y_title, percent = COVERAGE[metric]
    looks = series_of(_split_name(r) for r in records)
    families = [(look, [r for r in records if _split_name(r) == name]) for name, look in looks.items()]
    unidentified = _not_identified(every)
    figure = curves(f"audit_{metric}", title, families, y_title, lambda r: _place(r) in unidentified, percent)
    pale = any(_place(r) in unidentified for r in records)
    return [with_note(figure, GREY_NOTE) if pale else figure]


def _split_name(record: Record) -> str:
    return f"{record.estimator} split" if record.estimator else ""


def _not_identified(every: Results) -> set[tuple[str | None, str]]:
    return {_place(r) for r in every.headline(metric="identified") if r.value is not None and r.value < 1}


def _place(record: Record) -> tuple[str | None, str]:
    return record.estimator, number(record.coverage)
