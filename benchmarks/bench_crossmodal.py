"""Everything across two sides at 10,000 images x 10,000 captions x 512 dimensions: time and memory."""

from __future__ import annotations

import resource
import time

import numpy as np

from bindscope.analyses.alignment.alignment import align
from bindscope.analyses.context import Context
from bindscope.analyses.crossmodal.figures import TwoSidedFigures
from bindscope.analyses.crossmodal.heads import fit_head, hold_out
from bindscope.analyses.crossmodal.measure import across
from bindscope.analyses.crossmodal.retrieval import rank_captions, rank_scenes
from bindscope.analyses.crossmodal.swaptest import attribute, credit, object_confusions, swap_test, value_confusions
from bindscope.analyses.sides import TwoSides
from bindscope.datasets import load_dataset
from bindscope.datasets.wording import caption_set
from bindscope.embeddings import Embeddings, embed
from bindscope.encoders import load_encoder
from harness import Cell, arguments, timed, write_result

DATA = "text:10x10?same=true"  # 10,000 ordered scenes of two objects
MODEL = "planted:mixed?dim=512&sides=own&noise=0.3"
SECONDS, GIGABYTES = 60.0, 4.0


def two_sided() -> tuple[Embeddings, TwoSides]:
    """A planted world with object vectors of its own on each side, one caption a scene."""
    dataset = load_dataset(DATA)
    captions = caption_set(dataset, limit=len(dataset), made=False)
    found = embed(load_encoder(MODEL), dataset, captions=captions)
    assert found.captions is not None
    return found, TwoSides.of(found.vectors, found.table, found.captions.vectors, found.captions.scenes)


def main() -> None:
    """Time each part on one machine; the sum is what a user waits for."""
    arguments(__doc__)
    (found, sides), made = timed(two_sided)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    other = found.captions
    assert other is not None
    told = sides.captions[0]
    context = Context(found)
    figures = TwoSidedFigures.of(context)
    right = credit(swap_test(sides).text).mean(axis=0)
    held_out = hold_out(sides)
    parts = {
        "pairing the sides": lambda: TwoSides.of(found.vectors, found.table, other.vectors, other.scenes),
        "swap test": lambda: swap_test(sides),
        "recall, scenes to captions": lambda: rank_captions(sides, told),
        "recall, captions to scenes": lambda: rank_scenes(sides, told),
        "zero-shot recognition": lambda: across(context),
        "confusions": lambda: (value_confusions(sides, right), object_confusions(sides, right)),
        "attribution": lambda: attribute(sides),
        "records with intervals": lambda: context.records("crossmodal", [*figures.swaps(), *figures.confusions()]),
        "alignment with nulls": lambda: align(sides),
        "head, linear": lambda: fit_head(sides, held_out.train, "linear"),
        "head, low rank": lambda: fit_head(sides, held_out.train, "low_rank"),
        "head, multiplicative": lambda: fit_head(sides, held_out.train, "multiplicative"),
    }
    rows: list[dict[str, Cell]] = []
    start, cpu = time.perf_counter(), time.process_time()
    for name, work in parts.items():
        _, seconds = timed(work)
        rows.append({"part": name, "seconds": round(seconds, 2)})
    wall, used = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    reached = wall < SECONDS and peak < GIGABYTES
    rows.append({"part": "all", "seconds": round(wall, 2)})
    notes = [
        f"{len(sides.table):,} scenes x {len(sides.caption_table):,} captions x {told.shape[1]}, {len(sides.swaps):,} swaps; "
        f"swap accuracy {float(np.mean(right)):.3f}",
        f"all: {wall:.1f} s wall, {used:.1f} s of CPU; peak {peak:.2f} GiB (before: {before:.2f}, world made in {made:.1f} s)",
        f"to reach: {SECONDS:.0f} s and {GIGABYTES:.0f} GiB; {'reached' if reached else 'NOT REACHED'}",
    ]
    write_result("crossmodal", "Cross-modal analysis, 10,000 x 10,000 x 512", rows, notes)


if __name__ == "__main__":
    main()
