"""Targeted removal: what can still be read when a component is taken out."""

from __future__ import annotations

from bindscope.analyses.registry import Analysis
from bindscope.show.words import Metric

ANALYSIS = Analysis(
    name="removal",
    title="Targeted removal",
    about="what can still be read once concepts or objects are subtracted",
    measure="bindscope.analyses.removal.measure:measure",
    metrics={
        "cross_entropy_gain": Metric("Cross-entropy gain"),
        "gain_kept": Metric("Share of the gain that is kept"),
        "erased_rank": Metric("Dimensions erased", "count"),
    },
    section="bindscope.analyses.removal.section:build",
    columns="bindscope.design:object_columns",
)
