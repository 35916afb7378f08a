"""Complexity: can a learner predict the vectors of scenes of unseen objects."""

from __future__ import annotations

from bindscope.analyses.registry import Analysis
from bindscope.show.words import Metric

ANALYSIS = Analysis(
    name="complexity",
    title="Complexity of the binding function",
    about="can a small learner predict the vectors of held-out objects",
    metrics={
        "coverage_threshold": Metric("Coverage threshold"),
        "threshold_slope": Metric("Slope at the threshold, per unit of coverage"),
        "converged": Metric("Splits on which it converged", "percent"),
        "held_out_objects": Metric("Held-out objects"),
        "factor_norm": Metric("Norm of the factors"),
        "validation_r2": Metric("R² on validation objects"),
        "binding_r2": Metric("Binding R²: of what objects have beyond their concepts"),
        "product_left": Metric("Share that the product term leaves"),
    },
    section="bindscope.analyses.complexity.section:build",
    table="bindscope.analyses.complexity.section:terminal_table",
    findings="bindscope.analyses.complexity.findings:complexity_sentences",
)
