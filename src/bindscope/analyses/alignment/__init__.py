"""Alignment: do both sides use the same binding function."""

from __future__ import annotations

from bindscope.analyses.registry import Analysis

ANALYSIS = Analysis(
    name="alignment",
    title="Alignment of the two sides",
    about="the image side against the text side, by component",
    default=True,
    measure="bindscope.analyses.alignment.measure:measure",
    section="bindscope.analyses.alignment.section:build",
    table="bindscope.analyses.alignment.section:terminal_table",
    findings="bindscope.analyses.alignment.section:sentences",
    needs=("captions",),
)
