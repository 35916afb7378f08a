"""Commands about bindscope itself: list, selfcheck."""

from __future__ import annotations

import typer

from bindscope.cli.options import Json, Seed
from bindscope.cli.printing import new_table, print_json, print_table, progress_lines

CHECK_FAILED = 1
ABOUT = {
    "audit": "what the scenes can show at all: cells, ranks, ceiling, chance, object splits",
    "recognition": "concepts and objects, by the model's own queries and by linear probes",
    "geometry": "Level I and Level II: scenes rebuilt from object and concept vectors",
    "variance": "shares of concepts, slots, interaction and pairs across objects",
    "removal": "what can still be read once concepts or objects are subtracted",
    "editing": "does z - u(old object) + u(new object) behave as the counterfactual scene",
    "complexity": "can a small learner predict the vectors of held-out objects",
    "codelength": "bits that describe the vectors, by form",
    "crossmodal": "image vectors against text queries, swapped values",
    "alignment": "the image side against the text side, by component",
    "training": "dual encoders trained from scratch",
}


def list_names(as_json: Json = False) -> None:
    """Names of models, data and its options, analyses, learners."""
    from bindscope.datasets import dataset_names, dataset_options
    from bindscope.encoders import encoder_names
    from bindscope.learners.registry import approximator_names
    from bindscope.runs.diagnose import ANALYSES

    groups = {
        "models": encoder_names(),
        "data": dataset_names(),
        "options of text data": dataset_options(),
        "analyses": {name: ABOUT.get(name, "") for name in ANALYSES},
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
