"""The built-in vocabulary: adjectives of several kinds, nouns, and relations. Written for this project.

The words of `text:20x20` come first, so that the first words of a concept are those of the other text data sets.
"""

from __future__ import annotations

from bindscope.datasets.recipe import ADJECTIVES as FIRST_ADJECTIVES
from bindscope.datasets.recipe import NOUNS as FIRST_NOUNS

MORE_ADJECTIVES = {
    "colour": "white golden silver beige turquoise violet crimson",
    "size": "big huge little tall short wide narrow thick thin long",
    "matter": "wooden metal plastic glass leather paper stone rubber woollen",
    "pattern": "striped spotted plain checkered flowery",
    "shape": "flat square-cut curved pointed crooked",
    "state": "wet dry dirty clean broken open closed empty full folded burnt frozen rusty cracked dusty",
    "age": "old new young ancient modern",
    "feel": "soft hard warm cold heavy light sticky",
    "look": "bright dark shiny faded transparent fancy pretty ugly",
    "mood": "sleepy happy angry calm quiet loud lonely",
    "count": "two three four several",
}
MORE_NOUNS = {
    "people": "boy girl baby farmer teacher doctor soldier dancer sailor child cook painter",
    "animals": "horse cow sheep goat pig rabbit mouse bear lion tiger elephant monkey duck goose frog snake spider bee "
    "turtle whale",
    "vehicles": "bus truck bicycle boat train plane tractor wagon scooter canoe",
    "furniture": "chair table bed desk lamp shelf mirror carpet curtain pillow stool cupboard clock",
    "kitchen": "cup plate bowl spoon knife kettle bottle jar pan oven basket tray",
    "clothes": "shirt hat coat shoe scarf glove sock belt dress jacket sweater backpack",
    "food": "apple banana lemon carrot onion potato cake sandwich pizza cheese egg tomato",
    "buildings": "house tower bridge castle barn church door window roof fence wall stairway",
    "things": "book pencil phone camera radio guitar drum ball kite rope ladder hammer umbrella bag box bell candle key "
    "coin flag letter",
    "outside": "river hill cloud bush puddle bench road field lake island",
}
COUNTS = frozenset(MORE_ADJECTIVES["count"].split())
PLURALS = {
    "man": "men",
    "woman": "women",
    "child": "children",
    "sheep": "sheep",
    "goose": "geese",
    "mouse": "mice",
    "fish": "fish",
    "knife": "knives",
    "shelf": "shelves",
}
PLACES = (
    "in a kitchen; in the park; on the street; at the beach; in a small room; near the window; in the garden; under a tree; "
    "at night; on a sunny day; in the rain; in front of a shop; by the side of the road; in a museum; at the station; "
    "in the snow; on the grass; in a large hall; next to a pond; in the living room; at a market; on a farm; in the morning; "
    "on a hillside; behind the school; in an office; at the harbour; in a bathroom; on the floor; in a forest; "
    "during a party; in the city; on a quiet afternoon; against a grey sky; at the edge of a field; in a black and white photo"
).split("; ")


def adjectives() -> tuple[str, ...]:
    """All adjectives, those of `text:20x20` first, then kind by kind.

    >>> adjectives()[:2], len(adjectives()) >= 100
    (('red', 'blue'), True)
    """
    return _all(FIRST_ADJECTIVES, MORE_ADJECTIVES)


def nouns() -> tuple[str, ...]:
    """All nouns, those of `text:20x20` first, then kind by kind."""
    return _all(FIRST_NOUNS, MORE_NOUNS)


def plural(noun: str) -> str:
    """The plural of a noun.

    >>> plural("box"), plural("man"), plural("berry"), plural("toy")
    ('boxes', 'men', 'berries', 'toys')
    """
    if noun in PLURALS:
        return PLURALS[noun]
    if noun.endswith(("s", "x", "ch", "sh")) or noun in ("potato", "tomato"):
        return noun + "es"
    return noun[:-1] + "ies" if noun.endswith("y") and noun[-2:-1] not in tuple("aeiou") else noun + "s"


def _all(first: tuple[str, ...], more: dict[str, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*first, *(word for words in more.values() for word in words.split())]))
