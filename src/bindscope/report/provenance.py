"""Where the numbers come from: the encoder's fidelity record, settings and versions."""

from __future__ import annotations

from typing import Any

from bindscope.results import Record, Results
from bindscope.show.blocks import (
    Block,
    Cell,
    Note,
    Section,
    Table,
    heading,
    interval_cell,
    mapping_table,
    numeric,
    value_cell,
)
from bindscope.show.figures import BLUE, INK, Series
from bindscope.show.forest import Row, Style, forest
from bindscope.show.run import Run
from bindscope.show.words import figure_text, metric_name, plain, value_text, variant

FIDELITY = (
    "What exactly produced the vectors. Results change with the activation, the padding or the prompt, so compare this "
    "before you compare numbers."
)
SETTINGS = "Everything that is needed to make this page again. The same seed gives the same numbers."


def fidelity(run: Run) -> Section:
    """What exactly encoded the scenes."""
    entries = {name: _brief(name, value) for name, value in run.config["fidelity"].items()}
    block: Block = (
        mapping_table("Fidelity record of the encoder", ("property", "value"), entries)
        if entries
        else Note("This run has no fidelity record.")
    )
    return Section("fidelity", "Encoder fidelity record", FIDELITY, (block,))


def _brief(name: str, value: Any) -> Any:
    """The entry itself, or how many objects it lists."""
    listed = isinstance(value, dict) and isinstance(value.get("objects"), list)
    return f"{len(value['objects']):,} objects" if name == "training_objects" and listed else value


def settings(run: Run) -> Section:
    """Inputs, options and versions."""
    config = run.config
    names = ("model", "data", "modality", "seed", "hash", "schema_version", "bindscope", "created")
    inputs: dict[str, Any] = {name: config[name] for name in names if config.get(name) not in (None, "")}
    known = {*names, "command", "options", "versions", "fidelity", "space", "examples", "samples"}
    inputs |= {name: value for name, value in config.items() if name not in known}
    inputs |= {f"options.{name}": value for name, value in config["options"].items() if value is not None}
    blocks: list[Block] = [mapping_table("Settings", ("setting", "value"), inputs)]
    if config["versions"]:
        blocks.append(mapping_table("Versions", ("library", "version"), config["versions"]))
    return Section("settings", "Settings", SETTINGS, tuple(blocks))


LEAD = (
    "How much the figures move when a choice is made differently: other centring or length of the vectors, another "
    "split, other scenes, repeated fits. A finding that turns here should not be trusted."
)
ANALYSES = ("recognition", "geometry")
DRAWN = {
    "recognition": ("mean", "all", "unshared", "closed"),
    "geometry": ("level1", "level2", "level2_objects"),
}  # the table has the rest: single concepts, and any other target
VARIANT = Series("asked another way", BLUE, "circle")
HEADLINE = Series("headline", INK, "diamond", hollow=True)
ELSEWHERE = frozenset({"visible", "of"})  # conditions of the data, which have sections of their own
Pair = tuple[Record, Record | None]


def sensitivity(run: Run) -> Section | None:
    """The section; None where no row has an `extra`."""
    pairs = [
        (r, headline_of(r, run.results))
        for r in run.results
        if r.analysis in ANALYSES and r.extra and not ELSEWHERE & set(r.extra)
    ]
    if not pairs:
        return None
    figures = [figure for analysis in ANALYSES for figure in _figures(pairs, analysis)]
    return Section("sensitivity", "Sensitivity", LEAD, (*figures, _table(pairs)))


def headline_of(record: Record, results: Results) -> Record | None:
    """The headline that answers the same question."""
    words = {name: getattr(record, name) for name in ("analysis", "metric", "estimator", "target", "coverage")}
    return results.first(**words, split=record.split) or results.first(**words)


def _figures(pairs: list[Pair], analysis: str) -> list[Block]:
    rows: list[Row] = []
    for record, main in pairs:
        if record.analysis != analysis or record.extra.get("spread") or record.target not in DRAWN[analysis]:
            continue
        entries = [(VARIANT, record)] if main is None else [(VARIANT, record), (HEADLINE, main)]
        rows.append((f"{_question(record)}: {variant(record.extra)}", entries))
    if not rows:
        return []
    limits = (-0.02, 1.03) if analysis == "recognition" else None
    title = f"{plain(analysis).capitalize()}, asked another way"
    return [forest(f"sensitivity_{analysis}", title, rows, Style(limits=limits, step=11, gap=12))]


def _question(record: Record) -> str:
    metric = {"concept_recognition": "concepts", "object_recognition": "objects"}.get(record.metric)
    target = plain(record.target) if record.target not in ("all", "mean") else ""
    parts = [metric or metric_name(record.metric), target, plain(record.estimator)]
    return " ".join(part for part in parts if part)


def _table(pairs: list[Pair]) -> Table:
    head = ("figure", "what differs", "split", "value", "95 % interval", "headline", "difference")
    rows = []
    for record, main in pairs:
        spread = bool(record.extra.get("spread"))
        base = None if main is None else main.value
        known = base is not None and record.value is not None and not spread
        gap = record.value - base if known and base is not None and record.value is not None else None
        difference = "" if gap is None else ("+" if gap > 0 else "") + figure_text(record.metric, gap)
        rows.append(
            (
                heading(_question(record)),
                Cell(variant(record.extra)),
                Cell(plain(record.split)),
                value_cell(record),
                interval_cell(record),
                numeric("" if main is None else value_text(main), base),
                numeric(difference, gap),
            )
        )
    return Table("Figures asked another way, beside their headline", head, tuple(rows), folded=len(rows) > 16)
