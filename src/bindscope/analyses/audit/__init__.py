"""Audit: what a scene table can and cannot show about binding, before any model is run."""

from __future__ import annotations

from bindscope.analyses.registry import Analysis
from bindscope.show.words import Metric

ANALYSIS = Analysis(
    name="audit",
    title="Audit of the data",
    about="what the scenes can show at all: cells, ranks, ceiling, chance, object splits",
    default=True,
    measure="bindscope.analyses.audit.measure:measure",
    metrics={
        "n_scenes": Metric("Scenes", "count"),
        "n_objects": Metric("Objects that the data can show", "count"),
        "cells_present": Metric("Cells present", "count"),
        "cells_missing": Metric("Cells missing", "count"),
        "design_rank": Metric("Rank of the design", "count"),
        "chance": Metric("Chance"),
        "ceiling": Metric("Ceiling"),
        "ambiguous_scenes": Metric("Scenes that can tell binding from a bag", "count"),
        "ambiguous_share": Metric("Share of scenes that can tell binding from a bag", "percent"),
        "unshared_scenes": Metric("Unshared scenes", "count"),
        "n_distinct_scenes": Metric("Different scenes", "count"),
        "n_bags": Metric("Different bags of values", "count"),
        "n_values": Metric("Values that occur", "count"),
        "scenes_needed": Metric("Scenes needed", "count"),
    },
    section="bindscope.analyses.audit.section:build",
    table="bindscope.show.tables:no_table",
    columns="bindscope.design:object_columns",
)
