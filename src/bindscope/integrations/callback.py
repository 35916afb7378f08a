"""A callback of transformers' Trainer that says how well the model binds while it trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainerCallback

from bindscope.integrations.score import Probe, Vocabulary


class BindingCallback(TrainerCallback):  # type: ignore[misc]
    """Asks for binding at every evaluation of a Trainer, and logs what it finds with the other metrics.

    encode: (model, texts) -> vectors `[n, d]`; encode_queries: the same for queries (None: as scenes). The others as in
    `binding_score`. Figures are named eval_binding_..., so `metric_for_best_model="eval_binding_preference"` works.

    Use `BindingCallback(encode).attach(trainer)`; added with `trainer.add_callback` alone, the figures reach the metrics of
    the evaluation and `state.log_history`, and no tracker.
    """

    def __init__(
        self,
        encode: Callable[[Any, list[str]], Any],
        encode_queries: Callable[[Any, list[str]], Any] | None = None,
        vocabulary: Vocabulary = "text:10x10",
        scene: str | None = None,
        scenes: int = 200,
        seed: int = 0,
        prefix: str = "eval_binding_",
    ) -> None:
        self.encode, self.encode_queries, self.prefix = encode, encode_queries or encode, prefix
        self.probe = Probe.of(vocabulary, scene, scenes, seed)
        self.trainer: Any = None

    def attach(self, trainer: Any) -> BindingCallback:
        """Add the callback to a trainer, whose trackers then get the figures."""
        self.trainer = trainer
        trainer.add_callback(self)
        return self

    def on_evaluate(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Called by the trainer behind each evaluation."""
        figures = self.figures(more["model"])
        if more.get("metrics") is not None:
            more["metrics"].update(figures)
        if self.trainer is not None:
            self.trainer.log(figures)
        else:
            state.log_history.append({**figures, "step": state.global_step})

    def figures(self, model: Any) -> dict[str, float]:
        """Figures of a model as it is, without gradients and dropout."""
        training = model.training
        model.eval()
        try:
            with torch.no_grad():
                score = self.probe.ask(
                    lambda texts: self.encode(model, texts), lambda texts: self.encode_queries(model, texts)
                )
        finally:
            model.train(training)
        return score.as_dict(self.prefix)
