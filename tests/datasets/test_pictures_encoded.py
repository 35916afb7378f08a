"""One's own encoder on pictures: images for scenes, texts for queries where it can read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bindscope.datasets import load_dataset
from bindscope.embeddings import embed
from bindscope.encoders import load_encoder

CODE = """
import numpy as np

class Vision:
    def encode(self, paths):
        return np.array([[len(path.read_bytes()), int(path.stem)] for path in paths], dtype=np.float32)

class Both(Vision):
    def encode_text(self, texts):
        return np.array([[len(text), sum(text.encode())] for text in texts], dtype=np.float32)
"""


@pytest.mark.parametrize(("factory", "queries"), [("Vision", False), ("Both", True)])
def test_queries_only_where_texts_are_read(
    factory: str, queries: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BINDSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"own_{factory.lower()}.py").write_text(CODE)
    data = load_dataset("clevr2d:2x2?size=24")
    found = embed(load_encoder(f"module:own_{factory.lower()}:{factory}"), data)
    assert found.vectors[3].tolist() == [len(data.items.images[3].read_bytes()), 3]
    assert (found.queries is not None) == queries
    if found.queries is not None:
        assert found.queries.objects[:, 0].tolist() == [len(text) for text in data.object_queries.texts or ()]
        assert np.array_equal(found.queries.values[0][:, 0], [3, 4])
