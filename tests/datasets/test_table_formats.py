"""Formats of label tables: each gives the same scenes; files of other kinds are refused by name before they are read."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bindscope.datasets import load_dataset
from bindscope.datasets.labels import read_labels
from bindscope.errors import BindscopeError, StoreError, TableError

HEAD = ("object1_color", "object1_shape", "object2_color", "object2_shape")
OBJECTS = list(itertools.product(("red", "blue"), ("cube", "ball")))
ROWS = [(*a, *b) for a in OBJECTS for b in OBJECTS if a != b]


def text(separator: str, rows: Sequence[Sequence[str]] = ROWS) -> bytes:
    return ("\n".join(separator.join(row) for row in [HEAD, *rows]) + "\n").encode()


def lines(rows: Sequence[Sequence[str]] = ROWS) -> bytes:
    return "".join(json.dumps(dict(zip(HEAD, row, strict=True))) + "\n" for row in rows).encode()


FORMATS: dict[str, Callable[[], bytes]] = {
    "t.csv": lambda: text(","),
    "t.CSV": lambda: text(","),
    "t.tsv": lambda: text("\t"),
    "t.tab": lambda: text("\t"),
    "t.jsonl": lines,
    "t.ndjson": lambda: b"\xef\xbb\xbf\n" + lines() + b"\n\n",
    "t.csv.gz": lambda: gzip.compress(text(","), mtime=0),
    "t.tsv.gz": lambda: gzip.compress(text("\t"), mtime=0),
    "t.jsonl.gz": lambda: gzip.compress(lines()[:100], mtime=0) + gzip.compress(lines()[100:], mtime=0),
}


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_format_gives_the_same_scenes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FORMATS[name]())
    data = load_dataset(f"labels:{tmp_path / name}")
    assert [data.describe(i) for i in range(12)] == [f"{a} {b} + {c} {d}" for a, b, c, d in ROWS]


def test_json_lines_of_numbers_nulls_and_other_keys(tmp_path: Path) -> None:
    rows = [
        '{"object1_n": 1, "object2_n": 2.0, "box": [1, 2], "object2_big": true, "object1_big": false}',
        '{"object1_n": 2.5, "object1_big": true, "object2_n": null, "note": {"a": 1}}',
        '{"object1_n": 1, "object1_big": false, "object2_n": NaN, "object2_big": null}',
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(rows))
    table = read_labels(tmp_path / "t.jsonl")
    assert [table.describe(i) for i in range(3)] == ["1 False + 2 True", "2.5 True", "1 False"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", b'{"object1_a": "x"', "line 1 is not JSON .*; write one object a line"),
        ("t.jsonl", b'{"object1_a": "x"}\n[1]', "line 2 holds a list"),
        ("t.jsonl", b'{"object1_a": ["x"]}', "line 1: object1_a holds a list; expected text or a number"),
        ("t.jsonl", b'{"object1_a": "x", "object1_a": "y"}', "key 'object1_a' stands twice"),
        ("t.jsonl", b"[" * 100_000, "line 1 is not JSON"),
        ("t.jsonl", b'{"object1_a": ' + b"9" * 5000 + b"}", "line 1 is not JSON"),
        ("t.jsonl", b"\n\n", "the table has no rows"),
        ("t.jsonl", b'{"a": 1}', "no columns object1_<concept>"),
        (
            "t.csv",
            text(",").replace(b"\nblue", b'\n"blue', 1) + b'"blue,cube,red,ball\n',
            "quote before it is not closed|not a CSV",
        ),
        (
            "t.csv",
            text(",", [*ROWS[:3], ("red", "cube", "blue", '"ball'), *ROWS, ("red", "cube", "blue", 'x"')]),
            "not closed",
        ),
        ("t.tsv", text(","), "separated by commas, expected tabs; save the file with tabs"),
        ("t.csv", text("\t"), "separated by tabs, expected commas"),
        ("t.csv", gzip.compress(text(","), mtime=0), "gzip data: give it a name in .gz"),
        ("t.csv", b"PK\x03\x04rest", "zip archive or spreadsheet: save it as CSV"),
        ("t.csv.gz", text(","), "Not a gzipped file|not a whole gzip file"),
        ("t.csv.gz", gzip.compress(text(","), mtime=0)[:-9], "not a whole gzip file|cannot read"),
        ("t.csv.gz", gzip.compress(text(","), mtime=0)[:20] + b"\xff" * 30, "not a whole gzip file|cannot read"),
        ("t.xlsx", b"PK\x03\x04", "got the spreadsheet .xlsx; save its sheet as CSV in UTF-8"),
        ("t.ods", b"", "got the spreadsheet .ods"),
        ("t.xls", b"", "got the spreadsheet .xls"),
        ("t.txt.gz", b"", "got .gz"),
        ("t.parquet.gz", b"", "got .gz"),
        ("t.json", b"[]", "not the scenes of CLEVR"),
    ],
)
def test_files_that_cannot_be_read_as_they_are(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises((StoreError, TableError), match=message) as caught:
        read_labels(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value).replace(str(tmp_path), "")) < 300


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.jsonl", "t.parquet", "t.json"])
def test_pipes_devices_and_directories_are_refused_before_they_block(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(StoreError, match="it is a pipe, socket or device, expected a regular file"):
        read_labels(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(StoreError, match="pipe, socket or device"):
        read_labels(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(StoreError, match="Is a directory"):
        read_labels(tmp_path / name)
    with pytest.raises(StoreError, match="cannot read"):
        read_labels(tmp_path / ("x" * 300 + name))
    with pytest.raises(StoreError, match="cannot read"):
        read_labels(f"{tmp_path}/a\0{name}")


def test_text_of_a_parquet_file_that_is_no_text(tmp_path: Path) -> None:
    column = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    pq.write_table(pa.table({"object1_a": column}), tmp_path / "t.parquet")
    with pytest.raises(StoreError, match=r"not a whole parquet file .*decode"):
        read_labels(tmp_path / "t.parquet")


def test_files_that_unpack_to_far_more_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bindscope.datasets.columns.MAX_INFLATED", 10_000)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text(",") + b"x" * 10**6, mtime=0))
    with pytest.raises(StoreError, match="unpacks to more than 100 times its size"):
        read_labels(tmp_path / "t.csv.gz")
    monkeypatch.setattr("bindscope.datasets.columns.MAX_TABLE_ROWS", 1000)
    pq.write_table(pa.table({"object1_a": ["x"] * 2000}), tmp_path / "t.parquet")
    with pytest.raises(StoreError, match=r"declares 2,000 rows in [\d,]+ bytes; at most 1,000"):
        read_labels(tmp_path / "t.parquet")


def thing(color: str, shape: str, x: float, **more: Any) -> dict[str, Any]:
    return {
        "color": color,
        "shape": shape,
        "size": "large",
        "material": "metal",
        "pixel_coords": [x, 90.0, 11.0],
    } | more


def clevr(scenes: Sequence[Sequence[dict[str, Any]]], **more: Any) -> str:
    listed = [
        {
            "image_index": i,
            "image_filename": f"CLEVR_val_{i:06d}.png",
            "split": "val",
            "objects": list(objects),
            "relationships": {},
        }
        for i, objects in enumerate(scenes)
    ]
    return json.dumps({"info": {"version": "1.0", "split": "val"}, "scenes": [scene | more for scene in listed]})


def test_scenes_of_clevr_are_read_from_left_to_right(tmp_path: Path) -> None:
    scenes = [
        [thing("red", "cube", 300), thing("blue", "sphere", 20)],
        [thing("blue", "sphere", 300), thing("red", "cube", 20)],
        [thing("red", "cube", 5), thing("gray", "cube", 3), thing("blue", "sphere", 4)],
    ]
    (tmp_path / "scenes.json").write_text(clevr(scenes))
    table = read_labels(tmp_path / "scenes.json")
    assert table.space.names == ("size", "color", "material", "shape")
    assert table.describe(0) == "large blue metal sphere + large red metal cube"
    assert table.describe(1) == "large red metal cube + large blue metal sphere"
    assert table.counts.tolist() == [2, 2, 3]
    assert table.describe(2).split(" + ")[0] == "large gray metal cube"


def test_places_on_the_floor_serve_where_pixels_are_missing(tmp_path: Path) -> None:
    scenes = [[thing("red", "cube", 0, pixel_coords=None), thing("blue", "cube", 0, pixel_coords=None)]]
    scenes[0][0]["3d_coords"], scenes[0][1]["3d_coords"] = [1.0, -2.0, 0.5], [-1.0, 2.0, 0.5]
    (tmp_path / "a.json").write_text(clevr(scenes))
    assert read_labels(tmp_path / "a.json").describe(0).startswith("large blue")
    (tmp_path / "b.json").write_text(clevr(scenes, directions={"right": [0.0, 1.0, 0.0]}))
    assert read_labels(tmp_path / "b.json").describe(0).startswith("large red")


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ([thing("red", "cube", 0, pixel_coords=None)], "neither pixel_coords nor 3d_coords"),
        ([thing("red", "cube", 0, pixel_coords=["a", "b", "c"])], "neither pixel_coords nor 3d_coords"),
        ([{**thing("red", "cube", 0), "color": None}], "scene 0 .from 0.: color must be a word, got 'None'"),
        ([{"pixel_coords": [1, 2, 3]}], "size must be a word"),
        ([5], "neither pixel_coords"),
    ],
)
def test_scenes_of_clevr_that_lack_something(tmp_path: Path, objects: list[Any], message: str) -> None:
    (tmp_path / "s.json").write_text(clevr([objects]))
    with pytest.raises(TableError, match=message):
        read_labels(tmp_path / "s.json")
    (tmp_path / "s.json").write_text('{"scenes": []}')
    with pytest.raises(TableError, match="the list of scenes is empty"):
        read_labels(tmp_path / "s.json")
    (tmp_path / "s.json").write_text('{"scenes": [{"objects": []}]}')
    with pytest.raises(TableError, match="image_filename must be a word"):
        read_labels(tmp_path / "s.json")


def test_clevr_as_it_is_published(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    root = tmp_path / "CLEVR_v1.0"
    for folder in ("images/val", "scenes"):
        (root / folder).mkdir(parents=True)
    scenes = [[thing(a, s, 1), thing(b, t, 2)] for (a, s), (b, t) in itertools.permutations(OBJECTS, 2)]
    for i in range(len(scenes)):
        image.new("RGB", (8, 8), (i, 0, 0)).save(root / "images" / "val" / f"CLEVR_val_{i:06d}.png")
    (root / "scenes" / "CLEVR_val_scenes.json").write_text(clevr(scenes))
    with pytest.raises(StoreError, match=r"add \?labels=scenes/CLEVR_val_scenes.json"):
        load_dataset(f"folder:{root}")
    data = load_dataset(f"folder:{root}?labels=scenes/CLEVR_val_scenes.json")
    assert [path.parent.name for path in data.items.images or ()] == ["val"] * 12
    beside = tmp_path / "beside"
    (root / "images" / "val").rename(beside)
    (beside / "scenes.json").write_text(clevr(scenes))
    assert len(load_dataset(f"folder:{beside}")) == 12  # scenes.json beside the pictures


def test_an_archive_is_no_table(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("t.csv", text(","))
    with pytest.raises(BindscopeError, match=r"got \.zip"):
        read_labels(tmp_path / "t.zip")
