"""One's own encoder from Python code: what may be given, and how its mistakes are told."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from bindscope.datasets import load_dataset
from bindscope.embeddings import embed
from bindscope.encoders import encoder_names, load_encoder
from bindscope.encoders.base import checked_vectors
from bindscope.encoders.module import code_digest
from bindscope.errors import BindscopeError, BindscopeWarning, InputError, UnknownNameError, VectorsError

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


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize("changed", ["main.py", "helper.py", "lazy.py", "pack/deep.py", "pack/aside.py"])
def test_the_digest_of_the_code_covers_what_it_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    monkeypatch.chdir(tmp_path)
    tag = f"m{abs(hash(changed)) % 10**8}"
    files = {
        f"{tag}main.py": f"import numpy\nfrom {tag}pack.deep import x\nimport {tag}helper\n"
        f"def f():\n    from {tag}lazy import y\n",
        f"{tag}helper.py": "a = 1\n",
        f"{tag}lazy.py": "y = 1\n",
        f"{tag}pack/__init__.py": "",
        f"{tag}pack/deep.py": "x = 1\n",
        f"{tag}pack/aside.py": "z = 1\n",
        f"{tag}stranger.py": "s = 1\n",
    }
    write(tmp_path, files)
    first = code_digest(f"{tag}main")
    write(tmp_path, {f"{tag}stranger.py": "s = 2\n"})
    assert code_digest(f"{tag}main") == first
    write(tmp_path, {f"{tag}{changed}": files[f"{tag}{changed}"] + "more = 2\n"})
    assert code_digest(f"{tag}main") != first
    assert not [name for name in sys.modules if name.startswith(tag)]  # nothing was imported for it
    assert code_digest("bindscope.encoders.efficientnet") == ""


def test_a_mended_encoder_is_encoded_again(name: str, tmp_path: Path) -> None:
    """Also where the vectors of single rows stay the same, which the fingerprint cannot see."""
    data = load_dataset("text:2x3")
    file = tmp_path / f"{name.partition(':')[2]}.py"
    code = (
        "import numpy as np\nimport zlib\n"
        "def vector(text):\n    return [zlib.crc32(text.encode()) % 99991, 1]\n"
        "def make():\n    return lambda texts: np.array([vector(text) for text in ORDER(texts)])\n"
    )
    file.write_text(code + "ORDER = lambda texts: sorted(texts) if len(texts) > 10 else texts\n")
    with pytest.warns(BindscopeWarning, match="they depend on the batch"):
        wrong = embed(load_encoder(f"{name}:make"), data, cache=tmp_path / "cache")
    del sys.modules[file.stem]
    file.write_text(code + "ORDER = list  # a longer line, so that no compiled file of the same second is taken\n")
    right = embed(load_encoder(f"{name}:make"), data, cache=tmp_path / "cache")
    assert not np.array_equal(wrong.vectors, right.vectors)
    assert right.fidelity["code_sha256"] != wrong.fidelity["code_sha256"]


@pytest.mark.parametrize("kind", ["grad", "half", "rows", "integers"])
def test_tensors_of_torch_are_taken(kind: str) -> None:
    torch = pytest.importorskip("torch")
    whole = torch.arange(6.0).reshape(3, 2)
    given = {
        "grad": whole.clone().requires_grad_(True),
        "half": whole.to(torch.bfloat16),
        "rows": [row.clone().requires_grad_(True) for row in whole],
        "integers": whole.long(),
    }[kind]
    assert np.array_equal(checked_vectors(given, 3, "x"), whole.numpy())
