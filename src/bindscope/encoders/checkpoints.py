"""Where the weights of an open_clip model are, and which activation they were trained with."""

from __future__ import annotations

import hashlib
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bindscope.datasets.whole import whole_file
from bindscope.encoders.hub import SECONDS, hub_file
from bindscope.errors import InputError, StoreError, UnknownNameError

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
