"""The audit of a table against counting by hand, for every design."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindscope.analyses.audit.audit import COVERAGES, Audit, audit, scenes_needed
from bindscope.analyses.audit.measure import measure
from bindscope.analyses.context import Context
from bindscope.concepts import ABSENT
from bindscope.errors import TableError
from bindscope.results import Results
from bindscope.scenes import SceneTable
from bindscope.splits import split_objects
from planted import designs, random_scenes, scenes

DESIGNS = designs()
quick = settings(deadline=None, max_examples=15, derandomize=True)
tables = st.builds(
    lambda sizes, n, m, absent, seed: random_scenes(*sizes, n=n, m=m, absent=absent, seed=seed),
    st.sampled_from([(2, 2), (3, 2), (2, 2, 2), (5,), (1, 4)]),
    st.integers(1, 25),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.4]),
    st.integers(0, 10_000),
)


def main_rows(table: SceneTable) -> SceneTable:
    counts = [int(row.sum()) for row in table.present]
    most = max(sorted(set(counts)), key=lambda c: (counts.count(c), c))
    return table.take([i for i, c in enumerate(counts) if c == most])


def objects_of(table: SceneTable) -> list[tuple[int, ...]]:
    """Object ids in each slot, None-free."""
    return [tuple(int(i) for i in row) for row in table.object_ids]


def audited(table: SceneTable, seed: int = 0) -> Results:
    context = Context.of_table(table, seed)
    return Results(context.records("audit", measure(context)))


@pytest.mark.parametrize("name", list(DESIGNS))
def test_cells_by_counting(name: str) -> None:
    table = DESIGNS[name]
    found, main = audit(table), main_rows(table)
    shown = {i for row in objects_of(table) for i in row if i != ABSENT}
    assert found.objects_per_scene == int(main.counts[0])
    assert (found.object_cells.present, found.object_cells.total) == (len(shown), int(np.prod(table.space.sizes)))
    assert found.scene_cells.present == len(set(objects_of(main)))
    assert found.scene_cells.total == len(shown) ** found.objects_per_scene
    assert len(found.table) == len(main)


def indicator(table: SceneTable, objects: bool, by_slot: bool) -> np.ndarray:
    """The design written out cell by cell."""
    columns: dict[tuple[object, ...], int] = {}
    rows = []
    for values, present in zip(table.values.tolist(), table.present.tolist(), strict=True):
        row: dict[int, int] = {}
        for slot, (cells, there) in enumerate(zip(values, present, strict=True)):
            keys = [tuple(cells)] if objects else list(enumerate(cells))
            for key in keys if there else []:
                place = columns.setdefault((slot if by_slot else None, key), len(columns))
                row[place] = row.get(place, 0) + 1
        rows.append(row)
    out = np.zeros((len(rows), len(columns)))
    for i, row in enumerate(rows):
        for place, count in row.items():
            out[i, place] = count
    return out


def check_ranks(found: Audit, main: SceneTable) -> None:
    for name, design in found.designs.items():
        written = indicator(main, name.startswith("objects"), name.endswith("+slot"))
        assert design.rank == np.linalg.matrix_rank(written), name
        width = main.n_objects if name.startswith("objects") else sum(main.space.sizes)
        assert design.columns == width * (main.n_slots if name.endswith("+slot") else 1)


@pytest.mark.parametrize("name", list(DESIGNS))
def test_ranks_by_numpy(name: str) -> None:
    check_ranks(audit(DESIGNS[name], coverages=()), main_rows(DESIGNS[name]))


@given(tables)
@quick
def test_ranks_of_random_tables(table: SceneTable) -> None:
    check_ranks(audit(table, coverages=()), main_rows(table))


def closed_by_hand(table: SceneTable, train: np.ndarray) -> int:
    """Unshared scenes none of whose value-swapped objects is a training object."""
    trained = {tuple(v) for v, t in zip(table.candidate_values.tolist(), train, strict=True) if t}
    count = 0
    for values, present in zip(table.values.tolist(), table.present.tolist(), strict=True):
        shown = [tuple(v) for v, p in zip(values, present, strict=True) if p]
        unshared = all(len({o[k] for o in shown}) == len(shown) for k in range(len(shown[0])))
        swaps = product(*[[o[k] for o in shown] for k in range(len(shown[0]))])
        count += unshared and not any(o in trained for o in swaps)
    return count


@pytest.mark.parametrize("name", ["pairs", "C=3", "incomplete", "incomplete C=3 m=3", "mixed m", "m=1", "C=1"])
def test_coverages_by_counting(name: str) -> None:
    table = DESIGNS[name]
    main = main_rows(table)
    found = audit(table, seed=5)
    assert len(found.coverages) == 2 * len(COVERAGES)
    for one in found.coverages:
        splits = [split_objects(main, one.coverage, 5 + i, one.method) for i in range(3)]
        held = [
            sum(all(not s.train[c] for c in row if c != ABSENT) for row in main.object_codes.tolist()) for s in splits
        ]
        assert one.test_scenes == pytest.approx(np.mean(held))
        assert one.closed_scenes == pytest.approx(np.mean([closed_by_hand(main, s.train) for s in splits]))
        assert 0.0 <= one.unseen_share <= 1.0
        if one.method == "connected":
            assert one.unseen_share == pytest.approx(np.mean([s.unseen_share for s in splits]))
            assert one.identified == pytest.approx(np.mean([s.identified for s in splits]))


def test_random_splits_leave_values_unseen_at_low_coverage() -> None:
    """Pitfall: on 8 x 3 at coverage 0.1 most held-out objects have a value that training never shows."""
    found = audit(scenes(8, 3))
    random = {one.coverage: one for one in found.coverages if one.method == "random"}
    connected = {one.coverage: one for one in found.coverages if one.method == "connected"}
    assert random[0.1].unseen_share > 0.85
    assert random[0.1].identified == 0.0
    assert (connected[0.5].unseen_share, connected[0.5].identified) == (0.0, 1.0)
    assert random[0.5].identified < 1.0


@pytest.mark.parametrize("m", [1, 2, 3])
def test_the_scenes_needed_give_that_width(m: int) -> None:
    """A mean of independent coin throws over scenes of m objects of their own, by the bootstrap itself."""
    from bindscope.uncertainty import ObjectBootstrap

    n = scenes_needed(0.2, m)
    codes = np.arange(n * m).reshape(n, m)
    outcome = np.arange(n) % 2
    low, high = ObjectBootstrap(codes, n * m, draws=2000).mean(outcome)
    assert high - low == pytest.approx(0.2, rel=0.08)
    assert scenes_needed(0.1, m) == pytest.approx(4 * n, rel=0.01)


def test_the_additive_scorer_of_the_known_table() -> None:
    wrong, random = audit(scenes(10, 10), coverages=()).additive
    assert (wrong.mean(), random.mean()) == (pytest.approx(0.18, abs=0.005), pytest.approx(0.32, abs=0.005))


@pytest.mark.parametrize(
    "table",
    [scenes(2, 2).take([0]), scenes(1, 1, same=True), random_scenes(3, 2, n=1, m=3, seed=1)],
    ids=["one scene", "one object", "one scene of three"],
)
def test_hopeless_tables_have_an_audit_too(table: SceneTable) -> None:
    results = audited(table)
    ceilings = {record.target: record.value for record in results.headline(metric="ceiling")}
    assert ceilings["all"] == 1.0  # a bag says everything here
    assert results.one(metric="ambiguous_scenes").value == 0
    if table.n_objects == 1:
        assert not [record for record in results if record.coverage is not None]


def test_an_empty_table_has_none() -> None:
    with pytest.raises(TableError, match=r"the table is empty"):
        audit(scenes(2, 2).take([]))


@given(tables, st.integers(0, 3))
@quick
def test_records_by_definition(table: SceneTable, seed: int) -> None:
    results, main = audited(table, seed), main_rows(table)
    value = {(r.metric, r.target): r.value for r in results.headline() if r.coverage is None}
    assert value["n_scenes", "all"] == len(table)
    assert value["n_bags", None] == len(np.unique(np.sort(main.values, axis=1).reshape(len(main), -1), axis=0))
    assert value["n_objects", None] == table.n_objects
    total = float(np.prod(table.space.sizes))
    assert value["cells_present", "objects"] + value["cells_missing", "objects"] == total  # type: ignore[operator]
    bags = [tuple(map(tuple, np.sort(v, axis=0).T.tolist())) for v in main.values]
    sets = [frozenset(row) for row in objects_of(main)]
    other = [len({s for b, s in zip(bags, sets, strict=True) if b == bag}) > 1 for bag in bags]
    assert value["ambiguous_scenes", None] == sum(other)
    assert value["ambiguous_share", None] == pytest.approx(np.mean(other))
    assert value["unshared_scenes", None] == main.unshared.sum()
