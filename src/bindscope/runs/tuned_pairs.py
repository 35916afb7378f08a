"""Natural pairs before and after fine-tuning: preference, all right, recall, and what became of the captions' similarities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bindscope.analyses.finetune.measure import AVERAGED, BASE, RAW
from bindscope.analyses.pairs.measure import MODEL, PairContext, measure
from bindscope.analyses.pairs.similarity import Sides
from bindscope.datasets.pairs import PairSet, load_pairs
from bindscope.finetune.questions import Vectors, similarity_kept
from bindscope.results import Record
from bindscope.uncertainty import Outcome

MOST_CAPTIONS = 1_000  # for the similarities of captions
HEADLINES = ("pair_preference", "pair_all_right", "retrieval_top1")


def read_pairs(name: str) -> PairSet:
    """The pairs of `pairs:FILE` or of a bare file name; raises InputError or StoreError."""
    return load_pairs(name.removeprefix("pairs:"), name if name.startswith("pairs:") else f"pairs:{name}")


def pair_records(pairs: PairSet, tuned: Any, share: float, seed: int) -> list[Record]:
    """Figures of base, averaged and raw weights on pairs, the changes from the base, and the harm to their captions."""
    found: dict[str, dict[tuple[Any, ...], Outcome]] = {}
    vectors: dict[str, Vectors] = {}
    for name, part in ((BASE, 0.0), (AVERAGED, share), (RAW, 1.0)):
        vectors[name] = tuned.use(part).vectors(pairs.texts)
        context = PairContext(pairs, Sides.of_vectors(vectors[name], None), seed)
        found[name] = {one.key: one for one in measure(context) if _wanted(one)}
    made = [_stated(one, {"weights": name}) for name, some in found.items() for one in some.values()]
    for name in (AVERAGED, RAW):
        made += [_change(context, one, found[BASE][key], name) for key, one in found[name].items()]
    some = _captions(pairs, seed)
    for name in (AVERAGED, RAW):
        kept = similarity_kept(vectors[BASE][some], vectors[name][some])
        words: dict[str, Any] = {"target": "pairs", "split": "test", "ceiling": 1.0, "n_scenes": len(some)}
        made.append(
            Outcome.number(
                "similarity_kept", kept, extra={"weights": name, "pairs": True}, counts_objects=False, **words
            )
        )
    return context.records("finetune", made)


def _wanted(one: Outcome) -> bool:
    """Headlines, and those of a category where there are several."""
    return one.metric in HEADLINES and one.estimator == MODEL and set(one.extra) <= {"category"}


def _stated(one: Outcome, more: Mapping[str, Any]) -> Outcome:
    category = one.extra.get("category")
    name = f"{one.metric}_{one.target}" + (f"_{category}" if category else "")
    return replace(one, extra={**one.extra, **more, "question": name, "pairs": True})


def _change(context: PairContext, one: Outcome, before: Outcome, weights: str) -> Outcome:
    value, ends = context.clusters.difference(one, before)
    words: dict[str, Any] = {"target": one.target, "estimator": one.estimator, "split": one.split, "n_scenes": one.rows}
    words["n_objects"] = int(context.pairs.cluster.max()) + 1
    made = Outcome.number(one.metric, value, ends, extra=one.extra, **words)
    return _stated(made, {"weights": weights, "change": True})


def _captions(pairs: PairSet, seed: int) -> Any:
    """Positions of different captions, drawn by seed where they are many."""
    every = np.unique(pairs.caption)
    if len(every) <= MOST_CAPTIONS:
        return every
    return np.sort(np.random.default_rng([seed, MOST_CAPTIONS]).choice(every, MOST_CAPTIONS, replace=False))
