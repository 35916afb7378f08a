"""Flat pictures: what is drawn where, what hides what, and that nothing but scene, replicate and seed decides it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bindscope.concepts import ABSENT
from bindscope.datasets import load_dataset
from bindscope.datasets.images.drawn import Drawn, plan
from bindscope.datasets.images.flat import GROUND, FlatPictures, signed_distance
from bindscope.datasets.images.layout import full_radius, places
from bindscope.datasets.images.store import draw_all
from bindscope.datasets.images.vocabulary import COLORS, FLAT_SHAPES, PLACES
from bindscope.datasets.images.worker import png_bytes
from bindscope.errors import InputError, StoreError, UnknownNameError

Image = pytest.importorskip("PIL.Image")


def decoded(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def flat(drawn: Drawn) -> FlatPictures:
    assert isinstance(drawn.painter, FlatPictures)
    return drawn.painter


@pytest.mark.parametrize("m", range(1, 7))
def test_every_object_stands_in_its_named_place(m: int) -> None:
    drawn = plan(f"clevr2d:8x3?m={m}&scenes=20&size=64&same=true" if m > 1 else "clevr2d:8x3?m=1&size=64")
    pixels = drawn.pixels()
    assert drawn.slots == PLACES[m]
    assert len(drawn.slots) == m
    for row in range(20):
        for slot, (x, y) in enumerate(places(m)):
            color = COLORS[drawn.table.space.concepts[0].values[drawn.table.values[row, slot, 0]]]
            assert tuple(pixels[row, int(y * 64), int(x * 64)]) == color


def test_area_is_that_of_the_shape_by_a_second_count() -> None:
    drawn = plan("clevr2d:1x8?m=1&size=200")
    ground = np.array(GROUND)
    red = np.array(COLORS["red"], dtype=float)
    share = ((drawn.pixels() - ground) / (red - ground)).mean(axis=3)  # how much of each pixel is covered
    x, y = np.meshgrid(*(np.linspace(-1.3, 1.3, 651),) * 2)
    for row, shape in enumerate(FLAT_SHAPES):
        cells = (signed_distance(shape, x, y) < 0).sum() * 0.004**2
        expected = cells * (full_radius(1) * 200) ** 2
        assert share[row].sum() == pytest.approx(expected, rel=0.01), shape
    smooth = ((share > 0.05) & (share < 0.95)).any(axis=(1, 2))
    assert smooth[np.arange(8) != FLAT_SHAPES.index("square")].all()  # whose edges happen to fall between pixels


def test_shapes_are_told_apart_by_the_nearest_other_picture() -> None:
    pixels = plan("clevr2d:1x8?m=1&size=64").pixels().astype(float).reshape(8, -1)
    away = np.abs(pixels[:, None] - pixels[None]).mean(axis=2)
    assert away[~np.eye(8, dtype=bool)].min() > 1.0


def test_a_picture_depends_on_its_scene_and_replicate_alone() -> None:
    name = "clevr2d:3x3?size=32&replicates=3&occlusion=0.4&sizes=2"
    drawn = plan(name)
    rows = np.random.default_rng(0).permutation(len(drawn.table))[:40]
    pixels, shares = flat(drawn).draw_with_shares(drawn.table.values, drawn.table.replicate)
    again, some = flat(drawn).draw_with_shares(drawn.table.values[rows], drawn.table.replicate[rows])
    assert np.array_equal(pixels[rows], again)
    assert np.array_equal(shares[rows], some, equal_nan=True)
    assert np.array_equal(plan(name).pixels(), pixels)
    assert not np.array_equal(plan(name + "&seed=1").pixels(), pixels)
    sampled = plan(name + "&scenes=30")
    first = {tuple(row): i for i, row in enumerate(drawn.table.object_ids[drawn.table.replicate == 0].tolist())}
    where = [first[tuple(row)] for row in sampled.table.object_ids[:30].tolist()]
    assert np.array_equal(sampled.pixels(slice(0, 30)), pixels[where])


def test_replicates_differ_and_without_jitter_pictures_do_not() -> None:
    drawn = plan("clevr2d:2x2?size=48&replicates=2")
    pixels = drawn.pixels()
    half = len(pixels) // 2
    assert (pixels[:half] != pixels[half:]).any(axis=(1, 2, 3)).all()
    still = replace(flat(drawn), jitter=0.0).draw(drawn.table.values, drawn.table.replicate)
    assert np.array_equal(still[:half], still[half:])


@pytest.mark.parametrize("move", ["position", "camera", "light"])
def test_each_move_alone_changes_pictures(move: str) -> None:
    still = plan("clevr2d:2x2?size=48").pixels()
    moved = plan(f"clevr2d:2x2?size=48&jitter=1&vary={move}").pixels()
    assert (still != moved).any()
    colors = {tuple(c) for c in moved.reshape(-1, 3).tolist()}
    assert (COLORS["red"] in colors) == (move != "light")


@pytest.mark.parametrize(("wanted", "m"), [(0.2, 2), (0.5, 2), (0.3, 3)])
def test_occlusion_is_what_was_asked_for_and_what_pixels_say(wanted: float, m: int) -> None:
    drawn = plan(f"clevr2d:8x3?m={m}&scenes=60&size=320&occlusion={wanted}")
    table, painter = drawn.table, flat(drawn)
    shares = painter.shares(table.values)
    assert np.nanmean(np.nanmin(shares, axis=1)) == pytest.approx(1 - wanted, abs=0.03)
    assert (np.nanmax(shares, axis=1) == 1.0).all()  # the front one is whole
    # a second count, from the pictures: pixels that change with the object's colour, of those that it has alone
    layout = painter.layout(table.values, None, ())
    for row in range(12):
        for slot in range(m):
            alone = table.values[row : row + 1].copy()
            alone[0, [i for i in range(m) if i != slot]] = ABSENT
            whole = covered(painter, alone, layout, row)
            seen = difference(painter, table.values[row : row + 1], slot, layout, row)
            assert seen / whole == pytest.approx(shares[row, slot], abs=0.04)


def covered(painter: FlatPictures, values: np.ndarray, layout, row: int) -> float:
    one = type(layout)(*(getattr(layout, name)[row : row + 1] for name in layout.__dataclass_fields__))
    return float((painter._paint(values, one)[0].astype(float) != np.array(GROUND)).any(axis=3).sum())


def difference(painter: FlatPictures, values: np.ndarray, slot: int, layout, row: int) -> float:
    """Pixels that change when the object's colour changes."""
    one = type(layout)(*(getattr(layout, name)[row : row + 1] for name in layout.__dataclass_fields__))
    other = values.copy()
    other[0, slot, 0] = (other[0, slot, 0] + 4) % 8
    first, second = painter._paint(values, one)[0], painter._paint(other, one)[0]
    return float((first != second).any(axis=3).sum())


