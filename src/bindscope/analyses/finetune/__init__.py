"""Fine-tuning: does the model bind after it, on what it never saw, and what did that cost?"""

from __future__ import annotations

from bindscope.analyses.registry import Analysis
from bindscope.show.words import Metric

ANALYSIS = Analysis(
    name="finetune",
    title="Fine-tuning",
    about="a model before and after it was tuned to bind",
    metrics={
        "similarity_kept": Metric("Similarities kept"),
    },
    section="bindscope.analyses.finetune.section:build",
)
