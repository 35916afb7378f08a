"""Commands about bindscope itself: list, selfcheck."""

from __future__ import annotations

import typer

from bindscope.cli.options import Json, Seed
from bindscope.cli.printing import print_json, print_table, progress_lines
from bindscope.show.tables import new_table

CHECK_FAILED = 1


def list_names(as_json: Json = False) -> None:
    """Names of models, data and its options, analyses, learners."""
    from bindscope.analyses.registry import analysis_names
    from bindscope.datasets import dataset_names, dataset_options
    from bindscope.encoders import encoder_names
    from bindscope.learners.registry import approximator_names

    groups = {
        "models": encoder_names(),
        "data": dataset_names(),
        "options of text data": dataset_options(),
        "analyses": analysis_names(),
        "learners": approximator_names(),
    }
    if as_json:
        print_json(groups)
        return
    for title, names in groups.items():
        table = new_table(title, "name", "what it is")
        for name, text in names.items():
            table.add_row(name, text)
        print_table(table)


def selfcheck(seed: Seed = 0, as_json: Json = False) -> None:
    """Run all metrics on planted worlds and print measured beside expected; exit 1 if any is off."""
    from bindscope.runs.selfcheck import selfcheck as checks

    found = []
    table = new_table("planted worlds", "world", "figure", "expected", "measured", "")
    with progress_lines(not as_json) as say:
        for check in checks(seed):
            say(f"{check.world}: {check.figure}")
            found.append(check)
            table.add_row(check.world, check.figure, check.expected, check.measured, "ok" if check.passed else "OFF")
    if as_json:
        print_json([vars(check) for check in found])
    else:
        print_table(table)
    passed = sum(check.passed for check in found)
    typer.echo(f"{passed} of {len(found)} figures as expected", err=as_json)
    if passed < len(found):
        raise typer.Exit(CHECK_FAILED)
