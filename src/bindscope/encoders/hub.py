"""Models of the Hugging Face hub: the local cache first, the network only where it answers at once."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bindscope.errors import InputError, MissingExtraError, StoreError, UnknownNameError
from bindscope.files import whole_file

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


WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")  # names in a repository, best first
KEPT = Path("~/.cache/clip")  # where open_clip keeps what it downloads
PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")


@dataclass(frozen=True)
class Checkpoint:
    """path: the weight file. quick_gelu: the activation it was trained with; None where nothing is known.
    preprocessing: how its images are prepared, where that is not the architecture's default."""

    path: Path
    quick_gelu: bool | None
    preprocessing: dict[str, Any]


def find_checkpoint(architecture: str, pretrained: str, name: str) -> Checkpoint:
    """The checkpoint of a tag that open_clip knows, or of a file; raises UnknownNameError or StoreError."""
    import open_clip

    known = open_clip.get_pretrained_cfg(architecture, pretrained)
    if known:
        return Checkpoint(_file_of(known, architecture, name), _trained_with(known), _preprocessing(known))
    path = Path(pretrained).expanduser()
    if path.is_file():
        twin = _tag_of_file(path)
        return Checkpoint(path, _trained_with(twin) if twin else None, _preprocessing(twin or {}))
    if path.suffix or len(path.parts) > 1:
        raise StoreError(f"{name}: there is no checkpoint file {pretrained}")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if not tags:
        raise InputError(f"{name}: open_clip knows no checkpoint of {architecture}; give the path of a file")
    raise UnknownNameError(f"checkpoint of {architecture}", pretrained, tags)


def _trained_with(known: dict[str, Any]) -> bool:
    return bool(known.get("quick_gelu", False))


def _preprocessing(known: dict[str, Any]) -> dict[str, Any]:
    return {key: known[key] for key in PREPROCESSING if key in known}


def _tag_of_file(path: Path) -> dict[str, Any] | None:
    """What open_clip says of a downloaded file, by its name: these names hold a hash, or are OpenAI's own."""
    import open_clip

    for architecture, tag in open_clip.list_pretrained():
        known: dict[str, Any] = open_clip.get_pretrained_cfg(architecture, tag)
        if known.get("url", "").rpartition("/")[2] == path.name:
            return known
    return None


def _file_of(known: dict[str, Any], architecture: str, name: str) -> Path:
    if known.get("file"):
        return Path(known["file"])
    if known.get("hf_hub"):
        repository, _, file = str(known["hf_hub"]).rpartition("/")
        files = (file,) if file else WEIGHTS
        hint = f"`hf download {repository} {files[0]}` on a machine with network, then openclip:{architecture},PATH"
        return hub_file(repository, files, name, hint)
    return _fetched(str(known.get("url", "")), architecture, name)


def _fetched(url: str, architecture: str, name: str) -> Path:
    """A file that open_clip offers by address alone: from its own cache, else fetched and held against its hash."""
    target = KEPT.expanduser() / url.rpartition("/")[2]
    if target.is_file():
        return target
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as source:
            content = source.read()
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{name} is not in the local cache and its address cannot be reached; fetch it beforehand: download {url} "
            f"on a machine with network, then openclip:{architecture},PATH of that file"
        ) from error
    wanted = target.stem.rpartition("-")[2]
    if len(wanted) == 8 and not hashlib.sha256(content).hexdigest().startswith(wanted):
        raise StoreError(f"{name}: the download from {url} has another hash than its name says; try again")
    with whole_file(target) as partial:
        partial.write_bytes(content)
    return target