def test_range_of_occlusion_spreads_and_none_leaves_all_in_sight() -> None:
    drawn = plan("clevr2d:8x3?scenes=300&size=48&occlusion=0.1-0.7")
    least = flat(drawn).shares(drawn.table.values).min(axis=1)
    assert least.std() > 0.1
    assert np.quantile(least, [0.05, 0.95]) == pytest.approx([0.34, 0.87], abs=0.08)
    for m in range(1, 7):
        crowd = plan(f"clevr2d:4x3?m={m}&same=true&size=48&jitter=1&scenes=12")
        assert (flat(crowd).shares(crowd.table.values) == 1.0).all()


def test_metal_and_size_show() -> None:
    drawn = plan("clevr2d:1x1?m=1&sizes=3&materials=2&size=64")
    pixels, names = drawn.pixels(), drawn.table.space.names
    assert names == ("size", "color", "material", "shape")
    assert len(pixels) == 6
    areas = [(picture != np.array(GROUND)).any(axis=2).sum() for picture in pixels]
    assert areas[0] < areas[2] < areas[4]
    assert areas[0] == pytest.approx(areas[1], rel=0.05)
    tones = [len(np.unique(picture.reshape(-1, 3), axis=0)) for picture in pixels]
    assert tones[1] > 3 * tones[0]


def test_png_is_read_back_by_another_library() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (37, 23, 3), dtype=np.uint8)
    assert np.array_equal(decoded(png_bytes(pixels)), pixels)
    with pytest.raises(InputError, match=r"uint8 \[height, width, 3\], got float64"):
        png_bytes(np.zeros((2, 2, 3)))


