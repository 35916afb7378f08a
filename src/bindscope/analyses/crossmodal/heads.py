"""Heads that repair: small maps on the captions' side, fitted on training objects only.

  none            t
  linear          t + t M                         M [d, d]; a linear layer on the text side
  low_rank        t + (t P) Q                     bilinear: s't + (s Q')(t P), rank r
  multiplicative  t + ((t P) * (t R)) Q           products of two linear read-outs, rank r

with cosine against the scene. Loss: softmax cross-entropy of each scene's own caption against all captions of training
objects (swapped ones among them), temperature 1/20, L2 on the change; L-BFGS with exact gradients. The penalty is chosen by
swaps among validation objects' scenes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from bindscope.analyses.crossmodal.swaptest import credit, swap_test
from bindscope.analyses.retrieval import Single, unit
from bindscope.analyses.sides import TwoSides
from bindscope.concepts import IntArray
from bindscope.design import svd
from bindscope.errors import InputError, StoreError, TableError, UnknownNameError
from bindscope.files import read_tensors, write_tensors
from bindscope.scenes import BoolArray, FloatArray
from bindscope.splits import split_objects
from bindscope.streams import stream

HEADS = ("none", "linear", "low_rank", "multiplicative")
RANK = 16
SHARPNESS = 20.0
PENALTIES = (1e-3, 1e-5)
Weights = Mapping[str, FloatArray]
_SHAPES = {"linear": ("m",), "low_rank": ("p", "q"), "multiplicative": ("p", "r", "q")}


@dataclass(frozen=True)
class Budget:
    """What a fit may cost: scenes to fit on (drawn by seed), captions that compete, steps of the optimiser."""

    rows: int
    captions: int
    steps: int


QUICK, FULL = Budget(160, 480, 30), Budget(800, 2_400, 120)


@dataclass(frozen=True, eq=False)
class Head:
    """A fitted head: call it on caption vectors `[..., d]`. weights by name, see the module; `mean` `[d]` is taken off
    before a product. penalty: the one chosen; loss: before and after the fit, in nats."""

    kind: str
    weights: Weights
    dim: int
    penalty: float = 0.0
    loss: tuple[float, float] = (0.0, 0.0)

    def __call__(self, captions: NDArray[np.floating]) -> Single:
        """Captions behind the head, of unit length."""
        if captions.shape[-1] != self.dim:
            raise InputError(f"the head is for vectors of {self.dim} dimensions, got {captions.shape[-1]}")
        flat = unit(captions).reshape(-1, self.dim)
        moved = np.asarray(flat + change(self.kind, self.weights, flat), dtype=np.float32)
        return unit(moved).reshape(captions.shape)


def change(kind: str, weights: Mapping[str, NDArray[np.floating]], t: NDArray[np.floating]) -> FloatArray:
    """What a head adds to captions `[n, d]`."""
    if kind == "none":
        return np.zeros_like(t, dtype=np.float64)
    if kind == "linear":
        return np.asarray(t @ weights["m"])
    left = t @ weights["p"]
    return np.asarray((left if kind == "low_rank" else left * (t @ weights["r"])) @ weights["q"])


def fit_head(
    sides: TwoSides,
    train: BoolArray,
    kind: str,
    seed: int = 0,
    rank: int = RANK,
    penalty: float | None = None,
    budget: Budget = QUICK,
) -> Head:
    """Fit a head on the scenes that show training objects only (`train` `[O]`, by candidate of the table of scenes).

    penalty: None chooses one by held-out training scenes. Raises UnknownNameError for an unknown head and TableError where
    no scene shows training objects only. O(steps * rows * captions * d).
    """
    if kind not in HEADS:
        raise UnknownNameError("head", kind, HEADS)
    dim = sides.scenes.shape[1]
    if kind == "none":
        return Head(kind, {}, dim)
    rows, captions = training_parts(sides, train)
    if len(rows) < 2:
        raise TableError("fewer than two scenes show training objects only; hold fewer objects out")
    job = _Job(sides, captions, kind, rank, seed, budget)
    return job.fit(rows, job.chosen(rows) if penalty is None else penalty)


def training_parts(sides: TwoSides, train: BoolArray) -> tuple[IntArray, IntArray]:
    """Rows of scenes, and captions, that show training objects only."""
    known = sides.table.candidates[train]
    rows = np.flatnonzero((np.isin(sides.table.object_ids, known) | ~sides.table.present).all(axis=1))
    named = sides.caption_table
    return rows, np.flatnonzero((np.isin(named.object_ids, known) | ~named.present).all(axis=1))


@dataclass(frozen=True, eq=False)
class _Job:
    """What all fits of one head share; captions: those of training objects."""

    sides: TwoSides
    captions: IntArray
    kind: str
    rank: int
    seed: int
    budget: Budget

    def chosen(self, rows: IntArray) -> float:
        """The penalty that is best on swaps of training scenes none of whose bags were fitted."""
        table = self.sides.table
        bags = np.unique(table.bag_ids[rows])
        kept = stream(self.seed, "head validation").permutation(bags)[: max(1, len(bags) // 5)]
        valid = rows[np.isin(table.bag_ids[rows], kept)]
        inner = np.setdiff1d(rows, valid)
        mask = np.zeros(len(table), dtype=bool)
        mask[valid] = True
        outside = self.sides.restricted(mask)
        if len(inner) < 2 or not len(outside.swaps):
            return PENALTIES[0]
        job = replace(self, captions=np.setdiff1d(self.captions, np.union1d(outside.own, outside.partner)))
        scores = []
        for penalty in PENALTIES:
            head = job.fit(inner, penalty)
            behind = outside.with_captions(head(self.sides.captions))
            scores.append(float(credit(swap_test(behind).text).mean()))
        return PENALTIES[int(np.argmax(scores))]

    def fit(self, rows: IntArray, penalty: float) -> Head:
        """The head of one penalty."""
        problem = _Problem.of(
            self.sides, _drawn(rows, self.budget.rows, self.seed), self.captions, self.budget, self.seed
        )
        start = _start(self.kind, problem.t.shape[1], self.rank, self.seed)
        shapes = {name: weight.shape for name, weight in start.items()}

        def objective(flat: FloatArray) -> tuple[float, FloatArray]:
            weights = _unpacked(flat, shapes)
            loss, gradient = problem.loss(self.kind, weights)
            together = np.concatenate([(gradient[name] + penalty * weights[name]).ravel() for name in shapes])
            return loss + 0.5 * penalty * float((flat**2).sum()), together

        first = np.concatenate([weight.ravel() for weight in start.values()])
        options = {"maxiter": self.budget.steps, "maxcor": 8}
        minimise: Callable[..., Any] = optimize.minimize  # its overloads know no plain arrays
        found = minimise(objective, first, jac=True, method="L-BFGS-B", options=options)
        losses = [problem.loss(self.kind, _unpacked(flat, shapes))[0] for flat in (np.zeros_like(first), found.x)]
        weights = {name: problem.lift(name, w) for name, w in _unpacked(found.x, shapes).items()}
        return Head(self.kind, weights, self.sides.scenes.shape[1], penalty, (losses[0], losses[1]))


def _unpacked(flat: FloatArray, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, FloatArray]:
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])[:-1]
    parts = zip(shapes.items(), np.split(flat, ends), strict=True)
    return {name: part.reshape(shape) for (name, shape), part in parts}


def _drawn(rows: IntArray, most: int, seed: int) -> IntArray:
    if len(rows) <= most:
        return rows
    return np.sort(stream(seed, "head rows").choice(rows, most, replace=False))


def _start(kind: str, dim: int, rank: int, seed: int) -> dict[str, FloatArray]:
    """Nothing is added at the start, but read-outs are random so that the gradient is not zero."""
    rng = stream(seed, "head start")
    if kind == "linear":
        return {"m": np.zeros((dim, dim))}
    spread = 1.0 if kind == "low_rank" else np.sqrt(dim)
    names = _SHAPES[kind][:-1]
    parts = {name: rng.normal(size=(dim, rank)) * spread / np.sqrt(dim) for name in names}
    return {**parts, "q": rng.normal(size=(rank, dim)) * 1e-3}


@dataclass(frozen=True, eq=False)
class _Problem:
    """Scenes `[n, r]` and captions `[u, r]` in a basis `[d, r]` of their span; own `[n]`; also `[n, u]`: other captions of
    the same objects, which are no competitors."""

    s: Single
    t: Single
    own: IntArray
    also: BoolArray
    basis: Single

    @classmethod
    def of(cls, sides: TwoSides, rows: IntArray, captions: IntArray, budget: Budget, seed: int) -> _Problem:
        """Each scene's own caption, its swaps among training captions, and others up to a limit; wordings take turns."""
        allowed = np.zeros(len(sides.caption_table), dtype=bool)
        allowed[captions] = True
        needed = np.unique(sides.own[rows])
        swapped = np.unique(sides.partner[np.isin(sides.swaps.row, rows)])
        must = np.union1d(needed, swapped[allowed[swapped]])
        others = np.setdiff1d(captions, must)
        used = np.union1d(must, _drawn(others, max(0, budget.captions - len(must)), seed))
        t = sides.captions[np.arange(len(used)) % sides.n_wordings, used]
        s = sides.scenes[rows]
        own = np.searchsorted(used, sides.own[rows])
        sets = sides.caption_table.multiset_ids
        also = sets[used][None, :] == sets[sides.own[rows]][:, None]
        also[np.arange(len(rows)), own] = False
        _, values, axes = svd(np.concatenate([s, t]))
        basis = axes[values > 1e-5 * values[0]].T.astype(np.float32)
        return cls(s @ basis, t @ basis, own, also, basis)

    def loss(self, kind: str, weights: Weights) -> tuple[float, dict[str, FloatArray]]:
        """Mean cross-entropy and its gradient."""
        small = {name: w.astype(np.float32) for name, w in weights.items()}
        raw = self.t + change(kind, small, self.t).astype(np.float32)
        length = np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-12)
        h = raw / length
        logits = SHARPNESS * (self.s @ h.T)
        logits[self.also] = -np.inf
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        each = np.arange(len(self.s))
        value = -float(np.log(np.maximum(logits[each, self.own], 1e-30), dtype=np.float64).mean())
        logits[each, self.own] -= 1.0
        back = (SHARPNESS / len(self.s)) * (logits.T @ self.s)
        back = (back - h * (back * h).sum(axis=1, keepdims=True)) / length
        return value, {name: g.astype(np.float64) for name, g in _gradient(kind, small, self.t, back).items()}

    def lift(self, name: str, weight: FloatArray) -> FloatArray:
        """Weights in the full space: nothing outside the basis is changed."""
        left = weight if name == "q" else self.basis @ weight
        return np.asarray(left if name in ("p", "r") else left @ self.basis.T, dtype=np.float32)


