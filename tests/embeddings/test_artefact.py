"""Embeddings on disk: what is saved is loaded, for every design; damage and strangers are refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bindscope.datasets import load_dataset
from bindscope.embeddings import Embeddings, Queries, embed, load_embeddings, save_embeddings
from bindscope.encoders import load_encoder
from bindscope.errors import StoreError, VectorsError
from bindscope.files import read_tensors, write_tensors
from planted import designs

DESIGNS = designs()


def of(name: str) -> Embeddings:
    table = DESIGNS[name]
    rng = np.random.default_rng(0)

    def draw(rows: int) -> np.ndarray:
        return rng.normal(size=(rows, 3)).astype(np.float32)

    values = tuple(draw(len(table.known_values(k))) for k in range(table.space.n_concepts))
    fidelity = {"architecture": "drawn", "prompt": None, "versions": {"numpy": "2"}, "größe": [1, 2.5]}
    return Embeddings(draw(len(table)), table, Queries(draw(table.n_objects), values), fidelity, "m", name, "text")


@pytest.mark.parametrize("name", list(DESIGNS))
def test_what_is_saved_is_loaded(tmp_path: Path, name: str) -> None:
    made = of(name)
    save_embeddings(made, tmp_path / "deep" / "down")
    back = load_embeddings(tmp_path / "deep" / "down")
    assert np.array_equal(back.vectors, made.vectors)
    assert back.table.space == made.table.space
    for part in ("values", "present", "replicate", "candidates", "object_codes"):
        assert np.array_equal(getattr(back.table, part), getattr(made.table, part)), part
    assert back.queries is not None
    assert made.queries is not None
    assert np.array_equal(back.queries.objects, made.queries.objects)
    assert all(np.array_equal(a, b) for a, b in zip(back.queries.values, made.queries.values, strict=True))
    assert (back.fidelity, back.model, back.dataset, back.modality) == (made.fidelity, "m", name, "text")


def test_candidates_that_no_row_shows_come_back(tmp_path: Path) -> None:
    data = load_dataset("text:4x4").take([0, 1, 5])
    made = embed(load_encoder("planted:bag?dim=4"), data)
    save_embeddings(made, tmp_path)
    assert load_embeddings(tmp_path).table.n_objects == 16


def test_the_same_embeddings_give_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        save_embeddings(of("mixed m"), tmp_path / folder)
    for name in ("embeddings.safetensors", "scenes.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_without_queries(tmp_path: Path) -> None:
    made = of("pairs")
    save_embeddings(Embeddings(made.vectors, made.table), tmp_path)
    assert load_embeddings(tmp_path).queries is None


def change(folder: Path, **record: object) -> None:
    arrays, known = read_tensors(folder / "embeddings.safetensors")
    write_tensors(folder / "embeddings.safetensors", arrays, {**known, **record})


def test_damage_is_one_line(tmp_path: Path) -> None:
    file, scenes = tmp_path / "embeddings.safetensors", tmp_path / "scenes.parquet"
    with pytest.raises(StoreError, match=r"cannot read .*no such file"):
        load_embeddings(tmp_path)
    save_embeddings(of("pairs"), tmp_path)
    whole, table = file.read_bytes(), scenes.read_bytes()
    for content, message in (
        (whole[:-7], r"cut short or not a safetensors file"),
        (whole[:30], r"cut short or not a safetensors file"),
        (b"", r"cut short or not a safetensors file"),
        (whole[:-1] + bytes([whole[-1] ^ 1]), r"was altered: its checksum does not fit"),
    ):
        file.write_bytes(content)
        with pytest.raises(StoreError, match=message) as caught:
            load_embeddings(tmp_path)
        assert "\n" not in str(caught.value)
    file.write_bytes(whole)
    scenes.write_bytes(table[:-9])
    with pytest.raises(StoreError, match=r"not a whole parquet file"):
        load_embeddings(tmp_path)
    scenes.unlink()
    with pytest.raises(StoreError, match=r"cannot read .*scenes\.parquet"):
        load_embeddings(tmp_path)


def test_files_of_two_runs_do_not_pass_as_one(tmp_path: Path) -> None:
    save_embeddings(of("pairs"), tmp_path / "a")
    save_embeddings(of("m=1"), tmp_path / "b")
    (tmp_path / "b" / "scenes.parquet").replace(tmp_path / "a" / "scenes.parquet")
    with pytest.raises(StoreError, match=r"132 vectors but 12 scenes; they are of two runs"):
        load_embeddings(tmp_path / "a")
    save_embeddings(of("C=1"), tmp_path / "b")
    (tmp_path / "b" / "scenes.parquet").replace(tmp_path / "a" / "scenes.parquet")
    with pytest.raises(StoreError, match=r"does not fit the vectors beside it \(.*\); embed again"):
        load_embeddings(tmp_path / "a")


def test_another_schema_and_strangers(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_embeddings(of("pairs"), tmp_path)
    change(tmp_path, schema=99)
    with pytest.raises(StoreError, match=r"has schema 99, this version reads 1; embed again"):
        load_embeddings(tmp_path)
    save_file({"vectors": np.zeros((2, 2), dtype=np.float32)}, tmp_path / "embeddings.safetensors")
    with pytest.raises(StoreError, match=r"was not written by bindscope"):
        load_embeddings(tmp_path)
    save_file({"v": np.zeros(2)}, tmp_path / "x.safetensors", metadata={"bindscope": json.dumps([1])})
    with pytest.raises(StoreError, match=r"was not written by bindscope"):
        read_tensors(tmp_path / "x.safetensors")


def test_where_it_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"cannot make the directory"):
        save_embeddings(of("pairs"), tmp_path / "file")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(StoreError, match=r"No space left on device"):
        save_embeddings(of("pairs"), tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["scenes.parquet"]


def test_tensors_of_every_kind_come_back(tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(6, dtype=np.int64).reshape(2, 3).T,  # not contiguous
        "b": np.zeros((0, 4), dtype=np.float32),
        "c": np.array(3.5),
    }
    write_tensors(tmp_path / "x.safetensors", arrays, {"note": "ä"})
    back, record = read_tensors(tmp_path / "x.safetensors")
    assert record == {"note": "ä"}
    assert all(np.array_equal(back[name], array) for name, array in arrays.items())


def test_one_vector_a_row() -> None:
    with pytest.raises(VectorsError, match=r"expected one vector for each of the 132 rows, got shape \[3, 2\]"):
        Embeddings(np.zeros((3, 2), dtype=np.float32), DESIGNS["pairs"])
