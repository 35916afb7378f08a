"""Geometry: additive levels of scene vectors, and retrieval by their reconstructions."""

from __future__ import annotations

from bindscope.analyses.registry import Analysis

ANALYSIS = Analysis(
    name="geometry",
    title="Geometry",
    about="Level I and Level II: scenes rebuilt from object and concept vectors",
    default=True,
    measure="bindscope.analyses.geometry.measure:measure",
    section="bindscope.analyses.geometry.section:build",
    table="bindscope.analyses.geometry.section:terminal_table",
    cost="bindscope.analyses.geometry.measure:cost",
    columns="bindscope.design:object_columns",
)
