"""Heads for a finished run: fitted, judged on held-out objects, and written down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bindscope.analyses.crossmodal.heads import FULL, save_head, save_sentence_module
from bindscope.analyses.crossmodal.repair import repair
from bindscope.embeddings import load_embeddings
from bindscope.results import Results


def repair_run(run: Path, out: Path, kinds: Sequence[str], seed: int = 0) -> Results:
    """Fit heads on the captions' side of a run directory; write each, also as a module of sentence-transformers, and the
    results. Raises as `repair` does."""
    embeddings = load_embeddings(run)
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
