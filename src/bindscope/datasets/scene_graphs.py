"""`graph:FILE`: scene graphs of photographs as scenes of factors.

Read are Visual Genome (a list of images with `objects`, or with `attributes`: names, attributes, x, y, w, h), GQA (an object
from image id to `objects` by id: name, attributes, x, y, w, h) and CLEVR's scenes.json (`scenes` of objects with shape, color,
material, size, pixel_coords). Every scene becomes m objects in slots by place; an object is its name and one or two attributes.

1. Words: lower case, blanks and underscores as one blank, then the table of synonyms (`?synonyms=`, word to word) where given.
2. Vocabulary: the `?names=` most frequent names and, for each attribute concept, the `?values=` most frequent words, counted
   over all objects. An object with several words of a concept has the most frequent one.
3. Attribute concepts (`?attributes=`, one or two): `any`, or a group of the lists below (`color`, `material`, `size`), or
   `other`, whatever is in none of them.
4. Of the objects that have all their words in the vocabulary the m largest (or most central, `?by=central`) are taken, each
   kind once, and put into slots from left to right (or from top to bottom, `?place=y`).

Whatever is left out is counted in the notes. Such tables are incomplete and unbalanced by nature: least squares is right on
them, averages are not, and the audit says what they cannot identify.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.concepts import ConceptSpace
from bindscope.datasets.captions import default_templates, phrases_of
from bindscope.datasets.clevr import clevr_scenes
from bindscope.datasets.images.vocabulary import worded_queries
from bindscope.datasets.items import Dataset, Items
from bindscope.datasets.pair_layouts import image_places
from bindscope.errors import InputError, StoreError, TableError
from bindscope.names import Option, read_options, split_options
from bindscope.scenes import SceneTable

OPTIONS = {
    "m": Option(2, int, 1, 3),
    "names": Option(40, int, 2, 1000),
    "values": Option(20, int, 2, 1000),
    "attributes": Option(None),
    "by": Option("largest", choices=("largest", "central")),
    "place": Option("x", choices=("x", "y")),
    "synonyms": Option(None),
    "images": Option(None),
    "text": Option(False, bool),
}
GRAPH_WORDS = {
    "?m=2": "objects in a scene, 1 to 3",
    "?names=40": "size of the vocabulary of names, by frequency",
    "?values=20": "size of the vocabulary of each attribute concept, by frequency",
    "?attributes=any": "one or two attribute concepts: any, color, material, size, other (color for CLEVR)",
    "?by=largest": "which objects are taken: the largest or the most central",
    "?place=x": "slots from left to right (x) or from top to bottom (y)",
    "?synonyms=FILE": "JSON object or two columns of CSV, word to word",
    "?images=DIR": "directory of the photographs, for models that see",
    "?text=true": "captions made of the objects, for models that read (false)",
}
SLOTS = {"x": ("left", "middle", "right"), "y": ("top", "middle", "bottom")}
GROUPS = {
    "color": frozenset(
        """red orange yellow green blue purple violet pink brown black white grey gray gold golden silver beige tan teal
        turquoise cyan magenta maroon cream blonde blond""".split()
    ),
    "material": frozenset(
        """wood wooden metal metallic plastic glass leather stone brick concrete paper cotton rubber steel iron ceramic cloth
        fabric porcelain wicker tin marble cardboard denim""".split()
    ),
    "size": frozenset("big large huge giant small little tiny tall short long wide narrow thick thin medium".split()),
}
Notes = Counter[str]


@dataclass(frozen=True)
class Thing:
    """One object of a graph: its name, its attribute words with the concept that the file gives them (None: none), its area
    and the middle of its box."""

    name: str
    words: tuple[tuple[str, str | None], ...]
    area: float
    x: float
    y: float


@dataclass(frozen=True)
class Graph:
    """One picture: what it is called, its size where known, its objects."""

    image: str
    size: tuple[float, float] | None
    things: tuple[Thing, ...]


def load_graph(rest: str, name: str) -> Dataset:
    """The data set of `FILE?options`; raises StoreError or TableError in one line for a file that is no scene graph."""
    place, query = split_options(rest)
    options = read_options(query, OPTIONS, "graph:")
    if not place:
        raise InputError("graph: needs a file of scene graphs, e.g. graph:scene_graphs.json")
    if options["images"] is not None and options["text"]:
        raise InputError("graph: shows pictures or captions; give one of ?images= and ?text=")
    out: Notes = Counter()
    kind, graphs = read_graphs(Path(place).expanduser(), out)
    concepts = _attribute_concepts(options["attributes"], kind)
    synonyms = _synonyms(options["synonyms"])
    graphs = [_renamed(graph, synonyms) for graph in graphs]
    vocabulary = _vocabulary(graphs, concepts, options)
    chosen = [_chosen(graph, vocabulary, options, out) for graph in graphs]
    rows = [(graph, found) for graph, found in zip(graphs, chosen, strict=True) if found is not None]
    if not rows:
        raise TableError(
            f"{place}: none of its {len(graphs)} pictures has {options['m']} different objects with a frequent name and "
            f"{' and '.join(concepts)}; give more ?names= and ?values=, or ?m=1"
        )
    return _dataset(name, kind, rows, ("name", *concepts), options, out, len(graphs))


def read_graphs(path: Path, out: Notes) -> tuple[str, list[Graph]]:
    """The layout (`visual genome`, `gqa`, `clevr`) and the pictures of a file; objects that cannot be used are counted."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} is not JSON in UTF-8 ({str(error)[:80]}); mend or export it again") from error
    if clevr_scenes(path) is not None:
        return "clevr", [_clevr(scene, out) for scene in content["scenes"]]
    if isinstance(content, list) and content and all(isinstance(one, dict) for one in content):
        key = "objects" if any("objects" in one for one in content) else "attributes"
        if any(isinstance(one.get(key), list) for one in content):
            return "visual genome", [_genome(one, key, out) for one in content]
    pictures = list(content.values()) if isinstance(content, dict) else []
    if all(isinstance(one, dict) for one in pictures) and any(isinstance(o.get("objects"), dict) for o in pictures):
        return "gqa", [_gqa(key, one, out) for key, one in content.items()]
    raise TableError(
        f"{path} is no scene graph; known: Visual Genome (a list of images with objects), GQA (an object from image id to "
        "objects), CLEVR (scenes of objects)"
    )


