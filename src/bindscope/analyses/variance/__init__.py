"""Variance shares: concepts, slots, the interaction within objects, pairs across objects."""

from __future__ import annotations

from bindscope.analyses.registry import Analysis

ANALYSIS = Analysis(
    name="variance",
    title="Variance shares",
    about="shares of concepts, slots, interaction and pairs across objects",
    default=True,
    measure="bindscope.analyses.variance.measure:measure",
    section="bindscope.analyses.variance.section:build",
    table="bindscope.analyses.variance.section:terminal_table",
    columns="bindscope.analyses.variance.measure:columns",
)
