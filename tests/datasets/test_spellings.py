"""Words that look alike, words for nothing, and column names that are nearly right: each kind decided at one door."""

from __future__ import annotations

import csv
import itertools
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindscope.datasets import load_dataset
from bindscope.datasets.labels import read_labels
from bindscope.datasets.spellings import alike, is_blank, is_filler, normal_form
from bindscope.errors import BindscopeWarning, TableError

quick = settings(deadline=None, max_examples=60, derandomize=True)
HEAD = ("object1_color", "object1_shape", "object2_color", "object2_shape")
Row = tuple[str, ...]
INVISIBLE = ["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u202a", "\u202c", "\ufe0f", "\u034f"]
BLANKS = ["\u00a0", "\u2002", "\u2003", "\u2009", "\u202f", "\u205f", "\u3000", "\t", "  ", " \u200b ", "\u1680"]


def scenes(colors: Sequence[str] = ("red", "blue", "green"), shapes: Sequence[str] = ("cube", "ball")) -> list[Row]:
    objects = list(itertools.product(colors, shapes))
    return [(*a, *b) for a in objects for b in objects if a != b]


def written(folder: Path, rows: Sequence[Sequence[str]], head: Sequence[str] = HEAD, name: str = "t.csv") -> Path:
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])
    return folder / name


ALIKE = [
    ("1", "1.0"), ("1", "01"), ("1", "+1"), ("1", "1."), ("1", "1e0"), ("10", "1e1"), ("0", "-0"), ("0", "0.00"), ("007", "7"),
    ("1", "\uff11"), ("2", "\u0662"), ("0.5", ".5"), ("0.1", "0.10000000149011612"), ("0.1", "0.0999755859375"),
    ("0.3", "0.30000000000000004"), ("0.33333334", "0.3333333333333333"), ("-2.5", "\u22122.5"),
    ("True", "TRUE"), ("true", "1"), ("False", "0"), ("red", "Red"), ("red", "RED"), ("straße", "STRASSE"),
    ("café", unicodedata.normalize("NFD", "café")), ("가", unicodedata.normalize("NFD", "가")), ("ﬁg", "fig"), ("ｒｅｄ", "red"),
    ("red", "\u201cred\u201d"), ("red", '"red"'), ("red", "'red'"), ("red", "«red»"), ("red", "„red“"), ("red", "`red´"),
    ("don't", "don’t"), ("dark red", "dark_red"), ("dark red", "dark-red"), ("dark-red", "dark–red"), ("x-ray", "x‐ray"),
    ("red", "r\u0435d"), ("cop", "\u0441\u043e\u0440"), ("dark red", "dark\nred"), ("dark red", "dark\u3164red"),
    *((f"dark{blank}red", "dark red") for blank in BLANKS), *((f"re{none}d", "red") for none in INVISIBLE),
]  # fmt: skip
APART = [
    ("1", "2"), ("1", "-1"), ("10", "100"), ("0.1", "0.11"), ("0.1", "0.1001"), ("5'", '5"'), ("red", "read"), ("e", "é"),
    ("a b", "ab"), ("C", "C#"), ("16777216", "16777217"), ("12345678901234567890", "12345678901234567891"), ("1/2", "12"),
    ("a.b", "ab"), ("NA", "EU"), ("none", "null"), ("2", "ii"), ("1-2", "1 2"), ("+", "-"), ("1e400", "1e401"),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), ALIKE)
def test_spellings_that_look_alike(a: str, b: str) -> None:
    assert normal_form(a) == normal_form(b)
    assert alike([a, b, "other"]) == [sorted([a, b])]


@pytest.mark.parametrize(("a", "b"), APART)
def test_spellings_that_differ(a: str, b: str) -> None:
    assert normal_form(a) != normal_form(b)
    assert alike([a, b]) == []


@given(st.text(max_size=12))
@quick
def test_one_normal_form_decides(word: str) -> None:
    form = normal_form(word)
    for other in (
        word.upper().lower(),
        f" {word}\u00a0",
        f"\u200b{word}",
        unicodedata.normalize("NFD", word),
        f"“{word}”",
    ):
        if other.casefold() == word.casefold() or len(other) != len(word):
            assert normal_form(other) == form or word != word.strip("\"'`´ ")


@given(st.integers(-(10**6), 10**6), st.integers(0, 3), st.integers(0, 3))
@quick
def test_whole_numbers_however_written(number: int, zeros: int, places: int) -> None:
    sign = "-" * (number < 0)
    written_out = f"{sign}{'0' * zeros}{abs(number)}" + "." * (places > 0) + "0" * max(places - 1, 0)
    assert normal_form(written_out) == normal_form(str(number))
    assert normal_form(str(number)) != normal_form(str(number + 1))


