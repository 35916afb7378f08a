"""Any analysis that has no section of its own yet: its table, and a plot of every metric."""

from __future__ import annotations

from bindscope.results import Record
from bindscope.show.blocks import COLUMNS, Block, Gallery, Section, every_row, record_table
from bindscope.show.curves import curves
from bindscope.show.figures import BLUE, Figure, Series, series_of
from bindscope.show.forest import Row, Style, forest
from bindscope.show.run import Run
from bindscope.show.words import metric, metric_name, plain, variant


def build(run: Run, analysis: str, title: str, lead: str) -> Section:
    """The section of one analysis word."""
    every = run.results.select(analysis=analysis).records
    figures = [_figure(analysis, word, [r for r in every if r.metric == word]) for word in _metrics(every)]
    headline = [r for r in every if not r.extra]
    blocks: list[Block] = [Gallery(tuple(figures)) if len(figures) > 1 else figures[0]] if figures else []
    if headline and len(headline) < len(every):
        blocks.append(record_table("Headline figures", headline, COLUMNS, folded=len(headline) > 24))
    return Section(analysis, title, lead, (*blocks, every_row(every)))


def _metrics(records: tuple[Record, ...]) -> list[str]:
    return list(dict.fromkeys(r.metric for r in records))


def _figure(analysis: str, word: str, records: list[Record]) -> Figure:
    name, title = f"{analysis}_{word}", metric_name(word)
    coverages = {r.coverage for r in records if r.coverage is not None}
    if len(coverages) > 1:
        looks = series_of(_words(r) for r in records)
        placed = [r for r in records if r.coverage is not None]
        families = [(look, [r for r in placed if _words(r) == words]) for words, look in looks.items()]
        return curves(name, title, families, title)
    main = [r for r in records if not r.extra] or records
    one = Series("", BLUE, "circle")
    rows: list[Row] = [(_words(r) or title, [(one, r)]) for r in main]
    return forest(name, title, rows, Style(limits=(-0.02, 1.03) if metric(word).bounded else None))


def _words(record: Record) -> str:
    parts = (plain(record.estimator), plain(record.target), plain(record.split), variant(record.extra))
    return " · ".join(part for part in parts if part)
