"""Gates for CI: `--fail-if "object_recognition<0.8"`."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from bindscope.analyses.registry import analyses
from bindscope.errors import InputError, UnknownNameError
from bindscope.results import Record, Results
from bindscope.runs.verdict import judged_by
from bindscope.show.words import METRICS
from bindscope.show.words import metric as metric_of

ALIKE = 0.8  # of two words that are meant to be one
_OPERATORS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}
_TARGET = r"""\[\s*(?:"(?:[^"]|"")*"|'(?:[^']|'')*'|[^\]"'][^\]]*)\s*\]"""  # quotes may hold anything; doubled inside
_TOKEN = re.compile(rf"{_TARGET}|,|\bor\b|.", re.DOTALL)
_CONDITION = re.compile(
    rf"\s*(?P<metric>[a-z_0-9@]+)(?P<target>{_TARGET})?(?:\.(?P<field>value|ci_low|ci_high))?"
    r"\s*(?P<sign><=|>=|<|>)\s*(?P<bound>[-+]?[0-9.]+(?:e[-+]?[0-9]+)?)\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Condition:
    """`metric[target].field sign bound`; target and field may be left out (value, and the headline target)."""

    text: str
    metric: str
    target: str | None
    field: str
    sign: str
    bound: float


@dataclass(frozen=True)
class GateOutcome:
    """One condition, the record that it read, and whether it made the gate fail."""

    condition: Condition
    record: Record
    failed: bool

    def sentence(self) -> str:
        """One line for a log."""
        number = getattr(self.record, self.condition.field)
        word = "FAILED" if self.failed else "passed"
        where = f"{self.record.estimator or '-'}, {self.record.target or '-'}"
        return f"gate {word}: {self.condition.text} ({self.record.metric} is {number:.4f}; {where})"


def parse_conditions(expression: str, known: Iterable[str] = ()) -> list[Condition]:
    """Conditions joined by `,` or ` or `: the gate fails if any holds. InputError on anything else.

    A target may stand in quotes, which any name needs that holds a bracket: `concept_recognition["a]b"]<0.8`.

    known: metrics; one that is not among them and looks like one of them is refused as a slip of the pen.
    """
    parts = _parts(expression)
    if not parts:
        raise InputError('--fail-if is empty; expected e.g. "object_recognition<0.8"')
    conditions, words = [_parse(part) for part in parts], list(known)
    for one in conditions:
        if one.metric not in words and difflib.get_close_matches(one.metric, words, cutoff=ALIKE):
            raise UnknownNameError("metric in --fail-if", one.metric, words)
    return conditions


def _parts(expression: str) -> list[str]:
    """The conditions of an expression; commas and `or` within the brackets of a target join nothing.

    >>> _parts('a["warm or cold"]<1 or b[x, y]<2,c<3')
    ['a["warm or cold"]<1 ', ' b[x, y]<2', 'c<3']
    """
    parts = [""]
    for token in _TOKEN.findall(expression):
        if token in (",", "or"):
            parts.append("")
        else:
            parts[-1] += token
    return [part for part in parts if part.strip()]


def _unquoted(target: str | None) -> str:
    """The name in the brackets of a target, without its quotes."""
    name = (target or "[]")[1:-1].strip()
    for quote in "\"'":
        if len(name) > 1 and name[0] == name[-1] == quote:
            return name[1:-1].replace(quote * 2, quote)
    return name


def _parse(text: str) -> Condition:
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise InputError(
            f'--fail-if {text.strip()!r} is not understood; expected METRIC<NUMBER, e.g. "object_recognition<0.8" or '
            '"object_recognition[unshared].ci_low<0.8"'
        )
    metric = found["metric"].lower().replace("@", "_at_")
    try:
        bound = float(found["bound"])
    except ValueError:
        raise InputError(f"--fail-if {text.strip()!r}: {found['bound']!r} is not a number") from None
    analyses()  # whose words tell the headline target
    target = _unquoted(found["target"]) or metric_of(metric).target
    metric = "retrieval_top1" if metric == "recall_at_1" else metric
    return Condition(text.strip(), metric, target, (found["field"] or "value").lower(), found["sign"], bound)


def known_metrics() -> list[str]:
    """Metrics that some analysis knows."""
    analyses()
    return list(METRICS)


def judge(results: Results, expression: str) -> list[GateOutcome]:
    """Evaluate every condition; recognition reads zero-shot where there is one, else the held-out probe.

    Raises InputError for a condition that is not understood or a figure that is not there.

    >>> from bindscope import Record, Results
    >>> words = {"estimator": "zero_shot", "target": "all"}
    >>> results = Results([Record("recognition", "object_recognition", 0.7, **words)])
    >>> [outcome.failed for outcome in judge(results, "object_recognition<0.8")]
    [True]
    """
    return [_judged(results, condition) for condition in parse_conditions(expression)]


def _judged(results: Results, condition: Condition) -> GateOutcome:
    record = _record(results, condition)
    number = getattr(record, condition.field)
    if number is None:
        raise InputError(
            f"--fail-if {condition.text!r}: {condition.field} of {condition.metric} is not available in this run"
        )
    return GateOutcome(condition, record, bool(_OPERATORS[condition.sign](number, condition.bound)))


def _record(results: Results, condition: Condition) -> Record:
    found = results.headline(metric=condition.metric)
    if not len(found):
        known = {record.metric for record in results if record.analysis != "audit"}
        raise UnknownNameError("metric in --fail-if", condition.metric, known or {"none"})
    recognition = found.select(analysis="recognition")
    if len(recognition):
        estimator = judged_by(results) or "zero_shot"
        found = recognition.select(estimator=estimator)
    targets = {record.target for record in found if record.target}
    if "[" not in condition.text and condition.target not in targets and "all" in targets:
        condition = replace(condition, target="all")  # the metric's own headline is of another analysis
    if condition.target is not None and condition.target not in targets:
        raise UnknownNameError(f"target of {condition.metric} in --fail-if", condition.target, targets)
    if condition.target is None and len(targets) > 1:
        raise InputError(
            f"--fail-if {condition.text!r}: {condition.metric} has several targets; write one of "
            f"{', '.join(f'{condition.metric}[{target}]' for target in sorted(targets))}"
        )
    chosen = found.select(target=condition.target) if condition.target is not None else found
    preferred = chosen.select(estimator="ols+pos", split="held_out")
    return (preferred if len(preferred) else chosen).records[0]