@given(st.floats(-1e4, 1e4, width=32))
@quick
def test_single_precision_beside_double(number: float) -> None:
    short = repr(float(str(np.float32(number))))
    assert normal_form(repr(number)) == normal_form(short)


def test_numbers_of_any_length_are_read() -> None:
    assert normal_form("1" * 6000) == "1" * 6000
    assert normal_form("0" * 6000 + "5") == "5"
    assert normal_form("1e999") == "1e999"
    assert is_blank("\u200b \ufeff\u3164")
    assert not is_blank("\u200bx")


@pytest.mark.parametrize(("a", "b"), [(a, b) for a, b in ALIKE if a.strip() and "\n" not in b])
def test_look_alikes_in_one_slot_and_across_slots_are_refused_with_counts(tmp_path: Path, a: str, b: str) -> None:
    across = [(a if c == "red" else c, s, b if d == "red" else d, t) for c, s, d, t in scenes()]
    within = [
        (a if i % 2 and c == "red" else b if c == "red" else c, s, d, t) for i, (c, s, d, t) in enumerate(scenes())
    ]
    for rows in (across, [r for r in within if "red" not in r[2:]]):
        file = written(tmp_path, rows)
        with pytest.raises(
            TableError, match=r"values of color look alike: .* \(\d+ cells\) and .* \(\d+ cells\)"
        ) as caught:
            read_labels(file)
        assert len(str(caught.value).replace(str(tmp_path), "")) < 300
    with pytest.warns(BindscopeWarning, match="they are kept apart"):
        kept = load_dataset(f"labels:{written(tmp_path, across)}?keep_spellings=true")
    assert kept.table.space.concepts[0].size == 4
    assert len(kept.notes) == 1


def test_clean_tables_stay_as_they_are(tmp_path: Path) -> None:
    for colors in (("1", "2", "3"), ("red", "blue", "green"), ("NA", "EU", "AS"), ("0", "1", "-1"), ("a", "b", "a b")):
        table = read_labels(written(tmp_path, scenes(colors)))
        assert table.space.concepts[0].values == tuple(sorted(colors))


@pytest.mark.parametrize(("a", "b", "shown"), [("a b", "a  b", r"'a\\x20\\x20b'"), ("é", "e\u0301", r"'e\\u0301'")])
def test_the_difference_can_be_seen(tmp_path: Path, a: str, b: str, shown: str) -> None:
    rows = [(a if c == "red" else c, s, b if d == "red" else d, t) for c, s, d, t in scenes()]
    with pytest.raises(TableError, match=shown):
        read_labels(written(tmp_path, rows))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (pa.array([1, 2], pa.int64()), pa.array(["01", "02"])),
        (pa.array(["1", "2"]), pa.array(["1.0", "2.0"])),
        (pa.array([True, False]), pa.array(["TRUE", "FALSE"])),
        (pa.array([0.1, 0.2], pa.float32()), pa.array([0.1, 0.2], pa.float64())),
        (pa.array([0.1, 0.2], pa.float16()), pa.array([0.1, 0.2], pa.float64())),
        (pa.array(["Red", "Blue"]).dictionary_encode(), pa.array(["red", "blue"])),
        (pa.array([True, False]), pa.array([1, 0])),
    ],
    ids=["int text", "text", "bool text", "single double", "half double", "category", "bool int"],
)
def test_look_alikes_across_types(tmp_path: Path, one: pa.Array, two: pa.Array) -> None:
    pq.write_table(pa.table({"object1_a": one, "object2_a": two}), tmp_path / "t.parquet")
    with pytest.raises(TableError, match="values of a look alike"):
        read_labels(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (pa.array([1, 2], pa.int64()), pa.array(["1", "2"])),
        (pa.array([1, 2], pa.int8()), pa.array([1.0, 2.0])),
        (pa.array([1.0, 2.0], pa.float32()), pa.array([1.0, 2.0])),
    ],
)
def test_types_that_say_the_same_agree(tmp_path: Path, one: pa.Array, two: pa.Array) -> None:
    pq.write_table(pa.table({"object1_a": one, "object2_a": two}), tmp_path / "t.parquet")
    assert read_labels(tmp_path / "t.parquet").space.concepts[0].values == ("1", "2")


