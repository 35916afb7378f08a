"""Read-outs as a ladder: what it takes to read from the vector which value belongs to which object."""

from __future__ import annotations

from bindscope.results import Record, Results
from bindscope.show.blocks import Block, Note, Section, every_row
from bindscope.show.figures import BLUE, GREEN, GREY, Series
from bindscope.show.forest import Row, Style, forest
from bindscope.show.run import Run
from bindscope.show.words import percent

LEAD = (
    "Does a read-out prefer the scene’s own objects to the other arrangements of the same values? A linear one, one on products "
    "of components (bilinear) and a small network are trained on some bags and judged on others; the control trains on shuffled "
    "scenes. By slot: read-outs of each concept in each slot, judged on objects that none of them saw. Across slots: a read-out "
    "of the first object, asked about the second."
)
NAMES = {"linear": "linear", "bilinear": "bilinear", "network": "small network", "by_slot": "by slot, unseen objects"}
LOOKS = {
    "own": Series("the scene’s own objects first", BLUE, "circle"),
    "shuffled": Series("control: shuffled scenes", GREY, "cross"),
    "slots": Series("the second object by the first one’s read-out", GREEN, "diamond"),
}
READS = 0.75  # pi of a rung that reads binding


def build(run: Run) -> Section:
    """The section."""
    every = run.results.select(analysis="readouts")
    rows: list[Row] = []
    for rung, name in NAMES.items():
        found = every.select(metric="binding_preference", estimator=rung)
        entries = [(LOOKS["shuffled" if record.extra else "own"], record) for record in found]
        rows += [(name, entries)] if entries else []
    rows += [("across slots", [(LOOKS["slots"], record)]) for record in every.select(metric="across_slots")]
    blocks: list[Block] = []
    if rows:
        style = Style("share of ambiguous scenes", (-0.02, 1.03))
        blocks.append(forest("readouts", "What reads the binding", rows, style))
    blocks += [Note(said) for said in sentences(every)]
    return Section("readouts", "Read-outs as a ladder", LEAD, (*blocks, every_row(every.records)))


def sentences(results: Results) -> list[str]:
    """Which rung is the first to read binding, and whether the vector codes by position."""
    found = {rung: results.first(metric="binding_preference", estimator=rung) for rung in NAMES}
    first = next((rung for rung in ("linear", "bilinear", "network") if _reads(found[rung])), None)
    slots = results.first(metric="across_slots")
    if first is None:
        said = ["No read-out finds in the vectors which value belongs to which object."]
    else:
        record = found[first]
        assert record is not None
        least = "" if first == "linear" else " What is simpler does not read it."
        share = percent(record.value)
        said = [
            f"A {NAMES[first]} read-out prefers the own objects in {share} of the ambiguous scenes of held-out bags.{least}"
        ]
    if _reads(found["by_slot"]) and slots is not None and (slots.value or 0.0) < 0.2:
        said.append(
            "The vector codes by position: read-outs by slot tell who stands where for objects that they never saw, and what is "
            "learnt in one slot is of no use in the other."
        )
    return said


def _reads(record: Record | None) -> bool:
    if record is None or record.value is None or record.chance is None:
        return False
    low = record.value if record.ci_low is None else record.ci_low
    return (record.value - record.chance) / (1 - record.chance) >= READS and low > record.chance
