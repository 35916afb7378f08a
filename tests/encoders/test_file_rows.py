"""Vectors from files: which array, which row, which query. Nothing is guessed, and what was matched is said."""

from __future__ import annotations

import io
import itertools
import json
import os
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindscope.datasets import load_dataset
from bindscope.embeddings import Embeddings, embed
from bindscope.encoders import load_encoder
from bindscope.encoders.arrays import read_vectors
from bindscope.errors import BindscopeError, InputError, StoreError, UnknownNameError, VectorsError

quick = settings(deadline=None, max_examples=10, derandomize=True)
rng = np.random.default_rng(0)
COLORS, SHAPES = ("1", "2", "10"), ("ball", "cube")
OBJECTS = list(itertools.product(COLORS, SHAPES))
ROWS = [(*a, *b) for a in OBJECTS for b in OBJECTS if a != b]
N = len(ROWS)
VECTORS = rng.normal(size=(N, 8)).astype(np.float32)
HEAD = ("object1_n", "object1_shape", "object2_n", "object2_shape")


def lists(array: np.ndarray) -> pa.Array:
    return pa.array(array.tolist(), pa.list_(pa.float32()))


def labels(folder: Path, **columns: Sequence[Any]) -> str:
    table = {name: [row[i] for row in ROWS] for i, name in enumerate(HEAD)}
    lines = [",".join([*columns, *table])]
    lines += [",".join(map(str, row)) for row in zip(*columns.values(), *table.values(), strict=True)]
    (folder / "scenes.csv").write_text("\n".join(lines) + "\n")
    return f"labels:{folder}/scenes.csv"


def embedded(folder: Path, name: str, data: str) -> Embeddings:
    return embed(load_encoder(f"file:{folder}/{name}"), load_dataset(data))


BOXES = {name: pa.array(rng.random(N)) for name in ("x1", "y1", "x2", "y2")}
TABLES: dict[str, dict[str, Any]] = {
    "one list beside boxes": {"clip_embedding": lists(VECTORS), **BOXES},
    "one list beside a score": {"image_embedding": lists(VECTORS), "f1": pa.array(rng.random(N))},
    "a known name beside another list": {"bbox": lists(rng.random((N, 4))), "embedding": lists(VECTORS)},
    "dimensions beside boxes": {**{f"dim{i}": VECTORS[:, i] for i in range(8)}, **BOXES},
    "dimensions with a line": {f"dim_{i}": VECTORS[:, i] for i in range(8)},
    "lists of words": {"tags": pa.array([["a", "b"]] * N), "feat": lists(VECTORS)},
}
AMBIGUOUS: dict[str, tuple[dict[str, Any], str]] = {
    "two lists": (
        {"clip": lists(VECTORS), "box": lists(VECTORS[:, :4])},
        r"clip \[30, 8\], box \[30, 4\]; .*\?array=clip",
    ),
    "two known names": ({"embedding": lists(VECTORS), "vector": lists(VECTORS)}, "embedding .*, vector"),
    "list and dimensions": (
        {"clip": lists(VECTORS), "dim0": VECTORS[:, 0], "dim1": VECTORS[:, 1]},
        r"dim0.. \[2 columns\]",
    ),
    "a box beside many features": (
        {"bbox": lists(VECTORS[:, :4]), **{f"f{i}": VECTORS[:, i % 8] for i in range(9)}},
        "bbox .*, f0",
    ),
    "a box list alone": (
        {"bbox": lists(VECTORS[:, :4])},
        r"got bbox, which is named like something else; .*\?array=bbox",
    ),
    "classes beside dimensions": (
        {**{f"dim{i}": VECTORS[:, i] for i in range(8)}, **{f"class_{i}": pa.array([0] * N) for i in range(10)}},
        r"dim0.. \[8 columns\], class_0.. \[10 columns\]; .*array=dim$",
    ),
    "boxes alone": (BOXES, r"expected a column of lists .* got x1, y1, x2, y2; if the columns x0, x1, .* \?array=x"),
    "scores": ({"f1": BOXES["x1"]}, "expected a column of lists"),
    "one-hot": ({f"class_{i}": pa.array([0] * N) for i in range(4)}, r"add \?array=class_"),
    "v0": ({f"v{i}": VECTORS[:, i] for i in range(8)}, r"add \?array=v"),
}


