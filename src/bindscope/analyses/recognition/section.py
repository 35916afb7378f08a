"""Recognition: which concepts and objects can be told from the vector. Also the one picture of the first screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bindscope.results import Record, Results
from bindscope.show.blocks import COLUMNS, Section, every_row, heading, record_table
from bindscope.show.figures import BLUE, HUES, ORANGE, SYMBOLS, Figure, Series
from bindscope.show.forest import Row, Style, forest
from bindscope.show.run import Run
from bindscope.show.tables import COLUMNS as CELLS
from bindscope.show.tables import filled_table
from bindscope.show.words import plain

if TYPE_CHECKING:
    from rich.table import Table

KNOWN = {
    "zero_shot": Series("zero-shot: the model’s own queries", BLUE, "circle"),
    "probe": Series("probe: a trained linear read-out", ORANGE, "diamond"),
}
OBJECTS = {
    "all": "Objects",
    "unshared": "Objects, unshared scenes",
    "closed": "Objects, closed scenes",
    "ambiguous": "Objects, ambiguous scenes",
}
BINDING = {
    "binding_preference": "Binding: its own objects first",
    "binding_within_bag": "Binding, strictly: every own object first",
    "binding_error_share": "Errors that confuse the binding",
}
LEAD = (
    "A scene counts as recognised when everything that it shows scores strictly higher than everything that it does not "
    "show. Concepts: which values occur. Objects: which value goes with which. A bag of concepts does the first, "
    "binding takes the second. Binding itself asks less of a vector: on ambiguous scenes, whose values also make other "
    "objects, does the scene prefer its own objects to every other arrangement of the same values? The verdict is read there."
)
TABLE = tuple(column for column in COLUMNS if column[0] not in ("metric", "target", "coverage", "seed", "details"))


def build(run: Run) -> Section:
    """The section."""
    every = run.results.select(analysis="recognition")
    main = every.headline()
    figure = forest(
        "recognition",
        "Recognition of concepts and objects",
        _rows(main, _questions(main)),
        Style("share of scenes recognised", (-0.02, 1.03)),
    )
    columns = (("recognised", lambda r: heading(question(r))), *TABLE)
    ordered = [r for one in _questions(main) for r in main if question(r) == one]
    table = record_table("Recognition, headline figures", ordered, columns)
    return Section("recognition", "Recognition", LEAD, (figure, table, every_row(every.records)))


def story(run: Run) -> Figure | None:
    """The picture of the first screen: the three questions on the same scenes, own queries beside a probe."""
    every = run.results.select(analysis="recognition")
    scenes = "closed" if len(every.headline(metric="binding_preference", target="closed")) else "ambiguous"
    asked = {
        "Concepts": every.select(lambda r: r.extra == {"scenes": scenes}, metric="concept_recognition", target="mean"),
        "Binding: its own objects first": every.headline(metric="binding_preference", target=scenes),
        "Objects, among all objects": every.headline(metric="object_recognition", target=scenes),
    }
    rows: list[Row] = [
        (name, [(series(r.estimator, ()), r) for r in found]) for name, found in asked.items() if len(found)
    ]
    if not rows:
        return None
    style = Style("share of scenes recognised", (0, 1.03), bars=True, values=True, step=25, gap=20)
    return forest("story", "What can be read from the vector", rows, style)


def question(record: Record) -> str:
    """What a recognition record asks, as the heading of its row."""
    if record.metric == "object_recognition":
        return OBJECTS.get(record.target or "all", f"Objects, {plain(record.target)}")
    if record.metric == "concept_recognition":
        known = {"mean": "Concepts", None: "Concepts", "joint": "All concepts at once"}
        return known.get(record.target, str(record.target))
    if record.metric in BINDING:
        return BINDING[record.metric] + ("" if record.target == "ambiguous" else f", {plain(record.target)} scenes")
    return " ".join(part for part in (plain(record.metric), plain(record.target)) if part)


def series(estimator: str | None, others: Sequence[str]) -> Series:
    """The look of an estimator: fixed for the two known ones."""
    if estimator in KNOWN:
        return KNOWN[estimator]
    place = 2 + others.index(estimator or "")
    return Series(plain(estimator) or "value", HUES[place % len(HUES)], SYMBOLS[place % len(SYMBOLS)])


def _questions(records: Results) -> list[str]:
    """Rows in reading order: concepts, each concept, all concepts, objects from all to the strictest scenes."""
    found = list(dict.fromkeys(question(r) for r in records))
    last = ["All concepts at once", *BINDING.values(), *OBJECTS.values()]
    first = [q for q in ("Concepts",) if q in found]
    middle = [q for q in found if q not in first and q not in last]
    return [*first, *middle, *(q for q in last if q in found)]


def _rows(records: Results, questions: Sequence[str]) -> list[Row]:
    others = list(dict.fromkeys(r.estimator or "" for r in records if r.estimator not in KNOWN))
    return [(one, [(series(r.estimator, others), r) for r in records if question(r) == one]) for one in questions]


def terminal_table(results: Results) -> Table | None:
    """What is recognised, by which read-out; the split goes without saying (queries: all scenes, probes: held out)."""
    records = results.headline(analysis="recognition")
    if not len(records):
        return None
    columns = {"recognised": [question(r) for r in records]}
    names = ("by", "value", "95 % interval", "chance", "ceiling", "scenes")
    columns |= {name: [CELLS[name](r) for r in records] for name in names}
    return filled_table("\nRecognition: share of scenes", columns)
