"""A small sentence encoder with random weights, made and saved here: two layers of BERT over whole words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WORDS = (
    "a an the and with of in on to is are that which there photo next beside together as well both near side by behind above "
    "below inside left right , . one other it red blue green yellow purple orange pink brown gray black small large tiny round "
    "cube ball cone box cup hat dog cat circle square triangle star heart spiral sphere cylinder pyramid car man woman tree"
).split()


def save_tiny_encoder(directory: Path, seed: int = 0, width: int = 32) -> Path:
    """Save a sentence-transformers model (mean pooling, unit length) and give its directory."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    place = directory / "tiny-bert"
    place.mkdir(parents=True)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")]
    tokens += list("abcdefghijklmnopqrstuvwxyz0123456789?:;-")
    vocabulary = place / "vocab.txt"
    vocabulary.write_text("\n".join(dict.fromkeys(tokens)) + "\n", encoding="utf-8")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes: dict[str, Any] = {"hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": 2}
        config = BertConfig(vocab_size=len(dict.fromkeys(tokens)), intermediate_size=2 * width, **sizes)
        BertModel(config).save_pretrained(place)
    BertTokenizer(str(vocabulary)).save_pretrained(place)
    network = Transformer(str(place), max_seq_length=64)
    modules = [network, Pooling(width, pooling_mode="mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(directory / "tiny"), create_model_card=False)
    return directory / "tiny"
