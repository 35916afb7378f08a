"""Targeted removal of a diagnosis: a model's own records, and beside them what the table itself allows.

Once the concepts are out, some tables cannot show their objects to any linear read-out: what three objects have beyond
their concepts may add up to nothing (three of one row of a 3 x 3 grid), or to what other scenes add up to. And a small table
trains read-outs on few scenes. So the same removal is done in a world that is all binding: every object has a direction
of its own, and there is no noise. `{"reference": "independent objects"}`: read by trained read-outs, as the model is;
with `"readout": "own direction"` each object is scored along its own direction, so nothing has to be learnt.
"""

from __future__ import annotations

import numpy as np

from bindscope.analyses.context import Context
from bindscope.analyses.removal.measure import Figure, RemovalMaker, Say
from bindscope.design import object_design
from bindscope.embeddings import Embeddings
from bindscope.probes import OBJECTS
from bindscope.recognition import chance_per_scene, recognise
from bindscope.results import Record
from bindscope.scenes import FloatArray, SceneTable

REFERENCE = {"reference": "independent objects"}
REFERENCE_CELLS = 4_000_000  # scenes times objects up to which the reference is made


def removal_records(embeddings: Embeddings, seed: int, say: Say | None = None) -> list[Record]:
    """Targeted removal on scenes of one number of objects, and its reference."""
    own = RemovalMaker(embeddings.vectors, embeddings.table, seed, say).records()
    return own + reference_records(embeddings.table, seed, say)


def reference_records(table: SceneTable, seed: int, say: Say | None = None) -> list[Record]:
    """The removal of concepts in the world of independent objects; none for more than 4 million counts.

    Two read-outs of O dimensions, O objects: O(n O^2) a product.
    """
    if len(table) * table.n_objects > REFERENCE_CELLS:
        return []
    if say:
        say("removal: the same from independent objects")
    world = RemovalMaker(object_design(table, by_slot=False).toarray(), table, seed)
    left = world.components.left(world.vectors, table, "concepts")
    out = []
    for target, reading in (("none", world.baseline), ("concepts", world.read(left))):
        records = world.figures(reading, "subtract", target, REFERENCE)
        out += [r for r in records if r.extra.get("concept") in (None, OBJECTS)]
    return [*out, _own_direction(world, left)]


def _own_direction(world: RemovalMaker, left: FloatArray) -> Record:
    """Objects scored by what is left of their own counts, on all rows."""
    table = world.table
    found = recognise(
        np.round(left, 9), table.object_codes
    )  # counts of order 1: what is below is rounding, not an order
    chance = float(chance_per_scene(*table.members()).mean())
    everyone = np.ones(len(table), dtype=bool)
    figure = Figure(
        "object_recognition", None, found.right.astype(float), everyone, chance, None, int(found.tied.sum())
    )
    return world.record(figure, "subtract", "concepts", "all", {**REFERENCE, "readout": "own direction"})


def measure(context: Context) -> list[Record]:
    """All figures of the removals."""
    return removal_records(context.main, context.seed, context.say)
