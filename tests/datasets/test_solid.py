"""Rendered pictures: outlines and shares against the renderer's own pixels, determinism, colours that are told apart."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bindscope.datasets.images.drawn import plan
from bindscope.datasets.images.rendered import SolidPictures
from bindscope.datasets.images.solids import Stage, convex_hull, corners, filled, in_front, orbit, visible_shares
from bindscope.datasets.images.store import draw_all
from bindscope.datasets.images.vocabulary import COLORS, SOLID_SHAPES, VISION, ciede2000, lab, linear, smallest_distance
from bindscope.errors import MissingExtraError, UnknownNameError

pytest.importorskip("pyvista")


def painter(name: str) -> SolidPictures:
    found = plan(name).painter
    assert isinstance(found, SolidPictures)
    return found


def test_hull_is_scipys() -> None:
    from scipy.spatial import ConvexHull

    points = np.random.default_rng(0).normal(size=(60, 2))
    assert np.array_equal(
        np.sort(convex_hull(points), axis=0), np.sort(points[ConvexHull(points).vertices].round(9), 0)
    )


def test_projection_keeps_straight_ahead_in_the_middle_and_left_left() -> None:
    camera = orbit(np.zeros(3), 5.0, 30.0, 0.0)
    points = camera.project(np.array([[0.0, 0, 0], [-1, 0, 0], [0, 0, 1], [0, 1, 0]]))
    assert points[0] == pytest.approx([0.5, 0.5])
    assert points[1][0] < 0.5
    assert points[2][1] < 0.5
    assert points[3][1] < 0.5
    half = 5.0 * np.tan(np.radians(15.0))
    assert camera.project(np.array([[half, 0, 0]]))[0] == pytest.approx([1.0, 0.5])


def test_the_one_on_the_cameras_side_is_in_front() -> None:
    camera = orbit(np.zeros(3), 5.0, 30.0, 0.0)
    assert in_front(camera, np.array([0.0, 1.0]), np.array([0.0, -1.0]), 0.5)
    assert not in_front(camera, np.array([0.0, -1.0]), np.array([0.0, 1.0]), 0.5)


def test_shares_of_squares_are_known() -> None:
    square = np.array([[0.0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]])
    assert filled(square, 20).sum() == 100
    shares = visible_shares([square, square + [0.25, 0.0]], [[1], []], 40)
    assert shares == pytest.approx([0.5, 1.0])


def rasterised(stage: Stage, numbers: Sequence[int]) -> np.ndarray:
    """Which of some objects VTK shows at each pixel `[320, 320, 3]`: the first in red, the second in green, ..."""
    import pyvista as pv

    from bindscope.datasets.images.solids import mesh

    plotter = pv.Plotter(off_screen=True, window_size=(320, 320), lighting="none")
    plotter.set_background("black")
    plotter.disable_anti_aliasing()
    for number in numbers:
        shape, _, _, place, radius, turn = stage.objects[number]
        solid = mesh(shape, turn).scale(radius).translate((place[0], place[1], 0.0))
        plotter.add_mesh(solid, color=np.eye(3)[number].tolist(), lighting=False)
    camera = plotter.camera
    camera.position, camera.focal_point = tuple(stage.camera.position), tuple(stage.camera.focus)
    camera.up, camera.view_angle, camera.clipping_range = (0, 0, 1), stage.camera.angle, (0.5, 100)
    pixels = np.asarray(plotter.screenshot(None, return_img=True)) > 127
    plotter.close()
    return pixels


@pytest.mark.slow
def test_outlines_and_shares_are_those_of_the_renderer() -> None:
    """Each object alone, and all together, in colours that no light changes."""
    drawn = plan("clevr:6x6?sizes=2&occlusion=0-0.8&jitter=1&size=160&scenes=8&m=3")
    shares = drawn.painter.shares(drawn.table.values)
    assert np.nanmin(shares) < 0.75
    for row, stage in enumerate(drawn.painter.stages(drawn.table.values)):
        together = rasterised(stage, range(3))
        for number, outline in enumerate(stage.outlines()):
            alone = rasterised(stage, [number])[:, :, number]
            assert (filled(outline, 320) ^ alone).sum() <= 3 + 0.01 * alone.sum(), (row, number)
            seen = together[:, :, number].sum() / alone.sum()
            assert shares[row, stage.slots[number]] == pytest.approx(seen, abs=0.01), (row, number)


@pytest.mark.parametrize("wanted", [0.2, 0.4])
def test_occlusion_is_what_was_asked_for(wanted: float) -> None:
    drawn = plan(f"clevr:3x3?occlusion={wanted}&scenes=60&jitter=1")
    least = drawn.painter.shares(drawn.table.values).min(axis=1)
    assert least.mean() == pytest.approx(1 - wanted, abs=0.04)
    for m in (2, 3):
        apart = plan(f"clevr:2x6?m={m}&scenes=40&jitter=1")
        assert (apart.painter.shares(apart.table.values) == 1.0).all()


def test_solids_never_run_into_each_other() -> None:
    drawn = plan("clevr:2x6?m=3&scenes=24&jitter=1&occlusion=0-0.9&sizes=2")
    for stage in drawn.painter.stages(drawn.table.values):
        feet = [
            corners(shape, turn)[:, :2] * radius * (0.5 if shape == "sphere" else 0.97) + place
            for shape, _, _, place, radius, turn in stage.objects
        ]
        for first in range(3):
            for second in range(first):
                both = filled(convex_hull(feet[first] / 12 + 0.5), 240) & filled(
                    convex_hull(feet[second] / 12 + 0.5), 240
                )
                assert both.sum() <= 4


@pytest.mark.slow
def test_files_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    drawn = plan("clevr:8x3?scenes=26&size=64&occlusion=0.3&jitter=1&materials=2")
    found = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        shares = draw_all(drawn.painter, drawn.table, folder, workers, lambda count: None)
        found.append(([file.read_bytes() for file in sorted(folder.iterdir())], shares.tolist()))
    assert found[0] == found[1]
    alone = drawn.painter.draw(drawn.table.values[7:8])  # and not on what was rendered before
    assert np.array_equal(alone[0], drawn.painter.draw(drawn.table.values[:8])[7])


@pytest.mark.slow
def test_colors_as_rendered_are_told_apart_also_by_colour_blind_eyes() -> None:
    """The colour of each object is the median over its pixels; compared between objects of one shape."""
    base = painter("clevr:8x3?m=1")
    table = plan("clevr:8x3?m=1").table
    lamps = [replace(base, jitter=jitter, moves=("light",), seed=seed) for jitter, seed in ((0.0, 0), (1.0, 1))]
    for pictures in lamps:
        pixels, stages = pictures.draw(table.values), pictures.stages(table.values)
        medians = np.array(
            [
                np.median(picture[filled(stage.outlines()[0], 224)], axis=0)
                for picture, stage in zip(pixels, stages, strict=True)
            ]
        ).reshape(8, 3, 3)
        for shape in range(3):
            assert smallest_distance(medians[:, shape], "normal")[0] > 15
            assert min(smallest_distance(medians[:, shape], kind)[0] for kind in VISION) > 10


def test_flat_palette_is_told_apart() -> None:
    colors = np.array(list(COLORS.values()), dtype=float)
    assert smallest_distance(colors[:8])[0] > 20
    assert smallest_distance(colors)[0] > 20
    for kind in ("protanopia", "deuteranopia"):
        assert smallest_distance(colors[:8], kind)[0] > 14
    assert (
        smallest_distance(np.array([[200.0, 60, 60], [110, 130, 60]]), "deuteranopia")[0] < 8
    )  # red and olive: the control
    with pytest.raises(UnknownNameError, match="did you mean protanopia"):
        smallest_distance(colors, "protonopia")


def test_distances_are_those_of_the_published_test_data() -> None:
    """Pairs from Sharma, Wu and Dalal 2005, table 1."""
    pairs = [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0011), 7.2195),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ]
    first, second = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    assert ciede2000(first, second) == pytest.approx([p[2] for p in pairs], abs=1e-4)
    assert ciede2000(first, first) == pytest.approx(np.zeros(5), abs=1e-9)
    white = lab(linear(np.array([[255.0, 255, 255], [0, 0, 0]])))
    assert white == pytest.approx(np.array([[100.0, 0, 0], [0, 0, 0]]), abs=0.02)


def test_without_pyvista_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvista", None)
    monkeypatch.delitem(sys.modules, "bindscope.datasets.images.rendered")
    with pytest.raises(MissingExtraError, match=r"clevr: needs pyvista.*bindscope\[render\]"):
        plan("clevr:2x2")


def test_shapes_have_their_words() -> None:
    assert plan("clevr:1x6?m=1").table.space.concepts[1].values == SOLID_SHAPES
