"""Two sides of a model: scenes against captions."""

from __future__ import annotations

from bindscope.analyses.registry import Analysis
from bindscope.show.words import Metric

ANALYSIS = Analysis(
    name="crossmodal",
    title="Cross-modal binding",
    about="image vectors against text queries, swapped values",
    default=True,
    measure="bindscope.analyses.crossmodal.measure:measure",
    metrics={
        "swap_accuracy": Metric("Swap accuracy", bounded=True),
        "text_score": Metric("Text score of pairs", bounded=True),
        "image_score": Metric("Image score of pairs", bounded=True),
        "group_score": Metric("Group score of pairs", bounded=True),
        "recall_at_5": Metric("Recall@5", bounded=True, target="scene_to_caption"),
        "recall_at_10": Metric("Recall@10", bounded=True, target="scene_to_caption"),
        "swap_confusion_at_1": Metric("A swapped one first", bounded=True, target="scene_to_caption"),
        "swap_confusion": Metric("Swap confusion", bounded=True),
        "swap_margin": Metric("Margin of the right caption", target="all"),
        "swap_error_share": Metric("Share of swap errors"),
        "harm": Metric("Harm"),
    },
    section="bindscope.analyses.crossmodal.section:build",
    table="bindscope.analyses.crossmodal.section:terminal_table",
    findings="bindscope.analyses.crossmodal.section:sentences",
    needs=("captions",),
)
