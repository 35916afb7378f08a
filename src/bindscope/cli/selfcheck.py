"""The command `selfcheck`: every metric on planted worlds."""

from __future__ import annotations

import typer

from bindscope.cli.options import Json, Seed
from bindscope.cli.printing import print_json, print_table, progress_lines
from bindscope.show.tables import new_table

CHECK_FAILED = 1


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
