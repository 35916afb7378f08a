"""Encoders by name: items in, vectors out."""

from __future__ import annotations

from collections.abc import Callable

from bindscope.encoders.base import Encoder, Settings
from bindscope.encoders.module import code_digest
from bindscope.errors import InputError
from bindscope.names import Registry, at_home, made_by

__all__ = ["Encoder", "encoder_names", "load_encoder"]

LOADERS = {
    "st": "bindscope.encoders.sentence:load",
    "hf": "bindscope.encoders.hf:load",
    "openclip": "bindscope.encoders.openclip:load",
    "file": "bindscope.encoders.vectors:load",
    "module": "bindscope.encoders.module:load",
    "planted": "bindscope.encoders.planted:load",
    "controlled": "bindscope.controlled.encoder:load",
    "embedded": "bindscope.encoders.embedded:load",
}
PROMPTED = ("st", "hf", "openclip")
PATTERNS = {
    "st:ORG/NAME": "a sentence-transformers model, e.g. st:sentence-transformers/all-MiniLM-L6-v2",
    "st:PATH": "a sentence-transformers model in a directory",
    "hf:ORG/NAME": "a transformers model (@REVISION pins it): CLIP, SigLIP, DINOv2, ViT, BERT; ?pooling=cls|mean|...&dtype=...",
    "hf:PATH": "a transformers model in a directory",
    "openclip:ARCH,PRETRAINED": "an open_clip model by tag or checkpoint file, e.g. openclip:ViT-B-32,laion2b_s34b_b79k",
    "openclip:ARCH,": "the same at random initialisation, e.g. openclip:ViT-B-32,?seed=1&layernorm_gain=2",
    "file:PATH": "vectors made elsewhere (npz, npy, safetensors, parquet); ?queries=PATH&captions=PATH&array=NAME&ids=COLUMN",
    "module:pkg.mod:factory": "your own encoder: an Encoder, a function list[str] -> array, or an object with .encode",
    "module:bindscope.encoders.efficientnet:lite0": "a pretrained vision network out of a package (lite0_whole: uncropped)",
    "embedded:bag": "a small image-text encoder that ships with the package; knows concepts, does not bind",
    "embedded:bound": "the same, trained so that it binds; embedded:DIR for one of `bindscope train-clip`",
    "planted:KIND": "a world whose truth is known: bag, object, mixed, product, e.g. planted:mixed?dim=128&noise=0.1",
    "controlled:RUN": "a dual encoder that `bindscope train` trained from scratch",
}
Loader = Callable[[str, str, Settings], Encoder]
ENCODERS = Registry[Loader]("encoder", "bindscope.encoders", LOADERS, PATTERNS, ":")


def load_encoder(
    name: str,
    *,
    device: str | None = None,
    batch_size: int | None = None,
    prompt: str | None = None,
    seed: int = 0,
) -> Encoder:
    """The encoder of a name such as `planted:bag?dim=64`.

    device, batch_size: for encoders that compute with torch (None: they choose). prompt: text put before every caption
    and query. seed: of a planted world whose name gives none. Raises UnknownNameError, InputError, MissingExtraError.

    >>> load_encoder("planted:bag?dim=64").name
    'planted:bag?dim=64'
    """
    prefix, colon, rest = name.partition(":")
    if not colon and "/" in name:
        raise InputError(f"{name!r} names no kind of encoder; for a sentence-transformers model write st:{name}")
    if not colon:
        raise ENCODERS.unknown(prefix)
    loader, rest = ENCODERS[prefix], at_home(rest)
    if batch_size is not None and batch_size < 1:
        raise InputError(f"batch size must be at least 1, got {batch_size}")
    if prompt is not None and prefix in LOADERS and prefix not in PROMPTED:
        raise InputError(f"{prefix}: encoders take no prompt; leave it out")
    settings = Settings(device, batch_size, prompt, seed)
    if prefix in LOADERS:
        return loader(rest, name, settings)
    made: Encoder = made_by(lambda: loader(rest, name, settings), name, Encoder)
    made.name = made.name or name
    made.code = code_digest(ENCODERS.plugins()[prefix].place.partition(":")[0])
    return made


def encoder_names() -> dict[str, str]:
    """Patterns of encoder names, with a line on each.

    >>> "planted:KIND" in encoder_names()
    True
    """
    return ENCODERS.described()
