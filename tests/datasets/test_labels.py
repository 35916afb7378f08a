"""Label tables in CSV and parquet: what is written is read, and every mistake is named by row and column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindscope.concepts import ConceptSpace
from bindscope.datasets import load_dataset
from bindscope.datasets.labels import read_labels, write_labels
from bindscope.errors import BindscopeError, StoreError, TableError, UnknownNameError
from bindscope.scenes import SceneTable
from planted import designs, random_scenes

quick = settings(deadline=None, max_examples=25, derandomize=True)
HEAD = "object1_color,object1_shape,object2_color,object2_shape\n"
ROWS = "red,cube,blue,ball\nblue,cube,red,ball\n"
DESIGNS = designs()


def table_of(path: Path, text: str | bytes, name: str = "t.csv") -> SceneTable:
    file = path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_labels(file)


def same_scenes(a: SceneTable, b: SceneTable) -> bool:
    """Equal in words, whatever the numbering of values; slots at the end that no row uses may be gone."""
    return [a.describe(i) for i in range(len(a))] == [b.describe(i) for i in range(len(b))] and np.array_equal(
        a.replicate, b.replicate
    )


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("name", list(DESIGNS))
def test_what_is_written_is_read(tmp_path: Path, name: str, kind: str) -> None:
    table = DESIGNS[name]
    write_labels(table, tmp_path / f"t.{kind}")
    back = read_labels(tmp_path / f"t.{kind}")
    assert same_scenes(table, back)
    assert np.array_equal(table.present, back.present)
    known = read_labels(tmp_path / f"t.{kind}", table.space)
    assert np.array_equal(known.values, table.values)  # with the space given, also the numbers


@given(st.integers(0, 10_000), st.integers(1, 4), st.sampled_from([0.0, 0.4]))
@quick
def test_csv_and_parquet_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, seed: int, m: int, absent: float
) -> None:
    folder = tmp_path_factory.mktemp("labels")
    table = random_scenes(3, 2, 2, n=12, m=m, absent=absent, seed=seed)
    for kind in ("csv", "parquet"):
        write_labels(table, folder / f"t.{kind}")
    a, b = read_labels(folder / "t.csv"), read_labels(folder / "t.parquet")
    assert same_scenes(a, b)
    assert same_scenes(a, table)


def test_visible_shares_and_odd_words_come_back(tmp_path: Path) -> None:
    space = ConceptSpace.of([("Farbe, hell", ["grün", 'a "b"', "c,d"]), ("形", ["球", "1"])])
    values = [[[0, 0], [1, 1]], [[2, 1], [-1, -1]]]
    table = SceneTable.build(space, values, visible=[[0.25, 1.0], [0.5, np.nan]])
    for kind in ("csv", "parquet"):
        write_labels(table, tmp_path / f"t.{kind}")
        back = read_labels(tmp_path / f"t.{kind}", space)
        assert np.array_equal(back.values, table.values)
        assert np.array_equal(back.visible, table.visible, equal_nan=True)  # type: ignore[arg-type]


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    for kind in ("csv", "parquet"):
        for name in ("a", "b"):
            write_labels(DESIGNS["mixed m"], tmp_path / f"{name}.{kind}")
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


@pytest.mark.parametrize(
    "text",
    [
        HEAD + ROWS,
        "\ufeff" + HEAD + ROWS,
        (HEAD + ROWS).replace("\n", "\r\n"),
        (HEAD + ROWS).replace("\n", "\r"),
        HEAD + "\n" + ROWS + "\n\n",
        HEAD.replace(",", " , ") + ROWS.replace(",", " , "),
        '"object1_color","object1_shape","object2_color","object2_shape"\n"red","cube",blue,ball\nblue,cube,red,"ball"',
        "name,object2_shape,object2_color,object1_color_idx,object1_color,object1_shape,x\n"
        "a,ball,blue,7,red,cube,\nb,ball,red,7,blue,cube,9\n",
    ],
    ids=["plain", "bom", "crlf", "cr", "blank lines", "blanks", "quotes", "other columns"],
)
def test_harmless_variants_read_the_same(tmp_path: Path, text: str) -> None:
    table = table_of(tmp_path, text)
    assert [table.describe(i) for i in range(2)] == ["red cube + blue ball", "blue cube + red ball"]


def test_missing_objects_and_parquet_types(tmp_path: Path) -> None:
    table = table_of(tmp_path, HEAD + ROWS + "red,cube,,\n,,red,cube\n")
    assert table.counts.tolist() == [2, 2, 1, 1]
    assert table.present[3].tolist() == [False, True]
    columns = {
        "object1_size": pa.array([1, 2, 1], pa.int32()),
        "object1_big": pa.array([True, False, True]),
        "object1_color": pa.array(["red", "blue", "red"]).dictionary_encode(),
        "object1_w": pa.array([1.0, 2.5, 1.0]),
        "object2_size": pa.array([2, None, 1], pa.int32()),
        "object2_big": pa.array([True, None, False]),
        "object2_color": pa.array(["blue", None, "blue"]).dictionary_encode(),
        "object2_w": pa.array([2.5, float("nan"), 1.0]),
        "object2_other_idx": pa.array([[1], [2], [3]]),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    table = read_labels(tmp_path / "t.parquet")
    assert table.describe(0) == "1 True red 1 + 2 True blue 2.5"
    assert table.counts.tolist() == [2, 1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty|no columns"),
        (HEAD, "the table has no rows"),
        ("a,b\n1,2\n", "no columns object1_<concept>, .*its columns: a, b"),
        (HEAD + ROWS + "red,cube,blue\n", "line 4 has 3 cells, the header has 4"),
        (HEAD + ROWS + "red,cube,blue,ball,\n", "line 4 has 5 cells"),
        (HEAD + ROWS + "red,,blue,ball\n", r"data row 3 \(line 4\): object1_shape is empty while object1_color is not"),
        (HEAD + ROWS + "\nred,cube,blue, \n", r"data row 3 \(line 5\): object2_shape is empty"),
        (HEAD + ROWS + ",,,\n", r"data row 3 \(line 4\) shows no object"),
        ("object1_a,object1_a\nx,y\n", "column object1_a stands twice"),
        ("object1_a,object3_a\nx,y\n", "columns of object 3 but none of object 2"),
        ("object0_a,object1_a\nx,y\n", "objects count from 1"),
        ("object01_a,object2_a\nx,y\n", "without leading zeros"),
        ("object1_a,object1_b,object2_a\nx,y,z\n", "column object2_b is missing; all objects need the same concepts"),
        (
            "object1_a,object2_a,visible1\nx,y,1.5\n",
            r"data row 1 \(line 2\): visible1 must be a share in 0\.\.1, got '1.5'",
        ),
        ("object1_a,object2_a,visible1\nx,y,half\n", "visible1 must be a share"),
        ("object1_a,replicate\nx,0\ny,\n", r"data row 2 \(line 3\): replicate must be a whole number .* got 'nothing'"),
        ("object1_a,replicate\nx,0.5\n", "replicate must be a whole number"),
        ("object1_a,replicate\nx,-1\n", "replicate must be a whole number"),
        ("object1_a,replicate\nx,nan\n", "replicate must be a whole number"),
        ("object1_a,object1_b\n,\n,\n", "concept a has no value in any row"),
        ((HEAD + ROWS).replace(",", ";"), "separated by semicolons, expected commas"),
        ((HEAD + ROWS).replace(",", "\t"), "separated by tabs, expected commas"),
        ((HEAD + ROWS).replace(",", "|"), "separated by bars, expected commas"),
        (HEAD + '"red,cube\n', "not a CSV file"),
        (HEAD + ROWS + "a\0b,cube,red,ball\n", "line 4 holds a null byte"),
        ((HEAD + "grün,cube,red,ball\n").encode("latin-1"), "line 2 is not UTF-8 text"),
        ((HEAD + ROWS).encode("utf-16"), "is not UTF-8 text"),
    ],
)
def test_mistakes_are_named_by_row_and_column(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises((TableError, StoreError), match=message) as caught:
        table_of(tmp_path, text)
    assert "t.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"a label table is a .csv, .*got .txt"):
        table_of(tmp_path, HEAD, "t.txt")
    with pytest.raises(StoreError, match=r"got no extension"):
        read_labels(tmp_path)
    with pytest.raises(StoreError, match=r"No such file"):
        read_labels(tmp_path / "none.csv")
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(StoreError, match=r"Is a directory"):
        read_labels(tmp_path / "d.csv")
    with pytest.raises(StoreError, match=r"not a whole parquet file"):
        table_of(tmp_path, b"PAR1 nothing", "t.parquet")
    write_labels(DESIGNS["pairs"], tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    with pytest.raises(StoreError, match=r"not a whole parquet file"):
        table_of(tmp_path, content[:-30], "cut.parquet")
    pq.write_table(pa.table({"object1_a": [[1], [2]]}), tmp_path / "lists.parquet")
    with pytest.raises(TableError, match=r"column object1_a holds list<.*; expected text or numbers"):
        read_labels(tmp_path / "lists.parquet")
    pq.write_table(pa.table({"object1_a": pa.array([], pa.string())}), tmp_path / "none.parquet")
    with pytest.raises(TableError, match=r"the table has no rows"):
        read_labels(tmp_path / "none.parquet")
    twice = pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], names=["object1_a", "object1_a"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(TableError, match=r"column object1_a stands twice"):
        read_labels(tmp_path / "twice.parquet")


def test_a_known_space_refuses_strangers(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEAD + ROWS + "rde,cube,blue,ball\n")
    space = ConceptSpace.of([("color", ["red", "blue"]), ("shape", ["cube", "ball"])])
    with pytest.raises(UnknownNameError, match=r"data row 3 \(line 4\), object1_color: 'rde'; did you mean red"):
        read_labels(tmp_path / "t.csv", space)
    with pytest.raises(TableError, match=r"expected the concepts color, got color, shape"):
        read_labels(tmp_path / "t.csv", ConceptSpace.of([("color", ["red"])]))


@pytest.mark.parametrize(
    ("name", "word", "message"),
    [
        ("a_idx", "x", "end in _idx are not read back"),
        ("a", " x", "has blanks around it"),
        (" a", "x", "blanks around its name"),
    ],
)
def test_what_would_not_come_back_is_not_written(tmp_path: Path, name: str, word: str, message: str) -> None:
    table = SceneTable.build(ConceptSpace.of([(name, [word, "y"])]), [[[0]], [[1]]])
    with pytest.raises(TableError, match=message):
        write_labels(table, tmp_path / "t.csv")
    assert list(tmp_path.iterdir()) == []


def test_writing_where_one_cannot(tmp_path: Path) -> None:
    table = DESIGNS["pairs"]
    with pytest.raises(StoreError, match=r"got .xlsx"):
        write_labels(table, tmp_path / "t.xlsx")
    with pytest.raises(StoreError, match=r"cannot write .*; choose a place that can be written"):
        write_labels(table, tmp_path / "none" / "t.csv")


def test_as_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEAD + ROWS)
    data = load_dataset(f"labels:{tmp_path}/t.csv")
    assert (data.modality, len(data), data.items.texts) == ("labels", 2, None)
    assert data.object_queries.values.shape == (4, 1, 2)
    with pytest.raises(BindscopeError, match=r"labels: needs a label table"):
        load_dataset("labels:")
    with pytest.raises(UnknownNameError, match=r"unknown option of labels"):
        load_dataset(f"labels:{tmp_path}/t.csv?m=2")
