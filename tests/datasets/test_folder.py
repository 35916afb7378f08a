"""Folders of labelled images: what is written is read back, the layouts of others, and everything that can be wrong."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bindscope.datasets import load_dataset
from bindscope.datasets.images.folder import write_folder
from bindscope.datasets.images.thumbnails import contact_sheet, thumbnail
from bindscope.datasets.images.worker import png_bytes
from bindscope.errors import BindscopeWarning, InputError, StoreError, TableError, UnknownNameError

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDSCOPE_CACHE", str(tmp_path / "cache"))


def image(path: Path, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((8, 8, 3), shade, dtype=np.uint8)
    if path.suffix == ".png":
        path.write_bytes(png_bytes(pixels))
    else:
        Image.fromarray(pixels).save(path)


def folder(tmp_path: Path, header: str, rows: Sequence[str], draw: bool = True) -> Path:
    place = tmp_path / "data"
    place.mkdir(exist_ok=True)
    (place / "labels.csv").write_text("\n".join([header, *rows]) + "\n")
    if draw:
        for i, row in enumerate(csv.reader(rows)):
            image(place / row[0].replace("\\", "/"), i)
    return place


def same_table(first, second) -> bool:
    visible = (first.visible is None) == (second.visible is None)
    if visible and first.visible is not None:
        visible = np.array_equal(first.visible, second.visible, equal_nan=True)
    arrays = ("values", "present", "replicate", "candidates")
    return (
        first.space == second.space
        and visible
        and all(np.array_equal(getattr(first, name), getattr(second, name)) for name in arrays)
    )


@pytest.mark.parametrize(
    "name",
    [
        "clevr2d:3x2?size=24&singles=true&replicates=2",
        "clevr2d:12x3?size=24&occlusion=0-0.6&scenes=40&m=3&sizes=2&materials=2",
        "clevr2d:4x1?size=24&m=1",
        "clevr2d:4x4?size=24&scenes=5",
    ],
)
def test_what_render_writes_is_read_back_to_the_same_table(name: str, tmp_path: Path) -> None:
    drawn = load_dataset(name)
    read = load_dataset(f"folder:{write_folder(drawn, tmp_path / 'out')}")
    assert same_table(drawn.table, read.table)
    assert read.slots == drawn.slots
    assert read.modality == "image"
    assert read.object_queries.texts == drawn.object_queries.texts
    assert [i.read_bytes() for i in drawn.items.images] == [i.read_bytes() for i in read.items.images]
    assert read.digest == drawn.digest
    write_folder(drawn, tmp_path / "out")  # an older one is replaced
    assert not list(tmp_path.glob(".out*"))


def test_render_refuses_what_has_no_images_and_what_is_not_its_own(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no images to write"):
        write_folder(load_dataset("text:2x2"), tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("")
    with pytest.raises(StoreError, match="is no folder of rendered images"):
        write_folder(load_dataset("clevr2d:2x2?size=24"), tmp_path / "full")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        write_folder(load_dataset("clevr2d:2x2?size=24"), tmp_path / "file" / "out")


PAPER = "filename,object1_color,object1_shape,object2_color,object2_shape,object1_color_idx,object2_color_idx"


def test_the_papers_layout(tmp_path: Path) -> None:
    place = folder(tmp_path, PAPER, ["a.png,red,cube,blue,ball,0,1", "b.png,blue,ball,red,cube,1,0"])
    data = load_dataset(f"folder:{place}")
    assert data.table.space.names == ("color", "shape")
    assert data.describe(0) == "red cube + blue ball"
    assert data.describe(1) == "blue ball + red cube"
    assert [i.name for i in data.items.images] == ["a.png", "b.png"]
    assert data.object_queries.texts == ("a blue ball", "a red cube")


def test_any_table_of_objects_with_subfolders_replicates_and_absent_objects(tmp_path: Path) -> None:
    header = "path,note,object1_fruit,object2_fruit,object3_fruit,visible1,visible2,visible3"
    rows = ["a/x.jpg,n,apple,pear,fig,1,1,0.5", "a/y.jpg,n,apple,pear,fig,1,0.25,1", "b\\z.jpg,n,pear,,,1,,"]
    data = load_dataset(f"folder:{folder(tmp_path, header, rows)}")
    assert data.table.n_slots == 3
    assert data.table.replicate.tolist() == [0, 1, 0]
    assert data.table.counts.tolist() == [3, 3, 1]
    assert data.table.visible[1, 1] == 0.25
    assert np.isnan(data.table.visible[2, 1])
    assert data.items.images[2].is_file()


def test_parquet_labels_and_an_images_subfolder(tmp_path: Path) -> None:
    import pandas as pd

    place = tmp_path / "data"
    image(place / "images" / "a.png"), image(place / "images" / "b.png", 1)
    pd.DataFrame({"filename": ["a.png", "b.png"], "object1_color": ["red", "blue"]}).to_parquet(
        place / "labels.parquet"
    )
    assert [i.parent.name for i in load_dataset(f"folder:{place}").items.images] == ["images", "images"]
    (place / "labels.parquet").rename(place / "mine.parquet")
    with pytest.raises(StoreError, match=r"no labels.csv.*add \?labels=mine.parquet"):
        load_dataset(f"folder:{place}")
    assert len(load_dataset(f"folder:{place}?labels=mine.parquet")) == 2


PUG = "filename,world_name,character_name,character2_name,character_texture,character2_texture,character_pos,character2_pos"


def test_pug_by_world_with_places_and_single_characters(tmp_path: Path) -> None:
    rows = [
        "0.png,Desert,cat,dog,red,blue,left,right",
        "1.png,Desert,cat,dog,red,blue,right,left",
        "2.png,Desert,cat,,red,,left,",
        "3.png,Desert,,dog,,blue,,right",
        "4.png,Desert,bear,None,red,None,right,None",
        "5.png,Sea,cat,dog,blue,red,left,right",
    ]
    place = folder(tmp_path, PUG, rows)
    with pytest.raises(TableError, match=r"rows of 2 worlds \(Desert, Sea\); choose one with \?world=Desert"):
        load_dataset(f"folder:{place}")
    data = load_dataset(f"folder:{place}?world=Desert")
    assert len(data) == 5
    assert data.slots == ("left", "right")
    assert data.table.space.names == ("character", "texture")
    assert data.table.counts.tolist() == [2, 2, 1, 1, 1]
    assert data.describe(1) == "dog blue on the left, cat red on the right"
    assert data.table.present.tolist()[2:] == [[True, False], [False, True], [False, True]]
    assert len(load_dataset(f"folder:{place}?world=all")) == 6
    with pytest.raises(UnknownNameError, match="unknown world 'Dessert'; did you mean Desert"):
        load_dataset(f"folder:{place}?world=Dessert")


def test_pug_incomplete_by_design_keeps_its_holes(tmp_path: Path) -> None:
    animals, textures = ("cat", "dog", "ape"), ("red", "blue", "grass")
    pairs = [(a, s, b, t) for a in animals for s in textures for b in animals for t in textures if a != b and s != t]
    rows = [f"{i}.png,W,{a},{b},{s},{t},,{''}" for i, (a, s, b, t) in enumerate(pairs)]
    data = load_dataset(f"folder:{folder(tmp_path, PUG, rows)}")
    assert data.table.unshared.all()
    assert len(data) == 36
    assert data.table.n_objects == 9
    assert data.slots == ("first", "second")


def test_pug_two_in_one_place_is_refused(tmp_path: Path) -> None:
    rows = ["0.png,W,cat,dog,red,blue,left,left", "1.png,W,cat,dog,red,blue,left,right"]
    with pytest.raises(TableError, match=r"data row 1 \(line 2\): both characters stand at 'left'"):
        load_dataset(f"folder:{folder(tmp_path, PUG, rows)}")


HEADER = "filename,object1_color,object2_color"


def test_missing_and_broken_images_are_counted_and_named_or_skipped(tmp_path: Path) -> None:
    rows = [f"{i}.png,red,blue" if i % 2 else f"{i}.png,blue,red" for i in range(12)] + ["p.jpg,red,red"]
    place = folder(tmp_path, HEADER, rows)
    (place / "0.png").unlink()
    (place / "1.png").write_bytes((place / "1.png").read_bytes()[:40])
    (place / "2.png").write_text("no image")
    damaged = bytearray((place / "3.png").read_bytes())
    damaged[45] ^= 255
    (place / "3.png").write_bytes(bytes(damaged))
    for i in (4, 5):
        (place / f"{i}.png").unlink()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(place / "p.jpg")
    (place / "p.jpg").write_bytes((place / "p.jpg").read_bytes()[:900])
    with pytest.raises(
        StoreError, match=r"7 of 13 images cannot be read: 0.png \(missing\), 1.png \(broken: .* and 2 more"
    ):
        load_dataset(f"folder:{place}")
    with pytest.warns(BindscopeWarning, match="7 of 13 images"):
        data = load_dataset(f"folder:{place}?skip_broken=yes")
    assert [i.name for i in data.items.images] == [f"{i}.png" for i in range(6, 12)]
    assert data.table.values[0].tolist() == [[0], [1]]
    assert data.table.values[1].tolist() == [[1], [0]]


def test_nothing_readable_is_refused_even_when_skipping(tmp_path: Path) -> None:
    place = folder(tmp_path, HEADER, ["a.png,red,blue"], draw=False)
    with pytest.raises(StoreError, match=r"no image can be read: a.png \(missing\)"):
        load_dataset(f"folder:{place}?skip_broken=true")


def test_images_without_labels_are_named(tmp_path: Path) -> None:
    place = folder(tmp_path, HEADER, ["a.png,red,blue", "b.png,blue,red"])
    image(place / "deep" / "c.png")
    image(place / ".hidden" / "d.png")
    with pytest.warns(BindscopeWarning, match=r"1 images have no row in labels.csv and are left out: deep/c.png"):
        assert len(load_dataset(f"folder:{place}")) == 2


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        (
            HEADER,
            ["a.png,red,blue", "./a.png,blue,red"],
            r"1 images stand in more than one row, e.g. a.png in data row 1",
        ),
        (HEADER, ["a.png,red,blue", ",blue,red"], r"data row 2 \(line 3\) has no filename"),
        ("name,object1_color", ["a.png,red"], "no column filename"),
        ("filename,color", ["a.png,red"], "no columns object1_<concept>"),
    ],
)
def test_label_tables_that_cannot_be_used(header: str, rows: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=words):
        load_dataset(f"folder:{folder(tmp_path, header, rows, draw=False)}")


def test_places_and_options_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is no directory"):
        load_dataset(f"folder:{tmp_path / 'none'}")
    with pytest.raises(StoreError, match=r"has no labels\.csv, which says what each image shows$"):
        load_dataset(f"folder:{tmp_path}")
    place = folder(tmp_path, HEADER, ["a.png,red,blue"])
    with pytest.raises(TableError, match="world= selects rows by their column world_name"):
        load_dataset(f"folder:{place}?world=Desert")
    with pytest.raises(UnknownNameError, match="did you mean skip_broken"):
        load_dataset(f"folder:{place}?skip_brokn=true")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"schema": 1, "conce', "is damaged: it is cut short"),
        ('{"schema": 9}', "has schema 9"),
        ('{"schema": 9, "concepts": [], "candidates": [], "slots": []}', "has schema 9"),
        ('{"schema": 1}', "is damaged .no candidates"),
        ('{"schema": 1, "concepts": 5, "candidates": [], "slots": []}', "concepts are not pairs"),
        ('{"schema": 1, "concepts": [["color", [1]]], "candidates": [], "slots": []}', "concepts are not words"),
        ('{"schema": 1, "concepts": [["color", ["red"]]], "candidates": [0.5], "slots": []}', "not whole numbers"),
        ('{"schema": 1, "concepts": [["color", ["red"]]], "candidates": [0], "slots": [1]}', "slots are not words"),
    ],
)
def test_a_damaged_sidecar_is_named(content: str, words: str, tmp_path: Path) -> None:
    place = folder(tmp_path, HEADER, ["a.png,red,blue"])
    (place / "scenes.json").write_text(content)
    with pytest.raises(StoreError, match=words):
        load_dataset(f"folder:{place}")


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "",
        "no JSON at all",
        '{"info": {"split": "val"}, "scenes": []}',
        '{"schema": "http://json-schema.org/draft-07/schema"}',
        '{"schema": 2, "annotations": []}',
        "[" * 100_000,
        '{"scenes": [{"objects": []}]}',
        "\x00\xff",
    ],
)
def test_a_scenes_file_of_somebody_else_is_left_alone(content: str, tmp_path: Path) -> None:
    place = folder(tmp_path, HEADER, ["a.png,red,blue", "b.png,blue,red"])
    (place / "scenes.json").write_text(content)
    with pytest.warns(BindscopeWarning, match="scenes.json was not written by bindscope and is left alone"):
        assert len(load_dataset(f"folder:{place}")) == 2
    with pytest.raises(StoreError, match="is no folder of rendered images"):
        write_folder(load_dataset("clevr2d:2x2?size=24"), place)


def test_sidecar_keeps_order_and_candidates(tmp_path: Path) -> None:
    place = folder(tmp_path, HEADER, ["a.png,red,blue", "b.png,blue,red"])
    kept = {
        "schema": 1,
        "concepts": [["color", ["red", "blue", "green"]]],
        "candidates": [0, 1, 2],
        "slots": ["up", "down"],
    }
    (place / "scenes.json").write_text(json.dumps(kept))
    data = load_dataset(f"folder:{place}")
    assert data.table.n_objects == 3
    assert data.table.values[0].tolist() == [[0], [1]]
    assert data.slots == ("up", "down")


def test_thumbnails_and_contact_sheets(tmp_path: Path) -> None:
    import io

    for i in range(5):
        image(tmp_path / f"{i}.png", 50 * i)
    Image.new("RGB", (300, 100), "red").save(tmp_path / "wide.png")
    assert Image.open(io.BytesIO(thumbnail(tmp_path / "wide.png", 60))).size == (60, 20)
    assert Image.open(io.BytesIO(thumbnail(tmp_path / "0.png", 60))).size == (8, 8)
    assert Image.open(io.BytesIO(thumbnail(tmp_path / "0.png", 60, "jpeg"))).format == "JPEG"
    sheet = Image.open(io.BytesIO(contact_sheet([tmp_path / f"{i}.png" for i in range(5)], columns=3, size=8)))
    assert sheet.size == (28, 18)
    assert sheet.getpixel((14, 4)) == (50, 50, 50)
    assert sheet.getpixel((24, 14)) == (255, 255, 255)
    with pytest.raises(StoreError, match=r"cannot read the image .*none.png"):
        thumbnail(tmp_path / "none.png")
    with pytest.raises(InputError, match="png or jpeg, got 'gif'"):
        thumbnail(tmp_path / "0.png", 8, "gif")
    with pytest.raises(InputError, match="at least 1 pixel, got 0"):
        thumbnail(tmp_path / "0.png", 0)
    with pytest.raises(InputError, match="needs pictures and at least one column"):
        contact_sheet([])


def test_paths_of_windows_and_names_with_question_marks(tmp_path: Path) -> None:
    rows = ["train\\a.png,red,blue", "train/b.png,blue,red"]
    for name in ("what?", "a?b?c", "a&b", "x?y=z"):
        place = tmp_path / name
        place.mkdir()
        (place / "labels.csv").write_text("\n".join([HEADER, *rows]))
        for shade, file in enumerate(("a.png", "b.png")):
            image(place / "images" / "train" / file, shade)
        assert len(load_dataset(f"folder:{place}")) == 2
        if name != "x?y=z":
            assert len(load_dataset(f"folder:{place}?skip_broken=true")) == 2
    with pytest.raises(InputError, match=r"options look like \?key=value"):
        load_dataset(f"folder:{tmp_path / 'a&b'}?skip_broken")


@pytest.mark.parametrize("way", ["absolute", "up", "link", "linked folder", "backslashes"])
def test_images_outside_the_folder_are_refused_unless_allowed(tmp_path: Path, way: str) -> None:
    image(tmp_path / "secret" / "a.png")
    place = folder(tmp_path, HEADER, [], draw=False)
    image(place / "b.png", 1)
    (place / "link.png").symlink_to(tmp_path / "secret" / "a.png")
    (place / "linked").symlink_to(tmp_path / "secret")
    names = {
        "absolute": f"{tmp_path}/secret/a.png",
        "up": "../secret/a.png",
        "link": "link.png",
        "linked folder": "linked/a.png",
        "backslashes": "..\\secret\\a.png",
    }
    (place / "labels.csv").write_text(f"{HEADER}\nb.png,red,blue\n{names[way]},blue,red\n")
    (place / "link.png").unlink() if way != "link" else None
    with pytest.raises(StoreError, match=r"data row 2 \(line 3\): the image .* leaves .*; .* \?outside=true"):
        load_dataset(f"folder:{place}")
    assert len(load_dataset(f"folder:{place}?outside=true")) == 2
    alias = tmp_path / "alias"
    alias.symlink_to(place)
    (place / "labels.csv").write_text(f"{HEADER}\nb.png,red,blue\n")
    (place / "link.png").unlink(missing_ok=True)
    assert len(load_dataset(f"folder:{alias}")) == 1  # the folder itself may be a link


def test_names_that_no_system_takes_are_missing_images(tmp_path: Path) -> None:
    for name in ("x" * 300 + ".png", "a/" * 50 + "b.png", "C:\\data\\a.png"):
        place = folder(tmp_path, HEADER, [f"{name},red,blue"], draw=False)
        with pytest.raises(StoreError, match=r"1 of 1 images cannot be read: .*\(missing\)"):
            load_dataset(f"folder:{place}")


def test_pictures_with_right_checksums_and_wrong_content_are_found(tmp_path: Path) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes, wrong: int = 0) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked) ^ wrong)

    place = folder(tmp_path, HEADER, [f"{i}.png,red,blue" for i in range(6)])
    start = b"\x89PNG\r\n\x1a\n"
    small, huge = (chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) for side in (8, 50_000))
    end, whole = chunk(b"IEND", b""), zlib.compress(bytes(8 * 25))
    (place / "1.png").write_bytes(start + small + chunk(b"IDAT", b"not zlib") + end)
    (place / "2.png").write_bytes(start + small + chunk(b"IDAT", whole, wrong=1) + end)
    (place / "3.png").write_bytes(start + huge + chunk(b"IDAT", whole) + end)
    (place / "4.png").write_bytes(start + small + chunk(b"IDAT", zlib.compress(bytes(30))) + end)
    with pytest.warns(BindscopeWarning, match="4 of 6 images cannot be read: 1.png"):
        data = load_dataset(f"folder:{place}?skip_broken=true")
    assert [path.name for path in data.items.images or ()] == ["0.png", "5.png"]
    assert data.row_names is not None
    assert data.row_names.words("filename") == ["0.png", "5.png"]


def spare(place: Path, worlds: Sequence[str] = ("Desert", "Island"), inner: str = "") -> list[str]:
    """Rows and pictures in the published layout of PUG:SPARE: DIR/WORLD/file, one name in several worlds."""
    rows = []
    for world in worlds:
        for i, (a, b) in enumerate((("cat", "dog"), ("dog", "cat"), ("cat", "fox"))):
            rows.append(f"{i}.png,{world},{a},{b},red,blue,left,right")
            image(place / inner / world / f"{i}.png", i + 10 * len(world))
    return rows


@pytest.mark.parametrize("inner", ["", "images"])
def test_pug_pictures_lie_in_folders_named_by_their_world(tmp_path: Path, inner: str) -> None:
    rows = spare(tmp_path / "data", inner=inner)
    place = folder(tmp_path, PUG, rows, draw=False)
    one = load_dataset(f"folder:{place}?world=Island")
    assert [path.parent.name for path in one.items.images or ()] == ["Island"] * 3
    every = load_dataset(f"folder:{place}?world=all")
    assert len(set(every.items.images or ())) == 6
    assert every.table.replicate.tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(TableError, match="rows of 2 worlds"):
        load_dataset(f"labels:{place}/labels.csv")
    bare = load_dataset(f"labels:{place}/labels.csv?world=all")
    assert np.array_equal(bare.table.values, every.table.values)
    assert bare.slots == every.slots == ("left", "right")


@pytest.mark.parametrize("word", ["blank", "Blank", "None", "", "-", "n/a", "NULL", "empty", "nan"])
def test_pug_characters_that_are_not_there(tmp_path: Path, word: str) -> None:
    rows = ["0.png,W,cat,dog,red,blue,left,right", f"1.png,W,cat,{word},red,Default,left,right"]
    data = load_dataset(f"folder:{folder(tmp_path, PUG, rows)}")
    assert data.table.counts.tolist() == [2, 1]
    assert data.table.space.concepts[1].values == ("blue", "red")


def test_pug_rows_without_places_are_told(tmp_path: Path) -> None:
    rows = ["0.png,W,cat,dog,red,blue,left,right", "1.png,W,dog,cat,red,blue,,", "2.png,W,dog,cat,blue,red,,left"]
    with pytest.warns(BindscopeWarning, match=r"1 of 3 rows name no place; there the first .* stand on the left"):
        data = load_dataset(f"folder:{folder(tmp_path, PUG, rows)}")
    assert data.describe(1) == "dog red on the left, cat blue on the right"
    assert data.describe(2) == "cat red on the left, dog blue on the right"


def test_several_label_tables_are_not_chosen_among(tmp_path: Path) -> None:
    place = folder(tmp_path, HEADER, ["a.png,red,blue", "b.png,blue,red"])
    (place / "labels.tsv").write_text((place / "labels.csv").read_text().replace(",", "\t"))
    with pytest.raises(StoreError, match=r"several label tables \(labels.csv, labels.tsv\); choose one with \?labels="):
        load_dataset(f"folder:{place}")
    assert len(load_dataset(f"folder:{place}?labels=labels.tsv")) == 2
