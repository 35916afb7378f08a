"""Hard-negative pairs: is the right caption preferred to one in which something was exchanged?"""

from __future__ import annotations

from bindscope.analyses.registry import Analysis
from bindscope.show.words import Metric

ANALYSIS = Analysis(
    name="pairs",
    title="Pairs",
    about="captions against negatives in which something was exchanged (data pairs: and outcomes:)",
    default=True,
    data="pairs",
    measure="bindscope.analyses.pairs.measure:measure",
    metrics={
        "pair_preference": Metric("Right caption preferred", bounded=True, target="all"),
        "pair_all_right": Metric("All three right", bounded=True, target="all"),
        "text_score": Metric("Text score of pairs", bounded=True),
        "image_score": Metric("Image score of pairs", bounded=True),
        "group_score": Metric("Group score of pairs", bounded=True),
        "recall_at_5": Metric("Recall@5", bounded=True, target="scene_to_caption"),
        "swap_confusion_at_1": Metric("A swapped one first", bounded=True, target="scene_to_caption"),
        "n_items": Metric("Items", "count", target="all"),
        "n_odd_items": Metric("Items that are odd", "count"),
    },
    section="bindscope.analyses.pairs.section:build",
    table="bindscope.analyses.pairs.section:terminal_table",
)
