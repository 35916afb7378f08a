"""Names that a user types: registries of what stands behind them, plug-ins of other packages, and options `?key=value`.

A name is a word and what follows it: `text:10x10?same=true&m=2`. A registry maps the word to "module:thing", which is
imported when first asked for. An installed package adds words of its own by entry points (`bindscope.encoders`,
`bindscope.datasets`, `bindscope.learners`, `bindscope.analyses`).
"""

from __future__ import annotations

import importlib
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Generic, TypeVar

from bindscope.errors import BindscopeError, BindscopeWarning, InputError, UnknownNameError

_OPTIONS = re.compile(r"\?(?=[A-Za-z_]\w*=)")
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")
FORBIDDEN = ":?,& "  # what a word cannot hold
T = TypeVar("T")


@dataclass(frozen=True)
class Plugin:
    """A word that an installed package adds. package: its name and version, such as `acme 1.2`."""

    word: str
    place: str
    package: str


@dataclass
class Registry(Generic[T]):
    """Things of one kind by word: built in, added at run time, or from installed packages.

    kind: in the singular, for messages ("encoder"). group: of the entry points. builtin: word -> "module:thing". ending:
    put behind words in messages (":" for encoders and data sets). patterns: what a user may type -> a line on it.
    fits: whether a thing from outside is of this kind.

    >>> colours = Registry[str]("palette", "example.palettes", {"digits": "string:digits"})
    >>> colours["digits"]
    '0123456789'
    """

    kind: str
    group: str
    builtin: Mapping[str, str]
    patterns: Mapping[str, str] = field(default_factory=dict)
    ending: str = ""
    fits: Callable[[Any], bool] = callable
    added: dict[str, tuple[T, str]] = field(default_factory=dict)

    def __getitem__(self, word: str) -> T:
        """The thing of a word; raises UnknownNameError with the nearest words, InputError for a plug-in that is broken."""
        if word in self.builtin:
            module, name = self.builtin[word].split(":")
            found: T = getattr(importlib.import_module(module), name)
            return found
        if word in self.added:
            return self.added[word][0]
        plugins = self.plugins()
        if word not in plugins:
            raise self.unknown(word)
        return self._loaded(plugins[word])

    def unknown(self, word: str) -> UnknownNameError:
        """The error of a word that is not known, with the nearest ones."""
        return UnknownNameError(self.kind, word + self.ending, (known + self.ending for known in self))

    def __contains__(self, word: object) -> bool:
        return word in self.builtin or word in self.added or word in self.plugins()

    def __iter__(self) -> Iterator[str]:
        """All words: built in, added, plugged in."""
        return iter(dict.fromkeys([*self.builtin, *self.added, *self.plugins()]))

    def add(self, word: str, thing: T, text: str) -> None:
        """Make a thing known in this process; raises InputError for a word that is taken or could not be typed."""
        if not word or set(word) & set(FORBIDDEN) or word in self.builtin:
            raise InputError(
                f"{word!r} cannot name a {self.kind}; take a new word without ':', '?', ',', '&' and blanks"
            )
        self.added[word] = (thing, text)

    def items(self) -> Iterator[tuple[str, T]]:
        """Every word with its thing, loaded; a broken plug-in is one warning and left out."""
        for word in self:
            try:
                yield word, self[word]
            except InputError as error:
                if word not in self.plugins():
                    raise
                warnings.warn(str(error), BindscopeWarning, stacklevel=1)

    def described(self) -> dict[str, str]:
        """What a user may type, with a line on each that says where it comes from if not from here."""
        lines = {**self.patterns, **{word: text for word, (_, text) in self.added.items()}}
        for word, plugin in self.plugins().items():
            try:
                text = (getattr(self._loaded(plugin), "__doc__", None) or "").strip().partition("\n")[0]
            except InputError as error:
                warnings.warn(str(error), BindscopeWarning, stacklevel=1)
                continue
            lines[word + self.ending] = f"{text} (from {plugin.package})".strip()
        return lines

    def package_of(self, word: str) -> str | None:
        """Name and version of the package that plugged a word in; None for what is built in or added."""
        plugin = self.plugins().get(word)
        return None if plugin is None else plugin.package

    def plugins(self) -> dict[str, Plugin]:
        """Words of installed packages that are not taken; those that are taken are told and passed over."""
        found: dict[str, Plugin] = {}
        for plugin in installed(self.group, tuple(sys.path)):
            first = found.get(plugin.word)
            reason = f"{first.package} has it" if first is not None else self._refused(plugin.word)
            if reason:
                text = f"plug-in {plugin.word!r} of {plugin.package} is passed over: {reason}"
                warnings.warn(text, BindscopeWarning, stacklevel=1)
            else:
                found[plugin.word] = plugin
        return found

    def _refused(self, word: str) -> str:
        if not word or set(word) & set(FORBIDDEN):
            return "a word has no ':', '?', ',', '&' and blanks"
        return f"the {self.kind} {word!r} is there already" if word in self.builtin or word in self.added else ""

    def _loaded(self, plugin: Plugin) -> T:
        label = f"plug-in {plugin.word!r} ({plugin.place}) of {plugin.package}"
        try:
            thing: T = metadata.EntryPoint(plugin.word, plugin.place, self.group).load()
        except (Exception, SystemExit) as error:  # other people's code may raise anything
            raise InputError(f"{label} cannot be loaded ({one_line(error)}); mend or remove that package") from error
        if not self.fits(thing):
            raise InputError(f"{label} is no {self.kind} but {type(thing).__name__}; mend or remove that package")
        return thing


