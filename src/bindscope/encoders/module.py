"""One's own encoder, from Python code: `module:pkg.mod:factory`."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bindscope.datasets.items import Dataset, Items
from bindscope.encoders.base import Encoder, Settings, Vectors, checked_vectors, library_versions
from bindscope.errors import BindscopeError, InputError
from bindscope.names import current_directory_on_path, from_module


class CallableEncoder(Encoder):
    """A function (or an object's `encode`) from a list of texts, or of image paths, to an array `[n, d]`.

    Queries of data sets of images are texts: an object's `encode_text` gets them; without it there are none.
    """

    modalities = frozenset({"text", "image"})
    opens_files = True

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
    encoder = made if isinstance(made, Encoder) else _wrapped(made, name)
    encoder.name = encoder.name or name
    encoder.code = code_digest(rest.partition(":")[0])
    return encoder


def _wrapped(made: Any, name: str) -> Encoder:
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


def code_digest(module: str) -> str:
    """sha256 over the source that a module's behaviour may come from; empty for modules of bindscope itself.

    That is its file, those of its package, and those of the local modules (no library's) that any of them imports. What
    the code reads at run time, such as weights, is not in it.
    """
    if module.partition(".")[0] == "bindscope":
        return ""
    digest = hashlib.sha256()
    with current_directory_on_path():
        files = sorted(_sources(module))
    for file in files:
        with contextlib.suppress(OSError):
            content = file.read_bytes()
            digest.update(f"{file.name}:{len(content)};".encode() + content)
    return digest.hexdigest()


def _sources(module: str) -> set[Path]:
    """The source files behind a module, as far as imports can be followed."""
    found: set[Path] = set()
    waiting, seen = [module], set[str]()
    while waiting:
        name = waiting.pop()
        file = _file_of(name) if name not in seen else None
        seen.add(name)
        if file is None or (file in found and name != module):
            continue
        if name == module or _is_local(file):
            files = _with_package(name, file)
            found |= files
            waiting += [other for one in files if _is_local(one) for other in _imported(one, name)]
    return found


def _file_of(module: str) -> Path | None:
    """The file of a module that is imported, or of a local one that could be; nothing is imported for it."""
    top, _, rest = module.partition(".")
    if top == "bindscope" or top in sys.stdlib_module_names:
        return None
    origin = getattr(sys.modules.get(module), "__file__", None)
    if origin is not None:
        return Path(origin).resolve()
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None or spec.origin is None or not spec.has_location:
        return None
    file = Path(spec.origin).resolve()
    if not rest:
        return file
    inner = file.parent.joinpath(*rest.split("."))
    return next((one for one in (inner.with_suffix(".py"), inner / "__init__.py") if one.is_file()), None)


def _is_local(file: Path) -> bool:
    """Whether a file is the user's own: neither of the standard library nor of an installed package."""
    library = Path(sysconfig.get_paths()["stdlib"]).resolve()
    return not {"site-packages", "dist-packages"} & set(file.parts) and library not in file.parents


def _with_package(module: str, file: Path) -> set[Path]:
    """A module's file and, where it is in a package, all source files of that package."""
    depth = module.count(".") + (file.stem == "__init__")
    if not depth:
        return {file}
    return {file, *(one for one in file.parents[depth - 1].rglob("*.py") if one.is_file())}


def _imported(file: Path, module: str) -> Iterator[str]:
    """Names of modules that a source file imports anywhere."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module  # relative imports stay within the package, whose files are all in
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
