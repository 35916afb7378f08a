"""Targeted removal: what can still be read when a component is taken out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bindscope.analyses.removal.findings import OBJECTS, findings
from bindscope.results import Record, Results
from bindscope.show.blocks import COLUMNS, Block, Gallery, Note, Section, every_row, heading, record_table
from bindscope.show.figures import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    Figure,
    Key,
    Series,
    axis,
    base_layout,
    error_bars,
    hover,
    span,
)
from bindscope.show.forest import Row, Style, forest
from bindscope.show.run import Run
from bindscope.show.words import percent, plain, value_text

LEAD = (
    "A component is fitted to the vectors and subtracted, then read-outs are trained anew on what is left. Taking out the "
    "concepts should hide the concepts and spare the objects, if objects are more than their concepts; taking out the "
    "objects should hide both. Removal has worked where the read-out gains nothing over a constant predictor; recognition, "
    "which only asks for an order, stands beside it. Permuted: the component of the wrong value or object, as a control."
)
ORDER = ("none", "concepts", "objects", "interaction", "permuted_concepts", "permuted_objects")
NAMES = {
    "none": "nothing taken out",
    "concepts": "− concepts",
    "objects": "− objects",
    "interaction": "− interaction",
    "permuted_concepts": "− permuted concepts (control)",
    "permuted_objects": "− permuted objects (control)",
}
CONCEPT = Series("concepts", BLUE, "circle")
OBJECT = Series("objects", ORANGE, "diamond")
TABLE = tuple(column for column in COLUMNS if column[0] not in ("metric", "target", "coverage", "seed", "split"))
HEADLINES = ("concept_recognition", "object_recognition", "cross_entropy_gain", "retrieval_top1", "share")


def build(run: Run) -> Section:
    """The section."""
    every = run.results.select(analysis="removal")
    blocks: list[Block] = [Note(text) for text in findings(every)]
    read = _pairs(every, "subtract", {})
    if read:
        blocks.append(
            _forest("removal_recognition", "What can still be read", read, ("concept", "object"), recognised=True)
        )
        gains = _forest("removal_gain", "Gain over a constant predictor, in nats", read, ("gain", "gain_objects"))
        blocks.append(Gallery((gains, *_separate(every))))
    blocks += [Gallery(tuple(figures)) for figures in (_erasure(every), _doses(every)) if figures]
    rows = [r for r in every.headline(metric=HEADLINES) if r.estimator == "subtract"]
    ordered = sorted(rows, key=lambda r: _place(r.target))
    columns = (("taken out", lambda r: heading(f"{NAMES.get(r.target or '', plain(r.target))}: {_what(r)}")), *TABLE)
    if ordered:
        blocks.append(
            record_table("Removal by subtraction, headline figures", ordered, columns, folded=len(ordered) > 30)
        )
    return Section("removal", "Targeted removal", LEAD, (*blocks, every_row(every.records)))


def _place(target: str | None) -> int:
    return ORDER.index(target) if target in ORDER else len(ORDER)


def _what(record: Record) -> str:
    names = {"concept_recognition": "concepts", "object_recognition": "objects", "share": "variance taken out"}
    kept = {"retrieval_top1": "finds its own scene", "cross_entropy_gain": "gain for concepts, nats"}
    return {**names, **kept}.get(record.metric, plain(record.metric))


Reads = dict[str, dict[str, Record]]


def _pairs(every: Results, estimator: str, extra: Mapping[str, Any]) -> Reads:
    """By what is taken out: recognition and gain of concepts and objects, for rows with exactly this extra."""
    out: Reads = {}
    for record in every:
        if record.estimator != estimator or record.target is None:
            continue
        rest = {key: value for key, value in record.extra.items() if key != "concept"}
        measured = record.extra.get("concept")
        kind = {
            ("concept_recognition", None): "concept",
            ("object_recognition", None): "object",
            ("cross_entropy_gain", None): "gain",
            ("cross_entropy_gain", OBJECTS): "gain_objects",
        }.get((record.metric, measured))
        if rest == extra and kind is not None:
            out.setdefault(record.target, {})[kind] = record
    return dict(sorted(out.items(), key=lambda item: _place(item[0])))


def _rows(reads: Reads, kinds: Sequence[str], looks: Sequence[Series]) -> list[Row]:
    rows: list[Row] = []
    for target, found in reads.items():
        entries = [(look, found[kind]) for kind, look in zip(kinds, looks, strict=True) if kind in found]
        if entries:
            rows.append((NAMES.get(target, plain(target)), entries))
    return rows


def _forest(name: str, title: str, reads: Reads, kinds: Sequence[str], recognised: bool = False) -> Figure:
    style = (
        Style("share of held-out scenes recognised", (-0.02, 1.03)) if recognised else Style("nats a scene", exact=0.0)
    )
    return forest(name, title, _rows(reads, kinds, (CONCEPT, OBJECT)), style)


def _separate(every: Results) -> list[Figure]:
    """The same figures with the component fitted on other rows."""
    apart, whole = _pairs(every, "subtract", {"fit": "separate"}), _pairs(every, "subtract", {})
    rows: list[Row] = []
    for target, found in apart.items():
        for kind, look, what in (("gain", CONCEPT, "concepts"), ("gain_objects", OBJECT, "objects")):
            if kind in found:
                inside = Series("the same, fitted on all rows", GREY, "circle", hollow=True)
                outside = Series(f"{what}, fitted on rows that neither read-out nor test sees", look.color, look.symbol)
                entries = [(outside, found[kind])]
                if kind in whole.get(target, {}):
                    entries.append((inside, whole[target][kind]))
                rows.append((f"{NAMES.get(target, plain(target))}: {what}", entries))
    style = Style("nats a scene", exact=0.0)
    return [forest("removal_fits", "Two fits: gain in nats", rows, style)] if rows else []


def _erasure(every: Results) -> list[Figure]:
    """LEACE beside random subspaces of the same rank; and a network beside the linear read-out."""
    figures = []
    erased = _pairs(every, "leace", {})
    rows: list[Row] = []
    for target, found in erased.items():
        control = [
            r
            for r in every.select(estimator="leace", target=target)
            if r.extra.get("control") and r.extra.get("concept") is None and r.extra.get("rank") == _rank(every, target)
        ]
        entries = [(look, found[kind]) for kind, look in (("concept", CONCEPT), ("object", OBJECT)) if kind in found]
        if entries:
            rows.append((f"LEACE of {plain(target)}", entries))
        looks = {"concept_recognition": CONCEPT, "object_recognition": OBJECT}
        entries = [(looks[r.metric], r) for r in control if r.metric in looks]
        if entries:
            rows.append((f"as many random directions ({_rank(every, target)})", entries))
    if rows:
        title = "Erased by LEACE, and a control of the same rank"
        figures.append(forest("removal_leace", title, rows, Style("share recognised", (-0.02, 1.03))))
    network, linear = _pairs(every, "subtract", {"readout": "mlp"}), _pairs(every, "subtract", {})
    rows = []
    for target, found in network.items():
        for kind, what in (("concept", "concepts"), ("object", "objects")):
            entries = [(Series("a small network", GREEN, "square"), found[kind])] if kind in found else []
            if kind in linear.get(target, {}):
                entries.append((Series("linear", BLUE, "circle"), linear[target][kind]))
            if entries:
                rows.append((f"{NAMES.get(target, plain(target))}: {what}", entries))
    if rows:
        title = "What a linear read-out misses"
        figures.append(forest("removal_network", title, rows, Style("share recognised", (-0.02, 1.03))))
    return figures


def _rank(every: Results, target: str) -> int | None:
    found = every.first(metric="erased_rank", estimator="leace", target=target)
    return None if found is None or found.value is None else int(found.value)


def _doses(every: Results) -> list[Figure]:
    """Share of the variance taken out against what can still be read, one directions-curve and one control."""
    families: list[tuple[Series, list[tuple[Record, Record]]]] = []
    start = [(r, r) for r in every.headline(metric="concept_recognition", target="none", estimator="subtract")]
    for name, color, symbol, control in (
        ("most telling directions", BLUE, "circle", None),
        ("random directions", GREY, "square", "random subspace"),
    ):
        points = [
            (share, read)
            for share in every.select(metric="share", estimator="leace", target="concepts")
            for read in every.select(metric="concept_recognition", estimator="leace", target="concepts")
            if share.extra == read.extra
            and (share.extra.get("control") == control or (not share.extra and not control))
            and share.extra.get("fit") is None
        ]
        if len(points) > 1:
            families.append((Series(name, color, symbol), [*start, *points]))
    if not families:
        return []
    return [_dose_figure(families)]


def _dose_figure(families: Sequence[tuple[Series, list[tuple[Record, Record]]]]) -> Figure:
    data: list[dict[str, Any]] = []
    keys: list[Key] = []
    words: list[str] = []
    for series, points in families:
        placed = sorted(((0.0 if s is r else s.value or 0.0, r) for s, r in points), key=lambda p: p[0])
        records = [r for _, r in placed]
        keys.append(Key(series.name, series.color, "line", series.symbol, traces=(len(data),)))
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": series.name,
                "x": [x for x, _ in placed],
                "y": [r.value for r in records],
                "marker": {"color": series.color, "symbol": series.symbol, "size": 9},
                "line": {"color": series.color, "width": 2},
                "hovertemplate": "%{hovertext}<extra></extra>",
                "hovertext": [hover(r, series.name) for r in records],
                "cliponaxis": False,
                **error_bars(records, series.color, "y"),
            }
        )
        words.append(f"{series.name}: " + ", ".join(f"{value_text(r)} at {percent(x)}" for x, r in placed))
    layout = base_layout(300)
    layout["xaxis"] = axis("Share of the variance taken out", tickformat="~%", rangemode="tozero")
    layout["yaxis"] = axis("Concepts recognised", range=list(span([r for _, ps in families for _, r in ps])))
    title = "Dose: what is taken out against what can be read"
    return Figure("removal_dose", title, f"{title}. {'. '.join(words)}.", data, layout, tuple(keys))
