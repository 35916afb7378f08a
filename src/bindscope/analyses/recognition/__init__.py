"""Recognition: which concepts and which objects a vector tells."""

from __future__ import annotations

from bindscope.analyses.registry import Analysis
from bindscope.show.words import Metric

ANALYSIS = Analysis(
    name="recognition",
    title="Recognition",
    about="concepts and objects, by the model's own queries and by linear probes",
    default=True,
    metrics={
        "binding_preference": Metric("Prefers its own objects", bounded=True, target="ambiguous"),
        "binding_within_bag": Metric("Own objects first among those of its values", bounded=True, target="ambiguous"),
        "binding_error_share": Metric("Errors that confuse the binding", "percent", target="ambiguous"),
        "training_rows": Metric("Scenes that trained the probes", "count"),
    },
    measure="bindscope.analyses.recognition.measure:measure",
    section="bindscope.analyses.recognition.section:build",
    table="bindscope.analyses.recognition.section:terminal_table",
    cost="bindscope.probes:work",
)
