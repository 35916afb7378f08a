"""Additive fits: bindscope's exact least squares against 10,000 steps of AdamW, and against numpy.linalg.lstsq."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from bindscope.analyses.geometry.levels import Level, fit_additive
from harness import Cell, arguments, by_lstsq, caption_scenes, clocked, minilm_vectors, r2, write_result
from paper_procedure import QUICK, STEPS, additive_by_adamw
from paper_procedure import Level as Components

LEVELS: tuple[tuple[Level, Components], ...] = (("level1", "objects"), ("level2", "concepts"))


def targets(rows: Sequence[dict[str, Cell]]) -> list[str]:
    """What must be reached, beside what was."""
    ours = [row for row in rows if row["fit"] == "bindscope ols+pos"]
    sgd = [row for row in rows if row["fit"] == "AdamW"]
    goals = {
        "200 times faster": min(float(row["faster"] or 0) for row in ours) >= 200,
        "200 times faster by CPU": min(float(row["faster by CPU"] or 0) for row in ours) >= 200,
        "R^2 no lower": all(float(a["R^2"] or 0) >= float(b["R^2"] or 0) for a, b in zip(ours, sgd, strict=True)),
    }
    return [f"{goal}: {'reached' if reached else 'NOT REACHED'}" for goal, reached in goals.items()]


def main() -> None:
    """Compare all three on MiniLM captions, for objects per slot and concepts per slot."""
    quick = arguments(__doc__).quick
    steps = QUICK if quick else STEPS
    table, captions = caption_scenes()
    vectors = minilm_vectors(captions)
    rows: list[dict[str, Cell]] = []
    for level, components in LEVELS:
        model, fast = clocked(partial(fit_additive, vectors, table, "ols+pos", level), 9)
        sgd, slow = clocked(partial(additive_by_adamw, vectors, table, components, steps))
        slow = slow.times(STEPS / steps)
        dense, plain = clocked(partial(by_lstsq, vectors, table, "ols+pos", level))
        name = f"{components} per slot"
        rows.append({"components": name, "fit": "AdamW", "R^2": r2(vectors, sgd), **slow.cells()})
        fit = "numpy.linalg.lstsq"
        rows.append({"components": name, "fit": fit, "R^2": r2(vectors, dense), **plain.against(slow)})
        fit = "bindscope ols+pos"
        rows.append({"components": name, "fit": fit, "R^2": r2(vectors, model(table)), **fast.against(slow)})
    notes = ["R^2 in sample, 9,900 captions x 384; `faster`: than AdamW", *targets(rows)]
    if quick:
        notes.append(f"QUICK RUN: AdamW's R^2 is that after {QUICK} steps; its seconds are EXTRAPOLATED linearly")
    write_result("additive" + "-quick" * quick, "Additive fits, MiniLM on text:10x10", rows, notes)


if __name__ == "__main__":
    main()
