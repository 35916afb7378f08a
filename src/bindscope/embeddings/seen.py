"""What the model really saw: input that was cut, equal, unknown, turned or cropped before it, counted and said.

The counts come from a pass of their own over items and files, so they are the same whether vectors were made or came out
of the cache. They stand in `Embeddings.seen` and in a run's config.json.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from bindscope.datasets.items import Dataset, Items
from bindscope.datasets.wording import Captions
from bindscope.embeddings.artefact import Queries
from bindscope.encoders.base import Encoder, Vectors, checked_vectors
from bindscope.encoders.pictures import picture_facts
from bindscope.encoders.reading import TextReading
from bindscope.errors import VectorsError

MAX_WORDS = 8  # unknown words that are named
SAME = 1e-6  # difference of equal vectors, relative to the largest number: rounding of single precision
UNSTEADY = 1e-3  # relative difference of a row's vectors from which the encoder is told to depend on more than the row
HALF = 3e-2  # the same for numbers of 16 bit

Seen = dict[str, Any]


def look(
    encoder: Encoder, dataset: Dataset, vectors: Vectors, queries: Queries | None, captions: Captions | None = None
) -> Seen:
    """Counts over scenes, queries, captions and pictures; raises VectorsError where all inputs give one vector."""
    scenes = _scene_counts(encoder, dataset, vectors)
    asked = _query_counts(encoder, dataset, queries)
    if _reads(encoder):
        _refuse_one_vector(encoder, dataset, vectors, queries)
    found: Seen = {"scenes": scenes, "queries": asked, "remarks": encoder.remarks()}
    if captions is not None and _reads(encoder):
        found["captions"] = _text_counts(encoder.text_reading(captions.items), len(captions.items))
    if dataset.items.images is not None and _reads(encoder):
        found["pictures"] = _picture_counts(encoder, dataset.items)
    if "score_function" in found["remarks"] and _equal_length(vectors):
        del found["remarks"]["score_function"]  # of vectors of one length all these functions rank alike
    return found


def look_at_items(encoder: Encoder, items: Items, what: str) -> Seen:
    """Counts over captions (`what` is "captions") or pictures alone, with no scenes behind them."""
    if what == "captions":
        return {"captions": _text_counts(encoder.text_reading(items), len(items))}
    return {"pictures": _picture_counts(encoder, items), "remarks": encoder.remarks()}


def _reads(encoder: Encoder) -> bool:
    """Whether vectors are made here from what the items show."""
    return encoder.reads_inputs and not encoder.precomputed


def _scene_counts(encoder: Encoder, dataset: Dataset, vectors: Vectors) -> Seen:
    items = dataset.items
    if not encoder.reads_inputs:
        return {"rows": len(items)}
    reading = encoder.text_reading(items)
    keys: Sequence[Hashable] | None = reading.keys if reading is not None else None
    if keys is None and _reads(encoder) and items.images is None:
        keys = items.texts
    shown = [row.tobytes() for row in items.values]
    objects = [row.tobytes() for row in np.sort(dataset.table.object_ids, axis=1)]
    return {
        **_text_counts(reading, len(items)),
        "same_input": _shared(keys, shown) if keys is not None else 0,
        "same_vector": 0 if _all_equal(vectors) else _shared(_vector_groups(vectors), objects),
    }


def _query_counts(encoder: Encoder, dataset: Dataset, queries: Queries | None) -> Seen:
    every = (dataset.object_queries, *dataset.value_queries)
    total = sum(map(len, every))
    if queries is None or not encoder.reads_inputs:
        return {"rows": total if queries is not None else 0}
    readings = [encoder.text_reading(items) for items in every]
    keys = [items.texts if reading is None else reading.keys for items, reading in zip(every, readings, strict=True)]
    groups = [_vector_groups(found) for found in (queries.objects, *queries.values)]
    return {
        **_text_counts(_joined([reading for reading in readings if reading is not None]), total),
        "same_input": sum(_shared(group, range(len(group))) for group in keys if group is not None),
        "same_vector": sum(_shared(group, range(len(group))) for group in groups),
    }


def _joined(readings: Sequence[TextReading]) -> TextReading | None:
    if not readings:
        return None
    parts = [tuple(chain.from_iterable(getattr(one, name) for one in readings)) for name in ("keys", "cut", "unknown")]
    return TextReading(parts[0], parts[1], readings[0].limit, parts[2])


def _text_counts(reading: TextReading | None, rows: int) -> Seen:
    if reading is None:
        return {"rows": rows}
    words = dict.fromkeys(word for some in reading.unknown for word in some)
    return {
        "rows": rows,
        "cut": sum(reading.cut),
        "limit": reading.limit,
        "unknown": sum(bool(some) for some in reading.unknown),
        "words": list(words)[:MAX_WORDS],
        "more_words": max(len(words) - MAX_WORDS, 0),
    }


def _shared(keys: Sequence[Hashable], shown: Iterable[Hashable]) -> int:
    """Rows whose key another row has that shows something else."""
    groups: dict[Hashable, dict[Hashable, int]] = defaultdict(lambda: defaultdict(int))
    for key, what in zip(keys, shown, strict=True):
        groups[key][what] += 1
    return sum(sum(group.values()) for group in groups.values() if len(group) > 1)


def _vector_groups(vectors: Vectors) -> list[int]:
    """A number for each row, the same for rows that are equal up to rounding.

    Equal rows are neighbours in the order of a projection; only neighbours are compared. O(n d).
    """
    if not len(vectors):
        return []
    direction = np.random.default_rng(0).normal(size=vectors.shape[1])
    order = np.argsort(vectors @ direction, kind="stable")
    ordered = vectors[order]
    far = np.abs(np.diff(ordered, axis=0)).max(axis=1, initial=0.0) > _rounding(vectors)
    groups = np.empty(len(vectors), dtype=np.int64)
    groups[order] = np.concatenate([[0], np.cumsum(far)])
    return [int(group) for group in groups]


def _rounding(vectors: Vectors) -> float:
    return SAME * float(np.abs(vectors).max(initial=0.0))


def _equal_length(vectors: Vectors) -> bool:
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    return float(np.ptp(lengths)) <= 1e-3 * float(lengths.mean())


def _refuse_one_vector(encoder: Encoder, dataset: Dataset, vectors: Vectors, queries: Queries | None) -> None:
    ids = dataset.table.object_ids
    if len(vectors) > 1 and (ids != ids[0]).any() and _all_equal(vectors):
        raise VectorsError(
            f"the embeddings do not vary: all {len(vectors)} vectors are equal; check the encoder and its input"
        )
    if queries is not None and len(queries.objects) > 1 and _all_equal(queries.objects):
        raise VectorsError(
            f"{encoder.name} gives one vector for all {len(queries.objects)} object queries, such as "
            f"{_first_texts(dataset.object_queries)}; check its tokenizer and its weights"
        )


def _all_equal(vectors: Vectors) -> bool:
    return bool((np.abs(vectors - vectors[0]).max(initial=0.0)) <= _rounding(vectors))


def _first_texts(items: Items) -> str:
    return " and ".join(repr(text) for text in (items.texts or ())[:2]) or "the first two"


def _picture_counts(encoder: Encoder, items: Items) -> Seen:
    facts = [picture_facts(path) for path in items.images or ()]
    crop = encoder.crop()
    lost = np.array([(0.0, 0.0) if crop is None else crop.lost(one.width, one.height) for one in facts]).reshape(-1, 2)
    depths = [one.depth for one in facts if one.depth]
    return {
        "files": len(facts),
        "opened_by": "the encoder" if encoder.opens_files else "bindscope",
        "cropped": int((lost.max(axis=1, initial=0.0) > 0.005).sum()),
        "width_lost": round(float(lost[:, 0].max(initial=0.0)), 3),
        "height_lost": round(float(lost[:, 1].max(initial=0.0)), 3),
        "turned": sum(one.turned for one in facts),
        "depth": {name: depths.count(name) for name in sorted(set(depths))},
        "transparent": sum(one.transparent for one in facts),
        "animated": sum(one.animated for one in facts),
    }


class Witnesses:
    """A few rows of a data set, encoded before all others, that show whether vectors depend on more than their row.

    gaps: by how much they do, by the word of a sentence in `sentences`; only what is beyond rounding.
    """

    def __init__(self, encoder: Encoder, items: Items, fidelity: Mapping[str, Any]) -> None:
        self.name = encoder.name
        self.rows = sorted({0, len(items) // 2, len(items) - 1})
        self.few = items.take(self.rows)
        self.bound = HALF if "16" in str(fidelity.get("dtype", "")) else UNSTEADY
        self.gaps: dict[str, float] = {}
        self.vectors = self._encoded(encoder, list(range(len(self.rows))))

    def _encoded(self, encoder: Encoder, order: list[int]) -> Vectors:
        found = checked_vectors(encoder.encode(self.few.take(order)), len(order), self.name)
        return same_width(found, getattr(self, "vectors", found).shape[1], self.name)

    def fingerprint(self) -> str:
        """sha256 of the vectors, rounded to 1e-4 of their largest number."""
        scale = max(float(np.abs(self.vectors).max()), 1e-30)
        steps = np.rint(self.vectors / scale * 1e4).astype("<i4")
        return hashlib.sha256(repr(steps.shape).encode() + steps.tobytes()).hexdigest()

    def ask_again(self, encoder: Encoder) -> None:
        """Encode the rows once more, in reverse order, and each alone."""
        order = list(range(len(self.rows)))
        self._note("again", self.vectors, self._encoded(encoder, order))
        self._note("order", self.vectors, self._encoded(encoder, order[::-1])[::-1])
        self._note("alone", self.vectors, np.concatenate([self._encoded(encoder, [i]) for i in order]))

    def compare(self, start: int, part: Vectors) -> None:
        """Hold the vectors of a block of the run, which starts at row `start`, against those of its witnesses."""
        same_width(part, self.vectors.shape[1], self.name)
        inside = [i for i, row in enumerate(self.rows) if start <= row < start + len(part)]
        if inside:
            self._note("batch", self.vectors[inside], part[[self.rows[i] - start for i in inside]])

    def _note(self, name: str, one: Vectors, other: Vectors) -> None:
        gap = apart(one, other)
        if gap > max(self.bound, self.gaps.get(name, 0.0)):
            self.gaps[name] = gap


def same_width(vectors: Vectors, width: int, label: str) -> Vectors:
    """The vectors; raises VectorsError where they have other dimensions than those before them."""
    if vectors.shape[1] != width:
        raise VectorsError(f"{label}: vectors of {width} and of {vectors.shape[1]} dimensions in one data set")
    return vectors


def apart(one: Vectors, other: Vectors) -> float:
    """Largest distance of two vectors of one row, as a share of the largest length."""
    scale = float(np.linalg.norm(one, axis=1).max(initial=0.0))
    gap = float(np.linalg.norm(one.astype(np.float64) - other, axis=1).max(initial=0.0))
    return gap / scale if scale else gap


def sentences(seen: Mapping[str, Any]) -> list[str]:
    """One sentence for each count that is not zero."""
    return [
        *_unsteady_lines(seen.get("unsteady", {})),
        *_text_lines(seen.get("scenes", {}), "scenes"),
        *_text_lines(seen.get("queries", {}), "queries"),
        *_text_lines(seen.get("captions", {}), "captions"),
        *_picture_lines(seen.get("pictures", {})),
        *seen.get("remarks", {}).values(),
    ]


def _text_lines(counts: Mapping[str, Any], what: str) -> Iterator[str]:
    rows = f"of {counts.get('rows', 0):,} {what}"
    if counts.get("cut"):
        yield f"{counts['cut']:,} {rows} are longer than {counts['limit']} tokens and lose their end; use shorter captions"
    if counts.get("unknown"):
        named = ", ".join(counts["words"]) + (f" and {counts['more_words']} more" if counts.get("more_words") else "")
        yield f"{counts['unknown']:,} {rows} hold words that the tokenizer does not know: {named}"
    other = "another query of its kind" if what == "queries" else "a scene that shows something else"
    if counts.get("same_input"):
        yield f"{counts['same_input']:,} {rows} have the same text, or the same tokens, as {other}"
    elif counts.get("same_vector"):
        other = other if what == "queries" else "a scene of other objects"
        yield f"{counts['same_vector']:,} {rows} have the same vector as {other}"


def _picture_lines(counts: Mapping[str, Any]) -> Iterator[str]:
    own = "the encoder opens the files itself, so see that it does the same as a viewer"
    ours = counts.get("opened_by") != "the encoder"
    of = f"of {counts.get('files', 0):,} pictures"
    if counts.get("cropped"):
        sides = ((counts[f"{side}_lost"], side) for side in ("width", "height"))
        lost = " and ".join(f"{100 * share:.0f} % of their {side}" for share, side in sides if share > 0.005)
        yield f"{counts['cropped']:,} {of} lose up to {lost} to the model's centre crop; objects at the rim are not seen"
    if counts.get("turned"):
        yield f"{counts['turned']:,} {of} are turned by their EXIF tag; {'the turn was applied' if ours else own}"
    for depth, number in counts.get("depth", {}).items():
        yield f"{number:,} {of} have pixels of {depth}; {'they were scaled to 8 bit' if ours else own}"
    if counts.get("transparent"):
        yield f"{counts['transparent']:,} {of} have transparent pixels; {'they were put over white' if ours else own}"
    if counts.get("animated"):
        yield f"{counts['animated']:,} {of} have several frames; {'the first was taken' if ours else own}"


def _unsteady_lines(gaps: Mapping[str, float]) -> Iterator[str]:
    words = {
        "again": "encoded twice, the same scenes get other vectors: chance is at work (dropout, a model in training mode)",
        "order": "vectors depend on the order of the rows: the encoder may give them back in another order",
        "alone": "vectors depend on what else is in the batch",
        "batch": "vectors of the whole run differ from those of a few of its rows alone: they depend on the batch",
    }
    for name, text in words.items():
        if name in gaps:
            yield f"{text}; off by up to {gaps[name]:.2g} of their length, so no figure can be trusted; mend the encoder"