@pytest.mark.parametrize("workers", [2, 3])
def test_files_do_not_depend_on_the_number_of_processes(workers: int, tmp_path: Path) -> None:
    drawn = plan("clevr2d:8x3?scenes=400&size=24&occlusion=0.3&replicates=1&jitter=1")
    one, many = tmp_path / "one", tmp_path / "many"
    one.mkdir()
    many.mkdir()
    done: list[int] = []
    first = draw_all(drawn.painter, drawn.table, one, 1, done.append)
    second = draw_all(drawn.painter, drawn.table, many, workers, lambda count: None)
    assert sum(done) == 400
    assert np.array_equal(first, second)
    assert [f.read_bytes() for f in sorted(one.iterdir())] == [f.read_bytes() for f in sorted(many.iterdir())]


def test_a_killed_drawing_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDSCOPE_CACHE", str(tmp_path))
    name = "clevr2d:3x3?size=24&occlusion=0.2&replicates=2"
    whole = load_dataset(name)
    folder = whole.items.images[0].parent
    kept = whole.items.images[5].stat().st_mtime_ns
    (folder / "scenes.parquet").unlink()
    for image in whole.items.images[50:60]:
        image.unlink()
    again = load_dataset(name)
    assert again.digest == whole.digest
    assert np.array_equal(again.table.visible, whole.table.visible)
    assert whole.items.images[5].stat().st_mtime_ns == kept  # what was there is not drawn again
    assert not [file for file in folder.iterdir() if "partial" in file.name]


def test_data_set_has_pictures_labels_and_queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDSCOPE_CACHE", str(tmp_path))
    data = load_dataset("clevr2d:3x2?size=32&singles=true&replicates=2")
    assert data.modality == "image"
    assert len(data) == 2 * (30 + 6)
    assert data.slots == ("left", "right")
    assert data.table.counts.tolist() == [2] * 60 + [1] * 12
    files = np.stack([decoded(image.read_bytes()) for image in data.items.images])
    assert np.array_equal(files, plan("clevr2d:3x2?size=32&singles=true&replicates=2").pixels())
    assert data.object_queries.texts[:2] == ("a red circle", "a red square")
    assert data.value_queries[0].texts == ("red", "blue", "green")
    assert data.describe(0) == "red circle on the left, red square on the right"
    assert data.describe(60) == "red circle"
    assert np.array_equal(data.table.visible[:60], np.ones((60, 2)))


def test_damaged_cache_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDSCOPE_CACHE", str(tmp_path))
    first = load_dataset("clevr2d:2x2?size=24")
    (first.items.images[0].parent / "scenes.parquet").write_bytes(b"PAR1 broken")
    assert load_dataset("clevr2d:2x2?size=24").digest == first.digest


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("clevr2d:9", InputError, "expects CxS"),
        ("clevr2d:13x3", InputError, r"number of colours must be in 1..12, got 13"),
        ("clevr2d:3x0", InputError, r"number of shapes must be in 1..8, got 0"),
        ("clevr2d:3x3?m=7", InputError, r"whole number in 1..6"),
        ("clevr2d:3x3?occlusion=1.5", InputError, "occlusion must be a share"),
        ("clevr2d:3x3?occlusion=0.5-0.2", InputError, "occlusion must be a share"),
        ("clevr2d:3x3?occlusion=0.5&m=1", InputError, "needs another object that hides"),
        ("clevr2d:3x3?vary=colour", InputError, "vary must be some of position,camera,light, got 'colour'"),
        ("clevr2d:3x3?replicates=2&jitter=0", InputError, "would be the same picture"),
        ("clevr2d:3x3?m=1&singles=true", InputError, "leave one of the two out"),
        ("clevr2d:3x3?ocllusion=0.3", UnknownNameError, "did you mean occlusion"),
        ("clevr2d:12x8?m=4", InputError, "more than the limit"),
        ("clevr2d:12x8?m=2&replicates=500", InputError, "pictures are more than the limit"),
    ],
)
def test_wrong_names_are_refused_in_one_line(name: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        plan(name)


def test_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BINDSCOPE_CACHE", str(tmp_path / "file"))
    with pytest.raises(StoreError, match=r"cannot make the cache .* BINDSCOPE_CACHE"):
        load_dataset("clevr2d:2x2?size=24")


def test_a_process_that_fails_is_reported(tmp_path: Path) -> None:
    drawn = plan("clevr2d:8x3?scenes=300&size=24")
    with pytest.raises(StoreError, match="cannot write"):
        draw_all(drawn.painter, drawn.table, tmp_path / "missing", 2, lambda count: None)