def test_a_recipe_and_a_known_space_refuse_look_alikes(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("concepts: {color: [red, Red, blue], shape: [cube, ball]}\n")
    with pytest.raises(Exception, match=r"r.yaml: values of color look alike: 'Red' .*'red'"):
        load_dataset(f"text:{tmp_path}/r.yaml")
    with pytest.warns(BindscopeWarning, match="kept apart"):
        assert load_dataset(f"text:{tmp_path}/r.yaml?keep_spellings=true").table.space.sizes == (3, 2)
    space = read_labels(written(tmp_path, scenes())).space
    rows = [(c.replace("red", "Red"), s, d, t) for c, s, d, t in scenes()]
    with pytest.raises(TableError, match=r"object1_color: 'Red' looks like 'red'; spell it alike"):
        read_labels(written(tmp_path, rows), space)


@pytest.mark.parametrize(("slip", "meant"), [("bmue", "blue"), ("blu", "blue"), ("bluest", "blue"), ("b]lue", "blue")])
def test_a_value_in_a_single_cell_is_told(tmp_path: Path, slip: str, meant: str) -> None:
    rows = scenes(shapes=("cube", "ball", "cone"))
    file = written(tmp_path, [(slip, *rows[30][1:]), *rows])
    with pytest.warns(BindscopeWarning, match=rf"values of color in few cells only: '{slip}' \(1, like '{meant}'\)"):
        assert read_labels(file).space.concepts[0].size == 4
    few = written(tmp_path, [("bmue", "cube", "red", "ball"), *scenes(("red", "blue"))[:6]])
    assert read_labels(few).space.concepts[0].size == 3  # of so few rows nothing is rare


FILLERS = "None nan NaN NA null N/A n/a - -- — 0 0.0 blank none <NA> #N/A nil ?".split()


@pytest.mark.parametrize("word", [*FILLERS, "missing", "Empty", "-1", "leer", "vide", "no object", "."])
def test_a_filler_in_all_concepts_of_a_slot_is_told_and_can_be_taken_out(tmp_path: Path, word: str) -> None:
    alone = [(c, s, word, word) for c in ("red", "blue", "green") for s in ("cube", "ball")]
    file = written(tmp_path, [*scenes(), *alone])
    with pytest.warns(
        BindscopeWarning, match=r"as object 2 in 6 of 36 rows looks like a missing object: leave the cells"
    ):
        told = read_labels(file)
    assert told.counts.tolist() == [2] * 36
    table = read_labels(file, missing=[word])
    assert table.counts.tolist() == [2] * 30 + [1] * 6
    assert load_dataset(f"labels:{file}?missing={word}").table.n_objects == 6


@pytest.mark.parametrize("words", [("None", "nan"), ("NA", "N/A"), ("-", "none")])
def test_different_fillers_in_one_object(tmp_path: Path, words: tuple[str, str]) -> None:
    file = written(tmp_path, [*scenes(), ("red", "cube", *words), (*words, "red", "cube")])
    with pytest.warns(BindscopeWarning, match=rf"'{words[0]} {words[1]}' as object 1 in 1 of 32 rows; .* \?missing="):
        read_labels(file)
    assert read_labels(file, missing=words).counts.tolist()[-2:] == [1, 1]


@pytest.mark.parametrize(
    ("colors", "shapes"),
    [
        (("NA", "EU", "AS"), ("none", "true", "null")),
        (("0", "1", "2"), ("0", "1", "2")),
        (("none", "red"), ("none", "cube")),
        (("orange", "red"), ("orange", "apple")),
        (("-", "+"), ("-", "+")),
    ],
)
def test_a_filler_that_is_a_value_stays_one(tmp_path: Path, colors: Sequence[str], shapes: Sequence[str]) -> None:
    table = read_labels(written(tmp_path, scenes(colors, shapes)))
    assert table.n_objects == len(colors) * len(shapes)


def test_one_concept_of_countries_keeps_namibia(tmp_path: Path) -> None:
    rows = [(a, b) for a in ("NA", "EU", "AS") for b in ("NA", "EU", "AS") if a != b]
    assert read_labels(written(tmp_path, rows, ("object1_c", "object2_c"))).space.sizes == (3,)
    rows = [("NA", "EU"), ("EU", "None"), ("EU", "NA"), ("NA", "None")]
    with pytest.warns(BindscopeWarning, match=r"'None' as object 2 in 2 of 4 rows"):
        read_labels(written(tmp_path, rows, ("object1_c", "object2_c")))


def test_missing_words_that_fit_nothing_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path, scenes())
    with pytest.raises(TableError, match="missing=Nonne fits no object"):
        read_labels(file, missing=["Nonne"])
    with pytest.raises(TableError, match="missing=red fits no object"):  # never in all concepts
        read_labels(file, missing=["red"])
    mixed = written(tmp_path, [*scenes(), ("red", "cube", "None", "")])
    with pytest.raises(TableError, match="object2_shape is empty while object2_color is not"):
        read_labels(mixed)
    assert read_labels(mixed, missing=["None"]).counts[-1] == 1


