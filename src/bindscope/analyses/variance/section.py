"""Variance shares: how much of the vectors concepts, slots and objects explain, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bindscope.results import Record, Results
from bindscope.show.blocks import COLUMNS, Block, Gallery, Note, Section, every_row, record_table
from bindscope.show.curves import stack
from bindscope.show.figures import BLUE, GREEN, Figure, Series
from bindscope.show.forest import Row, Style, forest
from bindscope.show.run import Run
from bindscope.show.tables import COLUMNS as CELLS
from bindscope.show.tables import filled_table, interval_text, number_text
from bindscope.show.words import p_text, plain

if TYPE_CHECKING:
    from rich.table import Table

LEAD = (
    "The variance of the vectors, split in this order: the concepts alone; concepts that depend on the slot (first or "
    "second object); interaction, what makes an object more than its concepts; pairs of concepts across objects; and "
    "what is left. Interaction is the additive binding signal. Shares are corrected for degrees of freedom and may "
    "therefore be slightly negative."
)
NAMES = {
    "concepts": "concepts",
    "slot": "+ slot",
    "interaction": "+ interaction (binding)",
    "cross_object": "+ pairs across objects",
    "residual": "residual",
    "higher_order": "higher order",
    "noise": "noise",
}
TABLE = tuple(column for column in COLUMNS if column[0] not in ("coverage", "seed", "ties", "chance", "ceiling"))
LARGE = 0.5


def build(run: Run) -> Section:
    """The section."""
    every = run.results.select(analysis="variance")
    main = every.headline()
    blocks: list[Block] = []
    shares = [(name_of(r), r) for r in main if r.metric == "share"]
    if shares:
        blocks.append(stack("variance_shares", "Where the variance is", whole(shares)))
        blocks.append(Gallery((*_enlarged(shares), *_cumulative(every))))
    blocks += [Note(_test(r)) for r in main if r.metric == "p_value"]
    blocks.append(record_table("Variance, headline figures", main, TABLE))
    return Section("variance", "Variance shares", LEAD, (*blocks, every_row(every.records)))


def name_of(record: Record) -> str:
    """The name of a component, in the order in which it is added."""
    return NAMES.get(record.target or "", plain(record.target))


def whole(shares: Sequence[tuple[str, Record]]) -> list[tuple[str, Record]]:
    """Parts that make up the whole once: the residual is left out where its own two parts are known."""
    targets = {record.target for _, record in shares}
    split = {"higher_order", "noise"} <= targets
    return [(name, r) for name, r in shares if not (split and r.target == "residual")]


def _enlarged(shares: Sequence[tuple[str, Record]]) -> tuple[Figure, ...]:
    """The shares with their intervals; where one towers over the rest, the rest has a scale of its own."""
    small = [(n, r) for n, r in shares if (r.value or 0.0) < LARGE]
    chosen, title = (shares, "Each share") if len(small) in (0, len(shares)) else (small, "The small shares, enlarged")
    one = Series("", BLUE, "circle")
    rows: list[Row] = [(name, [(one, record)]) for name, record in chosen]
    return (forest("variance_each", title, rows, Style("share of the variance", percent=True)),)


def _cumulative(every: Results) -> tuple[Figure, ...]:
    found = [r for r in every if r.metric == "share" and r.extra.get("cumulative") is True]
    if not found:
        return ()
    one = Series("", GREEN, "square")
    rows: list[Row] = [(name_of(r), [(one, r)]) for r in found]
    style = Style("explained so far, in sample", percent=True, exact=1.0)
    return (forest("variance_cumulative", "Added up, step by step", rows, style),)


def _test(record: Record) -> str:
    what = f"Test of {plain(record.target)}" if record.target else "Test"
    if record.value is None:
        return (
            f"{what} beyond concepts and slots: not tested. Either concepts and slots say all that objects could, or objects "
            "leave no degree of freedom (as with scenes of one object)."
        )
    how = f" ({plain(record.estimator)} permutations of whole scenes)" if record.estimator else ""
    words = f"{what} beyond what concepts and slots explain{how}: {p_text(record)}"
    return words + (". A small p says that objects are more than their concepts; the share says how much.")


def terminal_table(results: Results) -> Table | None:
    """The nested shares and the test of the interaction."""
    records = results.headline(analysis="variance")
    if not len(records):
        return None
    shares = [r for r in records if r.metric == "share"]
    rest = [r for r in records if r.metric != "share"]
    columns = {
        "share of": [name_of(r) for r in shares] + [CELLS["figure"](r) for r in rest],
        "value": [number_text(r.value) for r in (*shares, *rest)],
        "95 % interval": [interval_text(r) for r in (*shares, *rest)],
    }
    return filled_table("Variance, nested shares", columns)
