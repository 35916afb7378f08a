"""The part of pairs on the page: what went wrong first, as sentences, then figures by category and by edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bindscope.analyses.pairs.findings import primary
from bindscope.analyses.pairs.measure import BAG, MODEL, PUBLISHED
from bindscope.results import Record, Results
from bindscope.show.blocks import COLUMNS, Block, Failure, Failures, Gallery, Note, Section, every_row, record_table
from bindscope.show.figures import BLUE, GREY, ORANGE, Figure, Series
from bindscope.show.forest import Row, Style, forest
from bindscope.show.run import Run
from bindscope.show.tables import COLUMNS as CELLS
from bindscope.show.tables import filled_table
from bindscope.show.words import metric_name

if TYPE_CHECKING:
    from rich.table import Table

LEAD = (
    "A right caption against one in which something was exchanged. On the same-bag items the negative has the caption’s own "
    "words in another order: whoever only looks at the words is at chance there. Beside each figure stands what counts of "
    "words reach. Intervals leave out pictures (or captions, where no picture is named) in turn."
)
SAME, ALL = Series("same bag", ORANGE, "diamond"), Series("all items", BLUE, "circle")
WORDS = Series("counts of words, all items", GREY, "square", hollow=True)
MOST_KINDS = 12
TABLE = tuple(
    column for column in COLUMNS if column[0] not in ("coverage", "seed", "ceiling", "split", "scenes", "objects")
)


def build(run: Run) -> Section:
    """Failures, figures by category and edit, headlines, what is odd in the data, all rows."""
    results = run.results.select(analysis="pairs")
    metric = primary(results) or "pair_preference"
    blocks: list[Block] = [*_failures(run)]
    figures = [one for one in (_by(results, metric, "category"), _by(results, metric, "edit")) if one is not None]
    if figures:
        blocks.append(Gallery(tuple(figures)))
    main = [r for r in results if set(r.extra) <= {"published", "asks", "side"} and r.metric[:2] != "n_"]
    blocks.append(record_table("Overall, and where right and wrong have the same words", main, TABLE))
    blocks += [Note(text) for text in _about(run)]
    return Section("pairs", "Pairs", LEAD, (*blocks, every_row(results.records)))


def terminal_table(results: Results) -> Table | None:
    """The headline figures."""
    found = [
        record
        for record in results.select(analysis="pairs")
        if not set(record.extra) - {"published", "side"} and not record.metric.startswith("n_")
    ]
    if not found:
        return None
    names = ("figure", "by", "value", "95 % interval", "chance", "scenes")
    columns = {name: [CELLS[name](r) for r in found] for name in names}
    return filled_table(
        "Pairs: right captions against negatives", {("items" if k == "scenes" else k): v for k, v in columns.items()}
    )


def _failures(run: Run) -> Iterator[Block]:
    told = run.pairs or {}
    items = [
        Failure(
            str(one.get("item", "")),
            ", ".join(str(one[key]) for key in ("category", "edit") if one.get(key)),
            tuple((str(text), bool(bold)) for text, bold in one.get("spans", ())),
            str(one.get("thumbnail") or ""),
        )
        for one in told.get("failures", ())
    ]
    if items:
        yield Failures("What goes wrong, the clearest cases first", tuple(items))


def _by(results: Results, metric: str, group: str) -> Figure | None:
    """One metric by category or by edit: the model over all items and over the same bag, and counts of words."""
    found = [r for r in results if r.metric == metric and set(r.extra) - {"published"} == {group}]
    names = list(dict.fromkeys(str(r.extra[group]) for r in found))
    sizes = {name: max((r.n_scenes or 0) for r in found if r.extra[group] == name) for name in names}
    shown = sorted(names, key=lambda name: -sizes[name])[:MOST_KINDS]
    rows: list[Row] = [
        (f"{name} ({sizes[name]:,})", entries) for name in shown if (entries := list(_entries(found, group, name)))
    ]
    if not rows:
        return None
    title = f"{metric_name(metric)}, by {'kind of edit' if group == 'edit' else 'category'}"
    return forest(f"pairs_{group}", title, rows, Style("share of items", (-0.02, 1.03), step=12))


def _entries(found: Sequence[Record], group: str, name: str) -> Iterator[tuple[Series, Record]]:
    for series, estimators, target in (
        (ALL, (MODEL, PUBLISHED), "all"),
        (SAME, (MODEL, PUBLISHED), "same_bag"),
        (WORDS, (BAG,), "all"),
    ):
        some = [r for r in found if r.extra[group] == name and r.target == target and r.estimator in estimators]
        if some and some[0].n_scenes:
            yield series, some[0]


def _about(run: Run) -> Iterator[str]:
    told = run.pairs or {}
    if told.get("right"):
        yield f"Layout: {told.get('layout')}. The right caption is known by: {told['right']}."
    if told.get("kinds"):
        yield f"Kinds of edit, by the plain rules of the documentation: {told['kinds']}."
    for note in told.get("notes", ()):
        yield f"In the data: {note}."
