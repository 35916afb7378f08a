"""The command `audit`: what a label table can show about binding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bindscope.cli.options import Json, KeepSpellings, Seed, with_spellings
from bindscope.cli.printing import print_table
from bindscope.show.tables import filled_table, number_text

if TYPE_CHECKING:
    from bindscope.results import Results

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
    from bindscope.runs.diagnose import audit_data

    results, notes = audit_data(with_spellings(f"labels:{labels}", keep_spellings), seed)
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    if as_json:
        typer.echo(results.to_json(), nl=False)
    else:
        _print_audit(results, labels)


def _print_audit(results: Results, name: str) -> None:
    from bindscope.show.words import figure_text, metric_name, plain, variant

    overall = [r for r in results if r.coverage is None]
    columns = {
        "figure": [", ".join(part for part in (metric_name(r.metric), plain(r.target)) if part) for r in overall],
        "value": [figure_text(r.metric, r.value) for r in overall],
        "": [variant(r.extra) for r in overall],
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
