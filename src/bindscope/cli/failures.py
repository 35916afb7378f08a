"""The one place where a command ends: exit code and a single line for whatever went wrong.

0: done; 1: a gate failed; 2: input that cannot be used; 3: what nobody foresaw, with the traceback in a file; 130: Ctrl-C.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import typer

from bindscope.errors import BindscopeError, BindscopeWarning

BAD_INPUT, UNFORESEEN, STOPPED = 2, 3, 130
LONGEST = 300  # letters of a line
_HEAD = 200  # of them before what is left out
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NOT_ALLOWED = (errno.EACCES, errno.EROFS, errno.EPERM)
_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "unable to allocate")


def ended(command: Callable[[], Any]) -> int:
    """Run a command and give its exit code; what went wrong is said in one line on standard error."""
    _replace_what_cannot_be_written()
    with _notes():
        try:
            code = command()
            sys.stdout.flush()
            if code == STOPPED:  # typer turns Ctrl-C into its code, without a word
                return say_stopped()
            return code if isinstance(code, int) else 0
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - the one place that ends a command
            return _exit_code(error)


def _exit_code(error: BaseException) -> int:
    if isinstance(error, BrokenPipeError) or (isinstance(error, SystemExit) and error.code == 1):
        return _closed_pipe()  # the libraries that print leave with 1 then; a gate that fails gives 1 back instead
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return say_stopped()
    if callable(getattr(error, "show", None)) and isinstance(getattr(error, "exit_code", None), int):
        error.show()  # type: ignore[attr-defined]  # a mistake on the command line, in typer's own words
        return BAD_INPUT
    if isinstance(error, BindscopeError):
        return _said(str(error))
    return _said(foreseen(error)) if foreseen(error) else _unforeseen(error)


def foreseen(error: BaseException) -> str:
    """What to say of an error of Python or a library that has a plain cause; empty for all others.

    >>> foreseen(MemoryError())
    'out of memory; analyse fewer scenes with --sample'
    """
    text = str(error).lower()
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(words in text for words in _MEMORY)):
        return "out of memory; analyse fewer scenes with --sample"
    if isinstance(error, RecursionError):
        return "the input is nested too deeply to be read; give it with fewer levels"
    if isinstance(error, OSError):
        return _of_the_system(error)
    if isinstance(error, ValueError) and "integer string conversion" in text:
        return "a whole number of the input has more than 4,300 digits; give a shorter one"
    if isinstance(error, UnicodeError):
        return f"a text of the input cannot be read or written ({error}); give it in UTF-8"
    return ""


def _of_the_system(error: OSError) -> str:
    what = error.filename or "a file"
    if error.errno in _NO_ROOM:
        return f"cannot write {what}: {error.strerror}; free space or give another --out"
    if error.errno in _NOT_ALLOWED:
        return f"cannot read or write {what}: {error.strerror}; change its rights or give another place"
    if error.errno == errno.ENAMETOOLONG:
        return f"a name is too long for this file system ({len(str(what)):,} letters); give a shorter one"
    return f"{what}: {error.strerror}; check the path" if error.errno is not None and error.filename else ""


def _unforeseen(error: BaseException) -> int:
    """The line of an error that nobody foresaw, and its traceback in a file that the line names."""
    name = type(error).__name__
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="bindscope-", suffix=".log", delete=False, encoding="utf-8", errors="replace"
        ) as file:
            traceback.print_exception(error, file=file)
        where = f"the traceback is in {file.name}"
    except OSError:
        where = "its traceback could not be written"
    said = " ".join(str(error).split())[:120]
    return _said(f"unforeseen {name}: {said}; {where}; please report it", UNFORESEEN)


def say_stopped() -> int:
    """The line of Ctrl-C."""
    return _said("stopped; what was embedded is cached, --resume goes on with what was analysed", STOPPED)


def _said(message: str, code: int = BAD_INPUT) -> int:
    with contextlib.suppress(OSError):
        typer.echo(shortened("error: " + message), err=True)
    return code


def shortened(text: str) -> str:
    """One line of at most 300 letters; what stands in the middle is left out.

    >>> shortened("a  b")
    'a b'
    >>> len(shortened("x" * 5000))
    300
    """
    line = "".join(sign if sign.isprintable() else "\ufffd" for sign in " ".join(text.split()))
    tail = LONGEST - _HEAD - 3
    return line if len(line) <= LONGEST else f"{line[:_HEAD]} … {line[-tail:]}"


def _replace_what_cannot_be_written() -> None:
    """Signs that a terminal or pipe cannot write are replaced; nothing fails for them."""
    for stream in (sys.stdout, sys.stderr):
        change = getattr(stream, "reconfigure", None)
        if change is not None:
            with contextlib.suppress(ValueError, OSError):
                change(errors="replace")


def _closed_pipe() -> int:
    """Whoever reads has seen enough (`| head`): an end like any other. What Python still wants to write goes nowhere."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 0


@contextlib.contextmanager
def _notes() -> Iterator[None]:
    """Our own warnings as one line each."""
    warnings.filterwarnings("default", category=BindscopeWarning)
    otherwise = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, BindscopeWarning):
            typer.echo(shortened(f"note: {message}"), err=True)
        else:
            otherwise(message, category, *where, **more)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = otherwise
