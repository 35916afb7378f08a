"""The section of a training run: curves of its log, and the figures of the weights that were kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bindscope.analyses.training.section import build
from bindscope.controlled.log import log_records
from bindscope.report import write_report
from bindscope.results import Results
from bindscope.show.blocks import Gallery, Note
from bindscope.show.figures import Figure
from bindscope.show.run import Run, read_run
from report.synthetic import config, record

FINAL = [
    record("training", "object_recognition", 0.4, 0.1, estimator="zero_shot", target="closed", split="test"),
    record("training", "object_recognition", 0.9, 0.1, estimator="zero_shot", target="all", split="train"),
    record("training", "best_step", 500.0, target="all"),
]


def line(step: int, closed: float | None, train: float) -> dict[str, Any]:
    """A line of metrics.jsonl."""

    def figures(objects: float) -> dict[str, float | int]:
        shares = {"concept_recognition": 1.0, "concept_chance": 0.02, "chance": 0.001, "ceiling": 0.5}
        return {"object_recognition": objects, "n_scenes": 40, **shares}

    sides = {"train": figures(train)} | ({} if closed is None else {"closed": figures(closed)})
    return {"step": step, "loss": 4.0 - step / 1000, "seconds": step / 10, **sides}


def drawn(run: Run) -> dict[str, Figure]:
    blocks = build(run).blocks
    inside = [figure for block in blocks if isinstance(block, Gallery) for figure in block.figures]
    return {figure.name: figure for figure in (*inside, *(b for b in blocks if isinstance(b, Figure)))}


def test_curves_hold_the_lines_of_the_log_with_chance_and_ceiling_of_the_closed_scenes() -> None:
    log = [line(250, 0.1, 0.5), line(500, 0.4, 0.9), line(750, None, 0.95)]
    run = Run(config(), Results(FINAL), learning=Results(log_records(log)))
    found = drawn(run)
    assert list(found) == [
        "training_object_recognition",
        "training_concept_recognition",
        "training_loss",
        "training_final",
    ]
    closed, train, chance, ceiling = found["training_object_recognition"].data
    assert (list(closed["x"]), list(closed["y"])) == ([250, 500], [0.1, 0.4])
    assert (list(train["x"]), list(train["y"])) == ([250, 500, 750], [0.5, 0.9, 0.95])
    assert set(chance["y"]) == {0.001, None}
    assert set(ceiling["y"]) == {0.5, None}
    assert found["training_object_recognition"].note == "Chance and ceiling are those of: test objects, closed scenes."
    assert list(found["training_loss"].data[0]["y"]) == [3.75, 3.5, 3.25]
    notes = [
        b.text
        for b in build(Run(config(), Results(FINAL), learning=Results(log_records(log)))).blocks
        if isinstance(b, Note)
    ]
    assert notes == ["The weights are those of step 500 of 750, after 75 s of training."]


def test_without_a_log_the_figures_stand_alone() -> None:
    found = drawn(Run(config(), Results(FINAL)))
    assert list(found) == ["training_final"]


def test_a_run_whose_log_was_cut_short_has_its_page(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config()))
    Results(FINAL).write(tmp_path)
    (tmp_path / "metrics.jsonl").write_text(json.dumps(line(250, 0.1, 0.5)) + "\n" + '{"step": 500, "lo')
    assert {one.extra["step"] for one in read_run(tmp_path).learning} == {250}
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "Object recognition over training" in page
    assert (tmp_path / "figures" / "training_loss.json").is_file()
