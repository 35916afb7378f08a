"""Watch binding in transformers' Trainer: BindingCallback, for a model that the Trainer trains on anything.

Usage: python examples/callback.py MODEL_DIR OUT   (needs: pip install 'bindscope[finetune]')
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer, Trainer, TrainingArguments

from bindscope.integrations import BindingCallback


class Captions(torch.nn.Module):
    """A text model with mean pooling, trained to bring a caption and its paraphrase together."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.tokenizer, self.network = AutoTokenizer.from_pretrained(name), AutoModel.from_pretrained(name)

    def encode(self, texts: list[str]) -> torch.Tensor:
        """Unit vectors."""
        batch = self.tokenizer(texts, padding=True, return_tensors="pt")
        mask = batch["attention_mask"][:, :, None]
        states = self.network(**batch).last_hidden_state
        return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)

    def forward(self, first: list[str], second: list[str]) -> dict[str, torch.Tensor]:
        """The contrastive loss."""
        scores = 20 * self.encode(first) @ self.encode(second).T
        return {"loss": torch.nn.functional.cross_entropy(scores, torch.arange(len(first)))}


def collate(rows: list[dict[str, str]]) -> dict[str, Any]:
    """Lists of texts."""
    return {name: [row[name] for row in rows] for name in ("first", "second")}


def main(model_name: str, out: str, steps: int = 4) -> list[dict[str, float]]:
    """Train a few steps; gives what was logged about binding."""
    rows = [{"first": "a red cube and a blue ball", "second": "there is a blue ball and a red cube"}] * 16
    arguments = TrainingArguments(
        out,
        max_steps=steps,
        per_device_train_batch_size=4,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        remove_unused_columns=False,
        prediction_loss_only=True,
        dataloader_pin_memory=False,
    )
    trainer = Trainer(Captions(model_name), arguments, data_collator=collate, train_dataset=rows, eval_dataset=rows[:4])
    BindingCallback(lambda model, texts: model.encode(texts), vocabulary="text:6x6").attach(trainer)
    trainer.train()
    return [line for line in trainer.state.log_history if "eval_binding_preference" in line]


if __name__ == "__main__":
    print(main(*sys.argv[1:3]))
