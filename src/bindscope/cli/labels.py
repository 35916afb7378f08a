"""Commands on a bare label table: audit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bindscope import __version__
from bindscope.cli.options import Json, Seed
from bindscope.cli.printing import new_table, number_text, print_table

if TYPE_CHECKING:
    from bindscope.results import Results


def audit(
    labels: Annotated[Path, typer.Argument(help="CSV or parquet with columns object{i}_{concept}.")],
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """What a label table can and cannot show about binding, without any model."""
    from bindscope.datasets.labels import read_labels
    from bindscope.experiments.audits import audit_records
    from bindscope.results import Results

    results = Results(audit_records(read_labels(labels), seed)).stamped(dataset=f"labels:{labels}", version=__version__)
    if as_json:
        typer.echo(results.to_json(), nl=False)
    else:
        _print_audit(results, str(labels))


def _print_audit(results: Results, name: str) -> None:
    table = new_table(f"\nAudit of {name}", "figure", "of", "value", "")
    for record in results:
        if record.coverage is None:
            notes = ", ".join(f"{key} {value}" for key, value in record.extra.items() if value is not None)
            table.add_row(record.metric, record.target or "", number_text(record.value), notes)
    print_table(table)
    words = ("identified", "unseen_share", "test_scenes", "closed_scenes")
    by_coverage = new_table("Object splits by coverage", "split", "coverage", *words)
    for method in ("connected", "random"):
        for coverage in sorted({r.coverage for r in results if r.coverage is not None}):
            rows = [results.first(metric=word, estimator=method, coverage=coverage) for word in words]
            cells = [number_text(row.value) if row is not None else "" for row in rows]
            by_coverage.add_row(method, f"{coverage:.1f}", *cells)
    print_table(by_coverage)
    ceiling = results.first(metric="ceiling", target="unshared")
    if ceiling is None or ceiling.value is None or ceiling.value >= 1.0:
        typer.echo("These scenes cannot tell binding from a bag: no bag of values belongs to two different scenes.")
