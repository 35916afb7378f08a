"""Perceptrons from concept indices to vectors, by torch; the paper's approximator, trained so that it does train.

    mlp        h = X E                                     X: every value in every slot, one-hot (or its vector)
    products   h_i = prod_k (X_ik E_ik), then h = [h_1 .. h_m] A + b      a product within each object comes first
    both       out = relu(h) B + c, and so on for more layers

One-hot inputs of every value in every slot are summed into the first hidden layer (a lookup, no product with zeros), the
targets are centred and scaled to unit RMS in their principal components, and AdamW runs one cycle of the learning rate
over a fixed number of epochs of mini-batches. No epoch is chosen. O(epochs n width (m C + d + width (depth - 1))).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bindscope.design import row_mean
from bindscope.errors import InputError, MissingExtraError
from bindscope.learners.additive import additive_features
from bindscope.learners.base import Approximator, Predictor, Solution, ValueVectors, Vectors, chosen, principal_axes
from bindscope.names import Option, read_options, split_options
from bindscope.scenes import FloatArray, SceneTable
from bindscope.streams import stream

if TYPE_CHECKING:
    import torch

Single = NDArray[np.float32]
WIDTHS, DEPTHS = 65_536, 8
DECAYS, RATES = (0.0, 0.1, 1.0), (1.0, 0.3)  # what `tune` tries; rates as shares of the default
BATCH = 256
START, SPREAD = 0.1, 0.1
FEWEST_STEPS = 400  # small tables get more epochs
FALLING, SMALL = (
    0.8,
    0.01,
)  # still going down: the last tenth's loss below this share of the tenth before, and not small
VARIANCE = 0.9995  # share whose principal components are learnt
OPTIONS = {
    "epochs": Option(40, int, 1, 100_000),
    "decay": Option(0.01, float, 0.0, 1e3),
    "rate": Option(None, float, 1e-7, 1.0),
    "batch": Option(BATCH, int, 1, 1_000_000),
}
PRODUCT_OPTIONS = {**OPTIONS, "decay": Option(0.5, float, 0.0, 1e3)}  # on a planted product 0.999 of it; at 0.01, 0.90
_BLOCK = 8192


@dataclass(frozen=True)
class Recipe:
    """Hidden layers and schedule. decay: AdamW's weight decay; rate: peak of the cycle (None: 0.003 at width 1024, higher
    for narrower layers). products: a product of value vectors within each object comes before the layers.
    """

    width: int = 1024
    depth: int = 1
    epochs: int = 40
    decay: float = 0.01
    rate: float | None = None
    batch: int = BATCH
    products: bool = False

    @property
    def peak(self) -> float:
        """The peak of the learning rate."""
        return min(1e-2, 3e-3 * (1024 / self.width) ** 0.4) if self.rate is None else self.rate


class Perceptron(Approximator):
    """An MLP. `tune` chooses decay and rate on validation objects (seven short fits before the last one)."""

    takes_words = True

    def __init__(self, recipe: Recipe = Recipe(), tune: bool = False) -> None:
        self.recipe, self.tune = recipe, tune
        word = "products" if recipe.products else "mlp"
        self.name = f"{word}:{recipe.width}" + (f"x{recipe.depth}" if recipe.depth > 1 else "")

    def solve(self, table: SceneTable, vectors: Vectors, seed: int) -> Solution:
        """Train on all rows. Raises MissingExtraError without torch."""
        recipe, judged = self._chosen(table, vectors, seed) if self.tune else (self.recipe, {})
        net = _trained(table, vectors, recipe, seed, self.words)
        notes = {"decay": recipe.decay, "rate": recipe.peak, "steps": net.steps, "loss": net.loss, **judged}
        return Solution(net.predict, net.converged, notes)

    def _chosen(self, table: SceneTable, vectors: Vectors, seed: int) -> tuple[Recipe, dict[str, float]]:
        tries = [replace(self.recipe, rate=rate * self.recipe.peak, decay=decay) for rate in RATES for decay in DECAYS]

        def fitted(recipe: Recipe, table: SceneTable, vectors: Vectors) -> Predictor:
            return _trained(table, vectors, recipe, seed, self.words).predict

        return chosen(tries, table, vectors, seed, fitted) or (self.recipe, {})


@dataclass(frozen=True, eq=False)
class _Net:
    """Trained layers as numpy arrays; the first has no bias of its own, the features hold a constant."""

    inputs: _Inputs
    first: Single
    layers: tuple[tuple[Single, Single], ...]
    axes: FloatArray
    mean: FloatArray
    steps: int
    loss: float
    converged: bool

    def predict(self, table: SceneTable) -> Vectors:
        """Vectors `[n, d]`, a block of rows at a time."""
        inputs, out = self.inputs(table), np.empty((len(table), len(self.mean)))
        for start in range(0, len(table), _BLOCK):
            hidden = np.asarray(self.inputs.first(inputs[start : start + _BLOCK], self.first))
            for number, (weights, bias) in enumerate(self.layers):
                rectified = hidden if self.inputs.products and not number else np.maximum(hidden, 0.0)
                hidden = rectified @ weights + bias
            out[start : start + _BLOCK] = hidden @ self.axes.T + self.mean
        return out


@dataclass(frozen=True, eq=False)
class _Inputs:
    """A constant and the values of a scene, and what the first layer makes of them.

    blocks: columns of each concept in each slot, slot by slot.
    """

    words: ValueVectors | None
    blocks: tuple[tuple[slice, ...], ...]
    products: bool

    @classmethod
    def of(cls, table: SceneTable, words: ValueVectors | None, products: bool) -> _Inputs:
        """Of the tables of a space. words: vectors of the values, in the place of indices."""
        sizes = table.space.sizes if words is None else words.widths
        ends = iter(np.cumsum([1, *(list(sizes) * table.n_slots)]).tolist())
        edges = list(pairwise(ends))
        each = table.space.n_concepts
        slots = [edges[i * each : (i + 1) * each] for i in range(table.n_slots)]
        return cls(words, tuple(tuple(slice(a, b) for a, b in slot) for slot in slots), products)

    def __call__(self, table: SceneTable) -> Any:
        """Inputs `[n, 1 + p]`, sparse where they are one-hot."""
        if self.words is None:
            return additive_features(table, "own").astype(np.float32)
        return np.concatenate([np.ones((len(table), 1)), self.words(table)], axis=1).astype(np.float32)

    def dense(self, table: SceneTable) -> Single:
        """The same, never sparse."""
        found = self(table)
        return np.asarray(found.toarray() if self.words is None else found)

    def first(self, inputs: Any, weights: Any) -> Any:
        """First layer `[n, width]` (numpy or torch), or the products within each object, side by side `[n, m width]`."""
        if not self.products:
            return inputs @ weights
        parts = []
        for slot in self.blocks:
            parts.append(inputs[:, slot[0]] @ weights[slot[0]])
            for block in slot[1:]:
                parts[-1] = parts[-1] * (inputs[:, block] @ weights[block])
        return np.concatenate(parts, axis=1) if isinstance(weights, np.ndarray) else _torch().cat(parts, dim=1)


def _trained(
    table: SceneTable,
    vectors: Vectors,
    recipe: Recipe,
    seed: int,
    words: ValueVectors | None = None,
) -> _Net:
    torch = _torch()
    targets, axes, mean = _targets(vectors)
    made = _Inputs.of(table, words, recipe.products)
    inputs = torch.from_numpy(made.dense(table))
    generator = torch.Generator().manual_seed(int(stream(seed, "perceptron").integers(2**62)))
    widths = [inputs.shape[1], *([recipe.width] * recipe.depth), targets.shape[1]]
    if recipe.products:
        widths.insert(1, table.n_slots * recipe.width)
    model = _layers(torch, widths, table.n_slots * table.space.n_concepts, generator, recipe)
    losses = _descended(torch, model, inputs, torch.from_numpy(targets), recipe, generator, made)
    arrays = [parameter.detach().numpy() for parameter in model]
    end, before = _tails(losses)
    layers = tuple(zip(arrays[1::2], arrays[2::2], strict=True))
    return _Net(made, arrays[0], layers, axes, mean, len(losses), end, bool(end < SMALL or end > FALLING * before))


def _layers(torch: Any, widths: list[int], active: int, generator: Any, recipe: Recipe) -> list[torch.Tensor]:
    """Weights `[in, out]` and biases, normal and small: from there a wide net learns features that serve unseen objects.

    START of the usual sd 1 / sqrt(inputs) gave R^2 0.976 on held-out objects of MiniLM captions, the usual sd 0.937.
    Factors of products start around one instead, so that a product is nearly a sum at first.
    """

    def drawn(rows: int, columns: int, variance: float) -> torch.Tensor:
        return torch.empty(rows, columns).normal_(0.0, variance**0.5, generator=generator)

    model = [drawn(widths[0], widths[1], START**2 / (1 + active))]
    if recipe.products:
        model = [1.0 + drawn(widths[0], recipe.width, SPREAD**2)]
    for rows, columns in pairwise(widths[1:]):
        model += [drawn(rows, columns, START**2 / rows), torch.zeros(columns)]
    return [parameter.requires_grad_() for parameter in model]


def _descended(
    torch: Any,
    model: list[torch.Tensor],
    inputs: torch.Tensor,
    goal: torch.Tensor,
    recipe: Recipe,
    generator: Any,
    made: _Inputs,
) -> list[float]:
    """One cycle of AdamW over shuffled mini-batches; the losses of all steps."""
    batch = min(recipe.batch, len(inputs))
    each = -(-len(inputs) // batch)
    epochs = max(recipe.epochs, -(-FEWEST_STEPS // each)) if recipe.epochs > 1 else 1
    optimiser = torch.optim.AdamW(model, lr=recipe.peak, weight_decay=recipe.decay, fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.peak, total_steps=epochs * each)
    losses: list[torch.Tensor] = []
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs), generator=generator).split(batch):
            hidden = made.first(inputs[rows], model[0])
            for number, (weights, bias) in enumerate(zip(model[1::2], model[2::2], strict=True)):
                rectified = hidden if recipe.products and not number else torch.relu(hidden)
                hidden = torch.addmm(bias, rectified, weights)
            loss = torch.nn.functional.mse_loss(hidden, goal[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            cycle.step()
            losses.append(loss.detach())
    return [float(loss) for loss in losses]


def _tails(losses: list[float]) -> tuple[float, float]:
    """Mean loss of the last tenth of the steps, and of the tenth before."""
    size = max(1, len(losses) // 10)
    return float(np.mean(losses[-size:])), float(np.mean(losses[-2 * size : -size] or losses))


def _targets(vectors: Vectors) -> tuple[Single, FloatArray, FloatArray]:
    """Principal components of the centred vectors at unit mean square `[n, r]`, axes `[d, r]` back, and the mean."""
    mean = row_mean(vectors)
    centred = np.asarray(vectors, dtype=np.float64) - mean
    axes, squares = principal_axes(centred, VARIANCE)
    if not len(squares):
        return np.zeros((len(centred), 1), dtype=np.float32), np.zeros((len(mean), 1)), mean
    scale = np.sqrt(squares.mean())
    return (centred @ axes / scale).astype(np.float32), axes * scale, mean


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise MissingExtraError("an MLP", "torch", "text") from None
    return torch


def load_products(rest: str, tune: bool) -> Approximator:
    """`products:256`, a perceptron with a product within each object before the hidden layers."""
    return load(rest, tune, "products")


def load(rest: str, tune: bool, word: str = "mlp") -> Approximator:
    """`mlp:1024`, `mlp:1024x2` (two hidden layers), `mlp:256?epochs=200&decay=0.1`."""
    size, query = split_options(rest)
    width, times, depth = size.partition("x")
    if not width.isdecimal() or (times and not depth.isdecimal()):
        raise InputError(
            f"an MLP is named {word}:WIDTH or {word}:WIDTHxDEPTH, e.g. {word}:256 or {word}:1024x2, got {word}:{rest}"
        )
    layers = int(depth or 1)
    if not 1 <= int(width) <= WIDTHS or not 1 <= layers <= DEPTHS:
        raise InputError(f"{word}:{size}: width must be in 1..{WIDTHS} and depth in 1..{DEPTHS}")
    found = read_options(query, PRODUCT_OPTIONS if word == "products" else OPTIONS, f"{word}:{size}")
    return Perceptron(Recipe(int(width), layers, **found, products=word == "products"), tune)
