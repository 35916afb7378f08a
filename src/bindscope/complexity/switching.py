"""A code that switches between codes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import special

from bindscope.scenes import FloatArray


def switched(bits: Mapping[str, FloatArray]) -> FloatArray:
    """Bits of each block by switching between codes, `[B]`.

    Fixed share (Herbster and Warmuth 1998, Machine Learning 32) with a rate that falls: before block t = 1, 2, ... every
    code keeps 1 - 1/(t + 1) of its weight and an equal part of the rest goes to all. The block's length is
    -log2 sum_k w_k 2^-L_k. So it is the mixture over all sequences of codes, at no cost in time, and it loses at most
    about log2 K + (switches + 1) log2(B K) bits to the best of them (compare the switch distribution of van Erven,
    Grünwald and de Rooij 2012, JRSS B 74).
    """
    lengths = np.stack(list(bits.values())) * np.log(2)
    count = len(lengths)
    weights = np.full(count, -np.log(count))
    out = np.empty(lengths.shape[1])
    for t, block in enumerate(lengths.T):
        if t:
            rate = 1.0 / (t + 1)
            weights = np.logaddexp(np.log1p(-rate) + weights, np.log(rate / count))
        joint = weights - block
        total = special.logsumexp(joint)
        weights, out[t] = joint - total, -total / np.log(2)
    return out
