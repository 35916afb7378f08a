"""Recognition: which concepts and which objects a vector tells."""

from __future__ import annotations

from bindscope.analyses.registry import Analysis

ANALYSIS = Analysis(
    name="recognition",
    title="Recognition",
    about="concepts and objects, by the model's own queries and by linear probes",
    default=True,
    measure="bindscope.analyses.recognition.measure:measure",
    section="bindscope.analyses.recognition.section:build",
    table="bindscope.analyses.recognition.section:terminal_table",
    cost="bindscope.probes:work",
)
