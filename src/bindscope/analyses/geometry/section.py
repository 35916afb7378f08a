"""Geometry: how well sums of object vectors (Level I) and of concept vectors (Level II) rebuild the embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from bindscope.results import Record, Results
from bindscope.show.blocks import COLUMNS, Block, Gallery, Section, every_row, record_table
from bindscope.show.figures import BLUE, GREEN, HUES, ORANGE, Figure, Series
from bindscope.show.forest import Row, Style, forest
from bindscope.show.run import Run
from bindscope.show.tables import filled_table, interval_text, number_text
from bindscope.show.words import metric as metric_of
from bindscope.show.words import metric_name, plain

if TYPE_CHECKING:
    from rich.table import Table

LEAD = (
    "Level I rebuilds a scene’s vector as a sum of one vector for each object, Level II as a sum of one vector for each "
    "concept value. R² says how much of the variance the sum explains (1 is exact, below 0 is worse than the mean); "
    "retrieval asks whether the nearest real vector shows the same scene; probing asks whether read-outs trained on real "
    "vectors read the sum. Hollow marks are in sample, filled ones held out."
)
ESTIMATORS = ("avg", "avg+pos", "single", "single+pos", "ols", "ols+pos")
FITS = ("ols", "ols+pos")  # right on every design; the other estimators stand on the page
COLORS = {"level1": (BLUE, "circle"), "level2": (ORANGE, "diamond"), "level2_objects": (GREEN, "square")}
TITLES = {
    "r2": "R² of the additive reconstructions",
    "retrieval_top1": "Retrieval: the nearest real vector shows the same scene",
    "joint_probing": "Probing: all concepts read from the sum",
    "concept_recognition": "Probing: concepts read from the sum",
    "object_recognition": "Probing: objects read from the sum",
}
TABLE = tuple(column for column in COLUMNS if column[0] not in ("coverage", "seed", "details", "ties"))


def build(run: Run) -> Section:
    """The section."""
    every = run.results.select(analysis="geometry")
    main = every.headline()
    metrics = list(dict.fromkeys([*(m for m in TITLES if m in {r.metric for r in main}), *(r.metric for r in main)]))
    figures = [picture(metric, main.select(metric=metric)) for metric in metrics]
    blocks: list[Block] = [*figures[:1], Gallery(tuple(figures[1:]))] if len(figures) > 1 else [*figures]
    table = record_table("Geometry, headline figures", _ordered(main, metrics), TABLE, folded=len(main) > 24)
    return Section("geometry", "Geometry", LEAD, (*blocks, table, every_row(every.records)))


def picture(metric: str, records: Results) -> Figure:
    """One metric: a row for each estimator, a mark for each level and split."""
    rows: list[Row] = [
        (estimator, [(series(r), r) for r in records if (r.estimator or "") == estimator])
        for estimator in in_order(r.estimator or "" for r in records)
    ]
    name, title = f"geometry_{metric}", TITLES.get(metric, metric_name(metric))
    limits = (-0.02, 1.03) if metric_of(metric).bounded else None
    style = Style(limits=limits, step=12, exact=1.0 if metric == "r2" else None)
    return forest(name, title, rows, style, [series(r) for r in sorted(records, key=_place)])


def in_order(estimators: Iterable[str]) -> list[str]:
    """Known estimators first, in the order of the documentation."""
    found = list(dict.fromkeys(estimators))
    return [e for e in ESTIMATORS if e in found] + [e for e in found if e not in ESTIMATORS]


def series(record: Record) -> Series:
    """Colour and symbol by level, hollow where in sample."""
    color, symbol = COLORS.get(record.target or "", (HUES[4], "cross"))
    name = ", ".join(part for part in (plain(record.target), plain(record.split)) if part)
    return Series(name or "value", color, symbol, hollow=record.split == "in_sample")


def _place(record: Record) -> tuple[int, bool]:
    """Levels in order, in sample before held out."""
    places = list(COLORS)
    known = places.index(record.target) if record.target in places else len(places)
    return known, record.split != "in_sample"


def _ordered(records: Results, metrics: Sequence[str]) -> list[Record]:
    return sorted(records, key=lambda r: (metrics.index(r.metric), _place(r)[0]))


def terminal_table(results: Results) -> Table | None:
    """R^2 of each level by the least-squares estimators, in sample beside held out, and held-out retrieval."""
    records = results.headline(analysis="geometry", estimator=FITS)
    if not len(records):
        return None
    keys = sorted({(r.target or "", r.estimator or "") for r in records if r.metric == "r2"}, key=_level_place)

    def one(key: tuple[str, str], metric: str, split: str) -> Record | None:
        return records.first(metric=metric, target=key[0], estimator=key[1], split=split)

    def values(metric: str, split: str) -> list[str]:
        return [number_text(r.value) if (r := one(key, metric, split)) else "" for key in keys]

    held_out = [interval_text(r) if (r := one(key, "r2", "held_out")) else "" for key in keys]
    columns = {
        "level": [plain(target) for target, _ in keys],
        "by": [estimator for _, estimator in keys],
        "R² in sample": values("r2", "in_sample"),
        "R² held out": values("r2", "held_out"),
        "95 % interval": held_out,
        "retrieval": values("retrieval_top1", "held_out"),
    }
    return filled_table("Geometry: rebuilt from objects (Level I), from concepts (Level II)", columns)


def _level_place(key: tuple[str, str]) -> tuple[int, str]:
    order = ("level1", "level2", "level2_objects")
    return (order.index(key[0]) if key[0] in order else len(order), key[1])
