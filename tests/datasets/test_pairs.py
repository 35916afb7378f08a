"""Readers of hard-negative pairs: every layout in every format, what is odd is counted and named, the rest refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bindscope.datasets.pairs import PairSet, load_pairs
from bindscope.errors import InputError, StoreError, TableError

Row = dict[str, Any]
COLOURS, SHAPES = ("red", "blue", "green"), ("cube", "ball", "cone")


def triplet(i: int) -> Row:
    a, b = COLOURS[i % 3], COLOURS[(i + 1) % 3]
    return {
        "id": i,
        "filename": f"{i // 2}.jpg",
        "caption": f"a {a} cube and a {b} ball, number {i}",
        "caption2": f"number {i}: a {b} ball beside a {a} cube",
        "negative_caption": f"a {b} cube and a {a} ball, number {i}",
    }


TRIPLETS = [triplet(i) for i in range(6)]
CHOICES = [{k: v for k, v in row.items() if k != "caption2"} for row in TRIPLETS]


def as_csv(rows: Sequence[Row], path: Path, separator: str = ",") -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)


WRITERS: dict[str, Callable[[Sequence[Row], Path], object]] = {
    "pairs.csv": as_csv,
    "pairs.tsv": lambda rows, path: as_csv(rows, path, "\t"),
    "pairs.json": lambda rows, path: path.write_text(json.dumps(list(rows))),
    "keyed.json": lambda rows, path: path.write_text(json.dumps({str(i): row for i, row in enumerate(rows)})),
    "columns.json": lambda rows, path: path.write_text(
        json.dumps({key: [row[key] for row in rows] for key in rows[0]})
    ),
    "wrapped.json": lambda rows, path: path.write_text(json.dumps({"version": 1, "data": list(rows)})),
    "lines.json": lambda rows, path: path.write_text("\n".join(map(json.dumps, rows))),
    "pairs.jsonl": lambda rows, path: path.write_text("\n".join(map(json.dumps, rows)) + "\n\n"),
    "pairs.parquet": lambda rows, path: parquet.write_table(pa.Table.from_pylist(list(rows)), path),
}


def read(path: Path, options: str = "") -> PairSet:
    return load_pairs(f"{path}{options}", f"pairs:{path}{options}")


def saved(tmp_path: Path, rows: Any, options: str = "", name: str = "pairs.json") -> PairSet:
    file = tmp_path / name
    file.write_text(json.dumps(rows))
    return read(file, options)


def notes(pairs: PairSet) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {note.kind: (note.count, note.names) for note in pairs.notes}


@pytest.mark.parametrize("name", WRITERS)
def test_triplets_are_read_from_every_format(tmp_path: Path, name: str) -> None:
    WRITERS[name](TRIPLETS, tmp_path / name)
    pairs = read(tmp_path / name)
    assert pairs.layout == "triplets"
    for i, row in enumerate(TRIPLETS):
        said = (pairs.texts[pairs.caption[i]], pairs.texts[pairs.paraphrase[i]], pairs.texts[pairs.negatives[i, 0]])
        assert said == (row["caption"], row["caption2"], row["negative_caption"])
    assert pairs.cluster.tolist() == [0, 0, 1, 1, 2, 2]
    assert pairs.ids == tuple("012345")


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (("caption", "caption2", "negative_caption"), "triplets"),
        (("caption", "positive", "negative_caption"), "triplets"),
        (("Caption", "Caption2", "Negative Caption"), "triplets"),
        (("positive", "anchor", "negative"), "triplets"),
        (("positive_caption", "paraphrase", "negative_caption"), "triplets"),
    ],
)
def test_names_of_triplets(tmp_path: Path, names: tuple[str, str, str], layout: str) -> None:
    rows = [dict(zip(names, ("a red cube", "one red cube", "a cube, red"), strict=True)) for _ in range(2)]
    pairs = saved(tmp_path, rows)
    assert pairs.layout == layout
    assert pairs.texts[pairs.caption[0]] == "a red cube"
    assert pairs.texts[pairs.paraphrase[0]] == "one red cube"
    assert pairs.texts[pairs.negatives[0, 0]] == "a cube, red"


def pictures(tmp_path: Path, *names: str) -> None:
    from PIL import Image

    for i, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (40 * i % 255, 90, 10)).save(tmp_path / name)


def test_choice_with_pictures_beside_the_file(tmp_path: Path) -> None:
    pictures(tmp_path, "0.jpg", "1.jpg", "2.jpg")
    pairs = saved(tmp_path, CHOICES)
    assert (pairs.layout, pairs.has_images, pairs.has_wordings) == ("choice", True, False)
    assert [pairs.images[i].name for i in pairs.image] == [row["filename"] for row in CHOICES]
    assert not pairs.notes


def test_missing_pictures_are_counted_and_named(tmp_path: Path) -> None:
    pictures(tmp_path, "photos/0.jpg", "photos/2.jpg")
    pairs = saved(tmp_path, CHOICES, f"?images={tmp_path / 'photos'}")
    assert pairs.image.tolist() == [0, 0, -1, -1, 1, 1]
    assert notes(pairs)["missing_image"] == (2, ("2", "3"))
    assert saved(tmp_path, CHOICES, "?text=true").image.tolist() == [-1] * 6


@pytest.mark.parametrize(
    "row",
    [
        {"true_caption": "a cat on a mat", "false_caption": "a mat on a cat"},
        {"correct_caption": "a cat on a mat", "hard_text_1": "a mat on a cat", "hard_text_2": "on a cat a mat"},
        {"caption": "a cat on a mat", "negatives": ["a mat on a cat", "mat a on cat a"]},
        {"caption": "a cat on a mat", "negative_captions": "['a mat on a cat', 'mat a on cat a']"},
    ],
)
def test_names_of_choices(tmp_path: Path, row: Row) -> None:
    pairs = saved(tmp_path, [{"image_path": "a.jpg", **row}])
    assert (pairs.layout, pairs.texts[pairs.caption[0]]) == ("choice", "a cat on a mat")
    assert pairs.texts[pairs.negatives[0, 0]] == "a mat on a cat"


@pytest.mark.parametrize(
    "row",
    [
        {"image_0": "a.jpg", "image_1": "b.jpg", "caption_0": "a cat on a mat", "caption_1": "a mat on a cat"},
        {"image_1": "a.jpg", "image_2": "b.jpg", "caption_1": "a cat on a mat", "caption_2": "a mat on a cat"},
        {"image0": "a.jpg", "image1": "b.jpg", "caption0": "a cat on a mat", "caption1": "a mat on a cat"},
        {
            "image": "a.jpg",
            "negative_image": "b.jpg",
            "caption": "a cat on a mat",
            "negative_caption": "a mat on a cat",
        },
        ["a.jpg", "a cat on a mat", "b.jpg", "a mat on a cat"],
    ],
)
def test_two_pictures_and_two_captions(tmp_path: Path, row: Any) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg")
    pairs = saved(tmp_path, [row, row])
    assert pairs.layout == "two by two"
    assert [pairs.images[pairs.image[0]].name, pairs.images[pairs.other_image[0]].name] == ["a.jpg", "b.jpg"]
    assert pairs.texts[pairs.caption[0]] == "a cat on a mat"
    assert pairs.texts[pairs.negatives[0, 0]] == "a mat on a cat"
    assert notes(pairs)["duplicate"] == (1, ("1",))


OPTIONS = ["a mug on a desk", "a mug under a desk", "a mug left of a desk"]


@pytest.mark.parametrize(
    ("row", "right", "said"),
    [
        ({"image_path": "m.jpg", "caption_options": OPTIONS}, 0, "What'sUp"),
        ({"image_path": "m.jpg", "caption_options": OPTIONS, "label": 1}, 1, "column label, counted from 0"),
        ({"image_path": "m.jpg", "caption_options": OPTIONS, "label": 3}, 2, "column label, counted from 1"),
        ({"image": "m.jpg", "options": OPTIONS, "answer": OPTIONS[2]}, 2, "column answer"),
        ({"image": "m.jpg", "choices": json.dumps(OPTIONS), "correct": "1"}, 1, "column correct"),
    ],
)
def test_options_state_the_place_of_the_right_one(tmp_path: Path, row: Row, right: int, said: str) -> None:
    pairs = saved(tmp_path, [row, row])
    assert pairs.layout == "options"
    assert pairs.texts[pairs.caption[0]] == OPTIONS[right]
    assert pairs.place.tolist() == [right, right]
    assert said in pairs.right
    assert sorted(pairs.texts[i] for i in pairs.negatives[0]) == sorted(set(OPTIONS) - {OPTIONS[right]})


def test_place_of_the_right_option_by_option(tmp_path: Path) -> None:
    row = {"image_path": "m.jpg", "caption_options": OPTIONS[:2]}
    pairs = saved(tmp_path, [row], "?right=1")
    assert pairs.texts[pairs.caption[0]] == OPTIONS[1]
    with pytest.raises(TableError, match="nothing says which of choices is right"):
        saved(tmp_path, [{"image": "m.jpg", "choices": OPTIONS}])


def test_lists_with_the_right_caption_first_and_with_positives(tmp_path: Path) -> None:
    told = saved(tmp_path, [[397133, "a dog left of a bench", "a dog right of a bench"]])
    assert (told.texts[told.caption[0]], told.texts[told.negatives[0, 0]]) == (
        "a dog left of a bench",
        "a dog right of a bench",
    )
    told = saved(tmp_path, [["d.jpg", {"POS": ["a wet dog"], "NEG": ["a dry dog"]}]])
    assert (told.texts[told.caption[0]], told.texts[told.negatives[0, 0]]) == ("a wet dog", "a dry dog")


def test_numbers_of_coco_are_found_as_coco_writes_them(tmp_path: Path) -> None:
    pictures(tmp_path, "000000000042.jpg")
    assert saved(tmp_path, [[42, "a dog left of a bench", "a dog right of a bench"]]).has_images


def test_pictures_inside_a_parquet_file(tmp_path: Path) -> None:
    pictures(tmp_path, "one.png")
    inside = {"bytes": (tmp_path / "one.png").read_bytes(), "path": "one.png"}
    rows = [{"image_0": inside, "image_1": inside, "caption_0": "a b", "caption_1": "b a", "id": 3}]
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    parquet.write_table(pa.Table.from_pylist(rows), folder / "w.parquet")
    pairs = load_pairs(str(folder / "w.parquet"), "w", tmp_path / "cache")
    assert pairs.has_images
    assert pairs.images[0].read_bytes() == inside["bytes"]
    assert not load_pairs(str(folder / "w.parquet"), "w").has_images


def test_categories_by_column_and_by_file(tmp_path: Path) -> None:
    typed = [{**row, "type": "swap", "subtype": ["att", "obj"][i % 2]} for i, row in enumerate(TRIPLETS)]
    assert saved(tmp_path, typed).categories[:2] == ("swap att", "swap obj")
    assert saved(tmp_path, typed, "?category=subtype").categories[:2] == ("att", "obj")
    folder = tmp_path / "many"
    folder.mkdir()
    for name in ("swap", "replace"):
        (folder / f"{name}.json").write_text(json.dumps(TRIPLETS))
    pairs = read(folder)
    assert (len(pairs), set(pairs.categories)) == (12, {"swap", "replace"})
    assert pairs.ids[0] == "replace 0"


def test_what_is_odd_is_counted_and_named(tmp_path: Path) -> None:
    rows = {str(i): dict(row) for i, row in enumerate(TRIPLETS) if i != 3}
    rows["1"]["negative_caption"] = rows["1"]["caption"].upper()
    rows["2"]["negative_caption"] = rows["2"]["caption2"]
    rows["4"]["caption"] = "  "
    rows["9"] = {**TRIPLETS[0], "id": 9}
    found = notes(saved(tmp_path, rows))
    assert found["missing_id"] == (4, ("3", "6", "7", "8"))
    assert found["equal"] == (1, ("1",))
    assert found["equal_wording"] == (1, ("2",))
    assert found["empty"] == (1, ("4",))
    assert found["duplicate"] == (1, ("9",))
    pairs = saved(tmp_path, rows)
    assert len(pairs) == 5
    assert next(note for note in pairs.notes if note.kind == "empty").left_out


def test_ids_that_stand_twice_or_not_at_all(tmp_path: Path) -> None:
    rows = [{**row, "id": [0, 0, None, 3, 4, 5][i]} for i, row in enumerate(TRIPLETS)]
    found = notes(saved(tmp_path, rows))
    assert found["empty_id"] == (1, ("2",))
    assert found["repeated_id"] == (1, ("0",))


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (
            [{"sentence1": "a", "sentence2": "b", "score": 3}],
            r"its columns \(sentence1, sentence2, score\) fit no layout",
        ),
        ([{"caption": "a b", "negative_caption": "b a"}], "neither an image nor another wording"),
        ([{"caption": "", "caption2": "x", "negative_caption": "y"}], "none of its 1 rows has both"),
        ([1, 2], "entry 0 is int, expected an object"),
        ("text", "is no table"),
        ([], "has no rows"),
        ({}, "is no table"),
        ([{"image": "a.jpg", "caption": "b"}], "fit no layout"),
    ],
)
def test_other_tables_are_refused_in_one_line(tmp_path: Path, rows: Any, match: str) -> None:
    with pytest.raises(TableError, match=match) as refused:
        saved(tmp_path, rows)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    def content(name: str, data: bytes) -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    with pytest.raises(StoreError, match="is not JSON"):
        read(content("a.json", b'[{"caption": '))
    with pytest.raises(StoreError, match="line 2 is not JSON"):
        read(content("a.jsonl", b'{"caption": "x"}\n{"caption": \n'))
    with pytest.raises(StoreError, match="line 1 is not UTF-8"):
        read(content("a.csv", b"caption\xff"))
    with pytest.raises(StoreError, match="null byte"):
        read(content("a.csv", b"caption\0"))
    with pytest.raises(StoreError, match="not a whole parquet file"):
        read(content("a.parquet", b"PAR1 and no more"))
    with pytest.raises(StoreError, match="not a table with commas"):
        read(content("a.csv", b'a,b\n"x'))
    with pytest.raises(TableError, match="line 2 has 1 cells, the header has 2"):
        read(content("a.csv", b"a,b\nx\n"))
    with pytest.raises(TableError, match="separated by semicolons"):
        read(content("a.csv", b"a;b\nx;y\n"))
    with pytest.raises(TableError, match="column a stands twice"):
        read(content("a.csv", b"a,a\nx,y\n"))
    with pytest.raises(StoreError, match="key 'caption' stands twice"):
        read(content("a.jsonl", b'{"caption": "x", "caption": "y"}'))
    with pytest.raises(StoreError, match="key '7' stands twice"):
        read(content("a.json", b'{"7": {"caption": "x"}, "7": {"caption": "y"}}'))
    with pytest.raises(StoreError, match="gzip data: give it a name in"):
        read(content("a.csv", b"\x1f\x8b and more"))
    with pytest.raises(StoreError, match="not a whole gzip file"):
        read(content("a.csv.gz", b"\x1f\x8b and more"))
    with pytest.raises(StoreError, match="expected a file of"):
        read(content("a.parquet.gz", b""))
    with pytest.raises(StoreError, match="nested too deeply"):
        read(content("a.json", b"[" * 100_000))
    with pytest.raises(StoreError, match="there is no such file"):
        read(tmp_path / "none.json")
    with pytest.raises(StoreError, match=r"expected a file of \.csv"):
        read(content("a.txt", b"a"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="holds no file of"):
        read(tmp_path / "empty")
    with pytest.raises(StoreError, match="is no directory"):
        saved(tmp_path, TRIPLETS, f"?images={tmp_path / 'nowhere'}")
    with pytest.raises(InputError, match="has no column 'kind'"):
        saved(tmp_path, TRIPLETS, "?category=kind")
    with pytest.raises(InputError, match="needs a file"):
        load_pairs("", "pairs:")


def test_same_file_same_digest(tmp_path: Path) -> None:
    one, two = saved(tmp_path, TRIPLETS), saved(tmp_path, TRIPLETS)
    other = saved(tmp_path, TRIPLETS[:5])
    assert one.digest == two.digest != other.digest
    import numpy as np

    some = one.take(np.array([2, 0]))
    assert (some.ids, some.texts) == (("2", "0"), one.texts)
    assert some.digest != one.digest


cells = st.one_of(st.none(), st.text(max_size=12), st.integers(-3, 30), st.lists(st.text(max_size=4), max_size=3))
columns = st.sampled_from(
    ["id", "filename", "image", "caption", "caption2", "negative_caption", "caption_options", "label", "image_0", "x"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.one_of(st.lists(st.dictionaries(columns, cells, max_size=8), max_size=5), st.recursive(cells, st.lists)))
def test_any_json_is_read_or_refused_in_one_line(tmp_path: Path, rows: Any) -> None:
    try:
        pairs = saved(tmp_path, rows)
    except InputError as refused:
        assert "\n" not in str(refused)  # noqa: PT017 - either outcome is right
    else:
        assert len(pairs) + sum(note.count for note in pairs.notes if note.left_out) == len(rows)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1), min_size=3, max_size=9)
)
@pytest.mark.parametrize("name", ["pairs.csv", "pairs.json", "pairs.jsonl", "pairs.parquet"])
def test_texts_come_back_as_they_stand(tmp_path: Path, name: str, words: list[str]) -> None:
    rows = [
        dict(zip(("caption", "caption2", "negative_caption"), (w + "a", w + "b", w + "c"), strict=True)) for w in words
    ]
    WRITERS[name](rows, tmp_path / name)
    pairs = read(tmp_path / name)
    assert [pairs.texts[i] for i in pairs.caption] == [w + "a" for w in words]
    assert [pairs.texts[i] for i in pairs.negatives[:, 0]] == [w + "c" for w in words]
