"""Files are there whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from bindscope.errors import StoreError
from bindscope.files import whole_file


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    place = tmp_path / "a.txt"
    with whole_file(place) as partial:
        partial.write_text("half")
        assert not place.exists()
        partial.write_text("whole")
    assert place.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError])
def test_a_block_that_breaks_leaves_the_old_file_and_nothing_else(tmp_path: Path, stop: type[BaseException]) -> None:
    place = tmp_path / "a.txt"
    place.write_text("old")
    with pytest.raises(stop), whole_file(place) as partial:  # noqa: PT012 - the block is what is tested
        partial.write_text("half")
        raise stop
    assert place.read_text() == "old"
    assert list(tmp_path.iterdir()) == [place]


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    place = tmp_path / "a.txt"
    said = r"cannot write .*a\.txt: No space left on device"
    with pytest.raises(StoreError, match=said), whole_file(place) as partial:  # noqa: PT012
        partial.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_no_directory_and_a_directory_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot write"), whole_file(tmp_path / "none" / "a.txt") as partial:
        partial.write_text("x")
    (tmp_path / "d").mkdir()
    with pytest.raises(StoreError, match=r"cannot write .*; choose a place"), whole_file(tmp_path / "d") as partial:
        partial.write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
