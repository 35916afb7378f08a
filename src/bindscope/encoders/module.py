"""One's own encoder, from Python code: `module:pkg.mod:factory`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from bindscope.datasets.items import Dataset, Items
from bindscope.encoders.base import Encoder, Settings, Vectors, checked_vectors, library_versions
from bindscope.errors import BindscopeError, InputError
from bindscope.names import from_module


class CallableEncoder(Encoder):
    """A function (or an object's `encode`) from a list of texts, or of image paths, to an array `[n, d]`.

    Queries of data sets of images are texts: an object's `encode_text` gets them; without it there are none.
    """

    modalities = frozenset({"text", "image"})

    def __init__(self, call: Callable[[list[Any]], Any], name: str) -> None:
        self.call, self.name = call, name
        self.texts = getattr(getattr(call, "__self__", None), "encode_text", None)

    def prepare(self, dataset: Dataset) -> Encoder:
        """The same; on images without queries where nothing encodes texts."""
        ready = CallableEncoder(self.call, self.name)
        ready.has_queries = dataset.modality != "image" or self.texts is not None
        return ready

    def encode(self, items: Items) -> Vectors:
        """What the function gives."""
        inputs: list[Any] = list(items.texts if items.texts is not None else items.images or ())
        call = self.call if items.kind == "scene" or self.texts is None else self.texts
        try:
            found = call(inputs)
        except BindscopeError:
            raise
        except Exception as error:
            raise InputError(f"{self.name} raised {type(error).__name__}: {error}; mend that encoder") from error
        return checked_vectors(found, len(items), self.name)

    def fidelity(self) -> dict[str, Any]:
        """The name and the versions; the fingerprint of a few vectors tells the rest."""
        return {"encoder": self.name, "architecture": type(self.call).__name__, "versions": library_versions("numpy")}


def load(rest: str, name: str, settings: Settings) -> Encoder:
    """Import the module (the current directory counts), call the factory, wrap what it gives.

    A factory with a parameter `settings` gets device, batch size and seed (`Settings`).
    """
    made = from_module(rest, name, lambda factory: _made(factory, settings))
    if isinstance(made, Encoder):
        made.name = made.name or name
        return made
    call = getattr(made, "encode", made)
    if not callable(call):
        raise InputError(
            f"{name} gave {type(made).__name__}; expected an Encoder, a function, or an object with .encode"
        )
    return CallableEncoder(call, name)


def _made(factory: Callable[..., Any], settings: Settings) -> Any:
    try:
        wanted = "settings" in inspect.signature(factory).parameters
    except ValueError:  # some callables of C extensions do not tell
        wanted = False
    return factory(settings=settings) if wanted else factory()
