"""Files of our own: whole or not at all, readable as the umask says, and every changed byte told."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bindscope.controlled.config import preset
from bindscope.controlled.train import load_trained, train
from bindscope.datasets import load_dataset
from bindscope.embeddings import embed, load_embeddings, save_embeddings
from bindscope.encoders import load_encoder
from bindscope.errors import StoreError
from bindscope.files import read_tensors, whole_file, write_tensors


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """The umask of this process for one test."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_all_files_get_the_rights_that_the_umask_leaves(umask: int, tmp_path: Path) -> None:
    save_embeddings(embed(load_encoder("planted:bag?dim=4"), load_dataset("text:2x2")), tmp_path)
    write_tensors(tmp_path / "torch.safetensors", {"x": torch.zeros(2)}, {})
    with whole_file(tmp_path / "text") as partial:
        partial.write_text("x")
    assert {rights(path) for path in tmp_path.iterdir()} == {0o666 & ~umask}


def same(one: Any, two: Any) -> bool:
    known = (one.fidelity, one.model, one.dataset) == (two.fidelity, two.model, two.dataset)
    return known and np.array_equal(one.vectors, two.vectors) and np.array_equal(one.table.values, two.table.values)


def flipped(path: Path, read: Callable[[], Any], alike: Callable[[Any], bool], step: int) -> tuple[int, int]:
    """Flip one bit of every `step`-th byte in turn: how many flips were told, and how many changed what is read."""
    whole = path.read_bytes()
    told = changed = 0
    for place in range(0, len(whole), step):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        try:
            changed += not alike(read())
        except StoreError:
            told += 1
    path.write_bytes(whole)
    return told, changed


def test_a_flipped_byte_in_embeddings_is_told(tmp_path: Path) -> None:
    made = embed(load_encoder("planted:bag?dim=4"), load_dataset("text:2x2"))
    save_embeddings(made, tmp_path)
    for name, step in (("embeddings.safetensors", 7), ("scenes.parquet", 19)):
        told, changed = flipped(tmp_path / name, lambda: load_embeddings(tmp_path), lambda x: same(x, made), step)
        assert not changed
        assert told > 50


def test_a_flipped_byte_in_a_checkpoint_is_told(tmp_path: Path) -> None:
    tiny = preset("tiny", values=3, width=4, heads=1, feed_forward=4, output=2, layers=1, steps=1, test_scenes=4)
    train(tiny, tmp_path / "run")
    file = tmp_path / "run" / "model.safetensors"
    weights = {k: v.clone() for k, v in load_trained(tmp_path / "run")[1].state_dict().items()}

    def alike(found: Any) -> bool:
        return all(torch.equal(v, weights[k]) for k, v in found[1].state_dict().items())

    told, changed = flipped(file, lambda: load_trained(tmp_path / "run"), alike, 37)
    assert not changed
    assert told > 50


def test_tensors_of_torch_in_any_number_format(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(3, dtype=torch.bfloat16), "b": torch.tensor(2.0), "c": torch.zeros(0, 2).half()}
    write_tensors(tmp_path / "x.safetensors", tensors, {"step": 3, "pair": (1, 2)})
    found, record = read_tensors(tmp_path / "x.safetensors", "pt")
    assert record == {"step": 3, "pair": [1, 2]}
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    first = (tmp_path / "x.safetensors").read_bytes()
    write_tensors(tmp_path / "x.safetensors", tensors, {"step": 3, "pair": (1, 2)})
    assert (tmp_path / "x.safetensors").read_bytes() == first


def test_a_file_of_an_earlier_version_is_read_where_that_is_allowed(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.ones(2)}, tmp_path / "old.safetensors", metadata={"bindscope": '{"step": 4}'})
    assert read_tensors(tmp_path / "old.safetensors", "pt", unsigned=True)[1] == {"step": 4}
    with pytest.raises(StoreError, match="was not written by bindscope"):
        read_tensors(tmp_path / "old.safetensors", "pt")
    save_file({"x": torch.ones(2)}, tmp_path / "old.safetensors", metadata={"bindscope": '{"record_sha256": "0"}'})
    with pytest.raises(StoreError, match="was not written by bindscope"):
        read_tensors(tmp_path / "old.safetensors", "pt", unsigned=True)
