"""The self-check passes, and it is a check: each metric, once broken, is found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bindscope.recognition import Recognised
from bindscope.runs import selfcheck as module
from bindscope.runs.selfcheck import Check, selfcheck


def failed(world: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Figures that are off in one world."""
    monkeypatch.setattr(module, "_WORLDS", [w for w in module._WORLDS if w[0] == world])
    assert len(module._WORLDS) == 1
    return [check.figure for check in selfcheck() if not check.passed]


def all_right(vectors: np.ndarray, queries: np.ndarray, members: np.ndarray) -> Recognised:
    return Recognised(np.ones(len(vectors), dtype=bool), np.zeros(len(vectors), dtype=bool))


@pytest.mark.slow  # the whole of it runs in the tests of the command line
def test_unbroken_it_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert failed("planted:bag?dim=256", monkeypatch) == []


BROKEN: list[tuple[str, Callable[..., object], str]] = [
    ("bindscope.recognition.recognise_by_cosine", all_right, "zero-shot objects, unshared"),
    ("bindscope.analyses.audit.measure.ceiling", lambda *_: 1.0, "ceiling of a bag, unshared scenes"),
    ("bindscope.analyses.audit.measure.object_chance", lambda table: np.full(len(table), 0.5), "chance of objects"),
    (
        "bindscope.analyses.geometry.levels.Reconstruction.errors",
        lambda self, vectors: (np.full(len(vectors), 0.5), np.ones(len(vectors))),
        "R² level II ols",
    ),
    ("bindscope.analyses.variance.shares.VarianceShares.share", lambda self, step: 0.25, "share of concepts"),
]


@pytest.mark.parametrize(
    ("place", "wrong", "figure"),
    [pytest.param(*one, id=one[2], marks=[pytest.mark.slow] if i > 1 else []) for i, one in enumerate(BROKEN)],
)
def test_a_broken_metric_is_found(
    monkeypatch: pytest.MonkeyPatch, place: str, wrong: Callable[..., object], figure: str
) -> None:
    monkeypatch.setattr(place, wrong)
    assert figure in failed("planted:bag?dim=256", monkeypatch)


@pytest.mark.slow
def test_probes_that_saw_the_answers_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control shuffles vectors: a read-out that is right all the same knows more than the vectors."""
    monkeypatch.setattr(
        "bindscope.probes.ProbeSet.object_outcome", lambda self, vectors, table: all_right(vectors, vectors, vectors)
    )
    assert "probe objects, vectors shuffled" in failed("planted:bag?dim=256", monkeypatch)


def test_a_check_says_what_it_measured() -> None:
    check = module._near("x", 1.0, 0.1, metric="r2")
    from bindscope.results import Record, Results

    assert check("w", Results([Record("geometry", "r2", 1.05)])) == Check("w", "x", "1 ± 0.1", "1.0500", True)
    assert not check("w", Results([Record("geometry", "r2", 1.2)])).passed
    assert check("w", Results([Record("geometry", "r2", None)])) == Check("w", "x", "1 ± 0.1", "n/a", False)
    between = module._between("x", 0.0, 0.5, metric="r2")
    assert between("w", Results([Record("geometry", "r2", 0.5)])).passed
    assert not between("w", Results([Record("geometry", "r2", None)])).passed
