"""Training: how recognition grew, and the figures of the weights that were kept."""

from __future__ import annotations

from bindscope.analyses.registry import Analysis
from bindscope.show.words import Metric

ANALYSIS = Analysis(
    name="training",
    title="Training",
    about="dual encoders trained from scratch",
    metrics={
        "paper_metric": Metric("Objects by the metric of the paper’s training script", bounded=True),
        "best_step": Metric("Step of the weights that were kept", "count"),
    },
    section="bindscope.analyses.training.section:build",
)
