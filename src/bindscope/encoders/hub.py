"""Models of the Hugging Face hub: the local cache first, the network only where it answers at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bindscope.errors import InputError, MissingExtraError, StoreError, UnknownNameError

SECONDS = 5.0  # how long the hub may take to answer
# Copies of the weights for other frameworks.
OTHER_FORMATS = ["*.onnx", "onnx/*", "openvino/*", "*.h5", "*.msgpack", "*.ot", "*.tflite", "*.gguf"]


def hub_directory(name: str, label: str, hint: str | None = None) -> Path:
    """Directory of a model `ORG/NAME[@REVISION]`: from the local cache, else downloaded.

    Raises StoreError that says how to fetch it beforehand where the hub cannot be reached. hint: another way to get it.
    """
    hub = _library()
    repository, _, revision = name.partition("@")
    wanted = {"repo_id": repository, "revision": revision or None}
    try:
        return Path(hub.snapshot_download(**wanted, local_files_only=True))
    except hub.errors.HFValidationError as error:
        raise InputError(f"{label}: {repository!r} is not a name of the form ORG/NAME") from error
    except OSError:
        _refuse_unreachable(hub, wanted, label, hint)
    try:
        return Path(hub.snapshot_download(**wanted, ignore_patterns=OTHER_FORMATS))
    except Exception as error:
        raise StoreError(f"{label}: the download broke off ({_first_line(error)}); try again") from error


def hub_file(repository: str, names: Sequence[str], label: str, hint: str) -> Path:
    """One file of a repository, the first of some names that it has: from the local cache, else downloaded."""
    hub = _library()
    for file in names:
        kept = hub.try_to_load_from_cache(repository, file)
        if isinstance(kept, str):
            return Path(kept)
    _refuse_unreachable(hub, {"repo_id": repository, "revision": None}, label, hint)
    for file in names:
        try:
            return Path(hub.hf_hub_download(repository, file))
        except hub.errors.EntryNotFoundError:
            continue
        except Exception as error:
            raise StoreError(f"{label}: the download broke off ({_first_line(error)}); try again") from error
    raise StoreError(f"{label}: {repository} has none of the files {', '.join(names)}")


def _refuse_unreachable(hub: Any, wanted: dict[str, str | None], label: str, hint: str | None) -> None:
    repository = wanted["repo_id"]
    try:
        hub.HfApi().model_info(repository, revision=wanted["revision"], timeout=SECONDS)
    except hub.errors.RevisionNotFoundError:
        raise UnknownNameError("revision", str(wanted["revision"]), ["main"]) from None
    except hub.errors.GatedRepoError as error:
        raise StoreError(f"{label}: the model asks for a licence; accept it on its page and log in") from error
    except hub.errors.RepositoryNotFoundError as error:
        raise InputError(f"{label}: the hub has no public model of this name; check the spelling") from error
    except Exception as error:
        offline = "offline mode is on" if os.environ.get("HF_HUB_OFFLINE") else "the hub cannot be reached"
        way = hint or f"`hf download {repository}` on a machine with network, then st:PATH of that directory"
        raise StoreError(f"{label} is not in the local cache and {offline}; fetch it beforehand: {way}") from error


def _library() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        raise MissingExtraError("a model of the hub", "huggingface_hub", "text") from error
    return huggingface_hub


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
