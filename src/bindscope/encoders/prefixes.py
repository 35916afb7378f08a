"""Causal attention over a prefix tree: what several texts share at their beginning is computed once.

With causal attention the state at a token depends on the tokens up to it alone, so texts that begin alike share states.
Captions of all scenes of a design share much: 10,000 captions of two objects out of 100, nine tokens each, have 21,312
different prefixes instead of 90,000. Linear layers run on prefixes; attention gathers the keys and values of each
prefix's own beginnings, depth by depth, without any mask. Cost: time and memory grow with the number of prefixes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindscope.concepts import IntArray


@dataclass(frozen=True, eq=False)
class PrefixTree:
    """All different beginnings of some token rows, shortest first.

    tokens `[N]`: last token of each prefix. depth: bounds `[L + 1]`, prefixes of t + 1 tokens are depth[t]:depth[t + 1].
    lines: for each depth `[n_t, t + 1]`, a prefix's own beginnings and itself. leaves `[n]`: the prefix that is the row.
    """

    tokens: IntArray
    depth: IntArray
    lines: tuple[IntArray, ...]
    leaves: IntArray

    @classmethod
    def of(cls, ids: NDArray[Any], lengths: IntArray) -> PrefixTree:
        """The tree of token ids `[n, L]`, row r read up to lengths[r].

        >>> tree = PrefixTree.of(np.array([[1, 2, 3], [1, 2, 4], [1, 5, 0]]), np.array([3, 3, 2]))
        >>> tree.tokens.tolist(), tree.leaves.tolist()
        ([1, 2, 5, 3, 4], [3, 4, 2])
        """
        width = int(ids.max()) + 1
        at = np.zeros(len(ids), dtype=np.int64)  # each row's prefix so far, within its depth
        tokens, lines, bounds, leaves = [], [], [0], np.zeros(len(ids), dtype=np.int64)
        before = np.zeros((1, 0), dtype=np.int64)
        for t in range(int(lengths.max())):
            rows = np.flatnonzero(lengths > t)
            codes, place = np.unique(at[rows] * width + ids[rows, t], return_inverse=True)
            own = bounds[-1] + np.arange(len(codes))
            before = np.concatenate([before[codes // width], own[:, None]], axis=1)
            at[rows], leaves[rows] = place, own[place]
            tokens.append(codes % width)
            lines.append(before)
            bounds.append(bounds[-1] + len(codes))
        return cls(np.concatenate(tokens), np.array(bounds), tuple(lines), leaves)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def places(self) -> IntArray:
        """Position of each prefix's last token `[N]`."""
        return np.repeat(np.arange(len(self.lines)), np.diff(self.depth))


@dataclass(frozen=True)
class Layer:
    """A pre-norm layer as functions of states `[N, d]`.

    project: states to queries, keys and values `[N, d]` each. heads: of the attention. mix: the attention's output layer.
    after: what follows the attention, its own skip apart.
    """

    project: Callable[[Any], tuple[Any, Any, Any]]
    heads: int
    mix: Callable[[Any], Any]
    after: Callable[[Any], Any]


def run_layers(states: Any, tree: PrefixTree, layers: Sequence[Layer]) -> Any:
    """States `[N, d]` (a torch tensor: token plus position) of all prefixes after the layers."""
    import torch

    lines = [torch.from_numpy(line).to(states.device) for line in tree.lines]
    for layer in layers:
        query, key, value = layer.project(states)
        mixed = layer.mix(torch.cat(list(_attention(query, key, value, tree, lines, layer.heads))))
        states = states + mixed
        states = states + layer.after(states)
    return states


def _attention(query: Any, key: Any, value: Any, tree: PrefixTree, lines: Sequence[Any], heads: int) -> Iterator[Any]:
    from torch.nn.functional import scaled_dot_product_attention

    for t, line in enumerate(lines):
        own = query[int(tree.depth[t]) : int(tree.depth[t + 1])]
        asked = own.view(len(own), heads, 1, -1)
        keys, values = (x[line].view(len(own), t + 1, heads, -1).transpose(1, 2) for x in (key, value))
        yield scaled_dot_product_attention(asked, keys, values).reshape(len(own), -1)