@pytest.mark.parametrize("name", list(TABLES))
def test_the_vectors_among_other_columns(tmp_path: Path, name: str) -> None:
    pq.write_table(pa.table(TABLES[name]), tmp_path / "v.parquet")
    assert np.array_equal(read_vectors(tmp_path / "v.parquet"), VECTORS)


@pytest.mark.parametrize("name", list(AMBIGUOUS))
def test_which_column_is_never_guessed(tmp_path: Path, name: str) -> None:
    columns, message = AMBIGUOUS[name]
    pq.write_table(pa.table(columns), tmp_path / "v.parquet")
    with pytest.raises(InputError, match=message):
        read_vectors(tmp_path / "v.parquet")


def test_a_column_is_chosen_by_name(tmp_path: Path) -> None:
    data = labels(tmp_path)
    pq.write_table(pa.table({"clip": lists(VECTORS), "box": lists(VECTORS[:, :4])}), tmp_path / "v.parquet")
    assert embedded(tmp_path, "v.parquet?array=clip", data).vectors.shape == (N, 8)
    assert embedded(tmp_path, "v.parquet?array=box", data).vectors.shape == (N, 4)
    with pytest.raises(UnknownNameError, match=r"unknown array in .*v.parquet: 'clap'; did you mean clip"):
        embedded(tmp_path, "v.parquet?array=clap", data)
    pq.write_table(pa.table({f"emb{i}": VECTORS[:, i] for i in range(8)}), tmp_path / "w.parquet")
    assert np.array_equal(embedded(tmp_path, "w.parquet?array=emb", data).vectors, VECTORS)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"features": VECTORS[:, None], "boxes": VECTORS[:, :4]},
            r"features \[30, 1, 8\], boxes \[30, 4\]; .*\?array=features",
        ),
        ({"a": VECTORS, "onehot": np.eye(N, dtype=np.uint8)}, r"a \[30, 8\], onehot \[30, 30\]"),
        ({"vectors": VECTORS, "embeddings": VECTORS}, r"vectors \[30, 8\], embeddings \[30, 8\]"),
        (
            {"boxes": VECTORS[:, :4], "ids": np.arange(N)},
            r"got boxes, which is named like something else; .*\?array=boxes",
        ),
        ({"label_onehot": np.eye(N)}, "got label_onehot, which is named"),
        ({"scores": VECTORS[:, 0]}, "expected an array named vectors or embeddings, got scores"),
    ],
)
def test_which_array_is_never_guessed(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    from safetensors.numpy import save_file

    np.savez(tmp_path / "v.npz", **arrays)
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, tmp_path / "v.safetensors")
    with pytest.raises(InputError, match=message):
        read_vectors(tmp_path / "v.npz")
    with pytest.raises(InputError, match="expected an array named vectors or embeddings"):
        read_vectors(tmp_path / "v.safetensors")


def test_an_array_is_chosen_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", a=VECTORS, b=VECTORS + 1)
    assert np.array_equal(read_vectors(tmp_path / "v.npz", "b"), VECTORS + 1)
    with pytest.raises(UnknownNameError, match=r"unknown array in .*'c'"):
        read_vectors(tmp_path / "v.npz", "c")
    np.save(tmp_path / "v.npy", VECTORS)
    with pytest.raises(InputError, match=r"\.npy holds one array; leave it out"):
        read_vectors(tmp_path / "v.npy", "a")


