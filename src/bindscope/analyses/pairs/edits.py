"""What was changed between a caption and its negative: which words, in what way, and what they speak of.

One normalisation serves everywhere: NFKC, lower case, typographic apostrophes as plain ones; a word is a run of letters and
digits, with apostrophes inside. Articles and forms of "be" are words too.

1. Words that both captions have at the beginning and at the end are taken off; of the rest, a longest common subsequence
   stays (of several, the one with the most objects and verbs), and the other words are `removed` (of the caption) or
   `added` (in the negative).
2. Words that are both removed and added have *moved*.
3. Way: `same` (the same words in the same order), `swapped` (all changed words have moved: the negative is a reordering of
   the caption's words), `added` or `removed` (only one side has changed words), `swapped and changed` (a word that carries
   meaning has moved and others are new or gone), `replaced` (the rest).
4. Part: what the changed words that carry meaning speak of, the moved ones where the way is a swap: `attribute` (colours,
   sizes, numbers, materials, states, ...), `relation` (prepositions, verbs in -ing, common verbs), `object` (all others),
   joined by `+` where there are several; `function` where only articles, pronouns and the like have changed. The lists
   below decide, and nothing else: it is a plain reading, no parser.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "´": "'"})
WAYS = ("same", "swapped", "swapped and changed", "replaced", "added", "removed")
PARTS = ("attribute", "relation", "object", "function")

FUNCTION = frozenset(
    """a an the this that these those and or but is are was were be been being am has have had do does did it its it's he she
    they them their his her him hers theirs there here of as so than then to who which what whose while with's s t not no
    some other another each every both all any also very just too one's themselves himself herself itself""".split()
)
RELATIONS = frozenset(
    """on in at under beneath below over above behind before beside besides between among near by next left right front back
    inside outside into onto off out up down through across along around against toward towards away from with without
    within upon atop underneath opposite past beyond after during about for facing top bottom side middle
    sits sit sat stands stand stood lies lie lay lays holds hold held wears wear wore rides ride rode looks look looked
    walks walk walked runs run ran eats eat ate drinks drink drank plays play played watches watch watched follows follow
    followed carries carry carried pulls pull pulled pushes push pushed throws throw threw catches catch caught hits hit
    kicks kick kicked jumps jump jumped flies fly flew drives drive drove hangs hang hung leans lean leaned rests rest rested
    covers cover covered surrounds surround surrounded contains contain contained touches touch touched faces face chases
    chase chased feeds feed fed cuts cut leads lead led crosses cross crossed reaches reach reached points point pointed
    swings swing swung serves serve served talks talk talked sleeps sleep slept waits wait waited""".split()
)
ATTRIBUTES = frozenset(
    """red orange yellow green blue purple violet pink brown black white grey gray gold golden silver beige tan teal turquoise
    cyan magenta maroon navy crimson scarlet colorful colourful multicolored dark light bright pale clear transparent
    big bigger biggest large larger largest small smaller smallest little tiny huge giant tall taller short shorter long longer
    wide narrow thick thin high low deep shallow full empty half whole broken cracked old older young younger new modern
    ancient antique round square rectangular circular triangular oval flat curved straight bent sharp smooth rough soft hard
    wet dry clean dirty dusty muddy hot cold warm cool fresh frozen ripe raw cooked baked fried sliced chopped open opened
    closed shut wooden metal metallic plastic glass leather stone brick concrete paper cotton woolen furry fluffy hairy bald
    striped spotted dotted plaid checkered patterned plain fancy happy sad angry smiling sleepy busy quiet calm loud fast slow
    cloudy sunny rainy snowy foggy stormy cluttered tidy messy crowded lone single double pair one two three four five six
    seven eight nine ten eleven twelve dozen several many few first second third last male female adult male's blonde blond
    brunette bearded sandy grassy rocky leafy shiny dull rusty electric electronic heavy lit unlit decorated bare tired
    professional casual formal colored coloured""".split()
)
# Of equally long common subsequences the one that keeps objects and verbs: it is the colours that were exchanged. Below the
# weight of one word for captions of up to 60 words.
KEPT = {"object": 1 / 64, "relation": 1 / 64, "attribute": 1 / 128, "function": 0.0}
ATTRIBUTE_ENDINGS = ("ish", "less", "ful", "ous", "sized", "shaped", "colored", "coloured", "striped")


@dataclass(frozen=True)
class Edit:
    """The change from a caption to its negative. removed, added: positions of changed words among each one's words; moved:
    those words (sorted) that are in both."""

    way: str
    part: str
    removed: tuple[int, ...]
    added: tuple[int, ...]
    moved: tuple[str, ...]

    @property
    def kind(self) -> str:
        """Way and part in one, e.g. "swapped attribute"."""
        return self.way if self.way == "same" else f"{self.way} {self.part}"


