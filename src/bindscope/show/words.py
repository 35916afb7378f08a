"""How the report says the words and the numbers of the records."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bindscope.results import Record

MISSING = "not available"
NBSP = "\u00a0"  # keeps a number and its per cent sign on one line

Form = Literal["number", "percent", "count"]


@dataclass(frozen=True)
class Metric:
    """How a metric is said. form: how its values are spelled; bounded: whether they lie in 0..1; target: its headline."""

    name: str
    form: Form = "number"
    bounded: bool = False
    target: str | None = None


METRICS: dict[str, Metric] = {  # those that several analyses share; an analysis brings its own
    "r2": Metric("R²", target="level1"),
    "concept_recognition": Metric("Concept recognition", bounded=True, target="mean"),
    "object_recognition": Metric("Object recognition", bounded=True, target="all"),
    "retrieval_top1": Metric("Retrieval, top 1", bounded=True),
    "joint_probing": Metric("Joint probing", bounded=True),
    "share": Metric("Share of variance", "percent"),
    "p_value": Metric("p-value"),
    "f_statistic": Metric("F statistic"),
    "noise_ceiling": Metric("Noise ceiling", bounded=True),
    "fits_training": Metric("Splits on which it fits its own training scenes", "percent"),
    "unseen_share": Metric("Held-out objects with an unseen value", "percent"),
    "identified": Metric("Additive fit identified"),
    "closed_scenes": Metric("Closed scenes", "count"),
    "test_scenes": Metric("Scenes of held-out objects only", "count"),
}

WORDS = {
    "zero_shot": "zero-shot",
    "held_out": "held out",
    "in_sample": "in sample",
    "level1": "Level I",
    "level2": "Level II",
    "level2_objects": "Level II of objects",
    "cross_object": "cross-object",
    "higher_order": "higher order",
    "freedman_lane": "Freedman-Lane",
    "permuted_concepts": "permuted concepts",
    "permuted_objects": "permuted objects",
    "objects+slot": "objects × slot",
    "concepts+slot": "concepts × slot",
    "scene_to_caption": "scene asks for caption",
    "caption_to_scene": "caption asks for scene",
    "low_rank": "low rank",
}

VARIANTS = {
    "scenes": "{} scenes",
    "vectors": "{} vectors",
    "visible": "visible share {}",
    "visible_low": "more than {}",
    "visible_high": "at most {}",
    "objects": "scenes of {} objects",
    "corrected": "corrected for {}",
    "split_by": "split by {}",
    "scale": "one fitted scale of {}",
    "width": "for an interval of width {}",
    "columns": "{} columns",
    "protocol": "protocol of the {}",
    "concept": "concept {}",
    "fit": "fit: {}",
    "readout": "read by {}",
    "strength": "strength {}",
    "control": "control: {}",
    "outcome": "{}",
    "other": "another object with the {} value",
    "order": "objects in {} order",
    "minus": "minus {}",
    "rank": "rank {}",
    "by_split": "by split: {}",
    "beyond": "all beyond {}",
    "exceptions": "exceptions: {}",
    "resampled": "interval over {}",
    "components": "components to {} of the variance",
    "floor": "variance floor {}",
    "precision": "precision by {}",
    "first_block": "first block of {} of the objects",
    "whitening": "whitened on {}",
    "orders": "{} orders",
    "objects_seen": "after {} objects",
    "step": "after step {}",
    "wordings": "wordings {}",
    "ties": "ties count as {}",
    "part": "by the captions’ {} alone",
    "scene_part": "with the scenes’ {}",
    "side": "within the {}",
    "gallery": "gallery {} captions",
    "additive_ties_wrong": "an additive scorer, ties wrong: {}",
    "additive_ties_random": "an additive scorer, ties at random: {}",
}


def learn(metrics: Mapping[str, Metric | str]) -> None:
    """Add the words of an analysis; the words of an earlier one stay."""
    for word, one in metrics.items():
        METRICS.setdefault(word, Metric(one) if isinstance(one, str) else one)


def metric(word: str) -> Metric:
    """How a metric is said; one that nobody described is named by its word."""
    return METRICS.get(word) or Metric(plain(word).capitalize())


def metric_name(word: str) -> str:
    """The heading of a metric."""
    return metric(word).name


def plain(word: str | None) -> str:
    """A word of a column in plain spelling; empty for None."""
    return "" if word is None else WORDS.get(word, word.replace("_", " "))


def number(value: float | None) -> str:
    """A number to three digits behind the point (two that count below 0.01), with a real minus sign.

    >>> number(0.18934), number(-0.24), number(0.000202), number(9900.0), number(None)
    ('0.189', '−0.240', '0.0002', '9,900', 'not available')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    size = abs(value)
    if size >= 1000:
        text = f"{value:,.0f}"
    elif size >= 0.00995 or size == 0:
        text = f"{value:.3f}" if size < 10 else f"{value:.1f}"
    elif size >= 1e-5:
        text = f"{value:.{1 - math.floor(math.log10(size))}f}".rstrip("0")
    else:
        text = f"{value:.1e}"
    return _signed(text)