def test_text_saved_as_objects_does_not_spoil_the_vectors(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", vectors=VECTORS, names=np.array(["a"] * N, dtype=object))
    assert np.array_equal(read_vectors(tmp_path / "v.npz"), VECTORS)


@pytest.mark.parametrize("rows", [[3], [0, 29], list(range(29))])
def test_rows_of_zeros_are_refused(tmp_path: Path, rows: list[int]) -> None:
    array = VECTORS.copy()
    array[rows] = 0
    np.save(tmp_path / "v.npy", array)
    with pytest.raises(VectorsError, match=rf"row {rows[0]} is all zeros \({len(rows)} such rows\)"):
        read_vectors(tmp_path / "v.npy")


@pytest.mark.parametrize("kind", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float16", "float64"])
def test_narrow_numbers_in_safetensors(tmp_path: Path, kind: str) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    narrow = torch.tensor(VECTORS).to(getattr(torch, kind))
    save_file({"vectors": narrow}, tmp_path / "v.safetensors")
    assert np.array_equal(read_vectors(tmp_path / "v.safetensors"), narrow.to(torch.float32).numpy())


def test_all_numbers_of_eight_bits() -> None:
    torch = pytest.importorskip("torch")
    from bindscope.encoders.arrays import _E4M3

    codes = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).to(torch.float32).numpy()
    assert np.array_equal(_E4M3, codes, equal_nan=True)


@pytest.mark.parametrize("name", ["v.npy", "v.npz", "v.safetensors", "v.parquet"])
def test_pipes_and_devices_are_refused_before_they_block(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(StoreError, match="pipe, socket or device"):
        read_vectors(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(StoreError, match="pipe, socket or device"):
        read_vectors(tmp_path / name)


def npy_header(shape: str) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize("shape", ["(1000000000000, 8)", "(30, 999999999999999999)", "(31, 8)"])
def test_declared_sizes_beyond_the_file_are_refused_before_reading(tmp_path: Path, shape: str) -> None:
    content = npy_header(shape) + VECTORS.tobytes()[:200]
    (tmp_path / "v.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "v.npz", "w") as archive:
        archive.writestr("vectors.npy", content)
    header = json.dumps({"vectors": {"dtype": "F32", "shape": [10**9, 8], "data_offsets": [0, 32 * 10**9]}}).encode()
    (tmp_path / "v.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"x")
    for name in ("v.npy", "v.npz", "v.safetensors"):
        with pytest.raises(StoreError, match=r"cannot read .*; it may be cut short or of another kind"):
            read_vectors(tmp_path / name)


@pytest.mark.parametrize(
    "change",
    [(b"{'descr'", b"('descr'"), (b"'<f4'", b"'<f\xff"), (b"shape", b"sh\npe"), (b"(30, 8)", b'(30, """')],
)
def test_broken_headers_are_one_line(tmp_path: Path, change: tuple[bytes, bytes]) -> None:
    np.save(tmp_path / "v.npy", VECTORS)
    content = (tmp_path / "v.npy").read_bytes()
    assert change[0] in content
    (tmp_path / "v.npy").write_bytes(content.replace(*change))
    with pytest.raises(StoreError, match=r"cannot read .*; it may be cut short or of another kind") as caught:
        read_vectors(tmp_path / "v.npy")
    assert "\n" not in str(caught.value)


def test_archives_and_tables_that_unpack_to_far_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bindscope.encoders.arrays.MAX_INFLATED", 10_000)
    monkeypatch.setattr("bindscope.encoders.parquet.MAX_INFLATED", 10_000)
    np.savez_compressed(tmp_path / "v.npz", vectors=np.ones((10_000, 100), dtype=np.float32))
    with pytest.raises(StoreError, match="unpacks to more than 100 times its size"):
        read_vectors(tmp_path / "v.npz")
    pq.write_table(pa.table({"vectors": lists(np.ones((2_000, 200)))}), tmp_path / "v.parquet")
    with pytest.raises(StoreError, match="declares 2,000 rows and 400,000 cells"):
        read_vectors(tmp_path / "v.parquet")


IDS = [f"{i:03d}.png" for i in range(N)]
ORDER = rng.permutation(N)


def vectors_table(order: Sequence[int], **columns: Sequence[Any]) -> pa.Table:
    return pa.table(
        {
            **{name: [cells[i] for i in order] for name, cells in columns.items()},
            "embedding": lists(VECTORS[list(order)]),
        }
    )


@given(st.permutations(range(N)))
@quick
def test_any_order_of_rows_is_put_right_by_a_shared_column(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    data = labels(folder, filename=IDS)
    pq.write_table(vectors_table(order, filename=IDS), folder / "v.parquet")
    assert np.array_equal(embedded(folder, "v.parquet", data).vectors, VECTORS)


@pytest.mark.parametrize(
    ("ours", "theirs", "cells", "other"),
    [
        ("filename", "filename", IDS, IDS),
        ("id", "ID", list(range(100, 100 + N)), list(range(100, 100 + N))),
        ("image", "file_name", IDS, IDS),
        ("filename", "path", IDS, [f"images/{name}" for name in IDS]),
        ("filename", "filename", [f"train\\{name}" for name in IDS], [f"train/{name}" for name in IDS]),
        ("id", "id", [f"{i:03d}" for i in range(7, 7 + N)], list(range(7, 7 + N))),
        ("image id", "image_id", IDS, IDS),
    ],
)
def test_columns_that_name_the_rows(tmp_path: Path, ours: str, theirs: str, cells: list[Any], other: list[Any]) -> None:
    data = labels(tmp_path, **{ours: cells})
    pq.write_table(vectors_table(ORDER, **{theirs: other}), tmp_path / "v.parquet")
    encoder = load_encoder(f"file:{tmp_path}/v.parquet")
    assert np.array_equal(embed(encoder, load_dataset(data)).vectors, VECTORS)
    assert encoder.notes == (
        f"{tmp_path}/v.parquet: its rows stand in another order and are matched by the column {ours}",
    )
    assert np.array_equal(embedded(tmp_path, "v.parquet?ids=none", data).vectors, VECTORS[ORDER])


def test_npz_captions_samples_and_more_rows_are_matched_too(tmp_path: Path) -> None:
    data = labels(tmp_path, filename=IDS)
    np.savez(tmp_path / "v.npz", vectors=VECTORS[ORDER], filename=np.array(IDS)[ORDER])
    assert np.array_equal(embedded(tmp_path, "v.npz", data).vectors, VECTORS)
    some = load_dataset(data).take([3, 17, 29])
    assert np.array_equal(embed(load_encoder(f"file:{tmp_path}/v.npz"), some).vectors, VECTORS[[3, 17, 29]])
    wide = np.concatenate([VECTORS[ORDER], rng.normal(size=(5, 8)).astype(np.float32)])
    np.savez(tmp_path / "w.npz", vectors=wide, filename=np.array([*np.array(IDS)[ORDER], *"abcde"]))
    encoder = load_encoder(
        f"file:{tmp_path}/w.npz?captions={tmp_path}/v.npz".replace(f"?captions={tmp_path}/v.npz", "")
    )
    assert np.array_equal(embed(encoder, load_dataset(data)).vectors, VECTORS)
    assert "30 of 35 rows are used, matched by the column filename" in encoder.notes[0]
    both = load_encoder(f"file:{tmp_path}/v.npz?captions={tmp_path}/v.npz").prepare(load_dataset(data))
    assert np.array_equal(both.encode_captions(load_dataset(data).items), VECTORS)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            [*IDS[:-1], "x.png"],
            "its column filename disagrees with filename of the label table: no row is called '029.png'",
        ),
        ([*IDS[:-1], IDS[0]], "disagrees .*: no row is called '029.png'"),
        ([None, *IDS[1:]], "disagrees .*: no row is called '000.png'"),
        ([str(i) for i in range(N)], "disagrees"),
    ],
)
def test_names_of_rows_that_disagree_are_refused(tmp_path: Path, cells: list[Any], message: str) -> None:
    data = labels(tmp_path, filename=IDS)
    pq.write_table(vectors_table(range(N), filename=cells), tmp_path / "v.parquet")
    with pytest.raises(VectorsError, match=rf"{message}.*\?ids=none"):
        embedded(tmp_path, "v.parquet", data)
    assert np.array_equal(embedded(tmp_path, "v.parquet?ids=none", data).vectors, VECTORS)


def test_two_columns_that_name_the_rows(tmp_path: Path) -> None:
    keys = [f"k{i}" for i in range(N)]
    data = labels(tmp_path, filename=IDS, key=keys)
    pq.write_table(vectors_table(ORDER, filename=IDS, key=keys), tmp_path / "v.parquet")
    assert np.array_equal(embedded(tmp_path, "v.parquet", data).vectors, VECTORS)
    turned = vectors_table(ORDER, filename=IDS).append_column("key", [keys])
    pq.write_table(turned, tmp_path / "v.parquet")
    with pytest.raises(
        VectorsError, match=r"filename and key put its rows in different orders; choose one with \?ids=filename"
    ):
        embedded(tmp_path, "v.parquet", data)
    assert np.array_equal(embedded(tmp_path, "v.parquet?ids=filename", data).vectors, VECTORS)
    with pytest.raises(UnknownNameError, match=r"unknown column that .* shares with the label table 'note'"):
        embedded(tmp_path, "v.parquet?ids=note", data)


def test_an_index_that_was_counted_anew_gives_way_to_names(tmp_path: Path) -> None:
    data = labels(tmp_path, index=list(range(N)), filename=IDS)
    table = vectors_table(ORDER, filename=IDS).append_column("index", [list(range(N))])
    pq.write_table(table, tmp_path / "v.parquet")
    assert np.array_equal(embedded(tmp_path, "v.parquet", data).vectors, VECTORS)


def test_columns_that_cannot_name_rows_are_left_alone(tmp_path: Path) -> None:
    data = labels(tmp_path, split=["train"] * N, score=[f"{i}.5" for i in range(N)])
    pq.write_table(
        vectors_table(ORDER, split=["test"] * N, score=[f"{i}.25" for i in range(N)]), tmp_path / "v.parquet"
    )
    assert np.array_equal(embedded(tmp_path, "v.parquet", data).vectors, VECTORS[ORDER])


def test_vectors_that_say_what_their_rows_show_must_agree(tmp_path: Path) -> None:
    data = labels(tmp_path)
    cells = {name: [row[i] for row in ROWS] for i, name in enumerate(HEAD)}
    pq.write_table(vectors_table(range(N), **cells), tmp_path / "v.parquet")
    assert np.array_equal(embedded(tmp_path, "v.parquet", data).vectors, VECTORS)
    pq.write_table(vectors_table(ORDER, **cells), tmp_path / "v.parquet")
    with pytest.raises(
        VectorsError, match=r"object\d_\w+ of row \d+ is '\w+' there and '\w+' in .*: the rows do not belong"
    ):
        embedded(tmp_path, "v.parquet", data)
    assert len(embedded(tmp_path, "v.parquet?ids=none", data).vectors) == N


NUMBERS = sorted(COLORS)
SORTED = list(itertools.product(NUMBERS, SHAPES))
OV = rng.normal(size=(6, 8)).astype(np.float32)
NV, SV = (rng.normal(size=(k, 8)).astype(np.float32) for k in (3, 2))


def queried(folder: Path, **arrays: np.ndarray) -> Embeddings:
    np.save(folder / "v.npy", VECTORS)
    np.savez(folder / "q.npz", **arrays)
    return embedded(folder, f"v.npy?queries={folder}/q.npz", labels(folder))


def right(found: Embeddings) -> bool:
    queries = found.queries
    assert queries is not None
    pairs = ((queries.objects, OV), (queries.values[0], NV), (queries.values[1], SV))
    return all(np.array_equal(a, b) for a, b in pairs)


def test_arrays_of_queries_without_words_say_their_order(tmp_path: Path) -> None:
    assert right(queried(tmp_path, objects=OV, n=NV, shape=SV))
    encoder = load_encoder(f"file:{tmp_path}/v.npy?queries={tmp_path}/q.npz")
    embed(encoder, load_dataset(labels(tmp_path)))
    assert len(encoder.notes) == 1
    assert "objects 1 ball, 1 cube, 10 ball, 10 cube, ...; n 1, 10, 2; shape ball, cube" in encoder.notes[0]


@given(st.permutations(range(6)), st.permutations(range(3)), st.permutations(range(2)), st.booleans())
@quick
def test_queries_by_their_words_come_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, o: list[int], n: list[int], s: list[int], matrix: bool
) -> None:
    folder = tmp_path_factory.mktemp("queries")
    names = np.array([SORTED[i] for i in o]) if matrix else np.array([" ".join(SORTED[i]) for i in o])
    words = {"objects_names": names, "n_names": np.array(NUMBERS)[n], "shape_names": np.array(SHAPES)[s]}
    assert right(queried(folder, objects=OV[o], n=NV[n], shape=SV[s], **words))
    every = [" ".join(SORTED[i]) for i in o] + [NUMBERS[i] for i in n] + [f"shape={SHAPES[i]}" for i in s]
    assert right(queried(folder, vectors=np.concatenate([OV[o], NV[n], SV[s]]), names=np.array(every)))


def test_integer_words_of_queries(tmp_path: Path) -> None:
    assert right(queried(tmp_path, objects=OV, n=NV[[0, 2, 1]], shape=SV, n_names=np.array([1, 2, 10])))


ALL = [*(" ".join(pair) for pair in SORTED), *NUMBERS, *SHAPES]
EVERY = np.concatenate([OV, NV, SV])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"vectors": EVERY, "names": np.array([*ALL[:-1], "cuba"])}, "unknown value in .*names: 'cuba'; did you mean"),
        ({"vectors": EVERY, "names": np.array([*ALL[:-1], "Cube"])}, "names: 'Cube' looks like 'cube'; spell it alike"),
        ({"vectors": EVERY, "names": np.array([*ALL[:-1], ALL[0]])}, "rows 0 and 10 ask for the same"),
        ({"vectors": EVERY[:-1], "names": np.array(ALL[:-1])}, "no query for 'cube'; give all objects"),
        ({"vectors": EVERY, "names": np.array(ALL[:-1])}, "names must be 11 words, one a row"),
        ({"vectors": EVERY, "names": np.array(ALL, dtype=object)}, "saved as Python objects; save it as text"),
        ({"names": np.array(ALL)}, "names needs one array `vectors` beside it, got none"),
        (
            {"objects": OV, "n": NV, "shape": SV, "names": np.array(ALL)},
            "beside objects, n, shape give objects_names, n_names",
        ),
        ({"objects": OV, "n": NV, "shape": SV, "n_names": np.array(["1", "2", "3"])}, "value in .*n_names: '3'"),
        ({"objects": OV, "n": NV, "shape": SV, "n_names": np.array(["1", "2", "2"])}, "ask for the same"),
        ({"objects": OV * 0, "n": NV, "shape": SV}, "objects: the queries are zeros"),
        ({"objects": OV, "n": NV, "shape": SV * 0 + 1}, "shape: all 2 queries are equal"),
        ({"objects": OV[[0] * 6], "n": NV, "shape": SV}, "objects: all 6 queries are equal"),
    ],
)
def test_queries_that_cannot_be_used(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(BindscopeError, match=message):
        queried(tmp_path, **arrays)


def test_a_word_of_two_concepts_needs_its_concept(tmp_path: Path) -> None:
    objects = list(itertools.product(("orange", "red"), ("orange", "apple")))
    rows = [(*a, *b) for a in objects for b in objects if a != b]
    head = "object1_color,object1_fruit,object2_color,object2_fruit"
    (tmp_path / "scenes.csv").write_text("\n".join([head, *(",".join(row) for row in rows)]))
    np.save(tmp_path / "v.npy", VECTORS[: len(rows)])
    words = [*(" ".join(o) for o in objects), "orange", "red", "orange", "apple"]
    for names, fine in ((words, False), ([*words[:4], "color=orange", "red", "fruit=orange", "apple"], True)):
        np.savez(tmp_path / "q.npz", vectors=VECTORS[:8], names=np.array(names))
        if fine:
            assert (
                embedded(tmp_path, f"v.npy?queries={tmp_path}/q.npz", f"labels:{tmp_path}/scenes.csv").queries
                is not None
            )
        else:
            with pytest.raises(StoreError, match="'orange' is a value of several concepts; write concept=orange"):
                embedded(tmp_path, f"v.npy?queries={tmp_path}/q.npz", f"labels:{tmp_path}/scenes.csv")


def test_query_tables_of_other_columns(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VECTORS)
    cells = [*SORTED, *((n, None) for n in NUMBERS), *((None, s) for s in SHAPES)]
    columns = {"object1_n": [a for a, _ in cells], "object1_shape": [b for _, b in cells], "clip": lists(EVERY)}
    pq.write_table(pa.table({**columns, "x1": pa.array(range(11))}), tmp_path / "q.parquet")
    assert right(embedded(tmp_path, f"v.npy?queries={tmp_path}/q.parquet", labels(tmp_path)))


def test_numpy_archives_hold_what_numpy_wrote(tmp_path: Path) -> None:
    sink = io.BytesIO()
    np.savez_compressed(sink, vectors=VECTORS.astype(">f8"), note=np.array("one word"))
    (tmp_path / "v.npz").write_bytes(sink.getvalue())
    assert np.allclose(read_vectors(tmp_path / "v.npz"), VECTORS)
