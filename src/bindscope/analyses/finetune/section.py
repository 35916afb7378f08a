"""The page's section on fine-tuning: before and after, the curve of binding against harm, and how training went."""

from __future__ import annotations

from collections.abc import Sequence

from bindscope.finetune.card import QUESTIONS, STATES, is_change
from bindscope.results import Record, Results
from bindscope.show.blocks import Block, Cell, Gallery, Note, Section, Table, every_row, heading, numeric
from bindscope.show.curves import Along, curves
from bindscope.show.figures import BLUE, GREEN, GREY, ORANGE, Figure, Series
from bindscope.show.run import Run
from bindscope.show.words import figure_text, interval_text

LEAD = (
    "Every question was asked of the base, of the tuned weights alone, and of the weights that were saved, which are averaged "
    "with the base. Held-out objects come from no training caption, nor do the objects that exchanging a value would make; "
    "words, wordings and relations that were never seen are asked for apart. A change in bold has an interval without zero."
)
TITLES = {"base": "base", "averaged": "saved weights", "raw": "tuned alone"}
SHARE = Along("Share of the tuned weights", lambda record: record.extra.get("share"))
STEP = Along("Step of training", lambda record: record.extra.get("step"))
LINES = {
    "naming_closed": Series("objects, closed scenes", ORANGE, "diamond"),
    "swaps_closed_own": Series("swaps in the same wording", BLUE, "circle"),
    "similarity": Series("similarities kept", GREY, "square"),
}
TRACKED = {
    ("binding_preference", "all"): Series("prefers its own objects", ORANGE, "diamond"),
    ("object_recognition", "all"): Series("objects", GREEN, "triangle-up"),
    ("swap_accuracy", "all"): Series("swaps", BLUE, "circle"),
    ("swap_accuracy", "own_wording"): Series("swaps in the same wording", GREY, "square"),
}
WATCHED = {
    "naming_validation": Series("objects, validation objects", ORANGE, "diamond"),
    "swaps_validation": Series("swaps", GREEN, "triangle-up"),
    "swaps_validation_own": Series("swaps in the same wording", BLUE, "circle"),
    "similarity": Series("similarities kept", GREY, "square"),
}


def build(run: Run) -> Section:
    """The section, from records and the log."""
    every = run.results.select(analysis="finetune").records
    blocks: list[Block] = [Note(note) for note in _notes(run)]
    table = before_after_table(every)
    blocks += [table] if table.rows else []
    possible = (_curve(every), _checkpoints(every), _progress(run.learning))
    drawn = tuple(figure for figure in possible if figure is not None)
    blocks += [Gallery(drawn)] if drawn else []
    return Section("finetune", "Fine-tuning", LEAD, (*blocks, every_row(every)))


def _notes(run: Run) -> list[str]:
    options = run.config["options"]
    if "share" not in options:
        return []
    held = options.get("held_out_words", [])
    words = ", ".join(held[:10]) + (", ..." if len(held) > 10 else "")
    return [
        f"The saved weights are {options['share']:g} x tuned + {1 - options['share']:g} x base. "
        + (f"{len(held)} words were never shown: {words}." if held else "No word was held out.")
    ]


def before_after_table(records: Sequence[Record]) -> Table:
    """One row a question, one column a state of the weights."""
    rows = []
    for name in dict.fromkeys(str(r.extra.get("question")) for r in records if "question" in r.extra):
        some = [r for r in records if r.extra.get("question") == name]
        metrics = dict.fromkeys(r.metric for r in some)
        rows += [_row(name, one, [r for r in some if r.metric == one and "weights" in r.extra]) for one in metrics]
    rows += _kept_rows(records)
    head = ("question", "chance", *(TITLES[state] for state in STATES), "change of the saved weights")
    return Table("Before and after", head, tuple(row for row in rows if row))


def _row(name: str, metric: str, records: Sequence[Record]) -> tuple[Cell, ...]:
    figures = {r.extra["weights"]: r for r in records if not r.extra.get("change")}
    if not set(STATES) <= set(figures):
        return ()
    change = next(r for r in records if r.extra.get("change") and r.extra["weights"] == "averaged")
    words = QUESTIONS.get(name, name.replace("_", " ")) + (" (preference)" if metric == "binding_preference" else "")
    chance = figures["base"].chance
    cells = [_figure(figures[state]) for state in STATES]
    return (
        heading(words),
        numeric("" if chance is None else figure_text(metric, chance), chance),
        *cells,
        _change(change),
    )


def _kept_rows(records: Sequence[Record]) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for pairs, texts in ((None, "other sentences"), (True, "natural captions")):
        some = [r for r in records if r.metric == "similarity_kept" and r.extra.get("pairs") == pairs]
        kept = {r.extra["weights"]: r for r in some if "weights" in r.extra}
        if {"averaged", "raw"} <= set(kept):
            words = heading(f"similarities of {texts}, rank correlation with the base")
            one = numeric("1", 1.0)
            rows.append((words, Cell(""), one, _figure(kept["averaged"]), _figure(kept["raw"]), Cell("")))
    return rows


def _figure(record: Record) -> Cell:
    value = record.value
    return numeric("" if value is None else f"{figure_text(record.metric, value)} {interval_text(record)}", value)


def _change(record: Record) -> Cell:
    value = record.value or 0.0
    text = f"{value:+.3f} {interval_text(record)}"
    return Cell(text, repr(value), numeric=True, heading=is_change(record))


def _curve(records: Sequence[Record]) -> Figure | None:
    """Binding against harm along the line from the base to the tuned weights."""
    along = [r for r in records if "share" in r.extra]
    families = [
        (look, [r for r in along if r.extra.get("question", "similarity") == name]) for name, look in LINES.items()
    ]
    families = [(look, points) for look, points in families if points]
    if not families:
        return None
    return curves(
        "finetune_average", "Binding and harm by the share of the tuned weights", families, "share", along=SHARE
    )


def _checkpoints(records: Sequence[Record]) -> Figure | None:
    """Binding over the checkpoints of a training run."""
    families = [
        (look, [r for r in records if "step" in r.extra and (r.metric, r.target) == key])
        for key, look in TRACKED.items()
    ]
    families = [(look, points) for look, points in families if points]
    return curves("track", "Binding over checkpoints", families, "share", along=STEP) if families else None


def _progress(learning: Results) -> Figure | None:
    """Validation objects over the steps of training."""
    families = [(look, learning.select(metric=name).records) for name, look in WATCHED.items()]
    families = [(look, points) for look, points in families if points]
    title = "Validation objects over training"
    return curves("finetune_training", title, families, "share", along=STEP) if families else None
