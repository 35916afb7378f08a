"""Run directories: whole or not there, gone on with only by the same run, never over what is not ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bindscope import run_directory as rundir
from bindscope.errors import StoreError
from bindscope.results import Record, Results, read_results
from bindscope.run_directory import SCHEMA_VERSION, RunWriter, config_hash, read_config, versions, write_text

RECORDS = [Record("geometry", "r2", 0.5, "ols", "level1"), Record("audit", "n_scenes", 3, extra={"a": [1, None]})]
CONFIG = {"schema_version": SCHEMA_VERSION, "hash": "abc", "größe": 1}


def finish(folder: Path, digest: str = "abc") -> None:
    RunWriter.open(folder, digest, False).complete({**CONFIG, "hash": digest}, Results(RECORDS))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_run_appears_whole(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "run"
    writer = RunWriter.open(place, "abc", False)
    assert not place.exists()
    writer.keep("geometry", RECORDS)
    assert writer.complete(CONFIG, Results(RECORDS)) == place
    assert names(place) == {"config.json", "results.parquet", "results.csv", "results.json"}
    assert names(tmp_path / "deep") == {"run"}
    assert read_config(place) == CONFIG
    assert list(read_results(place)) == RECORDS


def test_what_was_finished_is_kept_for_the_same_run_alone(tmp_path: Path) -> None:
    place = tmp_path / "run"
    RunWriter.open(place, "abc", False).keep("geometry", RECORDS)
    same = RunWriter.open(place, "abc", True)
    assert same.finished("geometry") == RECORDS
    assert same.finished("variance") is None
    other = RunWriter.open(place, "xyz", True)  # another seed, say: nothing of it may pass into this run
    assert other.finished("geometry") is None
    RunWriter.open(place, "xyz", False).keep("geometry", RECORDS)
    assert RunWriter.open(place, "xyz", False).finished("geometry") is None  # without --resume it starts anew


@pytest.mark.parametrize("content", ["", "[", "{}", "[1]", '[{"analysis": "geometry"}]', '[{"strange": 1}]', "[{}]"])
def test_a_part_that_is_cut_short_is_made_again(tmp_path: Path, content: str) -> None:
    writer = RunWriter.open(tmp_path / "run", "abc", False)
    (writer.partial / "parts" / "geometry.json").write_text(content)
    assert not writer.finished("geometry")


def test_a_part_of_unknown_words_is_made_again(tmp_path: Path) -> None:
    writer = RunWriter.open(tmp_path / "run", "abc", False)
    rows = [{"analysis": "Astrology!", "metric": "r2", "value": 1.0}]
    (writer.partial / "parts" / "geometry.json").write_text(json.dumps(rows))
    assert writer.finished("geometry") is None


def test_a_new_run_replaces_the_old_one_only_when_it_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "run"
    finish(place)
    (place / "report.html").write_text("old")
    writer = RunWriter.open(place, "xyz", False)
    writer.keep("geometry", RECORDS)
    assert (place / "report.html").read_text() == "old"
    writer.complete({**CONFIG, "hash": "xyz"}, Results(RECORDS))
    assert read_config(place)["hash"] == "xyz"
    assert not (place / "report.html").exists()
    assert names(tmp_path) == {"run"}


def test_a_full_disk_leaves_the_old_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "run"
    finish(place)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    for target in ("pyarrow.parquet.write_table", "pathlib.Path.write_text", "os.replace"):
        writer = RunWriter.open(place, "xyz", False)
        with monkeypatch.context() as patched:
            patched.setattr(target, full)
            with pytest.raises(StoreError, match=r"cannot write .*No space left on device"):
                writer.complete({**CONFIG, "hash": "xyz"}, Results(RECORDS))
        assert read_config(place)["hash"] == "abc"
        assert list(read_results(place)) == RECORDS


def test_a_move_that_breaks_half_way_keeps_the_old_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old directory has been moved aside and the new one cannot be moved in."""
    import os

    place = tmp_path / "run"
    finish(place)
    writer = RunWriter.open(place, "xyz", False)
    writer.keep("geometry", RECORDS)
    real = os.replace

    def once(source: object, target: object) -> None:
        if Path(str(target)) == place and Path(str(source)) == writer.partial:
            raise OSError(5, "Input/output error")
        real(source, target)  # type: ignore[call-overload]

    with monkeypatch.context() as patched:
        patched.setattr(rundir.os, "replace", once)
        patched.setattr(rundir, "_exchanged", lambda one, other: False)
        with pytest.raises(StoreError, match=r"cannot write to .*Input/output error"):
            writer.complete({**CONFIG, "hash": "xyz"}, Results(RECORDS))
    assert read_config(place)["hash"] == "abc"
    assert RunWriter.open(place, "xyz", True).finished("geometry") == RECORDS  # and the new one can go on


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    for name in ("file", "mine"):
        with pytest.raises(StoreError, match=rf"{name} exists and is no run directory; give another --out or empty it"):
            RunWriter.open(tmp_path / name, "abc", False)
    (tmp_path / "empty").mkdir()
    RunWriter.open(tmp_path / "empty", "abc", False).complete(CONFIG, Results(RECORDS))
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"
    with pytest.raises(StoreError, match=r"cannot write to .*partial: .*; give another --out"):
        RunWriter.open(tmp_path / "file" / "run", "abc", False)
    (tmp_path / "new.partial").write_text("a file of that name")
    with pytest.raises(StoreError, match=r"cannot write to .*new\.partial"):
        RunWriter.open(tmp_path / "new", "abc", False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"is no run directory: it has no config\.json; make one with `bindscope diagnose`"),
        ("", r"cannot read .*the run is damaged"),
        ('{"schema_version": 1', r"the run is damaged"),
        ("[]", r"has schema version None and this bindscope reads"),
        ("{}", r"has schema version None"),
        ('{"schema_version": 0}', r"has schema version 0 and this bindscope reads 1; run `bindscope diagnose` again"),
        ('{"schema_version": "1"}', r"has schema version '1'"),
    ],
)
def test_configs_that_cannot_be_read(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(StoreError, match=message) as caught:
        read_config(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_is_no_run_directory(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with pytest.raises(StoreError, match=r"is no run directory"):
        read_config(tmp_path / "x")
    (tmp_path / "config.json").write_bytes(b"\xff\xfe")
    with pytest.raises(StoreError, match=r"cannot read"):
        read_config(tmp_path)


def test_text_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.txt"
    write_text(file, "alt: ä")
    assert file.read_text(encoding="utf-8") == "alt: ä"

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rundir.os, "replace", broken)
    with pytest.raises(StoreError, match=r"cannot write .*a\.txt: No space left on device"):
        write_text(file, "new")
    assert names(tmp_path) == {"a.txt"}
    assert file.read_text(encoding="utf-8") == "alt: ä"


def test_hashes_name_inputs() -> None:
    assert config_hash({"a": 1, "b": "ä"}) == config_hash({"b": "ä", "a": 1})
    assert config_hash({"a": 1}) != config_hash({"a": 2})
    assert len(config_hash({})) == 12
    assert {"python", "numpy", "scipy"} <= set(versions())
