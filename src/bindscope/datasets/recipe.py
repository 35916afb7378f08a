"""`text:AxB`, captions of the built-in word lists, and `text:FILE.yaml`, recipe files with one's own words.

A recipe file holds:

    concepts:                     # order matters; the last one runs fastest
      size: [small, large]
      color: [red, blue]
      shape: [cube, ball]
    object: "{size} {color} {shape}"            # default: the values joined by blanks
    scene: "a {object} and a {object}"          # or templates: [...], one a replicate; default: the built-in wording
    query: "a {object}"                         # how to ask for an object
    value_query: "{value}"                      # or one a concept: {color: "something {value}"}
    single: "a {object}"                        # wording of one-object scenes, default: the query
    captions: ["it shows a {object} and a {object}"]           # other wordings, for the tests across two sides
    m: 2                                        # objects a scene, default: as many as the wording names, else 2
    same: false                                 # scenes that show one object twice
    singles: false                              # one-object scenes too
    article: false                              # a or an, by the next letter
    scenes: 5000                                # a seeded sample; default: all
    seed: 0
    keep_spellings: false                       # values that look alike (red, Red) are different ones
    objects: [{size: small, color: red, shape: cube}, ...]     # only these objects
    exclude: [{color: blue, shape: cube}, ...]                 # not these; a concept that is left out means any value

Options behind the file name (`?m=3&same=true`) go before those of the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

from bindscope.concepts import ConceptSpace, IntArray
from bindscope.datasets.captions import LEADS, Template, default_templates
from bindscope.datasets.designs import MAX_OBJECTS, MAX_ROWS
from bindscope.datasets.headers import refuse_reserved
from bindscope.datasets.items import Dataset
from bindscope.datasets.spellings import alike_note
from bindscope.datasets.text import TextScenes, build
from bindscope.errors import BindscopeError, InputError, StoreError, UnknownNameError
from bindscope.files import refuse_irregular
from bindscope.names import Option, read_options, split_options
from bindscope.streams import MAX_SEED

OPTIONS = {
    "m": Option(None, int, 1, 3),
    "same": Option(None, bool),
    "singles": Option(None, bool),
    "replicates": Option(None, int, 1),
    "article": Option(None, bool),
    "scenes": Option(None, int, 1, MAX_ROWS),
    "seed": Option(None, int, 0, MAX_SEED),
    "keep_spellings": Option(None, bool),
}


ADJECTIVES = tuple(
    "red blue green yellow purple orange pink brown gray black "
    "small large tiny round sharp rough bumpy smooth matte glossy".split()
)
NOUNS = tuple(
    "circle square triangle star heart spiral sphere cylinder cone pyramid "
    "car cat dog man woman tree flower rock bird fish".split()
)
WORD_OPTIONS = {
    "m": Option(2, int, 1, 3),
    "same": Option(False, bool),
    "singles": Option(False, bool),
    "replicates": Option(1, int, 1, len(LEADS)),
    "article": Option(False, bool),
    "bare": Option(False, bool),
    "scenes": Option(None, int, 1, MAX_ROWS),
    "seed": Option(0, int, 0, MAX_SEED),
}


def _refuse_other_than_text(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        raise ValueError("YAML reads this as no word; put it in quotes")
    if not isinstance(value, (str, list, dict)):
        raise ValueError("expected a word; put it in quotes")
    return value


Word = Annotated[StrictStr, BeforeValidator(_refuse_other_than_text)]
Cells = dict[Word, Word]


class Recipe(BaseModel):
    """The content of a recipe file."""

    model_config = ConfigDict(extra="forbid")

    concepts: Annotated[dict[Word, Annotated[list[Word], Field(min_length=1)]], Field(min_length=1)]
    object: StrictStr | None = None
    scene: StrictStr | None = None
    templates: Annotated[list[StrictStr], Field(min_length=1)] | None = None
    query: StrictStr = "a {object}"
    single: StrictStr | None = None
    value_query: StrictStr | dict[Word, StrictStr] = "{value}"
    captions: Annotated[list[StrictStr], Field(min_length=1)] | None = None
    m: Annotated[StrictInt, Field(ge=1, le=3)] | None = None
    same: StrictBool = False
    singles: StrictBool = False
    article: StrictBool = False
    replicates: Annotated[StrictInt, Field(ge=1)] | None = None
    scenes: Annotated[StrictInt, Field(ge=1, le=MAX_ROWS)] | None = None
    seed: Annotated[StrictInt, Field(ge=0, le=MAX_SEED)] = 0
    keep_spellings: StrictBool | None = None
    objects: Annotated[list[Cells], Field(min_length=1)] | None = None
    exclude: list[Cells] = []


def load_recipe(path: str, query: str, name: str) -> Dataset:
    """The captions of a recipe file with the options behind its name; errors name the file in one line."""
    given = {key: value for key, value in read_options(query, OPTIONS, "text:").items() if value is not None}
    content = _read_yaml(Path(path).expanduser())
    try:
        recipe = Recipe.model_validate({**content, **given})
        refuse_reserved(recipe.concepts, "concepts")
        notes = _spelling_notes(recipe)
        return replace(build(scenes_of(recipe), name), notes=tuple(f"{path}: {note}" for note in notes))
    except ValidationError as error:
        raise _first_error(path, error) from None
    except BindscopeError as error:
        raise InputError(f"{path}: {error}") from error


def _spelling_notes(recipe: Recipe) -> list[str]:
    keep = bool(recipe.keep_spellings)
    found = (alike_note(name, dict.fromkeys(values, 1), keep) for name, values in recipe.concepts.items())
    return [note for note in found if note]


def scenes_of(recipe: Recipe) -> TextScenes:
    """The specification that a recipe describes; raises InputError where its parts do not fit each other."""
    space = ConceptSpace.of((name, tuple(values)) for name, values in recipe.concepts.items())
    templates = _templates(recipe)
    phrase = recipe.object or " ".join(f"{{{name}}}" for name in space.names)
    _check_braces("object", phrase, space.names, dict.fromkeys(space.names, 1))
    return TextScenes(
        space,
        templates,
        phrase,
        query=_template("query", recipe.query, 1, recipe.article),
        value_queries=_value_queries(recipe, space),
        singles=_singles(recipe, templates),
        objects=_objects(recipe, space),
        same=recipe.same,
        sample=recipe.scenes,
        seed=recipe.seed,
        captions=_captions(recipe, templates[0].slots),
        options=recipe.model_dump(exclude_none=True),
    )


def _templates(recipe: Recipe) -> tuple[Template, ...]:
    if recipe.scene is not None and recipe.templates is not None:
        raise InputError("scene and templates are both given; keep one of them")
    given = recipe.templates or ([] if recipe.scene is None else [recipe.scene])
    if not given:
        return default_templates(recipe.m or 2, recipe.replicates or 1, recipe.article)
    if recipe.replicates is not None and recipe.replicates > len(given):
        raise InputError(f"replicates={recipe.replicates} asks for more wordings than the {len(given)} given templates")
    m = recipe.m or given[0].count("{object}")
    if m > 3:
        raise InputError(f"template {given[0]!r} names {m} objects; scenes have 1 to 3")
    return tuple(_template("template", text, m, recipe.article) for text in given[: recipe.replicates])


def _captions(recipe: Recipe, m: int) -> tuple[str, ...]:
    """Sentences of the second side: those given, else the templates that the scenes do not use, else the built-in ones."""
    spare = (recipe.templates or [])[recipe.replicates :] if recipe.replicates is not None else []
    given = spare if recipe.captions is None else recipe.captions
    return tuple(_template("caption", text, m, recipe.article).text for text in given)


def _template(key: str, text: str, slots: int, article: bool) -> Template:
    count = text.count("{object}")
    if count != slots or not slots:
        raise InputError(f"{key} {text!r} must hold {{object}} {max(slots, 1)} times, got {count}")
    _check_braces(key, text, ["object"], {"object": slots})
    return Template(text, article)


def _singles(recipe: Recipe, templates: Sequence[Template]) -> tuple[Template, ...]:
    if not recipe.singles:
        return ()
    if templates[0].slots == 1:
        raise InputError("singles adds one-object scenes, and these have one object already; leave singles out")
    built_in = recipe.single is None and recipe.scene is None and recipe.templates is None
    if built_in:
        return default_templates(1, len(templates), recipe.article)
    return (_template("single", recipe.single or recipe.query, 1, recipe.article),)


def _value_queries(recipe: Recipe, space: ConceptSpace) -> tuple[str, ...]:
    given = recipe.value_query
    patterns = dict.fromkeys(space.names, given) if isinstance(given, str) else {**given}
    for name in patterns:
        if name not in space.names:
            raise UnknownNameError("concept in value_query", name, space.names)
    found = tuple(patterns.get(name, "{value}") for name in space.names)
    for text in found:
        _check_braces("value_query", text, ["value"], {"value": 1})
    return found


def _check_braces(key: str, text: str, known: Sequence[str], counts: Mapping[str, int]) -> None:
    """Each name in braces is known and stands as often as it must, and no brace is left over."""
    names = re.findall(r"\{([^{}]*)\}", text)
    for name in names:
        if name not in known:
            raise UnknownNameError(f"name in the braces of {key}", name, known)
    if re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", text)):
        raise InputError(f"{key} {text!r} has a brace without its partner")
    for name, count in counts.items():
        if names.count(name) != count:
            raise InputError(f"{key} {text!r} must hold {{{name}}} once, got {names.count(name)} times")


def _objects(recipe: Recipe, space: ConceptSpace) -> IntArray | None:
    """Sorted ids of the objects that may occur; None for all."""
    if recipe.objects is None and not recipe.exclude:
        return None
    if recipe.objects is None:
        if space.n_objects > MAX_OBJECTS:
            raise InputError(f"exclude needs at most {MAX_OBJECTS:,} objects, the concepts give {space.n_objects:,}")
        ids = np.arange(space.n_objects, dtype=np.int64)
    else:
        ids = np.array([_object_id(space, cells) for cells in recipe.objects], dtype=np.int64)
    values = space.object_values(np.unique(ids))
    for cells in recipe.exclude:
        values = values[~_matches(space, values, cells)]
    if not len(values):
        raise InputError("objects and exclude leave no object; scenes need at least one")
    return space.object_ids(values)


def _object_id(space: ConceptSpace, cells: Mapping[str, str]) -> int:
    known = _indices(space, cells, "objects")
    missing = [name for name in space.names if name not in cells]
    if missing:
        raise InputError(f"an entry of objects has no {missing[0]}; give a value of each concept")
    return int(space.object_ids([known[k] for k in range(space.n_concepts)]))


def _matches(space: ConceptSpace, values: IntArray, cells: Mapping[str, str]) -> Any:
    wanted = _indices(space, cells, "exclude")
    if not wanted:
        raise InputError("an entry of exclude is empty; name the values that must not meet")
    return np.logical_and.reduce([values[:, k] == index for k, index in wanted.items()])


def _indices(space: ConceptSpace, cells: Mapping[str, str], key: str) -> dict[int, int]:
    for name in cells:
        if name not in space.names:
            raise UnknownNameError(f"concept in {key}", name, space.names)
    return {space.names.index(n): space.concepts[space.names.index(n)].index(value) for n, value in cells.items()}


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key given twice, which would silently lose the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = [key for key in keys if keys.count(key) > 1]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"key {twice[0]!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> dict[str, Any]:
    refuse_irregular(path)
    try:
        content = yaml.load(path.read_bytes(), _Loader)  # a SafeLoader
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" in line {error.problem_mark.line + 1}"
        raise InputError(f"{path}: not YAML{line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML in UTF-8: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping with the key concepts, got {type(content).__name__}")
    return content


def _first_error(path: str, error: ValidationError) -> InputError:
    """The first complaint as one line; an unknown key with the nearest known ones."""
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"] if part != "[key]")
    if problem["type"] == "extra_forbidden":
        return InputError(f"{path}: {UnknownNameError('key', where, Recipe.model_fields)}")
    if problem["type"] == "missing":
        return InputError(f"{path}: the key {where} is missing")
    message = problem["msg"].removeprefix("Value error, ")
    said = message if message[1:2].isupper() else message[:1].lower() + message[1:]  # YAML stays YAML
    return InputError(f"{path}: {where}: {said}, got {problem['input']!r}"[:300])


def load_words(rest: str, name: str) -> Dataset:
    """Captions from the built-in word lists, `AxB?options`: the first A adjectives and the first B nouns."""
    base, query = split_options(rest, is_path=True)
    if base.lower().endswith((".yaml", ".yml")):
        return load_recipe(base, query, name)
    space = ConceptSpace.of(_counted_words(base))
    options = read_options(query, WORD_OPTIONS, "text:")
    return build(word_scenes(space, options), name)


def word_scenes(space: ConceptSpace, options: Mapping[str, Any]) -> TextScenes:
    """The specification of captions in the built-in wordings for any space."""
    article, m, replicates = options["article"], options["m"], options["replicates"]
    bare = bool(options.get("bare", False))
    if bare and article:
        raise InputError("bare=true leaves articles out and article=true chooses them; give one of the two")
    if options["singles"] and m == 1:
        raise InputError("singles=true adds one-object scenes, and m=1 has them already; leave one of the two out")
    return TextScenes(
        space,
        templates=_bare(default_templates(m, replicates, article), bare),
        phrase=" ".join(f"{{{name}}}" for name in space.names),
        query=Template("{object}" if bare else "a {object}", article),
        value_queries=("{value}",) * space.n_concepts,
        singles=_bare(default_templates(1, replicates, article), bare) if options["singles"] else (),
        same=options["same"],
        sample=options["scenes"],
        seed=options["seed"],
        options={name: value for name, value in options.items() if name != "bare" or bare},
    )


def _bare(templates: tuple[Template, ...], bare: bool) -> tuple[Template, ...]:
    """The same without the articles before objects, if `bare`."""
    return tuple(Template(one.text.replace("a {object}", "{object}")) for one in templates) if bare else templates


def _counted_words(base: str) -> list[tuple[str, Sequence[str]]]:
    numbers = base.lower().split("x")
    if len(numbers) != 2 or not all(number.isascii() and number.isdigit() for number in numbers):
        raise InputError(f"text: expects AxB such as text:10x10, or a .yaml file, got 'text:{base}'")
    counts = [int(number) for number in numbers]
    for count, words, kind in zip(counts, (ADJECTIVES, NOUNS), ("adjectives", "nouns"), strict=True):
        if not 1 <= count <= len(words):
            raise InputError(f"text:{base}: the number of {kind} must be in 1..{len(words)}, got {count}")
    return [("adjective", ADJECTIVES[: counts[0]]), ("noun", NOUNS[: counts[1]])]
