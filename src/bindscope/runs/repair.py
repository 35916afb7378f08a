"""Heads for a finished run: fitted, judged on held-out objects, and written down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bindscope.analyses.crossmodal.heads import FULL, save_head, save_sentence_module
from bindscope.analyses.crossmodal.repair import repair
from bindscope.embeddings import Embeddings, load_embeddings
from bindscope.results import Results
from bindscope.run_directory import locked


def repair_run(run: Path, out: Path, kinds: Sequence[str], seed: int = 0) -> Results:
    """Fit heads on the captions' side of a run directory; write each, also as a module of sentence-transformers, and the
    results. Raises as `repair` does."""
    with locked(out):
        return _repaired(load_embeddings(run), out, kinds, seed)


def _repaired(embeddings: Embeddings, out: Path, kinds: Sequence[str], seed: int) -> Results:
    found = repair(embeddings, seed, kinds, FULL)
    out.mkdir(parents=True, exist_ok=True)
    for kind, head in found.heads.items():
        if kind != "none":
            save_head(head, out / f"{kind}.safetensors")
            save_sentence_module(head, out / f"sentence-transformers-{kind}")
    origin = {"model": embeddings.model, "modality": embeddings.modality, "dataset": embeddings.dataset}
    results = Results(found.records).stamped(**origin)
    results.write(out)
    return results