@lru_cache(maxsize=200_000)
def words(text: str) -> tuple[str, ...]:
    """The words of a caption under the one normalisation.

    >>> words("A dog’s Red-striped ball!")
    ('a', "dog's", 'red', 'striped', 'ball')
    """
    return tuple(WORD.findall(unicodedata.normalize("NFKC", text).translate(APOSTROPHES).lower()))


def places(text: str) -> list[tuple[int, int]]:
    """Begin and end of each word in the text as it stands, for those who mark words there.

    >>> places("A cat!")
    [(0, 1), (2, 5)]
    """
    plain = text.translate(APOSTROPHES)
    spans = [match.span() for match in WORD.finditer(plain)]
    if len(spans) != len(words(text)):  # a character that NFKC takes apart: no word can be marked safely
        return []
    return spans


def same_bag(caption: str, negative: str) -> bool:
    """Whether the negative is a reordering of the caption's words (equal captions, which no reader tells apart, too).

    >>> same_bag("a red cube and a blue ball", "A blue cube, and a red ball."), same_bag("a cat", "two cats")
    (True, False)
    """
    one, two = words(caption), words(negative)
    return len(one) == len(two) and Counter(one) == Counter(two)


def align(caption: str, negative: str) -> Edit:
    """What was changed, by the rules of this module.

    >>> edit = align("a red cube and a blue ball", "a blue cube and a red ball")
    >>> edit.kind, edit.moved, edit.removed
    ('swapped attribute', ('blue', 'red'), (1, 5))
    >>> align("a cat on a mat", "a cat under a mat").kind, align("a cat", "a cat with a hat").kind
    ('replaced relation', 'added relation+object')
    """
    one, two = words(caption), words(negative)
    removed, added = _changed(one, two)
    gone, new = Counter(one[i] for i in removed), Counter(two[i] for i in added)
    both = gone & new
    moved = tuple(sorted(both.elements()))
    carried = [word for word in both if word not in FUNCTION]
    way = _way(gone, new, bool(carried))
    changed = set(carried) if way.startswith("swapped") and carried else set(gone - both) | set(new - both) or set(both)
    return Edit(way, _part(changed), removed, added, moved)


def part_of(word: str) -> str:
    """What a word speaks of: one of PARTS."""
    if word in FUNCTION:
        return "function"
    if word in ATTRIBUTES or word.isdigit() or word.endswith(ATTRIBUTE_ENDINGS):
        return "attribute"
    if word in RELATIONS or (word.endswith("ing") and len(word) > 5):
        return "relation"
    return "object"


def _way(gone: Counter[str], new: Counter[str], carried: bool) -> str:
    if not gone and not new:
        return "same"
    if gone == new:
        return "swapped"
    if carried:
        return "swapped and changed"
    if not gone or not new:
        return "added" if new else "removed"
    meaning = [{word for word in side if word not in FUNCTION} for side in (gone, new)]
    if bool(meaning[0]) != bool(meaning[1]):
        return "removed" if meaning[0] else "added"
    return "replaced"


def _part(changed: set[str]) -> str:
    found = {part_of(word) for word in changed}
    carrying = [part for part in PARTS[:-1] if part in found]
    return "+".join(carrying) if carrying else "function"


def _changed(one: tuple[str, ...], two: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Positions that do not belong to a longest common subsequence of what common ends leave."""
    low = 0
    while low < min(len(one), len(two)) and one[low] == two[low]:
        low += 1
    tail = 0
    while tail < min(len(one), len(two)) - low and one[-1 - tail] == two[-1 - tail]:
        tail += 1
    left, right = one[low : len(one) - tail], two[low : len(two) - tail]
    kept = _common(left, right)
    stay_one, stay_two = {i for i, _ in kept}, {j for _, j in kept}
    return (
        tuple(low + i for i in range(len(left)) if i not in stay_one),
        tuple(low + j for j in range(len(right)) if j not in stay_two),
    )


def _common(left: tuple[str, ...], right: tuple[str, ...]) -> list[tuple[int, int]]:
    """Pairs of positions of a longest common subsequence, and of those the one with the most objects and verbs.

    O(len^2) on the few words that differ.
    """
    rows, columns = len(left), len(right)
    weight = [1.0 + KEPT[part_of(word)] for word in left]
    best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows - 1, -1, -1):
        for j in range(columns - 1, -1, -1):
            matched = best[i + 1][j + 1] + weight[i] if left[i] == right[j] else 0.0
            best[i][j] = max(matched, best[i + 1][j], best[i][j + 1])
    i = j = 0
    kept = []
    while i < rows and j < columns:
        if left[i] == right[j] and best[i][j] == best[i + 1][j + 1] + weight[i]:
            kept.append((i, j))
            i, j = i + 1, j + 1
        elif best[i + 1][j] >= best[i][j + 1]:
            i += 1
        else:
            j += 1
    return kept