def _gradient(kind: str, weights: Mapping[str, Single], t: Single, back: Single) -> dict[str, Single]:
    """Gradient of the weights for the gradient `[u, r]` of what the head adds."""
    if kind == "linear":
        return {"m": t.T @ back}
    inside = back @ weights["q"].T
    left = t @ weights["p"]
    if kind == "low_rank":
        return {"p": t.T @ inside, "q": left.T @ back}
    right = t @ weights["r"]
    return {"p": t.T @ (inside * right), "r": t.T @ (inside * left), "q": (left * right).T @ back}


TRIES = 8
COVERAGE = 0.7  # of a random split, where no block will do


@dataclass(frozen=True, eq=False)
class HoldOut:
    """train `[O]`: objects that may be seen. closed `[W]`: swaps whose objects are all held out, before and after; seen
    `[W]`: swaps among training objects only. fresh `[n]`: rows of scenes with at least one held-out object."""

    train: BoolArray
    closed: BoolArray
    seen: BoolArray
    fresh: BoolArray


def hold_out(sides: TwoSides, seed: int = 0) -> HoldOut:
    """The block, of several random ones, with the most closed swaps; a random connected split where none has any.

    A block takes half of the values of each concept (rounded up, all but one at most), so every value stays in training.
    Raises TableError where there is one object only.
    """
    if sides.table.n_objects < 2:
        raise TableError("one object only; nothing can be held out")
    rng = stream(seed, "held-out block")
    best: HoldOut | None = None
    for _ in range(TRIES):
        found = _parts(sides, ~_block(sides, rng))
        usable = 0 < found.train.sum() < len(found.train) and found.closed.any()
        if usable and (best is None or found.closed.sum() > best.closed.sum()):
            best = found
    if best is not None:
        return best
    return _parts(sides, split_objects(sides.table, COVERAGE, seed).train)


