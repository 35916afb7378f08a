"""Records and their files: nothing is lost on the way, the bytes are determined, damage is named."""

from __future__ import annotations

import csv
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindscope.errors import InputError, StoreError
from bindscope.results import COLUMNS, FLOATS, INTEGERS, Record, Results, read_results

texts = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=6)
numbers = st.none() | st.floats(allow_nan=True, allow_infinity=True)
counts = st.none() | st.integers(-(2**60), 2**60)
extras = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-1, 1) | st.lists(st.text("aé", max_size=2), max_size=2),
    max_size=3,
)
records = st.builds(
    Record,
    analysis=st.sampled_from(("geometry", "recognition", "an_analysis_of_others")),
    metric=st.sampled_from(["r2", "share"]),
    estimator=texts,
    target=texts,
    model=texts,
    **dict.fromkeys(FLOATS, numbers),  # type: ignore[arg-type]
    **dict.fromkeys(INTEGERS, counts),  # type: ignore[arg-type]
    extra=extras,
)

SOME = Results(
    [
        Record("recognition", "object_recognition", 0.25, target="all", estimator="probe", ci_low=0.2, n_ties=3),
        Record("recognition", "object_recognition", 0.125, target="unshared", estimator="probe"),
        Record("recognition", "object_recognition", 0.5, target="all", estimator="probe", extra={"protocol": "paper"}),
        Record("geometry", "r2", None, estimator="ols", model="a", n_scenes=9900),
    ]
)


def test_columns_are_the_public_contract() -> None:
    assert (
        *("analysis", "metric", "estimator", "target", "model", "modality", "dataset", "split", "coverage"),
        *("value", "ci_low", "ci_high", "chance", "ceiling", "n_scenes", "n_objects", "n_ties", "seed", "extra"),
        *("config_hash", "version", "words_low", "words_high"),
    ) == COLUMNS
    assert {f.name for f in fields(Record)} == set(COLUMNS)
    assert tuple(SOME.records[0].row()) == COLUMNS


@given(st.lists(records, max_size=5))
@settings(deadline=None, max_examples=40, derandomize=True)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[Record]) -> None:
    directory = tmp_path_factory.mktemp("run")
    results = Results(rows)
    results.write(directory)
    assert read_results(directory).records == results.records
    assert read_results(directory / "results.parquet").records == results.records
    told = json.loads((directory / "results.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert [Record(**row) for row in told] == rows
    with (directory / "results.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(rows)
    for line, record in zip(table, rows, strict=True):
        assert json.loads(line["extra"]) == record.extra
        assert (line["value"] == "") == (record.value is None)


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Results(SOME.records).write(tmp_path / name)
        files.append({f.name: f.read_bytes() for f in (tmp_path / name).iterdir()})
    assert files[0] == files[1]
    assert set(files[0]) == {"results.parquet", "results.csv", "results.json"}


def test_numbers_become_pythons_and_what_is_not_finite_is_null() -> None:
    record = Record(
        "audit",
        "share",
        np.float32(0.5),  # type: ignore[arg-type]
        ci_low=float("nan"),
        ci_high=float("inf"),
        n_scenes=np.int64(4),  # type: ignore[arg-type]
        extra={"n": np.int64(3), "x": [np.float64(0.5), float("nan")], "t": (1, 2), "a": np.arange(2), 5: {"b": None}},
    )
    assert (type(record.value), record.ci_low, record.ci_high, type(record.n_scenes)) == (float, None, None, int)
    assert record.extra == {"n": 3, "x": [0.5, None], "t": [1, 2], "a": [0, 1], "5": {"b": None}}
    assert json.loads(record.row()["extra"]) == record.extra


def test_a_record_does_not_share_its_extra() -> None:
    extra = {"k": 1}
    record = Record("audit", "share", 1.0, extra=extra)
    extra["k"] = 2
    assert record.extra == {"k": 1}


def test_select_headline_and_one() -> None:
    assert len(SOME.select(metric="object_recognition")) == 3
    assert len(SOME.select(target=("all", "unshared"), estimator="probe")) == 3
    assert [r.value for r in SOME.select(lambda r: (r.value or 0) > 0.2)] == [0.25, 0.5]
    assert [r.value for r in SOME.select(lambda r: (r.value or 0) > 0.2, target="all", extra={})] == [0.25]
    assert [r.value for r in SOME.headline(target="all")] == [0.25]
    assert SOME.one(target="unshared").value == 0.125
    assert SOME.first(metric="share") is None
    assert SOME.first(metric="object_recognition") is SOME.records[0]
    assert len(SOME + SOME) == 8


def test_stamped_fills_only_what_is_null() -> None:
    stamped = SOME.stamped(model="b", seed=0)
    assert [r.model for r in stamped] == ["b", "b", "b", "a"]
    assert [r.seed for r in stamped] == [0, 0, 0, 0]
    assert SOME.records[0].model is None


def test_frame_has_types_also_without_rows() -> None:
    frame = SOME.to_frame()
    assert list(frame.columns) == list(COLUMNS)
    assert frame["value"].isna().tolist() == [False, False, False, True]
    empty = Results([]).to_arrow()
    assert empty.num_rows == 0
    assert {name: str(empty.schema.field(name).type) for name in ("value", "n_ties", "extra")} == {
        "value": "double",
        "n_ties": "int64",
        "extra": "string",
    }


def test_refusals() -> None:
    with pytest.raises(
        InputError, match="the analysis of a record is a word of small letters like 'geometry', got 'Magic!'"
    ):
        Record("Magic!", "r2", 1.0)
    for call in (SOME.select, SOME.headline, SOME.one, SOME.stamped):
        with pytest.raises(InputError, match="no such column: 'mertic'; columns: analysis, metric"):
            call(mertic="r2")
    with pytest.raises(InputError, match=r"expected one headline record with {'target': 'closed'}, found 0"):
        SOME.one(target="closed")
    with pytest.raises(InputError, match="found 2"):
        SOME.one(metric="object_recognition")


def test_writing_where_one_cannot(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot write results to .*missing"):
        SOME.write(tmp_path / "missing")


def test_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no results at .*results.parquet; expected a run directory made by"):
        read_results(tmp_path)
    SOME.write(tmp_path)
    file = tmp_path / "results.parquet"
    whole = file.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not parquet at all"):
        file.write_bytes(content)
        with pytest.raises(StoreError, match=r"cannot read .*damaged or not a bindscope result"):
            read_results(tmp_path)


@pytest.mark.parametrize(
    "rows",
    [
        [{"x": 1}],
        [{"analysis": "audit", "metric": "n", "value": 1.0, "colour": "red"}],
        [{"analysis": "audit", "metric": "n", "value": 1.0, "extra": "{"}],
        [{"analysis": "audit", "metric": "n", "value": 1.0, "extra": "[1]"}],
        [{"analysis": "audit", "metric": "n", "value": "much"}],
    ],
)
def test_tables_of_others_are_named(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "results.parquet")
    with pytest.raises(StoreError, match=r"cannot read .*damaged or not a bindscope result"):
        read_results(tmp_path)


def test_an_analysis_that_is_no_word_in_a_file_is_input_that_cannot_be_used(tmp_path: Path) -> None:
    rows = [{"analysis": "Magic!", "metric": "n", "value": 1.0}]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "results.parquet")
    with pytest.raises(InputError, match="the analysis of a record is a word"):
        read_results(tmp_path)
