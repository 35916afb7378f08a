"""Object editing: does a vector in which one object was replaced behave as the other scene's?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bindscope.analyses.editing.findings import TARGETS, findings
from bindscope.results import Record, Results
from bindscope.show.blocks import COLUMNS, Block, Explorer, Gallery, Note, Section, every_row, heading, record_table
from bindscope.show.figures import BLUE, GREEN, ORANGE, VIOLET, Figure, Series
from bindscope.show.forest import Row, Style, forest
from bindscope.show.run import Run
from bindscope.show.words import number, plain

LEAD = (
    "The vector of one object is subtracted from a scene’s vector and another’s is added. If the result behaves as the scene "
    "with the other object, the real vector of that scene is its nearest one among all real scenes (retrieval, objects in "
    "their slots), and read-outs trained on real vectors read the new scene from it. Hollow: object vectors from all "
    "scenes. Filled: the scene that is edited and the one that is looked for are left out of them, exactly."
)
ESTIMATORS = ("avg", "avg+pos", "single", "ols", "ols+pos")
LOOKS = {
    ("value", "in_sample"): Series("one concept value, in sample", BLUE, "circle", hollow=True),
    ("value", "held_out"): Series("one concept value, both scenes left out", BLUE, "circle"),
    ("object", "in_sample"): Series("the whole object, in sample", ORANGE, "diamond", hollow=True),
    ("object", "held_out"): Series("the whole object, both scenes left out", ORANGE, "diamond"),
}
TITLES = {
    "retrieval_top1": "Retrieval: the nearest real vector shows the new scene",
    "joint_probing": "Probing: all concepts of the new scene are read",
    "object_recognition": "Probing: the objects of the new scene are read",
}
TABLE = tuple(column for column in COLUMNS if column[0] not in ("coverage", "seed", "details", "metric"))
SHARES = Style("share of edits", (-0.02, 1.03))


def build(run: Run) -> Section:
    """The section."""
    every = run.results.select(analysis="editing")
    blocks: list[Block] = [Note(text) for text in findings(every)]
    if run.explorer:
        blocks.append(Explorer(run.explorer))
    figures = [f for metric in TITLES for f in _by_estimator(every, metric)]
    blocks += figures[:1]
    if figures[1:]:
        blocks.append(Gallery(tuple(figures[1:])))
    parts = [*_parts(every), *_dial(every)]
    if parts:
        blocks.append(Gallery(tuple(parts)))
    main = [r for r in every.headline() if r.metric in (*TITLES, "concept_recognition", "retrieval_rank")]
    columns = (
        ("figure", lambda r: heading(f"{plain(r.metric)}, {TARGETS.get(r.target or '', plain(r.target))}")),
        *TABLE,
    )
    if main:
        blocks.append(record_table("Editing, headline figures", main, columns, folded=len(main) > 24))
    return Section("editing", "Object editing", LEAD, (*blocks, every_row(every.records)))


def _by_estimator(every: Results, metric: str) -> list[Figure]:
    found = every.headline(metric=metric)
    rows: list[Row] = []
    for estimator in (e for e in ESTIMATORS if len(found.select(estimator=e))):
        entries = [(LOOKS[r.target or "", r.split or ""], r) for r in found.select(estimator=estimator) if _known(r)]
        if entries:
            rows.append((estimator, entries))
    return [forest(f"editing_{metric}", TITLES[metric], rows, SHARES, tuple(LOOKS.values()))] if rows else []


def _known(record: Record) -> bool:
    return (record.target or "", record.split or "") in LOOKS


def _parts(every: Results) -> list[Figure]:
    """Where another object has the value that is taken out, and where none has."""
    looks = {
        "same": Series("another object has the old value too", VIOLET, "square"),
        "different": Series("no other object has it", GREEN, "triangle-up"),
    }
    rows: list[Row] = []
    for estimator in ESTIMATORS:
        entries = [
            (looks[str(r.extra["other"])], r)
            for r in every.select(metric="retrieval_top1", estimator=estimator, target="value", split="held_out")
            if r.extra.get("other") in looks and "protocol" not in r.extra
        ]
        if entries:
            rows.append((estimator, entries))
    return [forest("editing_parts", "Retrieval by the other objects, one value edited", rows, SHARES)] if rows else []


def _dial(every: Results) -> list[Figure]:
    """Strength of the edit, 1 is the replacement."""
    rows: list[Row] = []
    chosen: Callable[[Record], bool] = lambda r: r.split == "held_out" and r.estimator in ("ols+pos", "single")  # noqa: E731
    strong = [r for r in every.select(chosen, metric="retrieval_top1") if _strength(r) is not None]
    for estimator in dict.fromkeys(r.estimator for r in strong):
        for strength in sorted({_strength(r) or 0.0 for r in strong if r.estimator == estimator}):
            at = [r for r in strong if r.estimator == estimator and _strength(r) == strength and _known(r)]
            entries = list({r.target: (LOOKS[r.target or "", "held_out"], r) for r in at}.values())
            rows.append((f"{estimator}, strength {number(strength)}", entries))
    return [forest("editing_dial", "Strength of the edit as a dial", rows, SHARES)] if len(rows) > 2 else []


def _strength(record: Record) -> float | None:
    """The strength of an edit: 1 for the headline."""
    if not record.extra:
        return 1.0
    only: Sequence[str] = list(record.extra)
    return float(record.extra["strength"]) if only == ["strength"] else None