def _block(sides: TwoSides, rng: np.random.Generator) -> BoolArray:
    inside = np.ones(sides.table.n_objects, dtype=bool)
    for k, column in enumerate(sides.table.candidate_values.T):
        known = sides.table.known_values(k)
        take = max(1, min(len(known) - 1, (len(known) + 1) // 2))
        inside &= np.isin(column, rng.permutation(known)[:take])
    return inside


def _parts(sides: TwoSides, train: BoolArray) -> HoldOut:
    table, swaps = sides.table, sides.swaps
    trained = np.zeros(table.space.n_objects + 1, dtype=bool)
    trained[table.candidates[train]] = True
    ids = np.concatenate([table.object_ids[swaps.row], table.space.object_ids(swaps.values)], axis=1)
    there = ids >= 0
    closed = (~trained[ids] | ~there).all(axis=1)
    seen = (trained[ids] | ~there).all(axis=1)
    fresh = (~trained[table.object_ids] & table.present).any(axis=1)
    return HoldOut(train, closed, seen, np.asarray(fresh))


def save_head(head: Head, path: str | Path) -> None:
    """Write a head as one safetensors file; raises StoreError.

    >>> import tempfile
    >>> from bindscope import Head, load_head, save_head
    >>> with tempfile.TemporaryDirectory() as place:
    ...     save_head(Head("none", {}, 8, 0.0, (0.0, 0.0)), f"{place}/head.safetensors")
    ...     load_head(f"{place}/head.safetensors").dim
    8
    """
    record = {"head": head.kind, "dim": head.dim, "penalty": head.penalty, "loss": list(head.loss)}
    weights = {name: np.asarray(weight, dtype=np.float32) for name, weight in head.weights.items()}
    write_tensors(Path(path), {**weights, "dim": np.array([head.dim], dtype=np.int64)}, record)


def load_head(path: str | Path) -> Head:
    """Read what `save_head` wrote; raises StoreError where it is missing, damaged or no head.

    >>> import tempfile
    >>> from bindscope import Head, load_head, save_head
    >>> with tempfile.TemporaryDirectory() as place:
    ...     save_head(Head("none", {}, 8, 0.0, (0.0, 0.0)), f"{place}/head.safetensors")
    ...     load_head(f"{place}/head.safetensors").dim
    8
    """
    arrays, record = read_tensors(Path(path))
    if record.get("head") not in HEADS:
        raise StoreError(f"{path} is no head of bindscope; make one with `bindscope repair`")
    weights = {name: array for name, array in arrays.items() if name != "dim"}
    low, high = record["loss"]
    return Head(record["head"], weights, int(record["dim"]), float(record["penalty"]), (low, high))


def save_sentence_module(head: Head, directory: str | Path) -> None:
    """Write the directory that `HeadModule.load` reads: head.safetensors and config.json. Needs no torch."""
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config: dict[str, Any] = {"head": head.kind, "dim": head.dim}
        (folder / "config.json").write_text(json.dumps(config) + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {folder}: {error.strerror or error}") from error
    save_head(head, folder / "head.safetensors")
