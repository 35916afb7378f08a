"""Random streams by name: every place that draws has a stream of its own, so that one more draw moves no other number.

A stream is `numpy.random.default_rng([seed, number, ...])`. The numbers are part of what makes a run repeatable: a new
stream takes a new number and an old one keeps its own.
"""

from __future__ import annotations

import numpy as np

MAX_SEED = 2**63 - 1
STREAMS = {
    "pair queries": 137,
    "scene split": 11,
    "one swap": 143,
    "sampled positives": 145,
    "scene folds": 13,
    "object order": 17,
    "connected objects": 19,
    "validation objects": 23,
    "object bootstrap": 31,
    "interaction null": 61,
    "code orders": 41,
    "code sample": 43,
    "code bootstrap": 47,
    "product factors": 53,
    "product scenes": 59,
    "perceptron": 61,
    "threshold": 67,
    "form scenes": 71,
    "scene sample": 71,
    "form vectors": 73,
    "grid scenes": 73,
    "retrieval queries": 53,
    "permuted names": 43,
    "random directions": 47,
    "random directions of a dose": 53,
    "retrieval of residuals": 59,
    "network weights": 91,
    "network batches": 92,
    "object edits": 93,
    "edited rows": 95,
    "edits": 97,
    "edited values": 139,
    "explored scenes": 101,
    "head validation": 61,
    "head rows": 63,
    "head start": 65,
    "held-out block": 67,
    "repair queries": 69,
    "cross-modal queries": 85,
    "alignment validation": 91,
    "alignment null": 93,
    "residual rows": 95,
    "residual validation": 97,
    "kept texts": 171,
    "finetune words": 173,
    "finetune batch": 179,
    "finetune suite": 181,
    "shuffled scenes": 151,
    "probe rows": 41,
    "designed scenes": 41,
    "captioned scenes": 83,
    "test objects": 29,
    "training": 37,
    "random settings": 43,
    "shuffled vectors": 81,
    "embedded batches": 7,
}


def stream(seed: int, name: str, *more: int) -> np.random.Generator:
    """The random stream of a name; `more` sets repeated draws apart. KeyError for a name that is not in STREAMS.

    >>> bool(stream(0, "scene split").random() == stream(0, "scene split").random())
    True
    """
    return np.random.default_rng([seed, STREAMS[name], *more])