def percent(value: float | None) -> str:
    """A share in 0..1 as per cent.

    >>> percent(0.9341).replace(NBSP, " "), percent(1.0).replace(NBSP, " ")
    ('93.4 %', '100 %')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    size = 100 * abs(value)
    digits = 0 if size >= 99.95 or size == 0 else 1 if size >= 1 else 2
    return _signed(f"{100 * value:.{digits}f}") + f"{NBSP}%"


def _signed(text: str) -> str:
    """The same with a real minus sign, and none before a zero."""
    if not text.strip("-0."):
        text = text.lstrip("-")
    return text.replace("-", "−")


def figure_text(word: str, value: float | None) -> str:
    """A value in the spelling of its metric: per cent for shares, whole numbers for counts."""
    form = metric(word).form
    if form == "percent":
        return percent(value)
    if form == "count" and value is not None:
        return f"{value:,.0f}" if value == round(value) else number(value)
    if word == "identified" and value is not None:
        return {0.0: "no", 1.0: "yes"}.get(value, number(value))
    return number(value)


def value_text(record: Record) -> str:
    """The value of a record."""
    if record.extra.get("spread"):
        return "± " + figure_text(record.metric, record.value)
    return bound(record) + figure_text(record.metric, record.value)


def bound(record: Record) -> str:
    """ "≤ " before a p-value that no permutation reached: it is only known to be at most so large."""
    return "≤ " if record.metric == "p_value" and record.ci_low == 0.0 else ""


def p_text(record: Record) -> str:
    """A p-value in a sentence.

    >>> p_text(Record("variance", "p_value", 0.005, ci_low=0.0, ci_high=0.018))
    'p ≤ 0.005'
    """
    return f"p {bound(record) or '= '}{number(record.value)}"


def interval_text(record: Record) -> str:
    """The interval of a record in brackets; empty where it has none."""
    if record.ci_low is None or record.ci_high is None:
        return ""
    low, high = (figure_text(record.metric, end) for end in (record.ci_low, record.ci_high))
    low = low.removesuffix(f"{NBSP}%")
    return f"[{low}, {high}]" + (", few scenes" if record.few_scenes else "")


def extra_value(value: Any) -> str:
    """A value of `extra` or of the configuration as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, (list, tuple)) and all(isinstance(item, (str, int, float)) for item in value):
        return ", ".join(extra_value(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def variant(extra: Mapping[str, Any]) -> str:
    """What sets a row apart from the headline, in words; empty for the headline.

    >>> variant({"vectors": "centred"}), variant({"spread": "splits", "splits": 3}), variant({})
    ('centred vectors', 'standard deviation over 3 splits', '')
    """
    left = dict(sorted(extra.items()))
    parts = []
    if left.get("cumulative") is True:
        parts.append("cumulative")
        del left["cumulative"]
    if left.get("correction") == "none":
        parts.append("not corrected")
        del left["correction"]
    if "spread" in left:
        of = left.pop("spread")
        count = left.pop(str(of), None)
        parts.append(f"standard deviation over {extra_value(count) + ' ' if count else ''}{of}")
    for key, value in left.items():
        pattern = VARIANTS.get(key, plain(key) + ": {}")
        if (key, value) == ("objects", 1):
            pattern = "scenes of {} object"
        parts.append(pattern.format(extra_value(value)))
    return ", ".join(parts)


def hover_text(record: Record) -> list[str]:
    """Lines about one record for a tooltip."""
    where = [plain(record.estimator), plain(record.target), plain(record.split), variant(record.extra)]
    lines = [metric_name(record.metric), " · ".join(part for part in where if part)]
    lines.append(f"{value_text(record)}  {interval_text(record)}".rstrip())
    if record.coverage is not None:
        lines.append(f"coverage {number(record.coverage)}")
    if record.chance is not None:
        lines.append(f"chance {figure_text(record.metric, record.chance)}")
    if record.ceiling is not None:
        lines.append(f"ceiling of a bag {figure_text(record.metric, record.ceiling)}")
    if record.n_scenes is not None:
        lines.append(f"{record.n_scenes:,} scenes")
    return [line for line in lines if line]
