"""Intervals of the geometry's R^2."""

from __future__ import annotations

import numpy as np
import pytest

from bindscope.analyses.context import Context
from bindscope.analyses.geometry.measure import measure
from bindscope.design import object_design
from bindscope.embeddings import Embeddings
from bindscope.refits import refitted_r2
from bindscope.results import Results
from bindscope.uncertainty import Outcome
from planted import plant, scenes


def test_r2_has_the_interval_of_fits_without_a_value() -> None:
    """In sample by `ols`: values left out, fits made anew; averages and held-out folds take those of the same design."""
    table = scenes(5, 4)
    vectors = plant("mixed", table, dim=24, noise=0.5).vectors.astype(np.float32)
    context = Context(Embeddings(vectors, table))
    results = Results(context.records("geometry", measure(context)))
    record = results.one(metric="r2", estimator="ols", target="level1", split="in_sample")
    refit = refitted_r2(vectors, object_design(table, False), context.jackknife)
    expected = context.jackknife.interval(
        Outcome.r2("r2", np.full(len(table), 1 - record.value), np.ones(len(table)), refit=refit)
    )
    assert (record.ci_low, record.ci_high) == pytest.approx(tuple(expected), abs=1e-6)
    held_out = results.one(metric="r2", estimator="ols", target="level1", split="held_out")
    assert held_out.ci_high - held_out.ci_low == pytest.approx(record.ci_high - record.ci_low)
    assert record.words_high - record.words_low < record.ci_high - record.ci_low
