"""bindscope tells whether, and how, an embedding model binds concepts.

>>> import bindscope
>>> run = bindscope.diagnose("st:sentence-transformers/all-MiniLM-L6-v2", "text:10x10")  # doctest: +SKIP
>>> bindscope.verdict(run.results).label  # doctest: +SKIP
'bag of concepts'

Names are loaded when they are first used, so that importing the package is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bindscope.analyses.audit.audit import Audit, audit
    from bindscope.analyses.crossmodal.heads import Head, load_head, save_head
    from bindscope.analyses.crossmodal.repair import repair, sentence_module
    from bindscope.analyses.registry import Analysis, analysis_names
    from bindscope.concepts import Concept, ConceptSpace
    from bindscope.datasets import Dataset, dataset_names, dataset_options, load_dataset
    from bindscope.datasets.labels import read_labels, write_labels
    from bindscope.embeddings import Embeddings, embed, load_embeddings, save_embeddings
    from bindscope.encoders import Encoder, encoder_names, load_encoder
    from bindscope.errors import BindscopeError, BindscopeWarning, InputError
    from bindscope.report import write_comparison, write_report
    from bindscope.results import Record, Results, read_results
    from bindscope.runs.compare import Comparison, compare
    from bindscope.runs.diagnose import Run, diagnose
    from bindscope.runs.gate import judge
    from bindscope.runs.selfcheck import Check, selfcheck
    from bindscope.runs.verdict import Verdict, verdict
    from bindscope.runs.vocabulary import gate_vocabulary
    from bindscope.scenes import SceneTable

__version__ = "0.1.0"

_PLACES = {
    "Analysis": "analyses.registry",
    "analysis_names": "analyses.registry",
    "Audit": "analyses.audit.audit",
    "audit": "analyses.audit.audit",
    "BindscopeError": "errors",
    "BindscopeWarning": "errors",
    "Check": "runs.selfcheck",
    "Comparison": "runs.compare",
    "Concept": "concepts",
    "ConceptSpace": "concepts",
    "Dataset": "datasets",
    "Embeddings": "embeddings",
    "Encoder": "encoders",
    "Head": "analyses.crossmodal.heads",
    "InputError": "errors",
    "Record": "results",
    "Results": "results",
    "Run": "runs.diagnose",
    "SceneTable": "scenes",
    "Verdict": "runs.verdict",
    "compare": "runs.compare",
    "dataset_names": "datasets",
    "dataset_options": "datasets",
    "diagnose": "runs.diagnose",
    "embed": "embeddings",
    "encoder_names": "encoders",
    "gate_vocabulary": "runs.vocabulary",
    "judge": "runs.gate",
    "load_dataset": "datasets",
    "load_embeddings": "embeddings",
    "load_encoder": "encoders",
    "load_head": "analyses.crossmodal.heads",
    "read_labels": "datasets.labels",
    "read_results": "results",
    "repair": "analyses.crossmodal.repair",
    "save_embeddings": "embeddings",
    "save_head": "analyses.crossmodal.heads",
    "selfcheck": "runs.selfcheck",
    "sentence_module": "analyses.crossmodal.repair",
    "verdict": "runs.verdict",
    "write_comparison": "report",
    "write_labels": "datasets.labels",
    "write_report": "report",
}

__all__ = [
    "Analysis",
    "analysis_names",
    "Audit",
    "BindscopeError",
    "BindscopeWarning",
    "Check",
    "Comparison",
    "Concept",
    "ConceptSpace",
    "Dataset",
    "Embeddings",
    "Encoder",
    "Head",
    "InputError",
    "Record",
    "Results",
    "Run",
    "SceneTable",
    "Verdict",
    "__version__",
    "audit",
    "compare",
    "dataset_names",
    "dataset_options",
    "diagnose",
    "embed",
    "encoder_names",
    "gate_vocabulary",
    "judge",
    "load_dataset",
    "load_embeddings",
    "load_encoder",
    "load_head",
    "read_labels",
    "read_results",
    "repair",
    "save_embeddings",
    "save_head",
    "selfcheck",
    "sentence_module",
    "verdict",
    "write_comparison",
    "write_labels",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'bindscope' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"bindscope.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
