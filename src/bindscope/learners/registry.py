"""Approximators by name: `additive`, `per-object?rank=4`, `mlp:1024x2`, `module:pkg.mod:factory`, and registered ones."""

from __future__ import annotations

from collections.abc import Callable

from bindscope.errors import InputError
from bindscope.learners.base import Approximator
from bindscope.learners.words import PREFIX, Words
from bindscope.names import Registry, from_module, made_by

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
    "products": "bindscope.learners.mlp:load_products",
}
PATTERNS = {
    "additive": "a vector for each value in each slot (?slots=shared: for each value), least squares; ?length=unit",
    "per-object": "additive + W sum_i prod_k v, a product within each object; ?rank=4&ridge=0.01&slots=shared",
    "global": "additive + W prod_i prod_k v, a product across the objects; ?rank=4&ridge=0.01&slots=shared",
    "ridge": "additive features with an L2 penalty that validation objects choose",
    "mlp:WIDTH": "a perceptron, one hidden layer of 1..65536 units; mlp:1024x2 has two; ?epochs=40&decay=0.01",
    "products:WIDTH": "a perceptron on products of value vectors within each object",
    "xgboost": "gradient-boosted trees with several outputs at once (extra `boost`)",
    "forest": "random forest",
    "neighbours": "mean over the k nearest training objects in each slot; ?k=3",
    "words:LEARNER": "ridge, mlp, products, xgboost, forest from the model's own vectors of single values, not from indices",
    "module:pkg.mod:factory": "your own: a factory of an Approximator",
}
WORDED = ("ridge", "mlp:WIDTH", "products:WIDTH", "xgboost", "forest")
LEARNERS = Registry[Factory]("learner", "bindscope.learners", LOADERS, PATTERNS)


def load_approximator(name: str, tune: bool = False, words: Words | None = None) -> Approximator:
    """The approximator of a name. `tune`: choose more of its settings on validation objects, which takes longer.

    words: vectors of single values, for names that begin with `words:`. Raises UnknownNameError with the nearest names,
    InputError for an option that does not fit, or a learner that cannot start from words.

    >>> load_approximator("mlp:256").name
    'mlp:256'
    """
    word, rest = _split(name)
    if word == "words":
        return _from_words(rest, tune, words)
    if word in LOADERS:
        made = LEARNERS[word](rest, tune)
    elif word == "module":
        made = made_by(lambda: from_module(rest, name, lambda factory: factory()), name, Approximator)
    else:
        factory = LEARNERS[word]
        made = made_by(lambda: factory(rest, tune), name, Approximator)
    made.name = name
    return made


def register(word: str, factory: Factory, text: str = "your own") -> None:
    """Make an approximator known by a word; `factory(rest, tune)` gets what follows it (`9?x=1` of `word:9?x=1`)."""
    if word in ("module", "words"):
        raise InputError(f"{word!r} cannot name a learner; take a new word")
    LEARNERS.add(word, factory, text)


def approximator_names() -> dict[str, str]:
    """Patterns of names, with a line on each."""
    return LEARNERS.described()


def _from_words(name: str, tune: bool, words: Words | None) -> Approximator:
    made = load_approximator(name, tune)
    if not made.takes_words:
        raise InputError(f"{name} learns from indices alone; from words learn {', '.join(WORDED)}")
    made.name, made.words = PREFIX + name, words
    return made


def _split(name: str) -> tuple[str, str]:
    """The word, and what follows it without the colon.

    >>> _split("mlp:256?epochs=9"), _split("global?rank=2")
    (('mlp', '256?epochs=9'), ('global', '?rank=2'))
    """
    end = min((i for i in (name.find(":"), name.find("?")) if i >= 0), default=len(name))
    return name[:end], name[end:].removeprefix(":")
