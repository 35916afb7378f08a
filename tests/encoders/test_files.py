"""Vectors made elsewhere: every format with and without queries, and every way in which they do not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from bindscope.datasets import load_dataset
from bindscope.embeddings import Embeddings, embed
from bindscope.encoders import load_encoder
from bindscope.encoders.arrays import read_vectors
from bindscope.errors import BindscopeError, InputError, StoreError, UnknownNameError, VectorsError

DATA = "text:3x2"  # 30 scenes, 6 objects, 3 + 2 values
rng = np.random.default_rng(0)
VECTORS = rng.normal(size=(30, 5)).astype(np.float32)
OBJECTS, ADJECTIVES, NOUNS = (rng.normal(size=(n, 5)).astype(np.float32) for n in (6, 3, 2))
NAMED = {"objects": OBJECTS, "adjective": ADJECTIVES, "noun": NOUNS}


def lists(array: np.ndarray) -> pa.Array:
    return pa.array(array.tolist(), pa.list_(pa.float32()))


def write_npy(path: Path) -> None:
    np.save(path, VECTORS)


def write_numbered(path: Path) -> None:
    columns = {"id": pa.array(range(30)), "text": pa.array(["x"] * 30)}
    columns |= {f"dim_{i}": pa.array(VECTORS[:, i]) for i in (4, 2, 0, 1, 3)}  # the order of columns does not matter
    pq.write_table(pa.table(columns), path)


WRITERS: dict[str, Callable[[Path], None]] = {
    "v.npy": write_npy,
    "named.npz": lambda path: np.savez(path, vectors=VECTORS, other=OBJECTS),
    "embeddings.npz": lambda path: np.savez(path, embeddings=VECTORS),
    "single.npz": lambda path: np.savez(path, anything=VECTORS, labels=np.arange(30)),
    "v.safetensors": lambda path: save_file({"vectors": VECTORS}, path),
    "list.parquet": lambda path: pq.write_table(pa.table({"id": list(range(30)), "embedding": lists(VECTORS)}), path),
    "fixed.parquet": lambda path: pq.write_table(
        pa.table({"vectors": pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel()), 5)}), path
    ),
    "numbered.parquet": write_numbered,
    "digits.parquet": lambda path: pq.write_table(pa.table({str(i): VECTORS[:, i] for i in range(5)}), path),
}


@pytest.mark.parametrize("name", list(WRITERS))
def test_every_format_gives_the_same_vectors(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    found = embed(load_encoder(f"file:{tmp_path / name}"), load_dataset(DATA))
    assert np.array_equal(found.vectors, VECTORS)
    assert found.vectors.dtype == np.float32
    assert found.queries is None
    assert {"architecture", "dtype", "vectors_sha256", "fingerprint"} <= set(found.fidelity)


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int32, np.uint8])
def test_other_numbers_become_single_precision(tmp_path: Path, kind: type) -> None:
    array = np.minimum(np.abs(VECTORS) * 10, 200).astype(kind)
    np.save(tmp_path / "v.npy", array)
    assert np.array_equal(read_vectors(tmp_path / "v.npy"), array.astype(np.float32))


def query_table(rows: list[tuple[str | None, str | None]]) -> pa.Table:
    columns = {"object1_adjective": [a for a, _ in rows], "object1_noun": [n for _, n in rows]}
    return pa.table({**columns, "vectors": lists(np.concatenate([OBJECTS, ADJECTIVES, NOUNS])[: len(rows)])})


ADJ, NOUN = ("red", "blue", "green"), ("circle", "square")
ROWS: list[tuple[str | None, str | None]] = [
    *((a, n) for a in ADJ for n in NOUN), *((a, None) for a in ADJ), *((None, n) for n in NOUN),
]  # fmt: skip


def asked(tmp_path: Path, name: str, data: str = DATA) -> Embeddings:
    np.save(tmp_path / "v.npy", np.resize(VECTORS, (len(load_dataset(data)), 5)))
    return embed(load_encoder(f"file:{tmp_path}/v.npy?queries={tmp_path / name}"), load_dataset(data))


@pytest.mark.parametrize("name", ["q.npz", "q.safetensors", "q.parquet"])
def test_queries_of_every_format(tmp_path: Path, name: str) -> None:
    if name.endswith("npz"):
        np.savez(tmp_path / name, **NAMED)
    elif name.endswith("safetensors"):
        save_file(NAMED, tmp_path / name)
    else:
        table = query_table(ROWS)
        pq.write_table(table.take(np.random.default_rng(1).permutation(len(ROWS))), tmp_path / name)
    found = asked(tmp_path, name)
    assert found.queries is not None
    assert np.array_equal(found.queries.objects, OBJECTS)
    assert np.array_equal(found.queries.values[0], ADJECTIVES)
    assert np.array_equal(found.queries.values[1], NOUNS)
    assert "queries_sha256" in found.fidelity


def test_queries_of_all_objects_serve_a_design_that_shows_some(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "concepts:\n  adjective: [red, blue, green]\n  noun: [circle, square]\nexclude: [{adjective: blue}]\n"
    )
    np.savez(tmp_path / "q.npz", **NAMED)
    found = asked(tmp_path, "q.npz", f"text:{tmp_path}/r.yaml")
    assert found.queries is not None
    assert np.array_equal(found.queries.objects, OBJECTS[[0, 1, 4, 5]])
    assert np.array_equal(found.queries.values[0], ADJECTIVES[[0, 2]])
    few = {"objects": OBJECTS[:4], "adjective": ADJECTIVES[:2], "noun": NOUNS}  # only those that occur, in order
    np.savez(tmp_path / "q.npz", **few)
    found = asked(tmp_path, "q.npz", f"text:{tmp_path}/r.yaml")
    assert np.array_equal(found.queries.objects, OBJECTS[:4])


def test_a_sample_takes_its_own_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VECTORS)
    data = load_dataset(DATA).take([3, 17, 29])
    assert np.array_equal(embed(load_encoder(f"file:{tmp_path}/v.npy"), data).vectors, VECTORS[[3, 17, 29]])
    np.save(tmp_path / "v.npy", np.concatenate([VECTORS, VECTORS]))
    with pytest.raises(VectorsError, match=r"holds 60 vectors and .* has 30 rows"):
        embed(load_encoder(f"file:{tmp_path}/v.npy"), data)


@pytest.mark.parametrize("rows", [0, 29, 31, 60])
def test_row_counts_must_fit(tmp_path: Path, rows: int) -> None:
    np.save(tmp_path / "v.npy", np.resize(VECTORS, (rows, 5)))
    with pytest.raises(VectorsError, match=rf"holds {rows} vectors and text:3x2 has 30 rows|got \[0, 5\]"):
        embed(load_encoder(f"file:{tmp_path}/v.npy"), load_dataset(DATA))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (VECTORS[:, 0], r"must have shape \[n, d\], got \[30\]"),
        (VECTORS[None], r"got \[1, 30, 5\]"),
        (VECTORS[:, :0], r"got \[30, 0\]"),
        (np.array([["a"] * 5] * 30), r"must be numbers, got dtype <U1"),
        (VECTORS + 1j, r"must be numbers, got dtype complex"),
        (VECTORS > 0, r"must be numbers, got dtype bool"),
        (np.where(np.arange(30)[:, None] == 4, np.nan, VECTORS), r"row 4 holds NaN \(1 such rows\)"),
        (np.where(np.arange(30)[:, None] > 27, -np.inf, VECTORS), r"row 28 holds infinite numbers \(2 such rows\)"),
        (
            np.where(np.arange(30)[:, None] == 9, 1e300, VECTORS.astype(float)),
            r"row 9 holds infinite numbers",
        ),  # beyond float32
        (
            np.where(np.arange(30)[:, None] == 9, np.float32(3e20), VECTORS),
            r"row 9 holds a number as large as 3\.0e\+20",
        ),
    ],
)
def test_arrays_that_cannot_be_vectors(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "v.npy", array)
    with pytest.raises(VectorsError, match=message):
        load_encoder(f"file:{tmp_path}/v.npy")


@pytest.mark.parametrize("name", list(WRITERS))
@pytest.mark.parametrize("left", [0.0, 0.3, 0.97])
def test_files_cut_short_are_one_line(tmp_path: Path, name: str, left: float) -> None:
    WRITERS[name](tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(left * len(content))])
    with pytest.raises(StoreError, match=r"cannot read .*; it may be cut short or of another kind") as caught:
        load_encoder(f"file:{tmp_path / name}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "two.npz",
            r"expected an array named vectors or embeddings, got several .* a \[30, 5\], b \[30, 5\]; .*\?array=a$",
        ),
        ("none.npz", r"got nothing"),
        ("objects.npy", r"allow_pickle=False"),  # nothing is unpickled
        ("ragged.parquet", r"row 1 of column vectors has another length than row 0"),
        ("null.parquet", r"row 1 of column vectors has another length"),
        ("text.parquet", r"expected a column of lists .*, got a, b"),
        ("words.parquet", r"column vectors must hold lists of numbers, got string"),
        ("gap.parquet", r"not numbered one by one: 0, 2"),
        ("numbers.parquet", r"column 1 must hold numbers, got string"),
        ("listsofwords.parquet", r"must be numbers"),
        ("v.csv", r"vectors are read from .npz, .npy, .safetensors or .parquet, got \.csv"),
        ("v", r"got no extension"),
        ("dir.npy", r"it is a directory, expected a file"),
        ("dir.parquet", r"it is a directory, expected a file"),
        ("nothing.npz", r"no such file"),
        ("text.npz", r"cannot read"),
        ("array.npz", r"not an npz archive"),
    ],
)
def test_files_of_another_kind(tmp_path: Path, name: str, message: str) -> None:
    place = tmp_path / name
    np.savez(tmp_path / "two.npz", a=VECTORS, b=VECTORS)
    np.savez(tmp_path / "none.npz")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    for parquet, columns in {
        "ragged": {"vectors": [[1.0, 2.0], [1.0]]},
        "null": {"vectors": [[1.0, 2.0], None]},
        "text": {"a": ["x"], "b": ["y"]},
        "words": {"vectors": ["x"]},
        "gap": {"0": [1.0], "2": [1.0]},
        "numbers": {"0": [1.0], "1": ["x"]},
        "listsofwords": {"vectors": [["x", "y"], ["x", "y"]]},
    }.items():
        pq.write_table(pa.table(columns), tmp_path / f"{parquet}.parquet")
    (tmp_path / "v.csv").write_text("1,2")
    (tmp_path / "v").write_text("1,2")
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "dir.npy").mkdir()
    (tmp_path / "dir.parquet").mkdir()
    write_npy(tmp_path / "array.npy")
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    with pytest.raises(BindscopeError, match=message) as caught:
        load_encoder(f"file:{place}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({**NAMED, "objects": OBJECTS[:5]}, r"objects must have 6 rows, got 5"),
        ({**NAMED, "noun": NOUNS[:1]}, r"noun must have 2 rows, got 1"),
        ({**NAMED, "noun": NOUNS[:, :4]}, r"queries have 4 dimensions, the vectors 5"),
        ({**NAMED, "noun": NOUNS[0]}, r"noun must have shape \[n, d\]"),
        ({**NAMED, "noun": NOUNS * np.nan}, r"noun: row 0 holds NaN"),
        ({"objects": OBJECTS, "adjective": ADJECTIVES}, r"no array 'noun'; queries need objects, adjective, noun"),
    ],
)
def test_queries_that_do_not_fit(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "q.npz", **arrays)
    with pytest.raises((VectorsError, StoreError), match=message):
        asked(tmp_path, "q.npz")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS[1:], r"no query for 'red circle'; give all objects and all values"),
        (ROWS[:-1], r"no query for 'square'"),
        ([*ROWS[:-1], ROWS[0]], r"rows 0 and 10 ask for the same"),
        ([("rde", "circle"), *ROWS[1:]], r"unknown value in .*object1_adjective: 'rde'; did you mean red"),
    ],
)
def test_query_tables_that_do_not_fit(tmp_path: Path, rows: list[tuple[str | None, str | None]], message: str) -> None:
    pq.write_table(query_table(rows), tmp_path / "q.parquet")
    with pytest.raises((StoreError, UnknownNameError), match=message):
        asked(tmp_path, "q.parquet")


def test_query_files_of_another_kind(tmp_path: Path) -> None:
    np.save(tmp_path / "q.npy", OBJECTS)
    with pytest.raises(StoreError, match=r"queries are read from .*, got \.npy"):
        asked(tmp_path, "q.npy")
    with pytest.raises(StoreError, match=r"no such file"):
        asked(tmp_path, "none.npz")
    pq.write_table(pa.table({"vectors": lists(OBJECTS)}), tmp_path / "q.parquet")
    with pytest.raises(StoreError, match=r"no column object1_adjective"):
        asked(tmp_path, "q.parquet")
    with pytest.raises(InputError, match=r"file: needs a file of vectors"):
        load_encoder("file:")
    with pytest.raises(UnknownNameError, match=r"unknown option of file: 'query'; did you mean queries"):
        load_encoder("file:v.npy?query=q.npz")
