"""What `diagnose` and `demo` print about a run: the verdict, then a small table for each analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from bindscope.cli.complexity import print_code_lengths
from bindscope.cli.printing import COLUMNS, figures_table, filled_table, interval_text, number_text, print_table

if TYPE_CHECKING:
    from rich.table import Table

    from bindscope.results import Record, Results
    from bindscope.runs.diagnose import Run

FITS = ("ols", "ols+pos")  # right on every design; the other estimators stand in the report
SHOWN_APART = ("audit", "recognition", "geometry", "variance", "codelength", "crossmodal", "alignment")
ACROSS = ("swap_accuracy", "text_score", "image_score", "group_score", "retrieval_top1", "swap_confusion_at_1")


def print_run(run: Run) -> None:
    """The verdict in words, then the headline figures."""
    from bindscope.runs.verdict import verdict

    said = verdict(run.results)
    typer.echo(f"\n{said.label.upper()}: {run.config['model']} on {run.config['data']}\n")
    for line in (*said.sentences, *said.caveats):
        print_paragraph(line)
    for table in tables(run.results):
        print_table(table)
    print_code_lengths(run.results)


def print_paragraph(text: str) -> None:
    """A sentence, broken at words."""
    from rich.console import Console

    from bindscope.show.words import NBSP

    Console(highlight=False, markup=False, emoji=False).print(text.replace(" %", NBSP + "%"))


def tables(results: Results) -> list[Table]:
    """One table an analysis; those without a table of their own are listed row by row."""
    found = []
    main = results.headline(analysis="recognition")
    if len(main):
        found.append(recognition_table(main))
    fits = results.headline(analysis="geometry", estimator=FITS)
    if len(fits):
        found.append(geometry_table(fits))
    shares = results.headline(analysis="variance")
    if len(shares):
        found.append(variance_table(shares))
    across = results.headline(analysis="crossmodal", metric=ACROSS)
    if len(across):
        found.append(figures_table("Across the two sides: scenes against captions", across))
    aligned = results.headline(analysis="alignment", metric="r2", split="test")
    if len(aligned):
        found.append(figures_table("Does one side predict the other, on held-out objects?", aligned))
    others = dict.fromkeys(r.analysis for r in results if r.analysis not in SHOWN_APART)
    return [*found, *(figures_table(_title(name), results.headline(analysis=name)) for name in others)]


def recognition_table(records: Results) -> Table:
    """What is recognised, by which read-out; the split goes without saying (queries: all scenes, probes: held out)."""
    from bindscope.analyses.recognition.section import question

    columns = {"recognised": [question(r) for r in records]}
    names = ("by", "value", "95 % interval", "chance", "ceiling", "scenes")
    columns |= {name: [COLUMNS[name](r) for r in records] for name in names}
    return filled_table("\nRecognition: share of scenes", columns)


def geometry_table(records: Results) -> Table:
    """R^2 of each level by the least-squares estimators, in sample beside held out, and held-out retrieval."""
    from bindscope.show.words import plain

    keys = sorted({(r.target or "", r.estimator or "") for r in records if r.metric == "r2"}, key=_place)

    def one(key: tuple[str, str], metric: str, split: str) -> Record | None:
        return records.first(metric=metric, target=key[0], estimator=key[1], split=split)

    def values(metric: str, split: str) -> list[str]:
        return [number_text(r.value) if (r := one(key, metric, split)) else "" for key in keys]

    held_out = [interval_text(r) if (r := one(key, "r2", "held_out")) else "" for key in keys]
    columns = {
        "level": [plain(target) for target, _ in keys],
        "by": [estimator for _, estimator in keys],
        "R² in sample": values("r2", "in_sample"),
        "R² held out": values("r2", "held_out"),
        "95 % interval": held_out,
        "retrieval": values("retrieval_top1", "held_out"),
    }
    return filled_table("Geometry: rebuilt from objects (Level I), from concepts (Level II)", columns)


def variance_table(records: Results) -> Table:
    """The nested shares and the test of the interaction."""
    from bindscope.analyses.variance.section import name_of

    shares = [r for r in records if r.metric == "share"]
    rest = [r for r in records if r.metric != "share"]
    columns = {
        "share of": [name_of(r) for r in shares] + [COLUMNS["figure"](r) for r in rest],
        "value": [number_text(r.value) for r in (*shares, *rest)],
        "95 % interval": [interval_text(r) for r in (*shares, *rest)],
    }
    return filled_table("Variance, nested shares", columns)


def _place(key: tuple[str, str]) -> tuple[int, str]:
    order = ("level1", "level2", "level2_objects")
    return (order.index(key[0]) if key[0] in order else len(order), key[1])


def _title(analysis: str) -> str:
    from bindscope.show.words import ANALYSES

    return ANALYSES.get(analysis, analysis.capitalize())