@pytest.mark.parametrize("word", FILLERS)
def test_known_fillers(word: str) -> None:
    assert is_filler(word)
    assert not is_filler(word + "x7")


NEAR = {
    "Object2_color": "object2_color", "OBJECT2_COLOR": "object2_color", "object_2_color": "object2_color",
    "object2-color": "object2_color", "object2.color": "object2_color", "object2 color": "object2_color",
    "object 2 color": "object2_color", "object2color": "object2_color", "object02-color": "object2_color",
    "object２_color": "object2_color", "object٢_color": "object2_color", "ｏｂｊｅｃｔ2_color": "object2_color",
    "object²_color": "object2_color", "object2__color": "object2__color", "obj2_color": "object2_color",
    "Obj_2_color": "object2_color", "objects2_color": "object2_color", "o2_color": "object2_color", "color2": "object2_color",
    "color_2": "object2_color", "color_object2": "object2_color", "object_color_2": "object2_color", "Color 2": "object2_color",
    "object2:color": "object2_color", "object2/color": "object2_color", "ob\u200bject2_color": "object2_color",
    "object-2-color": "object2_color", "оbject2_color": "object2_color",
}  # fmt: skip


@pytest.mark.parametrize("header", list(NEAR))
def test_near_misses_of_column_names_are_refused_with_the_column_meant(tmp_path: Path, header: str) -> None:
    head = ("object1_color", "object1_shape", header, header.lower().replace("color", "shape"))
    with pytest.raises(TableError, match=r"looks like object2_|is missing|differ in spelling") as caught:
        read_labels(written(tmp_path, scenes(), head))
    if header != "object2__color":
        assert NEAR[header] in str(caught.value)


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        ("Object1_size", "object1_size"),
        ("object3-color", "object3_color"),
        ("object1_color_IDX", "object1_color_idx"),
        ("Replicate", "replicate"),
        ("replicates", "replicate"),
        ("visible_1", "visible1"),
        ("Visible1", "visible1"),
        ("visible１", "visible1"),
    ],
)
def test_other_columns_that_are_nearly_ours(tmp_path: Path, header: str, meant: str) -> None:
    rows = [(*row, "1") for row in scenes()]
    with pytest.raises(TableError, match=f"looks like {meant}"):
        read_labels(written(tmp_path, rows, (*HEAD, header)))


@pytest.mark.parametrize("header", "color size2x object objects note obj1_bbox image object1 color_1 id2".split())
def test_columns_of_others_are_left_alone(tmp_path: Path, header: str) -> None:
    rows = [(*row, "x") for row in scenes()]
    assert len(read_labels(written(tmp_path, rows, (*HEAD, header)))) == 30


def test_concepts_that_differ_in_spelling_only(tmp_path: Path) -> None:
    head = ("object1_color", "object1_shape", "object2_Color", "object2_shape")
    with pytest.raises(TableError, match="'Color' and 'color' of its columns differ in spelling only"):
        read_labels(written(tmp_path, scenes(), head))
    head = ("object1_größe", "object1_shape", "object2_gro\u0308ße", "object2_shape")
    with pytest.raises(TableError, match=r"differ in spelling only; name the columns alike .*is missing"):
        read_labels(written(tmp_path, scenes(), head))
    both = ("object1_a", "object1_A", "object2_a", "object2_A")
    with pytest.raises(TableError, match="rename or drop one"):
        read_labels(written(tmp_path, scenes(), both))
    assert read_labels(written(tmp_path, scenes(), both), keep_spellings=True).space.names == ("a", "A")


@pytest.mark.parametrize("name", ["mean", "joint", "objects", "Joint", "all", "unshared", "closed"])
def test_names_that_results_use_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(TableError, match=f"a concept cannot be called '{name}'"):
        read_labels(written(tmp_path, scenes(), [h.replace("color", name) for h in HEAD]))
    (tmp_path / "r.yaml").write_text(f"concepts: {{{name}: [red, blue], shape: [cube, ball]}}\n")
    with pytest.raises(Exception, match=rf"r.yaml: .*a concept cannot be called '{name}'"):
        load_dataset(f"text:{tmp_path}/r.yaml")
