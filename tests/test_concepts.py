"""Concepts, values and object ids: bijection, order, and what is refused."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindscope.concepts import ABSENT, Concept, ConceptSpace
from bindscope.errors import InputError, TableError, UnknownNameError
from planted import space_of

sizes_strategy = st.lists(st.integers(1, 5), min_size=1, max_size=4)
quick = settings(deadline=None, max_examples=40, derandomize=True)


@given(sizes_strategy)
@quick
def test_ids_number_the_product_with_the_last_concept_fastest(sizes: list[int]) -> None:
    space = space_of(*sizes)
    everything = list(product(*(range(size) for size in sizes)))
    assert space.object_ids(everything).tolist() == list(range(space.n_objects))
    assert space.object_values(np.arange(space.n_objects)).tolist() == [list(values) for values in everything]


@given(sizes_strategy, st.data())
@quick
def test_absent_stays_absent_both_ways(sizes: list[int], data: st.DataObject) -> None:
    space = space_of(*sizes)
    gap = data.draw(st.integers(0, len(sizes) - 1))
    values = [0] * len(sizes)
    values[gap] = ABSENT
    assert space.object_ids(values) == ABSENT
    assert space.object_values(ABSENT).tolist() == [ABSENT] * len(sizes)
    assert space.object_values([[0, ABSENT]]).tolist() == [[[0] * len(sizes), [ABSENT] * len(sizes)]]


def test_names_sizes_and_words() -> None:
    space = ConceptSpace.of([("size", ["small", "large"]), ("color", ["röt", "blue", "black"]), ("shape", ["cube"])])
    assert (space.names, space.sizes, space.n_concepts, space.n_objects) == (
        ("size", "color", "shape"),
        (2, 3, 1),
        3,
        6,
    )
    assert [space.object_name(i) for i in (0, 5)] == ["small röt cube", "large black cube"]
    assert space.concepts[1].index("black") == 2
    assert space == ConceptSpace(space.concepts)
    assert hash(space) == hash(ConceptSpace(space.concepts))


def test_ids_are_exact_up_to_the_limit() -> None:
    space = ConceptSpace(tuple(Concept(f"c{k}", tuple(map(str, range(2**10)))) for k in range(6)))
    assert space.n_objects == 2**60
    assert int(space.object_ids([1023] * 6)) == 2**60 - 1
    assert space.object_values(2**60 - 2).tolist() == [1023] * 5 + [1022]


def test_concept_refuses() -> None:
    with pytest.raises(TableError, match="a concept needs a name, got ''"):
        Concept("", ("red",))
    with pytest.raises(TableError, match="a concept needs a name, got 3"):
        Concept(3, ("red",))  # type: ignore[arg-type]
    with pytest.raises(TableError, match="'color' has no values"):
        Concept("color", ())
    with pytest.raises(TableError, match="'color': values must be a list of words, got the text 'red'"):
        Concept("color", "red")  # type: ignore[arg-type]
    with pytest.raises(TableError, match=r"'color': values must be non-empty text, got True; quote it"):
        Concept("color", ("red", True))  # type: ignore[arg-type]
    with pytest.raises(TableError, match="non-empty text, got ' '"):
        Concept("color", ("red", " "))
    with pytest.raises(TableError, match="value 'red' stands twice"):
        Concept("color", ("red", "blue", "red"))


def test_unknown_value_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown value of color 'rde'; did you mean red\?"):
        Concept("color", ("red", "blue")).index("rde")
    with pytest.raises(InputError, match="unknown value of color 'xyz'; known: blue, red"):
        Concept("color", ("red", "blue")).index("xyz")


def test_space_refuses() -> None:
    with pytest.raises(TableError, match="needs at least one concept"):
        ConceptSpace(())
    with pytest.raises(TableError, match="concept 'color' is defined twice"):
        ConceptSpace.of([("color", ["red"]), ("color", ["blue"])])
    many = tuple(map(str, range(2**16)))
    with pytest.raises(TableError, match=r"more than 2\^62 objects with \(65536, 65536, 65536, 65536\) values"):
        ConceptSpace.of([(f"c{k}", many) for k in range(4)])
