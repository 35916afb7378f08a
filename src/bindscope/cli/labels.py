"""Commands on a bare label table: audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bindscope import __version__
from bindscope.cli.options import Json, KeepSpellings, Seed, with_spellings
from bindscope.cli.printing import print_table
from bindscope.show.tables import filled_table, number_text

if TYPE_CHECKING:
    from bindscope.results import Record, Results

BY_COVERAGE = {
    "identified": "identified",
    "unseen_share": "unseen values",
    "test_scenes": "test scenes",
    "closed_scenes": "closed scenes",
}


def audit(
    labels: Annotated[
        str, typer.Argument(help="CSV, TSV, JSON lines (also .gz), parquet or CLEVR's scenes; options as ?key=value.")
    ],
    seed: Seed = 0,
    keep_spellings: KeepSpellings = False,
    as_json: Json = False,
) -> None:
    """What a label table can and cannot show about binding, without any model."""
    from bindscope.analyses.context import Context
    from bindscope.analyses.registry import analyses
    from bindscope.datasets import load_dataset
    from bindscope.datasets.items import other_counts_note
    from bindscope.results import Results

    name = with_spellings(f"labels:{labels}", keep_spellings)
    table = load_dataset(name).table
    for note in other_counts_note(table):
        typer.echo(f"note: {note}", err=True)
    context = Context.of_table(table, seed)
    records = context.records("audit", analyses()["audit"].measured(context))
    results = Results(records).stamped(dataset=name, version=__version__)
    if as_json:
        typer.echo(results.to_json(), nl=False)
    else:
        _print_audit(results, labels)


def _print_audit(results: Results, name: str) -> None:
    overall = [r for r in results if r.coverage is None]
    columns = {
        "figure": [_named(r) for r in overall],
        "value": [_value(r) for r in overall],
        "": [_notes(r) for r in overall],
    }
    print_table(filled_table(f"\nAudit of {name}", columns))
    by_coverage = results.select(lambda r: r.coverage is not None)
    keys = list(dict.fromkeys((r.estimator or "", r.coverage or 0.0) for r in by_coverage))
    splits = {"split": [method for method, _ in keys], "coverage": [f"{coverage:.1f}" for _, coverage in keys]}
    for metric, title in BY_COVERAGE.items():
        found = [by_coverage.first(metric=metric, estimator=method, coverage=coverage) for method, coverage in keys]
        splits[title] = [number_text(r.value) if r is not None else "" for r in found]
    print_table(filled_table("Object splits by coverage: means over random splits", splits))
    ceiling = results.first(metric="ceiling", target="unshared")
    if ceiling is None or ceiling.value is None or ceiling.value >= 1.0:
        typer.echo("These scenes cannot tell binding from a bag: no bag of values belongs to two different scenes.")


def _named(record: Record) -> str:
    from bindscope.show.words import metric_name, plain

    return ", ".join(part for part in (metric_name(record.metric), plain(record.target)) if part)


def _value(record: Record) -> str:
    from bindscope.show.words import figure_text

    return figure_text(record.metric, record.value)


def _notes(record: Record) -> str:
    from bindscope.show.words import variant

    return variant(record.extra)
