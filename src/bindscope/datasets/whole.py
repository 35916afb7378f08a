"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from bindscope.errors import StoreError


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to, which is renamed to it when the block ends well.

    Raises StoreError where it cannot be written (no such directory, no right, disk full); then nothing is left behind.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        reason = error.strerror or str(error).partition("\n")[0]
        raise StoreError(f"cannot write {path}: {reason}; choose a place that can be written") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
