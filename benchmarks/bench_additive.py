"""Additive fits: bindscope's exact least squares against 10,000 steps of AdamW, and against numpy.linalg.lstsq."""

from __future__ import annotations

import numpy as np

from bindscope.geometry import fit_additive
from bindscope.geometry.levels import Level
from bindscope.scenes import SceneTable
from harness import Cell, arguments, caption_scenes, minilm_vectors, timed, write_result
from paper_procedure import QUICK, STEPS, Vectors, additive_by_adamw, r2
from paper_procedure import Level as Components

LEVELS: tuple[tuple[Level, Components], ...] = (("level1", "objects"), ("level2", "concepts"))


def by_lstsq(vectors: Vectors, table: SceneTable, level: Level) -> Vectors:
    """Predictions of a dense least-squares fit with an intercept, in double precision."""
    design = fit_additive(vectors, table, "ols+pos", level).design(table).toarray()
    design = np.concatenate([np.ones((len(table), 1)), design], axis=1)
    return np.asarray(design @ np.linalg.lstsq(design, vectors.astype(np.float64), rcond=None)[0])


def main() -> None:
    """Compare all three on MiniLM captions, for objects per slot and concepts per slot."""
    quick = arguments(__doc__).quick
    steps = QUICK if quick else STEPS
    table, captions = caption_scenes()
    vectors = minilm_vectors(captions)
    rows: list[dict[str, Cell]] = []
    for level, components in LEVELS:
        sgd, slow = timed(lambda components=components: additive_by_adamw(vectors, table, components, steps))
        slow *= STEPS / steps
        model, fast = timed(lambda level=level: fit_additive(vectors, table, "ols+pos", level), 5)
        dense, plain = timed(lambda level=level: by_lstsq(vectors, table, level))
        name = f"{components} per slot"
        rows.append({"components": name, "fit": "AdamW", "R^2": r2(vectors, sgd), "seconds": slow})
        rows.append(
            {
                "components": name,
                "fit": "numpy.linalg.lstsq",
                "R^2": r2(vectors, dense),
                "seconds": plain,
                "faster": slow / plain,
            }
        )
        ours: dict[str, Cell] = {"R^2": r2(vectors, model(table)), "seconds": fast, "faster": slow / fast}
        rows.append({"components": name, "fit": "bindscope ols+pos", **ours})
    notes = ["R^2 in sample, 9,900 captions x 384; `faster`: than AdamW"]
    if quick:
        notes.append(f"QUICK RUN: AdamW's R^2 is that after {QUICK} steps; its seconds are EXTRAPOLATED linearly")
    write_result("additive" + "-quick" * quick, "Additive fits, MiniLM on text:10x10", rows, notes)


if __name__ == "__main__":
    main()
