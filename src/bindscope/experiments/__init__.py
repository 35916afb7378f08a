"""What a command runs: load, analyse, make records."""

from bindscope.experiments.compare import Comparison, compare
from bindscope.experiments.diagnose import Run, Settings, analyse, diagnose
from bindscope.experiments.gate import GateOutcome, judge
from bindscope.experiments.selfcheck import Check, selfcheck
from bindscope.experiments.verdict import Verdict, verdict

__all__ = [
    "Check",
    "Comparison",
    "GateOutcome",
    "Run",
    "Settings",
    "Verdict",
    "analyse",
    "compare",
    "diagnose",
    "judge",
    "selfcheck",
    "verdict",
]
