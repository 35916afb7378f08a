"""Complexity of the binding function: can a learner predict the vectors of scenes of unseen objects from concepts?

`base` is the contract, `registry` the names; each learner has a module. Definitions: "Complexity of the binding function"
in the documentation; Sec. 5 and Fig. 9 of arXiv 2605.31503.
"""

from __future__ import annotations

from bindscope.complexity.base import Approximator, Fitted, Solution
from bindscope.complexity.registry import approximator_names, load_approximator, register

__all__ = ["Approximator", "Fitted", "Solution", "approximator_names", "load_approximator", "register"]
