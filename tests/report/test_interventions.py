"""Sections of removal and editing, and the explorer's data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bindscope.analyses.editing import findings as editing_findings
from bindscope.analyses.editing import section as editing
from bindscope.analyses.removal import findings as removal_findings
from bindscope.analyses.removal import section as removal
from bindscope.errors import StoreError
from bindscope.report import write_report
from bindscope.results import Results
from bindscope.show.run import read_run
from report.synthetic import editing_records, explorer_content, record, removal_records, write_run


def test_removal_says_what_came_out(tmp_path: Path) -> None:
    section = removal.build(read_run(write_run(tmp_path)))
    notes = " ".join(block.text for block in section.blocks if block.kind == "note")
    assert "the concepts are hidden (gain 0.001 nats, before: 2.100 nats)" in notes
    assert "objects can still be read (gain 3.400 nats, before: 3.900 nats)" in notes
    assert (
        "concepts recognised in 0.060 (before: 1.000, chance 0.030) and their objects in 0.920 (before: 0.970)" in notes
    )
    assert "p = 0.048" in notes
    assert "what these scenes allow" not in notes
    assert "Before anything is taken out" not in notes
    figures = [f.name for b in section.blocks for f in getattr(b, "figures", [b]) if f.kind == "figure"]
    names = ["recognition", "gain", "fits", "leace", "network", "dose"]
    assert figures == [f"removal_{name}" for name in names]


def test_nothing_more_to_remove_is_said_where_it_holds() -> None:
    words = {"estimator": "subtract", "target": "concepts", "split": "held_out"}
    shares = {"estimator": "subtract", "target": "interaction", "split": "in_sample"}
    bag = [
        record("removal", "cross_entropy_gain", 0.0, 0.001, **words),
        record("removal", "cross_entropy_gain", 0.001, 0.001, extra={"concept": "objects"}, **words),
        record("removal", "share", 1e-9, 1e-10, **shares),
        record("removal", "share", 1e-9, extra={"correction": "degrees of freedom"}, **shares),
    ]
    assert removal_findings.findings(Results(bag))[0].startswith("There is nothing more to remove")
    assert not removal_findings.nothing_more(Results(removal_records()))
    assert not removal_findings.nothing_more(Results([]))


def test_what_the_table_allows_is_said_where_it_is_little() -> None:
    words = {"estimator": "subtract", "target": "concepts"}
    reference = {"reference": "independent objects"}
    exact = {**reference, "readout": "own direction"}
    for trained, own, said in (
        (0.42, 0.5, "Nor could it with any number of scenes (scored along their own directions, 0.500)"),
        (0.63, 1.0, "There are too few scenes to train it: scored along their own directions, 1.000"),
        (0.98, 1.0, None),
    ):
        more = [
            record("removal", "object_recognition", trained, 0.02, split="held_out", extra=reference, **words),
            record("removal", "object_recognition", own, 0.02, split="all", extra=exact, **words),
        ]
        notes = " ".join(removal_findings.findings(Results([*removal_records(), *more])))
        assert ("what these scenes allow" in notes) == (said is not None)
        assert said is None or said in notes


def test_what_was_not_read_before_is_said() -> None:
    words = {"estimator": "subtract", "split": "held_out"}
    rows = [
        record("removal", "cross_entropy_gain", gain, 0.001, target=target, extra=extra, **words)
        for target in ("none", "concepts")
        for extra, gain in (({}, 0.8 if target == "none" else 0.0), ({"concept": "objects"}, -0.0004))
    ]
    notes = removal_findings.findings(Results(rows))
    assert notes[0].startswith("Before anything is taken out, the read-outs do not find the objects (gain 0.000 nats):")
    assert "hidden (gain 0.000 nats, before: 0.800 nats)" in notes[1]


def test_dose_runs_from_nothing_to_all_that_is_erased(tmp_path: Path) -> None:
    section = removal.build(read_run(write_run(tmp_path)))
    figures = {f.name: f for b in section.blocks for f in getattr(b, "figures", [b]) if f.kind == "figure"}
    telling, random = figures["removal_dose"].data
    assert list(telling["x"]) == [0.0, 0.5, 0.9]
    assert list(telling["y"]) == [1.0, 0.4, 0.06]
    assert list(random["x"]) == [0.0, 0.02, 0.05]


def test_editing_counts_and_says_where_only_the_order_is_missed(tmp_path: Path) -> None:
    every = Results(editing_records())
    said = " ".join(editing_findings.counted(every))
    assert "352,800 tried; counted and not tried: 3,600 no such scene; 12.0 of them not testable" in said
    assert "in any order of the objects, retrieval is 1.060 and not 0.880" in " ".join(
        editing_findings.unordered(every)
    )
    section = editing.build(read_run(write_run(tmp_path)))
    kinds = [block.kind for block in section.blocks]
    assert "explorer" in kinds
    assert kinds.count("gallery") == 2


def test_no_explorer_without_its_file_and_none_of_a_damaged_one(tmp_path: Path) -> None:
    run = write_run(tmp_path, editing_records())
    assert read_run(run).explorer is None
    page = write_report(run).read_text(encoding="utf-8")
    assert 'id="explorer"' not in page
    (run / "explorer.json").write_text("{", encoding="utf-8")
    with pytest.raises(StoreError, match=r"cannot read .*explorer\.json"):
        read_run(run)
    (run / "explorer.json").write_text("[]", encoding="utf-8")
    with pytest.raises(StoreError, match="is no explorer file"):
        read_run(run)


def test_the_explorers_words_cannot_leave_their_script(tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path)).read_text(encoding="utf-8")
    start = page.index('id="explorer">') + len('id="explorer">')
    text = page[start : page.index("</script>", start)]
    assert json.loads(text) == explorer_content()
    assert "<b>" not in text
