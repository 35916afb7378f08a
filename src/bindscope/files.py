"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def default_cache() -> Path:
    """`$BINDSCOPE_CACHE`, else `bindscope` in the user's cache directory."""
    chosen = os.environ.get("BINDSCOPE_CACHE")
    return Path(chosen).expanduser() if chosen else user_cache() / "bindscope"


def user_cache() -> Path:
    """The directory that the system keeps for caches of this user."""
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


Tensors = Mapping[str, NDArray[Any]]
_KEY = "bindscope"  # a single key, since the format keeps no order of several


def write_tensors(path: Path, tensors: Tensors, record: Mapping[str, Any]) -> None:
    """Write tensors and a JSON-able record under a temporary name and rename; the same input gives the same bytes."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    text = json.dumps({"sha256": _checksum(arrays), **record}, sort_keys=True, ensure_ascii=False)
    with whole_file(path) as partial:
        try:
            save_file(arrays, partial, metadata={_KEY: text})
        except SafetensorError as error:
            raise OSError(str(error)) from error


def read_tensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Tensors and record of a file; raises StoreError where it is missing, cut short, altered or not ours."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except FileNotFoundError:
        raise StoreError(f"cannot read {path}: no such file") from None
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{path} is cut short or not a safetensors file ({error}); make it again") from error
    try:
        record = json.loads(metadata[_KEY])
        checksum = record.pop("sha256")
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raise StoreError(f"{path} was not written by bindscope: its record is missing") from error
    if checksum != _checksum(arrays):
        raise StoreError(f"{path} was altered: its checksum does not fit; make it again")
    return arrays, record


def _checksum(arrays: Tensors) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name}:{array.dtype}:{array.shape};".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
