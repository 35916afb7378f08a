"""The page that compares runs: their figures side by side and the paired differences, ties called ties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bindscope.report.page import BIBTEX, LABELS, fill, named
from bindscope.results import Record
from bindscope.runs.compare import asked, finding, pair, shown_first
from bindscope.show.blocks import COLUMNS, Cell, Section, Table, heading, interval_cell, record_table, value_cell
from bindscope.show.figures import Figure, Series, series_of
from bindscope.show.forest import Row, Style, forest
from bindscope.show.run import Run
from bindscope.show.words import variant

if TYPE_CHECKING:
    from bindscope.runs.compare import Comparison
    from bindscope.runs.verdict import Verdict

LEAD = (
    "Differences are paired on the scenes that all runs show, so their intervals are narrower than the overlap of two "
    "single intervals suggests. Where an interval holds zero the difference is called a tie."
)


def render_comparison(runs: Sequence[Run], verdicts: Sequence[Verdict], comparison: Comparison) -> str:
    """The page as one HTML text. Runs and verdicts stand in the order of the comparison's names."""
    own, differences = comparison.own, comparison.differences
    first = [record for record in differences if shown_first(record)]
    picture = side_by_side([record for record in own if shown_first(record)])
    section = Section(
        "differences",
        "Paired differences",
        LEAD,
        (
            difference_figure(first),
            difference_table(first),
            record_table(f"Every difference: {len(differences):,} figures", differences, DIFFERENCES, folded=True),
            record_table("Each run", own, FIGURES, folded=True),
        ),
    )
    sections, story, figures = named([section], picture)
    version = next((run.config["bindscope"] for run in runs), "")
    return fill(
        "comparison.html.j2",
        names=comparison.names,
        data=" · ".join(dict.fromkeys(run.data for run in runs)),
        n_scenes=comparison.n_scenes,
        verdicts=verdict_table(comparison.names, verdicts),
        few=any(run.few_objects for run in runs),
        story=story,
        sections=sections,
        commands=[str(run.config["command"]) for run in runs if run.config["command"]],
        bibtex=BIBTEX % (version or "0"),
        version=version,
        ranking=comparison.ranking,
        what="items" if any(record.analysis == "pairs" for record in own) else "scenes",
        figures=figures,
    )


FIGURES = (("model", lambda r: heading(r.model or "")), *COLUMNS)
DIFFERENCES = (
    ("difference of", lambda r: heading(pair(r))),
    *(column for column in COLUMNS if column[0] not in ("seed", "details")),
    ("details", lambda r: Cell(variant({k: v for k, v in r.extra.items() if k not in ("minus", "tie")}))),
    ("finding", lambda r: Cell(finding(r))),
)


def side_by_side(records: Sequence[Record]) -> Figure:
    """Recognition of every run, a colour for each; the R^2 stands in the table."""
    shown = [r for r in records if r.analysis == "recognition"] or [r for r in records if r.analysis == "pairs"]
    looks = series_of(r.model or "" for r in shown)
    paired = bool(shown) and shown[0].analysis == "pairs"
    style = Style("share of items" if paired else "share of scenes recognised", (-0.02, 1.03), step=14)
    return forest(
        "story",
        "Pairs, model by model" if paired else "Recognition, run by run",
        _rows(shown, [looks[r.model or ""] for r in shown]),
        style,
    )


def difference_figure(records: Sequence[Record]) -> Figure:
    """Differences with their intervals around the line of no difference."""
    looks = series_of(pair(r) for r in records)
    return forest("differences", "Difference, with its interval", _rows(records, [looks[pair(r)] for r in records]))


def _rows(records: Sequence[Record], looks: Sequence[Series]) -> list[Row]:
    entries = list(zip(looks, records, strict=True))
    return [(one, [e for e in entries if asked(e[1]) == one]) for one in dict.fromkeys(asked(r) for r in records)]


def difference_table(records: Sequence[Record]) -> Table:
    """Every paired difference, and who is higher where that can be said."""
    head = ("figure", "difference of", "value", "95 % interval", "finding")
    rows = tuple((heading(asked(r)), Cell(pair(r)), value_cell(r), interval_cell(r), Cell(finding(r))) for r in records)
    return Table("Paired differences", head, rows)


def verdict_table(names: Sequence[str], verdicts: Sequence[Verdict]) -> Table:
    """The verdict on each run."""
    rows = tuple(
        (heading(name), Cell(LABELS.get(v.label, v.label)), Cell(v.sentences[0]))
        for name, v in zip(names, verdicts, strict=True)
    )
    return Table("The verdict on each", ("model", "verdict", "in words"), rows)
