"""Watch binding in a loop of one's own (open_clip, Lightning, plain torch): the function binding_score.

Usage: python examples/own_loop.py MODEL   (needs: pip install 'bindscope[text]')
"""

from __future__ import annotations

import sys

import torch
from sentence_transformers import SentenceTransformer

from bindscope.integrations import binding_score

WORDS = {"color": ["red", "blue", "green", "black"], "shape": ["cube", "ball", "cone", "box"]}


def main(model_name: str, steps: int = 2) -> list[float]:
    """Pull a caption from its swapped one by hand, and ask for binding after each step."""
    model = SentenceTransformer(model_name, device="cpu")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    found = []
    for _ in range(steps):
        batch = model.preprocess(
            ["a red cube and a blue ball", "a blue ball next to a red cube", "a blue cube and a red ball"]
        )
        anchor, paraphrase, swapped = model(batch)["sentence_embedding"]
        loss = torch.nn.functional.softplus(20 * (anchor @ swapped - anchor @ paraphrase))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        score = binding_score(lambda texts: model.encode(texts, show_progress_bar=False), vocabulary=WORDS)
        found.append(score.preference)
    return found


if __name__ == "__main__":
    print(main(sys.argv[1]))
