"""Code length: how many bits the vectors cost when the concepts are known, by rule."""

from __future__ import annotations

from bindscope.analyses.registry import Analysis
from bindscope.show.words import Metric

ANALYSIS = Analysis(
    name="codelength",
    title="Code length",
    about="bits that describe the vectors, by form",
    measure="bindscope.analyses.codelength.measure:measure",
    metrics={
        "bits_per_scene": Metric("Bits per scene"),
        "bits_per_dimension": Metric("Bits per scene and dimension"),
        "bits_saved": Metric("Bits saved"),
        "objects_to_pay": Metric("Objects after which it pays", "count"),
        "coded_dimensions": Metric("Coded components", "count"),
        "first_block_objects": Metric("Objects of the first block", "count"),
        "orders": Metric("Orders", "count"),
    },
    section="bindscope.analyses.codelength.section:build",
    table="bindscope.analyses.codelength.section:terminal_table",
    findings="bindscope.analyses.codelength.section:sentences",
)