@cache
def installed(group: str, path: tuple[str, ...]) -> tuple[Plugin, ...]:
    """The plug-ins of one group among the packages on a search path, by word; of two versions the first counts."""
    found: list[Plugin] = []
    seen: set[str] = set()
    for package in metadata.distributions(path=list(path)):
        name = str(package.metadata["Name"])
        if name.lower() not in seen:
            found += [Plugin(point.name, point.value, f"{name} {package.version}") for point in _points(package, group)]
        seen.add(name.lower())
    return tuple(sorted(found, key=lambda plugin: (plugin.word, plugin.package)))


def _points(package: metadata.Distribution, group: str) -> list[metadata.EntryPoint]:
    """A package's entry points of a group; those that cannot be read are told once and left out."""
    try:
        return [point for point in package.entry_points if point.group == group]
    except (TypeError, ValueError, AttributeError, KeyError, OSError) as error:
        name = package.metadata["Name"]
        text = f"the entry points of the package {name} cannot be read ({one_line(error)}); reinstall it"
        warnings.warn(text, BindscopeWarning, stacklevel=1)
        return []


def from_module(place: str, name: str, make: Callable[[Callable[..., Any]], Any]) -> Any:
    """What `make` makes of a factory (`pkg.mod:factory`), imported with the current directory on the path.

    Anything that goes wrong in it is an InputError of one line about `name`.
    """
    module, colon, factory = place.partition(":")
    if not colon or not module or not factory:
        raise InputError(f"{name!r} is not understood; expected module:package.module:factory")
    with current_directory_on_path():
        return made_by(lambda: make(getattr(importlib.import_module(module), factory)), name)


@contextmanager
def current_directory_on_path() -> Iterator[None]:
    """Modules in the current directory can be imported inside."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def made_by(make: Callable[[], Any], name: str, kind: type | None = None) -> Any:
    """What other people's code makes; whatever goes wrong in it, or another type, is an InputError of one line."""
    try:
        made = make()
    except BindscopeError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"cannot make {name}: {one_line(error)}; check the code behind that name") from error
    if kind is not None and not isinstance(made, kind):
        raise InputError(f"{name} gave {type(made).__name__}; expected {_article(kind.__name__)}")
    return made


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'AEIOU' else 'a'} {word}"


def one_line(error: BaseException) -> str:
    """An exception in one line of at most 200 characters: its type and the first line of what it says."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


@dataclass(frozen=True)
class Option:
    """One option: its default, whose type it takes unless `kind` says otherwise, and its limits (inclusive)."""

    default: Any
    kind: type = str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


def split_options(name: str, is_path: bool = False) -> tuple[str, str]:
    """Name and options: before and after the first question mark that `key=` follows, else the first one.

    is_path: the name is a path; where one of the whole name exists, its question marks belong to it.

    >>> split_options("text:10x10?same=true")
    ('text:10x10', 'same=true')
    >>> split_options("what?/vectors.npy?queries=q.npz")
    ('what?/vectors.npy', 'queries=q.npz')
    """
    if is_path and os.path.exists(name):
        return name, ""
    found = _OPTIONS.search(name)
    if found is not None:
        return name[: found.start()], name[found.end() :]
    base, _, rest = name.partition("?")
    return base, rest


def read_options(text: str, known: Mapping[str, Option], owner: str) -> dict[str, Any]:
    """Values of all known options: those given in `text` as `key=value&key=value`, else the defaults.

    Raises UnknownNameError for an unknown key and InputError for a value that does not fit.

    >>> read_options("same=YES&m=3", {"same": Option(False, bool), "m": Option(2, int, 1, 3)}, "text:")
    {'same': True, 'm': 3}
    """
    values = {key: option.default for key, option in known.items()}
    given: set[str] = set()
    for piece in text.split("&") if text else []:
        key, equals, word = piece.partition("=")
        if not key or not equals:
            raise InputError(f"{owner} options look like ?key=value&key=value, got {piece!r}")
        if key not in known:
            raise UnknownNameError(f"option of {owner}", key, known)
        if key in given:
            raise InputError(f"{owner} option {key} is given twice; give it once")
        given.add(key)
        values[key] = _read_value(word, known[key], f"{owner} option {key}")
    return values


def _read_value(word: str, option: Option, label: str) -> Any:
    if option.kind is bool:
        return read_flag(word, label)
    if option.kind in (int, float):
        return _read_number(word, option, label)
    if option.choices and word not in option.choices:
        raise InputError(f"{label} must be one of {', '.join(option.choices)}, got {word!r}")
    if not word:
        raise InputError(f"{label} needs a value, got nothing after '='")
    return word


def read_flag(word: str, label: str) -> bool:
    """True or False from true/false, yes/no, 1/0 in any case; anything else is refused."""
    lower = word.strip().lower()
    if lower not in TRUE + FALSE:
        raise InputError(f"{label} must be true or false (yes/no, 1/0), got {word!r}")
    return lower in TRUE


def _read_number(word: str, option: Option, label: str) -> int | float:
    expected = "a whole number" if option.kind is int else "a number"
    if option.low is not None:
        expected += f" of at least {option.low:g}" if option.high is None else f" in {option.low:g}..{option.high:g}"
    try:
        number: int | float = option.kind(word)
    except ValueError:
        raise InputError(f"{label} must be {expected}, got {word!r}") from None
    low = -math.inf if option.low is None else option.low
    high = math.inf if option.high is None else option.high
    if not math.isfinite(number) or not low <= number <= high:
        raise InputError(f"{label} must be {expected}, got {word!r}")
    return number


def at_home(path: str) -> str:
    """A path with the home directory in place of a leading `~`; any other text as it is.

    >>> at_home("a/~b")
    'a/~b'
    """
    return os.path.expanduser(path) if path.startswith("~") else path


def load_thing(place: str) -> Any:
    """What stands at "module:name", imported now.

    >>> load_thing("bindscope.names:split_options") is split_options
    True
    """
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
