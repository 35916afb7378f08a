"""Code length: which rule describes the vectors in fewer bits than a table of objects, and after how many objects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bindscope.results import Record, Results
from bindscope.show.blocks import COLUMNS, Block, Gallery, Note, Section, every_row, record_table
from bindscope.show.curves import Along, curves
from bindscope.show.figures import BLUE, GREY, ORANGE, Figure, Series, series_of
from bindscope.show.forest import Row, Style, forest
from bindscope.show.run import Run
from bindscope.show.tables import figures_table
from bindscope.show.words import interval_text, plain, value_text, variant

if TYPE_CHECKING:
    from rich.table import Table

LEAD = (
    "How many bits the vectors cost when the concepts are known, coded object by object as they arrive. A table of objects "
    "(lookup) has to store each new object; a rule that is right foresees it, and so costs fewer bits. Each rule may have "
    "exceptions, object by object, and how large they are is learnt: a rule that is of no use costs about as much as the "
    "table. Bits are relative to a constant predictor; fewer are better. A product across objects and a perceptron can also "
    "say how the objects of a scene act on each other, which no table of single objects can."
)
LOOKUP, ADDITIVE, SWITCH = "lookup", "additive", "switch"
NAMES = {
    LOOKUP: "lookup: a table of objects",
    ADDITIVE: "additive: concepts add up",
    "per-object": "per-object product",
    "global": "product across objects",
    SWITCH: "switch between all",
}
WHOLE = Series("with exceptions", BLUE, "circle")
ALONE = Series("without exceptions", ORANGE, "diamond", hollow=True)
ARRIVED = Along("Objects that have arrived", lambda record: record.extra.get("objects_seen"))
TABLE = tuple(c for c in COLUMNS if c[0] not in ("coverage", "split", "chance", "ceiling", "ties", "seed", "details"))


def terminal_table(results: Results) -> Table | None:
    """Bits by family, and what they save."""
    found = results.headline(analysis="codelength", metric=("bits_per_scene", "bits_saved", "objects_to_pay"))
    return figures_table("Code length", found) if len(found) else None


def build(run: Run) -> Section:
    """The section."""
    every = run.results.select(analysis="codelength")
    main = every.headline()
    blocks: list[Block] = [Note(sentence) for sentence in sentences(every)]
    blocks += [*_curve(every), *_pair(_lengths(every), _savings(every)), *_sensitivity(every)]
    blocks.append(record_table("Code length, headline figures", main, TABLE, folded=len(main) > 24))
    return Section("codelength", "Code length", LEAD, (*blocks, every_row(every.records)))


def sentences(every: Results) -> list[str]:
    """What the intervals support, and no more."""
    saved = [r for r in every.headline(metric="bits_saved", target=LOOKUP) if r.value is not None]
    if not saved:
        return ["There were too few scenes or objects to code, so nothing is said here."]
    rules = [r for r in saved if r.estimator != SWITCH]
    paying = [r for r in rules if _above(r)]
    out = [_paying(r, every) for r in paying]
    if rules and not paying:
        out.append(_none(rules))
    out += [
        _beyond(r) for r in every.headline(metric="bits_saved", target=ADDITIVE) if _above(r) and r.estimator != SWITCH
    ]
    failed = [r for r in every.headline(metric="fits_training") if r.value is not None and r.value < 0.5]
    return out + [_failed(r) for r in failed]


def _paying(record: Record, every: Results) -> str:
    after = every.first(metric="objects_to_pay", estimator=record.estimator, target=LOOKUP)
    when = ""
    if after is not None and after.value is not None:
        when = f", and has paid off after {value_text(after)} of {record.n_objects:,} objects {interval_text(after)}"
    return f"The rule “{_name(record)}” pays: it saves {_bits(record)} over the table of objects{when.rstrip()}."


def _none(rules: list[Record]) -> str:
    if all(r.ci_high is not None and r.ci_high <= 0 for r in rules):
        return (
            "No rule pays: every one costs more bits than the table of objects, which describes these scenes in the fewest. "
            "A rule may still predict a part of the vectors; how much, complexity says."
        )
    return "No rule saves bits over the table of objects by more than its interval."


def _beyond(record: Record) -> str:
    return f"“{_name(record)}” saves {_bits(record)} beyond the additive rule."


def _failed(record: Record) -> str:
    return (
        f"“{_name(record)}” did not fit its own training scenes in most of its fits; its code length says nothing about "
        "the rule."
    )


def _bits(record: Record) -> str:
    return f"{value_text(record)} bits a scene {interval_text(record)}".rstrip()


def _name(record: Record) -> str:
    return NAMES.get(record.estimator or "", plain(record.estimator))


def _above(record: Record) -> bool:
    return record.ci_low is not None and record.ci_low > 0


def _curve(every: Results) -> list[Figure]:
    points = [r for r in every.select(metric="bits_saved", target=LOOKUP) if r.extra.get("cumulative")]
    if not points:
        return []
    looks = series_of(_name(r) for r in points)
    families = [(look, [r for r in points if _name(r) == name]) for name, look in looks.items()]
    title = "Bits saved over a table of objects, all scenes so far"
    figure = curves("codelength_saved", title, families, "bits saved so far", along=ARRIVED)
    zero = {"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": 0, "y1": 0, "line": {"width": 1, "color": GREY}}
    note = "Above zero: the rule has saved bits so far. Where a curve crosses zero for good, the rule has paid off."
    first = every.first(metric="first_block_objects")
    if first is not None and first.value is not None:
        note += f" The first {value_text(first)} objects are seen before coding starts."
    return [replace(figure, layout={**figure.layout, "shapes": [zero]}, note=note)]


def _lengths(every: Results) -> list[Figure]:
    """Bits of each code; a rule without exceptions is drawn only where it beats the constant predictor."""
    main = every.headline(metric="bits_per_scene")
    every_alone = [r for r in every.select(metric="bits_per_scene") if r.extra == {"exceptions": "none"}]
    alone = {r.estimator: r for r in every_alone if r.value is not None and r.value < 0}
    rows: list[Row] = [
        (_name(r), [(WHOLE, r), *([(ALONE, alone[r.estimator])] if r.estimator in alone else [])])
        for r in main
        if r.value is not None
    ]
    if not rows:
        return []
    style = Style("bits a scene, relative to a constant predictor")
    figure = forest("codelength_bits", "Bits per scene", rows, style, [WHOLE, ALONE])
    worse = [_name(r) for r in every_alone if r.estimator not in alone]
    if worse:
        note = f"Not drawn, since without exceptions it costs more than the constant predictor: {', '.join(worse)}."
        figure = replace(figure, note=note)
    return [figure]


def _savings(every: Results) -> list[Figure]:
    looks = {
        LOOKUP: Series("over the table", BLUE, "circle"),
        ADDITIVE: Series("over the additive rule", ORANGE, "diamond"),
    }
    found = [r for r in every.headline(metric="bits_saved") if r.value is not None]
    names = dict.fromkeys(r.estimator for r in found)
    rows: list[Row] = [
        (_name(group[0]), [(looks[r.target or ""], r) for r in group])
        for name in names
        if (group := [r for r in found if r.estimator == name and r.target in looks])
    ]
    style = Style("bits saved a scene", exact=0.0)
    return [forest("codelength_savings", "Bits saved per scene", rows, style, list(looks.values()))] if rows else []


def _pair(*groups: list[Figure]) -> list[Block]:
    figures = tuple(figure for group in groups for figure in group)
    return [Gallery(figures)] if figures else []


def _sensitivity(every: Results) -> list[Block]:
    asked = [r for r in every.select(metric="bits_saved", target=LOOKUP) if "orders" in r.extra]
    main = {r.estimator: r for r in every.headline(metric="bits_saved", target=LOOKUP)}
    again, headline = Series("asked another way", BLUE, "circle"), Series("headline", ORANGE, "diamond", hollow=True)
    rows: list[Row] = []
    for r in asked:
        words = variant({k: v for k, v in r.extra.items() if k != "orders"})
        entries = [(again, r), *([(headline, main[r.estimator])] if r.estimator in main else [])]
        rows.append((f"{plain(r.estimator)}: {words}", entries))
    if not rows:
        return []
    style = Style("bits saved a scene over the table", step=11, gap=12, exact=0.0)
    note = "Other coordinates and precisions change the number of bits; whether a rule pays should not change."
    return [
        replace(forest("codelength_sensitivity", "Sensitivity to coordinates and precision", rows, style), note=note)
    ]
