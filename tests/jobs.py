"""Jobs for workers of their own process, which can import this module by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from bindscope.errors import InputError


def dies_once(directory: str, number: int) -> int:
    mark = Path(directory) / f"{number}"
    if number == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    mark.touch()
    return number * 10


def always_dies(directory: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def raises_error(directory: str) -> None:
    raise InputError("this cannot be trained")


def sleeps(directory: str, number: int) -> int:
    """Leaves its process number behind and takes longer than any test."""
    (Path(directory) / f"{number}.pid").write_text(str(os.getpid()))
    time.sleep(600)
    return number
