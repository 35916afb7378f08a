"""One normal form of words: which values of a concept look alike, and which words stand for a missing object.

Two words look alike when they have the same normal form: letter case, Unicode form, invisible characters, kinds of
blanks, dashes and quotes, letters of other alphabets that look Latin, and the spelling of numbers are ignored.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping

import numpy as np

from bindscope.errors import TableError

MANY = 10  # cells of a typical value from which on a value in a single cell is told
KEEP = "keep_spellings=true"
_DOUBLE, _SINGLE = (
    "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\u2036\u301d\u301e\u301f\uff02",
    "\u2018\u2019\u201a\u201b\u2039\u203a\u2032\u2035\u00b4`\uff07\u02bc",
)
_QUOTES = str.maketrans(dict.fromkeys(_DOUBLE, '"') | dict.fromkeys(_SINGLE, "'"))
# Lower-case Cyrillic and Greek letters that are drawn like Latin ones.
_LATIN = str.maketrans(
    "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u0456\u0458\u0455\u0501\u04bb\u051b\u051d\u03b1\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7",
    "abekmhopctyxijsdhqwaikvoptux",
)  # fmt: skip
_BLANKS = frozenset("\u115f\u1160\u3164\u2800\ufffc")  # drawn as nothing, though Unicode calls them letters or symbols
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?")
_WHOLE = re.compile(r"\d+")
_BOOLEANS = {"true": "1", "false": "0"}
FILLERS = frozenset(
    ["", "-", "--", "---", ".", "...", "?", "0", "-1", "none", "nan", "na", "n/a", "n.a.", "#n/a", "<na>", "nat", "null", "nil"]
    + ["\\n", "blank", "empty", "missing", "absent", "nothing", "no object", "void", "undefined", "not available", "<pad>"]
    + ["pad", "[pad]", "<none>", "(none)", "[none]", "<empty>", "(blank)", "not applicable"]
)  # fmt: skip


def is_blank(word: str) -> bool:
    """Whether nothing of a word is visible: blanks, control and format characters only."""
    return not any(_visible(character) for character in word)


def text_form(word: str) -> str:
    r"""A word without case, Unicode variants, invisible characters, and kinds of blanks, dashes and quotes.

    >>> text_form(" Dark\u00a0 RED\u200b"), text_form("\u201cblue\u201d"), text_form("\u0662")
    ('dark red', 'blue', '2')
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word.translate(_QUOTES)).casefold())
    text = " ".join("".join(map(_plain_character, folded)).translate(_LATIN).split())
    while len(text) > 1 and text[0] in "'\"" and text[-1] in "'\"":
        text = text[1:-1].strip()
    return text


def normal_form(word: str) -> str:
    """The form by which words are compared: two words of one form look alike.

    >>> normal_form("01") == normal_form("1.0") == normal_form("+1"), normal_form("TRUE") == normal_form("True")
    (True, True)
    >>> normal_form("0.1") == normal_form("0.10000000149011612"), normal_form("dark_red") == normal_form("Dark-red")
    (True, True)
    """
    text = text_form(word)
    if _NUMBER.fullmatch(text):
        return _number_form(text)
    text = _BOOLEANS.get(text, text)
    return " ".join(re.sub(r"(?<=[^\W\d])-(?=[^\W\d])", " ", text.replace("_", " ")).split())


def alike(words: Iterable[str]) -> list[list[str]]:
    """Groups of different words that look alike, each sorted.

    >>> alike(["red", "Red", "blue"])
    [['Red', 'red']]
    """
    groups: dict[str, list[str]] = {}
    for word in sorted(set(words)):
        groups.setdefault(normal_form(word), []).append(word)
    return [group for group in groups.values() if len(group) > 1]


def alike_note(concept: str, counts: Mapping[str, int], keep: bool, where: str = "") -> str | None:
    """A sentence on the values of a concept that look alike; None where there are none.

    counts: cells that hold each value. Raises TableError unless they are to be kept apart.
    """
    groups = alike(counts)
    if not groups:
        return None
    shown = " and ".join(
        f"{shown_word(word, groups[0])} ({counts[word]:,} cell{'s' * (counts[word] != 1)})" for word in groups[0][:3]
    )
    more = f" ({len(groups) - 1} more such groups)" if len(groups) > 1 else ""
    found = f"{where}values of {concept} look alike: {shown}{more}"
    if not keep:
        raise TableError(f"{found}; write them alike, or keep them apart with ?{KEEP} (--keep-spellings)")
    return f"{found}; they are kept apart"


def rare_note(concept: str, counts: Mapping[str, int], where: str = "") -> str | None:
    """A sentence on values in far fewer cells than the others, each with the frequent one that it may be; None without any.

    counts: cells that hold each value. A value is rare below a twentieth of the median, or alone where that is 10 and more.
    """
    typical = float(np.median(list(counts.values()))) if counts else 0.0
    rare = [word for word in sorted(counts) if typical >= MANY and counts[word] <= max(1.0, typical / 20)]
    if not rare:
        return None
    often = [word for word in counts if word not in rare]
    shown = [f"{shown_word(word, rare)} ({counts[word]:,}{_meant(word, often)})" for word in rare[:3]]
    more = f" and {len(rare) - 3:,} more" if len(rare) > 3 else ""
    return f"{where}values of {concept} in few cells only: {', '.join(shown)}{more}; look whether they are slips of the pen"


def _meant(word: str, often: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, often, n=1, cutoff=0.6)
    return f", like {near[0]!r}" if near else ""


def shown_word(word: str, group: Iterable[str]) -> str:
    """A word in quotes; with escapes where one of its group is not plain ASCII, so that the difference is visible."""
    text = repr(word) if all(other.isascii() for other in group) else ascii(word)
    text = re.sub(" {2,}", lambda blanks: "\\x20" * len(blanks[0]), text)  # several would be shown as one
    return text if len(text) <= 60 else text[:57] + "..." + text[0]


def is_filler(word: str) -> bool:
    """Whether a word is one of those that files use for "nothing here".

    >>> is_filler("N/A"), is_filler("none"), is_filler("red")
    (True, True, False)
    """
    text = text_form(word)
    return text in FILLERS or (bool(_NUMBER.fullmatch(text)) and _number_form(text) in FILLERS)


def _visible(character: str) -> bool:
    hidden = unicodedata.category(character) in ("Zs", "Zl", "Zp", "Cc", "Cf")
    return not hidden and character not in _BLANKS and not _ignored(character)


def _ignored(character: str) -> bool:
    """Variation selectors and joiners: they change no letter."""
    return "\ufe00" <= character <= "\ufe0f" or "\u180b" <= character <= "\u180f" or character == "\u034f"


def _plain_character(character: str) -> str:
    if character.isascii() and character.isprintable():
        return character
    category = unicodedata.category(character)
    if category in ("Zs", "Zl", "Zp", "Cc") or character in _BLANKS:
        return " "
    if category == "Cf" or _ignored(character):
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(character))
    return "-" if category == "Pd" or character == "\u2212" else character


def _number_form(text: str) -> str:
    """A number in its shortest spelling in single precision; one of half precision as that prints it."""
    if _WHOLE.fullmatch(text.removeprefix("+")):
        return text.removeprefix("+").lstrip("0") or "0"
    number = float(text)
    if not np.isfinite(number):
        return text
    if number.is_integer() and abs(number) < 2**53:
        return str(int(number))
    with np.errstate(over="ignore"):
        single = np.float32(number)
        half = np.float16(single)
    if not np.isfinite(single):
        return repr(number)
    return repr(float(str(half if half == single else single)))
