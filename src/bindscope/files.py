"""Files that are there whole or not at all, tensors that carry digests, and the place of the cache."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.errors import StoreError


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to, which is renamed to it when the block ends well.

    The file gets the rights that the umask leaves, whoever writes it (safetensors would take them from all others).
    Raises StoreError where it cannot be written (no such directory, no right, disk full); then nothing is left behind.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.touch()
        rights = stat.S_IMODE(partial.stat().st_mode)
        yield partial
        os.chmod(partial, rights)
        os.replace(partial, path)
    except OSError as error:
        reason = error.strerror or str(error).partition("\n")[0]
        raise StoreError(f"cannot write {path}: {reason}; choose a place that can be written") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def claim_directory(directory: Path, config: str, kind: str, same: Callable[[], bool]) -> bool:
    """Make the directory of a run of some kind ("training", "fine-tuning") that keeps its settings in the file `config`.

    Returns whether it is new or empty, so that the settings are to be written. Raises StoreError where it cannot be made, or
    holds something else: a run whose settings are not the `same`, or files without settings.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make {directory}: {error.strerror or error}; give another --out") from error
    if (directory / config).exists():
        if not same():
            raise StoreError(f"{directory} holds a {kind} run of other settings; give another --out")
        return False
    if any(directory.iterdir()):
        raise StoreError(f"{directory} exists and is no {kind} run; give another --out or empty it")
    return True


def refuse_irregular(path: Path) -> None:
    """Raise StoreError for a pipe, a socket or a device, which could block or never end, and for what cannot be a path.

    A file that is missing or a directory is left to whoever opens it.
    """
    try:
        mode = path.stat().st_mode
    except ValueError as error:
        raise StoreError(f"cannot read {str(path)!r}: {error}; give another path") from None
    except OSError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise StoreError(f"cannot read {path}: it is a pipe, socket or device, expected a regular file; copy it to one")


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


Tensors = Mapping[str, Any]  # numpy arrays, or tensors of torch
_KEY = "bindscope"  # a single key, since the format keeps no order of several


def write_tensors(path: Path, tensors: Tensors, record: Mapping[str, Any]) -> None:
    """Write tensors and a JSON-able record with digests of both, whole; the same input gives the same bytes.

    tensors: numpy arrays, or all of them tensors of torch (of any number format).
    """
    from safetensors import SafetensorError

    torches = any(hasattr(tensor, "detach") for tensor in tensors.values())
    if torches:
        from safetensors.torch import save_file

        ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    else:
        from safetensors.numpy import save_file

        ready = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    digests = {"sha256": _checksum(ready), "record_sha256": _text_digest(record)}
    text = json.dumps({**digests, **record}, sort_keys=True, ensure_ascii=False)
    with whole_file(path) as partial:
        try:
            save_file(ready, partial, metadata={_KEY: text})
        except SafetensorError as error:
            raise OSError(str(error)) from error


def read_tensors(path: Path, framework: str = "np", unsigned: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors and record of a file; raises StoreError where it is missing, cut short, altered or not ours.

    framework: "np" for numpy arrays, "pt" for tensors of torch. unsigned: whether a file without digests, as earlier
    versions wrote it, is read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework=framework) as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except FileNotFoundError:
        raise StoreError(f"cannot read {path}: no such file") from None
    except (OSError, SafetensorError, TypeError, ValueError) as error:
        raise StoreError(f"{path} is cut short or not a safetensors file ({error}); make it again") from error
    if unsigned and _KEY not in metadata:
        return tensors, {}
    try:
        record = dict(json.loads(metadata[_KEY]))
    except (KeyError, ValueError, TypeError) as error:
        raise StoreError(f"{path} was not written by bindscope: its record is missing") from error
    _refuse_altered(path, tensors, record, unsigned)
    return tensors, record


def _refuse_altered(path: Path, tensors: Tensors, record: dict[str, Any], unsigned: bool) -> None:
    """Take the digests out of a record and hold tensors and record against them."""
    of_tensors, of_record = record.pop("sha256", None), record.pop("record_sha256", None)
    if of_tensors is None and of_record is None and unsigned:
        return
    if of_tensors is None:
        raise StoreError(f"{path} was not written by bindscope: its record is missing")
    if of_tensors != _checksum(tensors) or of_record not in (None, _text_digest(record)):
        raise StoreError(f"{path} was altered: its checksum does not fit; make it again")


def _text_digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _checksum(tensors: Tensors) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        shape, kind = tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")
        digest.update(f"{name}:{kind}:{shape};".encode())
        flat = tensor.reshape(-1)
        if hasattr(flat, "detach"):
            import torch

            flat = flat.view(torch.uint8).numpy()
        digest.update(flat.view(np.uint8).data)
    return digest.hexdigest()
