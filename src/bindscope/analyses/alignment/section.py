"""Alignment: whether both sides use the same binding function, component by component."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bindscope.results import Record, Results
from bindscope.show.blocks import COLUMNS, Block, Note, Section, every_row, record_table
from bindscope.show.figures import BLUE, GREEN, GREY, ORANGE, Figure, Series
from bindscope.show.forest import Row, Style, forest
from bindscope.show.run import Run
from bindscope.show.tables import figures_table
from bindscope.show.words import p_text, plain, value_text

if TYPE_CHECKING:
    from rich.table import Table

LEAD = (
    "Both sides’ vectors are taken apart: concepts (values add), interaction (what makes an object more than its concepts: "
    "the binding signal), whole objects, and the residual of scenes. A map from the scenes’ components to the captions’ is "
    "fitted on some objects and judged on objects that it never saw. R² of 1: the same function up to that map; 0: nothing is "
    "predicted. The identity asks whether they are the same vectors, ridge and Procrustes whether they could be made so "
    "(of concepts only the first is asked: any two additive codes can be mapped onto each other)."
)
NAMES = {
    "concepts": "Concepts",
    "interaction": "Interaction (binding)",
    "objects": "Whole objects",
    "residual": "Residual of scenes",
}
LOOKS = {
    "identity": Series("identity", BLUE, "circle"),
    "ridge": Series("ridge", ORANGE, "diamond"),
    "procrustes": Series("Procrustes", GREEN, "square"),
}
NULL = Series("permuted", GREY, "cross")
TABLE = tuple(
    column for column in COLUMNS if column[0] not in ("coverage", "seed", "ties", "chance", "ceiling", "details")
)


def build(run: Run) -> Section:
    """The section."""
    every = run.results.select(analysis="alignment")
    blocks: list[Block] = [figure for figure in (alignment_figure(every),) if figure is not None]
    blocks += [Note(said) for said in sentences(every)]
    blocks.append(record_table("Alignment, headline figures", every.headline(), TABLE, folded=True))
    return Section("alignment", "Alignment of the two sides", LEAD, (*blocks, every_row(every.records)))


def alignment_figure(every: Results) -> Figure | None:
    """R^2 on held-out objects of each component under each map, with what permutation gives."""
    rows: list[Row] = []
    for component, name in NAMES.items():
        for estimator, look in LOOKS.items():
            main = every.first(metric="r2", target=component, estimator=estimator)
            if main is None or main.value is None:
                continue
            null = every.select(lambda r: bool(r.extra.get("null")), metric="r2", target=component, estimator=estimator)
            entries: list[tuple[Series, Record]] = [(look, main), *((NULL, r) for r in null)]
            rows.append((f"{name}, {look.name}", entries))
    if not rows:
        return None
    return forest(
        "alignment", "Does one side predict the other?", rows, Style("R² on held-out objects", step=11, gap=12)
    )


def sentences(every: Results) -> list[str]:
    """What the binding part says, in a sentence."""
    best: Record | None = None
    for estimator in LOOKS:
        record = every.first(metric="r2", target="interaction", estimator=estimator)
        if record is not None and record.value is not None and (best is None or record.value > (best.value or 0.0)):
            best = record
    if best is None:
        return ["At least one side has no interaction component, so there is no binding part to align."]
    p = every.first(metric="p_value", target="interaction", estimator="best")
    chance = f"; {p_text(p)} for the best of the maps, against permuted objects" if p is not None else ""
    return [f"Of the binding part, {plain(best.estimator)} predicts R² {value_text(best)} on held-out objects{chance}."]


def terminal_table(results: Results) -> Table | None:
    """R^2 on held-out objects."""
    found = results.headline(analysis="alignment", metric="r2", split="test")
    return figures_table("Does one side predict the other, on held-out objects?", found) if len(found) else None
