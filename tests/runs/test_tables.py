"""The paper's tables beside a run."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from bindscope.errors import StoreError, UnknownNameError
from bindscope.results import Results
from bindscope.runs.paper_tables import FORMATS, paper, render, side_by_side, tables
from report.synthetic import record, write_run


def made(tmp_path: Path, **config: object) -> Path:
    words = {"estimator": "avg", "target": "value", "split": "in_sample"}
    records = [
        record("geometry", "r2", 0.931, 0.004, estimator="avg", target="level1", split="in_sample"),
        record("geometry", "r2", 0.2, 0.004, estimator="avg", target="level1", split="held_out"),
        record("editing", "retrieval_top1", 0.872, 0.01, **words),
        record("editing", "retrieval_top1", 0.5, 0.01, extra={"slot": 1}, **words),
        record("removal", "concept_recognition", 0.061, 0.02, estimator="subtract", target="concepts"),
        record("removal", "object_recognition", -0.0001, 0.02, estimator="subtract", target="objects"),
    ]
    return write_run(tmp_path / "run", records, **config)


def test_our_figure_stands_beside_the_papers(tmp_path: Path) -> None:
    first, second, third = tables(made(tmp_path))
    line = first.lines[0]
    assert (line.figure, line.ours, line.paper) == ("R², avg", 0.931, 0.90)
    assert line.low == pytest.approx(0.927)
    assert next(x.ours for x in second.lines if x.figure == "retrieval, avg, all edits of a value") == 0.872
    assert next(x for x in third.lines if x.figure == "− concept component: concepts").paper == 0.06
    assert "a model that this run does not have (st:some/encoder)" in first.against


@pytest.mark.parametrize(
    ("model", "data", "modality", "expected"),
    [
        ("openclip:ViT-B-32,openai", "clevr:8x3", "image", "CLIP on CLEVR"),
        ("hf:openai/clip-vit-base-patch32", "clevr2d:8x3", "image", "no row"),
        ("hf:facebook/dinov2-base", "labels:spare.csv", "image", "DINOv2 on PUG:SPARE"),
        ("openclip:ViT-B-32,", "text:10x10", "text", "random initialisation on Text"),
        ("st:x", "labels:a.csv", "labels", "no row"),
    ],
)
def test_the_row_of_the_paper_fits_model_and_data(
    tmp_path: Path, model: str, data: str, modality: str, expected: str
) -> None:
    table = tables(made(tmp_path, model=model, data=data, modality=modality))[0]
    assert table.against.startswith(expected)


def test_the_papers_edits_stand_beside_all_edits(tmp_path: Path) -> None:
    words = {"estimator": "avg", "target": "value", "split": "in_sample"}
    paper_words = {"protocol": "paper"}
    records = [
        record("editing", "retrieval_top1", 0.882, 0.01, extra=paper_words, **words),
        record("editing", "retrieval_top1", 0.577, 0.01, extra={**paper_words, "other": "same"}, **words),
        record("editing", "retrieval_top1", 0.916, 0.01, extra={**paper_words, "other": "different"}, **words),
        record("editing", "retrieval_top1", 0.818, 0.01, **words),
        record("editing", "object_recognition", 0.4, 0.01, extra=paper_words, **words),
    ]
    run = write_run(tmp_path / "one", records, model="openclip:ViT-B-32,openai", data="clevr:8x3", modality="image")
    ours = {line.figure: line for line in tables(run)[1].lines}
    start = "retrieval, avg, the paper’s edits"
    assert (ours[start].ours, ours[start].paper) == (0.882, 1.00)
    assert ours[f"{start}, value of the other object shared"].ours == 0.577
    assert ours[f"{start}, value of the other object different"].ours == 0.916
    every, objects = ours["retrieval, avg, all edits of a value"], ours["probing of objects, avg, the paper’s edits"]
    assert [(line.ours, line.paper) for line in (every, objects)] == [(0.818, None), (0.4, None)]


def test_several_runs_are_several_rows(tmp_path: Path) -> None:
    run = made(tmp_path)
    other = write_run(
        tmp_path / "other", [record("geometry", "r2", 0.5, 0.004, estimator="avg", target="level1", split="in_sample")]
    )
    first, *_ = side_by_side([run, other])
    assert [(line.run, line.ours) for line in first.lines[:2]] == [("run", 0.931), ("other", 0.5)]
    text = render(side_by_side([run, other]), "text")
    assert "R², avg: run" in text
    assert "R², avg: other" in text
    assert len(first.lines) == 2 * len(tables(run)[0].lines)
    assert side_by_side([run]) == tables(run)


def test_images_take_the_papers_images_and_what_is_missing_is_said(tmp_path: Path) -> None:
    run = made(tmp_path, model="openclip:ViT-B-32,openai", data="clevr2d:8x3", modality="image")
    _, second, third = tables(run)
    assert (
        next(x for x in second.lines if x.figure == "probing of all concepts, single, the paper’s edits").paper == 0.92
    )
    assert next(x for x in third.lines if x.figure == "original: objects").paper == 0.96
    bare = write_run(tmp_path / "bare", [record("audit", "n_scenes", 3.0)])
    assert all("not in this run, add --analyses" in table.ours for table in tables(bare))
    assert all(line.ours is None for table in tables(bare) for line in table.lines)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_holds_every_figure(tmp_path: Path, form: str) -> None:
    text = render(tables(made(tmp_path)), form)
    for figure in ("0.931", "0.872", "0.061", "0.927"):
        assert figure in text
    assert "2605.31503" in text
    assert paper()["source"].endswith("Tables 1 to 3")


def test_csv_is_read_back_and_latex_is_escaped(tmp_path: Path) -> None:
    found = tables(made(tmp_path, model="a_b&c%{x}"))
    rows = list(csv.DictReader(io.StringIO(render(found, "csv"))))
    assert len(rows) == sum(len(table.lines) for table in found)
    assert float(rows[0]["ours"]) == 0.931
    assert rows[0]["ci_low"]
    latex = render(found, "latex")
    assert r"a\_b\&c\%\{x\}" in latex
    assert latex.count(r"\begin{table}") == 3
    assert "−" not in latex


def test_text_never_says_minus_zero(tmp_path: Path) -> None:
    assert "-0.000" not in render(tables(made(tmp_path)), "text")


def test_bad_formats_and_directories_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown format 'html'"):
        render([], "html")
    with pytest.raises(StoreError, match="no run directory"):
        tables(tmp_path)


def test_a_run_of_no_model_on_no_data_is_refused(tmp_path: Path) -> None:
    run = made(tmp_path)
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    del config["data"]
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(StoreError, match="is no run of one model on one data set; give a run directory of"):
        tables(run)


def test_a_training_run_is_refused_with_the_command_that_makes_the_figures(tmp_path: Path) -> None:
    run = made(tmp_path)
    Results([record("training", "object_recognition", 0.5, 0.1, estimator="zero_shot")]).write(run)
    with pytest.raises(
        StoreError, match=r"is a training run.*bindscope diagnose .* --analyses geometry,editing,removal"
    ):
        tables(run)
