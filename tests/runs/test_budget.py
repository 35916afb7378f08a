"""The cost of a sweep: sums by hand, hours from the peak, forms, and that nothing is trained or written."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from bindscope.cli.sweep import _models_table
from bindscope.controlled.cost import step_flops
from bindscope.errors import InputError, UnknownNameError
from bindscope.runs.budget import GPUS, budget, notes, pages, render
from bindscope.runs.sweep import configs_of, make_spec, read_spec
from commands import exit_code

STUDIES = Path(__file__).resolve().parents[2] / "studies"
SPEC = {
    "fixed": {"width": 16, "heads": 2, "feed_forward": 32, "output": 16, "batch": 16},
    "points": [{"concepts": 2, "values": 4}, {"concepts": 3, "values": 3}],
    "grid": {"coverage": [0.5, 0.7], "steps": [10, 30]},
}


def test_sums_are_those_of_the_models() -> None:
    configs = configs_of(make_spec(SPEC))
    made = budget(configs, measure=False)
    assert made.models == len(configs) == 8
    assert made.flops == pytest.approx(sum(step_flops(c) * c.steps for c in configs))
    assert [(g.concepts, g.values, g.objects, g.models, g.steps) for g in made.groups] == [
        (2, 4, 16, 4, 80),
        (3, 3, 27, 4, 80),
    ]
    assert made.gpu_hours(100.0) == pytest.approx(made.flops / (100e12 * 0.35 * 3600))
    assert budget(configs, 0.7, measure=False).gpu_hours(100.0) == pytest.approx(made.gpu_hours(100.0) / 2)


def test_a_step_is_timed_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = budget(configs_of(make_spec(SPEC)))
    assert made.timed is not None
    assert made.timed.rate > 0
    assert len(pages(made)) == 3
    assert not list(tmp_path.iterdir())


def test_wrong_questions() -> None:
    with pytest.raises(InputError, match="at least one"):
        budget([])
    configs = configs_of(make_spec(SPEC))
    for share in (0.0, 1.5, float("nan")):
        with pytest.raises(InputError, match=r"share of the peak in 0\.\.1"):
            budget(configs, share)
    with pytest.raises(UnknownNameError, match="markdown"):
        render(budget(configs, measure=False), "x.yaml", "markdwn")


def test_the_forms_agree() -> None:
    made = budget(configs_of(make_spec(SPEC)), measure=False)
    rows = list(csv.reader(io.StringIO(render(made, "x.yaml", "csv"))))
    assert sum(row[:2] == ["A100 SXM", "bf16"] for row in rows) == 1
    text = render(made, "x.yaml", "markdown")
    assert text.startswith("# What 8 models of `x.yaml` cost")
    assert all(f"| {' | '.join(row)} |" in text for row in rows if len(row) > 1)
    assert set(made.as_dict()["gpus"]) == set(GPUS)
    assert not any("upper bound" in note for note in notes(made, "x.yaml"))
    stopping = configs_of(make_spec({**SPEC, "fixed": {"patience": 3}}))
    assert any("upper bound" in note for note in notes(budget(stopping, measure=False), "x.yaml"))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = tmp_path / "sweep.yaml"
    spec.write_text(json.dumps(SPEC), encoding="utf-8")
    assert exit_code(["sweep", "sweep.yaml", "--cost"]) == 0
    printed = capsys.readouterr()
    assert "A100 SXM" in printed.out
    assert "RAY_ADDRESS=HEAD:6379 bindscope sweep sweep.yaml --out DIR --engine ray" in printed.out
    assert exit_code(["sweep", "sweep.yaml", "--cost", "--json", "--utilisation", "0.5"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["models"], found["utilisation"]) == (8, 0.5)
    assert found["timed_step"]["flops_per_second"] > 0
    assert exit_code(["sweep", "sweep.yaml", "--cost", "--format", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("# What 8 models")
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.yaml"]
    assert exit_code(["sweep", "sweep.yaml"]) == 2
    assert "--out DIR" in capsys.readouterr().err
    assert exit_code(["sweep", "sweep.yaml", "--cost", "--format", "cvs"]) == 2
    assert "did you mean csv" in capsys.readouterr().err


def test_the_table_of_models_shows_the_settings_that_differ() -> None:
    rows = [
        {"run": "r", "queries": queries, "seed": 0, "closed": 0.5, "test": 0.6, "train": 1.0, "test_concepts": 1.0}
        for queries in ("train", "all")
    ]
    table = _models_table(rows, ["queries", "seed"])
    assert [str(column.header) for column in table.columns] == ["run", "queries", "closed", "test", "train", "concepts"]
    assert list(table.columns[1].cells) == ["train", "all"]


@pytest.mark.parametrize("file", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_sweep_of_the_repository_can_be_read(file: Path) -> None:
    configs = configs_of(read_spec(file))
    assert len(configs) > 1
    assert budget(configs, measure=False).flops > 0


def test_the_paper_sized_sweep_spans_what_it_says() -> None:
    configs = configs_of(read_spec(STUDIES / "paper500.yaml"))
    assert len(configs) == 500
    assert min(c.n_objects for c in configs) == 2500
    assert max(c.n_objects for c in configs) == 125_000
    assert {c.concepts for c in configs} == {2, 3}
    made = budget(configs, measure=False)
    assert all(18e6 < group.parameters < 21e6 for group in made.groups)
