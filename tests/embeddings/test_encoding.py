"""Encoding in shards: every row once and in order, killed runs go on, damaged shards are made again."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bindscope.datasets import Items, load_dataset
from bindscope.embeddings import default_cache, embed, encoding
from bindscope.embeddings import encoding as caching
from bindscope.encoders.base import Encoder, Vectors
from bindscope.errors import BindscopeWarning, InputError, StoreError, TableError, VectorsError
from bindscope.parallel import duration

DATA = "text:4x3"  # 132 scenes


class Counting(Encoder):
    """Length, letters and a checksum of a text; remembers the rows of scenes that it encoded, and may stop at one."""

    name = "counting"

    def __init__(self, stop_at: int | None = None, shift: float = 0.0, queries: bool = True) -> None:
        self.rows: list[int] = []
        self.asked = 0
        self.stop_at, self.shift, self.has_queries = stop_at, shift, queries

    def encode(self, items: Items) -> Vectors:
        if items.kind != "scene":
            self.asked += len(items)
        elif len(items) > 3:  # not the three rows of the fingerprint
            if self.stop_at is not None and len(self.rows) + len(items) > self.stop_at:
                raise KeyboardInterrupt
            self.rows += items.rows.tolist()
        texts = items.texts or ()
        rows = [[len(t), t.count("a"), t.count("e"), zlib.crc32(t.encode()) / 2**30 + self.shift] for t in texts]
        return np.array(rows, dtype=np.float32)

    def fidelity(self) -> dict[str, Any]:
        return {"architecture": "letters"}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "SHARD_ROWS", 20)
    monkeypatch.setattr(encoding, "PLAIN_ROWS", 50)


def truth() -> Vectors:
    data = load_dataset(DATA)
    return Counting().encode(data.items)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("batch_size", [None, 7, 20, 1000])
def test_every_row_is_encoded_once_and_in_order(tmp_path: Path, cached: bool, batch_size: int | None) -> None:
    encoder = Counting()
    found = embed(encoder, load_dataset(DATA), cache=tmp_path if cached else None, batch_size=batch_size)
    assert np.array_equal(found.vectors, truth())
    if batch_size is None or batch_size > 6:  # batches of up to three rows are not counted
        assert encoder.rows == sorted(set(encoder.rows))
    assert (found.model, found.dataset, found.modality) == ("counting", DATA, "text")
    assert set(found.fidelity) == {"architecture", "fingerprint"}


def test_a_second_run_encodes_nothing(tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    a = embed(first, load_dataset(DATA), cache=tmp_path)
    b = embed(second, load_dataset(DATA), cache=tmp_path)
    assert (len(first.rows), first.asked) == (132, 12 + 4 + 3)
    assert (second.rows, second.asked) == ([], 0)
    assert np.array_equal(a.vectors, b.vectors)
    assert np.array_equal(a.queries.objects, b.queries.objects)
    assert all(np.array_equal(x, y) for x, y in zip(a.queries.values, b.queries.values, strict=True))


@pytest.mark.parametrize("stop_at", [20, 50, 119])
def test_after_a_kill_only_what_is_missing_is_encoded(tmp_path: Path, stop_at: int) -> None:
    killed = Counting(stop_at)
    with pytest.raises(KeyboardInterrupt):
        embed(killed, load_dataset(DATA), cache=tmp_path, batch_size=5)
    kept = stop_at // 20 * 20  # whole shards
    again = Counting()
    found = embed(again, load_dataset(DATA), cache=tmp_path, batch_size=5)
    assert again.rows == [row for row in range(kept, 132) if row < 130]  # the last batch has two rows
    assert np.array_equal(found.vectors, truth())
    assert not list(tmp_path.rglob("*.partial"))


def shards(folder: Path) -> list[Path]:
    return sorted(folder.rglob("rows-*.safetensors"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def foreign(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"vectors": np.zeros((20, 4), dtype=np.float32)}, path)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [cut, empty, alter, foreign], ids=lambda f: f.__name__)
def test_a_damaged_shard_is_said_and_made_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    embed(Counting(), load_dataset(DATA), cache=tmp_path)
    damage(shards(tmp_path)[2])
    again = Counting()
    with pytest.warns(BindscopeWarning, match=r"cache file passed over and encoded again: .*rows-000000040"):
        found = embed(again, load_dataset(DATA), cache=tmp_path)
    assert again.rows == list(range(40, 60))
    assert np.array_equal(found.vectors, truth())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embed(Counting(), load_dataset(DATA), cache=tmp_path)  # it is whole again


def test_a_shard_of_another_size_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embed(Counting(), load_dataset(DATA), cache=tmp_path)
    monkeypatch.setattr(encoding, "SHARD_ROWS", 40)
    with pytest.warns(BindscopeWarning, match=r"does not hold 40 rows"):
        found = embed(Counting(), load_dataset(DATA), cache=tmp_path)
    assert np.array_equal(found.vectors, truth())


def test_damaged_queries_are_made_again(tmp_path: Path) -> None:
    embed(Counting(), load_dataset(DATA), cache=tmp_path)
    cut(next(tmp_path.rglob("queries.safetensors")))
    again = Counting()
    with pytest.warns(BindscopeWarning, match=r"queries\.safetensors"):
        embed(again, load_dataset(DATA), cache=tmp_path)
    assert (again.rows, again.asked) == ([], 19)


def test_other_vectors_have_another_fingerprint_and_cache(tmp_path: Path) -> None:
    a = embed(Counting(), load_dataset(DATA), cache=tmp_path)
    changed = Counting(shift=1.0)  # the same name and fidelity: a model that was retrained, say
    b = embed(changed, load_dataset(DATA), cache=tmp_path)
    assert a.fidelity["fingerprint"] != b.fidelity["fingerprint"]
    assert len(changed.rows) == 132
    assert not np.array_equal(a.vectors, b.vectors)
    rounding = embed(Counting(shift=1e-6), load_dataset(DATA), cache=tmp_path)
    assert rounding.fidelity["fingerprint"] == a.fidelity["fingerprint"]


def test_other_data_has_another_cache(tmp_path: Path) -> None:
    for name in (DATA, "text:4x3?m=1", "text:4x3?same=true"):
        encoder = Counting()
        embed(encoder, load_dataset(name), cache=tmp_path)
        assert encoder.rows
    assert len(list(tmp_path.iterdir())) == 3


def test_an_encoder_without_queries(tmp_path: Path) -> None:
    for _ in range(2):
        encoder = Counting(queries=False)
        assert embed(encoder, load_dataset(DATA), cache=tmp_path).queries is None
        assert encoder.asked == 0


def test_progress_goes_to_stderr_and_says_what_it_costs(capsys: pytest.CaptureFixture[str]) -> None:
    embed(Counting(), load_dataset(DATA), progress=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "counting: 50 of 132 items, about 0 s to go\n"
    assert duration(30) == "30 s"
    assert duration(600) == "10 min"
    assert duration(9000) == "2.5 h"


def test_progress_in_a_log_goes_on_twice_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, said = iter([0.0, 10.0, 20.0, 45.0, 50.0]), []
    monkeypatch.setattr(encoding.time, "monotonic", lambda: next(clock))
    report = encoding._lines(lambda text, **_: said.append(text), "m", 1000)
    for _ in range(4):
        report(200)
    assert said == ["m: 200 of 1,000 items, about 40 s to go", "m: 600 of 1,000 items, about 30 s to go"]


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"cannot make the cache .*choose another cache with BINDSCOPE_CACHE"):
        embed(Counting(), load_dataset(DATA), cache=tmp_path / "file")
    monkeypatch.setattr(caching, "user_cache", lambda: tmp_path / "file")  # nobody asked for the user's own one
    with pytest.warns(BindscopeWarning, match=r"going on without a cache") as caught:
        found = embed(Counting(), load_dataset(DATA), cache=tmp_path / "file" / "bindscope")
    assert len(caught) == 1
    assert np.array_equal(found.vectors, truth())


def test_a_disk_that_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(StoreError, match=r"No space left on device; .*choose another cache with BINDSCOPE_CACHE"):
        embed(Counting(), load_dataset(DATA), cache=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BINDSCOPE_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.delenv("BINDSCOPE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr("sys.platform", "linux")
    assert default_cache() == tmp_path / "xdg" / "bindscope"
    monkeypatch.setattr("sys.platform", "darwin")
    assert default_cache().parts[-3:] == ("Library", "Caches", "bindscope")


class Odd(Counting):
    """Vectors that grow with the row number, or queries of another width."""

    def __init__(self, queries: int = 4, growing: bool = False) -> None:
        super().__init__()
        self.width, self.growing = queries, growing

    def encode(self, items: Items) -> Vectors:
        if items.kind != "scene":
            return np.ones((len(items), self.width), dtype=np.float32)
        return np.ones((len(items), 4 + int(self.growing and items.rows[0] > 40)), dtype=np.float32)


def test_widths_must_agree() -> None:
    with pytest.raises(VectorsError, match=r"vectors of 4 and of 5 dimensions in one data set"):
        embed(Odd(growing=True), load_dataset(DATA))
    with pytest.raises(VectorsError, match=r"queries have 3 dimensions, scenes 4"):
        embed(Odd(queries=3), load_dataset(DATA))


def test_refusals(tmp_path: Path) -> None:
    data = load_dataset(DATA)
    with pytest.raises(InputError, match=r"batch size must be at least 1, got 0"):
        embed(Counting(), data, batch_size=0)
    with pytest.raises(InputError, match=r"there is nothing to encode"):
        embed(Counting(), data.take([]))
    (tmp_path / "r.yaml").write_text("concepts: {color: [' red', blue], shape: [a, b]}")
    encoder = Counting()
    with pytest.raises(TableError, match=r"' red' has blanks around it"):
        embed(encoder, load_dataset(f"text:{tmp_path}/r.yaml"))
    assert encoder.rows == []  # before any work
