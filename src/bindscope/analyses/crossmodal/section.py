"""The two sides: the paradox in one figure, the swap test, retrieval, what is confused, and whether a head repairs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bindscope.results import Record, Results
from bindscope.show.blocks import (
    COLUMNS,
    Block,
    Cell,
    Gallery,
    Note,
    Section,
    Table,
    every_row,
    heading,
    interval_cell,
    record_table,
    value_cell,
)
from bindscope.show.figures import BLUE, GREEN, ORANGE, PINK, VIOLET, Figure, Series
from bindscope.show.forest import Row, Style, forest
from bindscope.show.run import Run
from bindscope.show.tables import figures_table
from bindscope.show.words import plain, value_text

if TYPE_CHECKING:
    from rich.table import Table as TextTable

HEADLINES = ("swap_accuracy", "text_score", "image_score", "group_score", "retrieval_top1", "swap_confusion_at_1")
LEAD = (
    "One side are the scenes of this data, the other captions of the same scenes: for images the text tower, for a sentence "
    "encoder the same scenes in other words. Within a side a read-out may find the objects; what retrieval needs is that both "
    "sides find the same ones. The swap test asks whether a scene is nearer to its own caption than to one in which two "
    "objects exchanged a value, so that both name the same values."
)
ACROSS = Series("across: queries of the other side", BLUE, "circle")
SCENES = Series("within scenes: linear probe", ORANGE, "diamond")
CAPTIONS = Series("within captions: linear probe", GREEN, "square")
WITH, WITHOUT = Series("with swapped distractors", BLUE, "circle"), Series("without", ORANGE, "diamond")
HEADS = {"none": "no head", "linear": "linear", "low_rank": "low rank (bilinear)", "multiplicative": "multiplicative"}
PARTS = {
    "concepts": "concepts of the captions",
    "interaction": "binding part of the captions",
    "residual": "rest of the captions",
}
TARGETS = {"scene_to_caption": "scene asks for its caption", "caption_to_scene": "caption asks for its scene"}
TABLE = tuple(column for column in COLUMNS if column[0] not in ("coverage", "seed", "details"))
BOUND = Style("share", (-0.02, 1.03))


def build(run: Run) -> Section:
    """The section."""
    every = run.results.select(analysis="crossmodal")
    figures = [figure for figure in (swap_figure(every), retrieval_figure(every)) if figure is not None]
    paradox = paradox_figure(run.results)
    blocks: list[Block] = [paradox] if paradox is not None else []
    blocks.append(Note(" ".join(sentences(every))))
    if figures:
        blocks.append(Gallery(tuple(figures)) if len(figures) > 1 else figures[0])
    blocks += [part for part in (confusion_table(every), parts_figure(every), repair_figure(every)) if part is not None]
    main = every.headline().select(lambda record: record.metric != "swap_confusion")
    blocks.append(record_table("Cross-modal, headline figures", main, TABLE, folded=True))
    return Section("crossmodal", "Cross-modal binding", LEAD, (*blocks, every_row(every.records)))


def paradox_figure(results: Results) -> Figure | None:
    """Concepts and objects, read within each side and asked across them."""
    questions = {
        "Concepts": {"metric": "concept_recognition", "target": "mean"},
        "Objects": {"metric": "object_recognition", "target": "all"},
        "Objects, unshared scenes": {"metric": "object_recognition", "target": "unshared"},
    }
    rows: list[Row] = []
    for name, words in questions.items():
        entries = [
            (SCENES, results.first(analysis="recognition", estimator="probe", **words)),
            (CAPTIONS, _first(results, {"side": "captions"}, estimator="probe", **words)),
            (ACROSS, _first(results, {"wordings": "apart"}, estimator="zero_shot", **words)),
        ]
        known = [(series, record) for series, record in entries if record is not None]
        if known:
            rows.append((name, known))
    swap = results.first(analysis="crossmodal", metric="swap_accuracy")
    if swap is not None:
        rows.append(("Right caption before the swapped one", [(ACROSS, swap)]))
    if not rows:
        return None
    style = Style("share recognised", (0, 1.03), bars=True, values=True, step=22, gap=18)
    return forest("paradox", "Within each side and across them", rows, style, (SCENES, CAPTIONS, ACROSS))


def sentences(every: Results) -> list[str]:
    """The swap test in a sentence or two."""
    swap = every.first(metric="swap_accuracy")
    if swap is None or swap.value is None:
        return ["No scene here has a value swap (one object, or one concept), so the swap test does not apply."]
    where = " of training objects" if swap.split == "train" else ""
    found = [
        f"The right caption beats the swapped one in {value_text(swap)} of the comparisons{where}; a bag reaches 0.5."
    ]
    closed = _first(every, {"scenes": "closed"}, metric="swap_accuracy", estimator="zero_shot")
    if closed is not None and closed.value is not None:
        found.append(
            f"Where all objects, before and after the swap, were held out of its training: {value_text(closed)}."
        )
    return found


def swap_figure(every: Results) -> Figure | None:
    """Swap accuracy and what it depends on, Winoground's scores beside it."""
    rows: list[Row] = []
    for record in every.select(metric="swap_accuracy", estimator="zero_shot"):
        name = _swap_name(record)
        if name and record.value is not None:
            rows.append((name, [(Series("", BLUE, "circle"), record)]))
    for metric in ("text_score", "image_score", "group_score"):
        pair = every.first(metric=metric)
        if pair is not None and pair.value is not None:
            rows.append((f"Pairs: {metric.removesuffix('_score')} score", [(Series("", BLUE, "circle"), pair)]))
    return forest("swaps", "The swap test", rows, BOUND) if rows else None


