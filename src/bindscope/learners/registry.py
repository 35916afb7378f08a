"""Approximators by name: `additive`, `per-object?rank=4`, `mlp:1024x2`, `module:pkg.mod:factory`, and registered ones."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import cast

from bindscope.encoders.module import from_module
from bindscope.errors import InputError, UnknownNameError
from bindscope.learners.base import Approximator

Factory = Callable[[str, bool], Approximator]

LOADERS = {
    "additive": "bindscope.learners.additive:load_additive",
    "ridge": "bindscope.learners.additive:load_ridge",
    "per-object": "bindscope.learners.forms:load_per_object",
    "global": "bindscope.learners.forms:load_global",
    "mlp": "bindscope.learners.mlp:load",
    "xgboost": "bindscope.learners.trees:load_xgboost",
    "forest": "bindscope.learners.trees:load_forest",
    "neighbours": "bindscope.learners.neighbours:load",
}
PATTERNS = {
    "additive": "a vector for each value in each slot (?slots=shared: for each value), exact least squares",
    "per-object": "additive + W sum_i prod_k v, a product within each object; ?rank=4&ridge=0.01&slots=shared",
    "global": "additive + W prod_i prod_k v, a product across the objects; ?rank=4&ridge=0.01&slots=shared",
    "ridge": "additive features with an L2 penalty that validation objects choose",
    "mlp:WIDTH": "a perceptron, one hidden layer of 1..65536 units; mlp:1024x2 has two; ?epochs=40&decay=0.01",
    "xgboost": "gradient-boosted trees with several outputs at once (extra `boost`)",
    "forest": "random forest",
    "neighbours": "mean over the k nearest training objects in each slot; ?k=3",
    "module:pkg.mod:factory": "your own: a factory of an Approximator",
}
_OWN: dict[str, tuple[Factory, str]] = {}


def load_approximator(name: str, tune: bool = False) -> Approximator:
    """The approximator of a name. `tune`: choose more of its settings on validation objects, which takes longer.

    Raises UnknownNameError with the nearest names, InputError for an option that does not fit.

    >>> load_approximator("mlp:256").name
    'mlp:256'
    """
    word, rest = _split(name)
    if word == "module":
        made = from_module(rest, name, lambda factory: factory())
        if not isinstance(made, Approximator):
            raise InputError(f"{name} gave {type(made).__name__}; expected an Approximator")
    elif word in _OWN:
        made = _OWN[word][0](rest, tune)
    elif word in LOADERS:
        module, function = LOADERS[word].split(":")
        made = cast(Factory, getattr(importlib.import_module(module), function))(rest, tune)
    else:
        raise UnknownNameError("learner", word, [*LOADERS, *_OWN])
    made.name = name
    return made


def register(word: str, factory: Factory, text: str = "your own") -> None:
    """Make an approximator known by a word; `factory(rest, tune)` gets what follows it (`9?x=1` of `word:9?x=1`)."""
    if not word or set(word) & set(":?,& ") or word in LOADERS or word == "module":
        raise InputError(f"{word!r} cannot name a learner; take a new word without ':', '?', ',', '&' and blanks")
    _OWN[word] = (factory, text)


def approximator_names() -> dict[str, str]:
    """Patterns of names, with a line on each."""
    return {**PATTERNS, **{word: text for word, (_, text) in _OWN.items()}}


def _split(name: str) -> tuple[str, str]:
    """The word, and what follows it without the colon.

    >>> _split("mlp:256?epochs=9"), _split("global?rank=2")
    (('mlp', '256?epochs=9'), ('global', '?rank=2'))
    """
    end = min((i for i in (name.find(":"), name.find("?")) if i >= 0), default=len(name))
    return name[:end], name[end:].removeprefix(":")
