"""Object editing: does a vector in which one object was replaced behave as the other scene."""

from __future__ import annotations

from bindscope.analyses.registry import Analysis
from bindscope.show.words import Metric

ANALYSIS = Analysis(
    name="editing",
    title="Object editing",
    about="does z - u(old object) + u(new object) behave as the counterfactual scene",
    measure="bindscope.analyses.editing.measure:measure",
    metrics={
        "retrieval_rank": Metric("Rank of the wanted scene"),
        "n_cases": Metric("Edits", "count"),
    },
    section="bindscope.analyses.editing.section:build",
    columns="bindscope.design:object_columns",
)