def _genome(image: Mapping[str, Any], key: str, out: Notes) -> Graph:
    given = image.get(key)
    things = [_boxed(one, _first(one.get("names", one.get("name"))), out) for one in _records(given, out)]
    return Graph(str(image.get("image_id", image.get("id", ""))), None, tuple(one for one in things if one is not None))


def _gqa(key: str, image: Mapping[str, Any], out: Notes) -> Graph:
    objects = image.get("objects")
    given = list(objects.values()) if isinstance(objects, dict) else None
    things = [_boxed(one, one.get("name"), out) for one in _records(given, out)]
    width, height = _number(image.get("width")), _number(image.get("height"))
    size = None if width is None or height is None else (width, height)
    return Graph(str(key), size, tuple(one for one in things if one is not None))


def _clevr(scene: Mapping[str, Any], out: Notes) -> Graph:
    """Pixels say the place; a near object and a large one count as larger, as they cover more of the picture."""
    things = []
    for one in _records(scene["objects"], out):
        pixels = one.get("pixel_coords")
        place = [_number(x) for x in pixels[:3]] if isinstance(pixels, list) and len(pixels) > 1 else []
        name = one.get("shape")
        if not isinstance(name, str) or len(place) < 2 or place[0] is None or place[1] is None:
            out["objects without a shape or a place"] += 1
            continue
        depth = place[2] if len(place) > 2 and place[2] else 1.0
        area = (2.0 if one.get("size") == "large" else 1.0) / max(depth, 1e-6) ** 2
        words = tuple((str(one[key]), key) for key in ("color", "material", "size") if one.get(key))
        things.append(Thing(name, words, area, place[0], place[1]))
    return Graph(str(scene.get("image_filename", "")), (480.0, 320.0), tuple(things))


def _records(given: Any, out: Notes) -> Iterator[Mapping[str, Any]]:
    """Those entries of a list that are objects; all else is counted."""
    if not isinstance(given, list):
        out["pictures without objects"] += 1
        return
    for one in given:
        if isinstance(one, dict):
            yield one
        else:
            out["objects that are no records"] += 1


def _boxed(one: Mapping[str, Any], name: Any, out: Notes) -> Thing | None:
    if not isinstance(name, str) or not name.strip():
        out["objects without a name"] += 1
        return None
    box = [
        _number(one.get(key, one.get(other)))
        for key, other in (("x", "x"), ("y", "y"), ("w", "width"), ("h", "height"))
    ]
    x, y, w, h = box
    if x is None or y is None or w is None or h is None or w <= 0 or h <= 0:
        out["objects without a box"] += 1
        return None
    given = one.get("attributes")
    words = tuple((word, None) for word in given if isinstance(word, str)) if isinstance(given, list) else ()
    return Thing(name, words, w * h, x + w / 2, y + h / 2)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < 1e9 else None


