"""Decoding of images: broken files are named, batches come in order, work runs ahead."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bindscope.encoders.pictures import AHEAD, ahead, prepared, read_image
from bindscope.errors import StoreError
from encoders.pictures import write_pictures


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16", "CMYK"])
def test_every_kind_of_picture_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    Image.new(mode, (5, 4)).save(path)
    image = read_image(path)
    assert (image.mode, image.size) == ("RGB", (5, 4))


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot read image .*none\.png: no such file"):
        read_image(tmp_path / "none.png")
    (good,) = write_pictures(tmp_path, 1)
    cut = tmp_path / "cut.png"
    cut.write_bytes(good.read_bytes()[:60])
    text = tmp_path / "text.png"
    text.write_text("no picture")
    for path in (cut, text, tmp_path):
        with pytest.raises(StoreError, match=f"cannot read image {path}: "):
            read_image(path)


def test_a_broken_file_stops_the_batches_in_its_turn(tmp_path: Path) -> None:
    paths = [*write_pictures(tmp_path, 5), tmp_path / "gone.png"]
    batches = prepared(paths, 2, len)
    assert [next(batches), next(batches)] == [2, 2]
    with pytest.raises(StoreError, match=r"gone\.png"):
        next(batches)


def test_batches_keep_order_and_hold_all_pictures(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, 7)
    found = list(prepared(paths, 3, lambda images: [np.asarray(image) for image in images]))
    assert [len(batch) for batch in found] == [3, 3, 1]
    arrays = [array for batch in found for array in batch]
    assert all((array == np.asarray(read_image(path))).all() for array, path in zip(arrays, paths, strict=True))


def test_work_runs_ahead_of_the_reader_but_not_without_bound() -> None:
    started: list[int] = []
    gate = threading.Event()

    def work(job: int) -> int:
        started.append(job)
        gate.wait(10)
        return job * 10

    source = iter(range(20))
    gate.set()
    results = ahead(work, source)
    assert next(results) == 0
    assert next(source) == AHEAD + 1  # so many were taken for one result
    assert list(results) == [10 * job for job in range(1, 20) if job != AHEAD + 1]
