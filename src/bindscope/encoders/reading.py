"""What a model reads of texts: token ids, texts that are cut at its length, words that its tokenizer does not know."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bindscope.errors import StoreError


@dataclass(frozen=True)
class TextReading:
    """What a model reads of n texts.

    keys `[n]`: equal where the model gets the same. cut `[n]`: whether the end of a text is lost. limit: longest text, in
    tokens or words. unknown `[n]`: the words of each that the tokenizer does not know.
    """

    keys: tuple[Hashable, ...]
    cut: tuple[bool, ...] = ()
    limit: int | None = None
    unknown: tuple[tuple[str, ...], ...] = ()


def read_by_tokenizer(tokenizer: Any, texts: Sequence[str], limit: int | None) -> TextReading:
    """What a tokenizer of the library transformers (or tokenizers) makes of texts, of which a model reads `limit` tokens."""
    different = list(dict.fromkeys(texts))
    encode = _encodings if hasattr(tokenizer, "encode_batch") else _batch_encodings
    found = dict(zip(different, encode(tokenizer, different), strict=True))
    rows = [found[text] for text in texts]
    kept = [_shortened(ids, limit, tokenizer) for ids, _ in rows]
    cut = tuple(limit is not None and len(ids) > limit for ids, _ in rows)
    return TextReading(tuple(kept), cut, limit, tuple(words for _, words in rows))


def refuse_without_files(tokenizer: Any, directory: Path, name: str) -> None:
    """Raise StoreError where a directory holds none of the files that its tokenizer's words come from.

    The library makes an empty tokenizer then, to which all texts are one.
    """
    wanted = set(getattr(type(tokenizer), "vocab_files_names", {}).values())
    if not wanted or not directory.is_dir():
        return
    there = {file.name for file in directory.rglob("*")}  # routes of a model lie in folders of their own
    if not there & {*wanted, "tokenizer.json", "tekken.json"} and not any(n.endswith(".tiktoken") for n in there):
        raise StoreError(
            f"{name}: {directory} has no tokenizer files ({', '.join(sorted({*wanted, 'tokenizer.json'}))}); put those that "
            "the model was trained with into the directory"
        )


def _batch_encodings(tokenizer: Any, texts: list[str]) -> list[tuple[tuple[int, ...], tuple[str, ...]]]:
    """Token ids and unknown words of each text, by a tokenizer of transformers."""
    if not texts:
        return []
    fast = bool(getattr(tokenizer, "is_fast", False))
    found = tokenizer(texts, truncation=False, padding=False, verbose=False, return_offsets_mapping=fast)
    marks = [getattr(tokenizer, f"{role}_token_id", None) for role in ("unk", "bos", "eos", "pad")]
    unknown = None if marks[0] in marks[1:] else marks[0]  # CLIP's end token doubles as a word that never comes up
    spans = found["offset_mapping"] if fast else [None] * len(texts)
    return [
        (tuple(ids), _unknown_words(text, ids, places, unknown))
        for text, ids, places in zip(texts, found["input_ids"], spans, strict=True)
    ]


def _encodings(tokenizer: Any, texts: list[str]) -> list[tuple[tuple[int, ...], tuple[str, ...]]]:
    """The same, by a tokenizer of the library tokenizers, as models of mere word vectors have it."""
    model = getattr(tokenizer, "model", None)
    unknown = tokenizer.token_to_id(str(getattr(model, "unk_token", None) or "[UNK]"))
    return [
        (tuple(found.ids), _unknown_words(text, found.ids, found.offsets, unknown))
        for text, found in zip(texts, tokenizer.encode_batch(texts, add_special_tokens=False), strict=True)
    ]


def _unknown_words(
    text: str, ids: Sequence[int], places: Sequence[tuple[int, int]] | None, unknown: int | None
) -> tuple[str, ...]:
    if unknown is None or unknown not in ids:
        return ()
    if places is None:
        return ("?",)
    spans = (text[start:stop].strip() for (start, stop), one in zip(places, ids, strict=True) if one == unknown)
    return tuple(word for word in spans if word)


def _shortened(ids: tuple[int, ...], limit: int | None, tokenizer: Any) -> tuple[int, ...]:
    """The ids that a model reads of a text that is too long; an end token takes the last place in either case."""
    if limit is None or len(ids) <= limit:
        return ids
    return ids[-limit:] if getattr(tokenizer, "truncation_side", "right") == "left" else (*ids[: limit - 1], ids[-1])
