"""Binding watched in other people's training loops.

- `binding_score(encode, ...)`: one call on a few hundred captions, for any loop;
- `BindingEvaluator`: an evaluator of sentence-transformers (loads that library when it is first named);
- `BindingCallback`: a callback of transformers' `Trainer` (the same).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bindscope.errors import MissingExtraError
from bindscope.integrations.score import BindingScore, binding_score

if TYPE_CHECKING:
    from bindscope.integrations.callback import BindingCallback
    from bindscope.integrations.evaluator import BindingEvaluator

__all__ = ["BindingCallback", "BindingEvaluator", "BindingScore", "binding_score"]
LAZY = {
    "BindingEvaluator": ("bindscope.integrations.evaluator", "sentence-transformers"),
    "BindingCallback": ("bindscope.integrations.callback", "transformers"),
}


def __getattr__(name: str) -> Any:
    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, library = LAZY[name]
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise MissingExtraError(name, library, "text") from error
