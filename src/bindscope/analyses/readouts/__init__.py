"""Read-outs as a ladder: what it takes to read from a vector which value belongs to which object."""

from __future__ import annotations

from bindscope.analyses.registry import Analysis
from bindscope.show.words import Metric

ANALYSIS = Analysis(
    name="readouts",
    title="Read-outs as a ladder",
    about="linear, bilinear and network read-outs of binding, by slot on unseen objects, from one slot to the other",
    metrics={"across_slots": Metric("Read in the other slot", bounded=True, target="held_out")},
    measure="bindscope.analyses.readouts.measure:measure",
    section="bindscope.analyses.readouts.section:build",
    findings="bindscope.analyses.readouts.section:sentences",
)
