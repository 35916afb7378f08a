"""Variance shares: nested shares, corrected and not, cumulative, and the test of binding beyond additivity."""

from __future__ import annotations

from typing import Any

import numpy as np

from bindscope.analyses.context import Context
from bindscope.analyses.variance.shares import STEPS, VarianceShares, interaction_test, nested_designs, variance_shares
from bindscope.scenes import SceneTable
from bindscope.uncertainty import Interval, Outcome, permutation_p

NULL_DRAWS = 199
NULL_DRAWS_LARGE = 99
LARGE = 20_000  # rows


def measure(context: Context) -> list[Outcome]:
    """All shares, what replicates tell apart, and the null of the interaction."""
    shares = variance_shares(context.vectors, context.table)
    return [*nested(shares), *noise(shares), *null(context, shares)]


def columns(table: SceneTable) -> int:
    """Width of the widest design."""
    return int(nested_designs(table)[-1].shape[1])


def nested(shares: VarianceShares) -> list[Outcome]:
    """Shares step by step: corrected (headline), as they are, and cumulative."""
    out: list[Outcome] = []
    running = np.zeros(len(shares.errors[0]))
    for step, name in enumerate((*STEPS, "residual")):
        rows = shares.contributions(step)
        running = running + rows
        raw = _share(shares, rows, name, "ols", shares.share(step), extra={"correction": "none"})
        corrected = _share(shares, rows, name, "ols", shares.corrected(step), shift=shares.correction(step))
        out += [corrected, raw]
        if step < len(STEPS):
            total = float(running.sum() / shares.total)
            extra = {"correction": "none", "cumulative": True}
            out.append(_share(shares, running, name, "ols", total, extra=extra))
    return out


def noise(shares: VarianceShares) -> list[Outcome]:
    """What replicates tell apart: noise, and what no pair of objects explains."""
    if shares.noise is None:
        return []
    last, rows = len(STEPS), shares.noise_contributions
    higher = shares.corrected(last) - shares.noise_share
    beyond = shares.contributions(last) - rows
    return [
        _share(shares, rows, "noise", "replicates", shares.noise_share),
        _share(shares, beyond, "higher_order", "replicates", higher, shift=shares.correction(last)),
        _share(shares, rows, "scenes", "replicates", 1.0 - shares.noise_share, metric="noise_ceiling", residual=True),
    ]


def null(context: Context, shares: VarianceShares) -> list[Outcome]:
    """The test of the interaction: p-value, F and its null; a p-value of nothing where it cannot be tested."""
    draws = NULL_DRAWS if len(context.table) <= LARGE else NULL_DRAWS_LARGE
    words: dict[str, Any] = {"estimator": "freedman_lane", "target": "interaction", "split": "in_sample"}
    words["n_scenes"] = len(context.table)
    found = (
        interaction_test(context.vectors, context.table, draws, context.seed)
        if shares.ranks[3] > shares.ranks[2]
        else None
    )
    if found is None:
        return [Outcome.number("p_value", None, **words)]
    low, high = np.percentile(found.null, [2.5, 97.5])
    extra = {"null": True, "draws": draws, "observed": found.statistic, "freedom": list(found.freedom)}
    return [
        permutation_p(found.statistic, found.null, **words),
        Outcome.number(
            "f_statistic", float(found.null.mean()), Interval(float(low), float(high)), extra=extra, **words
        ),
    ]


def _share(
    shares: VarianceShares, rows: Any, target: str, estimator: str, value: float, metric: str = "share", **more: Any
) -> Outcome:
    total = shares.errors[0]
    words: dict[str, Any] = {"split": "in_sample", "n_scenes": len(rows), **more}
    return Outcome(metric, value, target=target, estimator=estimator, top=rows, below=total, **words)
