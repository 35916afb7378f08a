"""The door to the sentence-transformers module, for those who may not have that library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bindscope.crossmodal.heads import Head
from bindscope.errors import MissingExtraError

if TYPE_CHECKING:
    from bindscope.crossmodal.module import HeadModule


def sentence_module(head: Head) -> HeadModule:
    """The head as a module to put behind the pooling of a sentence-transformers model."""
    try:
        from bindscope.crossmodal.module import HeadModule
    except ImportError:
        raise MissingExtraError("the sentence-transformers module", "sentence-transformers", "text") from None
    return HeadModule(head)
