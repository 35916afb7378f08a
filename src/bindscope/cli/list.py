"""The command `list`: names of models, data, analyses and learners."""

from __future__ import annotations

from bindscope.cli.options import Json
from bindscope.cli.printing import print_json, print_table
from bindscope.show.tables import new_table


def list_names(as_json: Json = False) -> None:
    """Names of models, data and its options, analyses, learners."""
    from bindscope.analyses.registry import analysis_names
    from bindscope.datasets import dataset_names, dataset_options
    from bindscope.datasets.pairs import PAIR_WORDS
    from bindscope.datasets.scene_graphs import GRAPH_WORDS
    from bindscope.encoders import encoder_names
    from bindscope.learners.registry import approximator_names

    groups = {
        "models": encoder_names(),
        "data": dataset_names(),
        "options of text data": dataset_options(),
        "options of pairs": PAIR_WORDS,
        "options of scene graphs": GRAPH_WORDS,
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