def _attribute_concepts(given: str | None, kind: str) -> tuple[str, ...]:
    words = [word.strip() for word in (given or ("color" if kind == "clevr" else "any")).split(",") if word.strip()]
    known = ("any", *GROUPS, "other")
    unknown = [word for word in words if word not in known]
    if unknown or not 1 <= len(words) <= 2 or len(set(words)) < len(words) or ("any" in words and len(words) > 1):
        raise InputError(
            f"graph: attributes must be one of {', '.join(known)}, or two of them (any only alone), got {given!r}"
        )
    return tuple(words)


def _synonyms(path: str | None) -> dict[str, str]:
    """Word to word, followed to its end; a circle is refused."""
    if path is None:
        return {}
    pairs = _synonym_pairs(Path(path).expanduser())
    table = {plain(word): plain(other) for word, other in pairs}
    for word in table:
        seen = {word}
        while table[word] in table and table[word] != word:
            table[word] = table[table[word]]
            if table[word] in seen:
                raise TableError(f"{path}: the synonyms of {word!r} run in a circle")
            seen.add(table[word])
    return table


def _synonym_pairs(file: Path) -> list[tuple[str, str]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {file}: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}") from error
    if file.suffix.lower() == ".json":
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise StoreError(f"{file} is not JSON ({str(error)[:80]})") from error
        if not isinstance(content, dict) or not all(isinstance(word, str) for word in content.values()):
            raise TableError(f"{file}: expected an object from word to word")
        return list(content.items())
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    if any(len(row) != 2 for row in rows):
        raise TableError(f"{file}: expected two columns, a word and what it is merged into")
    return [(row[0], row[1]) for row in rows]


def plain(word: str) -> str:
    """The spelling in which words of a graph are compared.

    >>> plain(" Traffic_Light ")
    'traffic light'
    """
    return " ".join(word.replace("_", " ").lower().split())


def _renamed(graph: Graph, synonyms: Mapping[str, str]) -> Graph:
    def known(word: str) -> str:
        said = plain(word)
        return synonyms.get(said, said)

    things = tuple(
        replace(one, name=known(one.name), words=tuple((known(word), group) for word, group in one.words))
        for one in graph.things
    )
    return replace(graph, things=things)


def _vocabulary(graphs: Sequence[Graph], concepts: Sequence[str], options: Mapping[str, Any]) -> list[dict[str, int]]:
    """For the name and each attribute concept: the words that are kept, each with its place by frequency."""
    counts: list[Counter[str]] = [Counter() for _ in range(1 + len(concepts))]
    for graph in graphs:
        for one in graph.things:
            counts[0][one.name] += 1
            for k, concept in enumerate(concepts, 1):
                counts[k].update({word for word, group in one.words if _belongs(word, group, concept)})
    sizes = [options["names"], *[options["values"]] * len(concepts)]
    return [
        {word: i for i, (word, _) in enumerate(sorted(count.items(), key=lambda kv: (-kv[1], kv[0]))[:size])}
        for count, size in zip(counts, sizes, strict=True)
    ]


def _belongs(word: str, group: str | None, concept: str) -> bool:
    if not word:
        return False
    if concept == "any":
        return True
    own = group or next((name for name, words in GROUPS.items() if word in words), "other")
    return own == concept


def _chosen(
    graph: Graph, vocabulary: Sequence[Mapping[str, int]], options: Mapping[str, Any], out: Notes
) -> list[tuple[str, ...]] | None:
    """Words of the m objects of a picture in the order of their slots; None where it has fewer."""
    usable = [(one, said) for one in graph.things if (said := _said(one, vocabulary, options, out)) is not None]
    ranked = sorted(usable, key=lambda pair: _rank(pair[0], graph, options["by"]))
    kept: dict[tuple[str, ...], Thing] = {}
    for one, said in ranked:
        if said in kept:
            out["objects of a kind that its picture has already"] += 1
        elif len(kept) == options["m"]:
            out[f"objects beyond the {options['m']} {'largest' if options['by'] == 'largest' else 'most central'}"] += 1
        else:
            kept[said] = one
    if len(kept) < options["m"]:
        out[f"pictures with fewer than {options['m']} usable objects"] += 1
        return None
    across = options["place"] == "x"
    placed = sorted((one.x, one.y, said) if across else (one.y, one.x, said) for said, one in kept.items())
    return [said for _, _, said in placed]


def _said(
    one: Thing, vocabulary: Sequence[Mapping[str, int]], options: Mapping[str, Any], out: Notes
) -> tuple[str, ...] | None:
    """Name and attributes of an object, if all are in the vocabulary."""
    if one.name not in vocabulary[0]:
        out["objects with a rare name"] += 1
        return None
    said = [one.name]
    for known in vocabulary[1:]:
        words = [word for word, _ in one.words if word in known]
        if not words:
            out["objects without a frequent attribute"] += 1
            return None
        said.append(min(words, key=lambda word: known[word]))
    return tuple(said)


