"""Data sets by name: scenes with what shows them (a text, an image, or a bare label row)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import cast

from bindscope.datasets.items import Dataset, Items
from bindscope.errors import BindscopeWarning, InputError
from bindscope.names import Registry, at_home, made_by

__all__ = ["Dataset", "Items", "data_kind", "dataset_names", "dataset_options", "load_dataset"]

LOADERS = {
    "text": "bindscope.datasets.recipe:load_words",
    "labels": "bindscope.datasets.labels:load_labels",
    "symbolic": "bindscope.datasets.designs:load_symbolic",
    "clevr2d": "bindscope.datasets.images.drawn:load_drawn",
    "clevr": "bindscope.datasets.images.drawn:load_drawn",
    "folder": "bindscope.datasets.images.folder:load_folder",
    "graph": "bindscope.datasets.scene_graphs:load_graph",
    "pairs": "bindscope.datasets.pairs:refuse_as_scenes",
    "outcomes": "bindscope.datasets.pairs:refuse_as_scenes",
}
PAIRED = ("pairs", "outcomes")  # captions with negatives instead of scenes
DRAWN = frozenset({"clevr2d", "clevr"})  # their pictures are made once and kept
PATTERNS = {
    "text:AxB": "captions of the first A adjectives and B nouns (1..20), e.g. text:10x10?same=true&singles=true",
    "text:FILE.yaml": "captions of your own concepts, values and templates",
    "clevr2d:CxS": "flat pictures of the first C colours and S shapes, e.g. clevr2d:8x3?replicates=3&size=224",
    "clevr:CxS": "rendered scenes like CLEVR's, e.g. clevr:8x3?singles=true&sizes=2&materials=2 (extra render)",
    "folder:DIR": "images with labels.csv (filename, object1_color, ..., or PUG:SPARE's columns with ?world=NAME)",
    "labels:FILE": "a bare label table (CSV, TSV, JSON lines, parquet, CLEVR's scenes), for vectors from file:; ?missing=None",
    "graph:FILE": "scene graphs of photographs as scenes of factors (Visual Genome, GQA, CLEVR's scenes.json)",
    "pairs:FILE": "captions with negatives, with or without pictures (CSV, TSV, JSON, JSONL, parquet, or a directory of them)",
    "outcomes:FILE": "published outcomes item by item, also as a model: diagnose outcomes:FILE --data pairs:FILE",
    "symbolic:V1xV2x…": "scenes without words or pictures, for planted: and controlled:; symbolic:8x8?singles=true&places=true",
}
TEXT_OPTIONS = {
    "?m=3": "objects in a scene, 1 to 3 (2)",
    "?same=true": "scenes that show the same object twice, too (false)",
    "?singles=true": "one-object scenes too, which the estimator `single` needs (false)",
    "?replicates=3": "each scene worded by several templates (1)",
    "?article=true": "a or an, by the next letter (false: always a)",
    "?bare=true": "no article before an object: red cube and blue ball (false)",
    "?scenes=5000": "a sample of the scenes, drawn by seed (all)",
    "?seed=1": "seed of that sample (0)",
}
DATASETS = Registry[Callable[..., Dataset]]("data set", "bindscope.datasets", LOADERS, PATTERNS, ":")
_FILES = {".yaml": "text", ".yml": "text"} | dict.fromkeys((".csv", ".parquet", ".tsv", ".jsonl", ".gz"), "labels")


def load_dataset(name: str, *, cache: Path | None = None) -> Dataset:
    """The data set of a name such as `text:10x10?same=true`.

    cache: directory that keeps drawn pictures between runs (None: the user's own, see `default_cache`). Raises
    UnknownNameError for an unknown name or option, InputError for a file or value that cannot be used.

    >>> len(load_dataset("text:2x2"))
    12
    """
    prefix, colon, rest = name.partition(":")
    suffix = Path(name).suffix.lower()
    if not (colon and prefix in DATASETS) and suffix in _FILES:
        raise InputError(f"{name!r} is a file name; write {_FILES[suffix]}:{name}")
    if not colon:
        raise DATASETS.unknown(prefix)
    loader, rest = DATASETS[prefix], at_home(rest)
    if prefix in LOADERS:
        dataset = loader(rest, name, cache) if prefix in DRAWN else loader(rest, name)
    else:
        dataset = cast(Dataset, made_by(lambda: loader(rest, name), name, Dataset))
    for note in dataset.notes:
        warnings.warn(note, BindscopeWarning, stacklevel=2)
    return dataset


def data_kind(name: str) -> str:
    """What analyses a name of data is for: `pairs` or `scenes`.

    >>> data_kind("pairs:swap.json"), data_kind("text:8x8")
    ('pairs', 'scenes')
    """
    return "pairs" if name.partition(":")[0] in PAIRED else "scenes"


def dataset_names() -> dict[str, str]:
    """Patterns of data set names, with a line on each.

    >>> "text:AxB" in dataset_names()
    True
    """
    return DATASETS.described()


def dataset_options() -> dict[str, str]:
    """Options behind the name of a text data set, joined by `&`, with a line and the default of each.

    >>> "?m=3" in dataset_options()
    True
    """
    return dict(TEXT_OPTIONS)
