"""Which form a trained dual encoder has: held-out fit of small learners, and the same rule on both sides.

The learners see scenes of the run's training objects and predict f(scene) of the same test scenes that the run was
judged on (Sec. 6 of arXiv 2605.31503, Fig. 9). Cost: some seconds of one thread a model of d = 64.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bindscope.concepts import IntArray
from bindscope.controlled.config import TrainConfig
from bindscope.controlled.evaluate import encode_values, object_queries
from bindscope.controlled.sampling import Objects, draw_scenes, scenes_of_pool, split_run
from bindscope.design import fit, object_design, row_mean, squared_errors
from bindscope.learners.interaction import Interaction, interacts
from bindscope.learners.registry import load_approximator
from bindscope.recognition import recognise_by_cosine
from bindscope.run_directory import write_text
from bindscope.scenes import FloatArray, SceneTable
from bindscope.streams import stream

FORMS = ("additive?slots=shared", "per-object?slots=shared", "global?slots=shared", "mlp:64", "mlp:256")
SCENES = 2000  # most training scenes that a learner sees
FREE = 5  # fewest degrees of freedom that a cosine beyond the concepts needs
PARTNERS = 24  # scenes of each object that its vector is the mean of
FILE = "forms.json"


def form_figures(directory: Path, forms: Sequence[str] = FORMS, seed: int = 0) -> dict[str, float | None]:
    """Figures of one finished run, read back where they were made before.

    `r2 NAME`: R^2 of NAME on scenes of test objects (1 exact, 0 the mean). `binding_r2 NAME`: the same for the interaction alone
    (see `learners.interaction`; None without one). `objects NAME`: object recognition of its
    predictions by the run's own queries. `object cosine`: cosine of f's object vectors and q(o) over all test objects, each
    centred. `binding cosine`: the same for what an additive function of the concepts leaves of each; `binding share`:
    how much of q's variance over test objects that is. Raises StoreError where the run is unfinished.
    """
    from bindscope.controlled.train import load_trained

    kept = _read(directory, forms, seed)
    if kept is not None:
        return kept
    found = figures_of(*load_trained(directory), forms, seed)
    content = {"forms": list(forms), "seed": seed, "figures": found}
    write_text(directory / FILE, json.dumps(content, indent=1, sort_keys=True) + "\n")
    return found


def figures_of(config: TrainConfig, model: Any, forms: Sequence[str] = FORMS, seed: int = 0) -> dict[str, float | None]:
    """The figures of `form_figures` of any pair of encoders `model.scene`, `model.query` on the objects of a run."""
    objects = split_run(config)
    return {**_fits(model, config, objects, forms, seed), **_alignment(model, config, objects, seed)}


def _read(directory: Path, forms: Sequence[str], seed: int) -> dict[str, float | None] | None:
    try:
        content = json.loads((directory / FILE).read_text(encoding="utf-8"))
        figures: dict[str, float | None] = content["figures"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    known = all(f"binding_r2 {name}" in figures for name in forms)  # an earlier version did not have these
    return figures if known and content.get("forms") == list(forms) and content.get("seed") == seed else None


def _fits(
    model: Any, config: TrainConfig, objects: Objects, forms: Sequence[str], seed: int
) -> dict[str, float | None]:
    rng = stream(seed, "form scenes")
    train = _scenes(objects, draw_scenes(objects.train, SCENES, config.objects, None, rng))
    test = _shuffled(scenes_of_pool(objects, objects.test, config.objects, config.test_scenes, config.seed), rng)
    seen, real = encode_values(model.scene, train.values), encode_values(model.scene, test.values)
    queries = object_queries(model, config, test)
    total = float(squared_errors(real, np.broadcast_to(row_mean(real), real.shape)).sum())
    beyond = Interaction(train, seen, test, real, seed) if interacts(test, real) else None
    found: dict[str, float | None] = {}
    for name in forms:
        predicted = load_approximator(name).fit(train, seen, seed).predict(test)
        found[f"r2 {name}"] = 1.0 - float(squared_errors(real, predicted).sum()) / total if total > 0 else None
        found[f"binding_r2 {name}"] = None if beyond is None else beyond.r2(predicted)
        found[f"objects {name}"] = float(recognise_by_cosine(predicted, queries, test.object_codes).right.mean())
    return found


def _scenes(objects: Objects, ids: IntArray) -> SceneTable:
    every = np.arange(objects.space.n_objects)
    return SceneTable.build(objects.space, objects.space.object_values(ids), candidates=every)


def _shuffled(table: SceneTable, rng: np.random.Generator) -> SceneTable:
    """The same scenes with their objects in random slots: sampled sets hold them by number, which a slot could tell."""
    order = np.argsort(rng.random(table.present.shape), axis=1)
    values = np.take_along_axis(table.values, order[:, :, None], axis=1)
    return SceneTable.build(table.space, values, candidates=table.candidates)


def _alignment(model: Any, config: TrainConfig, objects: Objects, seed: int) -> dict[str, float | None]:
    """Cosines over test objects of f's object vectors and q(o); see `form_figures`."""
    rng = stream(seed, "form vectors")
    every = np.arange(config.n_objects)
    pool = draw_scenes(every, PARTNERS * config.n_objects // config.objects, config.objects, None, rng)
    table = _scenes(objects, pool)
    scene = fit(object_design(table, by_slot=False), encode_values(model.scene, table.values)).coefficients
    query = object_queries(model, config, table).astype(np.float64)
    u, q = scene[objects.test], query[objects.test]
    nothing = np.ones((len(u), 1))
    concepts = np.concatenate([nothing, _indicators(objects)], axis=1)
    return {
        "object cosine": _cosine(_beyond(u, nothing), _beyond(q, nothing)),
        "binding cosine": _cosine(_beyond(u, concepts), _beyond(q, concepts)),
        "binding share": _share(q, nothing, concepts),
    }


def _indicators(objects: Objects) -> FloatArray:
    """Which values each test object has `[objects, C V]`."""
    values = objects.space.object_values(objects.test)
    return np.concatenate([np.eye(size)[values[:, k]] for k, size in enumerate(objects.space.sizes)], axis=1)


def _beyond(vectors: FloatArray, design: FloatArray) -> FloatArray | None:
    """What least squares over a design leaves, free of every additive function, extrapolated ones too.

    None where fewer than FREE degrees of freedom are left.
    """
    weights, _, rank, _ = np.linalg.lstsq(design, vectors, rcond=1e-9)
    return None if len(vectors) - rank < FREE else np.asarray(vectors - design @ weights)


def _cosine(one: FloatArray | None, other: FloatArray | None) -> float | None:
    if one is None or other is None:
        return None
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / norms if norms > 1e-9 else None


def _share(vectors: FloatArray, nothing: FloatArray, concepts: FloatArray) -> float | None:
    """Mean square beyond the concepts over mean square beyond the mean, each by its degrees of freedom."""
    left, whole = _beyond(vectors, concepts), _beyond(vectors, nothing)
    if left is None or whole is None:
        return None
    free = len(vectors) - int(np.linalg.matrix_rank(concepts))
    size = float((whole**2).sum()) / (len(vectors) - 1)
    return float((left**2).sum()) / free / size if size > 1e-18 else None