def _rank(one: Thing, graph: Graph, by: str) -> float:
    """Smaller is taken first."""
    if by == "largest":
        return -one.area
    width, height = graph.size or (
        2.0 * max(t.x for t in graph.things) or 1.0,
        2.0 * max(t.y for t in graph.things) or 1.0,
    )
    return (one.x / width - 0.5) ** 2 + (one.y / height - 0.5) ** 2


def _dataset(
    name: str,
    kind: str,
    rows: Sequence[tuple[Graph, list[tuple[str, ...]]]],
    concepts: Sequence[str],
    options: Mapping[str, Any],
    out: Notes,
    total: int,
) -> Dataset:
    named = [("attribute" if concept == "any" else concept) for concept in concepts]
    order = [*range(1, len(named)), 0]  # attributes before the name, as one says them
    values = [sorted({said[k] for _, scene in rows for said in scene}) for k in order]
    for k, found in zip(order, values, strict=True):
        if len(found) < 2:
            raise TableError(
                f"{name}: {named[k]} has one value only ({found[0]}); give more ?values= or another concept"
            )
    space = ConceptSpace.of([(named[k], found) for k, found in zip(order, values, strict=True)])
    place = [{word: i for i, word in enumerate(found)} for found in values]
    cells = np.array(
        [[[place[i][said[k]] for i, k in enumerate(order)] for said in scene] for _, scene in rows], dtype=np.int64
    )
    table = SceneTable.build(space, cells)
    images, rows_kept, notes = _pictures(rows, options, out)
    table = table.take(rows_kept)
    objects, queries = worded_queries(table)
    texts = _captions(table) if options["text"] else None
    items = Items(table.values, np.arange(len(table)), "scene", texts, images)
    modality = "text" if texts is not None else "image" if images is not None else "labels"
    said = (f"{len(table):,} of {total:,} pictures of {kind} as scenes", *notes, *_left_out(out), *_unbalanced(table))
    slots = _slots(options["place"], options["m"])
    return Dataset(name, modality, table, items, objects, queries, dict(options), slots=slots, notes=said)


def _slots(place: str, m: int) -> tuple[str, ...]:
    names = SLOTS[place]
    return {1: (), 2: (names[0], names[2]), 3: names}[m]


def _pictures(
    rows: Sequence[tuple[Graph, Any]], options: Mapping[str, Any], out: Notes
) -> tuple[tuple[Path, ...] | None, Any, tuple[str, ...]]:
    """Paths of the photographs, the rows that have one, and how many have none."""
    every = np.arange(len(rows))
    if options["images"] is None:
        return None, every, ()
    folder = Path(options["images"]).expanduser()
    if not folder.is_dir():
        raise StoreError(f"{folder} is no directory; ?images= takes the directory of the photographs")
    found = [next((p for p in image_places(graph.image, folder) if p.is_file()), None) for graph, _ in rows]
    there = np.array([i for i, path in enumerate(found) if path is not None], dtype=np.int64)
    if not len(there):
        raise StoreError(f"{folder} holds none of the {len(rows)} photographs, such as {rows[0][0].image}.jpg")
    missing = [graph.image for (graph, _), path in zip(rows, found, strict=True) if path is None]
    note = (f"{len(missing):,} pictures without a file in ?images=, left out ({', '.join(missing[:5])})",)
    return tuple(path for path in found if path is not None), there, note if missing else ()


def _captions(table: SceneTable) -> tuple[str, ...]:
    values = [concept.values for concept in table.space.concepts]
    pattern = " ".join(f"{{{word}}}" for word in table.space.names)
    phrases = phrases_of(pattern, table.space.names, values, table.candidate_values)
    return default_templates(table.n_slots, 1)[0].fill_codes(table.object_codes, phrases)


def _left_out(out: Notes) -> list[str]:
    return [f"left out: {count:,} {what}" for what, count in sorted(out.items(), key=lambda kv: -kv[1])]


def _unbalanced(table: SceneTable) -> list[str]:
    """How unequal the table is, and what follows."""
    counts = np.bincount(table.object_codes[table.present], minlength=table.n_objects)
    once = int((counts == 1).sum())
    share = 100.0 * table.n_objects / table.space.n_objects
    found = [
        f"the table shows {table.n_objects:,} of {table.space.n_objects:,} possible objects ({share:.0f} %), the most frequent "
        f"{int(counts.max()):,} times and the median one {int(np.median(counts)):,} times: averages are biased on it, least "
        "squares is not"
    ]
    if once:
        found.append(
            f"{once:,} objects occur once: what sets them apart from their values cannot be told from the rest of that scene"
        )
    return found
