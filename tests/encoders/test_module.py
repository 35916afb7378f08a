"""One's own encoder from Python code: what may be given, and how its mistakes are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bindscope.datasets import load_dataset
from bindscope.embeddings import embed
from bindscope.encoders import encoder_names, load_encoder
from bindscope.errors import BindscopeError, InputError, UnknownNameError, VectorsError

# the encoders here count letters: scenes of other objects have the same vector
pytestmark = pytest.mark.filterwarnings("ignore:.* have the same vector as ")

CODE = """
import numpy as np
from bindscope.encoders import Encoder
from bindscope.errors import InputError

def numbers(texts):
    return np.array([[len(text), text.count("a"), text.count("e")] for text in texts], dtype=float)

def function():
    return numbers

class WithEncode:
    def encode(self, texts):
        return numbers(texts).tolist()

def with_encode():
    return WithEncode()

class Own(Encoder):
    has_queries = False
    def encode(self, items):
        return numbers(items.texts)
    def fidelity(self):
        return {"architecture": "own"}

def own():
    return Own()

def wrong_shape():
    return lambda texts: np.zeros(len(texts))

def wrong_rows():
    return lambda texts: np.zeros((len(texts) + 1, 2))

def words():
    return lambda texts: [["x"] for _ in texts]

def ragged():
    return lambda texts: [[1.0] * (i + 1) for i in range(len(texts))]

def nan():
    return lambda texts: np.full((len(texts), 2), np.nan)

def raises():
    def call(texts):
        raise RuntimeError("out of\\nluck")
    return call

def refuses():
    def call(texts):
        raise InputError("a clear line")
    return call

def broken():
    return 1 / 0

def nothing():
    return 42
"""


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    module = f"own_encoders_{abs(hash(request.node.name)) % 10**8}"
    (tmp_path / f"{module}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)  # the current directory counts
    return f"module:{module}"


@pytest.mark.parametrize("factory", ["function", "with_encode", "own"])
def test_functions_objects_and_encoders(name: str, factory: str) -> None:
    data = load_dataset("text:2x3")
    found = embed(load_encoder(f"{name}:{factory}"), data)
    texts = data.items.texts or ()
    expected = [[len(text), text.count("a"), text.count("e")] for text in texts]
    assert found.vectors.tolist() == expected
    assert found.model == f"{name}:{factory}"
    assert (found.queries is None) == (factory == "own")
    assert "architecture" in found.fidelity
    assert "fingerprint" in found.fidelity


def test_batches_and_cache_do_not_matter(name: str, tmp_path: Path) -> None:
    data = load_dataset("text:2x3")
    whole = embed(load_encoder(f"{name}:function"), data)
    some = embed(load_encoder(f"{name}:function"), data, cache=tmp_path / "cache", batch_size=4)
    assert np.array_equal(whole.vectors, some.vectors)


@pytest.mark.parametrize(
    ("factory", "kind", "message"),
    [
        ("wrong_shape", VectorsError, r"expected vectors of shape \[3, d\], got \[3\]"),
        ("wrong_rows", VectorsError, r"expected vectors of shape \[3, d\], got \[4, 2\]"),
        ("words", VectorsError, r"expected an array of numbers, got dtype <U1"),
        ("ragged", VectorsError, r"expected an array of numbers, got list"),
        ("nan", VectorsError, r"row 0 holds NaN"),
        ("raises", InputError, r"raised RuntimeError: out of\nluck; mend that encoder"),
        ("refuses", InputError, r"^a clear line$"),
        ("broken", InputError, r"cannot make module:.*: ZeroDivisionError"),
        ("nothing", InputError, r"gave int; expected an Encoder, a function, or an object with \.encode"),
        ("unheard", InputError, r"has no attribute 'unheard'"),
    ],
)
def test_mistakes_of_the_code_are_told(name: str, factory: str, kind: type[BindscopeError], message: str) -> None:
    with pytest.raises(kind, match=message):
        embed(load_encoder(f"{name}:{factory}"), load_dataset("text:2x2"))


@pytest.mark.parametrize("rest", ["", "a", "a:", ":b"])
def test_names_that_are_not_understood(rest: str) -> None:
    with pytest.raises(InputError, match=r"expected module:package\.module:factory"):
        load_encoder(f"module:{rest}")


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"No module named 'no_such_module_here'"):
        load_encoder("module:no_such_module_here:x")


def test_the_door_of_all_encoders() -> None:
    assert set(encoder_names()) >= {"st:ORG/NAME", "st:PATH", "file:PATH", "module:pkg.mod:factory", "planted:KIND"}
    with pytest.raises(UnknownNameError, match=r"did you mean planted"):
        load_encoder("plantd:bag")
    with pytest.raises(InputError, match=r"write st:org/name"):
        load_encoder("org/name")
    with pytest.raises(UnknownNameError, match=r"unknown encoder"):
        load_encoder("nothing")
    with pytest.raises(InputError, match=r"batch size must be at least 1, got 0"):
        load_encoder("planted:bag", batch_size=0)
    with pytest.raises(InputError, match=r"planted: encoders take no prompt"):
        load_encoder("planted:bag", prompt="x")
