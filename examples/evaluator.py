"""Watch binding while a sentence-transformers model trains: BindingEvaluator in its trainer.

Usage: python examples/evaluator.py MODEL OUT   (needs: pip install 'bindscope[finetune]')
"""

from __future__ import annotations

import sys

from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments

from bindscope.integrations import BindingEvaluator
from datasets import Dataset

try:
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
except ImportError:  # before version 5.4
    from sentence_transformers.losses import MultipleNegativesRankingLoss


def main(model_name: str, out: str, steps: int = 4) -> dict[str, float]:
    """Train on a handful of captions with swapped negatives, and ask for binding every second step."""
    model = SentenceTransformer(model_name, device="cpu")
    rows = {
        "anchor": ["a red cube and a blue ball", "a green cone and a black box"] * 4,
        "positive": ["there is a blue ball and a red cube", "a black box next to a green cone"] * 4,
        "negative": ["a blue cube and a red ball", "a black cone and a green box"] * 4,
    }
    words = {"color": ["red", "blue", "green", "black"], "shape": ["cube", "ball", "cone", "box"]}
    evaluator = BindingEvaluator(words, name="toys")
    arguments = SentenceTransformerTrainingArguments(
        out,
        max_steps=steps,
        per_device_train_batch_size=4,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="steps",
        save_steps=2,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    trainer = SentenceTransformerTrainer(
        model,
        arguments,
        train_dataset=Dataset.from_dict(rows),
        loss=MultipleNegativesRankingLoss(model),
        evaluator=evaluator,
    )
    trainer.train()
    return {key: value for key, value in trainer.state.log_history[-2].items() if key.startswith("eval_toys")}


if __name__ == "__main__":
    print(main(*sys.argv[1:3]))