def _swap_name(record: Record) -> str:
    extra = record.extra
    if not extra:
        return "All swaps" if record.split != "train" else "Swaps of training objects"
    names = {
        "order": "caption in {} order",
        "concept": "exchanged: {}",
        "wordings": "wordings {}",
        "scenes": "{} scenes",
    }
    if set(extra) <= set(names):
        return ", ".join(names[key].format(value) for key, value in extra.items())
    return "caption asks for its scene" if "direction" in extra else ""


def retrieval_figure(every: Results) -> Figure | None:
    """Recall@k both ways."""
    rows: list[Row] = []
    for target, name in TARGETS.items():
        for metric, shown in (
            ("retrieval_top1", "recall@1"),
            ("recall_at_5", "recall@5"),
            ("recall_at_10", "recall@10"),
        ):
            found = every.select(metric=metric, target=target, estimator="zero_shot")
            entries = [(WITHOUT if "gallery" in record.extra else WITH, record) for record in found]
            if entries:
                rows.append((f"{name}, {shown}", entries))
        first = every.first(metric="swap_confusion_at_1", target=target, estimator="zero_shot")
        if first is not None:
            rows.append((f"{name}, swapped one first", [(WITH, first)]))
    return forest("retrieval", "Retrieval across the two sides", rows, BOUND, (WITH, WITHOUT)) if rows else None


def confusion_table(every: Results) -> Table | None:
    """The pairs that are confused most."""
    found = [record for record in every.select(metric="swap_confusion") if record.value]
    if not found:
        return None
    rows = []
    for record in sorted(found, key=lambda r: -(r.value or 0.0)):
        pair = record.extra.get("values") or record.extra.get("objects") or ("?", "?")
        rows.append(
            (
                heading(f"{pair[0]} / {pair[1]}"),
                Cell("objects" if record.target == "objects" else f"values of {plain(record.target)}"),
                value_cell(record),
                interval_cell(record),
                Cell(f"{record.n_scenes or 0:,}", numeric=True),
            )
        )
    head = ("exchanged", "what", "confused", "95 % interval", "scenes")
    return Table("Most confused pairs", head, tuple(rows), folded=len(rows) > 8)


def parts_figure(every: Results) -> Figure | None:
    """The margin of the right caption by the part of the caption that gives it."""
    main = [r for r in every.headline(metric="swap_margin") if r.target in PARTS]
    if not main:
        return None
    rows: list[Row] = [(PARTS[r.target or ""], [(Series("", VIOLET, "square"), r)]) for r in main]
    whole = every.first(metric="swap_margin", target="all")
    if whole is not None:
        rows.append(("whole margin", [(Series("", VIOLET, "square"), whole)]))
    return forest("swap_parts", "Margin of the right caption, by part", rows, Style("difference of cosines"))


def repair_figure(every: Results) -> Figure | None:
    """Swap accuracy behind each head, on objects that it saw and on closed swaps of those that it did not."""
    looks = {
        "train": Series("training objects", ORANGE, "diamond"),
        "test": Series("held-out objects, closed swaps", BLUE, "circle"),
    }
    rows: list[Row] = []
    harm = Series("top-1 retrieval of unseen scenes, lost", PINK, "triangle-up")
    for kind, name in HEADS.items():
        found = every.select(lambda r: bool(r.extra.get("repair")), estimator=kind)
        entries = [(looks[r.split or ""], r) for r in found.select(metric="swap_accuracy") if r.split in looks]
        entries += [(harm, r) for r in found.select(metric="harm")]
        known = [(series, record) for series, record in entries if record.value is not None]
        if known:
            rows.append((name, known))
    if len(rows) < 2:
        return None
    return forest("repair", "Heads on the captions’ side", rows, Style("share"), (*looks.values(), harm))


def _first(results: Results, extra: dict[str, object], **columns: object) -> Record | None:
    found: Sequence[Record] = results.select(lambda r: dict(r.extra) == extra, analysis="crossmodal", **columns).records
    return found[0] if found else None


def terminal_table(results: Results) -> TextTable | None:
    """Swaps, scores of pairs and retrieval."""
    found = results.headline(analysis="crossmodal", metric=HEADLINES)
    return figures_table("Across the two sides: scenes against captions", found) if len(found) else None
