"""Everything that bindscope raises or warns about.

BindscopeError
├── InputError             what the user gave cannot be used; the message says what was expected, what came, what to do
│   ├── UnknownNameError   a name that is not known; the message offers the nearest ones
│   ├── TableError         a scene or label table that breaks its rules
│   ├── VectorsError       embeddings of a wrong shape, or with NaN or infinite numbers
│   └── StoreError         a file or directory that cannot be read or written
└── MissingExtraError      an optional library is needed and not installed

BindscopeWarning
├── DegenerateWarning      a result that is defined but empty of information (one value, one object, no variance)
└── NotConvergedWarning    an iterative fit that stopped before its tolerance
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BindscopeError(Exception):
    """Base of all errors that bindscope raises on purpose."""


class InputError(BindscopeError):
    """The input cannot be used as it is."""


class UnknownNameError(InputError):
    """A name that nothing is registered under."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(set(known))
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
        super().__init__(f"unknown {kind} {name!r}; {hint}")


class TableError(InputError):
    """A scene table or label table breaks its rules."""


class VectorsError(InputError):
    """Embedding vectors have a wrong shape or hold NaN or infinite numbers."""


class StoreError(InputError):
    """A file or directory cannot be read or written."""


class MissingExtraError(BindscopeError):
    """An optional library is needed and not installed."""

    def __init__(self, what: str, library: str, extra: str) -> None:
        super().__init__(f"{what} needs {library}; install it with: pip install 'bindscope[{extra}]'")


class BindscopeWarning(UserWarning):
    """Base of all warnings that bindscope gives."""


class DegenerateWarning(BindscopeWarning):
    """A result that is defined but carries no information."""


class NotConvergedWarning(BindscopeWarning):
    """An iterative fit stopped before its tolerance."""
