"""An evaluator of sentence-transformers that says how well the model binds while it trains."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from bindscope.integrations.score import Probe, Vocabulary

try:
    from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator
except ImportError:  # where it was before version 5.4
    from sentence_transformers.evaluation import SentenceEvaluator


class BindingEvaluator(SentenceEvaluator):  # type: ignore[misc]
    """Binding preference, objects, and swaps of a sentence-transformers model, on a few hundred captions a call.

    vocabulary, scene, scenes, seed: as in `binding_score`. `primary_metric` is the binding preference: 0.5 is a bag of words,
    1 binds. Results reach the trainer's log, TensorBoard and the model card as every evaluator's do.
    """

    def __init__(
        self,
        vocabulary: Vocabulary = "text:10x10",
        scene: str | None = None,
        scenes: int = 200,
        seed: int = 0,
        name: str = "",
        batch_size: int = 64,
        write_csv: bool = True,
    ) -> None:
        super().__init__()
        self.name, self.batch_size, self.write_csv = name, batch_size, write_csv
        self.primary_metric = "preference"
        self.probe = Probe.of(vocabulary, scene, scenes, seed)

    @property
    def description(self) -> str:
        """The word in the headings of a model card."""
        return "Binding"

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """The figures by name; a line of binding_evaluation_results.csv where a directory is given."""
        options = {"batch_size": self.batch_size, "show_progress_bar": False, "convert_to_numpy": True}

        def scenes(texts: list[str]) -> Any:
            return model.encode_document(texts, **options)

        def queries(texts: list[str]) -> Any:
            return model.encode_query(texts, **options)

        figures = self.probe.ask(scenes, queries).as_dict("")
        if output_path is not None and self.write_csv:
            self._write(Path(output_path), {"epoch": epoch, "steps": steps, **figures})
        named = dict(self.prefix_name_to_metrics(figures, self.name))
        self.store_metrics_in_model_card_data(model, named, epoch, steps)
        return named

    def _write(self, directory: Path, row: dict[str, float]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / f"binding_evaluation_{self.name + '_' if self.name else ''}results.csv"
        new = not file.exists()
        with file.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)

    def get_config_dict(self) -> dict[str, Any]:
        """What the model card says about the evaluation."""
        return {"scenes": len(self.probe.naming.scenes), "candidates": self.probe.naming.table.n_objects}
